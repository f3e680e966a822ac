"""The contract on a real PostgreSQL, and what only a server can do: replicas, lost connections, lost COMMITs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_core.ledger.sealing import MasterKey
from adapter_core.settlement.ports import Conflict, KeyTaken, MsgidTaken, VersionMoved, VisitHeld
from adapter_core.settlement.records import Alias, Change
from adapter_core.settlement.states import State
from adapter_core.values.copies import replace
from adapter_core.values.errors import ConfigError, LedgerDamaged, LedgerUnavailable

from .ledger_contract import ORG, LedgerContract, bill, call, case, encounter, event, one_case
from .postgres_server import TestServer, postgres_server

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("psycopg_pool", reason="psycopg-pool is not installed")

import psycopg

from adapter_core.ledger import postgres_inspection as inspection
from adapter_core.ledger.inspection import Reading
from adapter_core.ledger.postgres import BLOCK, PostgresLedger
from adapter_core.ledger.witness import Witness
from adapter_core.ledger.witnessed import Witnessed
from tests.clocks import HandClock

from .postgres_proxy import Proxy, proxy_to

MASTER = MasterKey(bytes(range(32)))
CANARIES = ("测试甲", "36010119000101001X", "13000000000")


async def open_ledger(
    url: str, *, keys: MasterKey = MASTER, clock: HandClock | None = None, **more: Any
) -> PostgresLedger:
    return await PostgresLedger.open(url, keys, **{"environment": "test", "clock": clock or HandClock(), **more})


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    found = postgres_server()
    yield found
    found.drop_databases()


@pytest.fixture
def url(server: TestServer) -> str:
    return server.new_database()


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[PostgresLedger]:
    async with await open_ledger(url) as opened:
        yield opened


@pytest.fixture
async def replicas(url: str) -> AsyncIterator[tuple[PostgresLedger, PostgresLedger]]:
    async with await open_ledger(url) as one, await open_ledger(url) as two:
        yield one, two


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Proxy]:
    async with proxy_to(url) as opened:
        yield opened


def execute(url: str, statement: str, *parameters: Any) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


class TestPostgresLedger(LedgerContract):
    @pytest.fixture
    async def ledger(self, url: str) -> AsyncIterator[PostgresLedger]:
        async with await open_ledger(url) as opened:
            yield opened


# Durable, bound, refused


async def test_everything_is_there_after_a_restart(url: str) -> None:
    written = Change(
        ORG, events=(event(raw=b"\x00"),), cases=(case(told={"x": "y"}),), search=(("tel", "13000000000", "c1"),)
    )
    async with await open_ledger(url) as first:
        await first.commit(written)
    async with await open_ledger(url) as second:
        found = await second.case("c1")
        assert found is not None
        assert found.told == {"x": "y"}
        assert await second.events_of_case("c1") == [event(raw=b"\x00")]
        assert await second.find("tel", "13000000000") == ["c1"]
        assert await second.commit(Change(ORG, events=(event(),))) == 2
        assert len(await second.links_of_case("c1")) == 2


@pytest.mark.parametrize("setting", ["off", "local", "remote_write"])
async def test_a_server_that_may_forget_is_refused(url: str, setting: str) -> None:
    name = execute(url, "SELECT current_database()")[0][0]
    execute(url, f"ALTER DATABASE {name} SET synchronous_commit = '{setting}'")
    with pytest.raises(ConfigError, match=f"synchronous_commit {setting}"):
        await open_ledger(url)


async def test_the_sessions_have_limits_and_a_later_setting_doesnt_loosen_them(
    server: TestServer, ledger: PostgresLedger
) -> None:
    server.owned()
    names = ["synchronous_commit", "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"]
    await ledger.commit(one_case("c1", "v1"))
    try:
        server.execute("ALTER SYSTEM SET synchronous_commit = off")
        server.execute("SELECT pg_reload_conf()")
        await until(server.url, "SELECT 1 WHERE current_setting('synchronous_commit') = 'off'")
        async with ledger._database.connection() as connection:
            found = [(await (await connection.execute(f"SHOW {name}")).fetchone() or ("",))[0] for name in names]
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_commit")
        server.execute("SELECT pg_reload_conf()")
    await until(server.url, "SELECT 1 WHERE current_setting('synchronous_commit') = 'on'")
    assert found == ["on", "5s", "10s", "10s"]


async def test_new_connections_to_a_loosened_server_are_refused(url: str) -> None:
    async with await open_ledger(url, patience_s=0.3) as ledger:
        name = execute(url, "SELECT current_database()")[0][0]
        execute(url, f"ALTER DATABASE {name} SET synchronous_commit = off")
        end_sessions(url)
        with pytest.raises(LedgerUnavailable):
            await ledger.commit(one_case("c1", "v1"))


async def test_a_ledger_belongs_to_one_environment_and_one_master_key(url: str) -> None:
    await (await open_ledger(url)).close()
    for read_only in (False, True):
        with pytest.raises(ConfigError, match="'test', not for 'production'"):
            await open_ledger(url, environment="production", read_only=read_only)
        with pytest.raises(ConfigError, match="sealed with master key"):
            await open_ledger(url, keys=MasterKey(bytes(32)), read_only=read_only)
    await (await open_ledger(url)).close()


async def test_a_newer_ledger_is_refused_in_one_line(url: str) -> None:
    await (await open_ledger(url)).close()
    execute(url, "UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    for read_only in (False, True):
        with pytest.raises(
            ConfigError, match=r"^the ledger was written by a newer his-adapter \(schema 99, .*version$"
        ):
            await open_ledger(url, read_only=read_only)


@pytest.mark.parametrize("table", ["meta (note text)", "cases (note text)"])
async def test_a_database_of_something_else_is_refused(url: str, table: str) -> None:
    execute(url, f"CREATE TABLE {table}")
    with pytest.raises(ConfigError, match="one of its own"):
        await open_ledger(url)


async def test_a_url_is_never_shown_with_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        await open_ledger("postgresql://user:secret@[host/ledger")
    with pytest.raises(LedgerUnavailable) as unreachable:
        await open_ledger(psycopg.conninfo.make_conninfo(url, password="secret", dbname="absent"))
    assert "secret" not in f"{refused.value}{unreachable.value}"


async def test_a_reader_sees_commits_and_writes_nothing(url: str, ledger: PostgresLedger) -> None:
    async with await open_ledger(url, read_only=True) as reader:
        await ledger.commit(one_case("c1", "v1"))
        assert await reader.case("c1") is not None
        with pytest.raises(LedgerUnavailable):
            await reader.commit(one_case("c2", "v2"))
        with pytest.raises(LedgerUnavailable):
            reader.sequence(ORG)
        with pytest.raises(LedgerUnavailable, match="read-only"):
            await reader._database.rows("DELETE FROM cases")


async def test_read_only_makes_no_ledger(url: str) -> None:
    with pytest.raises(ConfigError, match="no ledger"):
        await open_ledger(url, read_only=True)
    assert execute(url, "SELECT to_regclass('meta')") == [(None,)]


async def test_a_text_postgresql_cant_hold_is_its_makers_mistake(ledger: PostgresLedger) -> None:
    with pytest.raises(ValueError, match="hold"):
        await ledger.commit(one_case("c\x00", "v1"))
    with pytest.raises(ValueError, match="hold"):
        await ledger.case("c\x00")
    assert await ledger.commit(one_case("c1", "v1")) == 1


async def test_a_closed_ledger_takes_nothing(url: str) -> None:
    ledger = await open_ledger(url)
    waiting = [asyncio.ensure_future(ledger.commit(one_case(f"c{n}", f"v{n}"))) for n in range(20)]
    await asyncio.wait(waiting, timeout=0)
    await ledger.close()
    assert [task.result() for task in waiting] == list(range(1, 21))
    with pytest.raises(LedgerUnavailable):
        await ledger.commit(one_case("late", "late"))


async def test_a_caller_that_leaves_breaks_nothing_off(ledger: PostgresLedger) -> None:
    leaver = asyncio.ensure_future(ledger.commit(one_case("c1", "v1")))
    await asyncio.wait([leaver], timeout=0)
    leaver.cancel()
    assert await ledger.commit(one_case("c2", "v2")) == 2
    assert await ledger.case("c1") is not None


# The journal


async def test_the_journal_is_append_only(url: str, ledger: PostgresLedger) -> None:
    await ledger.commit(Change(ORG, events=(event(),)))
    for statement in ("UPDATE journal SET kind = 'X'", "DELETE FROM journal", "TRUNCATE journal"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            execute(url, statement)


async def test_edits_behind_the_ledgers_back_are_found(url: str) -> None:
    async with await open_ledger(url) as ledger:
        await ledger.commit(Change(ORG, events=(event("A"), event("B"), event("C"))))
    assert inspection.verify(url, MASTER).is_whole
    execute(url, "DROP TRIGGER journal_append_only ON journal")
    execute(url, "UPDATE journal SET kind = 'X' WHERE seq = 2")
    found = inspection.verify(url)
    assert [(chain.org, chain.broken_seq) for chain in found.chains] == [(ORG, 2)]
    with pytest.raises(LedgerDamaged, match="damaged at 2"):
        await open_ledger(url)


async def test_nothing_is_appended_behind_a_head_written_without_the_master_key(
    url: str, ledger: PostgresLedger
) -> None:
    await ledger.commit(Change(ORG, events=(event("A"), event("B"))))
    execute(url, "UPDATE heads SET seq = 1, hash = (SELECT hash FROM journal WHERE seq = 1)")
    with pytest.raises(LedgerDamaged):
        await ledger.commit(Change(ORG, events=(event("C"),)))
    assert execute(url, "SELECT count(*) FROM journal") == [(2,)]


async def test_no_personal_value_lies_in_the_database_readable(url: str, ledger: PostgresLedger) -> None:
    person = dict(zip(("psn_name", "certno", "tel"), CANARIES, strict=True))
    await ledger.commit(
        Change(
            ORG,
            events=(event("REPLY", person, raw="".join(CANARIES).encode()),),
            encounter=encounter(content=person, standing=person),
            bills=(bill(content=person),),
            cases=(case(told=person, data=person),),
            aliases=tuple(Alias(ORG, "d", "any", value, case_id="c1") for value in CANARIES),
            search=tuple((kind, value, "c1") for kind, value in person.items()),
        )
    )
    tables = [row[0] for row in execute(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    stored = [str(row[0]) for table in tables for row in execute(url, f"SELECT t::text FROM {table} t")]
    assert any("REPLY" in row for row in stored)
    for canary in CANARIES:
        assert not any(canary in row or canary.encode().hex() in row for row in stored)


def test_export_gives_the_journal_and_is_journalled_itself(url: str) -> None:
    async def write() -> None:
        async with await open_ledger(url) as ledger:
            await ledger.commit(Change(ORG, events=(event("A", {"n": "1"}), event("B", raw=b"raw"))))

    asyncio.run(write())
    assert [row["kind"] for row in inspection.export(url)] == ["A", "B"]
    rows = list(inspection.export(url, Reading(MASTER, "auditor 测试乙", HandClock())))
    assert [row["kind"] for row in rows] == ["A", "B", "READ"]
    assert (rows[0]["data"], rows[1]["raw"], rows[2]["data"]["reader"]) == ({"n": "1"}, "cmF3", "auditor 测试乙")
    with pytest.raises(ConfigError, match="sealed with master key"):
        list(inspection.export(url, Reading(MasterKey(bytes(32)), "x", HandClock())))


# Data keys and numbers


async def test_replicas_that_make_a_days_key_at_once_share_one(url: str) -> None:
    clock = HandClock()
    async with (
        await open_ledger(url, clock=clock) as one,
        await open_ledger(url, clock=clock) as two,
        await open_ledger(url, clock=clock) as three,
    ):
        for day in (21, 22, 23):
            clock.now = clock.now.replace(day=day)
            changes = [one_case(f"c{day}{n}", f"v{day}{n}") for n in range(3)]
            await asyncio.gather(*(ledger.commit(c) for ledger, c in zip((one, two, three), changes, strict=True)))
        days = execute(url, "SELECT key_id, day FROM data_keys ORDER BY key_id")
        assert days == [(1, "2026-11-21"), (2, "2026-11-22"), (3, "2026-11-23")]
        for ledger in (one, two, three):
            assert [len(await ledger.events_of_case(f"c{day}{n}")) for day in (21, 22, 23) for n in range(3)] == [1] * 9


async def test_a_data_key_that_went_with_a_lost_tail_seals_nothing_more(url: str, ledger: PostgresLedger) -> None:
    await ledger.commit(Change(ORG, cases=(case(),)))
    made_by_another = MASTER.new_data_key(1, "2026-11-21")
    execute(url, "UPDATE data_keys SET wrapped = %s WHERE key_id = 1", made_by_another.wrapped)
    await ledger.commit(one_case("c2", "v2"))
    async with await open_ledger(url) as fresh:
        assert [e.data for e in await fresh.events_of_case("c2")] == [{"name": "c2"}]


async def test_no_number_is_drawn_twice_by_replicas_and_restarts(url: str) -> None:
    drawn: list[int] = []
    for _ in range(2):
        async with await open_ledger(url) as one, await open_ledger(url) as two:
            first = [ledger.sequence(ORG) for _ in range(50) for ledger in (one, two)]
            assert not drawn or min(first) > max(drawn)
            drawn += first
    assert len(set(drawn)) == 200


async def test_numbers_go_on_over_the_end_of_a_block(ledger: PostgresLedger) -> None:
    drawn = [ledger.sequence(ORG) for _ in range(BLOCK + 1)]
    await ledger.commit(one_case("c1", "v1"))
    drawn += [ledger.sequence(ORG) for _ in range(2 * BLOCK - 1)]
    assert drawn == list(range(1, 3 * BLOCK + 1))
    with pytest.raises(LedgerUnavailable, match="numbers"):
        ledger.sequence(ORG)
    assert ledger.sequence("other") == 1
    await ledger.commit(one_case("c2", "v2"))
    assert ledger.sequence(ORG) == 3 * BLOCK + 1


# Replicas


@pytest.mark.parametrize(
    ("one", "two", "refusal"),
    [
        (one_case("a", "v"), one_case("b", "v"), VisitHeld),
        (one_case("a", "v1", key="k"), one_case("b", "v2", key="k"), KeyTaken),
        (Change(ORG, calls=(call("a", msgid="m"),)), Change(ORG, calls=(call("b", msgid="m"),)), MsgidTaken),
        (
            Change(ORG, encounter=encounter("a", encounter_key="k")),
            Change(ORG, encounter=encounter("b", encounter_key="k")),
            KeyTaken,
        ),
        (
            Change(ORG, cases=(case("base", visit_key="base", version=2, owner="r1", epoch=1),)),
            Change(ORG, cases=(case("base", visit_key="base", version=2, owner="r2", epoch=1),)),
            VersionMoved,
        ),
    ],
    ids=["visit", "key", "msgid", "encounter", "version"],
)
async def test_of_two_replicas_exactly_one_wins(
    replicas: tuple[PostgresLedger, PostgresLedger], one: Change, two: Change, refusal: type[Conflict]
) -> None:
    await replicas[0].commit(one_case("base", "base"))
    outcomes = await asyncio.gather(replicas[0].commit(one), replicas[1].commit(two), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {int, refusal}


async def test_the_owner_that_lost_its_case_writes_nothing_more(
    replicas: tuple[PostgresLedger, PostgresLedger],
) -> None:
    one, two = replicas
    mine = case(owner="r1", epoch=1, state=State.SENDING)
    await one.commit(Change(ORG, cases=(mine,)))
    claimed = replace(mine, owner="r2", epoch=2, version=2, state=State.RESOLVING)
    await two.commit(Change(ORG, cases=(claimed,)))
    with pytest.raises(VersionMoved):
        await one.commit(
            Change(ORG, events=(event("OUTCOME"),), cases=(replace(mine, version=2, state=State.SETTLED),))
        )
    assert await one.case("c1") == claimed
    assert await one.events_of_case("c1") == []


async def test_the_chain_holds_after_concurrent_commits_of_two_replicas(
    url: str, replicas: tuple[PostgresLedger, PostgresLedger]
) -> None:
    changes = [(replicas[n % 2], one_case(f"c{n}", f"v{n}")) for n in range(200)]
    seqs = await asyncio.gather(*(ledger.commit(change) for ledger, change in changes))
    assert sorted(seqs) == list(range(1, 201))
    verdicts = inspection.verify(url, MASTER).chains
    assert [(chain.org, chain.events, chain.is_whole) for chain in verdicts] == [(ORG, 200, True)]


async def test_changes_that_wait_together_share_a_commit_and_a_conflict_is_its_own_makers(
    url: str, ledger: PostgresLedger
) -> None:
    await ledger.commit(Change(ORG, cases=(case("taken", visit_key="v-taken"),)))
    changes = [Change(ORG, events=(event(),), cases=(case(f"c{n}", visit_key=f"v{n}"),)) for n in range(20)]
    told = await asyncio.gather(*map(ledger.commit, changes))
    assert sorted(told) == list(range(1, 21))
    [(transactions,)] = execute(url, "SELECT count(DISTINCT xmin::text) FROM journal")
    assert transactions <= 3  # the first went alone, the others waited for it
    repeat = Change(ORG, events=(event(),), cases=(case("again", key="key-taken", visit_key="v-again"),))
    others = [Change(ORG, events=(event(),), cases=(case(f"d{n}", visit_key=f"w{n}"),)) for n in range(5)]
    heard = await asyncio.gather(*map(ledger.commit, [*others[:3], repeat, *others[3:]]), return_exceptions=True)
    assert [type(one) for one in heard] == [int, int, int, KeyTaken, int, int]
    assert all([await ledger.case(f"d{n}") for n in range(5)])


async def test_orgs_dont_wait_for_each_other(url: str, ledger: PostgresLedger) -> None:
    await ledger.commit(Change(ORG, events=(event(),)))
    with psycopg.connect(url) as other:
        other.execute("SELECT 1 FROM heads WHERE org = %s FOR UPDATE", (ORG,))
        assert await ledger.commit(Change("other", events=(event(),))) == 1


async def test_a_lock_held_too_long_is_given_up_and_stores_nothing(url: str) -> None:
    async with await open_ledger(url, patience_s=0.1) as ledger:
        await ledger.commit(one_case("c1", "v1"))
        with psycopg.connect(url) as other:
            other.execute("SELECT 1 FROM heads FOR UPDATE")
            with pytest.raises(LedgerUnavailable, match="lock timeout") as refused:
                await ledger.commit(one_case("c2", "v2"))
        assert refused.value.code == "LEDGER_UNAVAILABLE"
        assert await ledger.commit(one_case("c2", "v2")) == 2


# Lost connections and lost COMMITs


def end_sessions(url: str) -> None:
    """As an administrator, a failover or a restart does it."""
    execute(
        url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


async def test_sessions_that_ended_meanwhile_cost_no_change_and_no_reading(url: str, ledger: PostgresLedger) -> None:
    await asyncio.gather(*(ledger.case(f"c{n}") for n in range(8)))
    end_sessions(url)
    assert await ledger.commit(one_case("c1", "v1")) == 1
    end_sessions(url)
    assert await ledger.case("c1") is not None


async def test_a_session_that_ends_before_commit_stores_its_change_once(url: str, ledger: PostgresLedger) -> None:
    await ledger.commit(Change(ORG, events=(event(),)))
    with contextlib.suppress(psycopg.errors.AdminShutdown), psycopg.connect(url) as other:
        other.execute("SELECT 1 FROM heads FOR UPDATE")
        waiting = asyncio.ensure_future(ledger.commit(one_case("c1", "v1")))
        await until(url, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        # Ends the holder of the lock as well.
        end_sessions(url)
    assert await waiting == 2
    assert [e.data for e in await ledger.events_of_case("c1")] == [{}, {"name": "c1"}]


async def until(url: str, condition: str) -> None:
    """Ask the server until it holds."""
    async with asyncio.timeout(10), await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while await (await connection.execute(condition)).fetchone() is None:
            pass


WITH_EVENT = one_case("c1", "v1")
WITHOUT_EVENT = Change(ORG, cases=(case("c1"), case("c0", visit_key="v0", state=State.CANCELLED)), bills=(bill(),))
CALL_ALONE = Change(ORG, calls=(call("k1"),))


@pytest.mark.parametrize("change", [WITH_EVENT, WITHOUT_EVENT, CALL_ALONE], ids=["event", "records", "call"])
@pytest.mark.parametrize(("fault", "commits"), [("swallow", 2), ("mute", 2), ("hold", 2)])
async def test_a_lost_commit_is_decided_and_the_change_stored_once(
    url: str, proxy: Proxy, fault: str, commits: int, change: Change
) -> None:
    async with await open_ledger(proxy.url) as ledger:
        await ledger.commit(Change(ORG, events=(event("FIRST"),)))
        proxy.commits, proxy.fault = 0, fault
        expected = 1 + len(change.events)
        assert await ledger.commit(change) == expected
        assert proxy.commits == commits
        late = await proxy.release()
        assert all(b"COMMIT\x00" not in answer for answer in late)
        assert execute(url, "SELECT count(*) FROM journal") == [(expected,)]
        assert len(await ledger.calls_of_case("c1")) == len(change.calls)
        with pytest.raises((KeyTaken, VersionMoved)):
            await ledger.commit(change)
    assert inspection.verify(url, MASTER).is_whole


@pytest.mark.parametrize("fault", ["swallow", "mute", "hold"])
async def test_a_lost_commit_of_many_is_decided_for_each(url: str, proxy: Proxy, fault: str) -> None:
    async with await open_ledger(proxy.url) as ledger:
        await ledger.commit(Change(ORG, events=(event("FIRST"),)))
        waiting = [asyncio.ensure_future(ledger.commit(one_case(f"c{n}", f"v{n}"))) for n in range(6)]
        await waiting[0]
        proxy.fault = fault  # meets the five that go together
        assert sorted(await asyncio.gather(*waiting)) == [2, 3, 4, 5, 6, 7]
        await proxy.release()
        assert execute(url, "SELECT count(*) FROM journal") == [(7,)]
    assert inspection.verify(url, MASTER).is_whole


async def test_a_landed_commit_is_not_written_again(url: str, proxy: Proxy) -> None:
    async with await open_ledger(proxy.url) as ledger:
        await ledger.commit(one_case("c1", "v1"))
        proxy.fault = "mute"
        # Written twice it would be refused, or leave a second row version of the same change.
        await ledger.commit(Change(ORG, cases=(case(version=2, owner="r1"),)))
        assert execute(url, "SELECT count(*) FROM cases") == [(1,)]
        proxy.fault = "mute"
        assert await ledger.commit(Change(ORG, aliases=(Alias(ORG, "d", "kind", "value"),))) == 1


async def test_a_server_that_falls_silent_at_commit_is_cut_off(url: str, proxy: Proxy) -> None:
    async with await open_ledger(proxy.url, patience_s=0.2) as ledger:
        proxy.fault = "silence"
        assert await ledger.commit(one_case("c1", "v1")) == 1
        assert execute(url, "SELECT count(*) FROM journal") == [(1,)]


async def test_a_lost_commit_nobody_can_ask_about_is_told_as_undecided(url: str, proxy: Proxy) -> None:
    async with await open_ledger(proxy.url, patience_s=0.3) as ledger:
        await ledger.commit(one_case("c1", "v1"))
        proxy.fault, proxy.is_closed = "mute", True
        with pytest.raises(LedgerUnavailable) as lost:
            await ledger.commit(Change(ORG, cases=(case(version=2, owner="r1"),)))
        assert lost.value.code == "LEDGER_UNDECIDED"
        proxy.is_closed = False
        # The versioned write decides.
        with pytest.raises(VersionMoved):
            await ledger.commit(Change(ORG, cases=(case(version=2, owner="r2"),)))
        found = await ledger.case("c1")
        assert found is not None
        assert found.owner == "r1"


@pytest.mark.parametrize("ended_by", ["deadline", "administrator"])
async def test_a_commit_the_standby_didnt_confirm_is_not_acknowledged(
    server: TestServer, url: str, ended_by: str
) -> None:
    server.owned()
    async with await open_ledger(url, patience_s=0.2) as ledger:
        await ledger.commit(one_case("c1", "v1"))
        try:
            server.execute("ALTER SYSTEM SET synchronous_standby_names = 'absent'")
            server.execute("SELECT pg_reload_conf()")
            await until(url, "SELECT 1 WHERE current_setting('synchronous_standby_names') = 'absent'")
            waiting = asyncio.ensure_future(ledger.commit(one_case("c2", "v2")))
            if ended_by == "administrator":
                # The server says COMMIT then, as if all were well, and only warns.
                cancel = (
                    "SELECT 1 FROM pg_stat_activity "
                    "WHERE CASE WHEN wait_event = 'SyncRep' THEN pg_cancel_backend(pid) ELSE false END"
                )
                await until(url, cancel)
            with pytest.raises(LedgerUnavailable) as waited:
                await waiting
            assert waited.value.code == "LEDGER_UNDECIDED"
        finally:
            server.execute("ALTER SYSTEM RESET synchronous_standby_names")
            server.execute("SELECT pg_reload_conf()")
        await until(url, "SELECT 1 WHERE current_setting('synchronous_standby_names') = ''")
        with pytest.raises(KeyTaken):
            await ledger.commit(one_case("c2", "v2"))
        assert await ledger.commit(one_case("c3", "v3")) == 3


async def test_a_stopped_server_is_told_and_a_restarted_one_serves_again(server: TestServer, url: str) -> None:
    server.owned()
    async with await open_ledger(url, patience_s=0.3) as ledger:
        await asyncio.gather(*(ledger.commit(one_case(f"c{n}", f"v{n}")) for n in range(10)))
        before = (ledger.lineage, ledger.connections)
        await asyncio.to_thread(server.stop)
        try:
            for _ in range(2):
                with pytest.raises(LedgerUnavailable):
                    await ledger.commit(one_case("late", "late"))
                with pytest.raises(LedgerUnavailable):
                    await ledger.case("c1")
        finally:
            await asyncio.to_thread(server.start)
        assert await ledger.commit(one_case("next", "next")) == 11
        assert await ledger.case("late") is None
        assert len(await ledger.cases_in([State.PREPARING])) == 11
        assert ledger.lineage == before[0]
        assert ledger.connections > before[1]


async def test_the_lineage_is_recorded_and_another_one_shows(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with await open_ledger(url) as first:
        assert first.recorded is None
        assert first.lineage.timeline == "00000001"
        assert int(first.lineage.system_identifier) > 0
    async with await open_ledger(url) as second:
        assert second.recorded == second.lineage == first.lineage
    execute(url, "UPDATE meta SET value = '1 00000000' WHERE name = 'lineage'")
    async with await open_ledger(url) as moved:
        assert moved.recorded != moved.lineage
        assert "compare the witness" in caplog.text
        await moved.record_lineage()
    async with await open_ledger(url, read_only=True) as last:
        assert last.recorded == moved.lineage


async def let_out(ledger: Witnessed, case_id: str) -> None:
    written = case(case_id, visit_key=case_id)
    await ledger.commit(Change(ORG, events=(event("TOLD", case_id=case_id),), cases=(written,)))


async def test_after_a_failover_every_known_witness_is_waited_for(url: str, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one", "two")]
    with Witness(paths[0]) as mine, Witness(paths[1]) as theirs:
        async with await open_ledger(url) as first, await open_ledger(url) as second:
            await let_out(Witnessed(first, mine), "c1")
            await let_out(Witnessed(second, theirs), "c2")
        execute(
            url, "UPDATE meta SET value = '1 00000000' WHERE starts_with(name, 'witness ')"
        )  # the timeline moved since
        async with await open_ledger(url) as first, await open_ledger(url) as second:
            waiting, other = Witnessed(first, mine), Witnessed(second, theirs)
            for asked in (waiting.case("c1"), let_out(waiting, "c3"), waiting.cases_in([State.PREPARING])):
                with pytest.raises(LedgerUnavailable, match=theirs.name) as refused:
                    await asked
                assert refused.value.code == "LEDGER_BEHIND"
            assert await first.case("c3") is None
            assert await other.case("c2") is not None
            await let_out(waiting, "c3")


async def test_what_one_witness_misses_stops_every_replica(url: str, tmp_path: Path) -> None:
    with Witness(tmp_path / "one") as mine, Witness(tmp_path / "two") as theirs:
        theirs.append(ORG, "lost", 1, "ab" * 32)
        async with await open_ledger(url) as first, await open_ledger(url) as second:
            with pytest.raises(LedgerUnavailable, match="lost its tail"):
                await let_out(Witnessed(second, theirs), "c1")
            with pytest.raises(LedgerUnavailable, match=theirs.name):
                await let_out(Witnessed(first, mine), "c1")
            assert await first.case("c1") is None
            assert await first.forget_witness(theirs.name)
            assert not await first.forget_witness(theirs.name)
            await let_out(Witnessed(first, mine), "c1")
