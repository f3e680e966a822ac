"""Answers given below the router, as plain ASGI."""

from __future__ import annotations

from collections.abc import Mapping

from adapter_core.sidecar.limits import Send
from adapter_core.sidecar.problems import MEDIA_TYPE


async def send_problem(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
