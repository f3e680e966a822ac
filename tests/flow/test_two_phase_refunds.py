"""Refunds of a centre that takes them only after a second message: the settlement stands until the confirm was answered, and what
became of a lost message is found out as for a settlement, but that a refund is never reversed once it may stand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapter_core.simulator.server import Simulator
from tests.flow.hospital import message, void
from tests.flow.test_two_phase import CAREFUL, OURS, Founding
from tests.flow.test_two_phase import town as town
from tests.flow.two_phase import DIALECT, Town


@pytest.fixture
async def centre() -> AsyncIterator[Simulator]:
    async with Simulator(dialects={"two-phase": DIALECT}) as started:
        started.world.temperament = started.world.temperament.changed({"two_phase_refunds": True})
        yield started


async def settled(town: Founding, refunds: str = OURS, **capabilities: Any) -> Town:
    """A settled bill; what was written for it is no longer counted."""
    here = await town(OURS, refunds=refunds, **capabilities)
    told = await here.say(message())
    assert told.state == "SETTLED", told.text
    return here


def wrote(here: Town) -> list[str]:
    """Since the settlement."""
    return here.wrote("pay", "commit", "rollback", "back")[2:]


async def ended(here: Town) -> str:
    """What the refund came to, and that the settlement's key says the same."""
    await here.running.pipeline.settled_down()
    told = await here.say(void())
    standing = (await here.say({"intent": "query", "settle_key": "K1"})).state
    assert standing == ("VOIDED" if told.state == "VOIDED" else "SETTLED")
    assert here.settlements == ["refunded" if told.state == "VOIDED" else "settled"]
    return told.state


async def test_a_refund_stands_with_its_confirm(town: Founding) -> None:
    here = await settled(town)
    assert (await here.say(void())).state == "VOIDED"
    assert wrote(here) == ["back", "commit"]
    assert await ended(here) == "VOIDED"
    assert (await here.kinds("R1", "void")).count("INTENT") == 2


async def test_a_settlement_stands_while_its_refund_is_only_prepared(town: Founding) -> None:
    here = await settled(town)
    here.rule("commit", "delay(0.4)")
    assert (await here.say(void(), wait_s=0)).state == "VOIDING"
    await here.arrival("commit")
    assert (await here.say({"intent": "query", "settle_key": "K1"})).state == "VOIDING"
    assert await ended(here) == "VOIDED"


@pytest.mark.parametrize("taken", [True, False])
async def test_a_confirm_of_a_refund_without_an_answer_is_asked_about(town: Founding, taken: bool) -> None:
    here = await settled(town)
    here.temper(unconfirmed_s=0.3)
    here.rule("commit", *(["commit"] if taken else []), "drop", nth=1)
    assert (await here.say(void(), wait_s=0)).state == "VOIDING"
    assert await ended(here) == ("VOIDED" if taken else "NOT_APPLIED")
    assert "rollback" not in wrote(here)
    here.rules([])
    if not taken:
        assert (await here.say(void("R2"))).state == "VOIDED"


@pytest.mark.parametrize("actions", [["drop"], ["commit", "drop"]], ids=["absent", "prepared"])
async def test_a_first_phase_of_a_refund_without_an_answer_is_discarded_where_nobody_can_be_asked(
    town: Founding, actions: list[str]
) -> None:
    """Aborting what was never confirmed revives nothing: the settlement stood all the while."""
    here = await settled(town, query_after_unknown="none")
    here.rule("back", *actions, nth=1)
    assert (await here.say(void(), wait_s=0)).state == "VOIDING"
    assert await ended(here) == "NOT_APPLIED"
    assert "rollback" in wrote(here)
    assert "commit" not in wrote(here)
    assert (await here.say(void("R2"))).state == "VOIDED"


@pytest.mark.parametrize("actions", [["drop"], ["commit", "drop"]], ids=["absent", "prepared"])
@pytest.mark.parametrize("refunds", [OURS, CAREFUL], ids=["ours", "theirs"])
async def test_a_first_phase_of_a_refund_without_an_answer_comes_to_nothing(
    town: Founding, refunds: str, actions: list[str]
) -> None:
    here = await settled(town, refunds)
    here.temper(unconfirmed_s=0.3)
    here.rule("back", *actions, nth=1)
    assert (await here.say(void(), wait_s=0)).state == "VOIDING"
    assert await ended(here) == "NOT_APPLIED"
    assert "commit" not in wrote(here)
    case = await here.case("R1", "void")
    assert case.data["closed_by"] in ("E3", "E6")


async def test_a_confirm_of_a_refund_nobody_can_be_asked_about_is_left_to_a_person(town: Founding) -> None:
    """It may stand, so it is neither aborted nor reversed."""
    here = await settled(town, query_after_unknown="none")
    here.rule("commit", "commit", "drop", nth=1)
    assert (await here.say(void(), wait_s=0)).state == "VOIDING"
    await here.running.pipeline.settled_down()
    assert (await here.say(void())).state == "FROZEN"
    assert "rollback" not in wrote(here)
    assert (await here.say({"intent": "query", "settle_key": "K1"})).state == "VOIDING"


@pytest.mark.parametrize("where", ["back", "commit"])
@pytest.mark.parametrize("taken", [True, False])
async def test_a_start_between_the_phases_of_a_refund(town: Founding, where: str, taken: bool) -> None:
    here = await settled(town)
    here.temper(unconfirmed_s=0.6)
    here.rule(where, *(["commit"] if taken else []), "hang", nth=1)
    assert (await here.say(void(), wait_s=0)).state == "VOIDING"
    await here.arrival(where)
    here = await town(OURS, refunds=OURS)
    here.rules([])
    assert await ended(here) == ("VOIDED" if taken and where == "commit" else "NOT_APPLIED")
    assert len(here.sent("back")) == 1


async def test_a_settlement_that_a_query_found_can_be_refunded(town: Founding) -> None:
    """Its numbers came with phase one's reply; the query that found it confirmed says none."""
    here = await town(OURS, refunds=OURS)
    here.rule("commit", "commit", "drop", nth=1)
    await here.say(message(), wait_s=0)
    assert (await here.decided()).state == "SETTLED"
    assert (await here.say(void())).state == "VOIDED"
