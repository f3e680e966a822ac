"""A watching rule that a site lets block: nothing is sent, the flag says why, and a dismissal lets the same person settle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter_core.accounts.blocking import blocks
from adapter_core.accounts.watching import shipped_rules
from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.offices import accounts_of
from adapter_core.config import load_config
from adapter_core.ledger.sealing import create_master_key
from adapter_core.simulator.server import Simulator
from adapter_core.values.moments import national_date
from tests.flow.hospital import Hospital, line, message, void
from tests.flow.test_accounts_cli import SECOND, two_institutions

TODAY = national_date(datetime.now(UTC))
RULES = """
[split_bills]
blocks = true
bills = 3
each_below_yuan = 100
together_yuan = 150
[terminal_many_cards]
blocks = true
persons = 2
[quantity]
blocks = true
lines = 2
times = 4
at_least = 10
[person_many_places]
blocks = true
"""


@pytest.fixture
async def watched(centre: Simulator, tmp_path: Path) -> AsyncIterator[Hospital]:
    """Two institutions on one ledger, with rules that block."""
    create_master_key(tmp_path / "master.key")
    text = f'{two_institutions(centre.url)}[accounts]\nrules_file = "rules.toml"\n'
    (tmp_path / "his-adapter.toml").write_text(text, "utf-8")
    (tmp_path / "rules.toml").write_text(RULES, "utf-8")
    async with adapter(load_config(tmp_path / "his-adapter.toml")) as running:
        yield Hospital(centre, running, tmp_path)


def visit(number: int, amount: str = "90.00", **more: Any) -> dict[str, Any]:
    fees = more.pop("fees", [line(f"F{number}", amount)])
    return message(settle_key=f"K{number}", visit_key=f"V{number}", encounter_key=f"E{number}", fees=fees, **more)


def at(terminal: str) -> dict[str, str]:
    return {**message()["operator"], "dev_no": terminal}


OTHER = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "440304199001010000", "psn_name": "测试庚"}


async def do(hospital: Hospital, name: str, **order: Any) -> dict[str, Any]:
    return await accounts_of(hospital.running, hospital.running.place).do(name, order)


async def flag(hospital: Hospital) -> dict[str, Any]:
    [one] = (await do(hospital, "flags"))["flags"]
    return dict(one)


async def dismiss(hospital: Hospital) -> None:
    found = await flag(hospital)
    await do(hospital, "close", item_id=found["item_id"], operator="测试主任", reason="已核实，患者确需多次就诊")


def test_no_rule_blocks_as_shipped() -> None:
    assert not any(map(blocks, shipped_rules().values()))


async def test_split_bills_are_held_before_anything_leaves_until_somebody_says_why(watched: Hospital) -> None:
    for number in (1, 2):
        assert (await watched.say(visit(number))).state == "SETTLED"
    before = len(watched.calls)
    told = await watched.say(visit(3))
    assert (told.state, told.code) == ("NOT_SENT", "WATCH_BLOCKED")
    assert "同一人同日多次小额结算" in told.text
    assert len(watched.calls) == before, "not one byte of it left"
    assert "WATCHED" in await watched.kinds("K3")
    found = await flag(watched)
    assert found["item_id"] in told.text
    assert (found["class"], found["work_order"]) == ("split_bills", (await watched.case("K3")).case_id[:10].upper())
    again = await watched.say(visit(3))
    assert (again.state, again.code) == ("NOT_SENT", "WATCH_BLOCKED")
    assert len((await do(watched, "flags"))["flags"]) == 1, "the same flag, however often it is tried"
    await dismiss(watched)
    assert (await watched.say(visit(3))).state == "SETTLED"
    assert (await watched.say(visit(4))).state == "SETTLED", "the same person, the same day"


async def test_what_was_refunded_counts_no_more(watched: Hospital) -> None:
    for number in (1, 2):
        await watched.say(visit(number))
    assert (await watched.say(void("R1", "K1"))).state == "VOIDED"
    assert (await watched.say(visit(3))).state == "SETTLED"
    assert (await watched.say(visit(4))).code == "WATCH_BLOCKED"


async def test_a_large_bill_of_the_same_person_is_not_held(watched: Hospital) -> None:
    for number in (1, 2):
        await watched.say(visit(number))
    assert (await watched.say(visit(3, "150.00"))).state == "SETTLED"


async def test_a_quote_is_held_as_well(watched: Hospital) -> None:
    for number in (1, 2):
        await watched.say(visit(number))
    assert (await watched.say({**visit(3), "intent": "quote"})).code == "WATCH_BLOCKED"


async def test_many_cards_on_one_terminal(watched: Hospital) -> None:
    assert (await watched.say(visit(1, "186.50", operator=at("T1")))).state == "SETTLED"
    assert (await watched.say(visit(2, "186.50", operator=at("T1")))).state == "SETTLED", "the same card again"
    told = await watched.say(visit(3, "186.50", operator=at("T1"), person=OTHER))
    assert told.code == "WATCH_BLOCKED"
    assert len(watched.sent("2201")) == 2
    assert (await watched.say(visit(4, "186.50", operator=at("T2"), person=OTHER))).state == "SETTLED"
    await dismiss(watched)
    assert (await watched.say(visit(3, "186.50", operator=at("T1"), person=OTHER))).state == "SETTLED"


async def test_a_quantity_is_measured_against_the_newest_watched_day(watched: Hospital) -> None:
    def boxes(number: int, count: int) -> dict[str, Any]:
        return visit(number, fees=[{**line(f"F{number}", f"{count}.00"), "cnt": str(count), "pric": "1.00"}])

    assert (await watched.say(boxes(1, 200))).state == "SETTLED", "nothing is usual yet"
    assert (await watched.say(boxes(2, 150))).state == "SETTLED"
    for number in (3, 4, 5, 6):
        assert (await watched.say(visit(number, "120.00"))).state == "SETTLED"
    await do(watched, "watch", date=TODAY)
    for one in (await do(watched, "flags"))["flags"]:
        await do(watched, "close", item_id=one["item_id"], operator="测试主任", reason="已核实")
    assert (await watched.say(boxes(7, 110))).state == "SETTLED", "59 is usual: 110 is not four times that"
    told = await watched.say(boxes(8, 240))
    assert told.code == "WATCH_BLOCKED"
    await dismiss(watched)
    assert (await watched.say(boxes(8, 240))).state == "SETTLED"


async def test_one_person_at_two_institutions_within_the_hour(watched: Hospital) -> None:
    assert (await watched.say(visit(1, "186.50"))).state == "SETTLED"
    second = watched.running.place_named(SECOND)
    asked = watched.dialect.read_tree(visit(2, "186.50"))  # type: ignore[attr-defined]
    told = await watched.running.pipeline.handle(second, watched.dialect, asked)
    assert (told.state, told.code) == ("NOT_SENT", "WATCH_BLOCKED")
    office = accounts_of(watched.running, second)
    [found] = (await office.do("flags", {}))["flags"]
    assert (await do(watched, "flags"))["flags"] == [], "it waits at the institution that was about to settle"
    await office.do("close", {"item_id": found["item_id"], "operator": "测试主任", "reason": "转诊"})
    told = await watched.running.pipeline.handle(second, watched.dialect, asked)
    assert told.state == "SETTLED"
