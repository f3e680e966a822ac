"""The journal of the hand-written adapters: one SQLite file, two synced rows a message."""

from __future__ import annotations

import os
import sqlite3
import threading

SCHEMA = "CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY, msgid TEXT, step TEXT, body BLOB)"


class Journal:
    """A connection per thread; SQLite's own lock orders the writers."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._own = threading.local()

    def write(self, msgid: str, step: str, body: bytes) -> None:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=60, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(SCHEMA)
            self._own.connection = connection
        connection.execute("INSERT INTO journal (msgid, step, body) VALUES (?, ?, ?)", (msgid, step, body))


def opened() -> Journal:
    """The journal named by ``BENCH_JOURNAL``."""
    return Journal(os.environ["BENCH_JOURNAL"])
