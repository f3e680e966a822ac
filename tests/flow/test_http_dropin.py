"""A HIS that speaks the national JSON changes its base URL and nothing else: the same day, at the centre itself and at the adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from adapter_core.simulator.server import Simulator
from adapter_core.simulator.truth import truth_of
from tests.flow.conftest import Window
from tests.flow.national_his import NationalHis

UNKNOWN = "【结果未知，请勿改自费】"
DAY = ["1101", "2201", "2203A", "2204", "2206", "2207"]
OF_THE_HOUR = ("setl_time", "medins_setl_id")
"""What differs between two centres' days by nature."""


async def a_day(his: NationalHis) -> list[dict[str, Any]]:
    """A morning at one window: two visits of three bills, a repeated call, a query, a refund; every money reply."""
    replies = []
    psn_no, first, bill = await his.visit("OP1", "B1", [186.5, 13.5])
    settled = await his.call("2207", bill)
    replies.append(settled)
    setl_id = settled["output"]["setlinfo"]["setl_id"]
    await his.upload(psn_no, first, "B2", [20.0])
    more = await his.call("2206", his.bill(psn_no, first, "B2", 20.0))
    shares = {name: more["output"]["setlinfo"][name] for name in ("fulamt_ownpay_amt", "inscp_scp_amt")}
    replies.append(await his.call("2207", his.bill(psn_no, first, "B2", 20.0, **shares)))
    replies.append(await his.call("5203", {"data": {"psn_no": psn_no, "mdtrt_id": first, "setl_id": setl_id}}))
    named = {"data": {"psn_no": psn_no, "mdtrt_id": first, "setl_id": setl_id}}
    replies.append(await his.call("2208", named))
    replies.append(await his.call("5203", named))  # refunded, and still answered
    _, _, second = await his.visit("OP2", "B3", [66.6])
    replies.append(await his.call("2207", second))
    return replies


