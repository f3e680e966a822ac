"""Day end (日结): what each operator, shift and terminal settled and voided, to the fen; the sum is the day's ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from adapter_core.accounts.books import Books
from adapter_core.values.copies import replace
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
COLUMNS = (
    "收费员",
    "班次",
    "终端",
    "结算笔数",
    "退费笔数",
    "总额",
    "基金",
    "个人账户",
    "现金",
    "其中退现",
    "结果未知笔数",
)
UNNAMED = "未注明"
AMOUNTS = ("total", "fund", "account", "cash", "cash_back")


@dataclass(frozen=True, slots=True)
class Undecided:
    """A settlement or refund whose outcome nobody knows at the hand-over.  time: ``HH:MM`` when it was opened, China time; sum:
    what is at stake, in fen, None before a trial."""

    work_order: str
    operator: str
    terminal: str
    time: str
    sum: int | None = None

    def shift(self, shifts: Sequence[str]) -> str:
        begun = [start for start in sorted(shifts) if start <= self.time]
        return begun[-1] if begun else max(shifts)


@dataclass(frozen=True, slots=True)
class ShiftLine:
    """One operator's shift at one terminal.  Fen; refunds are subtracted.  unknown: how many outcomes are unknown."""

    operator: str
    shift: str
    terminal: str
    settled: int = 0
    voided: int = 0
    total: int = 0
    fund: int = 0
    account: int = 0
    cash: int = 0
    cash_back: int = 0
    unknown: int = 0

    @property
    def place(self) -> tuple[str, str, str]:
        return (self.operator, self.shift, self.terminal)

    def cells(self) -> list[str]:
        named = [self.operator or UNNAMED, self.shift, self.terminal or UNNAMED, str(self.settled), str(self.voided)]
        return named + [f"{from_fen(getattr(self, name)):.2f}" for name in AMOUNTS] + [str(self.unknown)]

    def data(self) -> dict[str, Any]:
        return {name: f"{from_fen(value):.2f}" if name in AMOUNTS else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class DayEnd:
    """agrees: the lines' sum, the day's entries and the cases they came from are one; it is said of the whole day, also where
    only one operator's lines are shown.  unknown: at the hand-over."""

    org: str
    day: str
    lines: tuple[ShiftLine, ...]
    agrees: bool
    unknown: tuple[Undecided, ...]
    operator: str = ""

    def sum(self) -> ShiftLine:
        names = [one.name for one in fields(ShiftLine)][3:]
        return ShiftLine("合计", "", "", **{name: sum(getattr(line, name) for line in self.lines) for name in names})

    def of(self, operator: str) -> DayEnd:
        """One operator's part."""
        lines = tuple(line for line in self.lines if line.operator == operator)
        unknown = tuple(one for one in self.unknown if one.operator == operator)
        return replace(self, lines=lines, unknown=unknown, operator=operator)

    def table(self) -> list[list[str]]:
        whole = self.sum().cells()
        return [list(COLUMNS), *(line.cells() for line in self.lines), [*whole[:2], "", *whole[3:]]]

    def data(self) -> dict[str, Any]:
        """As JSON, amounts as texts in yuan."""
        whole = self.sum()
        return {
            "date": self.day,
            "operator": self.operator,
            "lines": [line.data() for line in self.lines],
            "count": whole.settled + whole.voided,
            "settled": whole.settled,
            "voided": whole.voided,
            **{name: f"{from_fen(getattr(whole, name)):.2f}" for name in AMOUNTS},
            "agrees": self.agrees,
            "unknown": [one.work_order for one in self.unknown],
            "unknown_cases": [
                {**asdict(one), "sum": "" if one.sum is None else f"{from_fen(one.sum):.2f}"} for one in self.unknown
            ],
        }


def day_end(
    books: Books, org: str, day: str, shifts: Sequence[str] = ("00:00",), unknown: Sequence[Undecided] = ()
) -> DayEnd:
    """The day end of a business day.  shifts: when each begins, ``HH:MM`` China time; before the first it is still the last one's."""
    with books.working() as working:
        ledger = working.ledger
        statement = BY_SHIFT.format(ledger=ledger, shift=_shift_of(sorted(shifts)))
        rows = list(working.rows(statement, org, day))
        [(count, *sums)] = list(working.rows(WHOLE.format(ledger=ledger), org, day))
        [(of_cases, total, fund)] = list(working.rows(OF_CASES.format(ledger=ledger), org, day))
    lines = [ShiftLine(str(row[0]), str(row[1]), str(row[2]), *map(int, row[3:])) for row in rows]
    whole = tuple(map(int, sums))
    of_lines = tuple(sum(getattr(line, name) for line in lines) for name in ("total", "fund", "account", "cash"))
    agrees = of_lines == whole and (int(of_cases), int(total), int(fund)) == (int(count), *whole[:2])
    return DayEnd(org, day, tuple(_with_unknown(lines, unknown, shifts)), agrees, tuple(unknown))


def _with_unknown(lines: Sequence[ShiftLine], unknown: Sequence[Undecided], shifts: Sequence[str]) -> list[ShiftLine]:
    """The lines with what is unknown of each; a shift that settled nothing but has an unknown outcome is a line, too."""
    found = {line.place: line for line in lines}
    for one in unknown:
        line = ShiftLine(one.operator, one.shift(shifts), one.terminal)
        line = found.get(line.place, line)
        found[line.place] = replace(line, unknown=line.unknown + 1)
    return [found[place] for place in sorted(found)]


def _shift_of(shifts: Sequence[str]) -> str:
    """SQL for the shift of an entry; the starts are checked ``HH:MM``."""
    time = "SUBSTR(setl_time, 12, 5)"
    cases = " ".join(f"WHEN {time} >= '{start}' THEN '{start}'" for start in reversed(shifts))
    return f"CASE {cases} ELSE '{shifts[-1]}' END"
