"""Records as they were written last, kept in memory: a case is read some twenty times between its first and its last event.

Only what was committed comes in, with the very bytes that were sealed, so a reader gets what the disk would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from adapter_core.ledger.projections import Projection

BYTES_MAX = 2 * 1024 * 1024
"""Of sealed content, before it is read; as Python objects it takes some eight times that."""
ROW_BYTES = 512
"""What a record's own columns count for."""


class Written(NamedTuple):
    """A committed record: its own columns, and its sealed fields as JSON (b"" where it has none)."""

    projection: Projection[Any]
    values: Sequence[Any]
    version: int
    document: bytes


class _Kept:
    """One record; its document is read when somebody asks for it first."""

    __slots__ = ("_record", "_written", "size", "version")

    def __init__(self, written: Written) -> None:
        self.version = written.version
        self.size = ROW_BYTES + len(written.document)
        self._written: Written | None = written
        self._record: Any = None

    def record(self) -> Any:
        written = self._written
        if written is not None:
            self._record = written.projection.as_read(written.values, written.document)
            self._written = None
        return self._record


class RecentRecords:
    """The newest version written of each record, as far as ``BYTES_MAX`` reaches: what was written longest ago goes first.

    One thread writes and one reads.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._bytes = 0

    def keep(self, written: Written) -> None:
        kept = _Kept(written)
        place = (written.projection.table, written.values[0])
        former = self._kept.pop(place, None)
        self._bytes += kept.size - (former.size if former else 0)
        self._kept[place] = kept
        while self._bytes > BYTES_MAX:
            self._bytes -= self._kept.pop(next(iter(self._kept))).size

    def newest(self, projection: Projection[Any], record_id: str) -> Any:
        """The record as it was written last, None where that isn't kept."""
        kept = self._kept.get((projection.table, record_id))
        return kept.record() if kept is not None else None

    def version(self, projection: Projection[Any], record_id: str, version: int) -> Any:
        """The record at this version, None where that isn't kept."""
        kept = self._kept.get((projection.table, record_id))
        return kept.record() if kept is not None and kept.version == version else None
