"""What was written or asked last, kept in memory: a case is read some twenty times between its first and its last event.

Only what was committed comes in, with the very bytes that were sealed, so a reader gets what the disk would give, and nothing that
its maker could still change.  It holds for a ledger that nobody else writes.  Personal data lie open here, as in every message under
way: until a newer version takes their place, or so much was written since that they go.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from adapter_core.ledger.projections import BILLS, ENCOUNTERS, Projection
from adapter_core.settlement.records import Alias, Bill, Change

BYTES_MAX = 8 * 1024 * 1024
"""Of sealed content, unread: visits of some ten minutes at a busy hospital, from the trial to the settlement."""
READ_MAX = 256
"""How many records are kept as Python objects, which take some eight times their bytes; none longer than its bytes."""
ROW_BYTES = 512
"""What a record's own columns count for."""
ALIASES_MAX = 4096


class Written(NamedTuple):
    """A committed record that has sealed fields: its own columns, and those fields as JSON."""

    projection: Projection[Any]
    values: Sequence[Any]
    version: int
    document: bytes


class _Kept:
    """One record; its document is read when somebody asks for it first."""

    __slots__ = ("read", "size", "version", "written")

    def __init__(self, written: Written) -> None:
        self.version = written.version
        self.size = ROW_BYTES + len(written.document)
        self.written = written
        self.read: Any = None


class RecentRecords:
    """The newest version written of each record, as far as ``BYTES_MAX`` reaches: what was written longest ago goes first.

    One thread writes and one reads.
    """

    def __init__(self) -> None:
        # a plain dict finds its first key ever more slowly, the more keys were taken from its front
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._bytes = 0
        self._read: deque[_Kept] = deque()
        self._bills: dict[str, list[str]] = {}
        self.aliases = RecentAliases()

    def keep(self, written: Written) -> None:
        kept = _Kept(written)
        place = (written.projection.table, written.values[0])
        former = self._kept.pop(place, None)
        if former is not None:
            self._bytes -= former.size
            former.read = None
        self._bytes += kept.size
        self._kept[place] = kept
        if written.version == 1:
            self._note_bill(written)
        while self._bytes > BYTES_MAX:
            oldest, gone = self._kept.popitem(last=False)
            self._bytes -= gone.size
            gone.read = None
            if oldest[0] == ENCOUNTERS.table:
                self._bills.pop(oldest[1], None)

    def _note_bill(self, written: Written) -> None:
        """The bills of an encounter are known when its first version is: there was none before."""
        if written.projection is ENCOUNTERS:
            self._bills[written.values[0]] = []
        elif written.projection is BILLS:
            bill_id, _, encounter_id = written.values[:3]
            known = self._bills.get(encounter_id)
            if known is not None:
                self._bills[encounter_id] = [*known, bill_id]

    def newest(self, projection: Projection[Any], record_id: str) -> Any:
        """The record as it was written last, None where that isn't kept."""
        kept = self._kept.get((projection.table, record_id))
        return self._record(kept) if kept is not None else None

    def version(self, projection: Projection[Any], record_id: str, version: int) -> Any:
        """The record at this version, None where that isn't kept."""
        kept = self._kept.get((projection.table, record_id))
        return self._record(kept) if kept is not None and kept.version == version else None

    def bills_of(self, encounter_id: str) -> list[Bill] | None:
        """All of them, oldest first; None where they aren't known, or not kept any more."""
        ids = self._bills.get(encounter_id)
        if ids is None:
            return None
        bills = [self.newest(BILLS, bill_id) for bill_id in ids]
        return None if any(bill is None for bill in bills) else bills

    def _record(self, kept: _Kept) -> Any:
        read = kept.read  # the writer may let go of it at any moment
        if read is None:
            written = kept.written
            read = kept.read = written.projection.remade(written.values, written.document)
            self._read.append(kept)
            if len(self._read) > READ_MAX:
                self._read.popleft().read = None
        return read


class RecentAliases:
    """Aliases written or asked for last, and that there was none of a value, by the value itself: it needn't be hashed again.

    A change that is stored while somebody asks is told here by another thread: an answer from before it is not kept.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str, str], tuple[Alias | None]] = OrderedDict()
        self._changes = 0
        self._lock = threading.Lock()

    @property
    def changes(self) -> int:
        """How many times something was written; to be noted before the question to the database."""
        return self._changes

    def known(self, place: tuple[str, str, str, str]) -> tuple[Alias | None] | None:
        """What stands there, None where that isn't known."""
        return self._kept.get(place)

    def asked(self, place: tuple[str, str, str, str], found: Alias | None, changes: int) -> None:
        with self._lock:
            if changes == self._changes:
                self._put(place, found)

    def written(self, changes: Iterable[Change]) -> None:
        """After their COMMIT, in its order, and before their makers are told."""
        with self._lock:
            self._changes += 1
            for change in changes:
                for alias in change.aliases:
                    self._put((alias.org, alias.dialect, alias.kind, alias.value), alias)

    def _put(self, place: tuple[str, str, str, str], found: Alias | None) -> None:
        self._kept.pop(place, None)
        self._kept[place] = (found,)
        if len(self._kept) > ALIASES_MAX:
            self._kept.popitem(last=False)
