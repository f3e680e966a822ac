"""Migrations: a fresh ledger has the tables of a migrated one; older ledgers move up whole, newer ones are refused."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import StaticPool, create_engine

from adapter_core.ledger import migrations, schema, sqlite_file
from adapter_core.ledger.inspection import verify
from adapter_core.ledger.sealing import MasterKey
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.records import Change
from adapter_core.values.errors import ConfigError
from tests.clocks import HandClock

from .ledger_contract import ORG, event, one_case
from .postgres_server import TestServer, postgres_server

pytest.importorskip("alembic", reason="alembic is not installed")

MASTER = MasterKey(bytes(range(32)))

NEXT_REVISION = """
import sqlalchemy as sa
from alembic import op
revision = "{version}"
down_revision = "{before}"
def upgrade():
    op.add_column("calls", sa.Column("note", sa.Text, nullable=False, server_default=""))
    op.create_index("calls_of_note", "calls", ["note"])
    {more}
"""


def open_sqlite(path: Path, read_only: bool = False) -> SqliteLedger:
    return SqliteLedger.open(
        path, MASTER, environment="test", clock=HandClock(), read_only=read_only, ballast_bytes=0, free_bytes_min=0
    )


def a_next_version(folder: Path, monkeypatch: pytest.MonkeyPatch, more: str = "pass") -> int:
    """From now on this process is a his-adapter with one revision more."""
    version = migrations.SCHEMA_VERSION + 1
    shutil.copytree(migrations.FOLDER / "versions", folder / "versions", ignore=shutil.ignore_patterns("__pycache__"))
    text = NEXT_REVISION.format(version=version, before=version - 1, more=more)
    (folder / "versions" / f"version_{version}.py").write_text(text, "utf-8")
    monkeypatch.setattr(migrations, "FOLDER", folder)
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", version)
    return version


def shape(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {(kind, name): re.sub(r"\s+", " ", text) for kind, name, text in rows}


def test_a_fresh_sqlite_ledger_is_a_migrated_one() -> None:
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    sqlite_file.create(fresh, "test", MASTER)
    migrated = sqlite3.connect(":memory:", isolation_level=None)
    engine = create_engine("sqlite://", creator=lambda: migrated, poolclass=StaticPool)
    with engine.begin() as connection:
        assert migrations.migrate(connection, 0) == migrations.SCHEMA_VERSION
    assert shape(fresh) == shape(migrated)
    assert len([name for kind, name in shape(fresh) if kind == "table"]) == len(schema.metadata.tables)
    fresh.close()
    migrated.close()


def test_every_revision_is_a_version_of_its_own() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(migrations.FOLDER))
    assert scripts.get_heads() == [str(migrations.SCHEMA_VERSION)]
    chain = [(script.revision, script.down_revision) for script in scripts.walk_revisions()]
    last = migrations.SCHEMA_VERSION
    assert chain == [(str(n), str(n - 1) if n > 1 else None) for n in range(last, 0, -1)]


async def test_an_older_sqlite_ledger_moves_up_when_its_writer_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    with open_sqlite(path) as ledger:
        await ledger.commit(one_case("c1", "v1"))
    version = a_next_version(tmp_path / "next", monkeypatch)
    for look in (lambda: open_sqlite(path, read_only=True), lambda: verify(path)):
        with pytest.raises(ConfigError, match=rf"older his-adapter \(schema {version - 1}, .*start the service"):
            look()
    with open_sqlite(path) as ledger:
        assert len(await ledger.calls_of_case("c1")) == 1
        assert await ledger.commit(one_case("c2", "v2")) == 2
    assert verify(path, MASTER).is_whole
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT note FROM calls").fetchall() == [("",), ("",)]
    connection.close()
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="newer his-adapter"):
        open_sqlite(path)


def test_a_migration_that_fails_leaves_the_sqlite_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    open_sqlite(path).close()
    with sqlite3.connect(path) as connection:
        before = shape(connection)
    connection.close()
    with monkeypatch.context() as patch:
        a_next_version(tmp_path / "next", patch, more="raise ArithmeticError")
        with pytest.raises(ArithmeticError):
            open_sqlite(path)
    with sqlite3.connect(path) as connection:
        assert shape(connection) == before
    connection.close()
    open_sqlite(path).close()


def test_a_current_ledger_opens_without_alembic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(migrations, "migrate", refuse)
    for _ in range(2):
        open_sqlite(tmp_path / "ledger.db").close()


# PostgreSQL


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    found = postgres_server()
    yield found
    found.drop_databases()


@pytest.fixture
def url(server: TestServer) -> str:
    return server.new_database()


POSTGRES_SHAPE = """
SELECT 'column', table_name || '.' || column_name, concat_ws(' ', data_type, is_nullable, column_default)
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
"""


def postgres_shape(url: str) -> set[tuple[str, str, str]]:
    import psycopg

    with psycopg.connect(url) as connection:
        return set(connection.execute(POSTGRES_SHAPE).fetchall())


def test_a_fresh_postgresql_schema_is_a_migrated_one(server: TestServer) -> None:
    import psycopg

    fresh, migrated = server.new_database(), server.new_database()
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(fresh), poolclass=StaticPool)
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
    engine.dispose()
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(migrated), poolclass=StaticPool)
    with engine.begin() as connection:
        assert migrations.migrate(connection, 0) == migrations.SCHEMA_VERSION
    engine.dispose()
    found = postgres_shape(migrated)
    assert postgres_shape(fresh) == found
    assert {place.partition(".")[0] for kind, place, _ in found if kind == "column"} == set(schema.metadata.tables)


async def test_replicas_that_start_at_once_make_and_move_up_one_ledger(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg_pool", reason="psycopg-pool is not installed")
    from adapter_core.ledger.postgres import PostgresLedger

    async def open_three() -> list[PostgresLedger]:
        opened = (PostgresLedger.open(url, MASTER, environment="test", clock=HandClock()) for _ in range(3))
        return await asyncio.gather(*opened)

    async def commit_and_close(ledgers: list[PostgresLedger], start: int) -> None:
        changes = [one_case(f"c{start + n}", f"v{start + n}") for n in range(len(ledgers))]
        done = await asyncio.gather(*(one.commit(change) for one, change in zip(ledgers, changes, strict=True)))
        assert sorted(done) == [start, start + 1, start + 2]
        for one in ledgers:
            await one.close()

    await commit_and_close(await open_three(), 1)
    version = a_next_version(tmp_path / "next", monkeypatch)
    with pytest.raises(ConfigError, match="older his-adapter"):
        await PostgresLedger.open(url, MASTER, environment="test", clock=HandClock(), read_only=True)
    await commit_and_close(await open_three(), 4)
    columns = {place for kind, place, _ in postgres_shape(url) if kind == "column"}
    assert "calls.note" in columns
    monkeypatch.undo()
    with pytest.raises(ConfigError, match=rf"newer his-adapter \(schema {version}"):
        await PostgresLedger.open(url, MASTER, environment="test", clock=HandClock())


async def test_a_migration_that_fails_leaves_the_postgresql_ledger_as_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg_pool", reason="psycopg-pool is not installed")
    from adapter_core.ledger.postgres import PostgresLedger

    async with await PostgresLedger.open(url, MASTER, environment="test", clock=HandClock()) as ledger:
        await ledger.commit(Change(ORG, events=(event(),)))
    before = postgres_shape(url)
    with monkeypatch.context() as patch:
        a_next_version(tmp_path / "next", patch, more="raise ArithmeticError")
        with pytest.raises(ArithmeticError):
            await PostgresLedger.open(url, MASTER, environment="test", clock=HandClock())
    assert postgres_shape(url) == before
    async with await PostgresLedger.open(url, MASTER, environment="test", clock=HandClock()) as ledger:
        assert await ledger.commit(Change(ORG, events=(event(),))) == 2


async def test_versions_n_and_n_plus_1_work_side_by_side_where_the_revision_says_so(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rolling upgrade: the newer replica migrates under an older one that is at work, and the older one may restart."""
    pytest.importorskip("psycopg_pool", reason="psycopg-pool is not installed")
    from adapter_core.ledger.postgres import PostgresLedger

    async def opened() -> PostgresLedger:
        return await PostgresLedger.open(url, MASTER, environment="test", clock=HandClock())

    now = migrations.SCHEMA_VERSION
    async with await opened() as older:
        with monkeypatch.context() as upgraded:
            version = a_next_version(tmp_path / "next", upgraded)
            revision = tmp_path / "next" / "versions" / f"version_{version}.py"
            revision.write_text(f"works_with = {now}\n" + revision.read_text("utf-8"), "utf-8")
            newer = await opened()
        assert "calls.note" in {place for _, place, _ in postgres_shape(url)}
        assert [await older.commit(one_case("c1", "v1")), await newer.commit(one_case("c2", "v2"))] == [1, 2]
    async with await opened() as restarted:
        assert await restarted.commit(one_case("c3", "v3")) == 3
        assert await newer.calls_of_case("c1") == await restarted.calls_of_case("c1")
    await newer.close()
