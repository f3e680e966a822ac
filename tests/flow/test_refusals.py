"""Refusals of the centre, steps before the money in doubt, and a centre out of reach."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_core.settlement.records import Change
from adapter_core.values.errors import LedgerUnavailable
from tests.flow.hospital import Hospital, line, message, void

NOT_FILED = "没有获取到异地备案信息!"
CHAIN = ["1101", "2201", "2203A", "2204", "2206", "2207"]


@pytest.mark.parametrize("infno", ["1101", "2201", "2203A", "2204", "2206"])
async def test_a_refusal_before_the_money_is_explained_and_ends_the_case(hospital: Hospital, infno: str) -> None:
    hospital.rule(infno, f"error(-1,{NOT_FILED})", nth=1)
    told = await hospital.say(message())
    assert (told.state, told.code) == ("REJECTED", "NOT_FILED")
    assert "未查到有效异地就医备案" in told.text
    assert NOT_FILED in told.text
    assert told.outcome.next[0] == "register_filing"
    assert hospital.calls == CHAIN[: CHAIN.index(infno) + 1]
    assert (await hospital.say(message())).answer == told.answer
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"
    assert len(hospital.truth["visits"]) == 2  # the seeded stay and ours


async def test_an_unfiled_person_is_refused_by_the_centre_itself(hospital: Hospital) -> None:
    person = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "320505198501010000", "psn_name": "测试癸"}
    told = await hospital.say(message(person=person))
    assert told.state == "REJECTED"
    assert "未办理异地就医备案" in told.text
    assert hospital.sent("2207") == []


async def test_a_listed_refusal_of_the_money_is_final(hospital: Hospital) -> None:
    hospital.rule("2207", f"error(-1,{NOT_FILED})", nth=1)
    told = await hospital.say(message())
    assert (told.state, told.code) == ("REJECTED", "NOT_FILED")
    assert hospital.sent("5203") == []
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"


async def test_a_gateway_that_may_repeat_makes_no_refusal_final(hospital: Hospital) -> None:
    hospital.can(may_repeat=True)
    hospital.rule("2207", "commit", f"error(-1,{NOT_FILED})")
    await hospital.say(message())
    assert (await hospital.decided()).state == "SETTLED"


@pytest.mark.parametrize(
    "text", ["本中心自有说法", "该单据已结算", "重复结算", "业务正在办理", "系统异常", f"{NOT_FILED}部平台返回", ""]
)
async def test_an_unlisted_refusal_of_the_money_is_not_believed(hospital: Hospital, text: str) -> None:
    hospital.rule("2207", "commit", {"action": "error", "infcode": "-1", "text": text})
    told = await hospital.say(message())
    assert told.state in ("PENDING", "SETTLED")
    assert (await hospital.decided()).state == "SETTLED"
    assert len(hospital.sent("2207")) == 1


async def test_an_unlisted_refusal_of_what_did_not_happen_is_proved(hospital: Hospital) -> None:
    hospital.rule("2207", "error(-1,本中心自有说法)", nth=1)
    await hospital.say(message())
    assert (await hospital.decided()).state == "NOT_APPLIED"


async def test_an_unbalanced_trial_goes_no_further(hospital: Hospital) -> None:
    body = (
        '{"infcode":0,"output":{"setlinfo":{"medfee_sumamt":200,"fund_pay_sumamt":100,"psn_part_amt":99,"acct_pay":0,'
        '"psn_cash_pay":99,"hosp_part_amt":0}}}'
    )
    hospital.rule("2206", {"action": "reply", "body": body})
    told = await hospital.say(message())
    assert (told.state, told.code) == ("REJECTED", "TRIAL_UNBALANCED")
    assert hospital.sent("2207") == []


# -- out of reach


async def test_a_centre_out_of_reach_is_not_sent_and_the_same_key_goes_on(hospital: Hospital) -> None:
    hospital.rule(None, "refuse(600)")
    told = await hospital.say(message())
    assert told.state == "NOT_SENT"
    assert told.outcome.next[0] == "repeat_same_key"
    assert hospital.calls == []
    hospital.rules([])
    assert (await hospital.say(message())).state == "SETTLED"
    assert hospital.calls == CHAIN


async def test_a_money_call_that_never_left_goes_out_under_a_new_msgid(hospital: Hospital) -> None:
    hospital.rule("2206", "commit", "refuse(600)")
    assert (await hospital.say(message())).state == "NOT_SENT"
    assert hospital.sent("2207") == []
    hospital.rules([])
    assert (await hospital.say(message())).state == "SETTLED"
    case = await hospital.case()
    calls = [one for one in await hospital.running.ledger.calls_of_case(case.case_id) if one.message == "2207"]
    assert [str(one.result) for one in calls] == ["NOT_SENT", "APPLIED"]
    assert hospital.sent("2207")[0].msgid == calls[1].msgid != calls[0].msgid
    assert hospital.calls == [*CHAIN[:-1], "2206", "2207"], "a new trial first: it also shows that the centre is back"


# -- steps before the money, in doubt


async def test_a_registration_in_doubt_is_looked_for_and_adopted(hospital: Hospital) -> None:
    hospital.rule("2201", "commit", "drop")
    assert (await hospital.say(message())).state == "SETTLED"
    assert hospital.calls == ["1101", "2201", "5201", *CHAIN[2:]]
    [visit] = [one for one in hospital.truth["visits"] if one["kind"] == "outpatient"]
    assert (await hospital.running.ledger.encounter((await hospital.case()).encounter_id)).mdtrt_id == visit["mdtrt_id"]  # type: ignore[union-attr]


async def test_a_registration_that_did_not_happen_is_made_at_the_next_try(hospital: Hospital) -> None:
    hospital.rule("2201", "drop", nth=1)
    assert (await hospital.say(message())).state == "NOT_SENT"
    assert (await hospital.say(message())).state == "SETTLED"
    assert len([one for one in hospital.truth["visits"] if one["kind"] == "outpatient"]) == 1


async def test_the_centre_already_has_the_registration(hospital: Hospital) -> None:
    """Registered by a try that nobody answered for and that ended this process: asked for before made again."""
    hospital.rules([
        {"infno": "2201", "actions": ["commit", "drop"], "nth": 1},
        {"infno": "5201", "actions": ["drop"]},
    ])  # fmt: skip
    assert (await hospital.say(message())).state == "NOT_SENT"
    hospital.rules([])
    assert (await hospital.say(message())).state == "SETTLED"
    assert len([one for one in hospital.truth["visits"] if one["kind"] == "outpatient"]) == 1


async def test_diagnoses_in_doubt_are_sent_again(hospital: Hospital) -> None:
    hospital.rule("2203A", "commit", "drop", nth=1)
    assert (await hospital.say(message())).state == "SETTLED"
    assert len(hospital.sent("2203A")) == 2


@pytest.mark.parametrize("actions", [["commit", "drop"], ["drop"]], ids=["applied", "absent"])
async def test_an_upload_in_doubt_is_taken_back_and_goes_up_under_new_numbers(
    hospital: Hospital, actions: list[str]
) -> None:
    hospital.rule("2204", *actions, nth=1)
    assert (await hospital.say(message())).state == "SETTLED"
    assert hospital.calls == ["1101", "2201", "2203A", "2204", "2205", "2204", "2206", "2207"]
    [stands] = hospital.truth["settlements"]
    assert stands["amounts"]["medfee_sumamt"] == "200.00"


async def test_a_gateway_that_takes_old_line_numbers_gets_them(hospital: Hospital) -> None:
    hospital.can(feedetl_sn_reusable=True)
    hospital.rule("2204", "commit", "drop", nth=1)
    assert (await hospital.say(message())).state == "SETTLED"
    [visit] = [one for one in hospital.truth["visits"] if one["kind"] == "outpatient"]
    assert {row["feedetl_sn"] for row in visit["lines"]} == {"F1", "F2"}


async def test_an_upload_that_stays_in_doubt_is_not_sent_and_taken_up_by_the_same_key(hospital: Hospital) -> None:
    hospital.rule("2204", "commit", "drop")
    assert (await hospital.say(message())).state == "NOT_SENT"
    hospital.rules([])
    assert (await hospital.say(message())).state == "SETTLED"


async def test_lines_taken_back_in_doubt_are_not_taken_for_standing(hospital: Hospital) -> None:
    """The withdrawal's reply is lost and the HIS then comes back with the old lines: they are gone at the centre."""
    await hospital.say(message("quote"))
    await hospital.say({"intent": "cancel", "settle_key": "K1"})
    hospital.rule("2205", "commit", "drop", nth=1)
    assert (await hospital.say(message(settle_key="K2", fees=[line("F1", "99.00")]))).state == "NOT_SENT"
    await hospital.say({"intent": "cancel", "settle_key": "K2"})
    told = await hospital.say(message(settle_key="K3"))
    assert told.state == "SETTLED", told.text


