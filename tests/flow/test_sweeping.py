"""Registrations nobody settled are cancelled in quiet hours; whatever may still be settled, or was, is left alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from adapter_core.settlement.sweeping import SweepRules, Swept
from tests.flow.conftest import Opening
from tests.flow.hospital import Hospital, message, void
from tests.flow.test_chronic import DIALYSIS, visit
from tests.flow.test_inpatient import LEAVING, STAY, admitted, done, stay

AT_ONCE = SweepRules(after=timedelta(0))
STAYS_TOO = SweepRules(after=timedelta(0), stays_after=timedelta(microseconds=1))


async def swept(hospital: Hospital, rules: SweepRules = AT_ONCE) -> tuple[Swept, list[str]]:
    """What a sweep did, and what it sent."""
    before = len(hospital.calls)
    found = await hospital.running.pipeline.sweeping.sweep(hospital.running.place, rules)
    return found, hospital.calls[before:]


def there(hospital: Hospital) -> list[str]:
    """The person's outpatient registrations that stand at the centre."""
    return [one["mdtrt_id"] for one in hospital.truth["visits"] if one["kind"] == "outpatient" and not one["cancelled"]]


@pytest.mark.parametrize(
    "said", [message("quote"), {**visit(DIALYSIS), "intent": "quote"}], ids=["ordinary", "chronic"]
)
async def test_a_patient_who_left_after_the_quote_is_no_visit_any_more(
    hospital: Hospital, said: dict[str, Any]
) -> None:
    assert (await hospital.say(said)).state == "QUOTED"
    found, sent = await swept(hospital)
    assert (found.cancelled, found.unanswered) == (1, 0)
    assert [one for one in sent if one not in ("5201", "5203")] == ["2205", "2202"]
    assert there(hospital) == []
    assert (await hospital.say({"intent": "query", "settle_key": "K1"})).state == "CANCELLED"
    assert (await swept(hospital))[1] == []
    told = await hospital.say({**said, "intent": "settle", "settle_key": "K2"})
    assert told.state == "SETTLED", told.text
    assert len(there(hospital)) == 1


async def test_a_registration_alone_goes_and_a_young_one_stays(hospital: Hospital) -> None:
    bare = message("register", settle_key=None, fees=None, settle=None, encounter_key="E1")
    assert (await hospital.say(bare)).state == "DONE"
    assert (await swept(hospital, SweepRules(after=timedelta(hours=1))))[1] == []
    assert (await swept(hospital))[0].cancelled == 1
    assert there(hospital) == []


async def test_what_was_settled_or_is_in_doubt_stays(hospital: Hospital) -> None:
    hospital.can(query_after_unknown="none", reverse_ok="nothing")
    assert (await hospital.say(message())).state == "SETTLED"
    assert (await hospital.say(message(settle_key="K2", visit_key="V2"))).state == "SETTLED"
    assert (await hospital.say(void(settle_key="K2"))).state == "VOIDED"
    hospital.rule("2207", "drop", nth=1)
    await hospital.say(message(settle_key="K3", visit_key="V3"))
    assert (await hospital.decided("K3")).state == "FROZEN"
    standing = there(hospital)
    assert (await swept(hospital))[1] == []
    assert there(hospital) == standing
    assert len(standing) == 3


async def test_papers_keep_their_visit(hospital: Hospital) -> None:
    hospital.rule("2207", "error(-1,没有获取到异地备案信息!)")
    assert (await hospital.say(message())).state == "REJECTED"
    papers = hospital.running.pipeline.papers
    found = await papers.visit(hospital.running.place.org, "V1")
    assert found is not None
    await papers.hold(found, {})
    assert (await swept(hospital))[1] == []


