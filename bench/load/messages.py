"""The bench's messages, as a HIS would send them: each of a visit of its own.  Fictional people only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INSTITUTION = "H44000000001"
PERSON = "36000000000000000001"
"""Whom the bench's centre knows."""
SAMPLES = Path(__file__).resolve().parents[2] / "plugins" / "guangdong" / "tests" / "samples" / "soap-guangdong"
ENVELOPE = {
    "mdtrtarea_admvs": "440800", "insuplc_admdvs": "330100", "recer_sys_code": "FSI_LOCAL", "dev_no": "", "dev_safe_info": "",
    "cainfo": "", "signtype": "", "infver": "V1.0", "opter_type": "1", "opter": "001", "opter_name": "测试收费员",
    "inf_time": "2026-11-21 09:05:00", "fixmedins_code": INSTITUTION, "fixmedins_name": "测试医院", "sign_no": "",
}  # fmt: skip

LINE = {
    "med_list_codg": "XA00000001", "medins_list_codg": "Y001", "det_item_fee_sumamt": "18.65", "cnt": "1", "pric": "18.65",
    "fee_ocur_time": "2026-11-21 09:05:00", "bilg_dept_codg": "D01", "bilg_dept_name": "内科",
    "bilg_dr_codg": "D36010000001", "bilg_dr_name": "测试医师",
}  # fmt: skip
VISIT: dict[str, Any] = {
    "intent": "settle", "kind": "outpatient",
    "operator": {"opter": "001", "opter_name": "测试收费员", "opter_type": "1"},
    "person": {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000", "psn_name": "测试甲"},
    "visit": {"atddr_no": "D36010000001", "dr_name": "测试医师", "dept_code": "D01", "dept_name": "内科",
              "begntime": "2026-11-21 09:00:00"},
    "diagnoses": [{"diag_type": "1", "maindiag_flag": "1", "diag_srt_no": "1", "diag_code": "J06.900",
                   "diag_name": "急性上呼吸道感染", "diag_dept": "内科", "dise_dor_no": "D36010000001",
                   "dise_dor_name": "测试医师", "diag_time": "2026-11-21 09:01:00"}],
    "settle": {"med_type": "11", "psn_setlway": "01", "acct_used_flag": "1", "insutype": "310"},
}  # fmt: skip


def national(infno: str, number: int, given: dict[str, Any]) -> str:
    msgid = f"{INSTITUTION}20261121{number:010}"
    return json.dumps({**ENVELOPE, "infno": infno, "msgid": msgid, "input": given}, ensure_ascii=False)


def settlements(count: int, start: int = 0, infno: str = "2207") -> Iterator[str]:
    """(a) one national settlement call: 2207 of a visit; its trial, 2206, is the message a HIS sends before."""
    for number in range(start, start + count):
        data = {
            "psn_no": PERSON, "mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000",
            "med_type": "11", "medfee_sumamt": 186.50, "psn_setlway": "01", "mdtrt_id": f"M{number:012}",
            "chrg_bchno": f"B{number:012}", "acct_used_flag": "1", "insutype": "310", "invono": "",
            "fulamt_ownpay_amt": 0, "overlmt_selfpay": 0, "preselfpay_amt": 0, "inscp_scp_amt": 186.50,
        }  # fmt: skip
        yield national(infno, number, {"data": data})


def uploads(count: int, lines: int = 300, start: int = 0) -> Iterator[str]:
    """(c) an inpatient fee upload: 2301 of 300 lines."""
    for number in range(start, start + count):
        rows = [
            {
                "feedetl_sn": f"F{number:08}{row:04}", "mdtrt_id": f"M{number:012}", "psn_no": PERSON,
                "med_type": "21", "fee_ocur_time": "2026-11-21 09:05:00", "cnt": 2, "pric": 9.325,
                "det_item_fee_sumamt": 18.65, "med_list_codg": "XA00000001", "medins_list_codg": "Y001",
                "bilg_dept_codg": "D01", "bilg_dept_name": "内科", "bilg_dr_codg": "D36010000001", "bilg_dr_name": "测试医师",
                "init_feedetl_sn": "", "acord_dept_codg": "", "orders_dr_code": "", "hosp_appr_flag": "1",
            }
            for row in range(lines)
        ]  # fmt: skip
        yield national("2301", number, {"feedetail": rows})


def soap(message: str, count: int, start: int = 0) -> Iterator[str]:
    """The SOAP family's message (0211, 0303, 0304), each of a stay of its own."""
    text = (SAMPLES / f"{message}.request.xml").read_text("utf-8")
    assert "S000000001" in text
    assert "T00000000001" in text
    text = text.replace("T00000000001", PERSON)
    for number in range(start, start + count):
        yield text.replace("S000000001", f"S{number:09}")


def composites(count: int, start: int = 0) -> Iterator[str]:
    """(d) a whole outpatient visit in one message: six calls."""
    for number in range(start, start + count):
        keys = {"settle_key": f"D{number}", "visit_key": f"VD{number}"}
        fees = [{**LINE, "feedetl_sn": f"D{number:08}{line:02}"} for line in range(10)]
        yield json.dumps({**VISIT, **keys, "fees": fees}, ensure_ascii=False)
