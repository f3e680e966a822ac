"""The accounts' page: a day's reconciliation, what falls due, and what is printed: day end, report, receivables.  Each institution's own."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from adapter_core.accounts.office import AccountsOffice
from adapter_core.bootstrap.offices import accounts_of
from adapter_core.operations.account_files import MEDIA, NAMES, account_file
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.console.counter import (
    HOME,
    Asked,
    Visitor,
    counter_of,
    looked,
    page,
    posted,
    see,
    text_of,
    visitor,
)
from adapter_core.values.errors import Refused, TranslationError
from adapter_core.values.moments import national_date, national_time

ACCOUNTS = f"{HOME}/accounts"
LEVEL_ZH = {"none": "未设额度", "ok": "正常", "yellow": "黄色预警", "red": "红色预警"}
DATES = ("date", "from", "to", "month")


@get(ACCOUNTS)
async def show(
    request: Asked, date: Annotated[str | None, QueryParameter(name="date", max_length=10)] = None
) -> Response[bytes]:
    """The newest run of a day, from the ledger alone."""
    who = visitor(request, Right.READ)
    office = _office(request, who)
    today = national_date(counter_of(request).clock.wall())
    day = date or today
    await looked(request, "accounts", day=day)
    try:
        run: dict[str, Any] | None = await office.do("run", {"date": day})
    except (Refused, TranslationError):
        run = None
    dues = await office.do("receivables", {})
    return page(
        request,
        "accounts.html",
        day=day,
        today=today,
        run=run,
        level={**dues["prepayment"], "title": LEVEL_ZH[dues["prepayment"]["level"]]},
        calendar=(await office.do("calendar", {}))["calendar"],
    )


@post(f"{ACCOUNTS}/reconcile")
async def reconcile(request: Asked) -> Response[bytes]:
    """A day with the centre, now."""
    who = visitor(request, Right.DECIDE)
    day = text_of(posted(request), "date", 10)
    await counter_of(request).note("ACTED", who.name, {"act": "reconcile", "reason": day})
    told = await _office(request, who).do("reconcile", {"date": day})
    return see(f"{ACCOUNTS}?date={day}", request, f"{day} {told['state_zh']}")


@post(f"{ACCOUNTS}/{{name:str}}/print", status_code=200)
async def print_file(request: Asked, name: FromPath[str]) -> Response[bytes]:
    """Day end, report or receivables as PDF, Excel or CSV; the journal has who took it."""
    who = visitor(request, Right.READ)
    counter, fields = counter_of(request), posted(request)
    form = text_of(fields, "form", 4)
    if name not in NAMES or form not in MEDIA:
        raise Refused("nothing is printed by that name", code="NOT_FOUND", message_zh="没有这个报表")
    asked = {one: text_of(fields, one, 10) for one in DATES} | {"opter": text_of(fields, "opter", 30)}
    told = await _office(request, who).do(name, asked)
    said = " ".join(value for value in asked.values() if value)
    await counter.note("ACTED", who.name, {"act": f"export {name}", "reason": f"{said} {form}"})
    at = national_time(counter.clock.wall())
    body = await asyncio.to_thread(account_file, counter.config, name, told, form, at, who.name)
    shown = "inline" if form == "pdf" else "attachment"
    headers = {"Content-Disposition": f'{shown}; filename="{name}.{form}"'}
    return Response(body, media_type=MEDIA[form], headers=headers)


def _office(request: Asked, who: Visitor) -> AccountsOffice:
    return accounts_of(counter_of(request).desk.running, who.place)


ROUTES = [show, reconcile, print_file]
