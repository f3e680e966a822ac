"""Reports for people who compare: by day, by place of insurance, how often direct settlement works and why it does not.

Tables as CSV or Excel, Excel with plots; `paperwork.account_sheets` prints the same ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

from adapter_core.accounts.books import Books, Working
from adapter_core.province.policy import reasons
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import PAPER, State
from adapter_core.standard.regions import region
from adapter_core.values.errors import ConfigError
from adapter_core.values.moments import iso, national_date, parse_national_time
from adapter_core.values.money import from_fen

DIRECT = frozenset({State.SETTLED, State.VOIDING, State.VOIDED})
"""Settled directly, also where it was refunded later."""
FAILED = (State.REJECTED, State.NOT_SENT, State.NOT_APPLIED, State.REVERSED, *sorted(PAPER), State.MANUAL_REVOKED)
"""Ended without direct settlement.  What the HIS itself cancelled is neither."""
FAILED_MAX = 20_000
"""So many of a period's newest failures are counted by their reasons."""

BY_DAY = (
    "SELECT business_day, SUM(CASE WHEN entry = 'settle' THEN 1 ELSE 0 END), SUM(CASE WHEN entry = 'void' THEN 1 ELSE 0 END), "
    "SUM(total_fen), SUM(fund_fen), SUM(account_fen), SUM(cash_fen) FROM {ledger}entries "
    "WHERE org = ? AND stands AND business_day BETWEEN ? AND ? GROUP BY business_day ORDER BY business_day"
)
BY_REGION = (
    "SELECT insuplc_admdvs, SUM(CASE WHEN entry = 'settle' THEN 1 ELSE 0 END), SUM(CASE WHEN entry = 'void' THEN 1 ELSE 0 END), "
    "SUM(total_fen), SUM(fund_fen), SUM(account_fen), SUM(cash_fen) FROM {ledger}entries "
    "WHERE org = ? AND stands AND business_day BETWEEN ? AND ? GROUP BY insuplc_admdvs ORDER BY SUM(total_fen) DESC, insuplc_admdvs"
)
_DIRECT = ", ".join(f"'{state}'" for state in sorted(DIRECT))
_FAILED = ", ".join(f"'{state}'" for state in FAILED)
VISITS = (
    "CREATE TEMP TABLE visits AS SELECT visit_key, MIN(opened_at) AS opened_at, MAX(insuplc_admdvs) AS region, "
    f"MAX(CASE WHEN state IN ({_DIRECT}) THEN 1 ELSE 0 END) AS direct, "
    f"MAX(CASE WHEN state IN ({_FAILED}) THEN ordinal ELSE 0 END) AS failed FROM {{ledger}}cases "
    "WHERE org = ? AND purpose = 'settle' AND opened_at >= ? AND opened_at < ? GROUP BY visit_key"
)
"""A visit that failed first and was settled under another key was settled directly."""
DIRECT_BY_REGION = (
    "SELECT region, SUM(direct), COUNT(*) FROM visits WHERE direct = 1 OR failed > 0 GROUP BY region "
    "ORDER BY COUNT(*) DESC, region"
)
DIRECT_BY_HOUR = (  # in UTC, whose hours are China's, too: days are put together from them
    "SELECT SUBSTR(opened_at, 1, 13), SUM(direct), COUNT(*) FROM visits WHERE direct = 1 OR failed > 0 "
    "GROUP BY SUBSTR(opened_at, 1, 13)"
)
FAILURES = (
    "SELECT cases.case_id FROM visits JOIN {ledger}cases AS cases ON cases.ordinal = visits.failed "
    "WHERE visits.direct = 0 AND visits.failed > 0 ORDER BY cases.ordinal DESC LIMIT ?"
)
HEADS = {"day": "日期", "region": "参保地"}
SUMS = ("结算笔数", "退费笔数", "总额", "基金", "个人账户", "现金")
RATES = ("就诊数", "直接结算", "未能直接结算", "直接结算率（%）")
Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a report.  plotted: the columns that a plot shows, stacked, against the first; () for none."""

    title: str
    rows: Rows
    plotted: tuple[int, ...] = ()

    def data(self) -> dict[str, Any]:
        """As JSON."""
        return {"title": self.title, "rows": self.rows, "plotted": list(self.plotted)}


def sheets_of(data: Iterable[Any]) -> list[Sheet]:
    """The inverse of `Sheet.data`, for each."""
    return [Sheet(one["title"], one["rows"], tuple(map(int, one["plotted"]))) for one in data]


def sums(books: Books, org: str, since: str, until: str) -> list[Sheet]:
    """By day and by place of insurance."""
    found = []
    with books.working() as working:
        for name, title, statement in (("day", "按日", BY_DAY), ("region", "按参保地", BY_REGION)):
            rows = [[HEADS[name], *SUMS]]
            for row in working.rows(statement.format(ledger=working.ledger), org, since, until):
                amounts = [f"{from_fen(int(fen)):.2f}" for fen in row[3:]]
                shown = str(row[0]) if name == "day" else place_named(str(row[0]))
                rows.append([shown, str(row[1]), str(row[2]), *amounts])
            found.append(Sheet(title, rows, plotted=(4, 5, 6)))
    return found


def direct_rates(books: Books, org: str, since: str, until: str) -> tuple[list[Sheet], list[str]]:
    """The share of visits settled directly, by day and by place of insurance, and the ids of the failures' newest cases."""
    with books.working() as working:
        day_after = (date.fromisoformat(until) + timedelta(days=1)).isoformat()
        working.run(VISITS.format(ledger=working.ledger), org, _begin(since), _begin(day_after))
        by_day: dict[str, list[int]] = {}
        for hour, direct, whole in working.rows(DIRECT_BY_HOUR):
            sums_of_day = by_day.setdefault(_china_day(str(hour)), [0, 0])
            sums_of_day[0] += int(direct)
            sums_of_day[1] += int(whole)
        by_region = [(place_named(str(row[0])), int(row[1]), int(row[2])) for row in working.rows(DIRECT_BY_REGION)]
        failures = list(_failures(working))
    days = [(day, direct, whole) for day, (direct, whole) in sorted(by_day.items())]
    return [
        _rates("直接结算率（按日）", HEADS["day"], days),
        _rates("直接结算率（按参保地）", HEADS["region"], by_region),
    ], failures