async def test_a_batch_that_went_up_in_part_is_finished_by_the_next_try(hospital: Hospital) -> None:
    fees = [line(f"F{n}", "1.00") for n in range(120)]
    hospital.rule("2204", f"error(-1,{NOT_FILED})", nth=2)
    assert (await hospital.say(message(fees=fees))).state == "REJECTED"
    told = await hospital.say(message(settle_key="K2", fees=fees))
    assert told.state == "SETTLED", told.text
    assert hospital.truth["settlements"][0]["amounts"]["medfee_sumamt"] == "120.00"
    assert len(hospital.sent("2204")) == 3


async def test_a_gateway_with_sign_in_is_signed_in_once_a_day_and_operator(hospital: Hospital) -> None:
    hospital.can(sign_in="operator_day")
    hospital.temper(sign_in=True)
    assert (await hospital.say(message())).state == "SETTLED"
    assert hospital.calls == ["9001", *CHAIN]
    second = message(settle_key="K2", visit_key="V2", fees=[line("G1", "66.00")])
    assert (await hospital.say(second)).state == "SETTLED"
    assert (await hospital.say(void())).state == "VOIDED"
    assert hospital.calls.count("9001") == 1


async def test_a_refused_sign_in_before_a_refund_leaves_the_settlement_standing(hospital: Hospital) -> None:
    """A settlement of another day: the gateway wants today's sign-in for its refund, and refuses it."""
    await hospital.say(message())
    hospital.can(sign_in="operator_day")
    hospital.rule("9001", f"error(-1,{NOT_FILED})", nth=1)
    told = await hospital.say(void())
    assert (told.state, (await hospital.case()).state) == ("REJECTED", "SETTLED")
    assert hospital.sent("2208") == []
    hospital.temper(sign_in=True)
    assert (await hospital.say(void("R2"))).state == "VOIDED"