async def test_a_patient_in_hospital_stays_and_one_who_left_long_ago_goes_where_the_site_wants_it(
    hospital: Hospital,
) -> None:
    await admitted(hospital)
    assert (await swept(hospital, STAYS_TOO))[1] == []
    await done(hospital, stay("discharge", visit={**STAY, **LEAVING}))
    assert (await swept(hospital))[1] == []
    found, sent = await swept(hospital, STAYS_TOO)
    assert found.cancelled == 1
    assert [one for one in sent if one not in ("5201", "5203")] == ["2405", "2302", "2404"]
    assert hospital.truth["visits"][-1]["cancelled"]


async def test_a_second_registration_is_cancelled_and_the_settled_one_stays(hospital: Hospital) -> None:
    """The first 2201 lands after it was asked for and sent again."""
    hospital.rule("2201", "commit_after(0.5)", "drop", nth=1)
    assert (await hospital.say(message())).state == "NOT_SENT"
    assert (await hospital.say(message())).state == "SETTLED"
    while len(there(hospital)) < 2:
        await asyncio.sleep(0)
    found, sent = await swept(hospital)
    assert (found.extra, found.cancelled) == (1, 0)
    assert [one for one in sent if one not in ("5201", "5203")] == ["2202"]
    assert there(hospital) == [hospital.truth["settlements"][0]["mdtrt_id"]]
    assert (await swept(hospital))[1] == []
    assert (await hospital.say(void())).state == "VOIDED"


async def test_a_registration_under_which_the_centre_shows_a_settlement_is_never_cancelled(hospital: Hospital) -> None:
    """Another terminal settled it: the ledger knows of nothing."""
    assert (await hospital.say(message("quote"))).state == "QUOTED"
    [number] = there(hospital)
    shown = {"setl_id": "J-OTHER", "mdtrt_id": number, "psn_no": "T00000000001", "medins_setl_id": "OTHER"}
    reply = (
        '{"infcode": 0, "err_msg": "", "inf_refmsgid": "1", "output": {"setlinfo": '
        + str(shown).replace("'", '"')
        + "}}"
    )
    hospital.rule("5203", {"action": "reply", "status": 200, "body": reply})
    found, sent = await swept(hospital)
    assert (found.spared, found.cancelled) == (1, 0)
    assert "2202" not in sent
    hospital.rules([])
    assert (await swept(hospital))[1] == []


async def test_a_centre_that_refuses_is_not_asked_every_night(hospital: Hospital) -> None:
    assert (await hospital.say(message("quote"))).state == "QUOTED"
    hospital.rule("2202", "error(-1,该就诊不允许撤销)", nth=1)
    assert (await swept(hospital))[0].spared == 1
    assert (await swept(hospital))[1] == []
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"
    assert len(there(hospital)) == 1


@pytest.mark.parametrize("where", ["2205", "5201", "5203", "2202"])
@pytest.mark.parametrize("taken", [True, False])
async def test_a_sweep_that_dies_on_the_way_is_finished_by_the_next(lives: Opening, where: str, taken: bool) -> None:
    hospital = await lives()
    assert (await hospital.say(message("quote"))).state == "QUOTED"
    hospital.rule(where, *(["commit"] if taken else []), "hang", nth=1)
    sweeping = hospital.running.pipeline.sweeping.sweep(hospital.running.place, AT_ONCE)
    task = asyncio.create_task(sweeping)
    await hospital.arrival(where)
    task.cancel()
    hospital = await lives()
    hospital.rules([])
    await swept(hospital)
    assert there(hospital) == []
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"
    assert len(there(hospital)) == 1


async def test_a_settlement_that_comes_meanwhile_is_made_and_stands(hospital: Hospital) -> None:
    assert (await hospital.say(message("quote"))).state == "QUOTED"
    hospital.rule("2202", "delay(0.3)")
    task = asyncio.create_task(hospital.running.pipeline.sweeping.sweep(hospital.running.place, AT_ONCE))
    await hospital.arrival("2202")
    told = await hospital.say(message(settle_key="K2"))
    await task
    while told.state == "NOT_SENT":
        told = await hospital.say(message(settle_key="K2"))
    assert told.state == "SETTLED", told.text
    [one] = hospital.truth["settlements"]
    assert there(hospital) == [one["mdtrt_id"]]
