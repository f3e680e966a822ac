"""What the HIS booked (J8), and registrations and lines taken back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from adapter_core.values.frames import Frame
from tests.flow.conftest import Opening
from tests.flow.hospital import Hospital, message, void


def ack(**numbers: str) -> dict[str, Any]:
    return {"intent": "confirm", "settle_key": "K1", **numbers}


def frame(tree: dict[str, Any]) -> Frame:
    return Frame(body=json.dumps(tree).encode())


async def test_a_booking_is_journalled_once_and_numbers_may_come_later(lives: Opening) -> None:
    hospital = await lives()
    told = await hospital.say(message())
    assert not (await hospital.case()).is_booked
    for _ in range(2):
        assert (await hospital.say(ack())).answer["setlinfo"] == told.answer["setlinfo"]
    assert (await hospital.case()).is_booked
    await hospital.say(ack(invono="P0001"))
    hospital = await lives()
    await hospital.say(ack(ebill_no="E0001"))
    await hospital.say(ack(ebill_no="E0001"))
    case = await hospital.case()
    assert {name: case.data["acked"][name] for name in ("invono", "ebill_no")} == {
        "invono": "P0001",
        "ebill_no": "E0001",
    }
    assert (await hospital.kinds()).count("HIS_ACK") == 3
    assert (await hospital.say(message())).answer == told.answer
    assert (await hospital.running.ledger.find("invono", "P0001")) == [case.case_id]


async def test_what_did_not_settle_cannot_be_booked(hospital: Hospital) -> None:
    hospital.rule("2207", "error(-1,没有获取到异地备案信息!)")
    await hospital.say(message())
    assert (await hospital.refusal(ack())).code == "NOT_SETTLED"
    hospital.rule("2207", "drop", nth=1)
    assert (await hospital.say(message(settle_key="K2"), wait_s=0)).state == "PENDING"
    assert (await hospital.say({**ack(), "settle_key": "K2"})).state == "PENDING"
    assert "HIS_ACK" not in await hospital.kinds("K2")


async def test_a_refund_is_booked_under_its_own_key(hospital: Hospital) -> None:
    await hospital.say(message())
    await hospital.say(void())
    assert (await hospital.say({"intent": "confirm", "void_key": "R1"})).state == "VOIDED"
    assert (await hospital.case("R1", "void")).is_booked
    assert not (await hospital.case()).is_booked


async def test_an_abort_of_the_his_takes_back_what_is_settled_and_cancels_what_is_not(hospital: Hospital) -> None:
    await hospital.say(message())
    asked = hospital.dialect.decode_request(frame({"intent": "void", "void_key": "R1", "settle_key": "K1"}))
    pipeline, place = hospital.running.pipeline, hospital.running.place
    told = await pipeline.handle(place, hospital.dialect, replace(asked, verb="abort"))
    assert told.state == "VOIDED"
    assert hospital.settlements == ["refunded"]
    await hospital.say(message("quote", settle_key="K2", visit_key="V2"))
    cancel = hospital.dialect.decode_request(frame({"intent": "cancel", "settle_key": "K2"}))
    told = await pipeline.handle(place, hospital.dialect, replace(cancel, verb="abort"))
    assert told.state == "CANCELLED"


async def test_lines_are_dropped_and_the_rest_settles(hospital: Hospital) -> None:
    about = {"encounter_key": "E1", "kind": "outpatient"}
    said = message("upload_fees", settle_key=None, visit_key=None, **about)
    assert (await hospital.say(said)).state == "DONE"
    await hospital.say({"intent": "drop_fees", **about, "fees": [{"feedetl_sn": "F2"}]})
    assert hospital.calls[-1] == "2205"
    told = await hospital.say(message(encounter_key="E1", visit_key=None, fees=None))
    assert told.state == "SETTLED", told.text
    assert told.answer["amounts"]["medfee_sumamt"] == "186.50"


async def test_a_registration_is_taken_back_with_its_lines(hospital: Hospital) -> None:
    about = {"encounter_key": "E1", "kind": "outpatient"}
    await hospital.say(message("upload_fees", settle_key=None, visit_key=None, **about))
    assert (await hospital.say({"intent": "unregister", **about})).state == "DONE"
    assert hospital.calls[-2:] == ["2205", "2202"]
    assert hospital.truth["visits"][-1]["cancelled"]
    assert (await hospital.say({"intent": "unregister", **about})).state == "DONE"
    assert hospital.calls.count("2202") == 1
    assert (await hospital.say(message(encounter_key="E1", visit_key="V1"))).state == "SETTLED"
    assert hospital.calls.count("2201") == 2
    assert (await hospital.refusal({"intent": "unregister", **about})).code == "USE_VOID"


@pytest.mark.parametrize("taken", [True, False])
async def test_an_unanswered_taking_back_is_settled_at_the_next_try(hospital: Hospital, taken: bool) -> None:
    about = {"encounter_key": "E1", "kind": "outpatient"}
    await hospital.say(message("register", settle_key=None, visit_key=None, fees=None, **about))
    hospital.rule("2202", *(["commit"] if taken else []), "drop", nth=1)
    assert (await hospital.say({"intent": "unregister", **about})).state != "DONE"
    assert (await hospital.say({"intent": "unregister", **about})).state == "DONE"
    assert hospital.truth["visits"][-1]["cancelled"]


async def test_who_has_a_case_at_work_keeps_his_lines(hospital: Hospital) -> None:
    hospital.rule("2207", "drop", nth=1)
    await hospital.say(message(encounter_key="E1"), wait_s=0)
    await hospital.arrival("2207")
    assert (await hospital.refusal({"intent": "unregister", "encounter_key": "E1"})).code == "VISIT_HELD"
    assert (
        await hospital.refusal({"intent": "drop_fees", "encounter_key": "E1", "visit_key": "V1"})
    ).code == "VISIT_HELD"
    await hospital.decided()
