"""Centre: sends one frame to a named endpoint and tells "nothing left" from "nobody knows"."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import httpx

from ..values.errors import ConfigError, NotSent, OutcomeUnknown
from ..values.frames import Frame
from .transport import BODY_BYTES_MAX, CentreTransport
from .wire import BodyTooLarge, ReplyUnreadable

_OWNED_BY_THE_WIRE = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "upgrade", "expect"}
)

_NOT_SENT_ZH = {
    "NO_SUCH_ENDPOINT": "未发送：接口地址未配置，请联系信息科",
    "FRAME_REFUSED": "未发送：报文头不合规，请联系信息科",
    "GATE_CLOSED": "未发送：已超过允许发送的时间",
    "DEADLINE_BEFORE_SEND": "未发送：连接医保接口超时，请稍后重试",
    "CONNECT_FAILED": "未发送：连接不上医保接口，请稍后重试",
}
_UNKNOWN_ZH = "已发送，未收到完整有效的应答，结果待查，请勿重复收费"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a centre.

    url: ``https://host:port/base/path``, no query; plain_http_reason: why ``http://`` is accepted here, shown by
    ``doctor``; ca_file: PEM, trusted instead of the system's CAs; client_cert: PEM files (chain, key);
    connect_s: longest time for name, connect and handshake; reply_bytes_max: larger replies are cut off.
    Raises: ConfigError.
    """

    name: str
    url: str
    plain_http_reason: str | None = None
    ca_file: Path | str | None = None
    client_cert: tuple[Path | str, Path | str] | None = None
    connect_s: float = 3.0
    reply_bytes_max: int = BODY_BYTES_MAX

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.url)
            url.raw_host.decode("ascii").encode("idna")
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ConfigError(f"endpoint {self.name}: the url can't be read") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigError(f"endpoint {self.name}: the url must be http://host… or https://host…")
        if url.userinfo or url.query or url.fragment:
            raise ConfigError(f"endpoint {self.name}: the url must have no user, query or fragment")
        if url.scheme == "http" and not (self.plain_http_reason or "").strip():
            raise ConfigError(f"endpoint {self.name}: plain http needs a reason (plain_http_reason)")
        if self.connect_s <= 0 or self.reply_bytes_max < 1:
            raise ConfigError(f"endpoint {self.name}: connect_s and reply_bytes_max must be above zero")


class Centre:
    """One exchange over HTTP.  Belongs to one event loop; ``aclose`` it at the end.

    The core's wire port is this behind `GuardedWire`, which limits how many calls run at once.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """Raises: ConfigError for two endpoints of one name, or certificate files that can't be loaded."""
        self._lanes: dict[str, _Lane] = {}
        for endpoint in endpoints:
            if endpoint.name in self._lanes:
                raise ConfigError(f"endpoint {endpoint.name} is configured twice")
            self._lanes[endpoint.name] = _Lane(endpoint)

    async def exchange(
        self, endpoint: str, frame: Frame, *, deadline_s: float, gate: Callable[[], None], money: bool
    ) -> Frame:
        """Send ``frame`` once and read one whole reply.

        Args:
            frame: ``method``, ``path`` (appended to the endpoint's), ``headers`` (ASCII, sent as given), ``body``.
            deadline_s: for everything, from the name's address to the reply's last byte.
            gate: called on the standing connection right before the first byte; raising keeps the call unsent.
            money: a connection of its own; otherwise a kept one may be taken.

        Returns: a reply of any HTTP status: ``status``, ``headers`` (Latin-1 text), ``body``, and in
            ``side["framing"]`` how its end was known: ``length``, ``chunked``, or ``eof``, which a cut body has too.

        Raises:
            NotSent: no byte left.  NO_SUCH_ENDPOINT, FRAME_REFUSED, DEADLINE_BEFORE_SEND, CONNECT_FAILED, GATE_CLOSED
                (from the gate's exception).
            OutcomeUnknown: a byte may have left.  NO_REPLY, REPLY_CUT, REPLY_TOO_LARGE, REPLY_UNREADABLE.
            asyncio.CancelledError: with ``sent``, whether a byte may have left.
        """
        lane = self._lanes.get(endpoint)
        if lane is None:
            raise _not_sent(endpoint, "NO_SUCH_ENDPOINT")
        deadline = asyncio.get_running_loop().time() + deadline_s
        try:
            request = lane.request(frame, deadline, gate)
        except (httpx.InvalidURL, ValueError) as error:
            raise _not_sent(endpoint, "FRAME_REFUSED") from error
        try:
            response = await lane.transport(money).handle_async_request(request)
        except _GateClosed as closed:
            raise _not_sent(endpoint, "GATE_CLOSED") from closed.__cause__
        except Exception as error:  # whatever it is: the wire's own flag says what it means for the money
            if getattr(error, "sent", True):
                code = _unknown_code(error)
                raise OutcomeUnknown(f"endpoint {endpoint}: {code}", code=code, message_zh=_UNKNOWN_ZH) from error
            raise _not_sent(endpoint, _not_sent_code(error)) from error
        return Frame(
            method=request.method,
            path=frame.path,
            status=response.status_code,
            headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw),
            body=b"".join(
                cast(httpx.ByteStream, response.stream)
            ),  # nothing to decode: the wire refuses encoded bodies
            side={"framing": response.extensions["framing"]},
        )

    async def aclose(self) -> None:
        """Close the kept connections."""
        for lane in self._lanes.values():
            await lane.aclose()


