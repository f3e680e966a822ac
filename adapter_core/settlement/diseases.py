"""The hard stops before a chronic or special disease, or an emergency, is sent (`reliability.md`: refused before money).

A disease that may not be settled across provinces is never passed as an ordinary outpatient visit: it goes to the paper route.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter_core.province.diseases import CHRONIC, CODE, EMERGENCY, is_cross_province_disease
from adapter_core.province.policy import reasons
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import Bill, Encounter
from adapter_core.settlement.standing import view
from adapter_core.standard.regions import is_cross_province
from adapter_core.values.content import Content
from adapter_core.values.errors import Refused

FLAG = "flag."
"""Gateway options ``flag.<field> = "<med_type> …"``: local fields that a visit of these types must say."""
OWN_CODES = "chronic_codes"


def refuse_disease(place: Place, encounter: Encounter, bill: Bill) -> None:
    """What is known so far decides; asked again after every read.

    Raises: Refused DISEASE_MISSING, CHRONIC_DISEASE_NOT_CROSS_PROVINCE, CHRONIC_NOT_QUALIFIED, CHRONIC_NOT_SELECTED_HOSPITAL,
    FLAG_MISSING.
    """
    if encounter.kind != "outpatient":
        return
    content = view(encounter, bill)
    visit = content.get("visit", {})
    med_type = str(content.get("settle", {}).get("med_type") or visit.get("med_type") or "")
    _refuse_unflagged(place, med_type, visit)
    code = str(visit.get("dise_codg") or "")
    if med_type == CHRONIC and not code:
        raise Refused("no dise_codg", code="DISEASE_MISSING", message_zh="门诊慢特病必须填写病种编码，未发送")
    if not _may_cross(place, content, med_type, code):
        raise _refusal("chronic_disease_not_cross_province", code)
    if med_type != CHRONIC:
        return
    if "qualifications" in encounter.content and not _in_force(content, code):
        raise _refusal("chronic_not_qualified", code)
    chosen = encounter.content.get("chosen")
    if chosen and all(row.get("fixmedins_code") != place.site.fixmedins_code for row in chosen):
        raise _refusal("chronic_not_selected_hospital", code)


def _may_cross(place: Place, content: Content, med_type: str, code: str) -> bool:
    insured = str(content.get("person", {}).get("insuplc_admdvs") or "")
    if not insured or not code or not is_cross_province(place.site.admdvs, insured):
        return True
    if med_type != CHRONIC and not CODE.fullmatch(code):
        return True  # some other directory's code
    day = str(content.get("visit", {}).get("begntime") or "")[:10]
    return is_cross_province_disease(code, day, options_of(place).get(OWN_CODES, ""))


def _in_force(content: Content, code: str) -> bool:
    day = str(content.get("visit", {}).get("begntime") or "")[:10]
    rows: Sequence[Mapping[str, Any]] = content.get("qualifications", [])
    return any(
        row.get("opsp_dise_code") == code
        and str(row.get("begndate") or "")[:10] <= day
        and (not row.get("enddate") or day <= str(row["enddate"])[:10])
        for row in rows
    )


def _refuse_unflagged(place: Place, med_type: str, visit: Mapping[str, Any]) -> None:
    for name, types in options_of(place).items():
        field = name.removeprefix(FLAG)
        if name.startswith(FLAG) and med_type in types.split() and visit.get(field) in (None, ""):
            what = "急诊" if med_type == EMERGENCY else "本次就诊"
            raise Refused(
                f"{field} is missing",
                code="FLAG_MISSING",
                message_zh=f"{what}必须填写标志 {field}，未发送，请补填后重试",
            )


def options_of(place: Place) -> Mapping[str, str]:
    """The gateway's own settings; a gateway without a site has none."""
    site = getattr(place.gateway, "site", None)
    return site.options if site is not None else {}


def _refusal(reason: str, code: str) -> Refused:
    found = reasons()[reason]
    return Refused(f"{reason}: {code}", code=reason.upper(), message_zh=f"{found.cashier_zh}（病种 {code}），未发送")
