"""The catalogues' own file: one SQLite database beside the ledger.

Whoever reads (a settlement, while a download runs) sees the catalogue as it was until the new one stands whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from adapter_core.values.errors import ConfigError

VERSION = 1
BUSY_S = 5.0
SCHEMA = """
CREATE TABLE downloads (
  download INTEGER PRIMARY KEY, infno TEXT NOT NULL, state TEXT NOT NULL, given TEXT NOT NULL, from_version TEXT NOT NULL,
  version TEXT NOT NULL DEFAULT '', is_whole INTEGER NOT NULL, ticket TEXT NOT NULL DEFAULT '', file BLOB,
  page INTEGER NOT NULL DEFAULT 0, read_rows INTEGER NOT NULL DEFAULT 0, added INTEGER NOT NULL DEFAULT 0,
  changed INTEGER NOT NULL DEFAULT 0, ended INTEGER NOT NULL DEFAULT 0, started_at TEXT NOT NULL, ended_at TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX one_open_download ON downloads (infno) WHERE state = 'open';
CREATE TABLE staged (
  download INTEGER NOT NULL, key TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL, is_ended INTEGER NOT NULL,
  content TEXT NOT NULL, PRIMARY KEY (download, key)) WITHOUT ROWID;
CREATE TABLE entries (
  infno TEXT NOT NULL, key TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL, is_ended INTEGER NOT NULL,
  content TEXT NOT NULL, download INTEGER NOT NULL, PRIMARY KEY (infno, key)) WITHOUT ROWID;
CREATE INDEX entries_by_code ON entries (code);
CREATE TABLE changes (
  download INTEGER NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, before TEXT, after TEXT,
  PRIMARY KEY (download, key)) WITHOUT ROWID;
CREATE TABLE dictionary (
  admdvs TEXT NOT NULL, type TEXT NOT NULL, value TEXT NOT NULL, parent TEXT NOT NULL, label TEXT NOT NULL, sort TEXT NOT NULL,
  is_valid INTEGER NOT NULL, version TEXT NOT NULL, PRIMARY KEY (admdvs, type, value, parent)) WITHOUT ROWID;
CREATE TABLE items (
  org TEXT NOT NULL, item TEXT NOT NULL, begndate TEXT NOT NULL, enddate TEXT NOT NULL, name TEXT NOT NULL, list_type TEXT NOT NULL,
  med_list_codg TEXT NOT NULL, more TEXT NOT NULL, amount_fen INTEGER, PRIMARY KEY (org, item, begndate)) WITHOUT ROWID;
CREATE TABLE at_centre (
  org TEXT NOT NULL, item TEXT NOT NULL, list_type TEXT NOT NULL, med_list_codg TEXT NOT NULL, content TEXT NOT NULL,
  uploaded_at TEXT NOT NULL, PRIMARY KEY (org, item, list_type, med_list_codg)) WITHOUT ROWID;
"""


class CatalogueStore:
    """``with CatalogueStore(path) as store``.  It belongs to one thread; other processes may have their own beside it."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file.  Raises: ConfigError for a file of a newer version, or none of ours."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ConfigError(f"{path.name}: {error}") from None

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        [version] = run("PRAGMA user_version").fetchone()
        if version == VERSION:
            return
        if version:
            raise ConfigError(f"{self.path.name}: made by another version ({version}, here {VERSION})")
        with self.change():
            if run("PRAGMA user_version").fetchone()[0] == 0:  # another process may have made it meanwhile
                for statement in filter(str.strip, SCHEMA.split(";")):
                    run(statement)
                run(f"PRAGMA user_version = {VERSION}")

    def __enter__(self) -> CatalogueStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """One transaction: everything in it stands, or nothing.  Raises: ConfigError while another process writes."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            text = "目录文件正由另一个命令写入，请稍后再试"
            raise ConfigError(f"{self.path.name}: {error}", message_zh=text) from None
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def run(self, statement: str, *values: Any) -> int:
        """One statement; gives the rows it touched."""
        return self._database.execute(statement, values).rowcount

    def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        self._database.executemany(statement, rows)

    def inserted(self, statement: str, *values: Any) -> int:
        """The new row's number."""
        number = self._database.execute(statement, values).lastrowid
        assert number is not None
        return number

    def rows(self, statement: str, *values: Any) -> list[Any]:
        return self._database.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> Any:
        """The first row, or None."""
        return self._database.execute(statement, values).fetchone()