def _failures(working: Working) -> Iterator[str]:
    for row in working.rows(FAILURES.format(ledger=working.ledger), FAILED_MAX):
        yield str(row[0])


def _rates(title: str, head: str, found: Sequence[tuple[str, int, int]]) -> Sheet:
    rows = [[head, *RATES]]
    for name, direct, whole in [*found, ("合计", sum(one[1] for one in found), sum(one[2] for one in found))]:
        rows.append([name, str(whole), str(direct), str(whole - direct), percent(direct, whole)])
    return Sheet(title, rows, plotted=(4,))


def percent(part: int, whole: int) -> str:
    """With one place, rounded down: 100.0 only where it is all."""
    return f"{Decimal(part * 1000 // whole).scaleb(-1)}" if whole else ""


def why_not(codes: Iterable[str]) -> Sheet:
    """The reasons for which visits were not settled directly, the most frequent first."""
    counts = Counter(codes)
    meanings = {code.upper(): one.cashier_zh for code, one in reasons().items()}
    whole = sum(counts.values())
    rows = [["原因", "笔数", "占比（%）", "说明"]]
    rows += [
        [code, str(count), percent(count, whole), meanings.get(code.upper(), "")]
        for code, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]
    return Sheet("未能直接结算的原因", rows, plotted=(1,))


def failure_code(case: Case) -> str:
    """Why a case was not settled directly: what was told, of papers what was told before them."""
    told = case.data["paper"].get("told", {}) if "paper" in case.data else case.told
    return str(told.get("code", "")) or str(case.state)


def place_named(code: str) -> str:
    """A place of insurance for people."""
    found = region(code) if len(code) == 6 else None
    if found is None:
        return code or "未注明"
    return f"{code} {found.name if found.name.startswith(found.province) else found.province + found.name}"


def _begin(day: str) -> str:
    """Midnight in China, as the ledger writes moments."""
    return iso(parse_national_time(f"{day} 00:00:00"))


def _china_day(hour: str) -> str:
    return national_date(datetime.fromisoformat(f"{hour}:00:00+00:00"))


def workbook(sheets: Sequence[Sheet]) -> bytes:
    """An xlsx with one sheet for each table and a column plot where it helps.  Raises: ConfigError without its writer."""
    try:
        from xlsxwriter import Workbook
    except ModuleNotFoundError:
        raise ConfigError('Excel files need: pip install "his-adapter[tables]"') from None
    out = BytesIO()
    book = Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    number = book.add_format({"num_format": "0.00"})
    for sheet in sheets:
        page = book.add_worksheet(sheet.title[:31])
        page.set_column(0, 0, 18)
        page.set_column(1, 20, 13)
        for place, row in enumerate(sheet.rows):
            for column, cell in enumerate(row):
                # a plot needs numbers, and a workbook's are binary fractions: all other columns stay text
                if place and column in sheet.plotted and cell:
                    page.write_number(place, column, Decimal(cell), number if "." in cell else None)
                else:
                    page.write_string(place, column, cell)
        if sheet.plotted and len(sheet.rows) > 1:
            page.insert_chart(1, len(sheet.rows[0]) + 1, _chart(book, sheet))
    book.close()
    return out.getvalue()


def _chart(book: Any, sheet: Sheet) -> Any:
    """Columns, stacked where there are several; a sum's own line is not among them."""
    last = len(sheet.rows) - (2 if sheet.rows[-1][0] == "合计" else 1)
    name = sheet.title[:31]
    chart = book.add_chart({"type": "column", **({"subtype": "stacked"} if len(sheet.plotted) > 1 else {})})
    for column in sheet.plotted:
        chart.add_series(
            {
                "name": sheet.rows[0][column],
                "categories": [name, 1, 0, max(last, 1), 0],
                "values": [name, 1, column, max(last, 1), column],
            }
        )
    chart.set_title({"name": sheet.title})
    chart.set_legend({"position": "bottom"} if len(sheet.plotted) > 1 else {"none": True})
    return chart
