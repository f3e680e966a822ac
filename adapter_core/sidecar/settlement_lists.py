"""``/v1/settlements/{settle_key}/list``: the settlement list (医保结算清单, 4101), handed in with the HIS's medical record."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import get, post, put
from litestar.params import FromPath

from adapter_core.catalogues.asking import answered
from adapter_core.settlement.list_items import VOIDED_AT, is_stranded
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import State
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import Caller, Desk, caller, desk_of, json_response, preferred_wait, text_field, tree_of
from adapter_core.sidecar.relays import relaying
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode
from adapter_core.values.errors import Fault, Refused, TranslationError

STATUS_CALL, STATUS_NODE = "4102", "stastinfo"
TEXTS = {
    State.READY: ("PENDING", "清单正在上传"),
    State.DONE: ("DONE", "清单已上传"),
    State.REJECTED: ("REJECTED", "医保中心未收下清单"),
    State.CANCELLED: ("CANCELLED", "该结算已退费，或已有新的清单"),
}


@put("/v1/settlements/{settle_key:str}/list", operation_id="hand_in_list", status_code=200)
async def hand_in(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """Hand in the list, or a changed one: checked whole, then uploaded until the centre takes or refuses it; the same again is told
    the same.  202 while it is under way."""
    desk = desk_of(request)
    settled = await desk.case(caller(request, Right.SETTLE), settle_key)
    place = desk.place_of(settled)
    item = await desk.running.pipeline.hand_in_list(place, settled, tree_of(request))
    item = await _awaited(desk, item, preferred_wait(request, place.timers.sync_wait))
    return await _told(desk, settled)


@get("/v1/settlements/{settle_key:str}/list", operation_id="show_list")
async def show(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """Where the newest list of a settlement stands; from the ledger only."""
    desk = desk_of(request)
    return await _told(desk, await desk.case(caller(request, Right.READ), settle_key))


@post("/v1/settlements/{settle_key:str}/list/status", operation_id="mark_list", status_code=200)
async def mark(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """Change the list's ``stas_type`` at the centre (4102); the values are the centre's own."""
    desk = desk_of(request)
    settled = await desk.case(caller(request, Right.SETTLE), settle_key)
    faults: list[Fault] = []
    stas_type = text_field(tree_of(request), "stas_type", faults, most=20)
    if faults:
        raise TranslationError(faults)
    encounter = await desk.running.ledger.encounter(settled.encounter_id)
    person = encounter.content.get("person", {}) if encounter else {}
    row = {"psn_no": str(person.get("psn_no", "")), "setl_id": settled.setl_id, "stas_type": stas_type}
    ask = relaying(desk.running, desk.place_of(settled), insuplc_admdvs=settled.insuplc_admdvs)
    outcome = await answered(ask, STATUS_CALL, {STATUS_NODE: [row]})
    return json_response(encode({"settle_key": settled.key, "state": outcome.state, "stas_type": stas_type}))


async def _awaited(desk: Desk, item: Case, wait_s: float) -> Case:
    clock = asyncio.get_running_loop().time
    until = clock() + wait_s
    while item.state is State.READY and (left_s := until - clock()) > 0:
        await desk.changes.wait(min(left_s, 0.1))
        item = await desk.running.ledger.case(item.case_id) or item
    return item


async def _told(desk: Desk, settled: Case) -> HttpAnswer:
    """Raises: Refused NO_SUCH_LIST."""
    item, number = await desk.running.pipeline.newest_list(settled)
    if item is None:
        text = "该结算还没有上传过结算清单"
        raise Refused("no list was handed in", code="NO_SUCH_LIST", message_zh=text)
    state, text = TEXTS[item.state]
    if is_stranded(item):
        text = "该结算已退费，清单已在医保中心且没有撤回的交易，请与医保中心联系处理"
    tree: dict[str, Any] = {
        "settle_key": settled.key,
        "settlement_state": str(settled.state),
        "version": number,
        "state": state,
        "message_zh": text,
        "reason": str(item.data.get("why", "")),
        "setl_list_id": item.data.get("setl_list_id"),
        "voided_at": item.data.get(VOIDED_AT),
        "infno": item.data.get("infno"),
        "changed_at": item.changed_at,
    }
    return json_response(encode(tree), 202 if item.state is State.READY else 200)


ROUTES = [hand_in, show, mark]
