"""The door: who calls is known before a byte of the body is parsed.  An ASGI application around the service's paths."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from adapter_core.sidecar.access import Access, Client, Peer
from adapter_core.sidecar.limits import App, Message, Receive, Scope, Send
from adapter_core.sidecar.problems import problem_of
from adapter_core.sidecar.responses import send_problem
from adapter_core.values.errors import AdapterError

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
"""No data, so no credential (`contracts.md` §4)."""
NO_ROUTE = "none"

Observe = Callable[[str, int, float], None]
"""``(route, status, seconds)`` of each request that was answered."""


class Door:
    """app: gets ``caller`` in the scope's state.  listener: the configured ``host:port`` that requests come in by."""

    def __init__(self, app: App, access: Access, listener: str, observe: Observe | None = None) -> None:
        self._app = app
        self._access = access
        self._listener = listener
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._observe is not None:
            send = _observed(scope, send, self._observe)
        if not is_open(scope):
            state = scope["state"]
            try:
                state["caller"] = await self._admitted(scope, state["body"])  # whole: `Limits` stands before
            except AdapterError as error:
                await send_problem(send, *problem_of(error))
                return
        await self._app(scope, receive, send)

    def _admitted(self, scope: Scope, body: bytes) -> Awaitable[Client]:
        return self._access.admit(
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            scope["headers"],
            body,
            Peer((scope.get("client") or ("",))[0], scope.get("client_certificate", b""), self._listener),
        )


def is_open(scope: Scope) -> bool:
    """Paths without data, and a served WSDL."""
    path = scope["path"]
    if path in OPEN_PATHS:
        return True
    return bool(scope["method"] == "GET" and path.startswith("/his/") and scope["query_string"].lower() == b"wsdl")


def _observed(scope: Scope, send: Send, observe: Observe) -> Send:
    began = time.perf_counter()

    async def sending(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.start":
            observe(scope.get("path_template") or NO_ROUTE, message["status"], time.perf_counter() - began)

    return sending
