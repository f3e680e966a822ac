"""Settling, quoting, repeating: what a HIS does all day."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.flow.hospital import Hospital, line, message, void

CHAIN = ["1101", "2201", "2203A", "2204", "2206", "2207"]


async def test_a_visit_is_settled_with_the_national_chain(hospital: Hospital) -> None:
    told = await hospital.say(message())
    assert (told.state, told.code) == ("SETTLED", "SETTLED")
    assert hospital.calls == CHAIN
    [stands] = hospital.truth["settlements"]
    case = await hospital.case()
    assert (case.setl_id, case.total_fen) == (stands["setl_id"], 20000)
    assert told.answer["setl_id"] == stands["setl_id"]
    told_amounts = {name: told.answer["amounts"][name] for name in ("medfee_sumamt", "fund_pay_sumamt", "psn_cash_pay")}
    assert told_amounts == {name: stands["amounts"][name] for name in told_amounts}
    assert stands["amounts"]["psn_cash_pay"] in told.text
    kinds = await hospital.kinds()
    assert [kind for kind in kinds if kind in ("ACCEPTED", "PREPARED", "TOLD")] == ["ACCEPTED", "PREPARED", "TOLD"]
    assert kinds[-4:] == ["INTENT", "REPLY", "OUTCOME", "TOLD"]


async def test_a_quote_moves_no_money_and_is_settled_by_its_key_alone(hospital: Hospital) -> None:
    quoted = await hospital.say(message("quote"))
    assert quoted.state == "QUOTED"
    assert (hospital.calls, hospital.settlements) == (CHAIN[:-1], [])
    settled = await hospital.say({"intent": "settle", "settle_key": "K1"})
    assert settled.state == "SETTLED"
    assert hospital.calls == CHAIN
    assert settled.answer["amounts"]["psn_cash_pay"] == quoted.answer["amounts"]["psn_cash_pay"]


async def test_a_quote_with_other_content_is_neither_settled_nor_sent(hospital: Hospital) -> None:
    await hospital.say(message("quote"))
    error = await hospital.refusal(message("settle", fees=[line("F1", "999.00")]))
    assert error.code == "VISIT_HELD"
    assert hospital.calls == CHAIN[:-1]
    assert (await hospital.case()).state == "QUOTED"
    assert (await hospital.say(message())).state == "SETTLED"
    assert hospital.truth["settlements"][0]["amounts"]["medfee_sumamt"] == "200.00"


def _grow_old(hospital: Hospital, **timers: float) -> None:
    """Let any quote count as old at once: the same as waiting, without waiting."""
    for name, value in timers.items():
        object.__setattr__(hospital.running.place.timers, name, value)


async def test_an_old_quote_is_tried_again_before_the_money(hospital: Hospital) -> None:
    await hospital.say(message("quote"))
    _grow_old(hospital, requote_after=0.0)
    assert (await hospital.say({"intent": "settle", "settle_key": "K1"})).state == "SETTLED"
    assert hospital.calls == [*CHAIN[:-1], "2206", "2207"]


async def test_an_old_quote_that_splits_otherwise_goes_back_to_the_patient(hospital: Hospital) -> None:
    quoted = await hospital.say(message("quote"))
    _grow_old(hospital, requote_after=0.0)
    hospital.centre.world.person("T00000000001").insurances[0].balc -= 355  # another till used the account
    changed = await hospital.say({"intent": "settle", "settle_key": "K1"})
    assert (changed.state, changed.code) == ("QUOTED", "QUOTE_CHANGED")
    assert hospital.sent("2207") == []
    before, now = (one.answer["amounts"]["psn_cash_pay"] for one in (quoted, changed))
    assert before != now
    assert before in changed.text
    assert now in changed.text
    _grow_old(hospital, requote_after=300.0)
    settled = await hospital.say({"intent": "settle", "settle_key": "K1"})
    assert (settled.state, settled.answer["amounts"]["psn_cash_pay"]) == ("SETTLED", now)


async def test_an_expired_quote_is_cancelled_and_lets_its_visit_go(hospital: Hospital) -> None:
    await hospital.say(message("quote"))
    _grow_old(hospital, quote_ttl=0.0)
    assert (await hospital.refusal({"intent": "settle", "settle_key": "K1"})).code == "QUOTE_EXPIRED"
    assert (await hospital.case()).state == "CANCELLED"
    assert hospital.sent("2207") == []
    _grow_old(hospital, quote_ttl=1800.0)
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"


async def test_an_expired_quote_does_not_hold_the_visit_against_a_new_key(hospital: Hospital) -> None:
    await hospital.say(message("quote"))
    _grow_old(hospital, quote_ttl=0.0)
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"
    assert (await hospital.case("K1")).state == "CANCELLED"


async def test_the_same_key_again_hears_the_same_and_sends_nothing(hospital: Hospital) -> None:
    first = await hospital.say(message())
    again = await hospital.say(message())
    assert again.answer == first.answer
    assert hospital.calls == CHAIN


async def test_a_fresh_operator_or_electronic_credential_is_no_other_content(hospital: Hospital) -> None:
    by_code = {"mdtrt_cert_type": "01", "mdtrt_cert_no": "ECTEST0000000001", "psn_name": "测试甲"}
    first = await hospital.say(message(person=by_code))
    assert first.state == "SETTLED", first.text
    again = await hospital.say(
        message(person={**by_code, "mdtrt_cert_no": "ECTEST0000000009"}, operator={"opter": "002", "opter_type": "1"})
    )
    assert again.answer == first.answer
    assert hospital.calls == CHAIN


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"fees": [line("F1", "186.50"), line("F2", "14.50")]}, id="fees"),
        pytest.param({"settle": {"med_type": "12"}}, id="settle"),
        pytest.param(
            {"person": {"mdtrt_cert_type": "02", "mdtrt_cert_no": "220102199913330001", "psn_name": "测试甲"}},
            id="another identity number",
        ),
        pytest.param({"visit_key": "V2"}, id="another visit"),
    ],
)
async def test_the_same_key_with_other_content_is_refused(hospital: Hospital, changes: dict[str, Any]) -> None:
    await hospital.say(message())
    assert (await hospital.refusal(message(**changes))).code == "KEY_REUSED"
    assert hospital.calls == CHAIN


async def test_ten_equal_requests_at_once_are_one_settlement(hospital: Hospital) -> None:
    answers = await asyncio.gather(*(hospital.say(message()) for _ in range(10)))
    assert all(one.answer == answers[0].answer for one in answers)
    assert answers[0].state == "SETTLED"
    assert hospital.calls == CHAIN


async def test_a_second_key_for_a_held_visit_is_refused(hospital: Hospital) -> None:
    await hospital.say(message())
    assert (await hospital.refusal(message(settle_key="K2"))).code == "VISIT_HELD"
    assert (await hospital.refusal(message("quote", settle_key="K3"))).code == "VISIT_HELD"
    assert hospital.calls == CHAIN


async def test_ten_keys_for_one_visit_at_once_are_one_settlement(hospital: Hospital) -> None:
    told = await asyncio.gather(*(hospital.say(message(settle_key=f"K{n}")) for n in range(10)), return_exceptions=True)
    codes = sorted(one.code for one in told)  # type: ignore[union-attr]
    assert codes == ["SETTLED", *["VISIT_HELD"] * 9]
    assert hospital.settlements == ["settled"]


async def test_two_bills_of_one_encounter_share_its_registration(hospital: Hospital) -> None:
    first = await hospital.say(message(encounter_key="E1"))
    second = await hospital.say(
        message(settle_key="K2", visit_key="V2", encounter_key="E1", fees=[line("F3", "66.00")])
    )
    assert (first.state, second.state) == ("SETTLED", "SETTLED")
    assert len(hospital.sent("2201")) == 1
    amounts = [one["amounts"]["medfee_sumamt"] for one in hospital.truth["settlements"]]
    assert amounts == ["200.00", "66.00"]


async def test_two_bills_with_the_same_lines_are_two_settlements(hospital: Hospital) -> None:
    """Two examinations of one kind on one day: the second bill is not the first one's repeat."""
    await hospital.say(message(encounter_key="E1", fees=[line(None, "20.00")]))
    second = await hospital.say(
        message(settle_key="K2", visit_key="V2", encounter_key="E1", fees=[line(None, "20.00")])
    )
    assert second.state == "SETTLED"
    assert hospital.settlements == ["settled", "settled"]
    assert second.answer["setl_id"] == hospital.truth["settlements"][1]["setl_id"]


