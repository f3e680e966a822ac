"""What each place of insurance owes, by month and scheme: funds and personal accounts advanced, less what came and what was deducted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from adapter_core.accounts.books import Books, Working
from adapter_core.accounts.differences import made_id
from adapter_core.accounts.reports import place_named
from adapter_core.settlement.records import AccountItem
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.money import MoneyError, fen, from_fen, yuan

BANK, DEDUCTION = "bank", "deduction"
MATCHED, UNMATCHED = "matched", "unmatched"
YELLOW, RED = 70, 90
"""Prepayment used, per cent.  Source: 苏医保发〔2022〕75号 31 (90 %), [MG] (70 %); `policy/cross-province` §10."""
LONGEST_MONTHS = 2
"""Longest delay of a clearing.  Source: 苏医保发〔2022〕75号 48–49."""
INQUIRY_FEN = 30_000_00
"""Inpatient bills from here on are subject to inquiry (费用协查).  Source: 苏医保发〔2022〕75号 55–57."""

OWED = (
    "SELECT SUBSTR(business_day, 1, 7) AS month, insuplc_admdvs, scheme, clr_type, SUM(CASE WHEN entry = 'void' THEN -1 ELSE 1 END), SUM(total_fen), SUM(fund_fen), "
    "SUM(acct_pay_fen), SUM(fund_fen) + SUM(acct_pay_fen) FROM {ledger}entries WHERE org = ? AND stands "
    "GROUP BY SUBSTR(business_day, 1, 7), insuplc_admdvs, scheme, clr_type ORDER BY month, insuplc_admdvs, scheme, clr_type"
)
INQUIRIES = (
    "SELECT business_day, setl_id, mdtrt_id, insuplc_admdvs, total_fen, case_id FROM {ledger}entries WHERE org = ? AND stands "
    "AND entry = 'settle' AND kind = 'inpatient' AND total_fen >= ? AND business_day LIKE ? ORDER BY total_fen DESC"
)
YEAR = "SELECT COALESCE(SUM(fund_fen), 0) FROM {ledger}entries WHERE org = ? AND stands AND scheme <> 'local' AND business_day LIKE ?"
DUES = "CREATE TEMP TABLE dues (month TEXT, region TEXT, scheme TEXT, clr_type TEXT, owed BIGINT)"
CAME = "CREATE TEMP TABLE came (line_id TEXT, month TEXT, region TEXT, amount BIGINT)"
CANDIDATES = (
    "SELECT came.line_id, groups.month, groups.region FROM came JOIN ("
    "SELECT month, region, SUM(owed) AS owed FROM dues GROUP BY month, region "
    "UNION ALL SELECT month, '', SUM(owed) FROM dues GROUP BY month HAVING COUNT(DISTINCT region) > 1) AS groups ON groups.owed = came.amount "
    "AND (came.month = '' OR came.month = groups.month) AND (came.region = '' OR came.region = groups.region) "
    "ORDER BY came.line_id, groups.month, groups.region"
)


@dataclass(frozen=True, slots=True)
class Due:
    """One line of the receivable table.  Fen."""

    month: str
    region: str
    scheme: str
    clr_type: str
    count: int
    total: int
    fund: int
    account: int
    owed: int
    came: int = 0
    deducted: int = 0

    @property
    def left(self) -> int:
        return self.owed - self.came - self.deducted

    def age_days(self, today: str) -> int:
        """Days since the end of its month."""
        return max(0, (date.fromisoformat(today) - _month_end(self.month)).days)

    def is_late(self, today: str) -> bool:
        return bool(self.left) and date.fromisoformat(today) > _months_on(_month_end(self.month), LONGEST_MONTHS)


COLUMNS = (
    "月份",
    "参保地",
    "方案",
    "清算类别",
    "人次",
    "总额",
    "基金",
    "个人账户",
    "应收",
    "已收",
    "扣款",
    "未收",
    "账龄（天）",
)


def receivables(books: Books, org: str, items: Iterable[AccountItem] = ()) -> list[Due]:
    """Every month's dues.  items: bank lines and deductions of the ledger."""
    with books.working() as working:
        rows = list(working.rows(OWED.format(ledger=working.ledger), org))
    found = [Due(str(row[0]), str(row[1]), str(row[2]), str(row[3]), *map(int, row[4:])) for row in rows]
    return _settled(found, items)


