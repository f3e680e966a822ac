"""Pharmacies: a sale in one message, refunded whole; its goods are told to the centre once it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.flow.conftest import Opening
from tests.flow.hospital import Hospital, line, message, void
from tests.flow.test_doubt import evidence

GOODS = {
    "fixmedins_hilist_id": "Y001", "fixmedins_hilist_name": "测试药品", "fixmedins_bchno": "B001", "prsc_dr_cert_type": "99",
    "prsc_dr_name": "无", "phar_cert_type": "99", "phar_name": "测试药师", "phar_prac_cert_no": "YS0001", "hi_feesetl_type": "1",
    "manu_lotnum": "L001", "manu_date": "2026-01-01", "rx_flag": "0", "trdn_flag": "0", "rtal_docno": "X0001",
    "sel_retn_opter_name": "测试店员",
}  # fmt: skip


def sale(intent: str = "settle", settle_key: str = "K1", visit_key: str = "V1", **goods: Any) -> dict[str, Any]:
    fees = [{**line("F1", "35.00"), **GOODS, **goods}, {**line("F2", "12.50"), **GOODS, "rtal_docno": "X0002", **goods}]
    return message(
        intent, settle_key, visit_key, kind="pharmacy", diagnoses=None, fees=fees, visit={"begntime": "2026-11-21 09:00:00"},
        settle={"med_type": "41", "psn_setlway": "01", "acct_used_flag": "1"},
    )  # fmt: skip


def sold(hospital: Hospital) -> list[str]:
    return sorted(row["rtal_docno"] for row in hospital.truth["sales"])


async def test_a_sale_settles_and_its_goods_follow(hospital: Hospital) -> None:
    told = await hospital.say(sale("quote"))
    assert told.state == "QUOTED", told.text
    told = await hospital.say(sale())
    assert told.state == "SETTLED", told.text
    assert told.answer["amounts"]["medfee_sumamt"] == "47.50"
    await hospital.running.pipeline.settled_down()
    assert hospital.calls == ["1101", "2101", "2102", "3505", "3505"]
    assert sold(hospital) == ["X0001", "X0002"]
    assert (await hospital.case("K1/after", "after")).state == "DONE"
    assert (await hospital.say(void())).state == "VOIDED"
    assert hospital.calls[-1] == "2103"
    assert hospital.settlements == ["refunded"]
    booked = [
        entry.mdtrt_id
        for case in (await hospital.case(), await hospital.case("R1", "void"))
        for entry in await hospital.running.ledger.entries_of_case(case.case_id)
    ]
    assert booked == [hospital.truth["settlements"][0]["mdtrt_id"]] * 2  # 2102 made the visit: the books name it


async def test_goods_that_are_refused_or_lost_never_touch_the_money(hospital: Hospital) -> None:
    hospital.rules(
        [
            {"infno": "3505", "nth": 1, "actions": ["drop"]},
            {"infno": "3505", "nth": 3, "actions": ["error(-1,批次不存在)"]},
        ]
    )
    told = await hospital.say(sale())
    assert told.state == "SETTLED"
    await hospital.running.pipeline.settled_down()
    item = await hospital.case("K1/after", "after")
    assert (item.state, item.data["why"]) == ("REJECTED", "批次不存在")
    assert (await hospital.say({"intent": "query", "settle_key": "K1"})).state == "SETTLED"
    assert sold(hospital) == ["X0001"]


async def test_goods_wait_for_a_centre_that_is_away_and_outlive_the_process(lives: Opening) -> None:
    hospital = await lives()
    hospital.rule("3505", "drop")
    assert (await hospital.say(sale())).state == "SETTLED"
    await hospital.arrival("3505")
    hospital = await lives()
    hospital.rules([])
    await hospital.running.pipeline.settled_down()
    assert sold(hospital) == ["X0001", "X0002"]


async def test_a_sale_without_its_goods_data_settles_and_is_left_to_a_person(hospital: Hospital) -> None:
    assert (await hospital.say(sale(manu_lotnum=None))).state == "SETTLED"
    await hospital.running.pipeline.settled_down()
    item = await hospital.case("K1/after", "after")
    assert item.state == "REJECTED"
    assert "manu_lotnum" in item.data["why"]
    assert hospital.sent("3505") == []


@pytest.mark.parametrize("others", [0, 3])
async def test_a_sale_whose_reply_is_lost_is_found_among_the_persons_visits(hospital: Hospital, others: int) -> None:
    """Its visit is known only from the lost reply: every visit of the day is asked for our msgid."""
    for number in range(others):
        told = await hospital.say(sale(settle_key=f"O{number}", visit_key=f"OV{number}"))
        assert told.state == "SETTLED", told.text
    hospital.rule("2102", "commit", "drop")
    assert (await hospital.say(sale(), wait_s=0)).state == "PENDING"
    told = await hospital.decided()
    assert told.state == "SETTLED", told.text
    assert await evidence(hospital) == "E2"
    assert told.answer["setl_id"] == hospital.truth["settlements"][-1]["setl_id"]
    assert "2601" not in hospital.calls
    assert sold(hospital) == ["X0001", "X0002"]
    assert (await hospital.say(void())).state == "VOIDED"
    assert hospital.settlements == ["settled"] * others + ["refunded"]


async def test_a_found_sale_that_is_no_longer_wanted_is_reversed(hospital: Hospital) -> None:
    hospital.rules([{"infno": "2102", "actions": ["commit", "drop"]}, {"infno": "5201", "actions": ["drop"]}])
    assert (await hospital.say(sale(), wait_s=0)).state == "PENDING"
    await hospital.arrival("5201")
    assert (await hospital.say({"intent": "cancel", "settle_key": "K1"})).state == "PENDING"
    hospital.rules([])
    assert (await hospital.decided()).state == "REVERSED"
    assert hospital.settlements == ["reversed"]


async def test_a_found_sale_of_another_total_is_left_to_a_person(hospital: Hospital) -> None:
    hospital.rules([{"infno": "2102", "actions": ["commit", "drop"]}, {"infno": "5203", "actions": ["drop"]}])
    assert (await hospital.say(sale(), wait_s=0)).state == "PENDING"
    await hospital.arrival("5203")
    [one] = hospital.centre.world.settlements.values()
    one.split = replace(one.split, bill=replace(one.split.bill, medfee_sumamt=one.split.bill.medfee_sumamt + 1))
    hospital.rules([])
    assert (await hospital.decided()).state == "FROZEN"


@pytest.mark.parametrize("query", ["by_visit", "none"])
@pytest.mark.parametrize("actions", [["drop"], ["commit", "drop"]], ids=["absent", "applied"])
async def test_a_sale_that_no_query_shows_is_reversed(hospital: Hospital, actions: list[str], query: str) -> None:
    """That 5201 doesn't list it proves nothing: it is never told as absent, it is reversed."""
    hospital.temper(lists_sales=False)
    hospital.can(query_after_unknown=query)
    hospital.rule("2102", *actions, nth=1)
    assert (await hospital.say(sale(), wait_s=0)).state == "PENDING"
    assert (await hospital.decided()).state == "REVERSED"
    assert await evidence(hospital) == "E6"
    assert ("5201" in hospital.calls) is (query == "by_visit")
    assert "settled" not in hospital.settlements
    assert (await hospital.say(sale(settle_key="K2"))).state == "SETTLED"
    await hospital.running.pipeline.settled_down()


async def test_a_refund_whose_reply_is_lost_is_found(hospital: Hospital) -> None:
    await hospital.say(sale())
    await hospital.running.pipeline.settled_down()
    hospital.rule("2103", "commit", "drop")
    await hospital.say(void(), wait_s=0)
    await hospital.running.pipeline.settled_down()
    assert (await hospital.say(void())).state == "VOIDED"


async def test_a_refused_sale_says_why(hospital: Hospital) -> None:
    hospital.rule("2102", "error(-1,没有获取到异地备案信息!)", nth=1)
    assert (await hospital.say(sale())).state == "REJECTED"
    assert (await hospital.say(sale(settle_key="K2"))).state == "SETTLED"
    await hospital.running.pipeline.settled_down()
