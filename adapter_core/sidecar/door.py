"""The door: who calls is known before a byte of the body is parsed.  An ASGI application around the service's paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from adapter_core.sidecar.access import Access, Client, Peer
from adapter_core.sidecar.limits import App, Receive, Scope, Send
from adapter_core.sidecar.problems import MEDIA_TYPE, problem_of
from adapter_core.values.errors import AdapterError

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
"""No data, so no credential (`contracts.md` §4)."""

Refuse = Callable[[Scope, AdapterError], tuple[int, Mapping[str, str], bytes]]


class Door:
    """app: gets ``caller`` and ``body`` in the scope's state.  listener: the configured ``host:port`` that requests come in by.

    refusal: how a caller that isn't admitted is told, where its path has a form of its own.
    """

    def __init__(
        self,
        app: App,
        access: Access,
        listener: str,
        refusal: Refuse = lambda scope, error: problem_of(error),
    ) -> None:
        self._app = app
        self._access = access
        self._listener = listener
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        message = await receive()  # whole: `Limits` stands before
        body: bytes = message.get("body", b"")
        state = scope.setdefault("state", {})
        state["body"] = body
        if not is_open(scope):
            try:
                state["caller"] = await self._admitted(scope, body)
            except AdapterError as error:
                await _send(send, *self._refusal(scope, error))
                return
        await self._app(scope, receive, send)

    async def _admitted(self, scope: Scope, body: bytes) -> Client:
        return await self._access.admit(
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


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    if not any(name == b"content-type" for name, _ in raw):
        raw.append((b"content-type", MEDIA_TYPE.encode()))
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
