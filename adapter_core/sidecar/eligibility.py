"""``POST /v1/eligibility``: who is this, where insured, what is open; will direct settlement work, and if not why and what to do.

Only reads leave, and nothing is registered: the same body again is the recheck.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from litestar import post

from adapter_core.bootstrap.offices import late_filings_of
from adapter_core.province.filing_channels import Channel
from adapter_core.province.messages import Operation
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.province.policy import action_words
from adapter_core.settlement.circumstances import Downtime
from adapter_core.settlement.eligibility import Answer, Finding
from adapter_core.settlement.enquiring import Enquiry
from adapter_core.settlement.filing_state import STATUSES, Filing, stated
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import Caller, caller, desk_of, institution_named, json_response, text_field, tree_of
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode
from adapter_core.standard.dictionaries import dictionary
from adapter_core.standard.regions import region
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.texts import shown

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
REGION = re.compile(r"\d{6}")
WORDS = ("kind", "basis", "tab", "source")
PATH = "/v1/eligibility"


@post(PATH, operation_id="eligibility", status_code=200)
async def eligibility(request: Caller) -> HttpAnswer:
    """Will it work, and if not, what now."""
    desk = desk_of(request)
    client = caller(request, Right.SETTLE)
    tree = tree_of(request)
    enquiry = read_enquiry(tree, desk.dialect)
    place = desk.place(client, institution_named(tree))
    answer = await desk.running.pipeline.enquiring.ask(place, enquiry)
    if enquiry.encounter_key:
        await late_filings_of(desk.running).keep(place, enquiry.encounter_key, answer)
    return json_response(encode(answer_data(answer)))


def read_enquiry(tree: Mapping[str, Any], dialect: NationalDialect) -> Enquiry:
    """The question of one body.  Raises: TranslationError with every fault."""
    faults: list[Fault] = []
    encounter_key = text_field(dict(tree), "encounter_key", faults, must=False)
    told = _stated(tree.get("stated"), faults)
    said = {name: value for name, value in tree.items() if name not in ("stated", "encounter_key", "filing")}
    operation: Operation = dialect.read_tree({**said, "intent": "identify"})
    if not encounter_key and not operation.content.get("person"):
        faults.append(Fault("person", "the person's card, e-certificate or ID, or an encounter_key", "nothing"))
    if faults:
        raise TranslationError(faults)
    return Enquiry(operation, told, encounter_key)


def read_stated(said: object) -> Filing | None:
    """What somebody reads off the patient's app.  Raises: TranslationError with every fault."""
    faults: list[Fault] = []
    told = _stated(said, faults)
    if faults:
        raise TranslationError(faults)
    return told


def _stated(said: object, faults: list[Fault]) -> Filing | None:
    """What the cashier reads off the patient's app."""
    if said is None:
        return None
    if not isinstance(said, dict):
        faults.append(Fault("stated", "an object", type(said).__name__))
        return None
    for name in WORDS:
        text_field(said, name, faults, must=False)
    if said.get("status", "active") not in STATUSES:
        faults.append(Fault("stated.status", " | ".join(STATUSES), str(said.get("status"))[:20]))
    for name in ("begndate", "enddate"):
        value = said.get(name)
        if value not in (None, "") and not (isinstance(value, str) and DAY.fullmatch(value)):
            faults.append(Fault(f"stated.{name}", "yyyy-MM-dd", str(value)[:20]))
    regions = said.get("regions") or []
    if not isinstance(regions, list) or not all(isinstance(one, str) and REGION.fullmatch(one) for one in regions):
        faults.append(Fault("stated.regions", "a list of six-digit regions", type(regions).__name__))
        return None
    return None if faults else stated(said)


def answer_data(answer: Answer) -> dict[str, Any]:
    """The answer's body.  ``code``: the reason in capitals, ``OK``, or ``UNKNOWN``."""
    code = answer.reason.code.upper() if answer.reason else "UNKNOWN" if answer.verdict == "unknown" else "OK"
    return {
        "verdict": str(answer.verdict),
        "code": code,
        "reason": answer.reason.code if answer.reason else None,
        "message_zh": answer.cashier_zh,
        "patient_zh": answer.patient_zh,
        "next": list(answer.next),
        "next_zh": [action_words()[one] for one in answer.next],
        "filing": _filing(answer.filing),
        "findings": [_finding(one) for one in answer.findings],
        "channels": [channel_data(one) for one in answer.channels],
        "notices": [_downtime(one) for one in answer.downtimes],
        "scheme": {"name": answer.scheme.name, "title": answer.scheme.title} if answer.scheme else None,
        "insurances": [_insurance(one, answer.insurance) for one in answer.insurances],
        "qualifications": [dict(one) for one in answer.qualifications],
        "recheck": {"call": f"POST {PATH}", "registers": False},
    }


def _filing(filing: Filing) -> dict[str, Any]:
    return {
        "state": filing.state,
        "source": filing.source or None,
        "status": filing.status or None,
        "kind": filing.kind or None,
        "basis": filing.basis or None,
        "regions": list(filing.regions),
        "begndate": filing.begins or None,
        "enddate": filing.ends or None,
        "tab": filing.tab or None,
        "text": filing.text or None,
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "check": found.check,
        "verdict": str(found.verdict),
        "reason": found.reason or None,
        "source": found.source or None,
        "says": found.says or None,
        "text": found.text or None,
        "decides": found.decides,
    }


def channel_data(channel: Channel) -> dict[str, Any]:
    return {
        "kind": channel.kind,
        "name": channel.name,
        "how": channel.how,
        "evidence": channel.evidence,
        "source": channel.source,
    }


def _downtime(notice: Downtime) -> dict[str, Any]:
    return {
        "planned": notice.planned,
        "text": notice.text,
        "admdvs": notice.admdvs or None,
        "until": notice.until or None,
        "advice": notice.advice or None,
        "source": notice.source or None,
    }


def _insurance(row: Mapping[str, Any], chosen: Mapping[str, Any] | None) -> dict[str, Any]:
    """A row of ``insuinfo`` with its codes in words."""
    place = region(str(row.get("insuplc_admdvs") or ""))
    balance = row.get("balc")
    return {
        **{name: shown(str(value)) for name, value in row.items() if value is not None and name != "balc"},
        "balc": None if balance is None else f"{balance:.2f}",
        "insutype_name": kinds.label(str(row.get("insutype"))) if (kinds := dictionary("insutype")) else None,
        "insuplc_name": place.name if place else None,
        "is_chosen": row is chosen,
    }


def lines_zh(body: Mapping[str, Any]) -> list[str]:
    """The answer as a few lines for the window."""
    title = {"works": "可以直接结算", "wont": "不能直接结算", "in_part": "部分可以", "unknown": "尚不能确定"}
    found = [f"{title[body['verdict']]}：{body['message_zh']}", f"告知患者：{body['patient_zh']}"]
    texts = [one["text"] for one in body["findings"] if one["text"]]
    found += [f"医保返回原文：{text}" for text in texts]
    found += [f"可到：{one['name']}（{one['how']}）" for one in body["channels"]]
    found.append(f"下一步：{'；'.join(body['next_zh'])}")
    return found


ROUTES = [eligibility]
