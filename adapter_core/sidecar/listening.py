"""The server's side of one connection: what uvicorn leaves open before a request's head is whole, and the caller's certificate.

uvicorn has no deadline for a head, and no cap on heads, trailers and chunk extensions: a caller could hold a connection for ever,
or fill the memory, before any application is asked.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from adapter_core.sidecar.limits import IS_WHOLE, Caps, Refusal

PIPELINED_MAX = 8
FRAMING_PER_BYTE = 8
"""Bytes of chunk framing for one of content: a chunk of one byte has six."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection under ``caps``.  The scope of its requests has ``client_certificate``: DER, b"" without mTLS."""

    caps = Caps()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ws_protocol_class = None
        self._in_head = True
        self._framing = 0
        self._head_timer: TimerHandle | None = None
        self._certificate = b""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.caps.connections and not self._others_give_way():
            self._refuse(Refusal(503, "OVERLOADED", "too many connections", "系统繁忙，请稍后用同一单据重试"))
            return
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._certificate = tls.getpeercert(binary_form=True) or b""
        self._expect_head()

    @property
    def is_idle(self) -> bool:
        """Kept open for a further request, of which nothing came yet."""
        return self.cycle is not None and self.cycle.response_complete and not self._in_head

    def _others_give_way(self) -> bool:
        """Close one idle connection: its owner opens another when it has something to say.  False when all are busy."""
        for other in self.connections:
            if isinstance(other, GuardedProtocol) and other.is_idle and not other.transport.is_closing():
                other.transport.close()
                return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._framing += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._framing > self.caps.header_bytes * 2:
            self._refuse(
                Refusal(431, "HEADERS_TOO_LARGE", f"at most {self.caps.header_bytes} bytes of headers", "请求头过大")
            )
        elif len(self.pipeline) > PIPELINED_MAX:
            self.transport.close()
        elif self._in_head:
            self._expect_head()
        else:
            self._forget_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._framing = 0
        self.scope["client_certificate"] = self._certificate  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._framing = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._framing = max(0, self._framing - FRAMING_PER_BYTE * len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._framing = 0
        self.scope[IS_WHOLE] = True  # type: ignore[literal-required]
        super().on_message_complete()

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.caps.head_s, self._head_is_late)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self._refuse(Refusal(408, "HEAD_TOO_SLOW", f"no whole head after {self.caps.head_s:g} s", "请求超时"))

    def _refuse(self, refusal: Refusal) -> None:
        """HttpAnswer and close; a connection that is answering somebody already is closed only."""
        if self.cycle is None or self.cycle.response_complete:
            body = refusal.problem()
            length = str(len(body)).encode()
            self.transport.write(
                STATUS_LINE[refusal.status]
                + b"content-type: application/problem+json\r\nconnection: close\r\ncontent-length: "
                + length
                + b"\r\n\r\n"
                + body
            )
        self.transport.close()


def guarded(caps: Caps) -> type[GuardedProtocol]:
    """The protocol class for uvicorn's ``Config(http=…)``."""
    return type("GuardedProtocol", (GuardedProtocol,), {"caps": caps})
