"""Migrations: alembic revisions in `versions`, one per schema version, the same for both databases.

A ledger's version stands in its ``meta`` table, written in the transaction that changed the tables: alembic's own
version table isn't used, so that there is one truth.  A new SQLite ledger is made from ``sqlite_schema.sql`` instead,
and a contract test proves that both ways lead to the same tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCHEMA_VERSION = 5
"""The newest revision, which this his-adapter reads and writes."""

FOLDER = Path(__file__).parent


def migrate(connection: Connection, version: int) -> int:
    """Bring the tables from ``version`` (0: none yet) to the newest, inside the transaction the caller has open.

    Returns the version reached; the caller writes it into ``meta``.
    """
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(FOLDER))
    missing = list(scripts.iterate_revisions("heads", str(version) if version else "base"))
    with Operations.context(MigrationContext.configure(connection)):
        for script in reversed(missing):
            script.module.upgrade()
    return int(missing[0].revision) if missing else version


def works_with(version: int) -> int:
    """The oldest schema version whose programs may go on working on a ledger of ``version``, as its revision says.

    A revision that only added what older programs pass over names an older version in ``works_with``; one that says nothing is
    refused by every older program.
    """
    from alembic.script import ScriptDirectory

    revision = ScriptDirectory(str(FOLDER)).get_revision(str(version))
    return int(getattr(revision.module, "works_with", version))
