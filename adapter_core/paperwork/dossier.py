"""The dossier: everything the sheets of one paper set say, as plain data made from the ledger's records.  Pure.

It is journalled whole, sealed by its hash, and every PDF and JSON of the set is made from it alone, so a reprint says the same.
All values are text, flags or lists; amounts have two places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapter_core.paperwork.attempts import Why, attempt_rows, chosen_reason, why
from adapter_core.paperwork.capitals import in_capitals
from adapter_core.paperwork.checklists import CASE_TYPES, CONFIDENCE_ZH, Checklist, Wanted, case_type, checklist
from adapter_core.paperwork.fee_lists import charge_types, fee_rows, money, total
from adapter_core.settlement.absorb import content_hash
from adapter_core.settlement.papers import Visit
from adapter_core.settlement.records import Case, Event
from adapter_core.standard.dictionaries import dictionary
from adapter_core.standard.regions import region
from adapter_core.values.errors import Refused
from adapter_core.values.money import yuan

LAYOUT = "1"
"""Version of the document's own form."""


@dataclass(frozen=True, slots=True)
class House:
    """Who issues papers.  environment: ``test`` puts a watermark on every page.  phone: who tells whether a set still counts."""

    org: str
    name: str
    admdvs: str
    environment: str
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the cashier adds.  reason: a code of the catalogue where somebody knows it better than the last answer says;
    situations: conditions of the checklist that hold (``代办``, ``意外伤害`` …); insuplc_admdvs: where the person is insured, when no
    centre said; uploaded: whether the details lie at the place of care's centre, None where nobody knows."""

    reason: str = ""
    situations: tuple[str, ...] = ()
    insuplc_admdvs: str = ""
    uploaded: bool | None = None

    def data(self) -> dict[str, Any]:
        return {**asdict(self), "situations": list(self.situations)}


def wish_from(data: Mapping[str, Any]) -> Wish:
    return Wish(
        str(data.get("reason", "")),
        tuple(map(str, data.get("situations", ()))),
        str(data.get("insuplc_admdvs", "")),
        data.get("uploaded"),
    )


def dossier(
    house: House, visit: Visit, paper: Mapping[str, Any], wish: Wish, told: Sequence[tuple[Case, Sequence[Event]]]
) -> dict[str, Any]:
    """The content of a set, without serial, version and seal: equal content means that nothing changed.

    paper: the case's facts about its papers.  told: the visit's settlements with their events, oldest first.
    Raises: Refused NO_FEES, UNKNOWN_REASON.
    """
    content = visit.bill.content
    rows = fee_rows(content)
    if not rows:
        raise Refused("no fee lines", code="NO_FEES", message_zh="该就诊没有费用明细，不能出具手工报销材料")
    settle = {**visit.encounter.content.get("insurance", {}), **content.get("settle", {})}
    of_type = case_type(visit.encounter.kind, str(settle.get("med_type", "")))
    listed = checklist(_insured_at(visit, told, wish), of_type)
    sum_total = total(rows)
    reason = why(
        str(paper.get("after", "")),
        paper.get("told", {}),
        told[-1][1] if told else (),
        chosen_reason(wish.reason),
    )
    return {
        "layout": LAYOUT,
        "form": "paper_set",
        "environment": house.environment,
        "institution": institution(house),
        "patient": patient(visit.encounter.content, settle),
        "insured": _insured(_insured_at(visit, told, wish)),
        "visit": _visit(visit, settle, of_type),
        "total": sum_total,
        "total_capitals": in_capitals(yuan(sum_total)),
        "why": _why(reason),
        "checklist": _checklist(listed, wish.situations),
        "fees": rows,
        "fee_sums": {name: total(rows, name) for name in ("amount", "preselfpay", "ownpay", "overlimit")},
        "charge_types": charge_types(rows),
        "attempts": attempt_rows(told),
        "uploaded": {True: "明细已上传就医地医保中心", False: "明细未留存就医地医保中心"}.get(wish.uploaded, ""),  # type: ignore[arg-type]
        "tried": str(len(told)),
    }


def sealed_content(content: Mapping[str, Any], serial: str, version: int, position: int, at: str) -> dict[str, Any]:
    """A dossier with what names it: serial, version, ledger position, issue time (China), and the hash over all of it."""
    named = {**content, "serial": serial, "version": str(version), "position": str(position), "issued_at": at}
    return {**named, "hash": content_hash(named)}


def institution(house: House) -> dict[str, str]:
    return {"code": house.org, "name": house.name, "region": _region_name(house.admdvs), "phone": house.phone}


