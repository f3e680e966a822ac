"""The first run, step by step: institution, province, keys, a harmless call to the centre, a settlement against the simulator."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post

from adapter_core.operations.key_inventory import key_inventory
from adapter_core.province.messages import Operation
from adapter_core.settlement.place import Place
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.console.counter import (
    HOME,
    Asked,
    Counter,
    Visitor,
    counter_of,
    looked,
    page,
    posted,
    text_of,
    visitor,
)
from adapter_core.sidecar.console.rehearsal import Rehearsed, rehearse
from adapter_core.standard.regions import region
from adapter_core.values.errors import AdapterError
from adapter_core.values.moments import national_time

WIZARD = f"{HOME}/wizard"
FINE_KEYS = frozenset({"仅属主可读", "尚未建立"})


@get(WIZARD)
async def wizard(request: Asked) -> Response[bytes]:
    visitor(request, Right.STAFF)
    await looked(request, "wizard")
    return _page(request)


@post(WIZARD, status_code=200)
async def step(request: Asked) -> Response[bytes]:
    """``call``: sign in at the centre (9001), which moves no money and names no patient.  ``rehearse``: a whole settlement against a
    simulated centre, in a ledger that is thrown away."""
    who = visitor(request, Right.STAFF)
    counter = counter_of(request)
    wanted = text_of(posted(request), "step", 10)
    await counter.note("ACTED", who.name, {"act": f"wizard {wanted}"})
    facts: dict[str, Any] = {}
    try:
        if wanted == "call":
            facts["called"] = await _call(counter, who.place)
        elif wanted == "rehearse":
            facts["rehearsed"] = await _rehearsed(counter, who.place)
    except AdapterError as error:
        facts["wrong"] = error.message_zh or str(error)
    return _page(request, **facts)


async def _call(counter: Counter, place: Place) -> tuple[str, str]:
    """State and words of a sign-in."""
    desk = counter.desk
    operator = {"opter": "console", "opter_name": "信息科", "opter_type": "1"}
    asked = Operation("sign_in", "sign_in", desk.dialect.name, content={"env": operator})
    outcome = await desk.running.pipeline.handle(place, desk.dialect, asked)
    return outcome.state, outcome.message_zh


async def _rehearsed(counter: Counter, place: Place) -> Rehearsed:
    return await rehearse(place.site.admdvs, national_time(counter.clock.wall()))


def _page(request: Asked, **facts: Any) -> Response[bytes]:
    counter = counter_of(request)
    settings = counter.config.settings
    keys = key_inventory(counter.config)
    who: Visitor = request.scope["state"]["visitor"]
    place = who.place
    institution = next(one for one in settings.every_institution if one.fixmedins_code == place.org)
    found = region(place.site.admdvs)
    shown: dict[str, Any] = {"called": None, "rehearsed": None, "wrong": "", **facts}
    return page(
        request,
        "wizard.html",
        settings=settings,
        region_name=found.name if found else "",
        place=place,
        gateway=place.gateway,
        address=settings.every_gateway[settings.gateway_of(institution)].url,
        keys=keys,
        keys_fine=all(entry.state in FINE_KEYS for entry in keys),
        **shown,
    )


ROUTES = [wizard, step]