async def test_two_bills_of_one_encounter_at_once(hospital: Hospital) -> None:
    told = await asyncio.gather(
        *(
            hospital.say(
                message(settle_key=f"K{n}", visit_key=f"V{n}", encounter_key="E1", fees=[line(f"F{n}", f"{n}0.00")])
            )
            for n in (1, 2, 3)
        )
    )
    assert [one.state for one in told] == ["SETTLED"] * 3, [one.text for one in told]
    assert len(hospital.sent("2201")) == 1


async def test_changed_lines_after_a_quote_go_up_again_under_new_numbers(hospital: Hospital) -> None:
    await hospital.say(message("quote"))
    await hospital.say({"intent": "cancel", "settle_key": "K1"})
    told = await hospital.say(message(settle_key="K2", fees=[line("F1", "186.50"), line("F2", "33.50")]))
    assert told.state == "SETTLED"
    assert hospital.calls == [*CHAIN[:-1], "2205", "2204", "2206", "2207"]
    [visit] = [one for one in hospital.truth["visits"] if one["kind"] == "outpatient"]
    assert {row["feedetl_sn"] for row in visit["lines"]}.isdisjoint({"F1", "F2"})
    assert hospital.truth["settlements"][0]["amounts"]["medfee_sumamt"] == "220.00"


