"""A centre that takes a settlement only after its second message: never a booked settlement that the province rolls back,
never the reverse (`translation.md` §7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from adapter_core.bootstrap import site
from adapter_core.centre.client import Centre
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import message, void
from tests.flow.test_doubt import evidence
from tests.flow.two_phase import DIALECT, Town, assert_agree, life, province, watching

Founding = Callable[..., Awaitable[Town]]
CAREFUL = 'handle = "theirs", shows = "confirmed", silence = "undone"'
OURS = 'handle = "ours", shows = "confirmed", silence = "undone"'
TELLS_ALL = 'handle = "ours", shows = "prepared"'


@pytest.fixture
async def centre() -> AsyncIterator[Simulator]:
    async with Simulator(dialects={"two-phase": DIALECT}) as started:
        yield started


@pytest.fixture
async def town(centre: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Founding]:
    """``await town(second)``: a site whose route declares its second phase so; called again, the adapter starts anew."""
    missing: list[str] = []
    monkeypatch.setattr(Centre, "exchange", watching(tmp_path, missing))
    built = site.builtin_province
    last: list[Town] = []
    async with AsyncExitStack() as stack:

        async def found(second: str = CAREFUL, **capabilities: Any) -> Town:
            await stack.aclose()
            monkeypatch.setattr(site, "builtin_province", built)
            made = province(second, **capabilities)
            monkeypatch.setattr(site, "builtin_province", lambda: made)
            last[:] = [await stack.enter_async_context(life(centre, tmp_path))]
            return last[0]

        yield found
    assert missing == []
    assert_agree(last[0])


async def test_a_settlement_stands_with_its_confirm_and_is_told_after_it(town: Founding) -> None:
    here = await town()
    told = await here.say(message())
    assert told.state == "SETTLED", told.text
    assert here.wrote() == ["pay", "commit"]
    assert here.settlements == ["settled"]
    kinds = await here.kinds()
    assert kinds.index("TOLD") == len(kinds) - 1
    assert kinds.count("INTENT") == 2
    assert (await here.say(message())).answer == told.answer
    assert (await here.say(void())).state == "VOIDED"
    assert here.settlements == ["refunded"]


@pytest.mark.parametrize("second", [CAREFUL, OURS, TELLS_ALL])
@pytest.mark.parametrize("lost", ["before", "after"])
async def test_a_confirm_without_an_answer_is_asked_about_and_never_followed_by_an_abort(
    town: Founding, second: str, lost: str
) -> None:
    here = await town(second)
    here.temper(unconfirmed_s=0.4, shows_prepared="prepared" in second)
    here.rule("commit", *(["commit", "drop"] if lost == "after" else ["drop"]), nth=1)
    assert (await here.say(message(), wait_s=0)).state == "PENDING"
    if lost == "after" and second == TELLS_ALL:
        # a query that shows prepared trades too says nothing of the confirm: a person decides
        await here.arrival("find")
        assert (await here.say({"intent": "query", "settle_key": "K1"})).state == "PENDING"
        assert here.settlements == ["settled"]
        return
    told = await here.decided()
    assert told.state == ("SETTLED" if lost == "after" else "NOT_APPLIED")
    assert await evidence(here) == ("E2" if lost == "after" else "E3")
    assert here.wrote() == ["pay", "commit"]


async def test_a_repeatable_confirm_is_sent_again_until_it_is_answered(town: Founding) -> None:
    here = await town('handle = "theirs", repeatable = true')
    here.rule("commit", "commit", "drop", nth=1)
    assert (await here.say(message())).state in ("PENDING", "SETTLED")
    assert (await here.decided()).state == "SETTLED"
    assert here.wrote() == ["pay", "commit", "commit"]
    first, second = here.sent("commit")
    assert first.sha256 == second.sha256  # the same trade, named by the same ticket


async def test_a_confirm_refused_in_words_that_prove_nothing_is_not_repeated_without_end(town: Founding) -> None:
    """A gateway that repeats messages makes every refusal doubtful; a centre that is away is no refusal and counts as none."""
    here = await town('handle = "theirs", repeatable = true, silence = "undone", shows = "confirmed"')
    here.can(may_repeat=True)
    here.temper(unconfirmed_s=0.2)
    away = [{"infno": "commit", "nth": nth, "actions": ["drop"]} for nth in range(1, 4)]
    here.rules([*away, {"infno": "commit", "actions": ["error(-1,该交易已作废)"]}])
    assert (await here.say(message(), wait_s=0)).state == "PENDING"
    assert (await here.decided()).state == "NOT_APPLIED"
    assert here.wrote() == ["pay", *["commit"] * 8]
    assert "settled" not in here.settlements


async def test_a_confirm_that_never_left_goes_out_later(town: Founding) -> None:
    here = await town()
    here.rule("pay", "delay(0.2)")
    assert (await here.say(message(), wait_s=0)).state == "PENDING"
    await here.arrival("pay")
    here.centre.refuse_connections(0.4)
    assert (await here.decided()).state == "SETTLED"
    assert here.wrote() == ["pay", "commit"]
    assert (await here.kinds()).count("INTENT") > 2


@pytest.mark.parametrize("actions", [["drop"], ["commit", "drop"]], ids=["absent", "prepared"])
async def test_a_first_phase_without_an_answer_is_aborted_where_its_handle_is_ours(
    town: Founding, actions: list[str]
) -> None:
    here = await town(OURS, query_after_unknown="none")
    here.rule("pay", *actions, nth=1)
    assert (await here.say(message(), wait_s=0)).state == "PENDING"
    assert (await here.decided()).state == "REVERSED"
    assert await evidence(here) == "E6"
    assert "commit" not in here.wrote()
    assert "settled" not in here.settlements
    assert (await here.say(message(settle_key="K2"))).state == "SETTLED"


async def test_a_first_phase_that_the_query_shows_is_confirmed(town: Founding) -> None:
    here = await town(TELLS_ALL)
    here.temper(shows_prepared=True)
    here.rule("pay", "commit", "drop", nth=1)
    assert (await here.say(message(), wait_s=0)).state == "PENDING"
    assert (await here.decided()).state == "SETTLED"
    assert here.wrote() == ["pay", "commit"]
    assert here.settlements == ["settled"]


async def test_a_first_phase_that_is_lost_with_its_handle_waits_for_the_query(town: Founding) -> None:
    here = await town(CAREFUL)
    here.temper(unconfirmed_s=0.3)
    here.rule("pay", "commit", "drop", nth=1)
    assert (await here.say(message(), wait_s=0)).state == "PENDING"
    assert (await here.decided()).state == "NOT_APPLIED"
    assert here.wrote() == ["pay"]
    assert here.settlements == ["undone"]


async def test_silence_alone_closes_nothing(town: Founding) -> None:
    here = await town(CAREFUL, query_after_unknown="none")
    here.rule("pay", "commit", "drop", nth=1)
    await here.say(message(), wait_s=0)
    assert (await here.decided()).state == "FROZEN"
    assert (await here.refusal(message(settle_key="K2"))).code == "VISIT_HELD"


@pytest.mark.parametrize("second", [OURS, CAREFUL])
async def test_a_first_phase_whose_amounts_do_not_add_up_is_discarded(town: Founding, second: str) -> None:
    here = await town(second)
    spared = await here.say(message(settle_key="K0", visit_key="V0"))
    wrong = (
        "<tell><code>0</code><total>200.00</total><fund>199.99</fund><account>0.00</account><cash>0.02</cash>"
        "<setl>J1</setl><ticket>T000002</ticket></tell>"
    )
    here.rule("pay", "commit", {"action": "reply", "status": 200, "body": wrong})
    assert spared.state == "SETTLED"
    assert (await here.say(message(), wait_s=0)).state == "PENDING"
    told = await here.decided()
    assert told.state in ("REVERSED", "NOT_APPLIED"), told.text
    assert "commit" not in here.wrote()[2:]


async def test_a_patient_who_left_before_the_confirm_is_rolled_back(town: Founding) -> None:
    here = await town()
    here.rule("pay", "commit", "delay(0.3)")
    assert (await here.say(message(), wait_s=0)).state == "PENDING"
    await here.arrival("pay")
    assert (await here.say({"intent": "cancel", "settle_key": "K1"})).state == "PENDING"
    assert (await here.decided()).state == "REVERSED"
    assert here.wrote() == ["pay", "rollback"]
    assert here.settlements == ["undone"]


@pytest.mark.parametrize("where", ["pay", "commit"])
@pytest.mark.parametrize("taken", [True, False])
async def test_a_start_between_the_phases_goes_on_by_what_the_journal_proves(
    town: Founding, where: str, taken: bool
) -> None:
    here = await town(TELLS_ALL)
    here.temper(shows_prepared=True)
    here.rule(where, *(["commit"] if taken else []), "hang", nth=1)
    assert (await here.say(message(), wait_s=0)).state == "PENDING"
    await here.arrival(where)
    here = await town('handle = "ours", shows = "prepared", repeatable = true')
    told = await here.decided()
    assert told.state == ("SETTLED" if taken or where == "commit" else "NOT_APPLIED")
    assert len(here.sent("pay")) == 1


async def test_a_trade_of_the_session_is_confirmed_at_once_or_never(town: Founding) -> None:
    here = await town('handle = "session", silence = "undone", shows = "confirmed"')
    assert (await here.say(message())).state == "SETTLED"
    here.temper(unconfirmed_s=0.2)
    here.rule("pay", "commit", "drop")
    assert (await here.say(message(settle_key="K2", visit_key="V2"), wait_s=0)).state == "PENDING"
    assert (await here.decided("K2")).state == "NOT_APPLIED"
    assert here.wrote() == ["pay", "commit", "pay"]
