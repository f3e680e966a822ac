"""Sessions with a centre that wants a sign-in, and one that forgets it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapter_core.bootstrap.offices import accounts_of
from adapter_core.values.moments import national_date
from tests.flow.conftest import Opening
from tests.flow.hospital import Hospital, message

INVALID = "error(-1,签到编号无效)"


@pytest.mark.parametrize("refused", ["2201", "2206", "2207"])
async def test_a_session_the_centre_forgot_is_renewed_once(hospital: Hospital, refused: str) -> None:
    hospital.can(sign_in="operator_day")
    hospital.rule(refused, INVALID, nth=1)
    assert (await hospital.say(message())).state == "SETTLED"
    assert len(hospital.sent("9001")) == 2
    calls = hospital.sent(refused)
    assert len(calls) == 2
    assert calls[0].msgid != calls[1].msgid
    assert hospital.settlements == ["settled"]


async def test_a_centre_that_never_takes_the_session_is_a_refusal(hospital: Hospital) -> None:
    hospital.can(sign_in="operator_day")
    hospital.rule("2207", INVALID)
    assert (await hospital.say(message())).state == "REJECTED"
    assert len(hospital.sent("2207")) == 2
    assert hospital.settlements == []


async def test_a_session_is_shared_by_the_day(hospital: Hospital) -> None:
    hospital.can(sign_in="operator_day")
    await hospital.say(message())
    await hospital.say(message(settle_key="K2", visit_key="V2"))
    assert len(hospital.sent("9001")) == 1


async def test_a_session_of_the_process_ends_with_it(lives: Opening) -> None:
    for life in ("first", "second"):
        hospital = await lives()
        hospital.can(sign_in="process")
        other_till = {"opter": "002", "opter_name": "测试收费员乙", "opter_type": "1"}
        await hospital.say(message(settle_key=f"K-{life}", visit_key=f"V-{life}"))
        await hospital.say(message(settle_key=f"L-{life}", visit_key=f"W-{life}", operator=other_till))
    assert len(hospital.sent("9001")) == 2, "one for each life, whoever sits at the till"


async def test_a_new_key_may_supersede_the_quote_it_names(hospital: Hospital) -> None:
    assert (await hospital.say(message(intent="quote"))).state == "QUOTED"
    assert (await hospital.refusal(message(settle_key="K2"))).code == "VISIT_HELD"
    told = await hospital.say(message(settle_key="K2", supersedes="K1"))
    assert told.state == "SETTLED"
    assert (await hospital.say({"intent": "query", "settle_key": "K1"})).state == "CANCELLED"


async def test_an_answer_names_its_case_and_the_evidence_that_closed_it(hospital: Hospital) -> None:
    hospital.rule("2207", "commit", "drop")
    told = await hospital.say(message())
    assert (told.answer["state"], told.answer["closed_by"]) == ("SETTLED", "E2")
    assert told.answer["case_id"] == (await hospital.case()).case_id


async def test_the_accounts_own_calls_are_signed_in_and_renewed_like_a_settlements(hospital: Hospital) -> None:
    """The centre refuses every call without a ``sign_no`` that it knows."""
    hospital.can(sign_in="operator_day")
    hospital.temper(sign_in=True)
    await hospital.say(message())
    office = accounts_of(hospital.running, hospital.running.place)
    today = national_date(datetime.now(UTC))
    hospital.rule("3203", INVALID, nth=1)
    asked = {"month": today[:7], "clr_type": "11"}
    assert (await office.do("apply", asked))["state"] == "applied"
    assert len(hospital.sent("3203")) == 2, "refused once, signed in anew, sent again"
    assert (await office.do("withdraw", asked))["state"] == "withdrawn"
    assert len(hospital.sent("9001")) == 3, "the till's, the accounts', and the one that was renewed"
    world = hospital.centre.world
    world.reverse(next(iter(world.settlements.values())))
    assert (await office.do("reconcile", {"date": today}))["found"] == {"ours_only": "1"}
    assert [len(hospital.sent(infno)) for infno in ("3201", "9101", "3202", "9102")] == [1, 1, 1, 1]
