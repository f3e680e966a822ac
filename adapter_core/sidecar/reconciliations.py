"""``/v1/reconciliations``: a day with the centre; ``/v1/accounts/{order}``: all else the insurance office asks of the accounts."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from litestar import get, post
from litestar.params import FromPath, QueryParameter

from adapter_core.accounts.office import AccountsOffice
from adapter_core.bootstrap.offices import accounts_of
from adapter_core.formats.json import write_json
from adapter_core.operations.account_files import MEDIA, NAMES, account_file
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import Caller, caller, desk_of, institution_named, json_response, tree_of
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.values.errors import Refused
from adapter_core.values.moments import national_time

READING = frozenset(
    {"run", "differences", "dayend", "receivables", "payments", "flags", "calendar", "inquiries", "report"}
)
"""Orders that change nothing."""
Text = Annotated[str | None, QueryParameter(max_length=10)]
Institution = Annotated[str | None, QueryParameter(name="fixmedins_code", max_length=30)]


@post("/v1/reconciliations", operation_id="reconcile", status_code=200)
async def reconcile(request: Caller) -> HttpAnswer:
    """Reconcile a business day with the centre now; again, it adds nothing."""
    tree = tree_of(request)
    office = _office(request, Right.DECIDE, institution_named(tree))
    return json_response(write_json(await office.do("reconcile", tree)))


@get("/v1/reconciliations/{date:str}", operation_id="show_reconciliation")
async def show(request: Caller, date: FromPath[str], fixmedins_code: Institution = None) -> HttpAnswer:
    """The newest run of a day and its differences, from the ledger only."""
    office = _office(request, Right.READ, fixmedins_code)
    return json_response(write_json(await office.do("run", {"date": date})))


@post("/v1/accounts/{order:str}", operation_id="accounts", status_code=200)
async def accounts(request: Caller, order: FromPath[str]) -> HttpAnswer:
    """differences, close, dayend, receivables, bank, payments, match, deduct, unbook, apply, withdraw, clear, his, watch, flags,
    wrong_person, calendar, remind, inquiries, report."""
    tree = tree_of(request, optional=True)
    right = Right.READ if order in READING else Right.DECIDE
    office = _office(request, right, institution_named(tree))
    return json_response(write_json(await office.do(order, tree)))


@get("/v1/accounts/{name:str}", operation_id="print_accounts")
async def print_accounts(
    request: Caller,
    name: FromPath[str],
    date: Text = None,
    month: Text = None,
    since: Annotated[str | None, QueryParameter(name="from", max_length=10)] = None,
    to: Text = None,
    opter: Annotated[str | None, QueryParameter(name="opter", max_length=30)] = None,
    fixmedins_code: Institution = None,
) -> HttpAnswer:
    """dayend, receivables or report as a file: ``dayend.pdf?date=…``, ``receivables.xlsx?month=…``, ``report.pdf?from=…&to=…``."""
    order, _, form = name.partition(".")
    if order not in NAMES or form not in MEDIA:
        raise Refused(
            f"nothing is printed as {name[:40]}", code="NOT_FOUND", message_zh="没有这个报表，请核对名称和格式"
        )
    office = _office(request, Right.READ, fixmedins_code)
    asked = {"date": date, "month": month, "from": since, "to": to, "opter": opter}
    told = await office.do(order, asked)
    config, at = desk_of(request).running.config, national_time(office.clock.wall())
    body = await asyncio.to_thread(account_file, config, order, told, form, at)
    headers = {"Content-Disposition": f'inline; filename="{order}-{date or month or since or at[:10]}.{form}"'}
    return HttpAnswer(body, media_type=MEDIA[form], headers=headers)


def _office(request: Caller, right: Right, fixmedins_code: str | None) -> AccountsOffice:
    desk = desk_of(request)
    place = desk.place(caller(request, right), fixmedins_code)
    return accounts_of(desk.running, place)


ROUTES: list[Any] = [reconcile, show, accounts, print_accounts]