async def test_another_person_in_the_same_encounter_is_refused(hospital: Hospital) -> None:
    await hospital.say(message(encounter_key="E1"))
    other = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "220102199913330001", "psn_name": "测试乙"}
    error = await hospital.refusal(
        message(settle_key="K2", visit_key="V2", encounter_key="E1", person=other, fees=[line("F3", "66.00")])
    )
    assert error.code == "PERSON_DIFFERS"
    assert hospital.calls == CHAIN


async def test_several_insurances_are_listed_and_nobody_guesses(hospital: Hospital) -> None:
    person = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "330402197501010000", "psn_name": "测试壬"}
    told = await hospital.say(message(person=person))
    assert told.code == "CHOOSE_INSURANCE"
    assert "310" in told.text
    assert "390" in told.text
    assert hospital.calls == ["1101"]
    chosen = await hospital.say(message(settle_key="K2", person=person, settle={"med_type": "11", "insutype": "310"}))
    assert chosen.state == "SETTLED", chosen.text


async def test_a_quote_is_cancelled_before_anything_was_sent(hospital: Hospital) -> None:
    await hospital.say(message("quote"))
    told = [await hospital.say({"intent": "cancel", "settle_key": "K1"}) for _ in range(2)]
    assert [one.state for one in told] == ["CANCELLED"] * 2
    assert (await hospital.say(message("quote"))).state == "CANCELLED"
    assert (await hospital.refusal({"intent": "settle", "settle_key": "K1"})).code == "KEY_REUSED"
    assert hospital.sent("2207") == []


async def test_a_stay_is_settled_as_it_stands_at_the_centre(hospital: Hospital) -> None:
    told = await hospital.say(
        message(
            kind="inpatient", fees=None, diagnoses=None, visit={"mdtrt_id": "S000000001"},
            settle={"med_type": "21", "insutype": "310", "medfee_sumamt": "186.50", "mid_setl_flag": "0"},
        ),
        wait_s=20,
    )  # fmt: skip
    assert told.state == "SETTLED", told.text
    assert hospital.calls == ["1101", "2303", "2304"]
    assert (await hospital.say(void(), wait_s=20)).state == "VOIDED"
    assert hospital.calls[-1] == "2305"
