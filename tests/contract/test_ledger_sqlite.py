"""The contract on real SQLite, and what only a file can do: locks, binding, restart, group commit, faults of the disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from adapter_core.ledger import projections as sql
from adapter_core.ledger import schema
from adapter_core.ledger.projections import CASES
from adapter_core.ledger.recent import BYTES_MAX
from adapter_core.ledger.sealing import MasterKey, create_master_key, read_master_key
from adapter_core.ledger.sqlite import SKIPPED_AT_START, SqliteLedger
from adapter_core.settlement.ports import KeyTaken
from adapter_core.settlement.records import Change
from adapter_core.settlement.states import State
from adapter_core.values.errors import ConfigError, LedgerDamaged, LedgerUnavailable
from tests.clocks import HandClock

from .ledger_contract import ORG, LedgerContract, bill, call, case, event, one_case

MASTER = MasterKey(bytes(range(32)))


def open_ledger(
    folder: Path,
    *,
    clock: HandClock | None = None,
    environment: str = "test",
    keys: MasterKey = MASTER,
    read_only: bool = False,
    ballast_bytes: int = 0,
    free_bytes_min: int = 0,
) -> SqliteLedger:
    return SqliteLedger.open(
        folder / "ledger.db",
        keys,
        environment=environment,
        clock=clock or HandClock(),
        read_only=read_only,
        ballast_bytes=ballast_bytes,
        free_bytes_min=free_bytes_min,
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with open_ledger(tmp_path) as opened:
        yield opened


def write_connection(ledger: SqliteLedger) -> sqlite3.Connection:
    connection = ledger._write_connection
    assert connection is not None
    return connection


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[SqliteLedger]:
        with open_ledger(tmp_path) as opened:
            yield opened


def test_the_made_sql_is_what_the_schema_says() -> None:
    """Made by ``python -m adapter_core.ledger.schema``."""
    made = (files("adapter_core.ledger") / "sqlite_schema.sql").read_text("utf-8")
    assert made == schema.sqlite_statements()


def test_the_statements_name_the_columns_of_the_schema() -> None:
    for projection in (sql.ENCOUNTERS, sql.BILLS, sql.CASES, sql.CALLS):
        assert {"ordinal", *projection.columns} == set(schema.metadata.tables[projection.table].columns.keys())
    assert tuple(schema.journal.columns.keys()) == sql.JOURNAL_COLUMNS
    assert tuple(schema.aliases.columns.keys()) == sql.ALIAS_COLUMNS


def test_no_column_holds_a_float_or_a_numeric() -> None:
    kinds = {type(column.type).__name__ for table in schema.metadata.tables.values() for column in table.columns}
    assert kinds == {"Text", "BigInteger", "Boolean", "LargeBinary"}


async def test_waiting_commits_share_a_sync(ledger: SqliteLedger) -> None:
    statements: list[str] = []
    write_connection(ledger).set_trace_callback(statements.append)
    await asyncio.gather(*(ledger.commit(one_case(f"c{n}", f"v{n}")) for n in range(200)))
    write_connection(ledger).set_trace_callback(None)
    assert sum(statement.startswith("INSERT INTO cases ") for statement in statements) == 200
    # 32 to a batch; the first may have been caught alone.
    assert 200 / 32 <= statements.count("COMMIT") <= 200 / 32 + 2


async def test_a_future_resolves_only_after_its_commit(tmp_path: Path, ledger: SqliteLedger) -> None:
    for n in range(20):
        await ledger.commit(one_case(f"c{n}", f"v{n}"))
        with sqlite3.connect(f"file:{tmp_path}/ledger.db?mode=ro", uri=True) as other:
            assert other.execute("SELECT COUNT(*) FROM cases").fetchone() == (n + 1,)
        other.close()


async def test_commits_are_synced_before_they_are_acknowledged(ledger: SqliteLedger) -> None:
    connection = write_connection(ledger)
    settings = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as first:
        await first.commit(
            Change(ORG, events=(event(raw=b"\x00"),), cases=(case(told={"x": "y"}),), search=(("tel", "1", "c1"),))
        )
    with open_ledger(tmp_path) as second:
        found = await second.case("c1")
        assert found is not None
        assert found.told == {"x": "y"}
        assert await second.events_of_case("c1") == [event(raw=b"\x00")]
        assert await second.find("tel", "1") == ["c1"]
        with pytest.raises(KeyTaken):
            await second.commit(Change(ORG, cases=(case("c2", key="key-c1", visit_key="v2"),)))
        assert await second.commit(Change(ORG, events=(event(),))) == 2


async def test_what_was_just_written_reads_as_the_disk_gives_it(tmp_path: Path) -> None:
    told = {"amounts": {"fen": 100, "rows": ("1", Decimal("2.50"))}}
    with open_ledger(tmp_path) as ledger:
        await ledger.commit(Change(ORG, events=(event(),), cases=(case(told=told),), bills=(bill(),), calls=(call(),)))
        told["amounts"]["fen"] = 200  # its maker's own, not the ledger's
        with open_ledger(tmp_path, read_only=True) as disk:
            kept, stored = await ledger.case("c1"), await disk.case("c1")
            assert repr(kept) == repr(stored)
            assert repr(await ledger.bill("b1")) == repr(await disk.bill("b1"))
            assert repr(await ledger.calls_of_case("c1")) == repr(await disk.calls_of_case("c1"))


async def test_records_kept_in_memory_have_a_limit_and_the_others_come_from_the_disk(tmp_path: Path) -> None:
    long = "x" * 100_000
    with open_ledger(tmp_path) as ledger:
        for number in range(100):
            await ledger.commit(Change(ORG, cases=(case(f"c{number}", visit_key=f"v{number}", told={"text": long}),)))
        kept = ledger._recent
        assert kept._bytes <= BYTES_MAX
        assert kept.newest(CASES, "c0") is None
        assert kept.newest(CASES, "c99") is not None
        first = await ledger.case("c0")
        assert first is not None
        assert first.told == {"text": long}


async def test_the_sequence_starts_above_every_number_used(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as first:
        used = [first.sequence(ORG) for _ in range(7)][-1]
        await first.commit(Change(ORG, calls=(call(msgid=f"M{used}"),)))
    with open_ledger(tmp_path) as second:
        assert second.sequence(ORG) == 8 + SKIPPED_AT_START


async def test_numbers_drawn_before_a_refused_change_are_used_up_too(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as first:
        await first.commit(Change(ORG, calls=(call(),)))
        first.sequence(ORG)
        await asyncio.gather(first.commit(Change(ORG, calls=(call("k2", msgid="msgid-k1"),))), return_exceptions=True)
    with open_ledger(tmp_path) as second:
        assert second.sequence(ORG) == 2 + SKIPPED_AT_START


async def test_each_day_has_its_own_data_key(tmp_path: Path) -> None:
    clock = HandClock()
    with open_ledger(tmp_path, clock=clock) as ledger:
        await ledger.commit(Change(ORG, events=(event("MONDAY"),)))
        clock.now = clock.now.replace(day=22)
        await ledger.commit(Change(ORG, events=(event("TUESDAY"),)))
        await ledger.commit(Change(ORG, events=(event("TUESDAY"),)))
        rows = write_connection(ledger).execute("SELECT key_id FROM journal ORDER BY seq").fetchall()
        assert rows == [(1,), (2,), (2,)]
        days = write_connection(ledger).execute("SELECT day FROM data_keys ORDER BY key_id").fetchall()
        assert days == [("2026-11-21",), ("2026-11-22",)]
    with open_ledger(tmp_path) as ledger:
        assert [e.kind for e in await ledger.events_of_case("c1")] == ["MONDAY", "TUESDAY", "TUESDAY"]


def test_a_second_writer_is_refused(tmp_path: Path, ledger: SqliteLedger) -> None:
    with pytest.raises(ConfigError, match="another process"):
        open_ledger(tmp_path)
    script = (
        "import sys; from pathlib import Path; from adapter_core.ledger.writer_lock import WriterLock\n"
        "from adapter_core.values.errors import ConfigError\n"
        "try: WriterLock(Path(sys.argv[1]))\n"
        "except ConfigError: sys.exit(7)\n"
    )
    path = str(tmp_path / "ledger.db")
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 7
    ledger.close()
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 0


async def test_a_reader_sees_what_a_running_writer_commits(tmp_path: Path, ledger: SqliteLedger) -> None:
    await ledger.commit(one_case("c1", "v1"))
    with open_ledger(tmp_path, read_only=True) as reader:
        assert await reader.case("c1") is not None
        await ledger.commit(one_case("c2", "v2"))
        assert await reader.case("c2") is not None
        with pytest.raises(LedgerUnavailable):
            await reader.commit(one_case("c3", "v3"))
        with pytest.raises(LedgerUnavailable):
            reader.sequence(ORG)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._reader.execute("DELETE FROM cases")


def test_read_only_makes_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no ledger"):
        open_ledger(tmp_path, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_belongs_to_one_environment_and_one_master_key(tmp_path: Path) -> None:
    open_ledger(tmp_path, environment="test").close()
    for read_only in (False, True):
        with pytest.raises(ConfigError, match="'test', not for 'production'"):
            open_ledger(tmp_path, environment="production", read_only=read_only)
        with pytest.raises(ConfigError, match="sealed with master key"):
            open_ledger(tmp_path, keys=MasterKey(bytes(32)), read_only=read_only)
    open_ledger(tmp_path).close()


def test_a_newer_ledger_is_refused_in_one_line(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.db") as newer:
        newer.execute("UPDATE meta SET value = value + 1 WHERE name = 'schema_version'")
    newer.close()
    with pytest.raises(
        ConfigError, match=r"^the ledger was written by a newer his-adapter \(schema \d+, .*\): install that version$"
    ):
        open_ledger(tmp_path)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as other:
        other.execute("CREATE TABLE notes (text)")
    other.close()
    with pytest.raises(ConfigError, match="no ledger"):
        open_ledger(tmp_path)
    (tmp_path / "ledger.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(LedgerDamaged):
        open_ledger(tmp_path)


def test_a_closed_ledger_takes_nothing(ledger: SqliteLedger) -> None:
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerUnavailable):
        ledger.commit_now(one_case("c1", "v1"))


async def test_closing_writes_what_waits(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    waiting = [asyncio.ensure_future(ledger.commit(one_case(f"c{n}", f"v{n}"))) for n in range(100)]
    await asyncio.wait(waiting, timeout=0)
    ledger.close()
    assert await asyncio.gather(*waiting) == list(range(1, 101))


async def test_a_caller_that_leaves_disturbs_nobody(ledger: SqliteLedger) -> None:
    leaver = asyncio.ensure_future(ledger.commit(one_case("c1", "v1")))
    await asyncio.wait([leaver], timeout=0)
    leaver.cancel()
    await ledger.commit(one_case("c2", "v2"))
    assert await ledger.case("c2") is not None


async def test_a_caller_outside_of_any_loop_commits_too(ledger: SqliteLedger) -> None:
    assert await asyncio.to_thread(ledger.commit_now, one_case("c1", "v1")) == 1
    with pytest.raises(KeyTaken):
        await asyncio.to_thread(ledger.commit_now, one_case("c1", "v1"))


def test_the_journal_is_append_only(ledger: SqliteLedger) -> None:
    ledger.commit_now(Change(ORG, events=(event(),)))
    for statement in ("UPDATE journal SET kind = 'X'", "DELETE FROM journal"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            write_connection(ledger).execute(statement)


@contextlib.contextmanager
def failing_writes(file: Path) -> Iterator[None]:
    """The system refuses to let any file of this process grow beyond that one's size: SQLite sees an I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_after_a_fault_of_the_disk_nothing_is_written_and_reads_go_on(
    tmp_path: Path, ledger: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    await ledger.commit(one_case("c1", "v1"))
    statements: list[str] = []
    write_connection(ledger).set_trace_callback(statements.append)
    with failing_writes(tmp_path / "ledger.db-wal"):
        waiting = [ledger.commit(one_case(f"w{n}", f"w{n}", told={"text": "x" * 100_000})) for n in range(100)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {LedgerUnavailable}
    assert "disk I/O error" in ledger.trouble
    with pytest.raises(LedgerUnavailable):
        await ledger.commit(one_case("c3", "v3"))
    assert statements.count("BEGIN IMMEDIATE") == 1
    assert [record.levelno for record in caplog.records if "the ledger stops" in record.message] == [logging.CRITICAL]
    assert await ledger.case("c1") is not None
    assert await ledger.case("w0") is None
    ledger.close()
    with open_ledger(tmp_path) as again:
        await again.commit(one_case("c3", "v3"))


async def test_a_full_disk_gets_the_ballast_and_stops_when_that_doesnt_help(tmp_path: Path) -> None:
    with open_ledger(tmp_path, ballast_bytes=1 << 20) as ledger:
        ballast = tmp_path / "ledger.db.ballast"
        assert ballast.stat().st_size == 1 << 20
        connection = write_connection(ledger)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLITE_FULL, as from a full disk
        with pytest.raises(LedgerUnavailable, match="full"):
            await ledger.commit(Change(ORG, events=(event(raw=bytes(1 << 20)),)))
        assert not ballast.exists()
        assert ledger.trouble


async def test_low_on_space_new_work_is_refused_and_work_under_way_is_written(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        await ledger.commit(one_case("c1", "v1"))
    with open_ledger(tmp_path, free_bytes_min=1 << 60) as ledger:
        with pytest.raises(LedgerUnavailable, match="nearly full"):
            await ledger.commit(one_case("c2", "v2"))
        await ledger.commit(
            Change(ORG, events=(event("OUTCOME"),), cases=(case(version=2, state=State.SETTLED),), calls=(call("k9"),))
        )
        assert ledger.trouble == ""


def test_the_ballast_of_another_opening_stays(tmp_path: Path) -> None:
    open_ledger(tmp_path, ballast_bytes=1 << 20).close()
    open_ledger(tmp_path, ballast_bytes=0).close()
    assert (tmp_path / "ledger.db.ballast").stat().st_size == 1 << 20


def test_no_ballast_is_laid_where_it_would_take_the_reserve(tmp_path: Path) -> None:
    open_ledger(tmp_path, ballast_bytes=1 << 20, free_bytes_min=1 << 60).close()
    assert not (tmp_path / "ledger.db.ballast").exists()


FULL_DISK = """
import asyncio, os, subprocess, sys
from pathlib import Path
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)], check=True)
sys.path.insert(0, sys.argv[2])
from adapter_core.ledger.sealing import MasterKey
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.records import Change, Event
from datetime import UTC, datetime
class Clock:
    def mono(self): return 0.0
    def wall(self): return datetime(2026, 11, 21, tzinfo=UTC)
ledger = SqliteLedger.open(folder / "ledger.db", MasterKey(bytes(32)), environment="test", clock=Clock(), ballast_bytes=1 << 20, free_bytes_min=0)
ballast = folder / "ledger.db.ballast"
assert ballast.exists()
while ballast.exists():
    seq = ledger.commit_now(Change("o", events=(Event("REPLY", "", raw=bytes(50000)),)))
assert ledger.trouble == ""
print(seq, ledger.commit_now(Change("o", events=(Event("OUTCOME", ""),))))
"""


def test_on_a_really_full_disk_the_ballast_makes_room_for_the_outcome(tmp_path: Path) -> None:
    own_mounts = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*own_mounts, "mount", "-t", "tmpfs", "none", str(tmp_path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small file system can be mounted here")
    project = str(Path(__file__).parents[2])
    done = subprocess.run(
        [*own_mounts, sys.executable, "-c", FULL_DISK, str(tmp_path), project],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    reply, outcome = map(int, done.stdout.split())
    assert outcome == reply + 1 > 10


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_master_key_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    create_master_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_master_key(path).key_id == read_master_key(path).key_id
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_master_key(path)


def test_a_master_key_is_never_overwritten_and_has_32_bytes(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    create_master_key(path)
    with pytest.raises(ConfigError, match="never overwritten"):
        create_master_key(path)
    path.write_bytes(bytes(31))
    with pytest.raises(ConfigError, match="32 bytes"):
        read_master_key(path)
    with pytest.raises(ConfigError, match="can't be read"):
        read_master_key(tmp_path / "absent")


def test_an_existing_ledger_opens_without_sqlalchemy(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    script = (
        "import sys; from pathlib import Path\n"
        "from adapter_core.ledger.sealing import MasterKey; from adapter_core.ledger.sqlite import SqliteLedger\n"
        "SqliteLedger.open(Path(sys.argv[1]), MasterKey(bytes(range(32))), environment='test', clock=None, ballast_bytes=0).close()\n"
        "assert 'sqlalchemy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "ledger.db")], check=True)


def test_an_old_sqlite_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    open_ledger(tmp_path).close()
    assert "WAL-reset bug" in caplog.text
    caplog.clear()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    open_ledger(tmp_path).close()
    assert caplog.text == ""
