"""Setting up a ledger on PostgreSQL: check the server, make or migrate the tables, verify the chains.

Blocking, on a connection of its own: alembic and the walk along a chain know no event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import psycopg

from adapter_core.ledger import binding, migrations
from adapter_core.ledger import projections as sql
from adapter_core.ledger.chain import Head, Link, Verdict, verify
from adapter_core.ledger.postgres_session import CHECK, Lineage, check_session, native, unavailable
from adapter_core.ledger.sealing import MasterKey
from adapter_core.values.errors import ConfigError, LedgerDamaged

Connection = psycopg.Connection[tuple[Any, ...]]

_SETUP_LOCK = 0x6869735F61646170  # "his_adap": the advisory lock of whoever makes or migrates the tables
_STANDBYS = "SELECT (SELECT count(*) FROM pg_stat_replication), current_setting('synchronous_standby_names')"

_log = logging.getLogger(__name__)


def prepare(settings: dict[str, Any], environment: str, master: MasterKey) -> Lineage | None:
    """Make the ledger where there is none, migrate an older one, check its chains.

    Returns the lineage recorded in the ledger before, None for a new one.
    Raises: ConfigError, LedgerDamaged, LedgerUnavailable.
    """
    try:
        with psycopg.connect(**settings) as connection:
            lineage = check_session(connection.execute(CHECK).fetchone() or (), read_only=False)
            _warn_of_loose_standbys(connection)
            meta = read_meta(connection)
            if meta is None or binding.schema_version(meta) < migrations.SCHEMA_VERSION:
                _upgrade(settings, environment, master)
                meta = read_meta(connection) or {}
            binding.check_belongs(meta, environment, master)
            refuse_damaged(verify_chains(connection, master))
            recorded = recorded_lineage(meta)
            if recorded is None:
                connection.execute(native(sql.REPLACE_META), lineage_fact(lineage))
            elif recorded != lineage:
                _log.warning("the ledger's database was %s, now it is %s: compare the witness", recorded, lineage)
            return recorded
    except psycopg.Error as exc:
        raise unavailable(exc) from exc


def check_readable(settings: dict[str, Any], environment: str, master: MasterKey) -> Lineage | None:
    """`prepare` for who only looks.  Raises: ConfigError, LedgerUnavailable."""
    try:
        with psycopg.connect(**settings) as connection:
            check_session(connection.execute(CHECK).fetchone() or (), read_only=True)
            meta = existing_meta(connection)
            binding.check_belongs(meta, environment, master)
            return recorded_lineage(meta)
    except psycopg.Error as exc:
        raise unavailable(exc) from exc


def existing_meta(connection: Connection) -> dict[str, str]:
    """Raises: ConfigError when there is no ledger, or one of another version."""
    meta = read_meta(connection)
    if meta is None:
        raise ConfigError("there is no ledger in this database")
    binding.check_current(meta)
    return meta


def read_meta(connection: Connection) -> dict[str, str] | None:
    """None where there is no ledger yet.  Raises: ConfigError when its tables are something else's."""
    found = connection.execute("SELECT to_regclass('meta')").fetchone()
    if found is None or found[0] is None:
        return None
    try:
        rows = connection.execute(sql.SELECT_META).fetchall()
    except psycopg.errors.UndefinedColumn:
        raise ConfigError("this database holds something else's tables: give the ledger one of its own") from None
    return dict(rows)


def recorded_lineage(meta: dict[str, str]) -> Lineage | None:
    return Lineage(*meta["lineage"].split()) if "lineage" in meta else None


def lineage_fact(lineage: Lineage) -> tuple[str, str]:
    """Its row in ``meta``: one row, so that no replica reads half of it."""
    return "lineage", " ".join(lineage)


def verify_chains(connection: Connection, master: MasterKey | None = None) -> list[Verdict]:
    """Every org's chain, from one snapshot.  With the master key the heads' seals are checked too."""
    seal_of = master.head_seal if master else None
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rows = connection.cursor(binary=True).execute(sql.SELECT_HEADS).fetchall()
        heads = {org: Head(seq, link, seal) for org, seq, link, seal, _ in rows}
        written = [row[0] for row in connection.execute("SELECT DISTINCT org FROM journal")]
        return [verify(org, links(connection, org), heads.get(org), seal_of) for org in sorted({*heads, *written})]


def refuse_damaged(verdicts: list[Verdict]) -> None:
    """Raises: LedgerDamaged."""
    for verdict in verdicts:
        if not verdict.is_whole:
            raise LedgerDamaged(f"the journal of {verdict.org} is damaged at {verdict.broken_seq}: {verdict.reason}")


def links(connection: Connection, org: str) -> Iterator[Link]:
    """An org's chain in order, page by page; inside a transaction."""
    with connection.cursor(name="links", binary=True) as cursor:
        cursor.itersize = 500
        cursor.execute(native(sql.SELECT_LINKS + "WHERE org = ? ORDER BY seq"), (org,))
        yield from map(Link._make, cursor)


def _warn_of_loose_standbys(connection: Connection) -> None:
    standbys, names = connection.execute(_STANDBYS).fetchone() or (0, "")
    if standbys and not names:
        _log.warning("the ledger's standby is asynchronous (synchronous_standby_names is empty): a failover loses work")


def _upgrade(settings: dict[str, Any], environment: str, master: MasterKey) -> None:
    """Make or migrate the tables in one transaction.  Of several replicas starting at once, one does it."""
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import DBAPIError

    def connect() -> Connection:
        return psycopg.connect(**{**settings, "autocommit": False})

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    try:
        with engine.begin() as migrated:
            for limit in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
                migrated.exec_driver_sql(f"SET LOCAL {limit} = 0")
            migrated.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SETUP_LOCK})")
            connection: Any = migrated.connection.driver_connection
            meta = read_meta(connection)
            version = binding.schema_version(meta) if meta is not None else 0
            if meta is not None:
                binding.check_belongs(meta, environment, master)
            reached = migrations.migrate(migrated, version)
            facts = {**binding.new_meta(environment, master), **(meta or {}), "schema_version": str(reached)}
            if meta is not None:
                facts["works_with"] = str(migrations.works_with(reached))
            for name, value in facts.items():
                connection.execute(native(sql.REPLACE_META), (name, value))
    except DBAPIError as exc:
        if isinstance(exc.orig, psycopg.errors.DuplicateTable):
            raise ConfigError("this database holds other tables of the ledger's names: give it one of its own") from exc
        raise unavailable(exc.orig or exc) from exc
