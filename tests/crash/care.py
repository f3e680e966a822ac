"""The kinds of care that are killed: what a HIS says of each, and what goes on the wire for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from adapter_core.bootstrap import site
from adapter_core.standard.transactions import transaction
from tests.flow.two_phase import province

LONG_AGO = "2025-01-06 09:00:00"
DIALYSIS = "M07801"
SECOND = 'handle = "ours", shows = "confirmed", silence = "undone"'
"""The invented family's second phase: a lost first phase may be aborted, a lost confirm asked about."""
UNCONFIRMED_S = 2.0
"""And what that says of its centre: a trade nobody confirms is undone."""
XML = {"number": re.compile(rb"<no>([^<]+)</no>"), "person": re.compile(rb"<card>([^<]+)</card>")}
JSON_PERSON = re.compile(rb'"psn_no"\s*:\s*"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Care:
    """pay, back: the money transactions; before: those that its killers may wait for besides; says: sections beside the person's
    and the lines', which are made by ``line``."""

    name: str
    pay: str
    back: str
    before: tuple[str, ...]
    says: Mapping[str, Any] = field(default_factory=dict)
    line: Mapping[str, Any] = field(default_factory=dict)
    confirm: str = ""

    @property
    def two_phase(self) -> bool:
        return bool(self.confirm)

    @property
    def money(self) -> tuple[str, ...]:
        return tuple(one for one in (self.pay, self.confirm, self.back) if one)


STAY = {
    "begntime": LONG_AGO, "med_type": "21", "ipt_no": "ZY0001", "medrcdno": "BA0001", "atddr_no": "D001", "chfpdr_name": "测试医师",
    "adm_diag_dscr": "测试诊断", "adm_dept_codg": "K01", "adm_dept_name": "测试科", "adm_bed": "12", "dscg_maindiag_code": "J00",
    "dscg_maindiag_name": "测试诊断", "endtime": "2025-01-08 10:00:00", "dscg_way": "1", "dscg_dept_codg": "K01",
    "dscg_dept_name": "测试科",
}  # fmt: skip
GOODS = {
    "fixmedins_hilist_id": "Y001", "fixmedins_hilist_name": "测试药品", "fixmedins_bchno": "B001", "prsc_dr_cert_type": "99",
    "prsc_dr_name": "无", "phar_cert_type": "99", "phar_name": "测试药师", "phar_prac_cert_no": "YS0001", "hi_feesetl_type": "1",
    "manu_lotnum": "L001", "manu_date": "2024-06-01", "rx_flag": "0", "trdn_flag": "0", "rtal_docno": "X0001",
    "sel_retn_opter_name": "测试店员",
}  # fmt: skip
ORDINARY = ("2201", "2204", "2206", "2601", "5203")
OUTPATIENT = Care("outpatient", "2207", "2208", ORDINARY, {"settle": {"med_type": "11"}})
INPATIENT = Care(
    "inpatient", "2304", "2305", ("2401", "2301", "2303", "2402", "2601", "5203"),
    {"kind": "inpatient", "visit": STAY, "settle": {"med_type": "21", "mid_setl_flag": "0"}},
)  # fmt: skip
PHARMACY = Care(
    "pharmacy", "2102", "2103", ("2101", "3505", "2601", "5201", "5203"),
    {"kind": "pharmacy", "diagnoses": None, "visit": {"begntime": LONG_AGO}, "settle": {"med_type": "41"}}, GOODS,
)  # fmt: skip
CHRONIC = Care(
    "chronic", "2207", "2208", ("5301", *ORDINARY),
    {"visit": {"dise_codg": DIALYSIS, "dise_name": "测试病种"}, "settle": {"med_type": "14"}},
)  # fmt: skip
TWO_PHASE = Care("two-phase", "pay", "back", ("quote", "find"), {"settle": {"med_type": "11"}}, confirm="commit")
NATIONAL = (OUTPATIENT, INPATIENT, PHARMACY, CHRONIC)
CLASSES = {"quote": "P", "pay": "N", "commit": "K", "rollback": "X", "find": "R", "back": "N"}
"""Of the invented family's messages; the national ones' are the standard's."""
JOURNALLED_FIRST = frozenset("CNKX")


def bill(care: Care, name: str, certno: str, mark: str = "") -> dict[str, Any]:
    """A whole settlement's content, of two lines that cost 93.25 each.  mark: behind the lines' numbers."""
    fees = [
        {
            "feedetl_sn": f"{name}F{n}{mark}", "fee_ocur_time": LONG_AGO, "med_list_codg": "XA00000001",
            "medins_list_codg": "Y001", "pric": "93.25", "cnt": "1", "det_item_fee_sumamt": "93.25",
            "bilg_dept_codg": "K01", "bilg_dept_name": "测试科", "bilg_dr_codg": "D001", "bilg_dr_name": "测试医师",
            **care.line, **({"rtal_docno": f"{name}{n}{mark}"} if care.line else {}),
        }
        for n in (1, 2)
    ]  # fmt: skip
    diagnosis = {
        "diag_type": "1", "maindiag_flag": "1", "diag_srt_no": 1, "diag_code": "J00", "diag_name": "测试诊断",
        "diag_dept": "K01", "dise_dor_no": "D001", "dise_dor_name": "测试医师", "diag_time": LONG_AGO,
    }  # fmt: skip
    person = {"mdtrt_cert_type": "02", "mdtrt_cert_no": certno, "certno": certno, "psn_name": "测试甲"}
    said = {"person": person, "diagnoses": [diagnosis], "fees": fees, **care.says}
    return {section: value for section, value in said.items() if value is not None}


def patient(psn_no: str, certno: str) -> dict[str, Any]:
    """The patient as the centre knows him: insured elsewhere, filed here, qualified for dialysis."""
    return {
        "psn_no": psn_no, "psn_name": "测试甲", "certno": certno, "card_no": f"K{psn_no}", "ectoken": "", "gend": "1",
        "brdy": "1990-01-01",
        "insurance": [{"insutype": "310", "psn_type": "11", "insuplc_admdvs": "320100", "balc": "120.00"}],
        "filing": [{"kind": "temporary", "region": "31", "begndate": "2020-01-01"}],
        "chronic": [{"opsp_dise_code": DIALYSIS, "opsp_dise_name": "测试病种", "begndate": "2020-01-01"}],
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Named:
    """What a request's bytes say of it.  msgid: of a family that has none, the hash of its bytes."""

    number: str
    msgid: str
    person: str


def named(body: bytes) -> Named:
    """Number, msgid and person of a request, national or of the invented family."""
    if body.lstrip().startswith(b"<"):
        found = {name: pattern.search(body) for name, pattern in XML.items()}
        number, person = (one[1].decode() if one else "" for one in (found["number"], found["person"]))
        return Named(number, sha256(body).hexdigest(), person)
    envelope = json.loads(body)
    person = JSON_PERSON.search(body)
    return Named(envelope["infno"], envelope["msgid"], person[1].decode() if person else "")


def with_invented_family(folder: str) -> None:
    """In a process of its own, whose site in this folder has the invented family's gateway: make it known."""
    if f'kind = "{TWO_PHASE.name}"' in (Path(folder) / "his-adapter.toml").read_text("utf-8"):
        made = province(SECOND)
        site.builtin_province = lambda: made


def kind_class(number: str) -> str:
    """The class of a message (`reliability.md` §2)."""
    return CLASSES.get(number) or transaction(number).kind_class
