"""What holds now: unknown and frozen cases with their age, circuits, clock, disk, the chain's last check.  Read only."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import AccountItem, CallRecord, Case
from adapter_core.settlement.states import UNDECIDED, State
from adapter_core.values.errors import LedgerUnavailable
from adapter_core.values.moments import Clock

if TYPE_CHECKING:
    from adapter_core.centre.breaker import Outage

IN_FLIGHT_S = 120.0
"""A case that is SENDING for less is simply on its way (the longest deadline of a call)."""
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A case nobody knows the outcome of, or that waits for a person.  age_s: since its money call left."""

    case_id: str
    state: State
    age_s: float

    @property
    def work_order(self) -> str:
        return self.case_id[:10].upper()


@dataclass(frozen=True, slots=True)
class Outlook:
    """One look at everything an alarm may be about."""

    unknown: Sequence[OpenCase] = ()
    frozen: Sequence[OpenCase] = ()
    outages: Sequence[Outage] = ()
    skew_s: float | None = None
    disk_free_bytes: int | None = None
    ledger_trouble: str = ""
    chain_complaint: str = ""
    accounts: Sequence[tuple[str, str]] = ()
    """Open alarms of the accounts: id and text."""
    reminders: Sequence[tuple[str, str]] = ()
    """The same for dates and levels that the accounts remind of."""

    @property
    def oldest_s(self) -> float:
        return max((case.age_s for case in self.unknown), default=0.0)


class OpenCases:
    """Finds them in the ledger.  When a case's money left is read once and remembered."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._since: OrderedDict[str, datetime] = OrderedDict()

    async def look(self) -> tuple[list[OpenCase], list[OpenCase]]:
        """Unknown and frozen.  Raises: LedgerUnavailable."""
        found = await self._ledger.cases_in(sorted({*UNDECIDED, State.FROZEN}))
        opened = [await self._open(case) for case in found]
        unknown = [
            case
            for case in opened
            if case.state is not State.FROZEN and (case.state is not State.SENDING or case.age_s > IN_FLIGHT_S)
        ]
        return unknown, [case for case in opened if case.state is State.FROZEN]

    async def _open(self, case: Case) -> OpenCase:
        since = self._since.get(case.case_id)
        if since is None:
            since = _since(case, await self._ledger.calls_of_case(case.case_id))
            self._since[case.case_id] = since
            if len(self._since) > REMEMBERED:
                self._since.popitem(last=False)
        return OpenCase(case.case_id, case.state, max(0.0, (self._clock.wall() - since).total_seconds()))


def _since(case: Case, calls: Sequence[CallRecord]) -> datetime:
    """When the case's first money call left, at the latest."""
    left = next((call.not_after for call in calls if call.kind_class == "N"), "") or case.changed_at or case.opened_at
    return datetime.fromisoformat(left)


def disk_free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


async def opened_cases(cases: OpenCases) -> tuple[list[OpenCase], list[OpenCase], str]:
    """As `OpenCases.look`, with why it can't be read in place of an exception."""
    try:
        unknown, frozen = await cases.look()
    except LedgerUnavailable as error:
        return [], [], error.code
    return unknown, frozen, ""


class AlarmedLedger(Protocol):
    async def account_items(self, org: str, topic: str, states: Iterable[str]) -> list[AccountItem]: ...


async def account_alarms(ledger: AlarmedLedger, org: str) -> list[AccountItem]:
    """Open alarms of an institution's accounts; none while the ledger can't be read."""
    try:
        return await ledger.account_items(org, "alarm", ("open",))
    except LedgerUnavailable:
        return []
