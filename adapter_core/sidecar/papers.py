"""``/v1/…/paper``, ``/v1/papers``: manual-reimbursement papers over HTTP, and the receipts of what was settled.

While a settlement may exist a request for papers is refused with 409; a visit whose outcome is not known has its hold slip.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from litestar import get, post
from litestar.params import FromPath, QueryParameter

from adapter_core.paperwork import rendering
from adapter_core.paperwork.dossier import Wish
from adapter_core.paperwork.office import PaperOffice, PaperSet
from adapter_core.paperwork.receipts import FORMS, dot_matrix
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation
from adapter_core.settlement.records import Case
from adapter_core.sidecar.access import Client, Right
from adapter_core.sidecar.desk import (
    Caller,
    Desk,
    caller,
    desk_of,
    institution_named,
    json_response,
    text_field,
    tree_of,
)
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode
from adapter_core.values.errors import Fault, Refused, TranslationError

SITUATIONS_MAX = 10
SERIALS_MAX = 200
TEXT_MAX = 200
LINE_MAX = 600
PDF, JSON = ".pdf", ".json"

Institution = Annotated[str | None, QueryParameter(name="fixmedins_code", max_length=30)]


@post("/v1/visits/{visit_key:str}/paper", operation_id="open_papers", status_code=200)
async def open_papers(request: Caller, visit_key: FromPath[str]) -> HttpAnswer:
    """Papers for a visit: new ones, or the standing ones again; another version where the body says other than they do."""
    desk = desk_of(request)
    client = caller(request, Right.PAPER)
    tree = tree_of(request, optional=True)
    office = desk.running.office(desk.place(client, institution_named(tree)))
    made = await office.open(visit_key, _wish(tree), _message(desk, tree, visit_key))
    return json_response(encode(_answer(made)))


@get("/v1/visits/{visit_key:str}/hold-slip.pdf", operation_id="hold_slip")
async def hold_slip(request: Caller, visit_key: FromPath[str], fixmedins_code: Institution = None) -> HttpAnswer:
    """The slip of a visit whose settlement is not decided: a number and a time, no reimbursement paper."""
    desk = desk_of(request)
    office = desk.running.office(desk.place(caller(request, Right.PAPER), fixmedins_code))
    slip = await office.slip(visit_key)
    return _pdf(await asyncio.to_thread(rendering.pdf, "hold_slip", slip), f"{slip['work_order']}.pdf")


@get("/v1/papers/{name:str}", operation_id="show_papers")
async def show_papers(
    request: Caller,
    name: FromPath[str],
    version: Annotated[
        int | None, QueryParameter(name="version", ge=1, description="an older one, which is void")
    ] = None,
) -> HttpAnswer:
    """What a serial stands for; ``….pdf`` prints the set once more, ``….json`` gives it as data: both name the person, so the
    journal notes them."""
    desk = desk_of(request)
    client = caller(request, Right.PAPER)
    serial = name.removesuffix(PDF).removesuffix(JSON)
    office = await _office(desk, client, serial)
    if not name.endswith((PDF, JSON)):
        return json_response(encode(_answer(await office.show(serial, version))))
    made = await office.reprint(serial, version)
    if name.endswith(JSON):
        return json_response(made.machine_readable())
    return _pdf(await asyncio.to_thread(made.pdf), f"{serial}-v{made.document['version']}.pdf")


@post("/v1/papers/{serial:str}/revoke", operation_id="revoke_papers", status_code=200)
async def revoke_papers(request: Caller, serial: FromPath[str]) -> HttpAnswer:
    """Papers and self-pay invoice were taken back: the serial is void and the visit free for a new settlement."""
    office, tree = await _about(request, serial)
    faults: list[Fault] = []
    red_invoice = text_field(tree, "red_invoice", faults, most=TEXT_MAX)
    reason = text_field(tree, "reason", faults, most=TEXT_MAX)
    withdrawal = text_field(tree, "withdrawal", faults, most=TEXT_MAX, must=False)
    _refuse(faults)
    return _state(serial, await office.revoke(serial, red_invoice, reason, withdrawal))


@post("/v1/papers/{serial:str}/submit", operation_id="submit_papers", status_code=200)
async def submit_papers(request: Caller, serial: FromPath[str]) -> HttpAnswer:
    """Handed in at the agency of the place of insurance."""
    office, tree = await _about(request, serial)
    faults: list[Fault] = []
    to = text_field(tree, "to", faults, most=TEXT_MAX, must=False)
    _refuse(faults)
    return _state(serial, await office.submit(serial, to))


@post("/v1/papers/{serial:str}/close", operation_id="close_papers", status_code=200)
async def close_papers(request: Caller, serial: FromPath[str]) -> HttpAnswer:
    """The agency has decided; the visit is never settled directly any more."""
    office, tree = await _about(request, serial)
    faults: list[Fault] = []
    result = text_field(tree, "result", faults, most=TEXT_MAX, must=False)
    _refuse(faults)
    return _state(serial, await office.close(serial, result))


@post("/v1/papers/verify", operation_id="verify_papers", status_code=200)
async def verify_papers(request: Caller) -> HttpAnswer:
    """Whether a set still counts: by the line of its QR code, or by its serial."""
    desk = desk_of(request)
    client = caller(request, Right.PAPER)
    tree = tree_of(request)
    faults: list[Fault] = []
    text = text_field(tree, "text", faults, most=LINE_MAX)
    _refuse(faults)
    office = desk.running.office(desk.place(client, institution_named(tree)))
    found = await office.verify(text)
    facts = ("verdict", "counts", "message_zh", "serial", "version", "total", "is_signed")
    return json_response(encode({name: getattr(found, name) for name in facts}))


@get("/v1/paper-key", operation_id="paper_key")
async def paper_key(request: Caller, fixmedins_code: Institution = None) -> HttpAnswer:
    """The public key by which anybody checks a QR code offline."""
    desk = desk_of(request)
    key = desk.running.office(desk.place(caller(request, Right.PAPER), fixmedins_code)).public_key
    return json_response(encode({"algorithm": key.algorithm, "key_id": key.key_id, "public_key": key.raw.hex()}))


@post("/v1/paper-batches", operation_id="batch_papers", status_code=200)
async def batch_papers(request: Caller) -> HttpAnswer:
    """One hand-over sheet for the papers of several people of one employer."""
    desk = desk_of(request)
    client = caller(request, Right.PAPER)
    tree = tree_of(request)
    faults: list[Fault] = []
    employer = text_field(tree, "employer", faults, most=TEXT_MAX)
    handed_to = text_field(tree, "handed_to", faults, most=TEXT_MAX, must=False)
    serials = _texts(tree, "serials", SERIALS_MAX, faults)
    _refuse(faults)
    office = desk.running.office(desk.place(client, institution_named(tree)))
    sheet = await office.batch(serials, employer, handed_to)
    return json_response(encode({**sheet, "pdf": f"/v1/paper-batches/{sheet['batch']}.pdf"}))


@get("/v1/paper-batches/{name:str}", operation_id="show_batch")
async def show_batch(request: Caller, name: FromPath[str], fixmedins_code: Institution = None) -> HttpAnswer:
    """A hand-over sheet again; ``….pdf`` prints it."""
    desk = desk_of(request)
    office = desk.running.office(desk.place(caller(request, Right.PAPER), fixmedins_code))
    sheet = await office.batch_again(name.removesuffix(PDF))
    if name.endswith(PDF):
        return _pdf(await asyncio.to_thread(rendering.pdf, "batch", sheet), name)
    return json_response(encode(sheet))


@post("/v1/settlements/{settle_key:str}/receipt", operation_id="print_receipt", status_code=200)
async def print_receipt(request: Caller, settle_key: FromPath[str]) -> HttpAnswer:
    """The receipt of a settled case, counted: A4 or A5 as PDF, 241 mm continuous paper as plain text."""
    desk = desk_of(request)
    case = await desk.case(caller(request, Right.PAPER), settle_key)
    form = tree_of(request, optional=True).get("paper", "a4")
    if form not in FORMS:
        raise TranslationError([Fault("paper", " | ".join(FORMS), str(form)[:10])])
    made = await desk.running.office(desk.place_of(case)).receipt(case, form)
    if form == "241":
        return HttpAnswer(dot_matrix(made).encode(), media_type="text/plain; charset=utf-8")
    return _pdf(await asyncio.to_thread(rendering.pdf, "receipt", made), f"{made['setl_id']}-{made['copy']}.pdf")


# -- small


async def _about(request: Caller, serial: str) -> tuple[PaperOffice, dict[str, Any]]:
    desk = desk_of(request)
    client = caller(request, Right.PAPER)
    tree = tree_of(request, optional=True)
    return await _office(desk, client, serial), tree


async def _office(desk: Desk, client: Client, serial: str) -> PaperOffice:
    """The office of the caller's institution that issued a serial.  Raises: Refused NO_SUCH_PAPER."""
    for org in sorted(client.institutions):
        place = desk.running.places(org)
        if place is None:
            continue
        office = desk.running.office(place)
        try:
            await office.case(serial)
        except Refused:
            continue
        return office
    raise Refused("no such papers", code="NO_SUCH_PAPER", message_zh="没有该编号的手工报销材料，请核对")


