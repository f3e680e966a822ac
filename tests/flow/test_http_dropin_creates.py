"""Creates of a national HIS's own through the drop-in: filings (25xx), clearing applications (3203, 3204), the list's confirmation.

Once each; one that was never answered isn't sent again before the HIS has looked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapter_core.accounts.clearing import APPLICATION
from tests.flow.conftest import Window
from tests.flow.hospital import ORG
from tests.flow.national_his import NationalHis

UNKNOWN = "【结果未知】"
PSN_NO = "T00000000001"
TODAY = "2026-11-21"
Windows = Callable[..., Awaitable[Window]]

FILINGS: dict[str, dict[str, Any]] = {
    "2501": {"refmedin": {
        "psn_no": PSN_NO, "insutype": "310", "tel": "", "addr": "", "insu_optins": "320100", "diag_code": "I63.900", "diag_name": "脑梗死",
        "dise_cond_dscr": "", "reflin_medins_no": "H31000000001", "reflin_medins_name": "测试上级医院", "mdtrtarea_admdvs": "310100",
        "hosp_agre_refl_flag": "1", "refl_type": "1", "refl_date": TODAY, "refl_rea": "病情需要", "refl_opnn": "同意", "begndate": TODAY}},
    "2503": {"data": {
        "psn_no": PSN_NO, "insutype": "310", "opsp_dise_code": "M03900", "opsp_dise_name": "高血压", "tel": "", "addr": "",
        "insu_optins": "320100", "ide_fixmedins_no": ORG, "ide_fixmedins_name": "测试医院", "hosp_ide_date": TODAY,
        "diag_dr_codg": "D36010000001", "diag_dr_name": "测试医师", "begndate": TODAY}},
    "2505": {"data": {
        "psn_no": PSN_NO, "tel": "", "addr": "", "biz_appy_type": "03", "begndate": TODAY, "fix_srt_no": "1",
        "fixmedins_code": ORG, "fixmedins_name": "测试医院"}},
}  # fmt: skip
LOOK: dict[str, tuple[str, dict[str, Any]]] = {
    "2501": ("5304", {"data": {"psn_no": PSN_NO, "begntime": f"{TODAY} 00:00:00", "endtime": f"{TODAY} 23:59:59"}}),
    "2503": ("5301", {"data": {"psn_no": PSN_NO}}),
    "2505": ("5302", {"data": {"psn_no": PSN_NO, "biz_appy_type": "03"}}),
}


@pytest.mark.parametrize(("infno", "back"), [("2501", "2502"), ("2503", "2504"), ("2505", "2506")])
async def test_a_filing_is_made_and_taken_back(windows: Windows, infno: str, back: str) -> None:
    service, his = await windows()
    filed = await his.call(infno, FILINGS[infno])
    assert filed["infcode"] == 0, filed
    number = filed["output"]["result"]["trt_dcla_detl_sn"]
    gone = await his.call(back, {"data": {"trt_dcla_detl_sn": number, "psn_no": PSN_NO, "memo": "录入错误"}})
    assert gone["infcode"] == 0, gone
    assert service.hospital.calls == [infno, back]


@pytest.mark.parametrize("infno", ["2501", "2503", "2505"])
async def test_a_filing_that_was_never_answered_is_not_sent_again_blindly(windows: Windows, infno: str) -> None:
    service, his = await windows()
    service.hospital.rules([{"infno": infno, "nth": 1, "actions": ["drop"]}])  # lost on its way
    first = await his.call(infno, FILINGS[infno])
    assert first["err_msg"].startswith(UNKNOWN)
    query, asked = LOOK[infno]
    again = await his.call(infno, FILINGS[infno])
    assert again["err_msg"].startswith(UNKNOWN)
    assert query in again["err_msg"]
    assert len(service.hospital.sent(infno)) == 1
    assert (await his.call(query, asked))["infcode"] == 0
    assert (await his.call(infno, FILINGS[infno]))["infcode"] == 0, "the HIS has looked: nothing was there"
    told = await his.call(infno, FILINGS[infno])
    assert not told["err_msg"].startswith(UNKNOWN), "answered: the centre says itself that it has it"
    assert len(service.hospital.sent(infno)) == 3


async def test_another_filing_of_the_person_passes_beside_an_open_one(windows: Windows) -> None:
    service, his = await windows(as_504=True)
    service.hospital.rules([{"infno": "2503", "nth": 1, "actions": ["drop"]}])
    unknown = await his.send("2503", FILINGS["2503"])
    assert unknown.status_code == 504
    assert unknown.json()["err_msg"].startswith(UNKNOWN)
    other = {"data": {**FILINGS["2503"]["data"], "opsp_dise_code": "M01600", "opsp_dise_name": "糖尿病"}}
    assert (await his.call("2503", other))["infcode"] == 0
    refused = await his.call("2503", FILINGS["2503"])
    assert refused["err_msg"].startswith(UNKNOWN), "the first is open still"


# -- clearing


async def sold(his: NationalHis) -> dict[str, Any]:
    """A sale, and the month's application over it."""
    psn_no = (await his.identify())["psn_no"]
    told = (await his.call("2102", his.sale(psn_no, "X1", 35.0)))["output"]["setlinfo"]
    return {
        "clr_type": "41", "clr_way": "1", "setlym": "202611", "psntime": 1, "medfee_sumamt": told["medfee_sumamt"],
        "med_sumfee": told["medfee_sumamt"], "fund_appy_sum": told["fund_pay_sumamt"], "cash_payamt": told["psn_cash_pay"],
        "acct_pay": told["acct_pay"], "begndate": "2026-01-01", "enddate": "2099-12-31",
    }  # fmt: skip


