"""One change as statements inside a database transaction: projections, aliases, search, then the chained events.

Knows SQL but no database: SQLite and PostgreSQL open, commit and roll back around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from adapter_core.ledger import documents
from adapter_core.ledger import projections as sql
from adapter_core.ledger.chain import START, Head, next_hash
from adapter_core.ledger.conflicts import records_of
from adapter_core.ledger.projections import BILLS, CALLS, CASES, ENCOUNTERS, ENTRIES, ITEMS, Projection
from adapter_core.ledger.recent import Written
from adapter_core.ledger.sealing import DataKey, MasterKey, bound_to
from adapter_core.settlement.records import (
    AccountItem,
    Bill,
    CallRecord,
    Case,
    Change,
    Encounter,
    Entry,
    Event,
    Record,
)

_LENGTH_BYTES = 4


class Cursor(Protocol):
    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...


class Connection(Protocol):
    """A database connection as the driver of SQLite has it."""

    def execute(self, statement: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...


class Superseded(Exception):
    """A row to replace wasn't at the version before; `conflicts` says what the caller hears."""


class Statement(NamedTuple):
    """``replaces``: it must meet exactly one row, or the change is superseded.  ``written``: the record it stores, where that has
    sealed fields.
    """

    text: str
    parameters: Sequence[Any]
    replaces: bool = False
    written: Written | None = None


def record_statements(change: Change, key: DataKey, master: MasterKey, in_place: bool = False) -> list[Statement]:
    """What stores the change's records, aliases and search values; in_place: as `Projection.revise` does.  Raises: TypeError,
    ValueError for a document JSON can't hold exactly.
    """
    statements = [_save(record, key, in_place) for record in written_order(change)]
    for alias in change.aliases:
        blind = blind_alias(master, alias.org, alias.dialect, alias.kind, alias.value)
        target = (alias.encounter_id, alias.bill_id, alias.case_id, alias.note)
        statements.append(Statement(sql.SAVE_ALIAS, (alias.org, alias.dialect, alias.kind, blind, *target)))
    for kind, value, case_id in change.search:
        statements.append(Statement(sql.SAVE_SEARCH, (kind, blind_search(master, kind, value), case_id)))
    return statements


def written_order(change: Change) -> list[Record]:
    """The change's records as `record_statements` writes them first."""
    encounters = (change.encounter,) if change.encounter is not None else ()
    # Released visits first: a change may pass a visit from one case to another.
    cases = sorted(change.cases, key=_holds_visit)
    return [*encounters, *change.bills, *cases, *change.calls, *change.entries, *change.items]


def event_statements(change: Change, head: Head, key: DataKey) -> tuple[list[Statement], Head]:
    """What appends the change's events behind ``head``, and the head they lead to.  Raises: TypeError, ValueError."""
    statements = []
    org, seq, link = change.org, head.seq, head.hash
    for event in change.events:
        seq += 1
        sealed = key.seal(pack_event(event), bound_to(org, "journal", seq))
        place = (org, seq, event.at, event.kind, event.case_id, event.encounter_id, key.key_id, sealed)
        link = next_hash(link, *place)
        statements.append(Statement(sql.APPEND_EVENT, (*place, link)))
    return statements, Head(seq, link)


class Transaction:
    """Writes changes through one connection.  ``heads`` is this transaction's own copy, and ``written`` what it stored: both
    count once the commit stands.
    """

    def __init__(self, connection: Connection, key: DataKey, master: MasterKey, heads: dict[str, Head]) -> None:
        self.heads = heads
        self.written: list[Written] = []
        self._execute = connection.execute
        self._key = key
        self._master = master

    def write(self, change: Change, in_place: bool = False) -> int:
        """Returns the org's last sequence number.  ``heads`` moves on only when all of the change was written.

        in_place: as `Projection.revise` does; then Superseded says no more than that it wouldn't do.
        Raises: Superseded, the driver's integrity error, TypeError or ValueError for a document JSON can't hold
        exactly.
        """
        written: list[Written] = []
        execute = self._execute
        for text, parameters, replaces, stored in record_statements(change, self._key, self._master, in_place):
            if execute(text, parameters).rowcount != 1 and replaces:
                raise Superseded
            if stored is not None:
                written.append(stored)
        appended, head = event_statements(change, self.heads.get(change.org) or Head(0, START), self._key)
        for text, parameters, *_ in appended:
            execute(text, parameters)
        self.heads[change.org] = head
        self.written += written
        return head.seq


class StoredFacts:
    """`conflicts.Facts` read from the tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def version(self, record: Record) -> int | None:
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


def questions_of(change: Change) -> list[tuple[str, tuple[str, ...]]]:
    """Every statement `StoredFacts` may run to find this change's conflict, for a database that is asked all at once."""
    org = change.org
    asked: list[tuple[str, tuple[str, ...]]] = []
    for record in records_of(change):
        projection = PROJECTION_OF[type(record)]
        asked.append((projection.version, (projection.id_of(record),)))
    if change.encounter is not None:
        asked.append((sql.SELECT_ENCOUNTER_KEY, (org, change.encounter.encounter_key)))
    for case in change.cases:
        asked.append((sql.SELECT_CASE_KEY, (org, case.purpose, case.key)))
        asked.append((sql.SELECT_HOLDER, (org, case.visit_key)))
    asked.extend((sql.SELECT_MSGID, (org, call.msgid)) for call in change.calls)
    return asked


PROJECTION_OF: dict[type, Projection[Any]] = {
    Encounter: ENCOUNTERS,
    Bill: BILLS,
    Case: CASES,
    CallRecord: CALLS,
    Entry: ENTRIES,
    AccountItem: ITEMS,
}


def _save(record: Record, key: DataKey, in_place: bool) -> Statement:
    projection = PROJECTION_OF[type(record)]
    row = values = projection.values(record)
    written = None
    if projection.sealed:
        document = projection.document(record)
        row = (*values, *projection.sealed_columns(record, document, key))
        written = Written(projection, values, record.version, document)
    if record.version == 1:
        return Statement(projection.insert, row, False, written)
    return Statement(*projection.replacing(record, row, in_place), True, written)


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