# -- the ledger


def break_ledger(hospital: Hospital, *kinds: str) -> None:
    """From now on no change with an event of these kinds can be written; without kinds none at all."""
    commit = hospital.running.ledger.commit

    async def failing(change: Change) -> int:
        if not kinds or any(event.kind in kinds for event in change.events):
            raise LedgerUnavailable("no space")
        return await commit(change)

    hospital.running.ledger.commit = failing  # type: ignore[method-assign]


@pytest.mark.parametrize("kinds", [(), ("INTENT",)], ids=["nothing", "no intent"])
async def test_without_a_ledger_nothing_that_changes_the_centre_is_sent(hospital: Hospital, kinds: Any) -> None:
    break_ledger(hospital, *kinds)
    assert (await hospital.refusal(message())).code == "LEDGER_UNAVAILABLE"
    assert set(hospital.calls) <= {"1101"}


async def test_without_a_ledger_no_refund_is_sent(hospital: Hospital) -> None:
    await hospital.say(message())
    commit = hospital.running.ledger.commit
    break_ledger(hospital, "INTENT")
    assert (await hospital.refusal(void())).code == "LEDGER_UNAVAILABLE"
    assert hospital.sent("2208") == []
    hospital.running.ledger.commit = commit  # type: ignore[method-assign]
    assert (await hospital.say(void())).state == "VOIDED"


@pytest.mark.parametrize("kind", ["REPLY", "OUTCOME"])
async def test_a_ledger_lost_after_the_money_left_is_never_told_as_a_failure(hospital: Hospital, kind: str) -> None:
    await hospital.say(message("quote"))
    commit = hospital.running.ledger.commit
    break_ledger(hospital, kind)
    assert (await hospital.say({"intent": "settle", "settle_key": "K1"})).state == "PENDING"
    hospital.running.ledger.commit = commit  # type: ignore[method-assign]
    assert (await hospital.say({"intent": "settle", "settle_key": "K1"})).state == "SETTLED"
    assert len(hospital.sent("2207")) == 1
