"""Projections: which record lies in which table, and the SQL text that writes and reads it.

The text is ready made because the hot path runs it on the driver itself: SQLAlchemy's execution costs several times the
statement.  Columns come from the records; a contract test compares them with `schema`.  Parameters are ``?``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from adapter_core.ledger import documents
from adapter_core.ledger.sealing import DataKey, DataKeys, bound_to
from adapter_core.settlement.records import AccountItem, Bill, CallRecord, Case, Encounter, Entry
from adapter_core.settlement.states import Result, State

Record = TypeVar("Record", Encounter, Bill, Case, CallRecord, Entry, AccountItem)

SEALED_COLUMNS = ("key_id", "sealed")


class Projection(Generic[Record]):
    """One table of records, each replaced version by version.

    sealed: the record's last fields, which lie encrypted, as one document; derived: its properties kept as columns to be
    indexed; lasting: indexed columns that hardly ever change; revive: how a column becomes the record's value again.

    ``replace`` writes every column.  ``revise`` leaves the lasting ones alone, and with them their indexes, which cost SQLite more
    than the row: it meets the row only if none of them changed.  Its parameters are numbered as ``columns`` are.
    """

    def __init__(
        self,
        table: str,
        record: type[Record],
        *,
        sealed: tuple[str, ...] = (),
        derived: tuple[str, ...] = (),
        lasting: tuple[str, ...] = (),
        revive: Mapping[str, Callable[[Any], Any]],
    ) -> None:
        self.table = table
        self.sealed = sealed
        self.plain = tuple(name for name in record.__struct_fields__ if name not in sealed)
        self.id_name = self.plain[0]
        self._version_at = self.plain.index("version")
        self._org_at = self.plain.index("org")
        self._record: Callable[..., Any] = record
        self._revive = tuple((self.plain.index(name), one) for name, one in revive.items())
        self._id = attrgetter(self.id_name)
        self._values = attrgetter(*self.plain, *derived)
        self.columns = (*self.plain, *derived, *(SEALED_COLUMNS if sealed else ()))
        places = ", ".join("?" * len(self.columns))
        self.insert = f"INSERT INTO {table} ({', '.join(self.columns)}) VALUES ({places})"
        settings = ", ".join(f"{column} = ?" for column in self.columns)
        self.replace = f"UPDATE {table} SET {settings} WHERE {self.id_name} = ? AND version = ?"
        kept = (self.id_name, *lasting, *derived)
        numbered = [(f"{column} = ?{number}", column in kept) for number, column in enumerate(self.columns, 1)]
        changes = ", ".join(setting for setting, stays in numbered if not stays)
        unchanged = " AND ".join(setting for setting, stays in numbered if stays)
        version = f"?{self.columns.index('version') + 1}"
        self.revise = f"UPDATE {table} SET {changes} WHERE {unchanged} AND version = {version} - 1"
        self._derived = derived
        self.select = f"SELECT {', '.join((*self.plain, *(SEALED_COLUMNS if sealed else ())))} FROM {table} "
        self.version = f"SELECT version FROM {table} WHERE {self.id_name} = ?"

    def id_of(self, record: Record) -> str:
        return str(self._id(record))

    def id_and_version(self, row: Sequence[Any]) -> tuple[str, int]:
        """Of a row of ``select``."""
        return row[0], row[self._version_at]

    def document(self, record: Record) -> bytes:
        """The sealed fields as JSON bytes, b"" where there are none.  Raises: TypeError, ValueError."""
        if not self.sealed:
            return b""
        return documents.encode({name: getattr(record, name) for name in self.sealed})

    def values(self, record: Record) -> Sequence[Any]:
        """What lies open: the columns before the sealed one."""
        values: tuple[Any, ...] = self._values(record)
        return values

    def sealed_columns(self, record: Record, document: bytes, key: DataKey) -> Sequence[Any]:
        """The columns that follow `values`; document: as `document` made it."""
        if not self.sealed:
            return ()
        return (key.key_id, key.seal(document, self._place(record.org, record)))

    def replacing(self, record: Record, row: Sequence[Any], in_place: bool) -> tuple[str, Sequence[Any]]:
        """The statement that puts this row in the place of the version before, and its parameters; in_place: `revise` will do."""
        if in_place and all(getattr(record, name) for name in self._derived):
            return self.revise, row
        return self.replace, (*row, self.id_of(record), record.version - 1)

    def record(self, row: Sequence[Any], keys: DataKeys) -> Record:
        """A row of ``select`` as its record.  Raises: LedgerDamaged."""
        values = list(row[: len(self.plain)])
        for at, revive in self._revive:
            values[at] = revive(values[at])
        if not self.sealed:
            made: Record = self._record(*values)
            return made
        key_id, sealed = row[-2:]
        place = bound_to(values[self._org_at], self.table, values[0], values[self._version_at])
        return self.remade(values, keys.of(key_id).unseal(sealed, place))

    def remade(self, values: Sequence[Any], document: bytes) -> Record:
        """The record of what `values` and `document` gave."""
        made: Record = self._record(*values[: len(self.plain)], **documents.decode(document))
        return made

    def _place(self, org: str, record: Record) -> bytes:
        return bound_to(org, self.table, self._id(record), record.version)


def _result(value: str) -> Result | str:
    return Result(value) if value else ""


ENCOUNTERS = Projection(
    "encounters", Encounter, sealed=("content", "standing"), lasting=("org", "encounter_key"), revive={}
)
BILLS = Projection(
    "bills", Bill, sealed=("content", "standing"), lasting=("org", "encounter_id"), revive={"is_open": bool}
)
CASES = Projection(
    "cases",
    Case,
    sealed=("told", "data"),
    derived=("holds_visit",),
    lasting=("org", "purpose", "key", "visit_key", "bill_id", "opened_at"),
    revive={"state": State, "wanted": bool},
)
CALLS = Projection(
    "calls",
    CallRecord,
    lasting=("org", "msgid", "case_id"),
    revive={"result": _result, "replied": bool, "burnt": bool},
)

ENTRIES = Projection(
    "entries",
    Entry,
    lasting=("org", "case_id", "msgid", "setl_id", "mdtrt_id", "business_day"),
    revive={"stands": bool},
)
ITEMS = Projection("account_items", AccountItem, sealed=("facts",), lasting=("org", "topic", "day"), revive={})

JOURNAL_COLUMNS = ("org", "seq", "at", "kind", "case_id", "encounter_id", "key_id", "sealed", "hash")
APPEND_EVENT = f"INSERT INTO journal ({', '.join(JOURNAL_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
SELECT_LINKS = f"SELECT {', '.join(JOURNAL_COLUMNS[1:])} FROM journal "
SELECT_LINK = "SELECT hash FROM journal WHERE org = ? AND seq = ?"
SELECT_LINKS_OF_CASE = "SELECT hash FROM journal WHERE case_id = ? ORDER BY org, seq"
SELECT_EVENTS = "SELECT org, seq, at, kind, case_id, encounter_id, key_id, sealed FROM journal "

ALIAS_TARGET = ("encounter_id", "bill_id", "case_id", "note")
ALIAS_COLUMNS = ("org", "dialect", "kind", "blind", *ALIAS_TARGET)
SAVE_ALIAS = (
    f"INSERT INTO aliases ({', '.join(ALIAS_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (org, dialect, kind, blind) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in ALIAS_TARGET)
)
SELECT_ALIAS = f"SELECT {', '.join(ALIAS_TARGET)} FROM aliases WHERE org = ? AND dialect = ? AND kind = ? AND blind = ?"

SAVE_SEARCH = "INSERT INTO search (kind, blind, case_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
SELECT_SEARCH = "SELECT case_id FROM search WHERE kind = ? AND blind = ? ORDER BY ordinal"

SAVE_HEAD = (
    "INSERT INTO heads (org, seq, hash, seal, used_sequence) VALUES (?, ?, ?, ?, ?) ON CONFLICT (org) DO UPDATE SET "
    "seq = excluded.seq, hash = excluded.hash, seal = excluded.seal, used_sequence = excluded.used_sequence"
)
SELECT_HEADS = "SELECT org, seq, hash, seal, used_sequence FROM heads ORDER BY org"

SAVE_DATA_KEY = "INSERT INTO data_keys (key_id, day, wrapped) VALUES (?, ?, ?)"
SELECT_DATA_KEY = "SELECT day, wrapped FROM data_keys WHERE key_id = ?"
SELECT_DATA_KEY_OF_DAY = "SELECT key_id FROM data_keys WHERE day = ?"
SELECT_LAST_DATA_KEY = "SELECT COALESCE(MAX(key_id), 0) FROM data_keys"

SELECT_ENCOUNTER_KEY = "SELECT encounter_id FROM encounters WHERE org = ? AND encounter_key = ?"
SELECT_CASE_KEY = "SELECT case_id FROM cases WHERE org = ? AND purpose = ? AND key = ?"
SELECT_HOLDER = "SELECT case_id FROM cases WHERE org = ? AND visit_key = ? AND holds_visit"
SELECT_MSGID = "SELECT call_id FROM calls WHERE org = ? AND msgid = ?"

SAVE_META = "INSERT INTO meta (name, value) VALUES (?, ?)"
REPLACE_META = f"{SAVE_META} ON CONFLICT (name) DO UPDATE SET value = excluded.value"
SELECT_META = "SELECT name, value FROM meta"
