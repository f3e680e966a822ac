"""``/v1/encounters``: register or admit, fee lines, discharge; what the centre holds of it (`contracts.md` §4)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from litestar import delete, get, post, put
from litestar.params import FromPath

from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement.newborns import BECOMES, child_of, waits
from adapter_core.settlement.place import Place
from adapter_core.settlement.preadmission import FOLDED, folded_in
from adapter_core.settlement.records import Bill, Encounter
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import (
    Caller,
    Desk,
    caller,
    desk_of,
    institution_named,
    json_response,
    preferred_wait,
    tree_of,
)
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode
from adapter_core.values.content import Content
from adapter_core.values.errors import Refused

REGISTERS = {"outpatient": "register", "pharmacy": "register", "inpatient": "admit"}
UNREGISTERS = {"outpatient": "unregister", "pharmacy": "unregister", "inpatient": "unadmit"}
Key = FromPath[str]


@put("/v1/encounters/{encounter_key:str}", operation_id="register", status_code=200)
async def register(request: Caller, encounter_key: Key) -> HttpAnswer:
    """Register (2201) or admit (2401); again with other content: change it (2403)."""
    tree = tree_of(request)
    return await _run(request, encounter_key, REGISTERS, tree)


@delete("/v1/encounters/{encounter_key:str}", operation_id="unregister", status_code=200)
async def unregister(request: Caller, encounter_key: Key) -> HttpAnswer:
    """Take the registration (2202) or admission (2404) back."""
    return await _run(request, encounter_key, UNREGISTERS, tree_of(request, optional=True), must_exist=True)


@post("/v1/encounters/{encounter_key:str}/fees", operation_id="upload_fees", status_code=200)
async def upload_fees(request: Caller, encounter_key: Key) -> HttpAnswer:
    """Add fee lines, keyed by ``feedetl_sn``; the same lines again change nothing."""
    return await _run(request, encounter_key, "upload_fees", tree_of(request))


@delete("/v1/encounters/{encounter_key:str}/fees", operation_id="drop_fees", status_code=200)
async def drop_fees(request: Caller, encounter_key: Key) -> HttpAnswer:
    """Remove every fee line of the open bill, or of the ``visit_key`` named in the body."""
    return await _run(request, encounter_key, "drop_fees", tree_of(request, optional=True), must_exist=True)


@delete("/v1/encounters/{encounter_key:str}/fees/{feedetl_sn:str}", operation_id="drop_fee", status_code=200)
async def drop_fee(request: Caller, encounter_key: Key, feedetl_sn: FromPath[str]) -> HttpAnswer:
    """Remove one fee line."""
    tree = {**tree_of(request, optional=True), "fees": [{"feedetl_sn": feedetl_sn}]}
    return await _run(request, encounter_key, "drop_fees", tree, must_exist=True)


@post("/v1/encounters/{encounter_key:str}/discharge", operation_id="discharge", status_code=200)
async def discharge(request: Caller, encounter_key: Key) -> HttpAnswer:
    """Discharge (2402)."""
    return await _run(request, encounter_key, "discharge", tree_of(request, optional=True), must_exist=True)


@delete("/v1/encounters/{encounter_key:str}/discharge", operation_id="undischarge", status_code=200)
async def undischarge(request: Caller, encounter_key: Key) -> HttpAnswer:
    """Take the discharge back (2405)."""
    return await _run(request, encounter_key, "undischarge", tree_of(request, optional=True), must_exist=True)


@post("/v1/encounters/{encounter_key:str}/preadmission", operation_id="fold_visits", status_code=200)
async def fold_visits(request: Caller, encounter_key: Key) -> HttpAnswer:
    """Pre-admission: lines of the outpatient ``visits`` become lines of the stay; repeatable."""
    return await _run(request, encounter_key, "fold", tree_of(request), must_exist=True)


@delete("/v1/encounters/{encounter_key:str}/preadmission", operation_id="unfold_visits", status_code=200)
async def unfold_visits(request: Caller, encounter_key: Key) -> HttpAnswer:
    """Give the lines of the ``visits`` back, or of all of them, to be settled as outpatient."""
    return await _run(request, encounter_key, "unfold", tree_of(request, optional=True), must_exist=True)


@get("/v1/encounters/{encounter_key:str}", operation_id="show_encounter")
async def show(request: Caller, encounter_key: Key) -> HttpAnswer:
    """Its state, the lines held by the centre and their sums, from the ledger only."""
    desk = desk_of(request)
    client = caller(request, Right.READ)
    for org in sorted(client.institutions):
        encounter = await desk.running.ledger.encounter_by_key(org, encounter_key)
        if encounter is not None:
            return json_response(encode(await encounter_data(desk, encounter)))
    raise _no_encounter(encounter_key)


async def _run(
    request: Caller,
    encounter_key: str,
    verb: str | dict[str, str],
    tree: dict[str, Any],
    must_exist: bool = False,
) -> HttpAnswer:
    """One verb on one encounter.  verb: by kind where it depends on it."""
    desk = desk_of(request)
    place = desk.place(caller(request, Right.SETTLE), institution_named(tree))
    known = await desk.running.ledger.encounter_by_key(place.org, encounter_key)
    if known is None and must_exist:
        raise _no_encounter(encounter_key)
    said = {**tree, "encounter_key": encounter_key, "intent": "query"}
    if known is not None:
        said["kind"] = known.kind
    read = desk.dialect.read_tree(said)
    goal = verb if isinstance(verb, str) else verb[read.kind]
    keys = {name: key for name, key in read.keys.items() if name in ("encounter", "visit")}
    operation = Operation(goal, goal, desk.dialect.name, read.kind, content=read.content, keys=keys)
    wait_s = preferred_wait(request, None)
    outcome = await desk.running.pipeline.handle(place, desk.dialect, operation, wait_s)
    return await _told(desk, place, encounter_key, outcome)


async def _told(desk: Desk, place: Place, encounter_key: str, outcome: Outcome) -> HttpAnswer:
    answer: dict[str, Any] = {
        "encounter_key": encounter_key,
        "state": outcome.state,
        "code": outcome.code,
        "message_zh": outcome.message_zh,
        "next": list(outcome.next),
    }
    if outcome.state == "PENDING":
        answer["queue_position"] = outcome.content.get("queue_position")
    encounter = await desk.running.ledger.encounter_by_key(place.org, encounter_key)
    if encounter is not None:
        answer["encounter"] = await encounter_data(desk, encounter)
    return json_response(encode(answer), 202 if outcome.state == "PENDING" else 200)


def _no_encounter(encounter_key: str) -> Refused:
    return Refused(
        "no such encounter", code="NO_SUCH_ENCOUNTER", message_zh=f"没有找到就诊 {encounter_key[:64]}，请核对"
    )


async def encounter_data(desk: Desk, encounter: Encounter) -> dict[str, Any]:
    """One encounter with its bills."""
    bills = await desk.running.ledger.bills_of(encounter.encounter_id)
    standings = (encounter.standing, *(bill.standing for bill in bills))
    doubts = {name.removesuffix("?") for standing in standings for name in standing if name.endswith("?")}
    return {
        "encounter_key": encounter.encounter_key,
        "kind": encounter.kind,
        "mdtrt_id": encounter.mdtrt_id,
        "psn_no": encounter.content.get("person", {}).get("psn_no", ""),
        "standing": sorted(name for name in encounter.standing if not name.endswith("?")),
        "in_doubt": sorted(doubts),
        "newborn": _newborn(encounter),
        "bills": [found for bill in bills if (found := await _bill_data(desk, bill))],
    }


def _newborn(encounter: Encounter) -> dict[str, str] | None:
    """Whose number a newborn's stay goes by; None for anybody else's."""
    child = child_of(encounter)
    if not child:
        return None
    state = "identity_pending" if BECOMES in child else "waits" if waits(encounter) else "registered"
    names = ("by", "temporary_no", "birth_order", "brdy")
    return {"state": state, **{name: str(child[name]) for name in names if child.get(name)}}


async def _bill_data(desk: Desk, bill: Bill) -> dict[str, Any]:
    """One bill; nothing of one that has neither lines nor settlements."""
    held = (bill.standing.get("fees") or bill.standing.get("stay_fees") or {}).get("rows", {})
    fees: list[Content] = bill.content.get("fees", [])
    cases = await desk.running.ledger.cases_of_bill(bill.bill_id)
    if not fees and not cases and not folded_in(bill):
        return {}
    return {
        "visit_key": bill.visit_key,
        "chrg_bchno": bill.chrg_bchno,
        "is_open": bill.is_open,
        "lines": [
            {
                "feedetl_sn": line["feedetl_sn"],
                "det_item_fee_sumamt": _money(line.get("det_item_fee_sumamt")),
                "held_by_centre": line["feedetl_sn"] in held,
            }
            for line in fees
        ],
        "medfee_sumamt": _money(_sum(fees)),
        "held_by_centre_sumamt": _money(_sum(line for line in fees if line["feedetl_sn"] in held)),
        "settlements": [case.key for case in cases if case.purpose == "settle"],
        "folded_into": bill.content.get(FOLDED, {}).get("into"),
        "folded_in": {
            key: {"lines": list(one["lines"]), "state": one["state"]} for key, one in folded_in(bill).items()
        },
    }


def _sum(lines: Any) -> Decimal:
    return sum((Decimal(line.get("det_item_fee_sumamt", 0)) for line in lines), Decimal(0))


def _money(value: Decimal | None) -> str:
    return f"{Decimal(value or 0):.2f}"


ROUTES = [
    register, unregister, show, upload_fees, drop_fees, drop_fee, discharge, undischarge, fold_visits, unfold_visits,
]  # fmt: skip
