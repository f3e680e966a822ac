"""The ledger on SQLite: one process writes, any number read.

Reads run on a read-only connection in the caller's own thread: a point read takes some 20 µs, a hop to another thread
and back more than that, and in WAL mode a reader waits for no writer.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sqlite3
import threading
from collections.abc import Iterable
from datetime import UTC
from pathlib import Path
from typing import Any

from adapter_core.ledger import binding, migrations, sqlite_file
from adapter_core.ledger.conflicts import refuse_malformed
from adapter_core.ledger.group_commit import GroupCommit, Ticket
from adapter_core.ledger.projections import Projection, Record
from adapter_core.ledger.reading import StoredLedger
from adapter_core.ledger.recent import RecentRecords
from adapter_core.ledger.reserve import BALLAST_BYTES, FREE_BYTES_MIN, Reserve
from adapter_core.ledger.sealing import DataKeys, MasterKey
from adapter_core.ledger.writer_lock import WriterLock
from adapter_core.settlement.records import Alias, Bill, Change
from adapter_core.values.errors import LedgerDamaged, LedgerUnavailable
from adapter_core.values.moments import Clock

SKIPPED_AT_START = 500
"""Sequence numbers a start leaves out: a process that was killed may have sent queries under numbers it stored nowhere, and one
that starts within the same second must not give them to a reversal."""


class SequenceNumbers:
    """Per org a counter that starts above the highest number a former process used."""

    def __init__(self, used: dict[str, int]) -> None:
        self._drawn = dict(used)
        self._lock = threading.Lock()

    def draw(self, org: str) -> int:
        with self._lock:
            number = self._drawn.get(org, 0) + 1
            self._drawn[org] = number
            return number

    def drawn(self, org: str) -> int:
        return self._drawn.get(org, 0)


class SqliteLedger(StoredLedger):
    """Satisfies `settlement.ports.Ledger`.  Open with `open`, end with `close` (or ``with``)."""

    def __init__(
        self,
        reader: sqlite3.Connection,
        keys: DataKeys,
        numbers: SequenceNumbers,
        writer: GroupCommit | None = None,
        write_connection: sqlite3.Connection | None = None,
        lock: WriterLock | None = None,
        recent: RecentRecords | None = None,
    ) -> None:
        super().__init__(keys)
        self._recent = recent or RecentRecords()
        self._reader = reader
        self._numbers = numbers
        self._writer = writer
        self._write_connection = write_connection
        self._lock = lock
        self._is_open = True

    @classmethod
    def open(
        cls,
        path: Path,
        keys: MasterKey,
        *,
        environment: str,
        clock: Clock,
        read_only: bool = False,
        ballast_bytes: int = BALLAST_BYTES,
        free_bytes_min: int = FREE_BYTES_MIN,
    ) -> SqliteLedger:
        """Open the ledger, or make it where there is none; the file and every chain are checked first.

        environment: a ledger made in one (``test``) is refused in another (``production``).  read_only: beside a
        running writer; makes, checks and locks nothing.
        Raises: ConfigError (in use elsewhere, wrong key or environment, newer schema), LedgerDamaged,
        LedgerUnavailable.
        """
        if read_only:
            return cls._open_reader(path, keys, environment)
        lock = WriterLock(path)
        try:
            return cls._open_writer(lock, path, keys, environment, clock, Reserve(path, ballast_bytes, free_bytes_min))
        except (sqlite3.Error, OSError) as exc:
            lock.release()
            raise LedgerUnavailable(f"the ledger {path} can't be opened: {exc}") from exc
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_reader(cls, path: Path, master: MasterKey, environment: str) -> SqliteLedger:
        reader = sqlite_file.connect_reader(path)
        try:
            meta = sqlite_file.read_meta(reader)
            binding.check_current(meta)
            binding.check_belongs(meta, environment, master)
        except BaseException:
            reader.close()
            raise
        return cls(reader, sqlite_file.data_keys(reader, master), SequenceNumbers({}))

    @classmethod
    def _open_writer(
        cls,
        lock: WriterLock,
        path: Path,
        master: MasterKey,
        environment: str,
        clock: Clock,
        reserve: Reserve,
    ) -> SqliteLedger:
        sqlite_file.warn_of_old_sqlite()
        connection = sqlite_file.connect_writer(path)
        try:
            if sqlite_file.is_empty(connection):
                sqlite_file.create(connection, environment, master)
            meta = sqlite_file.read_meta(connection)
            binding.check_belongs(meta, environment, master)
            _check(connection, master)
            version = binding.schema_version(meta)
            if version < migrations.SCHEMA_VERSION:
                sqlite_file.migrate(connection, version)
            reserve.lay()
            stored = sqlite_file.read_heads(connection)
            reader = sqlite_file.connect_reader(path)
        except BaseException:
            connection.close()
            raise
        keys = sqlite_file.data_keys(reader, master)
        numbers = SequenceNumbers({org: used + SKIPPED_AT_START for org, (_, used) in stored.items()})
        heads = {org: head for org, (head, _) in stored.items()}

        def today() -> str:
            return clock.wall().astimezone(UTC).date().isoformat()

        recent = RecentRecords()
        writer = GroupCommit(connection, keys, reserve, heads, numbers.drawn, today, recent)
        return cls(reader, keys, numbers, writer, connection, lock, recent)

    def close(self) -> None:
        """Write what waits, then let go of the file.  The writer goes last: it alone may checkpoint."""
        if not self._is_open:
            return
        self._is_open = False
        if self._writer is not None:
            self._writer.close()
        self._reader.close()
        if self._write_connection is not None:
            self._write_connection.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> SqliteLedger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def trouble(self) -> str:
        """Why nothing can be written any more; "" while all is well."""
        return self._writer.trouble if self._writer else "opened read-only"

    async def commit(self, change: Change) -> int:
        """As the port says.  A caller cancelled meanwhile doesn't know: the change may still land."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._submit(Ticket(change, future, loop))
        return await future

    def commit_now(self, change: Change) -> int:
        """`commit` for a caller outside of any event loop; blocks until the change is durable."""
        future: concurrent.futures.Future[int] = concurrent.futures.Future()
        self._submit(Ticket(change, future, None))
        return future.result()

    def _submit(self, ticket: Ticket) -> None:
        refuse_malformed(ticket.change)
        if self._writer is None or not self._is_open or self._writer.trouble:
            raise LedgerUnavailable(f"the ledger can't be written: {self.trouble or 'closed'}")
        self._writer.put(ticket)

    def sequence(self, org: str) -> int:
        if self._writer is None:
            raise LedgerUnavailable("a ledger opened read-only draws no numbers")
        return self._numbers.draw(org)

    async def _open_keys(self, key_ids: Iterable[int]) -> None:
        """`DataKeys` loads them one by one when first needed: in the same thread, for some microseconds."""

    async def _by_id(self, projection: Projection[Record], record_id: str) -> Record | None:
        """Nobody else writes this file, so what was committed last here is what stands there."""
        known: Record | None = self._recent.newest(projection, record_id)
        return known if known is not None else await super()._by_id(projection, record_id)

    async def alias(self, org: str, dialect: str, kind: str, value: str) -> Alias | None:
        if self._writer is None:
            return await super().alias(org, dialect, kind, value)
        aliases, place = self._recent.aliases, (org, dialect, kind, value)
        known = aliases.known(place)
        if known is not None:
            return known[0]
        changes = aliases.changes
        found = await super().alias(*place)
        aliases.asked(place, found, changes)
        return found

    async def bills_of(self, encounter_id: str) -> list[Bill]:
        known = self._recent.bills_of(encounter_id)
        return known if known is not None else await super().bills_of(encounter_id)

    def _known(self, projection: Projection[Record], record_id: str, version: int) -> Record | None:
        known: Record | None = self._recent.version(projection, record_id, version)
        return known

    async def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        """Raises: LedgerUnavailable, LedgerDamaged."""
        try:
            return self._reader.execute(statement, parameters).fetchall()
        except sqlite3.OperationalError as exc:
            raise LedgerUnavailable(f"the ledger can't be read: {exc}") from exc
        except sqlite3.DatabaseError as exc:
            raise LedgerDamaged(f"the ledger can't be read: {exc}") from exc


def _check(connection: sqlite3.Connection, master: MasterKey) -> None:
    """Raises: LedgerDamaged, ConfigError."""
    complaint = sqlite_file.quick_check(connection)
    if complaint:
        raise LedgerDamaged(f"the ledger's file is damaged: {complaint}")
    for verdict in sqlite_file.verify_chains(connection, master):
        if not verdict.is_whole:
            raise LedgerDamaged(f"the journal of {verdict.org} is damaged at {verdict.broken_seq}: {verdict.reason}")