async def test_an_application_goes_out_once_and_the_accounts_know_it(windows: Windows) -> None:
    service, his = await windows()
    data = await sold(his)
    first, beside = await asyncio.gather(his.call("3203", {"data": data}), his.call("3203", {"data": data}))
    assert first["infcode"] == 0, first
    assert beside["output"] == first["output"]
    number = first["output"]["result"]["clr_appy_evt_id"]
    assert (await his.call("3203", {"data": data}))["output"]["result"] == {"clr_appy_evt_id": number}
    other = await his.call("3203", {"data": {**data, "psntime": 2}})
    assert number in other["err_msg"]
    assert len(service.hospital.sent("3203")) == 1
    [item] = await service.hospital.running.ledger.account_items(ORG, APPLICATION)
    assert (item.state, item.day, item.subject, item.facts["clr_appy_evt_id"]) == ("applied", "2026-11", "41", number)
    assert (await his.call("3204", {"data": {"clr_appy_evt_id": number}}))["infcode"] == 0
    assert (await his.call("3203", {"data": data}))["infcode"] == 0, "withdrawn: the month may be applied for again"
    assert len(service.hospital.sent("3203")) == 2


async def test_an_application_without_an_answer_waits_for_a_person(windows: Windows) -> None:
    service, his = await windows()
    data = await sold(his)
    service.hospital.rule("3203", "error(-1,清算数据不符)", nth=1)
    assert "清算数据不符" in (await his.call("3203", {"data": data}))["err_msg"]
    service.hospital.rule("3203", "commit", "drop")
    assert (await his.call("3203", {"data": data}))["err_msg"].startswith(UNKNOWN)
    again = await his.call("3203", {"data": data})
    assert "申报结果未知" in again["err_msg"]
    assert len(service.hospital.sent("3203")) == 2
    nameless = await his.call("3203", {"data": {**data, "setlym": ""}})
    assert "setlym" in nameless["err_msg"]


async def test_a_lists_confirmation_that_was_never_answered_waits_for_the_list(windows: Windows) -> None:
    service, his = await windows()
    await sold(his)
    confirm = {
        "data": {"trt_year": "2026", "trt_month": "11", "totalrow": "1"},
        "detail": [
            {"certno": "110101190001010000", "mdtrt_id": "M1", "mdtrt_setl_time": f"{TODAY} 09:00:00", "setl_sn": "J1",
             "medfee_sumamt": 35.0, "optins_pay_sumamt": "0", "cnfm_flag": "1"}
        ],
    }  # fmt: skip
    service.hospital.rule("3261", "drop", nth=1)
    assert (await his.call("3261", confirm))["err_msg"].startswith(UNKNOWN)
    assert "3260" in (await his.call("3261", confirm))["err_msg"]
    assert len(service.hospital.sent("3261")) == 1
    listed = await his.call("3260", {"data": {"trt_year": "2026", "trt_month": "11", "startrow": 1}})
    assert listed["infcode"] == 0, listed
    await his.call("3261", confirm)
    assert len(service.hospital.sent("3261")) == 2
