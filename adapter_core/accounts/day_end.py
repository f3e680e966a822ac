"""Day end (日结): what each operator, shift and terminal settled and voided, to the fen; the sum is the day's ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapter_core.accounts.books import Books
from adapter_core.values.money import from_fen

BY_SHIFT = (
    "SELECT operator, shift, terminal, SUM(CASE WHEN entry = 'settle' THEN 1 ELSE 0 END), "
    "SUM(CASE WHEN entry = 'void' THEN 1 ELSE 0 END), SUM(total_fen), SUM(fund_fen), SUM(account_fen), SUM(cash_fen), "
    "SUM(CASE WHEN entry = 'void' THEN -cash_fen ELSE 0 END) FROM "
    "(SELECT entries.*, {shift} AS shift FROM {ledger}entries AS entries "
    "WHERE org = ? AND business_day = ? AND stands) AS of_day GROUP BY operator, shift, terminal ORDER BY operator, shift, terminal"
)
WHOLE = (
    "SELECT COUNT(*), COALESCE(SUM(total_fen), 0), COALESCE(SUM(fund_fen), 0), COALESCE(SUM(account_fen), 0), "
    "COALESCE(SUM(cash_fen), 0) FROM {ledger}entries WHERE org = ? AND business_day = ? AND stands"
)
OF_CASES = (
    "SELECT COUNT(*), COALESCE(SUM(size * ABS(cases.total_fen)), 0), COALESCE(SUM(size * ABS(cases.fund_fen)), 0) FROM "
    "(SELECT case_id, CASE WHEN entry = 'void' THEN -1 ELSE 1 END AS size FROM {ledger}entries "
    "WHERE org = ? AND business_day = ? AND stands) AS booked JOIN {ledger}cases AS cases ON cases.case_id = booked.case_id"
)
UNKNOWN = (
    "SELECT case_id, state, changed_at FROM {ledger}cases WHERE org = ? AND state IN "
    "('SENDING', 'CONFIRMING', 'RESOLVING', 'REVERSING', 'FROZEN', 'VOIDING') ORDER BY ordinal"
)
COLUMNS = ("收费员", "班次", "终端", "结算笔数", "退费笔数", "总额", "基金", "个人账户", "现金", "其中退现")


@dataclass(frozen=True, slots=True)
class ShiftLine:
    """One operator's shift at one terminal.  Fen; refunds are subtracted."""

    operator: str
    shift: str
    terminal: str
    settled: int
    voided: int
    total: int
    fund: int
    account: int
    cash: int
    cash_back: int

    def cells(self) -> list[str]:
        counts = [self.operator or "未注明", self.shift, self.terminal or "未注明", str(self.settled), str(self.voided)]
        return counts + [
            f"{from_fen(fen):.2f}" for fen in (self.total, self.fund, self.account, self.cash, self.cash_back)
        ]


@dataclass(frozen=True, slots=True)
class DayEnd:
    """agrees: the lines' sum, the day's entries and the cases they came from are one.  unknown: work orders at the hand-over."""

    org: str
    day: str
    lines: tuple[ShiftLine, ...]
    count: int
    total: int
    fund: int
    account: int
    cash: int
    agrees: bool
    unknown: tuple[str, ...]

    def table(self) -> list[list[str]]:
        sums = [f"{from_fen(fen):.2f}" for fen in (self.total, self.fund, self.account, self.cash)]
        back = sum(line.cash_back for line in self.lines)
        settled, voided = (sum(getattr(line, name) for line in self.lines) for name in ("settled", "voided"))
        last = ["合计", "", "", str(settled), str(voided), *sums, f"{from_fen(back):.2f}"]
        return [list(COLUMNS), *(line.cells() for line in self.lines), last]

    def data(self) -> dict[str, Any]:
        """As JSON, amounts as texts in yuan."""
        amounts = ("total", "fund", "account", "cash", "cash_back")
        lines = [
            {name: f"{from_fen(value):.2f}" if name in amounts else value for name, value in asdict(line).items()}
            for line in self.lines
        ]
        sums = {name: f"{from_fen(getattr(self, name)):.2f}" for name in amounts[:4]}
        return {
            "date": self.day,
            "lines": lines,
            "count": self.count,
            **sums,
            "agrees": self.agrees,
            "unknown": list(self.unknown),
        }


def day_end(books: Books, org: str, day: str, shifts: Sequence[str] = ("00:00",)) -> DayEnd:
    """The day end of a business day.  shifts: when each begins, ``HH:MM`` China time; before the first it is still the last one's."""
    with books.working() as working:
        ledger = working.ledger
        statement = BY_SHIFT.format(ledger=ledger, shift=_shift_of(sorted(shifts)))
        rows = list(working.rows(statement, org, day))
        [(count, *sums)] = list(working.rows(WHOLE.format(ledger=ledger), org, day))
        [(of_cases, total, fund)] = list(working.rows(OF_CASES.format(ledger=ledger), org, day))
        unknown = [row[0][:10].upper() for row in working.rows(UNKNOWN.format(ledger=ledger), org)]
    lines = tuple(ShiftLine(str(row[0]), str(row[1]), str(row[2]), *map(int, row[3:])) for row in rows)
    whole = tuple(map(int, sums))
    of_lines = tuple(sum(getattr(line, name) for line in lines) for name in ("total", "fund", "account", "cash"))
    agrees = of_lines == whole and (int(of_cases), int(total), int(fund)) == (int(count), *whole[:2])
    whole_total, whole_fund, whole_account, whole_cash = whole
    return DayEnd(
        org, day, lines, int(count), whole_total, whole_fund, whole_account, whole_cash, agrees, tuple(unknown)
    )


def _shift_of(shifts: Sequence[str]) -> str:
    """SQL for the shift of an entry; the starts are checked ``HH:MM``."""
    time = "SUBSTR(setl_time, 12, 5)"
    cases = " ".join(f"WHEN {time} >= '{start}' THEN '{start}'" for start in reversed(shifts))
    return f"CASE {cases} ELSE '{shifts[-1]}' END"
