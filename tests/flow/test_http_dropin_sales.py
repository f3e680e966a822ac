"""A pharmacy's HIS changes its base URL and nothing else: 2101, 2102, its own 5203 and 2601, 2103, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from adapter_core.ledger.sealing import create_master_key
from adapter_core.simulator import pharmacy
from adapter_core.simulator.server import Simulator
from adapter_core.simulator.truth import truth_of
from tests.flow.conftest import ONLY_HERE, Window
from tests.flow.hospital import ORG, Announcing, assert_invariants
from tests.flow.national_his import NationalHis
from tests.flow.served import configure, served

UNKNOWN = "【结果未知，请勿改自费】"
Windows = Callable[..., Awaitable[Window]]
OF_THE_HOUR = ("setl_time", "medins_setl_id")
"""What differs between two centres' days by nature."""


def of(reply: dict[str, Any], *names: str) -> dict[str, Any]:
    """These fields of a settlement, as a HIS asks about it."""
    told = reply["output"]["setlinfo"]
    return {"data": {name: told[name] for name in names or ("psn_no", "mdtrt_id", "setl_id")}}


async def a_day(his: NationalHis) -> list[dict[str, Any]]:
    """A morning at one counter: a trial, two sales, a repeated call, a query, a refund; every money reply."""
    psn_no = (await his.identify())["psn_no"]
    first = his.sale(psn_no, "X1", 35.0, 12.5)
    trial = await his.call("2101", first)
    assert trial["infcode"] == 0, trial
    sold = await his.call("2102", first)
    assert (await his.call("3505", his.goods(sold, "X1")))["infcode"] == 0
    other = await his.call("2102A", his.sale(psn_no, "X2", 20.0))
    found = await his.call("5203", of(sold))
    back = await his.call("2103", of(sold))
    return [trial, sold, other, found, back]


def told(reply: dict[str, Any]) -> dict[str, Any]:
    output = reply["output"]
    setlinfo = {name: value for name, value in output["setlinfo"].items() if name not in OF_THE_HOUR}
    return {"setlinfo": setlinfo, "lines": output.get("detlcutinfo"), "funds": output.get("setldetail")}