def _wish(tree: dict[str, Any]) -> Wish | None:
    """None where the body says nothing: the standing papers are shown again then.  Raises: TranslationError."""
    faults: list[Fault] = []
    reason = text_field(tree, "reason", faults, must=False)
    insured = text_field(tree, "insuplc_admdvs", faults, most=6, must=False)
    situations = _texts(tree, "situations", SITUATIONS_MAX, faults) if "situations" in tree else ()
    _refuse(faults)
    said = Wish(reason, situations, insured)
    return said if said != Wish() else None


def _message(desk: Desk, tree: dict[str, Any], visit_key: str) -> tuple[Dialect, Operation] | None:
    """The visit as the body of ``POST /v1/settlements`` has it, where it was never tried or its fees changed."""
    visit = tree.get("settlement")
    if visit is None:
        return None
    if not isinstance(visit, dict):
        raise TranslationError([Fault("settlement", "an object", type(visit).__name__)])
    named = {"settle_key": visit_key, **visit, "intent": "settle", "visit_key": visit_key}
    return desk.dialect, desk.dialect.read_tree(named)


def _texts(tree: dict[str, Any], name: str, most: int, faults: list[Fault]) -> tuple[str, ...]:
    rows = tree.get(name)
    if (
        not isinstance(rows, list)
        or len(rows) > most
        or not all(isinstance(row, str) and len(row) <= 64 for row in rows)
    ):
        faults.append(Fault(name, f"a list of at most {most} texts", type(rows).__name__))
        return ()
    return tuple(rows)


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise TranslationError(faults)


def _answer(made: PaperSet) -> dict[str, Any]:
    why = {name: made.document["why"][name] for name in ("code", "heading", "patient_zh", "centre_text")}
    return {
        **made.facts,
        "why": why,
        "pdf": f"/v1/papers/{made.serial}{PDF}",
        "json": f"/v1/papers/{made.serial}{JSON}",
    }


def _state(serial: str, case: Case) -> HttpAnswer:
    return json_response(encode({"serial": serial, "visit_key": case.visit_key, "state": str(case.state)}))


def _pdf(content: bytes, name: str) -> HttpAnswer:
    return HttpAnswer(
        content,
        media_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "no-store"},
    )


ROUTES = [
    open_papers, hold_slip, show_papers, revoke_papers, submit_papers, close_papers, verify_papers, paper_key, batch_papers,
    show_batch, print_receipt,
]  # fmt: skip