def patient(encounter: Mapping[str, Any], settle: Mapping[str, Any]) -> dict[str, str]:
    """The person on the sheet.  The identity number is masked: the counter sees the card itself."""
    person = encounter.get("person", {})
    certificate = str(person.get("certno") or "")
    if not certificate and person.get("mdtrt_cert_type") == "02":
        certificate = str(person.get("mdtrt_cert_no", ""))
    insutype = str(settle.get("insutype") or person.get("insutype") or "")
    return {
        "psn_name": str(person.get("psn_name", "")),
        "certno": masked(certificate),
        "psn_no": str(person.get("psn_no", "")),
        "insutype": label("insutype", insutype),
    }


def masked(number: str) -> str:
    """The first four and the last four characters of an identity number."""
    return f"{number[:4]}{'*' * (len(number) - 8)}{number[-4:]}" if len(number) > 8 else "*" * len(number)


def label(code: str, value: str) -> str:
    """A dictionary's name of a code, else the code itself."""
    known = dictionary(code)
    return (known.label(value) if known and value else None) or value


def _insured_at(visit: Visit, told: Sequence[tuple[Case, Sequence[Event]]], wish: Wish) -> str:
    """Where the person is insured, six digits; "" where nobody knows.  A centre's word goes before a person's."""
    by_centre = [case.insuplc_admdvs for case, _ in reversed(told) if case.insuplc_admdvs]
    said = visit.encounter.content.get("person", {}).get("insuplc_admdvs")
    return str(by_centre[0] if by_centre else said or wish.insuplc_admdvs)


def _region_name(admdvs: str) -> str:
    found = region(admdvs) if admdvs else None
    if found is None:
        return ""
    return found.name if found.name.startswith(found.province) else f"{found.province}{found.name}"


def _insured(admdvs: str) -> dict[str, str]:
    return {"admdvs": admdvs, "region": _region_name(admdvs) or "未识别"}


def _visit(visit: Visit, settle: Mapping[str, Any], of_type: str) -> dict[str, Any]:
    facts = visit.encounter.content.get("visit", {})
    diagnoses = [
        {"code": str(row.get("diag_code", "")), "name": str(row.get("diag_name", ""))}
        for row in visit.bill.content.get("diagnoses", [])
    ]
    return {
        "case_type": of_type,
        "case_type_zh": CASE_TYPES[of_type],
        "med_type": label("med_type", str(settle.get("med_type", ""))),
        "mdtrt_id": visit.encounter.mdtrt_id or str(facts.get("mdtrt_id", "")),
        "number": str(facts.get("ipt_otp_no", "")),
        "from": str(facts.get("begntime", "")),
        "to": str(facts.get("endtime", "")),
        "department": str(facts.get("dept_name", "")),
        "doctor": str(facts.get("dr_name", "")),
        "diagnoses": diagnoses,
        "charge_batch": visit.bill.chrg_bchno,
        "invoice": str(settle.get("invono", "")),
    }


def _why(reason: Why) -> dict[str, str]:
    return {
        "code": reason.code,
        "heading": reason.heading,
        "patient_zh": reason.patient_zh,
        "cashier_zh": reason.cashier_zh,
        "centre_text": reason.centre_text,
    }


def _checklist(listed: Checklist, situations: Sequence[str]) -> dict[str, Any]:
    """Conditions that hold are required; the others are named with their condition."""
    holding = [condition for condition in listed.conditional if condition.when in situations]
    required = [*listed.required]
    for condition in holding:
        required += [document for document in condition.documents if document not in required]
    return {
        "region": listed.region,
        "own": listed.own,
        "banner": listed.banner,
        "required": [_wanted(document) for document in required],
        "conditional": [
            {"when": condition.when, "documents": [_wanted(document) for document in condition.documents]}
            for condition in listed.conditional
            if condition not in holding
        ],
        "offered": [_wanted(document) for document in listed.offered],
        "situations": list(situations),
        "where": listed.where,
        "processing": listed.processing,
        "accepted_when": list(listed.accepted_when),
        "basis": listed.basis,
        "confidence": listed.confidence,
        "confidence_zh": CONFIDENCE_ZH[listed.confidence],
    }


SOURCE_ZH = {"patient": "本人自备", "hospital": "就诊医院", "insurer": "参保地可查"}


def _wanted(document: Wanted) -> dict[str, Any]:
    included = "本套材料已含" if document.made else SOURCE_ZH[document.source]
    return {"code": document.code, "zh": document.zh, "from": included, "made": document.made, "note": document.note}


__all__ = [
    "House",
    "Wish",
    "dossier",
    "institution",
    "label",
    "masked",
    "money",
    "patient",
    "sealed_content",
    "wish_from",
]
