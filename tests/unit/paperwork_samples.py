"""Fictional visits for the tests of the paperwork."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adapter_core.paperwork import rendering, seals
from adapter_core.paperwork.dossier import House, Wish, dossier, sealed_content
from adapter_core.settlement.papers import Visit
from adapter_core.settlement.records import Bill, Case, Encounter, Event
from adapter_core.settlement.states import State

ORG = "H36010000001"
HOUSE = House(ORG, "测试医院", "360100", "test", "0791-00000000")
KEY = seals.new_key()
CLASSES = ("09", "03", "11")
MED_TYPES = {
    "outpatient": ("outpatient", "11"),
    "outpatient_chronic": ("outpatient", "14"),
    "emergency": ("outpatient", "13"),
    "inpatient": ("inpatient", "21"),
    "pharmacy": ("pharmacy", "41"),
}
"""Kind of case → flow and med_type."""


def fees(count: int) -> list[dict[str, Any]]:
    """Lines of different amounts, so that a swapped or lost one changes every sum."""
    return [
        {
            "feedetl_sn": f"F{number}",
            "fee_ocur_time": "2026-11-21 09:05:00",
            "med_list_codg": f"XJ01CAA040A0010101{number:05}",
            "medins_list_codg": f"Y{number:04}",
            "medins_list_name": f"测试药品{number}号",
            "pric": Decimal("1.255") * number,
            "cnt": Decimal("2.0000"),
            "det_item_fee_sumamt": Decimal("2.51") * number,
        }
        for number in range(1, count + 1)
    ]


def lines(count: int) -> list[dict[str, Any]]:
    """What the centre returned of those lines."""
    return [
        {
            "feedetl_sn": f"F{number}",
            "med_chrgitm_type": CLASSES[number % 3],
            "chrgitm_lv": "02",
            "preselfpay_amt": Decimal("0.25") * number,
            "fulamt_ownpay_amt": Decimal("0.00"),
        }
        for number in range(1, count + 1)
    ]


def visit(case_type: str = "outpatient", count: int = 5, returned: bool = True, name: str = "测试甲") -> Visit:
    kind, med_type = MED_TYPES[case_type]
    encounter = Encounter(
        "E1",
        ORG,
        "V1",
        kind,
        "national",
        content={
            "person": {"psn_name": name, "certno": "110101190001010000", "psn_no": "T0001"},
            "visit": {"begntime": "2026-11-21 09:00:00", "ipt_otp_no": "V1", "dept_name": "内科"},
            "insurance": {"insutype": "310"},
        },
    )
    content = {
        "fees": fees(count),
        "lines": lines(count) if returned else [],
        "settle": {"med_type": med_type},
        "diagnoses": [{"diag_code": "J06.900", "diag_name": "急性上呼吸道感染"}],
    }
    return Visit("V1", encounter, Bill("B1", ORG, "E1", "V1", "2611210001", content=content))


def attempt(code: str = "REJECTED", text: str = "没有获取到异地备案信息!") -> tuple[Case, list[Event]]:
    """One settlement that came to nothing, with its calls."""
    case = Case("C1", ORG, "settle", "K1", "V1", "E1", "B1", "outpatient", "national", State.MANUAL_OPEN, "h")
    outcomes = [
        {"message": "1101", "msgid": f"{ORG}202611210905060001", "result": "APPLIED", "text": ""},
        {"message": "2206", "msgid": f"{ORG}202611210905070002", "result": code, "text": text},
    ]
    return case, [Event("OUTCOME", f"2026-11-21T01:05:0{at}Z", "C1", "E1", data) for at, data in enumerate(outcomes, 6)]


def document(
    admdvs: str = "320100",
    case_type: str = "outpatient",
    count: int = 5,
    house: House = HOUSE,
    wish: Wish | None = None,
    of: Visit | None = None,
) -> dict[str, Any]:
    """A sealed document of a visit that was refused for want of a filing."""
    paper = {"after": "REJECTED", "told": {"code": "NOT_FILED"}}
    wish = wish or Wish(insuplc_admdvs=admdvs)
    content = dossier(house, of or visit(case_type, count), paper, wish, [attempt()])
    named = sealed_content(content, "LX26112100000017", 1, 42, "2026-11-21 10:00:00")
    line = seals.sealed_line(KEY, ORG, named["serial"], 1, named["hash"], named["total"])
    return {**named, "sealed_line": line}


def printable(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "qr": rendering.qr_picture(made["sealed_line"])}
