"""One change written inside an open database transaction: projections, aliases, search, then the chained events.

Knows SQL but no database: SQLite and PostgreSQL open, commit and roll back around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from adapter_core.ledger import documents
from adapter_core.ledger import projections as sql
from adapter_core.ledger.chain import START, Head, next_hash
from adapter_core.ledger.projections import BILLS, CALLS, CASES, ENCOUNTERS, Projection, Record
from adapter_core.ledger.sealing import DataKey, MasterKey, bound_to
from adapter_core.settlement.records import Bill, CallRecord, Case, Change, Encounter, Event

_LENGTH_BYTES = 4


class Cursor(Protocol):
    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...


class Connection(Protocol):
    """A database connection as both drivers have it."""

    def execute(self, statement: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...


class Superseded(Exception):
    """A row to replace wasn't at the version before; `conflicts` says what the caller hears."""


class Transaction:
    """Writes changes through one connection.  ``heads`` is this transaction's own copy: it counts once the commit
    stands.
    """

    def __init__(self, connection: Connection, key: DataKey, master: MasterKey, heads: dict[str, Head]) -> None:
        self.heads = heads
        self._execute = connection.execute
        self._key = key
        self._master = master

    def write(self, change: Change) -> int:
        """Returns the org's last sequence number.  ``heads`` moves on only when all of the change was written.

        Raises: Superseded, the driver's integrity error, TypeError or ValueError for a document JSON can't hold
        exactly.
        """
        if change.encounter is not None:
            self._save(ENCOUNTERS, change.encounter)
        for bill in change.bills:
            self._save(BILLS, bill)
        # Released visits first: a change may pass a visit from one case to another.
        for case in sorted(change.cases, key=_holds_visit):
            self._save(CASES, case)
        for call in change.calls:
            self._save(CALLS, call)
        self._save_indexes(change)
        head = self.heads.get(change.org) or Head(0, START)
        for event in change.events:
            head = self._append(change.org, head, event)
        self.heads[change.org] = head
        return head.seq

    def _save(self, projection: Projection[Record], record: Record) -> None:
        row: Sequence[Any] = projection.row(record, self._key)
        if record.version == 1:
            self._execute(projection.insert, row)
        elif self._execute(projection.replace, (*row, projection.id_of(record), record.version - 1)).rowcount != 1:
            raise Superseded

    def _save_indexes(self, change: Change) -> None:
        for alias in change.aliases:
            blind = blind_alias(self._master, alias.org, alias.dialect, alias.kind, alias.value)
            target = (alias.encounter_id, alias.bill_id, alias.case_id, alias.note)
            self._execute(sql.SAVE_ALIAS, (alias.org, alias.dialect, alias.kind, blind, *target))
        for kind, value, case_id in change.search:
            self._execute(sql.SAVE_SEARCH, (kind, blind_search(self._master, kind, value), case_id))

    def _append(self, org: str, head: Head, event: Event) -> Head:
        seq = head.seq + 1
        sealed = self._key.seal(pack_event(event), bound_to(org, "journal", seq))
        place = (org, seq, event.at, event.kind, event.case_id, event.encounter_id, self._key.key_id, sealed)
        link = next_hash(head.hash, *place)
        self._execute(sql.APPEND_EVENT, (*place, link))
        return Head(seq, link)


class StoredFacts:
    """`conflicts.Facts` read from the tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def version(self, record: Encounter | Bill | Case | CallRecord) -> int | None:
        projection: Projection[Any] = PROJECTION_OF[type(record)]
        found: int | None = self._first(projection.version, projection.id_of(record))
        return found

    def encounter_of_key(self, org: str, encounter_key: str) -> str | None:
        return self._text(sql.SELECT_ENCOUNTER_KEY, org, encounter_key)

    def case_of_key(self, org: str, purpose: str, key: str) -> str | None:
        return self._text(sql.SELECT_CASE_KEY, org, purpose, key)

    def holder_of(self, org: str, visit_key: str) -> str | None:
        return self._text(sql.SELECT_HOLDER, org, visit_key)

    def call_of_msgid(self, org: str, msgid: str) -> str | None:
        return self._text(sql.SELECT_MSGID, org, msgid)

    def _text(self, statement: str, *parameters: str) -> str | None:
        found: str | None = self._first(statement, *parameters)
        return found

    def _first(self, statement: str, *parameters: str) -> Any:
        row = self._connection.execute(statement, parameters).fetchone()
        return None if row is None else row[0]


PROJECTION_OF: dict[type, Projection[Any]] = {Encounter: ENCOUNTERS, Bill: BILLS, Case: CASES, CallRecord: CALLS}


def _holds_visit(case: Case) -> bool:
    return case.holds_visit


def pack_event(event: Event) -> bytes:
    """The sealed part of an event: length of the JSON (4 bytes, big-endian), the JSON, then the raw bytes of the
    wire.
    """
    data = documents.encode(event.data)
    return len(data).to_bytes(_LENGTH_BYTES) + data + event.raw


def unpack_event(packed: bytes) -> tuple[dict[str, Any], bytes]:
    """``(data, raw)`` of what `pack_event` made."""
    end = _LENGTH_BYTES + int.from_bytes(packed[:_LENGTH_BYTES])
    return documents.decode(packed[_LENGTH_BYTES:end]), packed[end:]


def blind_alias(master: MasterKey, org: str, dialect: str, kind: str, value: str) -> bytes:
    return master.blind("alias", org, dialect, kind, value)


def blind_search(master: MasterKey, kind: str, value: str) -> bytes:
    return master.blind("search", kind, value)
