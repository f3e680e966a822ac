"""Answers in plain ASGI: the router passes one on as it is, without asking what could be made of it."""

from __future__ import annotations

from collections.abc import Mapping

from adapter_core.sidecar.limits import Receive, Scope, Send
from adapter_core.sidecar.problems import MEDIA_TYPE


class HttpAnswer:
    """A whole answer.  media_type: with its charset, where it has one; a Content-Type among the headers takes its place."""

    __slots__ = ("body", "headers", "status_code")

    def __init__(
        self,
        body: bytes,
        status_code: int = 200,
        media_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.body = body
        self.status_code = status_code
        named = {name.lower(): value for name, value in (headers or {}).items()}
        named.setdefault("content-type", media_type)
        self.headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [*self.headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


async def send_problem(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
