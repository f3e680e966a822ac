"""Every output of the simulated centre is what the standard's tables print."""

from __future__ import annotations

from typing import Any

from adapter_core.simulator.transactions import TRANSACTIONS
from adapter_core.standard.codec import codec
from adapter_core.standard.transactions import transaction
from tests.unit.test_simulator_world import BEGUN, BILL, SHANGHAI, SHANXI, Till, line

PUBLISHED = {*map(str, range(1301, 1320)), "1901", "4101", "9102"}
"""Read back in tests/flow/test_catalogues_*."""
CLEARED = {"3202", "3203", "3260", "9101"}
"""Read back in tests/flow/test_accounts_*."""

SIGN_IN = {"opter_no": "T001", "mac": "0", "ip": "0"}
DAY = {"begntime": "2026-11-21 00:00:00", "endtime": "2026-11-21 23:59:59"}
ADMISSION = {"psn_no": SHANXI, "insutype": "310", "begntime": BEGUN, "med_type": "21"}
STAY = {
    "psn_no": "T00000000001",
    "mdtrt_id": "S000000001",
    "medfee_sumamt": "186.50",
    "insutype": "310",
    "mid_setl_flag": "0",
}
DIAGNOSIS = {
    "diag_type": "1",
    "diag_srt_no": 1,
    "diag_code": "J00",
    "diag_name": "感冒",
    "diag_dept": "内科",
    "dise_dor_no": "D1",
    "dise_dor_name": "测试医师",
    "diag_time": BEGUN,
    "vali_flag": "1",
}
DAY_TOTAL = {
    "insutype": "310",
    "clr_type": "11",
    "setl_optins": "310000",
    "stmt_begndate": "2026-11-21",
    "stmt_enddate": "2026-11-21",
    "medfee_sumamt": "0",
    "fund_pay_sumamt": "0",
    "acct_pay": "0",
    "fixmedins_setl_cnt": "0",
}
CHRONIC_FILING = {
    "psn_no": SHANGHAI,
    "opsp_dise_code": "M03900",
    "opsp_dise_name": "高血压",
    "begndate": "2026-11-20",
}
PLACE_FILING = {
    "psn_no": SHANGHAI,
    "biz_appy_type": "03",
    "fixmedins_code": "H1",
    "fixmedins_name": "测试医院",
    "begndate": "2026-11-20",
    "fix_srt_no": "1",
}
REFERRAL = {
    "psn_no": SHANGHAI,
    "reflin_medins_no": "H2",
    "reflin_medins_name": "测试医院二",
    "refl_date": "2026-11-20",
    "refl_rea": "测试",
    "hosp_agre_refl_flag": "1",
}


def sale() -> dict[str, Any]:
    """A pharmacy's message: one drug for one person."""
    drug = {
        "feedetl_sn": "Y1",
        "med_list_codg": "XA00000001",
        "det_item_fee_sumamt": "35.00",
        "cnt": "1",
        "pric": "35.00",
    }
    about = {"psn_no": SHANGHAI, "insutype": "310", "begntime": BEGUN, "medfee_sumamt": "35.00", "acct_used_flag": "1"}
    return {"druginfo": about, "drugdetail": [drug]}


def everything(till: Till, mdtrt_id: str, setl_id: str) -> dict[str, dict[str, Any]]:
    """The nodes of every transaction, in an order in which each finds what it needs.  mdtrt_id, setl_id: a visit settled."""
    person, named = {"psn_no": SHANGHAI}, {"psn_no": SHANGHAI, "mdtrt_id": mdtrt_id}
    second_bill = {"data": till.asked_to_settle(SHANGHAI, mdtrt_id, "B2", "900.00")}
    return {
        "1101": {"data": {"mdtrt_cert_type": "02", "mdtrt_cert_no": SHANGHAI}},
        "2001": {"data": {**person, "insutype": "310", "med_type": "11"}},
        "2201": {"data": {**ADMISSION, "ipt_otp_no": "MZ2"}},
        "2204": {"feedetail": [line(SHANGHAI, mdtrt_id, "B2", "B2-1", "MAT1", "900.00")]},
        "2206": second_bill, "2207": second_bill,
        "5204": {"data": named}, "5203": {"data": named}, "5202": {"data": named},
        "5201": {"data": {**named, **DAY, "med_type": "11"}},
        "2208": {"data": {**named, "setl_id": setl_id}},
        "2303": {"data": STAY}, "2304": {"data": {**STAY, "acct_used_flag": "1"}},
        "2401": {"mdtrtinfo": ADMISSION}, "5303": {"data": DAY}, "3201": {"data": DAY_TOTAL},
        "9001": {"signIn": SIGN_IN},
        "2101": sale(), "2102": sale(),
        "2503": {"data": CHRONIC_FILING}, "2505": {"data": PLACE_FILING}, "2501": {"refmedin": REFERRAL},
        "5301": {"data": person}, "5302": {"data": person}, "5304": {"data": {**person, **DAY}},
    }  # fmt: skip


def taken_back(till: Till) -> dict[str, dict[str, Any]]:
    """Refund of the stay and of the sale, and the referral withdrawn, once `everything` was asked."""
    stay = next(one for one in till.world.settlements.values() if one.infno == "2304")
    sold = next(one for one in till.world.settlements.values() if one.infno == "2102")
    referral = till.world.person(SHANGHAI).transfers[0]["trt_dcla_detl_sn"]
    return {
        "2305": {"data": {**STAY, "setl_id": stay.setl_id}},
        "2103": {"data": {"psn_no": SHANGHAI, "mdtrt_id": sold.visit.mdtrt_id, "setl_id": sold.setl_id}},
        "2502": {"data": {"psn_no": SHANGHAI, "trt_dcla_detl_sn": referral}},
    }


def prints(till: Till, nodes: dict[str, dict[str, Any]]) -> list[str]:
    """The numbers asked for, each of which was answered as the standard prints it."""
    for infno, asked in nodes.items():
        told = till.ask(infno, **asked)
        assert told.infcode == "0", (infno, told.err_msg)
        reading = codec(infno).read_output(told.output)
        assert (reading.faults, reading.warnings) == ((), ()), infno
    return list(nodes)


def test_every_output_is_what_the_standard_prints() -> None:
    till = Till(care="360100")
    till.ask("9001", signIn=SIGN_IN)
    visit = till.settle(SHANGHAI, BILL).output["setlinfo"]
    mdtrt_id = visit["mdtrt_id"]
    about = {"psn_no": SHANGHAI, "mdtrt_id": mdtrt_id, "med_type": "11", "begntime": BEGUN}
    till.ask("2203A", mdtrtinfo=about, diseinfo=[DIAGNOSIS])
    asked = prints(till, everything(till, mdtrt_id, visit["setl_id"]))
    asked += prints(till, taken_back(till))
    elsewhere = {"9002", "2301", *PUBLISHED, *CLEARED}
    assert {*asked} >= {one for one in TRANSACTIONS if transaction(one).output} - elsewhere
