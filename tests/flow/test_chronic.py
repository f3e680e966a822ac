"""Chronic and special diseases, emergencies, applications: stopped before money where it can't be right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.flow.hospital import Hospital, message, void

DIALYSIS, LOCAL_ONLY = "M07801", "M04400"


def visit(code: str, med_type: str = "14", **changes: Any) -> dict[str, Any]:
    said = {**message()["visit"], "dise_codg": code, "dise_name": "测试病种"}
    settle = {"med_type": med_type, "psn_setlway": "01", "acct_used_flag": "1"}
    return message(visit=said, settle=settle, **changes)


def options(hospital: Hospital, **more: str) -> None:
    gateway: Any = hospital.running.place.gateway
    gateway.site = replace(gateway.site, options={**gateway.site.options, **more})


async def test_a_dialysis_patient_is_settled_and_refunded(hospital: Hospital) -> None:
    told = await hospital.say(visit(DIALYSIS))
    assert told.state == "SETTLED", told.text
    assert hospital.calls[:3] == ["1101", "5301", "2201"]
    assert (await hospital.say(void())).state == "VOIDED"


async def test_a_dialysis_patients_lost_reply_is_adopted(hospital: Hospital) -> None:
    hospital.rule("2207", "commit", "drop", nth=1)
    assert (await hospital.say(visit(DIALYSIS), wait_s=0)).state == "PENDING"
    assert (await hospital.decided()).state == "SETTLED"


@pytest.mark.parametrize("med_type", ["14", "11"])
async def test_a_disease_that_is_not_cross_province_is_stopped_and_never_passed_as_ordinary(
    hospital: Hospital, med_type: str
) -> None:
    told = await hospital.say(visit(LOCAL_ONLY, med_type))
    assert (told.state, told.code) == ("CANCELLED", "CHRONIC_DISEASE_NOT_CROSS_PROVINCE")
    assert LOCAL_ONLY in told.text
    assert hospital.calls == ["1101"]


async def test_a_listed_disease_without_the_qualification_is_stopped(hospital: Hospital) -> None:
    told = await hospital.say(visit("M03900"))
    assert (told.state, told.code) == ("CANCELLED", "CHRONIC_NOT_QUALIFIED")
    assert hospital.calls == ["1101", "5301"]


async def test_the_list_is_dated_and_a_site_may_have_its_own(hospital: Hospital) -> None:
    early = visit("M05300")
    early["visit"]["begntime"] = "2023-06-01 09:00:00"
    assert (await hospital.say(early)).code == "CHRONIC_DISEASE_NOT_CROSS_PROVINCE"
    options(hospital, chronic_codes=LOCAL_ONLY)
    assert (await hospital.say(visit(LOCAL_ONLY, settle_key="K2", visit_key="V2"))).state == "SETTLED"


async def test_another_chosen_institution_is_stopped(hospital: Hospital) -> None:
    person = hospital.centre.world.person("T00000000001")
    person.chosen.append({"fixmedins_code": "H99999999999", "fixmedins_name": "别的医院", "biz_appy_type": "03"})
    said = visit(DIALYSIS)
    said["settle"]["biz_appy_type"] = "03"
    told = await hospital.say(said)
    assert (told.state, told.code) == ("CANCELLED", "CHRONIC_NOT_SELECTED_HOSPITAL")


async def test_an_emergency_without_its_flag_is_stopped_where_the_site_has_a_field_for_it(hospital: Hospital) -> None:
    options(hospital, **{"flag.otp_er_refl_flag": "13", "local.2203A.otp_er_refl_flag": "visit.otp_er_refl_flag"})
    said = message(settle={"med_type": "13", "psn_setlway": "01", "acct_used_flag": "1"})
    told = await hospital.say(said)
    assert (told.state, told.code) == ("CANCELLED", "FLAG_MISSING")
    assert hospital.calls == []
    said = message(settle_key="K2", settle=said["settle"], visit={**said["visit"], "otp_er_refl_flag": "1"})
    assert (await hospital.say(said)).state == "SETTLED"
    assert hospital.centre.world.visits["M000100000001"].facts["otp_er_refl_flag"] == "1"


FILING = {
    "kind": "chronic", "opsp_dise_code": "M03900", "opsp_dise_name": "高血压", "insu_optins": "320100",
    "ide_fixmedins_no": "H36010000001", "ide_fixmedins_name": "测试医院", "hosp_ide_date": "2026-11-20",
    "diag_dr_codg": "D36010000001", "diag_dr_name": "测试医师", "begndate": "2026-11-20",
}  # fmt: skip


def filing(intent: str = "file", **more: Any) -> dict[str, Any]:
    return {
        "intent": intent,
        "person": message()["person"],
        "settle": {"insutype": "310"},
        "filing": {**FILING, **more},
    }


async def test_a_disease_is_registered_once_and_settles_then(hospital: Hospital) -> None:
    told = await hospital.say(filing())
    assert told.state == "DONE", told.text
    assert told.outcome.content["filing"]["trt_dcla_detl_sn"]
    assert (await hospital.say(filing())).state == "DONE"
    assert hospital.calls.count("2503") == 1
    assert (await hospital.say(visit("M03900"))).state == "SETTLED"
    told = await hospital.say(filing("unfile", memo="登记有误"))
    assert told.state == "DONE", told.text
    assert (await hospital.say(visit("M03900", settle_key="K2", visit_key="V2"))).code == "CHRONIC_NOT_QUALIFIED"


@pytest.mark.parametrize("taken", [True, False])
async def test_a_registration_without_an_answer_is_asked_for_before_it_is_sent_again(
    hospital: Hospital, taken: bool
) -> None:
    hospital.rule("2503", *(["commit"] if taken else []), "drop", nth=1)
    told = await hospital.say(filing())
    assert told.state == ("DONE" if taken else "PENDING")
    assert (await hospital.say(filing())).state == "DONE"
    assert hospital.calls.count("2503") == (1 if taken else 2)


async def test_a_lost_registration_is_found_though_it_said_no_kind_of_care(hospital: Hospital) -> None:
    """2201 says no 医疗类别, so the centre lists it as ordinary until 2203A came; it is not registered a second time."""
    hospital.rule("2201", "commit", "drop", nth=1)
    told = await hospital.say(visit(DIALYSIS))
    assert told.state == "SETTLED", told.text
    assert hospital.calls.count("2201") == 1
    assert len([one for one in hospital.truth["visits"] if one["kind"] == "outpatient"]) == 1
