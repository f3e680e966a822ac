"""The wire under httpx's transport interface: addresses, connect, TLS, send gate, reply, one deadline.

Every exception that leaves ``CentreTransport.handle_async_request`` has ``error.sent`` (a byte may have left) and
``error.reply_begun`` (a byte came back): these two decide what a failed call means, never the exception's type.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import ip_address
from socket import SOCK_STREAM
from ssl import SSLContext
from typing import TypeVar

import httpx

from .wire import Wire, request_bytes

T = TypeVar("T")

BODY_BYTES_MAX = 32 * 1024 * 1024
"""The largest reply there is: a reconciliation file."""
IDLE_MAX = 8
"""Kept read connections per origin."""


class ConnectTooSlow(httpx.ConnectTimeout):
    """Name, connect or handshake took longer than the endpoint allows them; nothing was sent."""


class _Call:
    """What one call has got so far; its failure is classified from here."""

    def __init__(self, request: httpx.Request) -> None:
        self.request = request
        self.deadline: float = request.extensions["deadline"]
        self.gate: Callable[[], None] = request.extensions.get("send_gate", _no_gate)
        self.wire: Wire | None = None

    @property
    def sent(self) -> bool:
        return self.wire is not None and self.wire.sent

    @property
    def reply_begun(self) -> bool:
        return self.wire is not None and self.wire.sent and self.wire.reply_begun

    def late(self) -> httpx.TimeoutException:
        if self.sent:
            return httpx.ReadTimeout("deadline after the gate")
        return httpx.ConnectTimeout("deadline before the gate")


def _no_gate() -> None:
    """A call without a gate may always go."""


class CentreTransport(httpx.AsyncBaseTransport):
    """Money: a fresh connection per call, ``Connection: close``.  Reads: up to 8 idle connections kept per origin.

    No retry, redirect, proxy, cookie or decoding in either.  Request extensions: ``deadline``, a time on the event
    loop's clock that ends the whole call; ``send_gate``, called between a standing connection and the first byte with
    nothing awaited in between: if it raises, its own exception passes on and not one byte was written.
    Response extensions: ``framing``, see Wire.

    connect_s: at most this long, within the deadline, for name, connect and handshake; ssl: for https origins.
    How many calls run at once is not limited here: GuardedWire does that.
    """

    def __init__(
        self,
        money: bool,
        cap_bytes: int = BODY_BYTES_MAX,
        ssl: SSLContext | None = None,
        connect_s: float = 3.0,
    ) -> None:
        self._money = money
        self._cap_bytes = cap_bytes
        self._ssl = ssl
        self._connect_s = connect_s
        self._idle: dict[tuple[str, str, int], deque[Wire]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises: httpx.LocalProtocolError, ConnectTimeout, ConnectError (nothing sent); RemoteProtocolError,
        ReadError, ReadTimeout (sent); what the gate raises; CancelledError.  All carry ``sent`` and ``reply_begun``.
        """
        call = _Call(request)
        try:
            return await self._within_deadline(call)
        except BaseException as error:
            vars(error).update(sent=call.sent, reply_begun=call.reply_begun)
            if isinstance(error, httpx.RequestError):
                error.request = request
            raise
        finally:
            if call.wire is not None:
                self._release(call.wire, request.url)

    async def aclose(self) -> None:
        """Close the idle connections; calls under way end by themselves."""
        for wires in self._idle.values():
            for wire in wires:
                wire.drop()
        self._idle.clear()

    async def _within_deadline(self, call: _Call) -> httpx.Response:
        limit = asyncio.timeout_at(call.deadline)
        try:
            async with limit:
                message = request_bytes(call.request, await call.request.aread(), close=self._money)
                await self._exchange(call, message)
        except TimeoutError as late:
            if not limit.expired():  # the gate's own
                raise
            raise call.late() from late
        assert call.wire is not None
        return call.wire.response()

    async def _exchange(self, call: _Call, message: bytes) -> None:
        url = call.request.url
        wire = call.wire = self._rested(url) or await self._connect(url, call.deadline)
        if wire.transport is None or not wire.is_open:
            raise httpx.ConnectError("closed before the gate")
        if asyncio.get_running_loop().time() >= call.deadline:  # taking a kept connection awaits nothing
            raise call.late()
        answer = wire.expect(self._cap_bytes)  # parser and future stand before anything can come back
        call.gate()
        wire.sent = True
        wire.transport.write(message)
        await answer

    async def _connect(self, url: httpx.URL, deadline: float) -> Wire:
        """Try the origin's addresses in turn, each with its share of the time left: one black hole can't eat it all."""
        if url.scheme not in ("http", "https") or (url.scheme == "https" and self._ssl is None):
            raise httpx.UnsupportedProtocol("neither plain http nor https with a context")
        now = asyncio.get_running_loop().time
        connect_by = min(deadline, now() + self._connect_s)
        host, port = url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
        context = self._ssl if url.scheme == "https" else None
        literal = _literal(host)
        addresses = [literal] if literal else await _before(connect_by, deadline, _addresses(host, port))
        failure: httpx.TransportError = httpx.ConnectError("the name has no address")
        for left in range(len(addresses), 0, -1):
            until = connect_by if left == 1 else now() + (connect_by - now()) / left
            try:
                return await _before(until, deadline, _open(addresses[-left], port, context, host))
            except (ConnectTooSlow, httpx.ConnectError) as error:
                failure = error
        raise failure

    def _rested(self, url: httpx.URL) -> Wire | None:
        if self._money:
            return None
        wires = self._idle.get(_origin(url))
        while wires:
            wire = wires.pop()
            if wire.is_open:
                return wire
            wire.drop()
        return None

    def _release(self, wire: Wire, url: httpx.URL) -> None:
        if wire.again and wire.is_open and not self._money:
            wires = self._idle.setdefault(_origin(url), deque())
            if len(wires) < IDLE_MAX:
                wire.rest()
                wires.append(wire)
                return
        wire.drop()


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or 0


@lru_cache(maxsize=64)
def _literal(host: str) -> str:
    """The address that a host is written as; "" for a name."""
    try:
        return str(ip_address(host))
    except ValueError:
        return ""


async def _addresses(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _open(address: str, port: int, context: SSLContext | None, host: str) -> Wire:
    wire = Wire()
    name = host if context is not None else None
    try:
        await asyncio.get_running_loop().create_connection(
            lambda: wire, address, port, ssl=context, server_hostname=name
        )
    except BaseException:
        wire.drop()
        raise
    return wire


async def _before(until: float, deadline: float, step: Awaitable[T]) -> T:
    """One step of connecting, as httpx's exceptions.  The call's own deadline is not taken for a slow step."""
    try:
        async with asyncio.timeout_at(until if until < deadline else None):
            return await step
    except TimeoutError as late:  # before OSError: it is one
        raise ConnectTooSlow("name, connect or handshake took too long") from late
    except OSError as error:  # gaierror and ssl.SSLError too
        raise httpx.ConnectError(str(error)) from error
