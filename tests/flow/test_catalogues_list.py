"""The settlement list: built from the settled case and the HIS's medical record, checked whole, uploaded until the centre takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapter_core.settlement.calls import Context
from adapter_core.settlement.list_items import is_stranded
from adapter_core.settlement.records import Case
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.states import State
from adapter_core.simulator.server import Simulator
from adapter_core.values.errors import Refused, TranslationError
from tests.flow.conftest import Opening
from tests.flow.hospital import Announcing, Hospital, message, void
from tests.flow.served import configure, served

RECORD = {
    "medcasno": "BA0001", "ntly": "156", "prfs": "70", "coner_name": "测试乙", "patn_rlts": "1", "coner_addr": "测试路1号",
    "coner_tel": "13800000000", "ipt_med_type": "1", "adm_caty": "A03", "dscg_caty": "A03", "bill_code": "PJ01", "bill_no": "0001",
    "biz_sn": "LS0001", "psn_selfpay": "0.00", "psn_ownpay": "0.00", "hi_paymtd": "1", "hsorg": "测试医保中心", "hsorg_opter": "测试经办",
    "medins_fill_dept": "病案室", "medins_fill_psn": "测试填报员", "naty": "01",
}  # fmt: skip


def record(**changes: Any) -> dict[str, Any]:
    return {"setlinfo": {**RECORD, **changes}}


async def handed_in(hospital: Hospital, said: dict[str, Any], waits: bool = True) -> Case:
    pipeline = hospital.running.pipeline
    item = await pipeline.hand_in_list(hospital.running.place, await hospital.case(), said)
    if waits:
        await pipeline.settled_down()
    found = await hospital.running.ledger.case(item.case_id)
    assert found is not None
    return found


async def waiting(hospital: Hospital) -> Case:
    """A list that the centre has been sent and never answers."""
    hospital.rule("4101", "drop")
    item = await handed_in(hospital, record(), waits=False)
    await hospital.arrival("4101")
    return item


async def settled(hospital: Hospital) -> None:
    assert (await hospital.say(message())).state == "SETTLED"


def lists(hospital: Hospital) -> list[dict[str, Any]]:
    return list(hospital.centre.world.published.lists.values())


async def test_a_list_carries_the_ledgers_amounts_and_the_hospitals_record(hospital: Hospital) -> None:
    await settled(hospital)
    item = await handed_in(hospital, record())
    [kept] = lists(hospital)
    assert (item.state, item.data["setl_list_id"]) == (State.DONE, kept["setl_list_id"])
    head = kept["input"]["setlinfo"]
    case = await hospital.case()
    assert (head["setl_id"], head["psn_name"], head["medcasno"]) == (case.setl_id, "测试甲", "BA0001")
    assert case.cash_fen == round(float(head["psn_cashpay"]) * 100)
    assert sum(row["amt"] for row in kept["input"]["iteminfo"]) == 200
    assert [row["diag_code"] for row in kept["input"]["diseinfo"]] == ["J06.900"]
    assert head["diag_code_cnt"] == 1


async def test_every_fault_is_told_at_once_and_nothing_is_sent(hospital: Hospital) -> None:
    await settled(hospital)
    wrong = {
        **record(medcasno=None, psn_cashpay="0.01", dscg_way="9999"),
        "iteminfo": [{"med_chrgitm": "09", "amt": "1.00"}],
    }
    with pytest.raises(TranslationError) as refused:
        await handed_in(hospital, wrong)
    paths = {fault.path for fault in refused.value.faults}
    assert {
        "setlinfo.medcasno",
        "setlinfo.psn_cashpay",
        "setlinfo.dscg_way",
        "iteminfo[0].amt",
        "iteminfo.amt",
    } <= paths
    assert hospital.sent("4101") == []


async def test_the_same_list_again_is_the_same_item_and_a_changed_one_goes_up_anew(hospital: Hospital) -> None:
    await settled(hospital)
    first = await handed_in(hospital, record())
    assert (await handed_in(hospital, record())).case_id == first.case_id
    second = await handed_in(hospital, record(medcasno="BA0002"))
    assert second.case_id != first.case_id
    assert len(hospital.sent("4101")) == 2
    assert [one["input"]["setlinfo"]["medcasno"] for one in lists(hospital)] == ["BA0002"]


async def test_a_refused_list_says_why_and_may_come_again(hospital: Hospital) -> None:
    await settled(hospital)
    hospital.rule("4101", "error(-1,病案号不存在)", nth=1)
    refused = await handed_in(hospital, record())
    assert (refused.state, refused.data["why"]) == (State.REJECTED, "病案号不存在")
    assert (await handed_in(hospital, record())).state is State.DONE
    assert (await hospital.case()).state is State.SETTLED


async def test_a_list_outlives_the_process_and_a_lost_reply(lives: Opening) -> None:
    hospital = await lives()
    await settled(hospital)
    hospital.rule("4101", "commit", "drop")
    await handed_in(hospital, record(), waits=False)
    await hospital.arrival("4101")
    hospital = await lives()
    hospital.rules([])
    await hospital.running.pipeline.settled_down()
    item, number = await hospital.running.pipeline.newest_list(await hospital.case())
    assert item is not None
    assert (item.state, number, len(lists(hospital))) == (State.DONE, 1, 1)


async def test_a_list_needs_a_settlement_that_stands(hospital: Hospital) -> None:
    await settled(hospital)
    assert (await hospital.say(void())).state == "VOIDED"
    with pytest.raises(Refused, match="VOIDED"):
        await handed_in(hospital, record())
    assert hospital.sent("4101") == []


async def test_a_list_at_the_centre_is_marked_when_its_settlement_is_taken_back(hospital: Hospital) -> None:
    await settled(hospital)
    first = await handed_in(hospital, record())
    assert (await hospital.say(void())).state == "VOIDED"
    await hospital.running.pipeline.settled_down()
    item = await hospital.running.ledger.case(first.case_id)
    assert item is not None
    assert (item.state, item.data["setl_list_id"]) == (State.DONE, first.data["setl_list_id"])
    assert is_stranded(item)
    assert len(hospital.sent("4101")) == 1


async def test_a_list_that_waits_goes_out_no_more_once_its_settlement_is_taken_back(hospital: Hospital) -> None:
    await settled(hospital)
    first = await waiting(hospital)
    assert (await hospital.say(void())).state == "VOIDED"
    sent = len(hospital.sent("4101"))
    hospital.rules([])
    await hospital.running.pipeline.settled_down()
    item = await hospital.running.ledger.case(first.case_id)
    assert item is not None
    assert (item.state, item.data["why"]) == (State.CANCELLED, "the settlement was taken back")
    assert not is_stranded(item)
    assert (len(hospital.sent("4101")), lists(hospital)) == (sent, [])


async def test_a_refund_in_the_moment_before_the_upload_stops_it(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled(hospital)
    sign_in = Sessions.signed_in
    taken_back = iter([hospital.say(void())])

    async def just_before(sessions: Sessions, context: Context) -> Context:
        for refund in taken_back:
            assert (await refund).state == "VOIDED"
        return await sign_in(sessions, context)

    monkeypatch.setattr(Sessions, "signed_in", just_before)
    item = await handed_in(hospital, record())
    assert (item.state, hospital.sent("4101")) == (State.CANCELLED, [])


async def test_a_list_waits_while_a_refund_is_under_way_and_goes_on_when_it_came_to_nothing(hospital: Hospital) -> None:
    await settled(hospital)
    first = await waiting(hospital)
    hospital.rules([{"infno": one, "nth": None, "actions": ["drop"]} for one in ("4101", "2208", "5203")])
    assert (await hospital.say(void(), wait_s=0.0)).state == "VOIDING"
    await hospital.arrival("5203")
    sent = len(hospital.sent("4101"))
    questions = Announcing([{"infno": "5203", "nth": None, "actions": ["drop"]}])
    hospital.centre.set_rules(questions)
    await questions.arrivals("5203", 6)  # they are no closer to each other than the list's tries
    assert len(hospital.sent("4101")) == sent
    hospital.rules([])
    await hospital.running.pipeline.settled_down()
    item = await hospital.running.ledger.case(first.case_id)
    assert item is not None
    assert (await hospital.case()).state is State.SETTLED
    assert (item.state, len(lists(hospital))) == (State.DONE, 1)


async def test_the_list_over_http(centre: Simulator, tmp_path: Path) -> None:
    async with served(centre, configure(tmp_path, centre.url)) as service:
        assert (await service.post("/v1/settlements", message(intent=None))).json()["state"] == "SETTLED"
        assert (await service.get("/v1/settlements/K1/list")).json()["code"] == "NO_SUCH_LIST"
        faulty = await service.http.put("/v1/settlements/K1/list", json={"setlinfo": {}})
        assert (faulty.status_code, faulty.json()["code"]) == (422, "LIST_INCOMPLETE")
        told = (await service.http.put("/v1/settlements/K1/list", json=record())).json()
        assert (told["state"], told["version"]) == ("DONE", 1)
        marked = await service.post("/v1/settlements/K1/list/status", {"stas_type": "1"})
        assert marked.json()["stas_type"] == "1"
        submitted = (await service.http.put("/v1/settlements/K1/list", json=record(medcasno="BA0002"))).json()
        assert (submitted["state"], submitted["version"]) == ("REJECTED", 2)
        assert "已提交" in submitted["reason"]
        assert (await service.get("/v1/settlements/K1")).json()["state"] == "SETTLED"


async def test_over_http_a_list_of_a_settlement_taken_back_says_so(centre: Simulator, tmp_path: Path) -> None:
    async with served(centre, configure(tmp_path, centre.url)) as service:
        await service.post("/v1/settlements", message(intent=None))
        assert (await service.http.put("/v1/settlements/K1/list", json=record())).json()["voided_at"] is None
        await service.post("/v1/settlements/K1/void", {"void_key": "R1"})
        left = (await service.get("/v1/settlements/K1/list")).json()
        assert (left["state"], left["settlement_state"]) == ("DONE", "VOIDED")
        assert left["voided_at"]
        assert "已退费" in left["message_zh"]