async def test_a_pharmacys_day_is_the_same_as_at_the_centre(windows: Windows) -> None:
    service, his = await windows()
    async with Simulator() as other, NationalHis(f"{other.url}/fsi/api") as direct:
        wanted, heard = await a_day(direct), await a_day(his)
        for name, theirs, ours in zip(("2101", "2102", "2102A", "5203", "2103"), wanted, heard, strict=True):
            assert theirs["infcode"] == ours["infcode"] == 0, (name, ours)
            left, right = told(theirs), told(ours)
            common = left["setlinfo"].keys() & right["setlinfo"].keys()
            assert {one: right["setlinfo"][one] for one in common} == {one: left["setlinfo"][one] for one in common}
            assert {"setl_id", "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "balc"} <= common or name == "2101"
        assert told(heard[1])["lines"] == told(wanted[1])["lines"], "2102's lines are its own"
        assert {"psn_pay", "cash_payamt"} <= heard[4]["output"]["setlinfo"].keys(), (
            "a sale's refund has names of its own"
        )
        assert type(heard[4]["output"]["setlinfo"]["psn_pay"]) is str
        numbers = ["1101", "2101", "2102", "3505", "2101", "2102A", "2103"]
        assert service.hospital.calls == numbers, "a trial that was left out is made"
        assert service.hospital.truth["sales"] == truth_of(other.world)["sales"]
        left, right = truth_of(service.hospital.centre.world), truth_of(other.world)
        assert [one["amounts"] for one in left["settlements"]] == [one["amounts"] for one in right["settlements"]]
        assert [one["state"] for one in left["settlements"]] == ["refunded", "settled"]


async def test_a_sale_told_again_is_the_same_sale(windows: Windows) -> None:
    service, his = await windows()
    psn_no = (await his.identify())["psn_no"]
    sale = his.sale(psn_no, "X1", 35.0, 12.5)
    first, second = await asyncio.gather(his.call("2102", sale), his.call("2102", sale))
    again = his.sale(psn_no, "X1", 35.0, 12.5, invono="F002")
    again["drugdetail"].reverse()
    third = await his.call("2102A", again)
    heard = [one["output"]["setlinfo"] for one in (first, second, third)]
    assert len({one["setl_id"] for one in heard}) == 1
    assert heard[2]["medins_setl_id"] == his.last_msgid
    assert [one for one in service.hospital.calls if one.startswith("2102")] == ["2102"]


async def test_the_lines_told_are_the_settlements_own(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    _, his = await windows()
    sale = his.sale((await his.identify())["psn_no"], "X1", 35.0, 12.5)
    await his.call("2101", sale)
    await his.call("2101", sale)
    as_tried = pharmacy.line_fields
    monkeypatch.setattr(pharmacy, "line_fields", lambda line: {**as_tried(line), "memo": "结算"})
    for _ in range(2):
        lines = (await his.call("2102", sale))["output"]["detlcutinfo"]
        assert [(line["feedetl_sn"], line["memo"]) for line in lines] == [("X1-0", "结算"), ("X1-1", "结算")]


async def test_what_looks_alike_is_refused_and_never_sold_twice(windows: Windows) -> None:
    """A HIS that draws ``begntime`` anew at a retry, or that counts each sale's lines from 1."""
    service, his = await windows()
    psn_no = (await his.identify())["psn_no"]
    sold = await his.call("2102", his.sale(psn_no, "X1", 35.0))
    later = his.sale(psn_no, "X1", 35.0, at="2026-11-21 09:00:40")
    refused = await his.call("2102", later)
    assert refused["infcode"] == -1
    assert "请勿改自费" in refused["err_msg"]
    assert sold["output"]["setlinfo"]["setl_id"] in refused["err_msg"]
    assert len(refused["err_msg"]) <= 200
    assert service.hospital.settlements == ["settled"]
    for another in (
        his.sale(psn_no, "X2", 35.0),
        his.sale(psn_no, "X1", 36.0),
        his.sale(psn_no, "X1", 35.0, at="2026-12-21 09:00:00"),
    ):
        assert (await his.call("2102", another))["infcode"] == 0
    assert (await his.call("2103", of(sold)))["infcode"] == 0
    assert (await his.call("2102", later))["infcode"] == 0, "nothing of the first stands any more"
    assert service.hospital.settlements == ["refunded", *["settled"] * 4]


async def test_a_retry_after_midnight_is_the_sale_of_before(windows: Windows) -> None:
    service, his = await windows()
    psn_no = (await his.identify())["psn_no"]
    await his.call("2102", his.sale(psn_no, "X1", 35.0, at="2026-11-20 23:59:40"))
    refused = await his.call("2102", his.sale(psn_no, "X1", 35.0, at="2026-11-21 00:00:20"))
    assert "请勿改自费" in refused["err_msg"]
    assert (await his.call("2102", his.sale(psn_no, "X1", 35.0, at="2026-11-21 08:00:00")))["infcode"] == 0
    assert len(service.hospital.settlements) == 2


async def test_a_lost_sale_is_found_while_the_his_waits(windows: Windows) -> None:
    service, his = await windows()
    psn_no = (await his.identify())["psn_no"]
    sale = his.sale(psn_no, "X1", 35.0, 12.5)
    for _ in range(2):
        assert (await his.call("2101", sale))["infcode"] == 0
    service.hospital.rule("2102", "commit", "drop")
    sold = await his.call("2102", sale)
    assert sold["infcode"] == 0, sold
    assert len(sold["output"]["detlcutinfo"]) == 2, "the trial's, as the query tells none"
    assert service.hospital.settlements == ["settled"]
    assert sold["output"]["setlinfo"]["setl_id"] == service.hospital.truth["settlements"][0]["setl_id"]
    assert (await his.call("2103", of(sold)))["infcode"] == 0
    assert service.hospital.settlements == ["refunded"]


async def test_an_unknown_sale_is_unknown_to_every_question(windows: Windows) -> None:
    service, his = await windows(hold_s=0.3, query="none")
    psn_no = (await his.identify())["psn_no"]
    sale = his.sale(psn_no, "X1", 35.0, 12.5)
    service.hospital.rule("2102", "commit", "hang(60)")
    unknown = await his.call("2102", sale)
    assert unknown["infcode"] == -1
    assert unknown["err_msg"].startswith(UNKNOWN)
    case = (await service.hospital.running.ledger.cases_in(["SENDING"]))[0]
    assert case.case_id[:10].upper() in unknown["err_msg"]
    assert await his.call("2102", sale) == unknown
    [truth] = service.hospital.truth["settlements"]
    asked = {"psn_no": psn_no, "setl_id": truth["setl_id"], "mdtrt_id": truth["mdtrt_id"]}
    for infno, data in (
        ("2102", his.sale(psn_no, "X1", 35.0, 12.5, at="2026-11-21 09:03:00")),
        ("2102", his.sale(psn_no, "X1", 35.0)),
        ("2102", his.sale(psn_no, "X1", 35.0, 12.5, at="2026-11-22 00:00:10")),
        ("5203", {"data": asked}),
        ("2103", {"data": asked}),
    ):
        heard = await his.call(infno, data)
        assert (heard["infcode"], heard["err_msg"][: len(UNKNOWN)]) == (-1, UNKNOWN), (infno, heard)
    assert (await his.call("2102", his.sale(psn_no, "X9", 1.0)))["err_msg"].startswith(UNKNOWN), "it hangs as well"
    assert len(service.hospital.sent("2102")) == 2
    assert {"5203", "2103"} & set(service.hospital.calls) == set()


async def test_the_pharmacys_own_reversal_is_a_cancel(windows: Windows) -> None:
    service, his = await windows(hold_s=0.3, query="none")
    psn_no = (await his.identify())["psn_no"]
    sale = his.sale(psn_no, "X1", 35.0)
    service.hospital.rule("2102", "commit", "drop")
    assert (await his.call("2102", sale))["err_msg"].startswith(UNKNOWN)
    back = {"data": {"psn_no": psn_no, "omsgid": his.last_msgid, "oinfno": "2102"}}
    reply = await his.call("2601", back)
    while reply["infcode"] != 0:  # as a HIS does: again, until it is told
        assert reply["err_msg"].startswith(UNKNOWN)
        reply = await his.call("2601", back)
    assert service.hospital.settlements == ["reversed"]
    service.hospital.rules([])
    assert (await his.call("2102", sale))["infcode"] == 0, "a new attempt, once nothing of the last one stands"
    assert "退费" in (await his.call("2601", {"data": {**back["data"], "omsgid": his.last_msgid}}))["err_msg"]


async def test_a_lost_refund_is_found_and_the_sale_is_asked_for_by_its_number(windows: Windows) -> None:
    service, his = await windows()
    psn_no = (await his.identify())["psn_no"]
    sold = await his.call("2102", his.sale(psn_no, "X1", 35.0))
    service.hospital.rule("2103", "commit", "drop")
    back = await his.call("2103", of(sold, "psn_no", "setl_id"))
    assert back["infcode"] == 0, back
    service.hospital.rules([])
    assert (await his.call("2103", of(sold)))["output"]["setlinfo"] == {
        **back["output"]["setlinfo"],
        "medins_setl_id": his.last_msgid,
    }
    queries = len(service.hospital.sent("5203"))
    found = await his.call("5203", of(sold, "psn_no", "setl_id"))
    assert found["output"]["setlinfo"]["refd_setl_flag"] == "1"
    assert len(service.hospital.sent("5203")) == queries, "answered from the case"
    assert len(service.hospital.sent("2103")) == 1
    nobody = await his.call("2103", {"data": {"psn_no": psn_no, "mdtrt_id": "M9", "setl_id": "J9"}})
    assert "没有这笔结算" in nobody["err_msg"]


async def test_a_doubt_goes_on_after_a_restart_and_the_goods_stay_the_pharmacys_own(
    centre: Simulator, tmp_path: Path
) -> None:
    create_master_key(tmp_path / "master.key")
    config = configure(tmp_path, centre.url, addresses=ONLY_HERE, hold_s=0.3)
    async with served(centre, config, token="") as service, NationalHis(f"{service.url}/fsi/api") as his:
        psn_no = (await his.identify())["psn_no"]
        sale = his.sale(psn_no, "X1", 35.0)
        del sale["druginfo"]["med_type"]  # which a query is printed to want, and a sale isn't
        service.hospital.rules(
            [{"infno": "2102", "actions": ["commit", "drop"]}, {"infno": "5201", "actions": ["drop"]}]
        )
        assert (await his.call("2102", sale))["err_msg"].startswith(UNKNOWN)
    centre.set_rules(Announcing([]))
    async with served(centre, config, token="") as service, NationalHis(f"{service.url}/fsi/api") as his:
        await service.hospital.running.pipeline.settled_down()
        assert await service.hospital.running.ledger.cases_in(["RESOLVING"]) == [], "found without the HIS"
        assert (await his.call("2102", sale))["infcode"] == 0
        await service.hospital.running.pipeline.settled_down()
        assert service.hospital.settlements == ["settled"]
        assert service.hospital.sent("3505") == []
        assert await service.hospital.running.ledger.cases_in(["READY", "REJECTED"]) == [], "no goods of ours"
    assert_invariants(centre, tmp_path)


@pytest.mark.parametrize("lacking", ["psn_no", "begntime", "drugdetail", "feedetl_sn"])
async def test_a_sale_without_its_key_is_refused(windows: Windows, lacking: str) -> None:
    service, his = await windows()
    sale = his.sale("T00000000001", "X1", 35.0)
    for record in (sale, sale["druginfo"], *sale["drugdetail"]):
        record.pop(lacking, None)
    refused = await his.call("2102", sale)
    assert refused["infcode"] == -1
    assert ("drugdetail" if lacking == "feedetl_sn" else lacking) in refused["err_msg"]
    assert service.hospital.calls == []


async def test_the_centres_refusal_of_a_sale_is_told_in_its_own_words(windows: Windows) -> None:
    service, his = await windows()
    psn_no = (await his.identify())["psn_no"]
    sale = his.sale(psn_no, "X1", 35.0)
    service.hospital.rule("2102", "error(-1,没有获取到异地备案信息!)")
    refused = await his.call("2102", sale)
    assert "没有获取到异地备案信息!" in refused["err_msg"]
    assert UNKNOWN not in refused["err_msg"]
    service.hospital.rules([])
    assert (await his.call("2102", sale))["infcode"] == 0
    assert ORG in service.hospital.sent("2102")[0].msgid
