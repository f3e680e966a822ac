"""The wire: one connection that knows whether a byte of the request has left.  It never awaits.

Ours and not httpcore's, because "has a byte of it left?" is what this product exists to know.
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

import httptools
import httpx

HEAD_BYTES_MAX = 64 * 1024
"""Status line, headers, chunk extensions and trailers of one reply together; a centre's real ones are under 1 KB."""

_CHUNK_FRAME_BYTES = 16  # "7fffffff\r\n" before a chunk and "\r\n" behind it, rounded up
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_NOT_IN_TARGET = re.compile(rb"[\x00-\x20\x7f-\xff]")
_WIRE_OWNED = frozenset({b"connection", b"content-length", b"transfer-encoding", b"accept-encoding"})


class ReplyUnreadable(httpx.RemoteProtocolError):
    """Bytes came back that are not one plain HTTP/1 reply within limits."""


class BodyTooLarge(ReplyUnreadable):
    """The reply's body passed the byte cap; reading stopped there."""


class Wire(asyncio.Protocol):
    """One connection.  Callbacks collect one reply, ``answer`` is resolved when there is no more to wait for.

    sent: the request was handed to the transport, so a byte may have left; reply_begun: a byte came back;
    framing: how the body's end is known, ``length``, ``chunked`` or ``eof`` (an end that proves nothing);
    again: this connection may carry another call; gone: closed, half closed, or it spoke out of turn.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[None] | None = None
        self.gone = False
        self._parser: httptools.HttpResponseParser | None = None
        self._clear(0)

    def _clear(self, body_bytes_max: int) -> None:
        self.sent = self.reply_begun = self.again = False
        self.failure: httpx.TransportError | None = None
        self.status = 0
        self.framing = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self._body_bytes = self._head_bytes = self._raw_bytes = self._chunks = 0
        self._body_bytes_max = body_bytes_max
        self._head_done = self._complete = False

    @property
    def is_open(self) -> bool:
        return not self.gone and self.transport is not None

    def expect(self, body_bytes_max: int) -> asyncio.Future[None]:
        """Make ready for one reply, before the request can be answered.  Returns: done when there is an end to it."""
        self._clear(body_bytes_max)
        self._parser = httptools.HttpResponseParser(self)
        self.answer = asyncio.get_running_loop().create_future()
        return self.answer

    def response(self) -> httpx.Response:
        """The whole reply, once ``answer`` is resolved.  Raises: what ended it, as an httpx.TransportError."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return httpx.Response(
            self.status,
            headers=self.headers,
            stream=httpx.ByteStream(b"".join(self.body)),
            extensions={"http_version": b"HTTP/1.1", "framing": self.framing},
        )

    def rest(self) -> None:
        """Between two calls nothing is expected, and whatever comes closes the connection."""
        self._parser = self.answer = None
        self._clear(0)

    def drop(self) -> None:
        """Close at once and let go of transport, parser and future: together they are a cycle of 256 KB under TLS.

        ``abort``, not ``close``: a TLS close waits up to 30 s for the peer's goodbye.
        """
        self.gone = True
        if self.transport is not None:
            self.transport.abort()
        self.transport = self._parser = self.answer = None

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None or self._complete or self.failure is not None:
            self._leave()
            return
        self.reply_begun = True
        self._raw_bytes += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:  # neither is the other's kind
            self.again = False
            if not self._complete:
                self.failure = self.failure or ReplyUnreadable(f"not an HTTP reply: {type(error).__name__}")
        else:
            beside_body = self._raw_bytes - self._body_bytes - _CHUNK_FRAME_BYTES * self._chunks
            if not self._complete and beside_body > HEAD_BYTES_MAX:
                self.failure = self.failure or ReplyUnreadable("headers too large")
        if self._complete or self.failure is not None:
            self._resolve()

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._ended(error)

    def _ended(self, error: Exception | None) -> None:
        self._leave()
        if self.answer is None or self.answer.done():
            return
        if not self._head_done:
            self.failure = httpx.RemoteProtocolError("closed before a whole header")
        elif self.framing != "eof":
            self.failure = httpx.ReadError("closed inside the body")
        elif error is not None:
            self.failure = httpx.ReadError("reset inside the body")
        if self.failure is not None:
            self.failure.__cause__ = error
        self._resolve()

    def _leave(self) -> None:
        self.gone = True
        self.again = False
        if self.answer is None and self.transport is not None:
            self.transport.abort()  # an idle connection gives its descriptor back now, not at the next call

    def _resolve(self) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(None)

    # httptools' callbacks; a second reply in the same packet comes here too and is ignored

    def on_message_begin(self) -> None:
        if self._complete:
            self.again = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._complete or self.failure is not None:
            return
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > HEAD_BYTES_MAX:
            self.failure = ReplyUnreadable("headers too large")
        elif not self._head_done:  # later ones are trailers, and nothing of ours stands in a trailer
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._complete or self.failure is not None or self._parser is None:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:
            if not 100 <= self.status <= 199 or self.status == 101:
                self.failure = ReplyUnreadable(f"status {self.status}")
            return
        self._head_done = True
        fields = {name.lower(): value.strip().lower() for name, value in self.headers}
        codings = [value.strip().lower() for name, value in self.headers if name.lower() == b"transfer-encoding"]
        if fields.get(b"content-encoding", b"") not in (b"", b"identity"):
            self.failure = ReplyUnreadable("the body is encoded")
        elif codings not in ([], [b"chunked"]):
            self.failure = ReplyUnreadable("the transfer is encoded")
        elif codings:
            self.framing = "chunked"
        elif b"content-length" in fields or self.status in (204, 304):
            self.framing = "length"
        else:
            self.framing = "eof"

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, data: bytes) -> None:
        if self._complete or self.failure is not None:
            return
        self._body_bytes += len(data)
        if self._body_bytes > self._body_bytes_max:
            self.failure = BodyTooLarge(f"more than {self._body_bytes_max} bytes")
            self.body.clear()
            return
        self.body.append(data)

    def on_message_complete(self) -> None:
        if self._complete or self.failure is not None or self._parser is None:
            return
        if self.status < 200:  # an interim reply "completes" too
            self.headers.clear()
            return
        self._complete = True
        # asked here: once the callback has returned the parser says no, and nothing would ever be kept
        self.again = self._parser.should_keep_alive()


def request_bytes(request: httpx.Request, body: bytes, *, close: bool) -> bytes:
    """Head and body in one buffer.  The wire's own headers replace the request's.

    Raises: httpx.LocalProtocolError for HEAD and CONNECT (their replies can't be framed from the reply alone) and for
    whatever would break out of its line: httpx accepts CR LF in a header.
    """
    method = request.method.encode("ascii", "strict") if request.method.isascii() else b""
    if not _TOKEN.match(method) or method in (b"HEAD", b"CONNECT"):
        raise httpx.LocalProtocolError("method refused")
    target = request.url.raw_path
    if _NOT_IN_TARGET.search(target):
        raise httpx.LocalProtocolError("target refused")
    lines = [method + b" " + target + b" HTTP/1.1"]
    for name, value in request.headers.raw:
        if name.lower() in _WIRE_OWNED:
            continue
        if not _TOKEN.match(name) or _CONTROL.search(value):
            raise httpx.LocalProtocolError("header refused")
        lines.append(name + b": " + value)
    lines.append(b"Accept-Encoding: identity")
    lines.append(b"Connection: close" if close else b"Connection: keep-alive")
    if body or method in (b"POST", b"PUT", b"PATCH"):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])
