"""Lists of cases, the feed of what became of them, and what waits for a person."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any

from litestar import get, post
from litestar.params import FromPath, QueryParameter

from adapter_core.accounts.differences import STANDING
from adapter_core.accounts.differences import TOPIC as DIFFERENCE
from adapter_core.accounts.office import item_data
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import late_filings_of
from adapter_core.province.messages import Operation
from adapter_core.settlement.answers import told_state, work_order
from adapter_core.settlement.records import Case, Event
from adapter_core.settlement.states import PAPER, UNDECIDED, State
from adapter_core.settlement.verdicts import OUTCOMES, OperatorDecision
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import WAIT_MAX_S, Caller, Desk, caller, desk_of, json_response, text_field, tree_of
from adapter_core.sidecar.late_filings import unfiled_data
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode, told
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.moments import iso
from adapter_core.values.money import MoneyError, from_fen, yuan

ROWS_MAX = 500
TOLD_KINDS = ("CANCELLED", "TOLD")
"""Events by which a HIS learns what it was, or would have been, told."""
OTHERS_SEEN_S = 1.0
"""How often the ledger is read for what another replica wrote."""
UNACKED_DAYS = 7
WORK = {
    "frozen": (State.FROZEN,),
    "pending": tuple(sorted(UNDECIDED)),
    "paper": tuple(sorted(PAPER)),
}
KINDS = (*WORK, "unacked", "difference", "unfiled")

Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=ROWS_MAX, description="most rows")]
Since = Annotated[str, QueryParameter(name="since", max_length=40, description="RFC 3339; changed at or after")]
Institution = Annotated[str | None, QueryParameter(name="fixmedins_code", max_length=30)]


@get("/v1/settlements", operation_id="list_settlements")
async def list_settlements(
    request: Caller,
    states: Annotated[list[str] | None, QueryParameter(name="state", description="as told; repeatable")] = None,
    since: Since = "",
    limit: Limit = 100,
    fixmedins_code: Institution = None,
) -> HttpAnswer:
    """Cases, newest first."""
    desk = desk_of(request)
    place = desk.place(caller(request, Right.READ), fixmedins_code)
    cases = await desk.running.ledger.cases_changed(place.org, _states(states or []), _moment(since), limit)
    return json_response(encode({"settlements": [row(case) for case in cases]}))


@get("/v1/events", operation_id="events")
async def events(
    request: Caller,
    after: Annotated[int, QueryParameter(name="after", ge=0, le=2**62, description="the last number seen")] = 0,
    wait: Annotated[float, QueryParameter(name="wait", ge=0, le=WAIT_MAX_S, description="seconds, at most 25")] = 0.0,
    limit: Limit = 100,
    fixmedins_code: Institution = None,
) -> HttpAnswer:
    """What was told since then, oldest first: a HIS catches up after its own restart.  Ask on with ``last``."""
    desk = desk_of(request)
    place = desk.place(caller(request, Right.READ), fixmedins_code)
    ledger = desk.running.ledger
    clock = asyncio.get_running_loop().time
    until = clock() + wait
    while True:
        found, head = await ledger.events_after(place.org, after, TOLD_KINDS, limit)
        left_s = until - clock()
        if found or left_s <= 0 or desk.draining:
            break
        await desk.changes.wait(min(left_s, OTHERS_SEEN_S))
    rows = [await _event_row(desk, number, event) for number, event in found]
    last = found[-1][0] if len(found) == limit else max(head, after)
    return json_response(encode({"events": rows, "last": last}))


async def _event_row(desk: Desk, number: int, event: Event) -> dict[str, Any]:
    case = await desk.running.ledger.case(event.case_id)
    assert case is not None
    facts = {name: event.data[name] for name in ("state", "code", "message_zh") if event.data.get(name)}
    key = "settle_key" if case.purpose == "settle" else "void_key"
    return {
        "seq": number,
        "at": event.at,
        "case_id": case.case_id,
        key: case.key,
        "visit_key": case.visit_key,
        "state": "CANCELLED" if event.kind == "CANCELLED" else facts.get("state", ""),
        **facts,
    }


@get("/v1/worklist", operation_id="worklist")
async def worklist(
    request: Caller,
    kind: Annotated[str, QueryParameter(name="kind", description=", ".join(KINDS))] = "frozen",
    since: Since = "",
    limit: Limit = 100,
    fixmedins_code: Institution = None,
) -> HttpAnswer:
    """What waits for a person, oldest first.  ``unacked``: settled since (7 days), and no HIS said that it booked it.  ``unfiled``: stays
    of people insured elsewhere whose filing is missing or not known of; who leaves first comes first."""
    desk = desk_of(request)
    place = desk.place(caller(request, Right.READ), fixmedins_code)
    ledger = desk.running.ledger
    if kind not in KINDS:
        raise TranslationError([Fault("kind", " | ".join(KINDS), kind[:20])])
    if kind == "unfiled":
        rows = await late_filings_of(desk.running).listed(place)
        unfiled = [unfiled_data(one) for one in rows[:limit]]
        return json_response(encode({"kind": kind, "cases": [], "unfiled": unfiled}))
    if kind == "difference":
        items = await ledger.account_items(place.org, DIFFERENCE, STANDING, "", limit)
        items = [item for item in items if item.changed_at >= _moment(since)]
        return json_response(encode({"kind": kind, "cases": [], "differences": [item_data(item) for item in items]}))
    if kind == "unacked":
        recent = iso(SystemClock().wall() - timedelta(days=UNACKED_DAYS))
        cases = await ledger.unacknowledged(place.org, _moment(since) or recent, limit)
    else:
        cases = [case for case in await ledger.cases_in(WORK[kind]) if case.org == place.org]
        cases = [case for case in cases if case.changed_at >= _moment(since)][:limit]
    return json_response(encode({"kind": kind, "cases": [row(case) for case in cases]}))


@post("/v1/settlements/{settle_key:str}/decision", operation_id="decide", status_code=200)
async def decide(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """An operator's decision about a FROZEN case (E5): with reason, proof and, above a sum, a second operator."""
    desk = desk_of(request)
    case = await desk.case(caller(request, Right.DECIDE), settle_key)
    decision = _decision(tree_of(request))
    outcome = await desk.running.pipeline.decide(desk.place_of(case), case, decision)
    after = await desk.running.ledger.case(case.case_id)
    return await told(desk, Operation("query", "query", desk.dialect.name, case.kind), outcome, after)


