"""Connections to a ledger on PostgreSQL: how each one is set and checked, and the pool that hands them out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from adapter_core.values.errors import ConfigError, LedgerUnavailable

CONNECTIONS_MAX = 8
PATIENCE_S = 5.0

DURABLE = frozenset({"on", "remote_apply"})
"""What ``synchronous_commit`` may be: a commit is on the disk, the standby's too, before it is acknowledged."""

CHECK = (
    "SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('server_encoding'), "
    "pg_is_in_recovery(), (SELECT system_identifier::text FROM pg_control_system()), "
    "CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END, "
    # Pinned: whoever changes the server's setting later changes nothing for a session under way.
    "set_config('synchronous_commit', current_setting('synchronous_commit'), false)"
)


class Lineage(NamedTuple):
    """Which database this is.  timeline: 8 hex digits; another one follows a failover or a restored backup."""

    system_identifier: str
    timeline: str


def connection_settings(url: str, patience_s: float, read_only: bool) -> dict[str, Any]:
    """Keyword arguments for psycopg's connect.  Raises: ConfigError.

    ``patience_s``: lock wait; a statement or an idle transaction may last twice as long, a dead peer is noticed then.
    """
    try:
        settings = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigError("the ledger's url is no PostgreSQL address") from None  # its text may hold a password
    lock_ms = ceil(patience_s * 1000)
    limits = {
        "lock_timeout": lock_ms,
        "statement_timeout": 2 * lock_ms,
        "idle_in_transaction_session_timeout": 2 * lock_ms,
        "default_transaction_read_only": "on" if read_only else "off",
    }
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    settings.setdefault("connect_timeout", max(2, ceil(patience_s)))
    settings.setdefault("tcp_user_timeout", 2 * lock_ms)
    settings.setdefault("target_session_attrs", "any" if read_only else "read-write")
    return {
        **settings,
        "options": f"{settings.get('options') or ''} {options}".strip(),
        "application_name": f"his-adapter {os.urandom(4).hex()}",
        "autocommit": True,
    }


def check_session(row: tuple[Any, ...], read_only: bool) -> Lineage:
    """Judge the answer to `CHECK`.  Raises: ConfigError for a server that may forget what it acknowledged."""
    fsync, synchronous_commit, encoding, is_standby, system_identifier, timeline, _ = row
    if fsync != "on":
        raise ConfigError("this PostgreSQL runs with fsync off: it may lose a settlement, so it can't hold the ledger")
    if synchronous_commit not in DURABLE:
        raise ConfigError(f"this PostgreSQL runs with synchronous_commit {synchronous_commit}: the ledger needs it on")
    if encoding != "UTF8":
        raise ConfigError(f"the ledger's database has encoding {encoding}, it must be UTF8")
    if is_standby and not read_only:
        raise ConfigError("this PostgreSQL is a standby: name the primary")
    return Lineage(system_identifier, timeline)


@lru_cache(maxsize=256)
def native(statement: str) -> str:
    """The statement with psycopg's placeholders instead of ``?``."""
    return statement.replace("?", "%s")


class Database:
    """The pool of one ledger.  ``lineage`` is the newest connection's; ``connections`` counts those opened so far: when
    it moved, the witness is due to be compared again.
    """

    def __init__(self, url: str, patience_s: float, read_only: bool) -> None:
        self.settings = connection_settings(url, patience_s, read_only)
        self.lineage = Lineage("", "")
        self.connections = 0
        self._read_only = read_only
        # Longer than the server's own limits together, so it ends only what the server won't.
        self._deadline_s = 4 * patience_s
        self._pool = AsyncConnectionPool(
            kwargs=self.settings,
            min_size=1,
            max_size=CONNECTIONS_MAX,
            open=False,
            configure=self._configure,
            timeout=patience_s,
            reconnect_timeout=patience_s,
            name="ledger",
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    async def _configure(self, connection: psycopg.AsyncConnection) -> None:
        with _deadline(connection, self._deadline_s):
            row = await (await connection.execute(CHECK)).fetchone()
        self.lineage = check_session(row or (), self._read_only)
        self.connections += 1

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        """A connection in autocommit; whatever transaction is still open at the end is rolled back.

        Raises: psycopg.OperationalError when none can be had in time.
        """
        async with self._pool.connection() as connection:
            try:
                with _deadline(connection, self._deadline_s):
                    yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                await connection.close()  # a primary that became a standby: another connection may find the new one
                raise

    async def refresh(self) -> None:
        """Replace every connection: after one broke, the others may be dead without having noticed."""
        with contextlib.suppress(PoolClosed):
            await self._pool.drain()

    async def rows(self, statement: str, *parameters: Any) -> list[Any]:
        """Read or write one statement of its own, once more over a new connection when the first was dead.

        Raises: LedgerUnavailable, ValueError for a text PostgreSQL can't hold.
        """
        try:
            return await self._rows_once(statement, parameters)
        except psycopg.Error as exc:
            if isinstance(exc, PoolTimeout) or not isinstance(exc, psycopg.OperationalError):
                raise unavailable(exc) from exc
        await self.refresh()
        try:
            return await self._rows_once(statement, parameters)
        except psycopg.Error as exc:
            raise unavailable(exc) from exc

    async def _rows_once(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            async with self.connection() as connection:
                cursor = connection.cursor(binary=True)
                await cursor.execute(native(statement), parameters)
                return await cursor.fetchall()
        except psycopg.DataError as exc:
            raise ValueError(f"the ledger can't hold this: {exc}") from exc


def unavailable(cause: BaseException) -> LedgerUnavailable:
    first_line = str(cause).partition("\n")[0]
    return LedgerUnavailable(f"the ledger's database doesn't serve: {first_line or type(cause).__name__}")


@contextlib.contextmanager
def _deadline(connection: psycopg.AsyncConnection, seconds: float) -> Iterator[None]:
    """Cut the connection when the server stays silent.  Cancelling would ask that same silent server to cancel."""
    timer = asyncio.get_running_loop().call_later(seconds, _cut, connection)
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: psycopg.AsyncConnection) -> None:
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
