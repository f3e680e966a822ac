"""The second listener: what people and monitoring see, kept off the one that a HIS calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from adapter_core.sidecar.access import Client, Right
from adapter_core.sidecar.limits import App, Receive, Scope, Send
from adapter_core.sidecar.problems import problem_of
from adapter_core.sidecar.responses import send_problem
from adapter_core.values.errors import AdapterError

Metrics = Callable[[Scope, Any, Any], Awaitable[None]]
PAGES = "/console"


def console_app(metrics: Metrics, other: App) -> App:
    """``/metrics`` for a client with the right to watch; everything else is ``other``'s."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("GET", "/metrics"):
            await other(scope, receive, send)
            return
        client: Client = scope["state"]["caller"]
        try:
            client.demand(Right.WATCH)
        except AdapterError as error:
            await send_problem(send, *problem_of(error))
            return
        await metrics(scope, receive, send)

    return app


def with_pages(pages: App, other: App) -> App:
    """``/console…`` is the pages', which know their visitors by themselves; everything else is ``other``'s."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and (scope["path"] + "/").startswith(f"{PAGES}/")
        await (pages if is_page else other)(scope, receive, send)

    return app
