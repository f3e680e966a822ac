"""Refunds and cancellations."""

from __future__ import annotations

import asyncio

import pytest

from tests.flow.hospital import Hospital, line, message, void


async def test_a_refund_gives_everything_back(hospital: Hospital) -> None:
    await hospital.say(message())
    balance = hospital.truth["people"][0]["insurances"][0]["balc"]
    told = await hospital.say(void())
    assert told.state == "VOIDED"
    assert hospital.settlements == ["refunded"]
    assert hospital.truth["people"][0]["insurances"][0]["balc"] == "355.60" != balance
    refund = hospital.truth["settlements"][0]["refund"]
    assert told.answer["setl_id"] == refund["setl_id"]
    settled, voided = await hospital.case(), await hospital.case("R1", "void")
    assert (settled.state, voided.state) == ("VOIDED", "VOIDED")
    assert (settled.setl_id, settled.data["refund_setl_id"]) == (
        hospital.truth["settlements"][0]["setl_id"],
        refund["setl_id"],
    )
    assert (await hospital.say({"intent": "query", "settle_key": "K1"})).state == "VOIDED"


async def test_the_same_refund_again_and_under_another_key_is_one_refund(hospital: Hospital) -> None:
    await hospital.say(message())
    first = await hospital.say(void())
    again = await hospital.say(void())
    assert again.answer == first.answer
    assert (await hospital.say(void("R2"))).state == "VOIDED"
    assert len(hospital.sent("2208")) == 1


async def test_ten_refunds_at_once_are_one(hospital: Hospital) -> None:
    await hospital.say(message())
    told = await asyncio.gather(*(hospital.say(void()) for _ in range(10)))
    assert {one.state for one in told} == {"VOIDED"}
    assert len(hospital.sent("2208")) == 1


async def test_a_refund_is_read_by_its_own_key(hospital: Hospital) -> None:
    await hospital.say(message())
    await hospital.say(void())
    assert (await hospital.say({"intent": "query", "void_key": "R1"})).state == "VOIDED"


async def test_a_void_key_names_one_settlement_for_ever(hospital: Hospital) -> None:
    await hospital.say(message())
    await hospital.say(message(settle_key="K2", visit_key="V2", fees=[line("G1", "66.00")]))
    await hospital.say(void("R1", "K1"))
    assert (await hospital.refusal(void("R1", "K2"))).code == "KEY_REUSED"
    assert hospital.settlements == ["refunded", "settled"]


async def test_what_is_not_settled_is_cancelled_and_not_refunded(hospital: Hospital) -> None:
    await hospital.say(message("quote"))
    assert (await hospital.refusal(void())).code == "USE_CANCEL"
    assert hospital.sent("2208") == []


async def test_what_is_settled_is_refunded_and_not_cancelled(hospital: Hospital) -> None:
    await hospital.say(message())
    assert (await hospital.refusal({"intent": "cancel", "settle_key": "K1"})).code == "USE_VOID"
    assert hospital.settlements == ["settled"]


async def test_after_a_refund_the_visit_settles_anew(hospital: Hospital) -> None:
    """Part refund: the whole is taken back, what stays is settled again under new line numbers."""
    await hospital.say(message())
    await hospital.say(void())
    told = await hospital.say(message(settle_key="K2", fees=[line("F3", "186.50")]))
    assert told.state == "SETTLED"
    assert hospital.settlements == ["refunded", "settled"]
    assert len(hospital.sent("2201")) == 1
    assert (await hospital.say(void("R2", "K2"))).state == "VOIDED"


async def test_two_tries_after_a_refund_continue_the_same_new_bill(hospital: Hospital) -> None:
    await hospital.say(message())
    await hospital.say(void())
    rest = [line("F3", "186.50")]
    await hospital.say(message("quote", settle_key="K2", fees=rest))
    await hospital.say({"intent": "cancel", "settle_key": "K2"})
    told = await hospital.say(message(settle_key="K3", fees=rest))
    assert told.state == "SETTLED", told.text
    assert len(hospital.sent("2204")) == 2


async def test_a_refused_refund_leaves_the_settlement_standing(hospital: Hospital) -> None:
    first = await hospital.say(message())
    hospital.rule("2208", "error(-1,没有获取到异地备案信息!)", nth=1)
    told = await hospital.say(void())
    assert told.state == "REJECTED", told.text
    assert "结算仍" in told.text
    assert (await hospital.case()).state == "SETTLED"
    assert hospital.settlements == ["settled"]
    assert (await hospital.say(void())).answer == told.answer
    assert (await hospital.say(message())).answer == first.answer
    assert (await hospital.say(void("R2"))).state == "VOIDED"


async def test_a_refund_that_never_left_leaves_the_settlement_standing(hospital: Hospital) -> None:
    await hospital.say(message())
    hospital.rule(None, "refuse(600)")
    told = await hospital.say(void())
    assert told.state == "NOT_SENT"
    assert (await hospital.case()).state == "SETTLED"
    hospital.rules([])
    assert (await hospital.say(void())).state == "VOIDED"


