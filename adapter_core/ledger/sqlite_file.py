"""A ledger file on SQLite: who may open it, how its connections are set, how it is made and checked."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from adapter_core.ledger import projections as sql
from adapter_core.ledger.binding import new_meta, schema_version
from adapter_core.ledger.chain import Head, Link, Verdict, verify
from adapter_core.ledger.sealing import DataKeys, MasterKey
from adapter_core.ledger.writer_lock import sync_folder
from adapter_core.values.errors import ConfigError, LedgerDamaged

BUSY_TIMEOUT_MS = 5000
SAFE_SQLITE = (3, 51, 3)

_log = logging.getLogger(__name__)

_APPEND_ONLY = tuple(
    f"CREATE TRIGGER journal_no_{action.lower()} BEFORE {action} ON journal "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    for action in ("UPDATE", "DELETE")
)


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes and checkpoints.  Makes the file, readable by its owner only.

    Raises: LedgerDamaged when the file is no database, sqlite3.OperationalError.
    """
    if not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        sync_folder(path.parent)
    connection = _connect(f"{path.resolve().as_uri()}?mode=rw")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError as exc:
        connection.close()
        raise LedgerDamaged(f"{path} is no whole SQLite database: {exc}") from exc
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that can neither write nor checkpoint.  Raises: ConfigError when there is no such ledger."""
    if not path.exists():
        raise ConfigError(f"there is no ledger {path}")
    return _connect(f"{path.resolve().as_uri()}?mode=ro")


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def warn_of_old_sqlite() -> None:
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        _log.warning(
            "SQLite %s has the WAL-reset bug (mended in 3.51.3): safe only while one connection writes, as here",
            sqlite3.sqlite_version,
        )


def create(connection: sqlite3.Connection, environment: str, master: MasterKey) -> None:
    """All tables of an empty file in one transaction, so that a crash leaves an empty file or a whole ledger."""
    # The text is made from `schema.py`: importing SQLAlchemy for it would keep the first patient waiting half a second.
    statements = (files("adapter_core.ledger") / "sqlite_schema.sql").read_text("utf-8")
    connection.execute("BEGIN IMMEDIATE")
    for statement in statements.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    for trigger in _APPEND_ONLY:
        connection.execute(trigger)
    connection.executemany(sql.SAVE_META, sorted(new_meta(environment, master).items()))
    connection.execute("COMMIT")


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """From an older version to this one in one transaction: a crash leaves the old ledger."""
    from sqlalchemy import StaticPool, create_engine

    from adapter_core.ledger import migrations

    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as migrated:  # its first connect rolls back, so the transaction begins after it
        connection.execute("BEGIN IMMEDIATE")
        reached = migrations.migrate(migrated, version)
        connection.execute(sql.REPLACE_META, ("schema_version", str(reached)))
        connection.execute(sql.REPLACE_META, ("works_with", str(migrations.works_with(reached))))
        migrated.commit()


def is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def read_meta(connection: sqlite3.Connection) -> dict[str, str]:
    """Raises: ConfigError when the file is no ledger, or one this version can't read; LedgerDamaged."""
    try:
        meta = dict(connection.execute(sql.SELECT_META).fetchall())
    except sqlite3.OperationalError as exc:
        raise ConfigError(f"this file is no ledger: {exc}") from exc
    except sqlite3.DatabaseError as exc:
        raise LedgerDamaged(f"this file is no whole SQLite database: {exc}") from exc
    schema_version(meta)
    return meta


def quick_check(connection: sqlite3.Connection) -> str:
    """ "" when the file's pages fit together, else SQLite's first complaint."""
    try:
        answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as exc:
        return str(exc)
    return "" if answer == "ok" else str(answer)


def data_keys(connection: sqlite3.Connection, master: MasterKey) -> DataKeys:
    """The ledger's data keys, read through this connection when first needed."""

    def load(key_id: int) -> tuple[str, bytes] | None:
        row: tuple[str, bytes] | None = connection.execute(sql.SELECT_DATA_KEY, (key_id,)).fetchone()
        return row

    return DataKeys(master, load)


def read_heads(connection: sqlite3.Connection) -> dict[str, tuple[Head, int]]:
    """Per org its head and the highest sequence number used."""
    rows = connection.execute(sql.SELECT_HEADS).fetchall()
    return {org: (Head(seq, link, seal), used) for org, seq, link, seal, used in rows}


def verify_chains(connection: sqlite3.Connection, master: MasterKey | None = None) -> list[Verdict]:
    """Every org's chain, from one snapshot.  With the master key the heads' seals are checked too."""
    connection.execute("BEGIN")
    try:
        heads = read_heads(connection)
        written = [row[0] for row in connection.execute("SELECT DISTINCT org FROM journal")]
        seal_of = master.head_seal if master else None
        return [
            verify(org, _links(connection, org), heads[org][0] if org in heads else None, seal_of)
            for org in sorted({*heads, *written})
        ]
    finally:
        connection.execute("COMMIT")


def _links(connection: sqlite3.Connection, org: str) -> Iterator[Link]:
    rows = connection.execute(sql.SELECT_LINKS + "WHERE org = ? ORDER BY seq", (org,))
    return map(Link._make, rows)
