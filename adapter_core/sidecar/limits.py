"""What a call may cost before anybody knows whose it is: an ASGI application around another one.

The body is read whole here, under a cap and a deadline, and handed on in one piece: authentication needs its bytes, and nothing
behind this has to think of slow or endless callers.  What happens before a request has a head is `listening`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from adapter_core.config import HttpSettings
from adapter_core.sidecar.access.refusal_log import RefusalLog
from adapter_core.sidecar.problems import problem

MEBIBYTE = 1024 * 1024
IS_WHOLE = "his_adapter.body_is_whole"
"""Key of a scope whose body the connection has received to its end: nobody waits for it."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Caps:
    """body_bytes: of one call; bodies_bytes: of all calls under way together; header_bytes: names and values; target_bytes: path
    and query; head_s: until a request's head is there; body_s: from there until its body is; connections: open at once;
    requests: under way at once; linger_s: how long the rest of a refused body is read and dropped, so that its sender hears why.
    """

    body_bytes: int = 8 * MEBIBYTE
    bodies_bytes: int = 64 * MEBIBYTE
    headers: int = 100
    header_bytes: int = 32 * 1024
    target_bytes: int = 8 * 1024
    head_s: float = 10.0
    body_s: float = 30.0
    connections: int = 1024
    requests: int = 1024
    linger_s: float = 3.0

    @classmethod
    def of(cls, http: HttpSettings) -> Caps:
        return cls(
            body_bytes=http.body_bytes,
            bodies_bytes=max(8 * http.body_bytes, 64 * MEBIBYTE),
            head_s=http.head_deadline,
            body_s=http.body_deadline,
            connections=http.connections,
            requests=http.connections,
        )


class Refusal(Exception):
    """A call refused for its cost: nothing of it was processed."""

    def __init__(self, status: int, code: str, detail: str, message_zh: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.message_zh = message_zh

    def problem(self) -> bytes:
        """The answer's body, RFC 9457."""
        return problem(self.status, self.code, self.detail, self.message_zh)


class CallerLeft(Exception):
    """The connection ended before the body did."""


class Limits:
    """Wraps an ASGI application, which finds the whole ``body`` in the scope's state, and may receive it too."""

    def __init__(self, app: App, caps: Caps | None = None, refused: RefusalLog | None = None) -> None:
        self._app = app
        self._caps = caps or Caps()
        self._refused = refused
        self._requests = 0
        self.held = 0
        """Bytes of bodies under way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._requests += 1
        held = _Held(self, self._caps.bodies_bytes)
        try:
            announced = self._announced(scope)
            if scope.get(IS_WHOLE):
                body = await self._body(announced, receive, held)
            else:
                body = await self._body_in_time(announced, receive, held)
            scope["state"]["body"] = body
            await self._app(scope, _whole(body, receive), send)
        except Refusal as refusal:
            if self._refused is not None:
                self._refused.note(refusal.code, (scope.get("client") or ("",))[0])
            await self._refuse(refusal, receive, send)
        except CallerLeft:
            pass
        finally:
            self.held -= held.size
            self._requests -= 1

    def _announced(self, scope: Scope) -> int | None:
        """The body's length as the head says it, None where it doesn't.  Raises: Refusal."""
        caps = self._caps
        if self._requests > caps.requests:
            raise Refusal(
                503, "OVERLOADED", f"more than {caps.requests} calls under way", "系统繁忙，请稍后用同一单据重试"
            )
        if len(scope["raw_path"]) + len(scope["query_string"]) > caps.target_bytes:
            raise Refusal(414, "TARGET_TOO_LONG", f"path and query: at most {caps.target_bytes} bytes", "请求地址过长")
        headers = scope["headers"]
        if len(headers) > caps.headers or len(b"".join(map(b"".join, headers))) > caps.header_bytes:
            detail = f"at most {caps.headers} headers and {caps.header_bytes} bytes of them"
            raise Refusal(431, "HEADERS_TOO_LARGE", detail, "请求头过大")
        length: int | None = None
        for name, value in headers:
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                # A few KB can become GB: a HIS in the same building has no need of it.
                raise Refusal(415, "ENCODING_REFUSED", "the body must be sent as it is, not compressed", "请勿压缩报文")
            if name == b"content-length":
                length = int(value)
        if length is not None and length > caps.body_bytes:
            raise self._too_large()
        return length

    async def _body_in_time(self, announced: int | None, receive: Receive, held: _Held) -> bytes:
        """Raises: Refusal, CallerLeft."""
        try:
            async with asyncio.timeout(self._caps.body_s):
                return await self._body(announced, receive, held)
        except TimeoutError:
            detail = f"the body was not whole after {self._caps.body_s:g} s"
            raise Refusal(408, "BODY_TOO_SLOW", detail, "报文接收超时，未处理，请重试") from None

    async def _body(self, announced: int | None, receive: Receive, held: _Held) -> bytes:
        """Raises: Refusal, CallerLeft."""
        if announced:
            held.take(announced)
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise CallerLeft
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._caps.body_bytes:
                raise self._too_large()
            if announced is None:
                held.take(len(piece))
            pieces.append(piece)
            if not message.get("more_body", False):
                return b"".join(pieces)

    def _too_large(self) -> Refusal:
        return Refusal(413, "BODY_TOO_LARGE", f"at most {self._caps.body_bytes} bytes", "报文过大，未处理")

    async def _refuse(self, refusal: Refusal, receive: Receive, send: Send) -> None:
        body = refusal.problem()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if refusal.status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        # Closing on unread bytes resets the connection, and the answer may be lost with it.
        try:
            async with asyncio.timeout(self._caps.linger_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        break
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Held:
    """The bytes one call holds of what all may hold together."""

    def __init__(self, limits: Limits, most: int) -> None:
        self._limits = limits
        self._most = most
        self.size = 0

    def take(self, size: int) -> None:
        """Raises: Refusal."""
        if self._limits.held + size > self._most:
            raise Refusal(503, "OVERLOADED", "too many large bodies under way", "系统繁忙，请稍后用同一单据重试")
        self._limits.held += size
        self.size += size


def _whole(body: bytes, receive: Receive) -> Receive:
    """Hands out the body once; whoever asks again waits for the caller to leave."""
    is_given = False

    async def once() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once
