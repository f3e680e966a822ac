"""A HIS that speaks the national JSON, as hospitals run it today: it knows a base URL, makes its own msgids, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import httpx

ORG = "H36010000001"
PATHS = {
    "1101": "fsiPsnInfoService/queryPsnInfo",
    "2201": "outpatientDocInfoService/outpatientRregistration",
    "2203A": "outpatientDocInfoService/outpatientMdtrtinfoUpA",
    "2204": "outpatientDocInfoService/outpatientFeeListUp",
    "2206": "outpatientSettleService/preSettletment",
    "2207": "outpatientSettleService/saveSettletmentV2",
    "2208": "outpatientSettleService/cancleSettletment",
    "2601": "reverseService/revsMethod",
}


class NationalHis:
    """One workstation.  base: ``…/fsi/api``, of a centre or of the adapter: it can't tell which."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._number = 0
        self._http = httpx.AsyncClient(trust_env=False, timeout=70)
        self.last_msgid = ""

    async def __aenter__(self) -> NationalHis:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def call(self, infno: str, data: Any, msgid: str = "", insuplc: str = "320100") -> dict[str, Any]:
        """The whole reply."""
        response = await self.send(infno, data, msgid, insuplc)
        assert response.status_code == 200, response.text
        reply: dict[str, Any] = response.json()
        return reply

    async def send(self, infno: str, data: Any, msgid: str = "", insuplc: str = "320100") -> httpx.Response:
        self._number += 1
        self.last_msgid = msgid or f"{ORG}20261121090000{self._number:04}"
        tree = {
            "infno": infno, "msgid": self.last_msgid, "mdtrtarea_admvs": "360100", "insuplc_admdvs": insuplc, "recer_sys_code": "HISOLD",
            "dev_no": "", "dev_safe_info": "", "cainfo": "", "signtype": "", "infver": "V1.0", "opter_type": "1", "opter": "001",
            "opter_name": "测试收费员", "inf_time": "2026-11-21 09:00:00", "fixmedins_code": ORG, "fixmedins_name": "测试医院",
            "sign_no": "", "input": data,
        }  # fmt: skip
        path = f"{self.base}/{PATHS[infno]}" if infno in PATHS else self.base
        return await self._http.post(path, content=json.dumps(tree, ensure_ascii=False).encode())

    # what a cashier's window does

    async def identify(self, certno: str = "110101190001010000") -> dict[str, Any]:
        data = {
            "mdtrt_cert_type": "02",
            "mdtrt_cert_no": certno,
            "card_sn": "",
            "begntime": "",
            "psn_cert_type": "01",
            "certno": certno,
            "psn_name": "",
        }
        return (await self.call("1101", {"data": data}))["output"]["baseinfo"]

    async def register(self, psn_no: str, number: str, **more: Any) -> dict[str, Any]:
        data = {
            "psn_no": psn_no, "insutype": "310", "begntime": "2026-11-21 09:00:00", "mdtrt_cert_type": "02",
            "mdtrt_cert_no": "110101190001010000", "ipt_otp_no": number, "atddr_no": "D36010000001", "dr_name": "测试医师",
            "dept_code": "D01", "dept_name": "内科", "caty": "A03", **more,
        }  # fmt: skip
        return await self.call("2201", {"data": data})

    async def upload(self, psn_no: str, mdtrt_id: str, batch: str, amounts: list[float]) -> dict[str, Any]:
        rows = [
            {"feedetl_sn": f"{batch}-{n}", "mdtrt_id": mdtrt_id, "psn_no": psn_no, "chrg_bchno": batch, "dise_codg": "", "rxno": "",
             "rx_circ_flag": "0", "fee_ocur_time": "2026-11-21 09:05:00", "med_list_codg": "XA00000001", "medins_list_codg": "Y001",
             "det_item_fee_sumamt": amount, "cnt": 1, "pric": amount, "bilg_dept_codg": "D01", "bilg_dept_name": "内科",
             "bilg_dr_codg": "D36010000001", "bilg_dr_name": "测试医师", "hosp_appr_flag": "1"}
            for n, amount in enumerate(amounts)
        ]  # fmt: skip
        return await self.call("2204", {"feedetail": rows})

    async def diagnose(self, psn_no: str, mdtrt_id: str) -> dict[str, Any]:
        info = {"mdtrt_id": mdtrt_id, "psn_no": psn_no, "med_type": "11", "begntime": "2026-11-21 09:00:00"}
        rows = [{"diag_type": "1", "diag_srt_no": 1, "diag_code": "J06.900", "diag_name": "急性上呼吸道感染", "diag_dept": "内科",
                 "dise_dor_no": "D36010000001", "dise_dor_name": "测试医师", "diag_time": "2026-11-21 09:01:00", "vali_flag": "1"}]  # fmt: skip
        return await self.call("2203A", {"mdtrtinfo": info, "diseinfo": rows})

    def bill(self, psn_no: str, mdtrt_id: str, batch: str, total: float, **more: Any) -> dict[str, Any]:
        data = {
            "psn_no": psn_no, "mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000", "med_type": "11", "medfee_sumamt": total,
            "psn_setlway": "01", "mdtrt_id": mdtrt_id, "chrg_bchno": batch, "acct_used_flag": "1", "insutype": "310", **more,
        }  # fmt: skip
        return {"data": data}

    async def visit(self, number: str, batch: str, amounts: list[float]) -> tuple[str, str, dict[str, Any]]:
        """Everything up to the trial; person, visit and the bill to settle."""
        person = await self.identify()
        psn_no = person["psn_no"]
        mdtrt_id = (await self.register(psn_no, number))["output"]["data"]["mdtrt_id"]
        assert (await self.diagnose(psn_no, mdtrt_id))["infcode"] == 0
        assert (await self.upload(psn_no, mdtrt_id, batch, amounts))["infcode"] == 0
        trial = await self.call("2206", self.bill(psn_no, mdtrt_id, batch, sum(amounts)))
        assert trial["infcode"] == 0, trial
        told = trial["output"]["setlinfo"]
        shares = {
            name: told[name] for name in ("fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt")
        }
        return psn_no, mdtrt_id, self.bill(psn_no, mdtrt_id, batch, sum(amounts), invono="F001", **shares)

    # what a pharmacy's counter does: the sale is its own visit, so there is no number before 2102's reply

    def sale(
        self, psn_no: str, number: str, *amounts: float, at: str = "2026-11-21 09:00:00", **more: Any
    ) -> dict[str, Any]:
        """One sale's input, the trial's too.  number: of its receipt, which its lines' own begin with."""
        info = {
            "psn_no": psn_no, "mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000", "begntime": at,
            "medfee_sumamt": round(sum(amounts), 2), "invono": "F001", "insutype": "310", "dise_codg": "", "dise_name": "",
            "acct_used_flag": "1", "med_type": "41", **more,
        }  # fmt: skip
        rows = [
            {"feedetl_sn": f"{number}-{n}", "rxno": "", "rx_circ_flag": "0", "fee_ocur_time": at, "med_list_codg": "XA00000001",
             "medins_list_codg": "Y001", "det_item_fee_sumamt": amount, "cnt": 1, "pric": amount, "tcmdrug_used_way": ""}
            for n, amount in enumerate(amounts)
        ]  # fmt: skip
        return {"druginfo": info, "drugdetail": rows}

    def goods(self, sold: dict[str, Any], number: str) -> dict[str, Any]:
        """One line of what was sold (3505), which a pharmacy sends itself once the sale stands."""
        told = sold["output"]["setlinfo"]
        info = {
            "med_list_codg": "XA00000001", "fixmedins_hilist_id": "Y001", "fixmedins_hilist_name": "测试药品", "fixmedins_bchno": "B001",
            "prsc_dr_cert_type": "99", "prsc_dr_name": "无", "phar_cert_type": "99", "phar_name": "测试药师", "phar_prac_cert_no": "YS0001",
            "hi_feesetl_type": "1", "setl_id": told["setl_id"], "mdtrt_sn": told["mdtrt_id"], "psn_no": told["psn_no"],
            "manu_lotnum": "L001", "manu_date": "2026-01-01", "rx_flag": "0", "trdn_flag": "0", "rtal_docno": number, "sel_retn_cnt": 1,
            "sel_retn_time": "2026-11-21 09:00:00", "sel_retn_opter_name": "测试店员",
        }  # fmt: skip
        return {"selinfo": info}
