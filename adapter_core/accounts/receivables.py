"""What each place of insurance owes, by month and scheme: funds and personal accounts advanced, less what came and what was deducted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from adapter_core.accounts.books import Books
from adapter_core.accounts.reports import place_named
from adapter_core.province.schemes import LOCAL, schemes
from adapter_core.settlement.records import AccountItem
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.money import from_fen

BANK, DEDUCTION = "bank", "deduction"
MATCHED, UNMATCHED, WITHDRAWN = "matched", "unmatched", "withdrawn"
YELLOW, RED = 70, 90
"""Prepayment used, per cent.  Source: 苏医保发〔2022〕75号 31 (90 %), [MG] (70 %); `policy/cross-province` §10."""
AGES = ((0, "0–30"), (31, "31–60"), (61, "61–90"), (91, "90 以上"))
"""First day, and what it is called."""
PAYS_ZH = {"monthly": "按月清算", "reserve": "备用金"}
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
    "SELECT business_day, setl_id, mdtrt_id, insuplc_admdvs, total_fen, case_id FROM {ledger}entries AS entries WHERE org = ? AND stands "
    "AND entry = 'settle' AND kind = 'inpatient' AND total_fen >= ? AND business_day LIKE ? "
    "AND NOT EXISTS (SELECT 1 FROM {ledger}entries AS back WHERE back.org = entries.org AND back.stands "
    "AND back.entry = 'void' AND back.original_setl_id = entries.setl_id AND back.mdtrt_id = entries.mdtrt_id) "
    "ORDER BY total_fen DESC, setl_id"
)
YEAR = "SELECT COALESCE(SUM(fund_fen), 0) FROM {ledger}entries WHERE org = ? AND stands AND scheme <> 'local' AND business_day LIKE ?"


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
        return max(0, (date.fromisoformat(today) - month_end(self.month)).days)

    def is_late(self, today: str) -> bool:
        return bool(self.left) and date.fromisoformat(today) > months_on(month_end(self.month), LONGEST_MONTHS)


COLUMNS = (
    "月份",
    "参保地",
    "方案",
    "拨付方式",
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
        if (item.topic == BANK and item.state != MATCHED) or item.state == WITHDRAWN:
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
        arranged = (scheme_named(due.scheme), PAYS_ZH[pays(due.scheme)])
        rows.append([due.month, place_named(due.region), *arranged, due.clr_type, str(due.count), *texts, age])
    return rows


def data(dues: Sequence[Due], today: str) -> list[dict[str, Any]]:
    """As JSON."""
    return [
        {
            "month": due.month,
            "insuplc_admdvs": due.region,
            "scheme": due.scheme,
            "pays": pays(due.scheme),
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


def scheme_named(name: str) -> str:
    """An arrangement for people."""
    found = next((one for one in schemes() if one.name == name), None)
    return found.title if found else {LOCAL: "本省"}.get(name, "未列方案")


def pays(name: str) -> str:
    """How an arrangement pays: ``monthly`` clearing or a ``reserve`` (备用金)."""
    return next((one.pays for one in schemes() if one.name == name), "monthly")


def ageing(dues: Iterable[Due], today: str) -> list[dict[str, str]]:
    """What is not paid yet, by days since the end of its month."""
    left = [0] * len(AGES)
    for due in dues:
        age = due.age_days(today)
        place = next(place for place, (first, _) in reversed(list(enumerate(AGES))) if age >= first)
        left[place] += due.left
    return [{"days": title, "left": f"{from_fen(sum_):.2f}"} for (_, title), sum_ in zip(AGES, left, strict=True)]


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
        row["answer_by"] = day_of_next_month(month, 26)
    return found


INQUIRY_COLUMNS: Mapping[str, str] = {
    "date": "结算日", "setl_id": "结算编号", "mdtrt_id": "就诊编号", "invono": "发票号", "ipt_no": "住院号", "begntime": "入院", "endtime": "出院",
    "insuplc_admdvs": "参保地", "total": "总额", "work_order": "工单", "answer_by": "答复期限",
}  # fmt: skip


def inquiry_table(rows: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """Bills that may be inquired into, as a table."""
    return [list(INQUIRY_COLUMNS.values()), *([row.get(name, "") for name in INQUIRY_COLUMNS] for row in rows)]


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


def month_end(month: str) -> date:
    """Its last day."""
    return months_on(date.fromisoformat(f"{month}-01"), 1) - timedelta(days=1)


def months_on(day: date, months: int) -> date:
    """The same day so many months on, or that month's last."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    first = date(year, month + 1, 1)
    last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    is_end = (day + timedelta(days=1)).day == 1
    return last if is_end else first.replace(day=min(day.day, last.day))


def day_of_next_month(month: str, day: int) -> str:
    """As yyyy-MM-dd."""
    return months_on(date.fromisoformat(f"{month}-01"), 1).replace(day=day).isoformat()
