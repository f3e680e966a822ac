"""Lists of cases mean the same on both databases: each criterion, every row once, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapter_core.ledger.listing import CaseLists, Wanted
from adapter_core.ledger.reading import StoredLedger
from adapter_core.ledger.sealing import MasterKey
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.records import AccountItem, Change
from adapter_core.settlement.states import State
from tests.clocks import HandClock

from .ledger_contract import ORG, call, case, encounter, event
from .postgres_server import postgres_server

MASTER = MasterKey(bytes(range(32)))
COUNT = 20
DAY = "2026-11-{:02d}T01:02:03Z"


@pytest.fixture(params=["sqlite", "postgresql"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    if request.param == "sqlite":
        path = tmp_path / "ledger.db"
        with SqliteLedger.open(path, MASTER, environment="test", clock=HandClock(), ballast_bytes=0) as opened:
            yield opened
        return
    from adapter_core.ledger.postgres import PostgresLedger

    server = postgres_server()
    async with await PostgresLedger.open(
        server.new_database(), MASTER, environment="test", clock=HandClock()
    ) as shared:
        yield shared
    server.drop_databases()


@pytest.fixture
async def lists(ledger: StoredLedger) -> CaseLists:
    """Twenty cases over ten days, two of a day; every fourth frozen, the others settled, in two provinces; and one of an outbox."""
    for number in range(COUNT):
        name = f"{'ab'[number % 2]}{number:019d}"
        is_frozen = number % 4 == 0
        one = case(
            name,
            visit_key=f"v{number}",
            key=f"K{number}",
            state=State.FROZEN if is_frozen else State.SETTLED,
            insuplc_admdvs="320100" if number < 15 else "330100",
            total_fen=None if is_frozen else 1000 + number,
            opened_at=DAY.format(number // 2 + 1),
        )
        rows = (("psn_name", "测试甲", name), ("visit_key", f"v{number}", name), ("certno_tail", f"{number:04d}", name))
        commit: Any = ledger.commit  # type: ignore[attr-defined]
        await commit(
            Change(
                ORG,
                events=(event(case_id=name),),
                cases=(one,),
                calls=(call(f"k{number}", case_id=name),),
                search=rows,
                encounter=encounter() if number == 0 else None,
            )
        )
    outbox = case("o" * 20, purpose="outbox", key="x", visit_key="vx", state=State.FROZEN, opened_at=DAY.format(5))
    await commit(Change(ORG, cases=(outbox,)))
    return CaseLists(ledger)


def numbers(listed: list[Any]) -> list[int]:
    return [int(one.case.case_id[1:]) for one in listed]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(blind={"psn_name": "测试甲"}), list(range(19, -1, -1))),
        (Wanted(blind={"psn_name": "测试乙"}), []),
        (Wanted(blind={"visit_key": "v7"}), [7]),
        (Wanted(blind={"visit_key": "v7", "certno_tail": "0008"}), []),
        (Wanted(blind={"psn_name": "测试甲", "certno_tail": "0008"}), [8]),
        (Wanted(key="K3"), [3]),
        (Wanted(key="B000000000"), [19, 17, 15, 13, 11, 9, 7, 5, 3, 1]),
        (Wanted(msgid="msgid-k5"), [5]),
        (Wanted(setl_id="S1"), []),
        (Wanted(states=[State.FROZEN]), [16, 12, 8, 4, 0]),
        (Wanted(province="33"), [19, 18, 17, 16, 15]),
        (Wanted(province="33", states=[State.FROZEN]), [16]),
        (Wanted(total_fen=1006), [6]),
        (Wanted(opened_from=DAY.format(9), opened_before=DAY.format(10)), [17, 16]),
    ],
)
async def test_each_criterion_finds_its_own(lists: CaseLists, wanted: Wanted, found: list[int]) -> None:
    assert numbers(await lists.found(ORG, wanted, None, 100)) == found
    assert numbers(await lists.found("another", wanted, None, 100)) == []


async def test_pages_give_every_row_once_in_order(lists: CaseLists) -> None:
    wanted, before, seen = Wanted(blind={"psn_name": "测试甲"}), None, []
    while listed := await lists.found(ORG, wanted, before, 3):
        seen += numbers(listed)
        before = (listed[-1].case.opened_at, listed[-1].ordinal)
    assert seen == list(range(19, -1, -1))
    after, waiting = 0, []
    while listed := await lists.in_states(ORG, (State.FROZEN, State.SETTLED), after, 3):
        waiting += numbers(listed)
        after = listed[-1].ordinal
    assert waiting == list(range(20))


async def test_counts_leave_the_outbox_out(lists: CaseLists) -> None:
    standings = {(one.state, one.province): one.number for one in await lists.standings(ORG, DAY.format(6))}
    assert standings == {
        (State.FROZEN, "32"): 1,
        (State.FROZEN, "33"): 1,
        (State.SETTLED, "32"): 4,
        (State.SETTLED, "33"): 4,
    }
    assert await lists.count_in(ORG, (State.FROZEN,)) == 5
    marks = await lists.ended_in(ORG, (State.FROZEN,), DAY.format(1), 2)
    assert numbers(await lists.at([ordinal for ordinal, _ in marks])) in ([16, 12], [12, 16])


async def test_items_by_id_and_page(lists: CaseLists, ledger: Any) -> None:
    items = [AccountItem(f"i{number}", ORG, "flag", "s", "2026-11-21", "open") for number in range(5)]
    await ledger.commit(Change(ORG, items=tuple(items)))
    assert list(await lists.items(["i1", "i9"])) == ["i1"]
    page = await lists.items_of(ORG, "flag", ("open",), "i1", 2)
    assert [one.item_id for one in page] == ["i2", "i3"]
    assert await lists.item_counts(ORG) == {("flag", "open"): 5}
    assert await lists.items([]) == await lists.encounters([]) == {}
