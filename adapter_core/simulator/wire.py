"""HTTP/1.1 over raw sockets: so that a fault can happen at the very byte where it is wanted.

Reads any request httptools reads: keep-alive or not, Content-Length or chunked, ``Expect: 100-continue``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus

import httptools

BODY_MAX = 32 * 1024 * 1024
HEAD_MAX = 64 * 1024
CHUNK = 64 * 1024
REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class HttpRequest:
    """One whole request.  ``target``: path and query as sent."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    keep_alive: bool

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def header(self, name: str) -> str:
        """The first header of that name, in any case; "" when absent."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One reply; Content-Length and Connection are added when it is written, unless given."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json;charset=utf-8"),)

    def head(self, *, keep_alive: bool) -> bytes:
        given = {name.lower() for name, _ in self.headers}
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if "content-length" not in given and "transfer-encoding" not in given:
            lines.append(f"Content-Length: {len(self.body)}")
        if "connection" not in given:
            lines.append(f"Connection: {'keep-alive' if keep_alive else 'close'}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class TooLarge(Exception):
    """A request beyond the limits."""


@dataclass(slots=True)
class _Collector:
    """httptools calls this for the request being read."""

    parser: httptools.HttpRequestParser = field(init=False)
    done: list[HttpRequest] = field(default_factory=list)
    expects: bool = False
    _url: bytes = b""
    _headers: list[tuple[str, str]] = field(default_factory=list)
    _parts: list[bytes] = field(default_factory=list)
    _head_size: int = 0
    _body_size: int = 0

    def __post_init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self._url, self._headers, self._parts, self._head_size, self._body_size = b"", [], [], 0, 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._grow_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))
        self._grow_head(len(name) + len(value))

    def _grow_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > HEAD_MAX:
            raise TooLarge

    def on_headers_complete(self) -> None:
        self.expects = any(name.lower() == "expect" and "100" in value for name, value in self._headers)

    def on_body(self, part: bytes) -> None:
        self._body_size += len(part)
        if self._body_size > BODY_MAX:
            raise TooLarge
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self.expects = False
        self.done.append(
            HttpRequest(
                method=self.parser.get_method().decode("ascii"),
                target=self._url.decode("latin-1"),
                headers=tuple(self._headers),
                body=b"".join(self._parts),
                keep_alive=self.parser.should_keep_alive(),
            )
        )


class Connection:
    """One accepted socket.  ``number`` counts connections from 1."""

    def __init__(self, sock: socket.socket, number: int, *, loopback: bool) -> None:
        self.number = number
        self.loopback = loopback
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def peek(self, size: int) -> bytes:
        """The first bytes; they are gone from the socket and must be handed to `requests`."""
        return await self._loop.sock_recv(self._sock, size)

    async def requests(self, begun: bytes = b"") -> AsyncIterator[HttpRequest]:
        """Each whole request in turn, until the peer closes.  A broken one is answered 400 or 413 and ends it."""
        collector = _Collector()
        data = begun or await self._loop.sock_recv(self._sock, CHUNK)
        while data:
            try:
                collector.parser.feed_data(data)
            except httptools.HttpParserUpgrade:
                pass  # Java's client offers HTTP/2 on every first request: it is not taken up
            except httptools.HttpParserError as error:
                large = isinstance(error.__context__, TooLarge)
                await self.send(HttpReply(status=413 if large else 400), keep_alive=False)
                return
            if collector.expects:
                collector.expects = False
                await self._loop.sock_sendall(self._sock, b"HTTP/1.1 100 Continue\r\n\r\n")
            while collector.done:
                request = collector.done.pop(0)
                yield request
                if not request.keep_alive:
                    return
            data = await self._loop.sock_recv(self._sock, CHUNK)

    async def send(self, reply: HttpReply, *, keep_alive: bool) -> None:
        await self.send_bytes(reply.head(keep_alive=keep_alive) + reply.body)

    async def send_bytes(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def drip(self, data: bytes, bytes_per_s: float) -> None:
        """Send slowly, at most twenty times a second."""
        step = max(1, int(bytes_per_s / 20))
        for start in range(0, len(data), step):
            await self.send_bytes(data[start : start + step])
            await asyncio.sleep(step / bytes_per_s)

    async def gone(self, seconds: float | None) -> None:
        """Wait until the peer closes, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                while await self._loop.sock_recv(self._sock, CHUNK):
                    pass
        except (TimeoutError, OSError):
            return

    def reset(self) -> None:
        """Close with RST: the peer sees a reset connection.  Only from the task that serves this connection."""
        self.reset_on_close()
        self.close()

    def reset_on_close(self) -> None:
        """Let the coming close be a reset."""
        linger = struct.pack("hh", 1, 0) if hasattr(socket, "SO_EXCLUSIVEADDRUSE") else struct.pack("ii", 1, 0)
        if self._sock.fileno() >= 0:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def close(self) -> None:
        self._sock.close()
