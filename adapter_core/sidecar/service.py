"""The service: its paths as one ASGI application on a running adapter."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, cast

from litestar import Litestar, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, MethodNotAllowedException

from adapter_core.operations.instruments import Instruments
from adapter_core.operations.metrics import Metrics as Counts
from adapter_core.operations.tracing import traced
from adapter_core.sidecar import (
    dropin,
    eligibility,
    encounters,
    feeds,
    health,
    late_filings,
    local,
    papers,
    provinces,
    reconciliations,
    settlement_lists,
    settlements,
    transactions,
)
from adapter_core.sidecar.access import Access
from adapter_core.sidecar.console import Metrics, console_app, with_pages
from adapter_core.sidecar.desk import Caller, Desk
from adapter_core.sidecar.door import Door, Observe
from adapter_core.sidecar.limits import App, Caps, Limits
from adapter_core.sidecar.problems import MEDIA_TYPE, internal_problem, problem, problem_of
from adapter_core.values.errors import AdapterError

ROUTES: tuple[Any, ...] = (
    *settlements.ROUTES,
    *settlement_lists.ROUTES,
    *feeds.ROUTES,
    *encounters.ROUTES,
    *papers.ROUTES,
    *reconciliations.ROUTES,
    *transactions.ROUTES,
    *eligibility.ROUTES,
    *late_filings.ROUTES,
    *provinces.ROUTES,
    *local.ROUTES,
    *dropin.ROUTES,
    *health.ROUTES,
)
_log = logging.getLogger(__name__)


def paths(desk: Desk, routes: Iterable[Any] = ROUTES) -> Litestar:
    """The paths without a door: for a caller who is known already."""
    return Litestar(
        route_handlers=list(routes),
        state=State({"desk": desk}),
        openapi_config=None,
        request_max_body_size=None,  # `Limits` has its own
        logging_config=None,
        exception_handlers={AdapterError: _refused, HTTPException: _unroutable, Exception: _failed},
    )


class Offering:
    """The service's applications, one for each listener: limits, then the door, then the paths."""

    def __init__(self, desk: Desk, access: Access, caps: Caps, instruments: Instruments | None = None) -> None:
        self.caps = caps
        self._desk = desk
        self._access = access
        app = cast("App", paths(desk))
        self._paths = traced(app, instruments.traces) if instruments else app
        self._observe = _counted(instruments.metrics) if instruments else None

    def to_his(self, listener: str) -> App:
        return self._guarded(self._paths, listener)

    def to_watch(self, listener: str, metrics: Metrics, pages: App | None = None) -> App:
        """For people and monitoring.  pages: the console's own, where there are any."""
        return self._guarded(console_app(metrics, cast("App", paths(self._desk, health.ROUTES))), listener, pages)

    def _guarded(self, app: App, listener: str, pages: App | None = None) -> App:
        door: App = Door(app, self._access, listener, self._observe)
        return Limits(with_pages(pages, door) if pages else door, self.caps, self._access.refused)


def _counted(metrics: Counts) -> Observe:
    def observe(route: str, status: int, seconds: float) -> None:
        metrics.requests_of(route, status).inc()
        metrics.request_seconds_of(route).observe(seconds)

    return observe


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
