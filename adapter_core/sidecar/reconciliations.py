"""``/v1/reconciliations``: a day with the centre; ``/v1/accounts/{order}``: all else the insurance office asks of the accounts."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from adapter_core.accounts.office import AccountsOffice
from adapter_core.bootstrap import accounts_of
from adapter_core.formats.json import write_json
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import Caller, caller, desk_of, institution_named, json_response, tree_of

READING = frozenset({"run", "differences", "dayend", "receivables", "flags", "calendar", "inquiries", "report"})
"""Orders that change nothing."""
Institution = Annotated[str | None, QueryParameter(name="fixmedins_code", max_length=30)]


@post("/v1/reconciliations", operation_id="reconcile", status_code=200)
async def reconcile(request: Caller) -> Response[bytes]:
    """Reconcile a business day with the centre now; again, it adds nothing."""
    tree = tree_of(request)
    office = _office(request, Right.DECIDE, institution_named(tree))
    return json_response(write_json(await office.do("reconcile", tree)))


@get("/v1/reconciliations/{date:str}", operation_id="show_reconciliation")
async def show(request: Caller, date: FromPath[str], fixmedins_code: Institution = None) -> Response[bytes]:
    """The newest run of a day and its differences, from the ledger only."""
    office = _office(request, Right.READ, fixmedins_code)
    return json_response(write_json(await office.do("run", {"date": date})))


@post("/v1/accounts/{order:str}", operation_id="accounts", status_code=200)
async def accounts(request: Caller, order: FromPath[str]) -> Response[bytes]:
    """differences, close, dayend, receivables, deduct, bank, apply, withdraw, clear, his, watch, flags, calendar, inquiries, report."""
    tree = tree_of(request, optional=True)
    right = Right.READ if order in READING else Right.DECIDE
    office = _office(request, right, institution_named(tree))
    return json_response(write_json(await office.do(order, tree)))


def _office(request: Caller, right: Right, fixmedins_code: str | None) -> AccountsOffice:
    desk = desk_of(request)
    place = desk.place(caller(request, right), fixmedins_code)
    return accounts_of(desk.running, place)


ROUTES: list[Any] = [reconcile, show, accounts]
