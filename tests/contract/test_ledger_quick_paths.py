"""The ledger's short cuts give what the long way gives: columns left alone, batches without savepoints, answers from memory."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_core.ledger import documents, recent, sealing
from adapter_core.ledger.recent import ALIASES_MAX, RecentAliases
from adapter_core.ledger.sealing import MasterKey
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.ports import VersionMoved, VisitHeld
from adapter_core.settlement.records import Alias, Change, Encounter
from adapter_core.settlement.states import State
from adapter_core.values.copies import replace
from tests.clocks import HandClock

from .ledger_contract import ORG, bill, call, case, event, one_case

STRICT = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
LEAVES = st.one_of(
    NUMBERS,
    st.text().map(json.dumps),
    st.text().map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(["true", "false", "null", "-0", "NaN", "-Infinity", r'"\ud800"', '":-0"', '"2026-01-02"', "2e64"]),
)


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    gap = st.sampled_from(["", " ", "\n"])
    members = st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '""']), inner), max_size=4)
    rows = st.tuples(st.lists(inner, max_size=4), gap).map(lambda made: f"[{(',' + made[1]).join(made[0])}]")
    objects = st.tuples(members, gap).map(
        lambda made: "{" + f",{made[1]}".join(f"{key}:{made[1]}{value}" for key, value in made[0]) + "}"
    )
    return rows | objects


@given(st.recursive(LEAVES, _nested, max_leaves=12))
def test_documents_are_read_as_the_strict_reader_reads_them(value: str) -> None:
    text = f'{{"x":{value}}}'
    assert repr(documents.decode(text.encode("utf-8"))) == repr(STRICT.decode(text))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    made = SqliteLedger.open(
        tmp_path / "ledger.db",
        MasterKey(bytes(range(32))),
        environment="test",
        clock=HandClock(),
        ballast_bytes=0,
        free_bytes_min=0,
    )
    with made:
        yield made


def connection(ledger: SqliteLedger) -> sqlite3.Connection:
    assert ledger._write_connection is not None
    return ledger._write_connection


async def test_an_update_leaves_the_indexed_columns_that_last_alone(ledger: SqliteLedger) -> None:
    await ledger.commit(one_case("c1", "v1"))
    statements: list[str] = []
    connection(ledger).set_trace_callback(statements.append)
    await ledger.commit(Change(ORG, cases=(case(version=2, state=State.SETTLED),)))
    connection(ledger).set_trace_callback(None)
    (update,) = (statement for statement in statements if statement.startswith("UPDATE cases"))
    settings = update.partition(" WHERE ")[0]
    assert "state = " in settings
    assert not any(f" {column} = " in settings for column in ("case_id", "key", "visit_key", "holds_visit"))
    assert not any(statement.startswith("SAVEPOINT") for statement in statements)


async def test_a_column_that_lasts_may_change_all_the_same(ledger: SqliteLedger) -> None:
    await ledger.commit(one_case("c1", "v1"))
    moved = case(visit_key="v2", bill_id="b2", version=2)
    await ledger.commit(Change(ORG, events=(event("MOVED"),), cases=(moved,)))
    assert await ledger.case("c1") == moved
    assert await ledger.holder(ORG, "v1") is None
    assert (await ledger.cases_of_bill("b2"))[0].visit_key == "v2"
    released = replace(moved, state=State.NOT_SENT, version=3)
    await ledger.commit(Change(ORG, cases=(released,)))
    assert await ledger.holder(ORG, "v2") is None
    assert await ledger.commit(Change(ORG, events=(event(),))) == 3


async def test_one_bad_change_of_a_batch_takes_down_itself_alone(ledger: SqliteLedger) -> None:
    await ledger.commit(one_case("c0", "v0"))
    good = [one_case(f"c{n}", f"v{n}") for n in range(1, 9)]
    held = one_case("c9", "v3")
    moved = Change(ORG, events=(event("LOST"),), cases=(case("c0", version=5),))
    told = await asyncio.gather(*map(ledger.commit, [*good, held, moved]), return_exceptions=True)
    assert sorted(one for one in told if isinstance(one, int)) == list(range(2, 10))
    assert [type(one) for one in told[-2:]] == [VisitHeld, VersionMoved]
    assert await ledger.case("c9") is None
    assert "LOST" not in [one.kind for one in await ledger.events_of_case("c1")]
    heads = await ledger.heads()
    assert heads[ORG].seq == 9


async def test_what_is_known_of_aliases_is_what_the_disk_says(ledger: SqliteLedger) -> None:
    one = Alias(ORG, "d", "mdtrt_id", "M1", "e1", "b1", "c1")
    assert await ledger.alias(*one_place(one)) is None
    assert await ledger.alias(*one_place(one)) is None
    for target in (one, replace(one, case_id="c2", note="later")):
        await ledger.commit(Change(ORG, aliases=(target,)))
        assert await ledger.alias(*one_place(one)) == target
    statements: list[str] = []
    ledger._reader.set_trace_callback(statements.append)
    await ledger.alias(*one_place(one))
    assert statements == []
    refused = Change(ORG, aliases=(replace(one, case_id="c3"),), cases=(case("c3", version=7),))
    with pytest.raises(VersionMoved):
        await ledger.commit(refused)
    stored = await ledger.alias(*one_place(one))
    assert stored is not None
    assert stored.case_id == "c2"


def test_an_answer_from_before_a_change_is_not_kept() -> None:
    aliases, one = RecentAliases(), Alias(ORG, "d", "msgid", "1", case_id="c1")
    before = aliases.changes
    aliases.written([Change(ORG, aliases=(one,))])
    aliases.asked(one_place(one), None, before)
    assert aliases.known(one_place(one)) == (one,)
    for n in range(ALIASES_MAX):
        aliases.asked((ORG, "d", "msgid", f"x{n}"), None, aliases.changes)
    assert aliases.known(one_place(one)) is None
    aliases.asked(one_place(one), None, before)
    assert aliases.known(one_place(one)) is None


async def test_the_bills_of_an_encounter_come_from_memory_whole_and_in_order(ledger: SqliteLedger) -> None:
    visit = Encounter("e1", ORG, "key", "outpatient", "d", 1)
    await ledger.commit(Change(ORG, encounter=visit, bills=(bill("b2"),)))
    await ledger.commit(Change(ORG, encounter=replace(visit, version=2), bills=(bill("b1", visit_key="v2"),)))
    await ledger.commit(Change(ORG, bills=(bill("b2", version=2, is_open=False),)))
    statements: list[str] = []
    ledger._reader.set_trace_callback(statements.append)
    known = await ledger.bills_of("e1")
    assert statements == []
    assert known == [bill("b2", version=2, is_open=False), bill("b1", visit_key="v2")]
    ledger._recent._kept.pop(("bills", "b1"))
    assert await ledger.bills_of("e1") == known
    assert len(statements) == 1


async def test_only_the_newest_version_is_kept_as_it_was_read(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stay's bill of thousands of lines is written and read once for each part that is uploaded."""
    for version in (1, 2, 3):
        await ledger.commit(Change(ORG, bills=(bill("b1", version=version),)))
        assert await ledger.bill("b1") == bill("b1", version=version)
    assert [kept.read for kept in ledger._recent._read if kept.read] == [bill("b1", version=3)]
    monkeypatch.setattr(recent, "BYTES_MAX", 0)
    await ledger.commit(Change(ORG, bills=(bill("b2", visit_key="v2"),)))
    assert not any(kept.read for kept in ledger._recent._read)
    assert await ledger.bill("b1") == bill("b1", version=3)


