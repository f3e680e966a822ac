"""The service: its paths as one ASGI application on a running adapter."""

from __future__ import annotations

import logging
from typing import Any, cast

from litestar import Litestar, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, MethodNotAllowedException

from adapter_core.sidecar import dropin, health, local, settlements
from adapter_core.sidecar.access import Access
from adapter_core.sidecar.desk import Caller, Desk
from adapter_core.sidecar.door import Door
from adapter_core.sidecar.limits import App, Caps, Limits
from adapter_core.sidecar.problems import MEDIA_TYPE, internal_problem, problem, problem_of
from adapter_core.values.errors import AdapterError

ROUTES: tuple[Any, ...] = (*settlements.ROUTES, *local.ROUTES, *dropin.ROUTES, *health.ROUTES)
_log = logging.getLogger(__name__)


def paths(desk: Desk) -> Litestar:
    """Every path, without a door: for a caller who is known already."""
    return Litestar(
        route_handlers=list(ROUTES),
        state=State({"desk": desk}),
        openapi_config=None,
        request_max_body_size=None,  # `Limits` has its own
        logging_config=None,
        exception_handlers={AdapterError: _refused, HTTPException: _unroutable, Exception: _failed},
    )


def service_app(app: Litestar, access: Access, listener: str, caps: Caps) -> App:
    """The service as one listener offers it: limits, then the door, then the paths."""
    return Limits(Door(cast("App", app), access, listener), caps)


def _refused(request: Caller, error: AdapterError) -> Response[bytes]:
    status, headers, body = problem_of(error)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers))


def _unroutable(request: Caller, error: HTTPException) -> Response[bytes]:
    status = error.status_code
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(status, "BAD_REQUEST")
    body = problem(status, code, "no such path" if status == 404 else code, "没有这个接口，请核对地址")
    headers = dict(error.headers or {}) if isinstance(error, MethodNotAllowedException) else {}
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _failed(request: Caller, error: Exception) -> Response[bytes]:
    """Our own fault.  Its text may hold a patient's data, so only its kind is logged."""
    _log.error("%s on %s", type(error).__name__, request.scope["route_handler"])
    return Response(internal_problem(), status_code=500, media_type=MEDIA_TYPE)
