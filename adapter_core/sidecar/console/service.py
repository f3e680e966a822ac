"""The console as one ASGI application under ``/console``, and the tasks that run beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.operations.instruments import Instruments
from adapter_core.settlement.ports import Conflict
from adapter_core.sidecar.access.rates import Rates
from adapter_core.sidecar.console import (
    accounting,
    acts,
    cases,
    finding,
    people,
    plugins,
    signing_in,
    today,
    wizard,
    worklists,
)
from adapter_core.sidecar.console.counter import Asked, Counter, counter_of, page
from adapter_core.sidecar.console.gate import STATIC, Gate, admitted
from adapter_core.sidecar.console.sheets import Pages
from adapter_core.sidecar.console.staff import Staff
from adapter_core.sidecar.console.trend import Trend
from adapter_core.sidecar.desk import Desk
from adapter_core.sidecar.limits import App
from adapter_core.sidecar.problems import status_of
from adapter_core.values.errors import AdapterError, TranslationError
from adapter_core.values.moments import Clock

TRIES_PER_S, TRIES_AT_ONCE = 0.5, 20.0
"""Passwords tried from one address."""
MOVED = "其他人刚刚改过，请刷新后再操作"
_log = logging.getLogger(__name__)


@get(f"{STATIC}{{name:str}}")
async def static(request: Asked, name: FromPath[str]) -> Response[bytes]:
    """One of the files read at start."""
    found = counter_of(request).pages.static.get(name)
    if found is None:
        return Response(b"", status_code=404, media_type="text/plain")
    return Response(found[1], media_type=found[0])


ROUTES: tuple[Any, ...] = (
    *today.ROUTES,
    *signing_in.ROUTES,
    *cases.ROUTES,
    *acts.ROUTES,
    *finding.ROUTES,
    *worklists.ROUTES,
    *accounting.ROUTES,
    *plugins.ROUTES,
    *people.ROUTES,
    *wizard.ROUTES,
    static,
)


def pages_app(counter: Counter) -> App:
    """Whose paths all lie under ``/console``."""
    app = Litestar(
        route_handlers=list(ROUTES),
        state=State({"counter": counter}),
        before_request=admitted,
        openapi_config=None,
        request_max_body_size=None,  # `Limits` has its own
        logging_config=None,
        exception_handlers={AdapterError: _refused, HTTPException: _unroutable, Exception: _failed},
    )
    return Gate(cast("App", app), counter)


@asynccontextmanager
async def console(desk: Desk, instruments: Instruments, clock: Clock | None = None) -> AsyncIterator[App | None]:
    """The console while the block runs; None where the extra ``console`` is not installed.

    Raises: ConfigError when the users' file can't be opened.
    """
    try:
        pages = Pages()
    except ModuleNotFoundError:
        _log.warning('no console: pip install "his-adapter[console]"')
        yield None
        return
    clock = clock or SystemClock()
    settings = desk.running.config.settings.console
    path = desk.running.config.path(settings.users_file)
    staff = Staff(path, clock, settings.idle_minutes * 60, settings.session_hours * 3600)
    trend = Trend(instruments.metrics, clock)
    counter = Counter(
        desk, staff, trend, instruments, pages, clock, {"rates": Rates(clock, TRIES_PER_S, TRIES_AT_ONCE)}
    )
    signing_in.lay_setup_code(counter)
    sampling = asyncio.create_task(trend.keep())
    try:
        await counter.hand_over()
        yield pages_app(counter)
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        staff.close()


def _refused(request: Asked, error: AdapterError) -> Response[bytes]:
    faults = error.faults if isinstance(error, TranslationError) else ()
    text = error.message_zh or (MOVED if isinstance(error, Conflict) else str(error))
    return _error_page(request, status_of(error), error.code, text, faults)


def _unroutable(request: Asked, error: HTTPException) -> Response[bytes]:
    return _error_page(request, error.status_code, str(error.status_code), "没有这个页面")


def _failed(request: Asked, error: Exception) -> Response[bytes]:
    """Our own fault.  Its text may hold a patient's data, so only its kind is logged."""
    _log.error("%s on %s", type(error).__name__, request.scope["path"].split("/")[2:3])
    return _error_page(request, 500, "INTERNAL", "系统内部错误，请先查询结果，不要重复操作")


def _error_page(request: Asked, status: int, code: str, text: str, faults: Any = ()) -> Response[bytes]:
    path = request.scope["path"]
    back = path.rpartition("/")[0] if request.method != "GET" else ""
    return page(request, "error.html", status, code=code, text=text, faults=faults, back=back)