class _GateClosed(Exception):
    """Holds the gate's exception as its cause, so that no other failure is taken for it."""


class _Lane:
    """One endpoint at run time: its TLS context, a transport for money and one for reads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._base = endpoint.url.rstrip("/")
        context = tls_context(endpoint) if httpx.URL(endpoint.url).scheme == "https" else None
        self._money, self._reads = (
            CentreTransport(money, endpoint.reply_bytes_max, context, endpoint.connect_s) for money in (True, False)
        )
        # read and checked once, not for each call
        self._url = lru_cache(maxsize=256)(self._url_of)
        self._headers = lru_cache(maxsize=64)(self._headers_of)

    def transport(self, money: bool) -> CentreTransport:
        return self._money if money else self._reads

    def request(self, frame: Frame, deadline: float, gate: Callable[[], None]) -> httpx.Request:
        """Raises: ValueError, httpx.InvalidURL."""
        url = self._url(frame.path)

        def guarded() -> None:
            try:
                gate()
            except Exception as closed:
                raise _GateClosed from closed

        extensions = {"deadline": deadline, "send_gate": guarded}
        return httpx.Request(
            frame.method,
            url,
            headers=self._headers(frame.headers, url.netloc),
            stream=httpx.ByteStream(frame.body),
            extensions=extensions,
        )

    def _headers_of(self, given: tuple[tuple[str, str], ...], host: bytes) -> httpx.Headers:
        """Raises: ValueError."""
        if any(name.lower() in _OWNED_BY_THE_WIRE for name, _ in given):
            raise ValueError("a header that belongs to the wire")
        agent = (
            []
            if any(name.lower() == "user-agent" and value for name, value in given)
            else [(b"User-Agent", b"his-adapter")]
        )
        headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in given]
        return httpx.Headers([(b"Host", host), *agent, *headers])

    def _url_of(self, path: str) -> httpx.URL:
        if (path and not path.startswith("/")) or "#" in path:  # "@elsewhere/" or ":81/" would change the host
            raise ValueError("the path must start with a slash and have no fragment")
        return httpx.URL(self._base + path)

    async def aclose(self) -> None:
        await self._money.aclose()
        await self._reads.aclose()


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """Verification stays on.  Made once: loading the system's CAs takes 20 ms."""
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_file)
        if endpoint.client_cert is not None:
            context.load_cert_chain(*endpoint.client_cert, password="")  # without one OpenSSL asks the terminal
    except OSError as error:  # ssl.SSLError too
        raise ConfigError(f"endpoint {endpoint.name}: certificate files can't be loaded: {error}") from error
    # Python 3.13 turns strict X.509 on: it refuses what the private CAs of gateways issue; the same on every Python.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _not_sent(endpoint: str, code: str) -> NotSent:
    return NotSent(f"endpoint {endpoint}: {code}", code=code, message_zh=_NOT_SENT_ZH[code])


def _not_sent_code(error: Exception) -> str:
    if isinstance(error, httpx.LocalProtocolError):
        return "FRAME_REFUSED"
    return "DEADLINE_BEFORE_SEND" if type(error) is httpx.ConnectTimeout else "CONNECT_FAILED"


def _unknown_code(error: Exception) -> str:
    if isinstance(error, BodyTooLarge):
        return "REPLY_TOO_LARGE"
    if isinstance(error, ReplyUnreadable):
        return "REPLY_UNREADABLE"
    return "REPLY_CUT" if getattr(error, "reply_begun", False) else "NO_REPLY"
