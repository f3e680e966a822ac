"""Replies lost, late, cut, wrong: nothing is believed without proof, nothing is sent twice, and the truth wins."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from adapter_core.settlement.verdicts import OperatorDecision
from adapter_core.values.errors import Refused, TranslationError
from tests.flow.conftest import Opening
from tests.flow.hospital import Hospital, message

OK = {"infcode": 0, "err_msg": "", "inf_refmsgid": "360000202611210000000000000001"}


def reply(setlinfo: Any, status: int = 200, **envelope: Any) -> dict[str, Any]:
    """An action: this 2207 reply instead of the true one."""
    body = json.dumps({**OK, "output": {"setlinfo": setlinfo, "setldetail": []}, **envelope}, ensure_ascii=False)
    return {"action": "reply", "status": status, "body": body}


def split(**changes: Any) -> dict[str, Any]:
    """A whole and balanced ``setlinfo`` of the usual bill, with changes; no echo that could give it away."""
    told = {
        "setl_id": "J-WRONG", "medfee_sumamt": 200, "fund_pay_sumamt": 150, "psn_part_amt": 50, "acct_pay": 20,
        "psn_cash_pay": 30, "hosp_part_amt": 0, "acct_mulaid_pay": 0,
    }  # fmt: skip
    told.update(changes)
    return {name: value for name, value in told.items() if value is not None}


async def evidence(hospital: Hospital, key: str = "K1") -> str:
    case = await hospital.case(key)
    events = await hospital.running.ledger.events_of_case(case.case_id)
    [found] = [event for event in events if event.kind == "EVIDENCE"]
    assert found.data["evidence"] == case.data["closed_by"]
    return str(found.data["evidence"])


async def test_a_settlement_whose_reply_is_lost_is_found_and_adopted(hospital: Hospital) -> None:
    hospital.rule("2207", "commit", "drop")
    waiting = await hospital.say(message(), wait_s=0)
    assert waiting.state == "PENDING"
    assert "请勿改自费" in waiting.text
    told = await hospital.decided()
    assert told.state == "SETTLED"
    assert await evidence(hospital) == "E2"
    assert told.answer["setl_id"] == hospital.truth["settlements"][0]["setl_id"]
    assert len(hospital.sent("2207")) == 1
    assert (await hospital.say(message())).answer["setlinfo"] == told.answer["setlinfo"]


async def test_a_settlement_that_never_happened_is_proved_absent_before_a_new_try(hospital: Hospital) -> None:
    hospital.rule("2207", "drop", nth=1)
    assert (await hospital.say(message(), wait_s=0)).state == "PENDING"
    assert (await hospital.refusal(message(settle_key="K2"))).code == "VISIT_HELD"
    assert (await hospital.decided()).state == "NOT_APPLIED"
    assert await evidence(hospital) == "E3"
    assert len(hospital.sent("5203")) >= 2
    assert (await hospital.say(message())).state == "NOT_APPLIED"
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"
    assert hospital.settlements == ["settled"]
    first, second = hospital.sent("2207")
    assert first.msgid != second.msgid


async def test_early_negatives_prove_nothing(hospital: Hospital) -> None:
    """The message takes effect long after its connection died, within what the gateway is declared to need."""
    hospital.rule("2207", "commit_after(0.7)", "drop")
    assert (await hospital.say(message(), wait_s=0)).state == "PENDING"
    await hospital.arrival("5203")
    assert (await hospital.decided()).state == "SETTLED"
    assert await evidence(hospital) == "E2"


async def test_a_slow_preparation_does_not_shorten_the_quiet_period(hospital: Hospital) -> None:
    hospital.rules([
        {"infno": "1101", "actions": ["delay(1.5)"]},
        {"infno": "2207", "actions": ["commit_after(0.7)", "drop"]},
    ])  # fmt: skip
    await hospital.say(message())
    assert (await hospital.decided()).state == "SETTLED"
    assert hospital.settlements == ["settled"]


@pytest.mark.parametrize("query", ["none", "by_setl_id_only"])
@pytest.mark.parametrize("actions", [["drop"], ["commit", "drop"]], ids=["absent", "applied"])
async def test_without_a_query_an_unknown_settlement_is_reversed(
    hospital: Hospital, query: str, actions: list[str]
) -> None:
    """An early OK to 2601 closes nothing; the one sent after the quiet period does (E6)."""
    hospital.can(query_after_unknown=query)
    hospital.rule("2207", *actions, nth=1)
    told = await hospital.say(message(), wait_s=0)
    assert told.state == "PENDING"
    assert "请勿改自费" in told.text
    assert (await hospital.decided()).state == "REVERSED"
    assert await evidence(hospital) == "E6"
    assert len(hospital.sent("2207")) == 1
    assert len(hospital.sent("2601")) >= 2
    assert "settled" not in hospital.settlements
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"


@pytest.mark.parametrize("actions", [["drop"], ["commit", "drop"]], ids=["absent", "applied"])
async def test_where_nothing_can_be_asked_or_reversed_a_person_decides(hospital: Hospital, actions: list[str]) -> None:
    hospital.can(query_after_unknown="none", reverse_ok="nothing")
    hospital.rule("2207", *actions, nth=1)
    await hospital.say(message())
    told = await hospital.decided()
    assert told.state == "FROZEN"
    assert "请勿改自费" in told.text
    assert told.answer["amounts"] == {}
    assert (await hospital.say(message())).state == "FROZEN"
    assert (await hospital.refusal(message(settle_key="K2"))).code == "VISIT_HELD"
    assert len(hospital.sent("2207")) == 1


async def test_a_centre_that_hangs_is_waited_for_and_then_asked(hospital: Hospital) -> None:
    hospital.can(money_deadline_s=1.0)
    hospital.rule("2207", "commit", "hang")
    assert (await hospital.say(message(), wait_s=0)).state == "PENDING"
    assert (await hospital.decided()).state == "SETTLED"
    assert await evidence(hospital) == "E2"


UNREADABLE: list[Any] = [
    "garbage", "html", "truncate(60)", "redirect", "gzipbomb", "rst", "read_close",
    {"action": "reply", "status": 500, "body": "Internal Server Error"},
    {"action": "reply", "status": 200, "body": ""},
    {"action": "reply", "status": 200, "body": "null"},
    {"action": "reply", "status": 200, "body": "[]"},
    {"action": "reply", "status": 200, "body": "{}"},
    {"action": "reply", "status": 200, "body": '{"code":401,"message":"无权访问","data":null}'},
    {"action": "reply", "status": 200, "body": '{"infcode":0}'},
    {"action": "reply", "status": 200, "body": '{"infcode":0,"infcode":-1,"err_msg":"x","output":{}}'},
    {"action": "reply", "status": 500, "body": json.dumps({**OK, "output": {"setlinfo": split()}})},
]  # fmt: skip


@pytest.mark.parametrize("action", UNREADABLE, ids=str)
async def test_an_unreadable_reply_is_never_a_failure_and_never_a_reason_to_send_again(
    hospital: Hospital, action: Any
) -> None:
    hospital.rule("2207", "commit", action)
    told = await hospital.say(message())
    assert told.state in ("PENDING", "SETTLED")
    assert (await hospital.decided()).state == "SETTLED"
    assert await evidence(hospital) == "E2"
    assert len(hospital.sent("2207")) == 1


WRONG: dict[str, Any] = {
    "another person": split(psn_no="T00000000002"),
    "another visit": split(mdtrt_id="M999999999999"),
    "another message": split(medins_setl_id="H36010000001202611210905000001"),
    "no setl_id": split(setl_id=None),
    "empty setl_id": split(setl_id=""),
    "another total": split(medfee_sumamt=100, fund_pay_sumamt=50),
    "no total": split(medfee_sumamt=None),
    "funds do not add up": split(fund_pay_sumamt=149),
    "a fen too much cash": split(psn_cash_pay=30.01),
    "the person's part does not add up": split(psn_part_amt=49, hosp_part_amt=1),
    "thousandths": split(fund_pay_sumamt="149.995", psn_part_amt="50.005", psn_cash_pay="30.005"),
    "text for an amount": split(fund_pay_sumamt="abc"),
    "not a number": split(psn_cash_pay="NaN"),
    "beyond all bounds": split(psn_cash_pay="1e400"),
    "rows for a record": [split()],
    "a text for a record": "成功",
    "nothing": None,
}


@pytest.mark.parametrize("told_wrongly", WRONG)
async def test_a_reply_that_contradicts_is_not_believed(hospital: Hospital, told_wrongly: str) -> None:
    hospital.rule("2207", "commit", reply(WRONG[told_wrongly]))
    told = await hospital.say(message())
    assert told.state in ("PENDING", "SETTLED")
    assert (await hospital.decided()).state == "SETTLED"
    [stands] = hospital.truth["settlements"]
    case = await hospital.case()
    assert case.setl_id == stands["setl_id"]
    if told_wrongly != "rows for a record":
        assert await evidence(hospital) == "E2"


async def test_a_reply_to_another_message_is_not_believed(hospital: Hospital) -> None:
    await hospital.say(message())
    [first] = hospital.sent("2207")
    hospital.rule("2207", "commit", f"other_reply({first.msgid})")
    told = await hospital.say(message(settle_key="K2", visit_key="V2"))
    assert told.answer.get("setl_id") != hospital.truth["settlements"][0]["setl_id"]
    assert (await hospital.decided("K2")).state == "SETTLED"
    assert (await hospital.case("K2")).setl_id == hospital.truth["settlements"][1]["setl_id"]


async def test_a_found_settlement_with_another_total_waits_for_a_person(hospital: Hospital) -> None:
    hospital.temper(query_lag_s=600)
    hospital.rule("2207", "commit", "drop")
    assert (await hospital.say(message(), wait_s=0)).state == "PENDING"
    await hospital.arrival("5203")
    row = {
        "setl_id": "J1", "medins_setl_id": hospital.sent("2207")[0].msgid, "psn_no": "T00000000001",
        "medfee_sumamt": 100, "fund_pay_sumamt": 100, "psn_pay": 0, "acct_pay": 0, "cash_payamt": 0, "refd_setl_flag": "0",
    }  # fmt: skip
    hospital.rule("5203", reply(row))
    assert (await hospital.decided()).state == "FROZEN"
    assert (await hospital.refusal(message(settle_key="K2"))).code == "VISIT_HELD"


async def test_another_settlement_of_the_visit_says_nothing_about_ours(hospital: Hospital) -> None:
    """A second bill's money call is lost while the first one's settlement is what the centre shows."""
    await hospital.say(message(encounter_key="E1"))
    hospital.temper(query_lag_s=0.0)
    hospital.rule("2207", "drop", nth=1)
    bill = message(settle_key="K2", visit_key="V2", encounter_key="E1", fees=message()["fees"][:1])
    bill["fees"][0]["feedetl_sn"] = "F9"
    assert (await hospital.say(bill, wait_s=0)).state == "PENDING"
    await hospital.arrival("5203")
    for _ in range(5):
        assert (await hospital.say({"intent": "query", "settle_key": "K2"})).state == "PENDING"
    assert (await hospital.refusal({**bill, "settle_key": "K3"})).code == "VISIT_HELD"


async def test_a_restart_in_doubt_goes_on_asking(lives: Opening) -> None:
    hospital = await lives()
    hospital.temper(query_lag_s=600)
    hospital.rule("2207", "commit", "drop")
    assert (await hospital.say(message(), wait_s=0)).state == "PENDING"
    await hospital.arrival("5203")
    hospital = await lives()
    assert (await hospital.say({"intent": "query", "settle_key": "K1"})).state == "PENDING"
    hospital.temper(query_lag_s=0)
    assert (await hospital.decided()).state == "SETTLED"
    assert await evidence(hospital) == "E2"
    assert len(hospital.sent("2207")) == 1
    told = await hospital.say(message())
    hospital = await lives()
    assert (await hospital.say(message())).answer == told.answer


async def test_a_poll_asks_nobody(hospital: Hospital) -> None:
    hospital.can(query_after_unknown="none")
    hospital.rule("2207", "drop")
    await hospital.say(message())
    asked = len(hospital.calls)
    for _ in range(3):
        await hospital.say({"intent": "query", "settle_key": "K1"})
    assert len(hospital.calls) == asked


@pytest.mark.parametrize("outcome", ["not_applied", "settled"])
async def test_a_person_decides_what_nothing_proves(hospital: Hospital, outcome: str) -> None:
    hospital.running.place.gateway.policy = replace(hospital.running.place.gateway.policy, reversible=frozenset())
    hospital.can(query_after_unknown="none")
    hospital.rule("2207", *(["drop"] if outcome == "not_applied" else ["commit", "drop"]))
    assert (await hospital.say(message())).state == "FROZEN"
    result = {}
    for stands in hospital.truth["settlements"]:  # what the centre's counter reads out
        amounts = ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay")
        result = {"setl_id": stands["setl_id"], **{name: Decimal(stands["amounts"][name]) for name in amounts}}
    decision = OperatorDecision(outcome, "测试主任", "中心书面答复", "reply.pdf sha256:00", result=result)
    told = await hospital.running.pipeline.decide(hospital.running.place, await hospital.case(), decision)
    assert told.state == outcome.upper()
    assert told.content["case"]["closed_by"] == "E5"
    assert "DECIDED" in await hospital.kinds()
    with pytest.raises(Refused, match="state"):
        await hospital.running.pipeline.decide(hospital.running.place, await hospital.case(), decision)


async def test_a_decision_needs_its_papers_and_above_a_sum_four_eyes(hospital: Hospital) -> None:
    hospital.running.place.gateway.policy = replace(hospital.running.place.gateway.policy, reversible=frozenset())
    hospital.running.place = replace(hospital.running.place, four_eyes_fen=100)
    hospital.can(query_after_unknown="none")
    hospital.rule("2207", "drop")
    await hospital.say(message())
    case = await hospital.case()
    decide = hospital.running.pipeline.decide
    with pytest.raises(TranslationError) as refused:
        await decide(hospital.running.place, case, OperatorDecision("maybe", "", "", ""))
    assert {fault.path for fault in refused.value.faults} == {"operator", "reason", "proof", "outcome"}
    signed = OperatorDecision("not_applied", "测试甲", "书面答复", "reply.pdf")
    for second in ("", "测试甲"):
        with pytest.raises(Refused) as alone:
            await decide(hospital.running.place, case, replace(signed, second_operator=second))
        assert alone.value.code == "FOUR_EYES"
    told = await decide(hospital.running.place, case, replace(signed, second_operator="测试乙"))
    assert told.state == "NOT_APPLIED"
