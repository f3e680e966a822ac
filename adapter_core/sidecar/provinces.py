"""``GET /v1/provinces``: what is loaded, how the way to the centre is, and what cashiers should know now."""

from __future__ import annotations

from typing import Any

from litestar import get

from adapter_core.centre.notices import Notice
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import Caller, caller, desk_of, json_response
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode
from adapter_core.values.moments import iso


@get("/v1/provinces", operation_id="provinces")
async def provinces(request: Caller) -> HttpAnswer:
    """Loaded plugins, the gateways' state, downtime notices."""
    desk = desk_of(request)
    caller(request, Right.WATCH)
    running = desk.running
    stopped: dict[str, list[str]] = {}
    for outage in running.outages():
        stopped.setdefault(outage.endpoint, []).append(outage.group)
    data = {
        "provinces": [
            {
                "name": one.name,
                "title": one.title,
                "version": one.version,
                "regions": list(one.regions),
                "dialects": sorted(one.dialects),
                "gateways": sorted(one.gateways),
                "not_supported": list(one.not_supported),
            }
            for one in running.plugins.provinces
        ],
        "broken": [{"name": one.name, "reason": one.reason} for one in running.plugins.broken],
        "gateways": [
            {
                "fixmedins_code": place.org,
                "name": place.way,
                "gateway": place.gateway.name,
                "state": "interrupted" if place.endpoint in stopped else "open",
                "stopped": sorted(stopped.get(place.endpoint, ())),
            }
            for institution in running.every_place
            for place in institution.every_way()
        ],
        "notices": [notice_data(one) for one in running.notices()],
    }
    return json_response(encode(data))


def notice_data(notice: Notice) -> dict[str, Any]:
    return {
        "kind": notice.kind,
        "since": iso(notice.since),
        "until": iso(notice.until) if notice.until else None,
        "admdvs": notice.admdvs,
        "text": notice.text,
        "advice": notice.advice,
        "source": notice.source,
    }


ROUTES = [provinces]
