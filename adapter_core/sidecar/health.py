"""``/healthz``: the process answers.  ``/readyz``: it may be sent work.  Neither says anything of a patient."""

from __future__ import annotations

from litestar import get

from adapter_core.sidecar.desk import Caller, Desk, desk_of, json_response
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode
from adapter_core.values.errors import Refused


@get("/healthz", operation_id="healthz", security=[])
async def healthz(request: Caller) -> HttpAnswer:
    """The process is alive."""
    return json_response(b'{"status":"ok"}')


@get("/readyz", operation_id="readyz", security=[])
async def readyz(request: Caller) -> HttpAnswer:
    """200 while work may be sent here; 503 with the reason while it drains or its ledger can't be written."""
    reason = unready(desk_of(request))
    if reason:
        return json_response(encode({"status": "unready", "reason": reason}), 503)
    return json_response(b'{"status":"ready"}')


def unready(desk: Desk) -> str:
    """Why no work should be sent here; "" while it may."""
    if desk.draining:
        return "draining"
    if desk.duty is not None:
        return desk.duty.unready()
    return "ledger" if getattr(desk.running.ledger, "trouble", "") else ""


@get("/openapi.json", operation_id="openapi", security=[])
async def openapi(request: Caller) -> HttpAnswer:
    """This document; can be switched off (``http.describe``)."""
    from adapter_core.sidecar.openapi import document_bytes  # it is made from these routes

    if not desk_of(request).running.config.settings.http.describe:
        raise Refused("switched off", code="NOT_FOUND", message_zh="接口文档已关闭")
    return json_response(document_bytes())


ROUTES = [healthz, readyz, openapi]
