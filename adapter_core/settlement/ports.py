"""What the core needs of the world.  `ledger`, `centre` and the simulation satisfy these."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from adapter_core.settlement.records import Alias, Bill, CallRecord, Case, Change, Encounter, Entry, Event
from adapter_core.settlement.states import State
from adapter_core.values.errors import AdapterError
from adapter_core.values.frames import Frame
from adapter_core.values.moments import Clock

__all__ = [
    "Clock",
    "Conflict",
    "InHand",
    "ItemCodes",
    "KeyTaken",
    "Ledger",
    "MsgidTaken",
    "Random",
    "VersionMoved",
    "VisitHeld",
    "Wire",
]


class Conflict(AdapterError):
    """The write met somebody else's: nothing of it is stored.  Read again and decide anew."""

    code = "CONFLICT"


class VersionMoved(Conflict):
    """A record is no longer at the version this change replaces."""


class VisitHeld(Conflict):
    """Another case holds the visit."""

    code = "VISIT_HELD"


class KeyTaken(Conflict):
    """The key, or the encounter's key, exists already."""


class MsgidTaken(Conflict):
    """That msgid was used before: draw the next."""


class Ledger(Protocol):
    """The journal and its projections.  `commit` returns after the bytes are synced, or raises and stored nothing; but a
    LedgerUnavailable with code LEDGER_UNDECIDED may have stored it: the next versioned write decides.

    Raises of `commit`: VersionMoved, VisitHeld, KeyTaken, MsgidTaken, LedgerUnavailable.
    """

    async def commit(self, change: Change) -> int:
        """Append the events, write the projections; returns the journal's last sequence number."""

    def sequence(self, org: str) -> int:
        """The next number for a msgid or a token: counts up, starts above every one used before; never repeats in a process."""

    async def case(self, case_id: str) -> Case | None: ...

    async def case_by_key(self, org: str, purpose: str, key: str) -> Case | None: ...

    async def cases_of_bill(self, bill_id: str) -> list[Case]:
        """Oldest first."""

    async def holder(self, org: str, visit_key: str) -> Case | None:
        """The case that holds the visit."""

    async def cases_in(self, states: Iterable[State]) -> list[Case]:
        """Oldest first."""

    async def encounter(self, encounter_id: str) -> Encounter | None: ...

    async def encounter_by_key(self, org: str, encounter_key: str) -> Encounter | None: ...

    async def encounters_newest(self, org: str, before: int, limit: int) -> list[tuple[int, Encounter]]:
        """Each with its ordinal, the newest first.  before: only those below that ordinal; 0 = all."""

    async def bill(self, bill_id: str) -> Bill | None: ...

    async def bills_of(self, encounter_id: str) -> list[Bill]:
        """Oldest first."""

    async def alias(self, org: str, dialect: str, kind: str, value: str) -> Alias | None: ...

    async def find(self, kind: str, value: str) -> list[str]:
        """The ids of the cases a searchable value was stored with, oldest first."""

    async def entries_of_case(self, case_id: str) -> list[Entry]:
        """What the case put into the books, oldest first."""

    async def calls_of_case(self, case_id: str) -> list[CallRecord]:
        """Oldest first."""

    async def events_of_case(self, case_id: str) -> list[Event]:
        """Oldest first, unsealed.  The reading itself is journalled by whoever shows it to a person."""


class Wire(Protocol):
    """One exchange with a centre.

    Raises: NotSent when not one byte left, OutcomeUnknown when a byte may have left and no whole reply was read.
    """

    async def exchange(
        self,
        endpoint: str,
        frame: Frame,
        *,
        deadline_s: float,
        gate: Callable[[], None],
        money: bool,
        kind_class: str = "R",
        resolving: bool = False,
    ) -> Frame:
        """kind_class: `reliability.md` §2; resolving: traffic about an unknown outcome, which no breaker stops."""

    def may_retry(self, endpoint: str) -> bool:
        """Whether a read may be repeated now: repeats are at most a tenth of an endpoint's traffic.  Asking spends one."""


class InHand(Protocol):
    """The case whose bytes a plugin has in hand, noted where the note outlives the process."""

    def take(self, case_id: str) -> None:
        """Right before a plugin is called for the case."""

    def lay_down(self) -> None:
        """Right after."""

    def left_behind(self) -> str:
        """At start: the case that the process before had in hand when it ended; "" for none, and once one was laid down."""


class ItemCodes(Protocol):
    """The hospital's own items by their national codes (目录对照); local, and quick enough to be asked for each line."""

    def national_code(self, org: str, item: str, day: str) -> str:
        """The national code an item stands for on that day, yyyy-MM-dd; "" for one that nobody mapped."""


class Random(Protocol):
    """Ids and jitter, passed in so that a simulation can seed them."""

    def token(self) -> str:
        """A fresh id of 20 lower-case letters and digits."""

    def uniform(self, low: float, high: float) -> float: ...
