"""Reports for people who compare: by day, by place of insurance, by reason of failure; tables as CSV or Excel, Excel with plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

from adapter_core.accounts.books import Books
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import PAPER, RELEASED, State
from adapter_core.values.errors import ConfigError
from adapter_core.values.money import from_fen

BY_DAY = (
    "SELECT business_day, SUM(CASE WHEN entry = 'settle' THEN 1 ELSE 0 END), SUM(CASE WHEN entry = 'void' THEN 1 ELSE 0 END), "
    "SUM(total_fen), SUM(fund_fen), SUM(account_fen), SUM(cash_fen) FROM {ledger}entries "
    "WHERE org = ? AND stands AND business_day BETWEEN ? AND ? GROUP BY business_day ORDER BY business_day"
)
BY_REGION = (
    "SELECT insuplc_admdvs, SUM(CASE WHEN entry = 'settle' THEN 1 ELSE 0 END), SUM(CASE WHEN entry = 'void' THEN 1 ELSE 0 END), "
    "SUM(total_fen), SUM(fund_fen), SUM(account_fen), SUM(cash_fen) FROM {ledger}entries "
    "WHERE org = ? AND stands AND business_day BETWEEN ? AND ? GROUP BY insuplc_admdvs ORDER BY SUM(total_fen) DESC"
)
HEADS = {"day": "日期", "region": "参保地"}
SUMS = ("结算笔数", "退费笔数", "总额", "基金", "个人账户", "现金")
Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a report.  plotted: the column a plot shows against the first, 0 for none."""

    title: str
    rows: Rows
    plotted: int = 0


def sums(books: Books, org: str, since: str, until: str) -> list[Sheet]:
    """By day and by place of insurance."""
    found = []
    with books.working() as working:
        for name, title, statement in (("day", "按日", BY_DAY), ("region", "按参保地", BY_REGION)):
            rows = [[HEADS[name], *SUMS]]
            for row in working.rows(statement.format(ledger=working.ledger), org, since, until):
                amounts = [f"{from_fen(int(fen)):.2f}" for fen in row[3:]]
                rows.append([str(row[0]) or "未注明", str(row[1]), str(row[2]), *amounts])
            found.append(Sheet(title, rows, plotted=3))
    return found


def direct_rate(cases: Iterable[Case]) -> Sheet:
    """How many visits were settled directly, and why the others were not."""
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for case in cases:
        if case.purpose != "settle":
            continue
        if case.state in (State.SETTLED, State.VOIDING):
            states["settled"] += 1
        elif case.state in RELEASED | PAPER and case.state is not State.VOIDED:
            states["other"] += 1
            reasons[str(case.told.get("code") or case.state)] += 1
    whole = states["settled"] + states["other"]
    percent = f"{states['settled'] * 1000 // whole / 10}" if whole else ""
    rows = [["原因", "笔数"], ["直接结算", str(states["settled"])]]
    rows += [[code, str(count)] for code, count in reasons.most_common()]
    rows.append([f"直接结算率（%）：{percent}", str(whole)])
    return Sheet("直接结算与失败原因", rows, plotted=1)


def workbook(sheets: Sequence[Sheet]) -> bytes:
    """An xlsx with one sheet for each table and a column plot where it helps.  Raises: ConfigError without its writer."""
    try:
        from xlsxwriter import Workbook
    except ModuleNotFoundError:
        raise ConfigError('Excel files need: pip install "his-adapter[tables]"') from None
    out = BytesIO()
    book = Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    for sheet in sheets:
        page = book.add_worksheet(sheet.title[:31])
        for number, row in enumerate(sheet.rows):
            for column, cell in enumerate(row):
                is_plotted = number and column == sheet.plotted and sheet.plotted
                # a plot needs numbers; a workbook's are binary fractions, so only the plotted column is written as one
                (
                    page.write_number(number, column, float(cell))
                    if is_plotted
                    else page.write_string(number, column, cell)
                )
        if sheet.plotted and len(sheet.rows) > 1:
            last = len(sheet.rows) - 1
            chart = book.add_chart({"type": "column"})
            chart.add_series(
                {
                    "name": sheet.rows[0][sheet.plotted],
                    "categories": [sheet.title[:31], 1, 0, last, 0],
                    "values": [sheet.title[:31], 1, sheet.plotted, last, sheet.plotted],
                }
            )
            chart.set_title({"name": sheet.title})
            page.insert_chart(1, len(sheet.rows[0]) + 1, chart)
    book.close()
    return out.getvalue()