def _decision(tree: dict[str, Any]) -> OperatorDecision:
    """Raises: TranslationError with every fault."""
    faults: list[Fault] = []
    outcome = text_field(tree, "outcome", faults)
    if outcome and outcome not in OUTCOMES:
        faults.append(Fault("outcome", " | ".join(OUTCOMES), outcome[:20]))
    said = {name: text_field(tree, name, faults, most=200) for name in ("operator", "reason", "proof")}
    second = text_field(tree, "second_operator", faults, must=False)
    result = tree.get("result") or {}
    fields: dict[str, Any] = {}
    if not isinstance(result, dict):
        faults.append(Fault("result", "an object", type(result).__name__))
        result = {}
    for name, value in result.items():
        try:
            fields[name] = str(value) if name == "setl_id" else yuan(value)
        except MoneyError as error:
            faults.append(Fault(f"result.{name[:40]}", "an amount in yuan", str(error)))
    if faults:
        raise TranslationError(faults, message_zh="裁定材料不全或有误，未受理")
    return OperatorDecision(outcome, said["operator"], said["reason"], said["proof"], second, fields)


def row(case: Case) -> dict[str, Any]:
    """One case in a list: nothing of the person."""
    amounts = {"total": case.total_fen, "fund": case.fund_fen, "account": case.account_fen, "cash": case.cash_fen}
    return {
        "case_id": case.case_id,
        "work_order": work_order(case),
        "purpose": case.purpose,
        "settle_key" if case.purpose == "settle" else "void_key": case.key,
        "visit_key": case.visit_key,
        "kind": case.kind,
        "state": told_state(case),
        "setl_id": case.setl_id,
        "opened_at": case.opened_at,
        "changed_at": case.changed_at,
        "why": case.data.get("frozen_because") or case.data.get("why", ""),
        "amounts": {name: f"{from_fen(fen):.2f}" for name, fen in amounts.items() if fen is not None},
    }


def _states(names: list[str]) -> list[State]:
    """The inner states of states as told.  Raises: TranslationError."""
    found: list[State] = []
    for name in names:
        if name == "PENDING":
            found += [State.PREPARING, State.READY, *UNDECIDED]
        elif name in State.__members__:
            found.append(State(name))
        else:
            raise TranslationError([Fault("state", "a state as told, e.g. SETTLED", name[:20])])
    return found


def _moment(text: str) -> str:
    """The same moment as the ledger writes it; "" stays "".  Raises: TranslationError."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise TranslationError([Fault("since", "a time as RFC 3339 has it", text[:40])]) from None
    if moment.tzinfo is None:
        raise TranslationError([Fault("since", "a time with its zone", text[:40])])
    try:
        return iso(moment)
    except OverflowError:
        raise TranslationError([Fault("since", "a time of our calendar", text[:40])]) from None


ROUTES = [list_settlements, events, worklist, decide]