async def test_an_encounter_from_before_has_its_bills_on_the_disk(ledger: SqliteLedger) -> None:
    visit = Encounter("e1", ORG, "key", "outpatient", "d", 1)
    await ledger.commit(Change(ORG, encounter=visit, bills=(bill("b1"),)))
    ledger._recent.__init__()  # type: ignore[misc]
    await ledger.commit(Change(ORG, encounter=replace(visit, version=2), bills=(bill("b2", visit_key="v2"),)))
    assert [one.bill_id for one in await ledger.bills_of("e1")] == ["b1", "b2"]


async def test_every_seal_has_a_nonce_of_its_own(ledger: SqliteLedger) -> None:
    await asyncio.gather(*(ledger.commit(one_case(f"c{n}", f"v{n}")) for n in range(sealing.NONCES_AT_ONCE)))
    await ledger.commit(Change(ORG, calls=(call("k9"),), events=tuple(event() for _ in range(40))))
    stored = [
        row[0] for table in ("journal", "cases") for row in connection(ledger).execute(f"SELECT sealed FROM {table}")
    ]
    assert len({one[: sealing.NONCE_BYTES] for one in stored}) == len(stored) == 2 * sealing.NONCES_AT_ONCE + 40


def one_place(alias: Alias) -> tuple[str, str, str, str]:
    return alias.org, alias.dialect, alias.kind, alias.value
