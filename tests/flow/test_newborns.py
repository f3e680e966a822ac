"""Newborns without a number of their own: one stay from the birth to its settlement, whoever it was registered under meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_core.simulator.people import person_from
from tests.flow.conftest import Opening
from tests.flow.hospital import Hospital, Told, void
from tests.flow.test_inpatient import LEAVING, STAY, day, done, final, stay

MOTHERS = {"by": "mother", "birth_order": "1", "brdy": "2026-11-18"}
HOUSE = {"by": "temporary", "temporary_no": "XSE0001", "brdy": "2026-11-18", "mother_certno": "110101190001010000"}
CHILD = {
    "mdtrt_cert_type": "02",
    "mdtrt_cert_no": "360102202611180001",
    "certno": "360102202611180001",
    "psn_name": "测试婴",
}
WITH_MOTHER = {**STAY, "med_type": "92"}


def insured(hospital: Hospital, insutype: str = "390") -> None:
    """The child is registered and insured, from its birth on."""
    row = {
        "psn_no": "T00000000091", "psn_name": "测试婴", "certno": "360102202611180001", "card_no": "", "ectoken": "", "gend": "1",
        "brdy": "2026-11-18",
        "insurance": [{"insutype": insutype, "psn_type": "1401", "insuplc_admdvs": "360100", "psn_insu_date": "2026-11-18"}],
    }  # fmt: skip
    hospital.centre.world.people.put(person_from(row))


def with_mother(**changes: Any) -> dict[str, Any]:
    return stay("admit", visit=WITH_MOTHER, newborn=MOTHERS, **changes)


def in_house(**changes: Any) -> dict[str, Any]:
    return stay("admit", person=None, newborn=HOUSE, **changes)


def own(**changes: Any) -> dict[str, Any]:
    return stay("admit", person=CHILD, newborn={"by": "own"}, **changes)


def open_stays(hospital: Hospital) -> list[tuple[str, int]]:
    """Whose stays stand at the centre, with how many lines."""
    found = [one for one in hospital.truth["visits"] if one["kind"] == "inpatient" and one["msgid"]]
    return [(one["psn_no"], len(one["lines"])) for one in found if not one["cancelled"]]


async def told(hospital: Hospital, tree: dict[str, Any]) -> Told:
    return await hospital.say(tree, wait_s=20)


async def test_a_child_admitted_with_its_mother_becomes_its_own_in_the_same_stay(hospital: Hospital) -> None:
    await done(hospital, with_mother())
    await done(hospital, stay("upload_fees", person=None, fees=day(1, "100.00", "20.00")))
    assert open_stays(hospital) == [("T00000000001", 2)]
    assert hospital.sent("2401")
    insured(hospital)
    before = len(hospital.calls)
    await done(hospital, own())
    assert hospital.calls[before:] == ["2302", "2404", "1101", "2401", "2301"]
    assert open_stays(hospital) == [("T00000000091", 2)]
    await done(hospital, own())
    assert len(hospital.calls) == before + 5
    await done(hospital, stay("discharge", person=None, visit={**STAY, **LEAVING}))
    assert hospital.calls[before + 5 :] == ["2402"]
    settled = await told(hospital, final(person=None))
    assert settled.state == "SETTLED", settled.text
    assert settled.answer["psn_no"] == "T00000000091"
    assert settled.answer["amounts"]["medfee_sumamt"] == "120.00"
    assert [one["state"] for one in hospital.truth["settlements"]] == ["settled"]


async def test_the_registration_with_the_mother_names_the_day_of_birth(hospital: Hospital) -> None:
    await done(hospital, with_mother())
    [visit] = [one for one in hospital.centre.world.visits.values() if one.msgid]
    assert (visit.facts["birctrl_matn_date"], visit.med_type) == ("2026-11-18", "92")
    insured(hospital)
    await done(hospital, own())
    visit = list(hospital.centre.world.visits.values())[-1]
    assert ("birctrl_matn_date" in visit.facts, visit.med_type) == (False, "21")


async def test_nothing_is_sent_for_a_child_nobody_can_name_and_all_of_it_once_it_is_insured(hospital: Hospital) -> None:
    assert (await done(hospital, in_house())).code == "NEWBORN_WAITS"
    assert (await done(hospital, stay("upload_fees", person=None, fees=day(1, "100.00")))).code == "NEWBORN_WAITS"
    await done(hospital, stay("upload_fees", person=None, fees=day(2, "30.00")))
    await done(hospital, stay("drop_fees", person=None, fees=[{"feedetl_sn": "D1-0"}]))
    assert hospital.calls == []
    assert (await hospital.refusal(final(person=None))).code == "NEWBORN_UNIDENTIFIED"
    insured(hospital)
    await done(hospital, own())
    assert hospital.calls == ["1101", "2401", "2301"]
    assert open_stays(hospital) == [("T00000000091", 1)]
    settled = await told(hospital, final(person=None))
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "30.00")


async def test_one_child_is_admitted_once_and_its_twin_beside_it(hospital: Hospital) -> None:
    await done(hospital, with_mother())
    again = await hospital.refusal({**with_mother(), "encounter_key": "E2"})
    assert (again.code, "E1" in again.message_zh) == ("NEWBORN_KNOWN", True)
    twin = {**MOTHERS, "birth_order": "2"}
    second = {**WITH_MOTHER, "ipt_no": "ZY0002"}
    await done(hospital, {**with_mother(), "encounter_key": "E2", "newborn": twin, "visit": second})
    assert [psn_no for psn_no, _ in open_stays(hospital)] == ["T00000000001", "T00000000001"]
    await done(hospital, stay("unadmit", person=None))
    await done(hospital, {**with_mother(), "encounter_key": "E3", "visit": {**WITH_MOTHER, "ipt_no": "ZY0003"}})


@pytest.mark.parametrize("taken", [True, False])
async def test_a_lost_answer_to_the_childs_own_admission_makes_no_second_one(hospital: Hospital, taken: bool) -> None:
    await done(hospital, with_mother())
    await done(hospital, stay("upload_fees", person=None, fees=day(1, "100.00")))
    insured(hospital)
    hospital.rule("2401", *(["commit"] if taken else []), "drop", nth=1)
    first = await told(hospital, own())
    if not taken:
        assert first.state != "DONE"
    await done(hospital, own())
    assert open_stays(hospital) == [("T00000000091", 1)]
    assert (await told(hospital, final(person=None))).state == "SETTLED"


@pytest.mark.parametrize("taken", [True, False])
async def test_a_lost_answer_to_the_mothers_admission_is_found_before_it_is_taken_back(
    hospital: Hospital, taken: bool
) -> None:
    hospital.rules([
        {"infno": "2401", "nth": 1, "actions": [*(["commit"] if taken else []), "drop"]},
        {"infno": "5201", "nth": None, "actions": ["drop"]},
    ])  # fmt: skip
    assert (await told(hospital, with_mother())).state != "DONE"
    hospital.rules([])
    insured(hospital)
    before = len(hospital.calls)
    await done(hospital, own())
    assert hospital.calls[before:] == ["5201", *(["2404"] if taken else []), "1101", "2401"]
    assert open_stays(hospital) == [("T00000000091", 0)]


@pytest.mark.parametrize("step", ["2302", "2404", "2401", "2301"])
@pytest.mark.parametrize("taken", [True, False])
async def test_killed_on_the_way_to_its_own_number_it_goes_on_there(lives: Opening, step: str, taken: bool) -> None:
    hospital = await lives()
    await done(hospital, with_mother())
    await done(hospital, stay("upload_fees", person=None, fees=day(1, "100.00", "20.00")))
    insured(hospital)
    hospital.rule(step, *(["commit", "hang"] if taken else ["hang"]), nth=1)
    assert (await hospital.say(own(), wait_s=0)).state == "PENDING"
    await hospital.arrival(step)
    hospital = await lives()
    hospital.rules([])
    if step in ("2302", "2404"):
        shut = await hospital.refusal(stay("upload_fees", person=None, fees=day(2, "1.00")))
        assert shut.code == "NEWBORN_IDENTITY_PENDING"
    await done(hospital, own())
    assert open_stays(hospital) == [("T00000000091", 2)]
    settled = await told(hospital, final(person=None))
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "120.00")


async def test_what_is_settled_for_the_mother_is_refunded_first(hospital: Hospital) -> None:
    await done(hospital, with_mother())
    leaving = {**WITH_MOTHER, **LEAVING}
    settled = await told(hospital, {**final(fees=day(1, "100.00")), "visit": leaving})
    assert settled.state == "SETTLED", settled.text
    insured(hospital)
    before = len(hospital.calls)
    assert (await hospital.refusal(own())).code == "USE_VOID"
    assert len(hospital.calls) == before
    assert (await told(hospital, void())).state == "VOIDED"
    await done(hospital, own())
    assert open_stays(hospital) == [("T00000000091", 0)]


async def test_a_quote_of_the_mothers_amounts_is_cancelled_first(hospital: Hospital) -> None:
    await done(hospital, with_mother())
    quoted = {**final(fees=day(1, "100.00")), "visit": {**WITH_MOTHER, **LEAVING}, "intent": "quote"}
    assert (await told(hospital, quoted)).state == "QUOTED"
    insured(hospital, "310")  # the same kind as the mother's
    assert (await hospital.refusal(own())).code == "USE_CANCEL"
    await hospital.say({"intent": "cancel", "settle_key": "K1"})
    await done(hospital, own())
    settled = await told(hospital, final("K2", person=None))
    assert hospital.calls.count("2303") == 2, "the trial was of the mother"
    amounts = hospital.truth["settlements"][-1]["amounts"]
    assert settled.state == "SETTLED", settled.text
    assert settled.answer["amounts"]["psn_cash_pay"] == amounts["psn_cash_pay"]


async def test_a_centre_that_keeps_the_mothers_admission_leaves_the_stay_hers(hospital: Hospital) -> None:
    await done(hospital, with_mother())
    await done(hospital, stay("upload_fees", person=None, fees=day(1, "100.00")))
    insured(hospital)
    hospital.rule("2404", "error(-1,测试：不能撤销)")
    assert (await told(hospital, own())).state == "REJECTED"
    more = stay("upload_fees", person=None, fees=day(2, "20.00"))
    assert (await hospital.refusal(more)).code == "NEWBORN_IDENTITY_PENDING"
    hospital.rules([])
    await done(hospital, with_mother())
    await done(hospital, more)
    assert open_stays(hospital) == [("T00000000001", 2)]
    await done(hospital, own())
    assert open_stays(hospital) == [("T00000000091", 2)]


async def test_what_is_missing_is_said_before_anything_is_taken_back(hospital: Hospital) -> None:
    await done(hospital, with_mother())
    insured(hospital)
    before = len(hospital.calls)
    refused = await hospital.refusal(own(visit={name: value for name, value in STAY.items() if name != "med_type"}))
    assert (refused.code, len(hospital.calls)) == ("BAD_MESSAGE", before)
    for wrong in (
        {"by": "nobody"},
        {"by": "temporary"},
        {"by": "mother", "brdy": "18.11."},
        {**MOTHERS, "weight": "3"},
    ):
        assert (
            await hospital.refusal({**with_mother(), "encounter_key": "E9", "newborn": wrong})
        ).code == "BAD_MESSAGE"
    assert (await hospital.refusal(stay("upload_fees", newborn=MOTHERS))).code == "BAD_MESSAGE"


async def test_another_person_without_the_word_for_it_is_still_another_person(hospital: Hospital) -> None:
    await done(hospital, with_mother())
    assert (await hospital.refusal(stay("admit", person=CHILD))).code == "PERSON_DIFFERS"