async def test_a_refund_whose_reply_is_lost_is_found(hospital: Hospital) -> None:
    await hospital.say(message())
    hospital.rule("2208", "commit", "drop")
    waiting = await hospital.say(void(), wait_s=0)
    assert waiting.state in ("VOIDING", "VOIDED")
    assert (await hospital.decided()).state == "VOIDED"
    voided = await hospital.case("R1", "void")
    assert (voided.state, voided.data["closed_by"]) == ("VOIDED", "E2")
    assert len(hospital.sent("2208")) == 1
    assert (await hospital.say(void())).state == "VOIDED"


async def test_a_refund_that_never_happened_is_proved_and_the_settlement_stands(hospital: Hospital) -> None:
    await hospital.say(message())
    hospital.rule("2208", "drop", nth=1)
    await hospital.say(void(), wait_s=0)
    assert (await hospital.decided()).state == "SETTLED"
    told = await hospital.say(void())
    assert told.state == "NOT_APPLIED"
    assert "没有这笔结算" not in told.text
    assert (await hospital.say(void("R2"))).state == "VOIDED"


async def test_a_lost_refund_is_not_taken_for_an_older_one_of_the_visit(hospital: Hospital) -> None:
    """Two bills of one encounter, the first refunded: its refund says nothing of the second one's."""
    await hospital.say(message(encounter_key="E1"))
    await hospital.say(message(settle_key="K2", visit_key="V2", encounter_key="E1", fees=[line("F3", "66.00")]))
    await hospital.say(void("R1", "K1"))
    hospital.rule("2208", "drop", nth=1)
    await hospital.say(void("R2", "K2"), wait_s=0)
    assert (await hospital.decided("K2")).state == "SETTLED"
    assert hospital.settlements == ["refunded", "settled"]


@pytest.mark.parametrize("query", ["none"])
async def test_a_lost_refund_without_a_query_waits_for_a_person(hospital: Hospital, query: str) -> None:
    await hospital.say(message())
    hospital.can(query_after_unknown=query)
    hospital.rule("2208", "drop", nth=1)
    told = await hospital.say(void())
    assert told.state == "FROZEN"
    assert (await hospital.say({"intent": "query", "settle_key": "K1"})).state == "VOIDING"
    assert (await hospital.refusal(void("R2"))).code == "VISIT_HELD"


async def test_a_cancel_while_preparing_ends_it_before_the_money(hospital: Hospital) -> None:
    hospital.rule("2206", "delay(1)")
    waiting = asyncio.create_task(hospital.say(message()))
    await hospital.arrival("2206")
    cancelled = await hospital.say({"intent": "cancel", "settle_key": "K1"})
    assert cancelled.state == "CANCELLED"
    assert (await waiting).state == "CANCELLED"
    assert hospital.sent("2207") == []
    assert (await hospital.say(message())).state == "CANCELLED"


async def test_a_cancel_while_a_step_is_being_refused_stays_a_cancel(hospital: Hospital) -> None:
    hospital.rule("2206", "delay(1)", "error(-1,没有获取到异地备案信息!)")
    waiting = asyncio.create_task(hospital.say(message()))
    await hospital.arrival("2206")
    await hospital.say({"intent": "cancel", "settle_key": "K1"})
    assert (await waiting).state == "CANCELLED"


async def test_a_cancel_while_the_money_is_under_way_is_never_told_settled(hospital: Hospital) -> None:
    """Not wanted any more, yet it stands: it is reversed, and only then is the visit free."""
    hospital.rule("2207", "delay(1)")
    waiting = asyncio.create_task(hospital.say(message()))
    await hospital.arrival("2207")
    assert (await hospital.say({"intent": "cancel", "settle_key": "K1"})).state == "PENDING"
    assert (await hospital.refusal(message(settle_key="K2"))).code == "VISIT_HELD"
    assert (await waiting).state in ("PENDING", "REVERSED")
    assert (await hospital.decided()).state == "REVERSED"
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"


async def test_a_cancel_while_the_money_is_refused_ends_in_the_refusal(hospital: Hospital) -> None:
    hospital.rule("2207", "delay(1)", "error(-1,没有获取到异地备案信息!)")
    waiting = asyncio.create_task(hospital.say(message()))
    await hospital.arrival("2207")
    await hospital.say({"intent": "cancel", "settle_key": "K1"})
    assert (await waiting).state == "REJECTED"


async def test_a_cancel_of_an_unknown_settlement_keeps_it_unwanted(hospital: Hospital) -> None:
    hospital.rule("2207", "commit", "drop")
    hospital.temper(query_lag_s=600)
    assert (await hospital.say(message(), wait_s=0)).state == "PENDING"
    await hospital.arrival("5203")
    assert (await hospital.say({"intent": "cancel", "settle_key": "K1"})).state == "PENDING"
    hospital.temper(query_lag_s=0)
    assert (await hospital.decided()).state == "REVERSED"


async def test_cancelling_what_was_not_sent_ends_the_key(hospital: Hospital) -> None:
    hospital.rule(None, "refuse(600)")
    assert (await hospital.say(message())).state == "NOT_SENT"
    assert (await hospital.say({"intent": "cancel", "settle_key": "K1"})).state == "CANCELLED"
    hospital.rules([])
    assert (await hospital.say(message())).state == "CANCELLED"
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"