def _settled(dues: list[Due], items: Iterable[AccountItem]) -> list[Due]:
    """The dues less what came and was deducted; a sum for several of them goes to each in full, oldest first."""
    rows = list(dues)
    for item in items:
        if (item.topic == BANK and item.state != MATCHED) or item.state == "withdrawn":
            continue
        left = item.amount_fen or 0
        field = "came" if item.topic == BANK else "deducted"
        for place, row in enumerate(rows):
            named = row.month == item.facts["month"] and item.facts.get("region", "") in ("", row.region)
            if not named or not left:
                continue
            part = min(left, row.left) if row.left > 0 else 0
            rows[place] = replace(row, **{field: getattr(row, field) + part})
            left -= part
    return rows


def table(dues: Sequence[Due], today: str) -> list[list[str]]:
    rows = [list(COLUMNS)]
    for due in dues:
        amounts = (due.total, due.fund, due.account, due.owed, due.came, due.deducted, due.left)
        texts = [f"{from_fen(one):.2f}" for one in amounts]
        age = str(due.age_days(today)) + ("（逾期）" if due.is_late(today) else "")
        rows.append([due.month, place_named(due.region), due.scheme, due.clr_type, str(due.count), *texts, age])
    return rows


def data(dues: Sequence[Due], today: str) -> list[dict[str, Any]]:
    """As JSON."""
    return [
        {
            "month": due.month,
            "insuplc_admdvs": due.region,
            "scheme": due.scheme,
            "clr_type": due.clr_type,
            "count": due.count,
            **{
                name: f"{from_fen(getattr(due, name)):.2f}"
                for name in ("total", "fund", "account", "owed", "came", "deducted", "left")
            },
            "age_days": due.age_days(today),
            "late": due.is_late(today),
        }
        for due in dues
    ]


def prepayment(books: Books, org: str, year: str, quota_fen: int) -> dict[str, Any]:
    """How much of the year's prepaid quota other regions' patients used: ``none`` ``ok`` ``yellow`` ``red``."""
    with books.working() as working:
        [(used,)] = list(working.rows(YEAR.format(ledger=working.ledger), org, f"{year}-%"))
    used = int(used)
    if not quota_fen:
        return {"year": year, "used": f"{from_fen(used):.2f}", "quota": "", "percent": "", "level": "none"}
    # whole per cent, rounded down: the level is reached when it is reached
    percent = used * 100 // quota_fen
    level = "red" if percent >= RED else "yellow" if percent >= YELLOW else "ok"
    return {
        "year": year,
        "used": f"{from_fen(used):.2f}",
        "quota": f"{from_fen(quota_fen):.2f}",
        "percent": str(percent),
        "level": level,
    }


def inquiries(books: Books, org: str, month: str) -> list[dict[str, str]]:
    """Inpatient bills of a month that may be inquired into, with what an answer needs to find them by."""
    with books.working() as working:
        rows = list(working.rows(INQUIRIES.format(ledger=working.ledger), org, INQUIRY_FEN, f"{month}-%"))
    names = ("date", "setl_id", "mdtrt_id", "insuplc_admdvs", "total", "case_id")
    found = [dict(zip(names, map(str, row), strict=True)) for row in rows]
    for row in found:
        row["total"] = f"{from_fen(int(row['total'])):.2f}"
        row["work_order"] = row["case_id"][:10].upper()
        row["answer_by"] = _day_of_next_month(month, 26)
    return found


def calendar(today: str) -> list[dict[str, str]]:
    """The dates that wait, for the month before.  Source: 苏医保发〔2022〕75号 43, 48–49; `policy/cross-province` §9."""
    last = (date.fromisoformat(today).replace(day=1) - timedelta(days=1)).isoformat()[:7]
    year = int(last[:4])
    rows = [
        (_day_of_next_month(last, 3), f"{last} 账目全部对平"),
        (_day_of_next_month(last, 20), f"{last} 清算申报（3203）与清分确认（3261）"),
        (_day_of_next_month(last, 26), f"{last} 住院三万元以上费用协查答复"),
        (_months_on(_month_end(last), LONGEST_MONTHS).isoformat(), f"{last} 款项最迟到账"),
        (f"{year + 1}-03-31", f"{year} 年度清算截止"),
    ]
    return [{"by": by, "what": what, "late": "1" if by < today else ""} for by, what in rows]


