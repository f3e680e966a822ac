"""``/v1/encounters/{key}/filing`` and the list of unfiled stays: who must file before the discharge is settled."""

from __future__ import annotations

from typing import Any

from litestar import post
from litestar.params import FromPath

from adapter_core.bootstrap.offices import late_filings_of
from adapter_core.province.filing_channels import channels_for
from adapter_core.province.policy import action_words, reasons
from adapter_core.settlement.late_filing import DUE_ZH, TODO_ZH, Unfiled, refuse_unknown
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import Caller, caller, desk_of, institution_named, json_response, tree_of
from adapter_core.sidecar.eligibility import answer_data, channel_data, read_stated
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode
from adapter_core.standard.regions import region

FILING_ZH = {
    "unknown": "不详",
    "refused_by_text": "中心称未备案",
    "stated_by_patient": "患者称已备案",
    "active": "有备案",
}
BASIS = "苏医保发〔2022〕75号 第18、25条（江苏）"


@post("/v1/encounters/{encounter_key:str}/filing", operation_id="ask_filing", status_code=200)
async def ask_filing(request: Caller, encounter_key: FromPath[str]) -> HttpAnswer:
    """Ask again whether a stay's filing is there; ``stated``: what the patient's app shows, or the counter says.  Only reads leave."""
    desk = desk_of(request)
    client = caller(request, Right.SETTLE)
    tree = tree_of(request, optional=True)
    stated = read_stated(tree.get("stated"))
    place = desk.place(client, institution_named(tree))
    refuse_unknown(await desk.running.ledger.encounter_by_key(place.org, encounter_key), encounter_key)
    filings = late_filings_of(desk.running)
    answer = await filings.asked(place, encounter_key, stated)
    row = await filings.one(place, encounter_key)
    listed = unfiled_data(row) if row is not None else None
    return json_response(
        encode({"encounter_key": encounter_key, "unfiled": listed, "eligibility": answer_data(answer)})
    )


def unfiled_data(row: Unfiled) -> dict[str, Any]:
    """One stay of the list: nothing of the person."""
    visit, place = row.encounter.content.get("visit", {}), region(row.insured)
    reason = reasons()[row.reason]
    return {
        "encounter_key": row.encounter.encounter_key,
        "mdtrt_id": row.encounter.mdtrt_id,
        "ipt_no": str(visit.get("ipt_no") or ""),
        "adm_dept_name": str(visit.get("adm_dept_name") or ""),
        "adm_bed": str(visit.get("adm_bed") or ""),
        "admitted": row.admitted,
        "is_discharged": row.is_discharged,
        "insuplc_admdvs": row.insured,
        "insuplc_name": place.name if place else None,
        "filing": row.state,
        "reason": row.reason,
        "message_zh": row.says or (reason.cashier_zh if row.asked_at else "备案情况未查询"),
        "text": row.text or None,
        "asked_at": row.asked_at or None,
        "due": "before_discharge_settlement",
        "due_zh": DUE_ZH,
        "todo_zh": TODO_ZH,
        "basis": BASIS,
        "next": list(reason.next),
        "next_zh": [action_words()[one] for one in reason.next],
        "channels": [channel_data(one) for one in channels_for(row.reason, row.insured)],
        "file_call": "POST /v1/transactions/2501",
        "recheck": f"POST /v1/encounters/{row.encounter.encounter_key}/filing",
    }


ROUTES = [ask_filing]
