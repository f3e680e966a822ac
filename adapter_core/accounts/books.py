"""A working database beside the ledger: the matching is SQL that the database runs, and the ledger is only read.

On SQLite a database in memory, whose temporary tables lie in a file, attaches the ledger read-only; on PostgreSQL a session has
temporary tables beside the ledger's own.  The statements are the same for both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

PAGE_ROWS = 5000
CACHE_KIB = 32_000


class Working(Protocol):
    """One open working database.  ``ledger``: what stands before the ledger's tables in a statement.  Parameters are ``?``."""

    ledger: str

    def run(self, statement: str, *parameters: Any) -> None: ...

    def rows(self, statement: str, *parameters: Any) -> Iterator[Sequence[Any]]:
        """As a stream."""

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Put rows in, as they come; returns how many."""


class Books(Protocol):
    """Where the ledger's books lie."""

    def working(self) -> AbstractContextManager[Working]: ...


class SqliteBooks:
    """path: of the ledger's file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def working(self) -> Iterator[Working]:
        with closing(
            sqlite3.connect("file::memory:", uri=True, isolation_level=None, check_same_thread=False)
        ) as connection:
            connection.execute("PRAGMA temp_store = FILE")
            connection.execute("PRAGMA busy_timeout = 5000")
            connection.execute("ATTACH ? AS ledger", (f"{self._path.resolve().as_uri()}?mode=ro",))
            connection.execute(f"PRAGMA temp.cache_size = -{CACHE_KIB}")
            yield _SqliteWorking(connection)


class _SqliteWorking:
    ledger = "ledger."

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, statement: str, *parameters: Any) -> None:
        self._connection.execute(statement, parameters)

    def rows(self, statement: str, *parameters: Any) -> Iterator[Sequence[Any]]:
        return iter(self._connection.execute(statement, parameters))

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        places = ", ".join("?" * len(columns))
        self._connection.execute("BEGIN")
        try:
            done = self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return done.rowcount


class PostgresBooks:
    """url: of the ledger's database."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def working(self) -> Iterator[Working]:
        import psycopg

        with closing(
            psycopg.connect(self._url, autocommit=True, application_name="his-adapter accounts")
        ) as connection:
            connection.execute("SET lock_timeout = '5s'")
            yield _PostgresWorking(connection)


class _PostgresWorking:
    ledger = ""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def run(self, statement: str, *parameters: Any) -> None:
        self._connection.execute(statement.replace("?", "%s"), parameters)

    def rows(self, statement: str, *parameters: Any) -> Iterator[Sequence[Any]]:
        with self._connection.transaction(), self._connection.cursor(name="accounts") as cursor:
            cursor.itersize = PAGE_ROWS
            cursor.execute(statement.replace("?", "%s"), parameters)
            yield from cursor

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        count = 0
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
                count += 1
        return count
