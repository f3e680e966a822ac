"""``/v1/settlements``: settle, quote, look, cancel, void, acknowledge (`contracts.md` §4)."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import get, post
from litestar.params import FromPath

from adapter_core.province.messages import Operation
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import OWNED, State
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import (
    Caller,
    Desk,
    caller,
    desk_of,
    institution_named,
    json_response,
    preferred_wait,
    text_field,
    tree_of,
)
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode, told, told_case
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, Refused, TranslationError

CREATED_BY = frozenset({"settle", "quote"})
PUBLIC_FACTS = ("step", "message", "class", "msgid", "result", "code", "state", "evidence", "key", "reason", "outcome")
"""What of a journalled event carries no personal data."""


@post("/v1/settlements", operation_id="settle", status_code=200)
async def settle(request: Caller) -> HttpAnswer:
    """Open a case and settle it, or only quote it; the same key again is told the same."""
    desk = desk_of(request)
    client = caller(request, Right.SETTLE)
    tree = tree_of(request)
    if not tree.get("settle_key"):
        fault = Fault("settle_key", "a key of at most 64 characters, stored before the call", "nothing")
        raise TranslationError([fault], code="KEY_MISSING", message_zh="缺少业务号 settle_key，未发送")
    operation = desk.dialect.read_tree(tree)
    if operation.verb not in CREATED_BY:
        raise TranslationError([Fault("intent", "settle or quote", operation.verb)])
    place = desk.place(client, institution_named(tree))
    wait_s = preferred_wait(request, None)
    outcome = await desk.running.pipeline.handle(place, desk.dialect, operation, wait_s)
    return await told(desk, operation, outcome)


@get("/v1/settlements/{settle_key:str}", operation_id="show_settlement")
async def show(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """State and everything told, from the ledger only; a void is read by its ``void_key``."""
    desk = desk_of(request)
    return await told_case(desk, await desk.case(caller(request, Right.READ), settle_key))


@post("/v1/settlements/{settle_key:str}/settle", operation_id="settle_quoted", status_code=200)
async def settle_quoted(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """Settle a quoted case unchanged; a fresh credential of the person may come along."""
    desk = desk_of(request)
    case = await _settlement(desk, request, settle_key)
    tree = tree_of(request, optional=True)
    asked = desk.dialect.read_tree({**tree, "intent": "settle", "kind": case.kind, "settle_key": case.key})
    keys = {**asked.keys, "visit": case.visit_key}
    keys.pop("encounter", None)
    place = desk.place_of(case)
    operation = replace(asked, keys=keys)
    if case.state is not State.QUOTED and case.data.get("intent") == "settle":
        return await _as_it_stands(desk, case, preferred_wait(request, place.timers.sync_wait))
    if case.state is not State.QUOTED:
        raise Refused(f"state {case.state}", code="NOT_QUOTED", message_zh="该业务不是已预结算状态，不能直接结算")
    wait_s = preferred_wait(request, None)
    return await told(desk, operation, await desk.running.pipeline.handle(place, desk.dialect, operation, wait_s))


async def _as_it_stands(desk: Desk, case: Case, wait_s: float) -> HttpAnswer:
    """A repeat: nothing is sent again; whoever waits may wait for what runs."""
    clock = asyncio.get_running_loop().time
    until = clock() + wait_s
    while case.state in OWNED and (left_s := until - clock()) > 0:
        await desk.changes.wait(left_s)
        case = await desk.running.ledger.case(case.case_id) or case
    return await told_case(desk, case)


@post("/v1/settlements/{settle_key:str}/cancel", operation_id="cancel", status_code=200)
async def cancel(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """Before sending: CANCELLED.  In doubt: no longer wanted, 202.  Settled: 409 USE_VOID."""
    desk = desk_of(request)
    case = await _settlement(desk, request, settle_key)
    content = _reason(tree_of(request, optional=True))
    operation = Operation("cancel", "cancel", desk.dialect.name, case.kind, keys={"settle": case.key}, content=content)
    outcome = await desk.running.pipeline.handle(desk.place_of(case), desk.dialect, operation)
    after = await desk.running.ledger.case(case.case_id)
    return await told(desk, operation, outcome, after)


@post("/v1/settlements/{settle_key:str}/void", operation_id="void", status_code=200)
async def void(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """Refund a settled case; a case of its own under ``void_key``."""
    desk = desk_of(request)
    case = await _settlement(desk, request, settle_key)
    tree = tree_of(request)
    faults: list[Fault] = []
    void_key = text_field(tree, "void_key", faults)
    content = _reason(tree, faults)
    if faults:
        missing = not tree.get("void_key")
        raise TranslationError(faults, code="KEY_MISSING" if missing else None)
    keys = {"settle": case.key, "void": void_key}
    operation = Operation("void", "void", desk.dialect.name, case.kind, content=content, keys=keys)
    place = desk.place_of(case)
    wait_s = preferred_wait(request, None)
    return await told(desk, operation, await desk.running.pipeline.handle(place, desk.dialect, operation, wait_s))


@post("/v1/settlements/{settle_key:str}/ack", operation_id="acknowledge", status_code=200)
async def acknowledge(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """The HIS booked it; the fiscal e-bill's number may come later, and again.  A void is booked by its ``void_key``."""
    desk = desk_of(request)
    case = await desk.case(caller(request, Right.SETTLE), settle_key)
    tree = tree_of(request, optional=True)
    faults: list[Fault] = []
    numbers = {name: text_field(tree, name, faults, most=50, must=False) for name in ("invono", "ebill_no")}
    if faults:
        raise TranslationError(faults)
    content = {"ack": {name: value for name, value in numbers.items() if value}}
    keys = {case.purpose: case.key}
    operation = Operation("confirm", "confirm", desk.dialect.name, case.kind, content=content, keys=keys)
    outcome = await desk.running.pipeline.handle(desk.place_of(case), desk.dialect, operation)
    return await told(desk, operation, outcome, await desk.running.ledger.case(case.case_id))


@get("/v1/settlements/{settle_key:str}/timeline", operation_id="timeline")
async def timeline(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """Every journalled event of the case, oldest first, without personal data."""
    desk = desk_of(request)
    client = caller(request, Right.READ)
    case = await desk.case(client, settle_key)
    events = await desk.running.ledger.events_of_case(case.case_id)
    rows = [{"at": event.at, "kind": event.kind, **_public(event.data)} for event in events]
    return json_response(encode({"case_id": case.case_id, "settle_key": case.key, "events": rows}))


def _public(data: Any) -> dict[str, Any]:
    return {name: data[name] for name in PUBLIC_FACTS if data.get(name)}


async def _settlement(desk: Desk, request: Caller, settle_key: str) -> Case:
    """A settlement, not a void.  Raises: Refused NO_SUCH_CASE."""
    case = await desk.case(caller(request, Right.SETTLE), settle_key)
    if case.purpose != "settle":
        raise Refused("that is a void", code="NO_SUCH_CASE", message_zh="这是退费业务号，请用原结算业务号")
    return case


def _reason(tree: dict[str, Any], faults: list[Fault] | None = None) -> dict[str, Any]:
    found: list[Fault] = [] if faults is None else faults
    reason = text_field(tree, "reason", found, most=200, must=False)
    if found and faults is None:
        raise TranslationError(found)
    return {"x": {"reason": reason}} if reason else {}


ROUTES = [settle, show, settle_quoted, cancel, void, acknowledge, timeline]