@dataclass(frozen=True, slots=True)
class BankLine:
    """One received payment.  reference: the bank's own number; note: what its text says.  Fen."""

    day: str
    amount: int
    payer: str
    reference: str
    note: str

    def item_id(self, org: str) -> str:
        return made_id(org, BANK, self.day, str(self.amount), self.reference, self.payer)


BANK_COLUMNS: Mapping[str, tuple[str, ...]] = {"day": ("日期", "date"), "amount": ("金额", "amount"), "payer": ("付款方", "payer"), "reference": ("流水号", "reference"), "note": ("摘要", "note")}  # fmt: skip


def read_bank_lines(rows: Sequence[Sequence[str]]) -> list[BankLine]:
    """Bank lines from a table with a heading (Chinese or English).  Raises: TranslationError with every fault."""
    cells = columns_of(rows, BANK_COLUMNS, ("day", "amount", "reference"))
    faults: list[Fault] = []
    found = []
    for number, row in cells:
        try:
            day = date.fromisoformat(row["day"][:10]).isoformat()
            found.append(BankLine(day, fen(yuan(row["amount"])), row["payer"], row["reference"], row["note"]))
        except (ValueError, MoneyError):
            faults.append(Fault(f"row {number}", "日期 yyyy-MM-dd 和两位小数的金额", "其他"))
    if faults:
        raise TranslationError(faults, message_zh="银行到账明细有误，未导入")
    return found


def columns_of(
    rows: Sequence[Sequence[str]], columns: Mapping[str, tuple[str, ...]], must: Sequence[str]
) -> list[tuple[int, dict[str, str]]]:
    """Each row by the names of its columns, with its number.  Raises: TranslationError for a heading that lacks one."""
    heading = [cell.strip() for cell in rows[0]] if rows else []
    at = {
        name: next((heading.index(word) for word in words if word in heading), None) for name, words in columns.items()
    }
    missing = [columns[name][0] for name in must if at[name] is None]
    if missing:
        raise TranslationError([Fault("row 1", f"列 {word}", "缺") for word in missing])
    return [
        (
            number,
            {name: row[place].strip() if place is not None and place < len(row) else "" for name, place in at.items()},
        )
        for number, row in enumerate(rows[1:], 2)
        if any(cell.strip() for cell in row)
    ]


def matched(books: Books, dues: Sequence[Due], lines: Sequence[tuple[str, BankLine]]) -> dict[str, tuple[str, str]]:
    """Which month and region each line pays, by its amount and what its text names; only where exactly one fits.

    lines: with their ids.
    """
    with books.working() as working:
        return _matched(working, dues, lines)


def _matched(
    working: Working, dues: Sequence[Due], lines: Sequence[tuple[str, BankLine]]
) -> dict[str, tuple[str, str]]:
    working.run(DUES)
    working.run(CAME)
    left = ((due.month, due.region, due.scheme, due.clr_type, due.left) for due in dues if due.left > 0)
    working.load("dues", ("month", "region", "scheme", "clr_type", "owed"), left)
    named = ((number, *_named(line, dues), line.amount) for number, line in lines)
    working.load("came", ("line_id", "month", "region", "amount"), named)
    found: dict[str, list[tuple[str, str]]] = {}
    for number, month, place in working.rows(CANDIDATES):
        found.setdefault(number, []).append((month, place))
    return {number: places[0] for number, places in found.items() if len(set(places)) == 1}


def _named(line: BankLine, dues: Sequence[Due]) -> tuple[str, str]:
    """The month and the region that a line's text names; "" for neither."""
    text = f"{line.note} {line.payer}"
    months = {due.month for due in dues if due.month in text or due.month.replace("-", "") in text}
    regions = {due.region for due in dues if due.region and due.region in text}
    return (months.pop() if len(months) == 1 else "", regions.pop() if len(regions) == 1 else "")


def _month_end(month: str) -> date:
    return _months_on(date.fromisoformat(f"{month}-01"), 1) - timedelta(days=1)


def _months_on(day: date, months: int) -> date:
    """The same day so many months on, or that month's last."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    first = date(year, month + 1, 1)
    last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    is_end = (day + timedelta(days=1)).day == 1
    return last if is_end else first.replace(day=min(day.day, last.day))


def _day_of_next_month(month: str, day: int) -> str:
    return _months_on(date.fromisoformat(f"{month}-01"), 1).replace(day=day).isoformat()