def told(replies: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    return [
        (
            reply["infcode"],
            {
                name: value
                for name, value in reply["output"]["setlinfo"].items()
                if name not in OF_THE_HOUR and not isinstance(value, list)
            },
        )
        for reply in replies
    ]


async def test_a_whole_day_is_the_same_as_at_the_centre(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows()
    async with Simulator() as other, NationalHis(f"{other.url}/fsi/api") as direct:
        at_the_centre = await a_day(direct)
        through_us = await a_day(his)
        ours, theirs = told(through_us), told(at_the_centre)
        for (infcode, mine), (wanted_infcode, wanted) in zip(ours, theirs, strict=True):
            assert infcode == wanted_infcode == 0
            assert {name: mine.get(name) for name in wanted if name in mine} == {
                name: wanted[name] for name in wanted if name in mine
            }
            assert {"setl_id", "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "balc"} <= mine.keys() & wanted.keys()
        numbers = [entry.infno for entry in other.entries if entry.infno != "5203"]
        assert service.hospital.calls == numbers, "the HIS is the plan: no call more, none less"
        left, right = truth_of(service.hospital.centre.world), truth_of(other.world)
        assert [one["amounts"] for one in left["settlements"]] == [one["amounts"] for one in right["settlements"]]


async def test_the_wire_has_our_msgid_and_the_his_hears_its_own(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows()
    psn_no, mdtrt_id, bill = await his.visit("OP1", "B1", [10.0])
    settled = await his.call("2207", bill)
    mine = his.last_msgid
    [sent] = service.hospital.sent("2207")
    assert settled["output"]["setlinfo"]["medins_setl_id"] == mine
    assert sent.msgid != mine
    asked = {"data": {"psn_no": psn_no, "mdtrt_id": mdtrt_id, "setl_id": settled["output"]["setlinfo"]["setl_id"]}}
    found = await his.call("5203", asked)
    assert found["output"]["setlinfo"]["medins_setl_id"] == mine
    assert service.hospital.sent("5203") == [], "answered from the case"


async def test_fields_no_table_knows_go_out_as_they_came(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows()
    bodies: list[bytes] = []
    world = service.hospital.centre
    exchange = service.desk.running.pipeline._caller._wire.exchange  # type: ignore[attr-defined]

    async def watched(endpoint: str, frame: Any, **more: Any) -> Any:
        bodies.append(frame.body)
        return await exchange(endpoint, frame, **more)

    service.desk.running.pipeline._caller._wire.exchange = watched  # type: ignore[attr-defined]
    _, _, bill = await his.visit("OP1", "B1", [10.0])
    bill["data"]["city_field"] = "甲"
    assert (await his.call("2207", bill))["infcode"] == 0
    assert '"city_field":"甲"'.encode() in bodies[-1]
    assert b'"recer_sys_code":"FSI_LOCAL"' in bodies[-1]
    assert world.entries[-1].infno == "2207"


async def test_a_retry_under_a_new_msgid_meets_the_same_case(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows()
    _, _, bill = await his.visit("OP1", "B1", [10.0])
    first, second = await asyncio.gather(his.call("2207", bill), his.call("2207", bill))
    third = await his.call("2207", {"data": {**bill["data"], "invono": "F002"}})
    numbers = {one["output"]["setlinfo"]["setl_id"] for one in (first, second, third)}
    assert len(numbers) == 1
    assert len(service.hospital.sent("2207")) == 1


async def test_unknown_is_held_and_then_told_as_unknown_until_it_is_known(
    windows: Callable[..., Awaitable[Window]],
) -> None:
    service, his = await windows(hold_s=0.3, query="none")
    _, mdtrt_id, bill = await his.visit("OP1", "B1", [10.0])
    service.hospital.rule("2207", "commit", "hang(60)")
    unknown = await his.call("2207", bill)
    assert unknown["infcode"] == -1
    assert unknown["err_msg"].startswith(UNKNOWN)
    assert "工单号" in unknown["err_msg"]
    assert len(unknown["err_msg"]) <= 200
    case = (await service.hospital.running.ledger.cases_in(["SENDING"]))[0]
    assert case.case_id[:10].upper() in unknown["err_msg"]
    again = await his.call("2207", bill)
    assert again == unknown
    dropped = await his.call(
        "2205", {"data": {"psn_no": bill["data"]["psn_no"], "mdtrt_id": mdtrt_id, "chrg_bchno": "B1"}}
    )
    assert dropped["err_msg"].startswith(UNKNOWN)
    assert service.hospital.sent("2205") == []
    asked = await his.call("5203", {"data": {"psn_no": bill["data"]["psn_no"], "mdtrt_id": mdtrt_id, "setl_id": ""}})
    assert asked["err_msg"].startswith(UNKNOWN)
    assert len(service.hospital.sent("2207")) == 1


async def test_a_client_that_reads_any_200_as_an_answer_hears_504(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows(hold_s=0.3, as_504=True, query="none")
    _, _, bill = await his.visit("OP1", "B1", [10.0])
    service.hospital.rule("2207", "commit", "hang(60)")
    unknown = await his.send("2207", bill)
    assert unknown.status_code == 504
    assert unknown.json()["err_msg"].startswith(UNKNOWN)


async def test_a_lost_reply_is_found_while_the_his_waits(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows()
    _, _, bill = await his.visit("OP1", "B1", [10.0])
    service.hospital.rule("2207", "commit", "drop")
    settled = await his.call("2207", bill)
    assert settled["infcode"] == 0
    assert len(service.hospital.settlements) == 1


async def test_the_his_own_reversal_is_a_cancel(windows: Callable[..., Awaitable[Window]]) -> None:
    """2601 of an unknown 2207: success only when nothing stands; and no reversal of the HIS's goes out as it came."""
    service, his = await windows(hold_s=0.3, query="none")
    _, _, bill = await his.visit("OP1", "B1", [10.0])
    service.hospital.rule("2207", "commit", "drop")
    unknown = await his.call("2207", bill)
    assert unknown["err_msg"].startswith(UNKNOWN)
    back = {"data": {"psn_no": bill["data"]["psn_no"], "omsgid": his.last_msgid, "oinfno": "2207"}}
    reply = await his.call("2601", back)
    while reply["infcode"] != 0:  # as a HIS does: again, until it is told
        assert reply["err_msg"].startswith(UNKNOWN)
        reply = await his.call("2601", back)
    assert service.hospital.settlements == ["reversed"]
    [money] = service.hospital.sent("2207")
    assert all(one.msgid != his.last_msgid for one in service.hospital.sent("2601"))
    assert money.msgid != back["data"]["omsgid"]
    service.hospital.rules([])
    assert (await his.call("2207", bill))["infcode"] == 0, "a new attempt, once nothing of the last one stands"
    nobody = await his.call("2601", {"data": {**back["data"], "omsgid": "H000"}})
    assert nobody["infcode"] == -1


async def test_a_settled_bill_is_neither_reversed_nor_settled_with_other_content(
    windows: Callable[..., Awaitable[Window]],
) -> None:
    service, his = await windows()
    psn_no, _, bill = await his.visit("OP1", "B1", [10.0])
    await his.call("2207", bill)
    reversal = {"data": {"psn_no": psn_no, "omsgid": his.last_msgid, "oinfno": "2207"}}
    assert "退费" in (await his.call("2601", reversal))["err_msg"]
    other = await his.call("2207", {"data": {**bill["data"], "acct_used_flag": "0"}})
    assert other["infcode"] == -1
    assert "请勿改自费" in other["err_msg"]
    assert service.hospital.settlements == ["settled"]
    assert [one.infno for one in service.hospital.centre.entries].count("2601") == 0


async def test_the_centres_refusal_is_told_in_its_own_words(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows()
    _, _, bill = await his.visit("OP1", "B1", [10.0])
    service.hospital.rule("2207", "error(-1,没有获取到异地备案信息!)")
    refused = await his.call("2207", bill)
    assert refused["infcode"] == -1
    assert "没有获取到异地备案信息!" in refused["err_msg"]
    assert UNKNOWN not in refused["err_msg"]
    service.hospital.rules([])
    assert (await his.call("2207", bill))["infcode"] == 0


async def test_a_registration_in_doubt_is_asked_for_not_made_twice(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows()
    psn_no = (await his.identify())["psn_no"]
    service.hospital.rule("2201", "commit", "drop", nth=1)
    registered = await his.register(psn_no, "OP1")
    assert registered["infcode"] == 0, registered
    assert service.hospital.calls == ["1101", "2201", "5201"]
    visits = [one for one in service.hospital.truth["visits"] if one["kind"] == "outpatient"]
    assert len(visits) == 1
    again = await his.register(psn_no, "OP1")
    assert again["output"]["data"]["mdtrt_id"] == registered["output"]["data"]["mdtrt_id"]


async def test_what_is_no_national_request_is_refused(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows()
    for body, status in ((b"{", 400), (b"[]", 400), (b'{"infno":"2207"}', 400)):
        assert (await service.http.post("/fsi/api", content=body)).status_code == status
    unknown = await his.call("0000", {"data": {}})
    assert unknown["infcode"] == -1
    elsewhere = await service.http.get("/v1/settlements/K1")
    assert elsewhere.status_code == 401, "an address opens the old clients' paths only"
    assert service.hospital.calls == []


async def test_a_stay_is_tried_settled_and_refunded(windows: Callable[..., Awaitable[Window]]) -> None:
    """The centre knows the stay and its lines already; the HIS settles it."""
    service, his = await windows()
    stay = {
        "psn_no": "T00000000001", "mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000", "medfee_sumamt": 186.5,
        "psn_setlway": "01", "mdtrt_id": "S000000001", "insutype": "310", "acct_used_flag": "1", "mid_setl_flag": "0",
    }  # fmt: skip
    trial = await his.call("2303", {"data": stay})
    assert trial["infcode"] == 0, trial
    settled = await his.call("2304", {"data": stay})
    assert settled["infcode"] == 0, settled
    again = await his.call("2304", {"data": stay})
    assert again["output"]["setlinfo"]["setl_id"] == settled["output"]["setlinfo"]["setl_id"]
    other = await his.call("2304", {"data": {**stay, "medfee_sumamt": 100}})
    assert "请勿改自费" in other["err_msg"]
    back = {name: settled["output"]["setlinfo"][name] for name in ("psn_no", "mdtrt_id", "setl_id")}
    assert (await his.call("2305", {"data": back}))["infcode"] == 0
    assert service.hospital.calls == ["2303", "2304", "2305"]
