"""The dates that wait: when accounts are balanced, applied for, confirmed, answered and paid.

Source: 苏医保发〔2022〕75号 43, 48–49, 55–57; `policy/cross-province` §9.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from adapter_core.accounts.books import Books
from adapter_core.accounts.receivables import LONGEST_MONTHS, Due, day_of_next_month, month_end, months_on
from adapter_core.province.schemes import LOCAL

DAYS = "SELECT DISTINCT business_day FROM {ledger}entries WHERE org = ? AND stands AND business_day LIKE ? ORDER BY business_day"
REMINDERS = frozenset({"prepayment", "deadline"})
"""Subjects of alarms that remind: nothing is wrong with the money."""
INQUIRED = "住院三万元以上费用协查答复"
"""Whether it was answered, no book says."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the books say of the month before.  unbalanced: days with differences that stand, or that were never reconciled;
    applied: clearing types that were applied for; listed: the cross-province list was confirmed; inquirable: bills that may be
    inquired into; dues: of every month."""

    unbalanced: Collection[str]
    applied: Collection[str]
    listed: bool
    inquirable: int
    dues: Sequence[Due]


def month_before(today: str) -> str:
    return (date.fromisoformat(today).replace(day=1) - timedelta(days=1)).isoformat()[:7]


def settled_days(books: Books, org: str, month: str) -> set[str]:
    """The business days of a month that anything was booked on."""
    with books.working() as working:
        return {str(row[0]) for row in working.rows(DAYS.format(ledger=working.ledger), org, f"{month}-%")}


def calendar(today: str, known: Known | None = None) -> list[dict[str, str]]:
    """Each date with what is to be done by it, for the month before today; done: "1" where the books show it, late where they
    don't and the day is over."""
    last = month_before(today)
    year = int(last[:4])
    paid_by = months_on(month_end(last), LONGEST_MONTHS).isoformat()
    rows = [
        (day_of_next_month(last, 3), f"{last} 账目全部对平", known is not None and not known.unbalanced),
        (day_of_next_month(last, 20), f"{last} 清算申报（3203）", _applied(last, known)),
        (day_of_next_month(last, 20), f"{last} 清分确认（3261）", _confirmed(last, known)),
        (day_of_next_month(last, 26), f"{last} {INQUIRED}", known is not None and not known.inquirable),
        (paid_by, f"{last} 款项最迟到账", _paid(last, known)),
        (f"{year + 1}-03-31", f"{year} 年度清算截止", _year_paid(year, known)),
    ]
    return [
        {"by": by, "what": what, "done": "1" if done else "", "late": "1" if by < today and not done else ""}
        for by, what, done in rows
    ]


def _applied(month: str, known: Known | None) -> bool:
    """Every clearing type that had settlements."""
    return known is not None and {due.clr_type for due in known.dues if due.month == month} <= set(known.applied)


def _confirmed(month: str, known: Known | None) -> bool:
    """Nothing to confirm where nobody came from another province."""
    return known is not None and (known.listed or all(due.scheme == LOCAL for due in known.dues if due.month == month))


def _paid(month: str, known: Known | None) -> bool:
    return known is not None and not any(due.left for due in known.dues if due.month == month)


def _year_paid(year: int, known: Known | None) -> bool:
    return known is not None and not any(due.left for due in known.dues if due.month.startswith(f"{year}-"))
