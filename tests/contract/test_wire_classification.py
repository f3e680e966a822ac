"""What a centre can do to a money call once it was sent, over http and https: by the wire, and by the port."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from adapter_core.centre.client import Centre, Endpoint
from adapter_core.centre.transport import CentreTransport
from adapter_core.centre.wire import BodyTooLarge, ReplyUnreadable
from adapter_core.values.errors import OutcomeUnknown
from adapter_core.values.frames import Frame

from .hostile import Authority, Hostile, Script, Visitor, always, reply, silent

CAP = 1000
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def then_cut(data: bytes) -> Script:
    async def script(visitor: Visitor) -> None:
        await visitor.request()
        visitor.send(data)
        await visitor.writer.drain()
        visitor.writer.close()
        await visitor.ended()

    return script


def then_reset(data: bytes) -> Script:
    async def script(visitor: Visitor) -> None:
        await visitor.request()
        visitor.send(data)
        await visitor.writer.drain()
        visitor.reset()

    return script


async def closed_unread(visitor: Visitor) -> None:
    visitor.writer.transport.pause_reading()
    await TURN.wait()
    visitor.cut()


def dripping(start: bytes) -> Script:
    """A byte again and again: a timeout per read would never come."""

    async def script(visitor: Visitor) -> None:
        await visitor.request()
        visitor.send(start)
        while not visitor.writer.is_closing():
            visitor.send(b"1\r\nx\r\n" if start is CHUNKED else b"x")
            await visitor.writer.drain()
            for _ in range(50):
                await asyncio.sleep(0)

    return script


TURN = asyncio.Event()

AT_ONCE = {
    "closed unread": (closed_unread, httpx.RemoteProtocolError, "NO_REPLY"),
    "closed after reading": (then_cut(b""), httpx.RemoteProtocolError, "NO_REPLY"),
    "reset after reading": (then_reset(b""), httpx.RemoteProtocolError, "NO_REPLY"),
    "half a header": (then_cut(HEAD + b"Content-Le"), httpx.RemoteProtocolError, "REPLY_CUT"),
    "interim reply only": (then_cut(b"HTTP/1.1 100 Continue\r\n\r\n"), httpx.RemoteProtocolError, "REPLY_CUT"),
    "body cut, length": (then_cut(HEAD + b"Content-Length: 9\r\n\r\n{}"), httpx.ReadError, "REPLY_CUT"),
    "body cut, chunked": (then_cut(CHUNKED + b"2\r\n{}\r\n"), httpx.ReadError, "REPLY_CUT"),
    "body reset, length": (then_reset(HEAD + b"Content-Length: 9\r\n\r\n{}"), httpx.ReadError, "REPLY_CUT"),
    "over cap, length": (always(reply(b"x" * (CAP + 1))), BodyTooLarge, "REPLY_TOO_LARGE"),
    "over cap, chunked": (always(CHUNKED + b"1f4\r\n%b\r\n" % (b"x" * 500) * 3), BodyTooLarge, "REPLY_TOO_LARGE"),
    "over cap, no end": (always(HEAD + b"\r\n" + b"x" * (CAP + 1)), BodyTooLarge, "REPLY_TOO_LARGE"),
    "one header without end": (always(HEAD + b"A: " + b"x" * 70_000), ReplyUnreadable, "REPLY_UNREADABLE"),
    "headers over the limit": (
        always(reply(b"{}", *[b"A: " + b"x" * 1000] * 70)),
        ReplyUnreadable,
        "REPLY_UNREADABLE",
    ),
    "interim replies without end": (
        always(b"HTTP/1.1 100 Continue\r\nA: aaaaaaaaaaaaaaa\r\n\r\n" * 3000),
        ReplyUnreadable,
        "REPLY_UNREADABLE",
    ),
    "chunk extension without end": (always(CHUNKED + b"1;" + b"x" * 70_000), ReplyUnreadable, "REPLY_UNREADABLE"),
    "trailers over the limit": (
        always(CHUNKED + b"0\r\n" + b"A: aaaaaaaaaaaaaaa\r\n" * 4000 + b"\r\n"),
        ReplyUnreadable,
        "REPLY_UNREADABLE",
    ),
    "encoded": (always(reply(b"\x1f\x8b", b"Content-Encoding: gzip")), ReplyUnreadable, "REPLY_UNREADABLE"),
    "transfer encoded": (
        always(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ReplyUnreadable,
        "REPLY_UNREADABLE",
    ),
    "length and chunked": (
        always(HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ReplyUnreadable,
        "REPLY_UNREADABLE",
    ),
    "two lengths": (
        always(HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
        ReplyUnreadable,
        "REPLY_UNREADABLE",
    ),
    "garbage": (always("系统异常".encode()), ReplyUnreadable, "REPLY_UNREADABLE"),
    "another protocol": (
        always(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
        ReplyUnreadable,
        "REPLY_UNREADABLE",
    ),
    "no status": (always(b"HTTP/1.1 099 Odd\r\n\r\n"), ReplyUnreadable, "REPLY_UNREADABLE"),
}

LATE = {
    "hang": (silent, "NO_REPLY"),
    "dripping header": (dripping(HEAD + b"A: "), "REPLY_CUT"),
    "dripping body": (dripping(CHUNKED), "REPLY_CUT"),
}

WHOLE = {
    "length": (always(reply(b'{"a":1}')), 200, b'{"a":1}', "length"),
    "chunked": (always(CHUNKED + b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\nT: v\r\n\r\n"), 200, b"{}", "chunked"),
    "cut or whole, nobody knows": (then_cut(HEAD + b"\r\n" + b'{"infcode":'), 200, b'{"infcode":', "eof"),
    "after an interim reply": (always(b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" + reply()), 200, b"{}", "length"),
    "no content": (always(b"HTTP/1.1 204 No Content\r\n\r\n"), 204, b"", "length"),
    "elsewhere": (always(reply(b"", b"Location: /other", status=b"302 Found")), 302, b"", "length"),
    "not found": (always(reply(b"<html>", status=b"404 Not Found")), 404, b"<html>", "length"),
    "broken": (always(reply(b"oops", status=b"500 Internal Server Error")), 500, b"oops", "length"),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(params=["http", "https"])
def server_context(request: pytest.FixtureRequest, authority: Authority) -> ssl.SSLContext | None:
    return authority.server_context() if request.param == "https" else None


@asynccontextmanager
async def ready(
    script: Script, context: ssl.SSLContext | None, authority: Authority, cap: int = CAP
) -> AsyncIterator[tuple[Hostile, CentreTransport, Centre]]:
    global TURN
    TURN = asyncio.Event()
    async with Hostile(script, context) as hostile:
        transport = CentreTransport(True, cap_bytes=cap, ssl=authority.client_context() if context else None)
        ca_file: Path | None = authority.file if context else None
        endpoint = Endpoint("national", hostile.url, "test", ca_file=ca_file, reply_bytes_max=cap)
        yield hostile, transport, Centre([endpoint])


def gate() -> None:
    asyncio.get_running_loop().call_soon(TURN.set)


def request(hostile: Hostile, deadline_s: float) -> httpx.Request:
    deadline = asyncio.get_running_loop().time() + deadline_s
    return httpx.Request(
        "POST", hostile.url + "/x", content=b"{}", extensions={"deadline": deadline, "send_gate": gate}
    )


@pytest.mark.parametrize("name", AT_ONCE)
async def test_sent_without_a_whole_reply(
    name: str, server_context: ssl.SSLContext | None, authority: Authority
) -> None:
    script, kind, code = AT_ONCE[name]
    async with ready(script, server_context, authority) as (hostile, transport, centre):
        with pytest.raises(httpx.TransportError) as wire_error:
            await transport.handle_async_request(request(hostile, 30))
        TURN.clear()
        with pytest.raises(OutcomeUnknown) as port_error:
            await centre.exchange("national", Frame(body=b"{}"), deadline_s=30, gate=gate, money=True)
        assert len(hostile.visitors) == 2, "no call was repeated"
    assert isinstance(wire_error.value, kind)
    assert vars(wire_error.value)["sent"] is True
    assert port_error.value.code == code


@pytest.mark.parametrize("name", LATE)
async def test_the_deadline_ends_a_sent_call(
    name: str, server_context: ssl.SSLContext | None, authority: Authority
) -> None:
    script, code = LATE[name]
    async with ready(script, server_context, authority, cap=10_000_000) as (hostile, transport, centre):
        with pytest.raises(httpx.ReadTimeout) as wire_error:
            await transport.handle_async_request(request(hostile, 0.3))
        with pytest.raises(OutcomeUnknown) as port_error:
            await centre.exchange("national", Frame(body=b"{}"), deadline_s=0.3, gate=gate, money=True)
        assert [visitor.asked for visitor in hostile.visitors] == [1, 1]
    assert vars(wire_error.value)["sent"] is True
    assert port_error.value.code == code


@pytest.mark.parametrize("name", WHOLE)
async def test_a_whole_reply_of_any_status(
    name: str, server_context: ssl.SSLContext | None, authority: Authority
) -> None:
    script, status, body, framing = WHOLE[name]
    async with ready(script, server_context, authority) as (hostile, _, centre):
        frame = Frame(body=b"{}", path="/x")
        answer = await centre.exchange("national", frame, deadline_s=30, gate=gate, money=True)
        assert len(hostile.visitors) == 1, "a redirect is not followed"
    assert (answer.status, answer.body, answer.side["framing"]) == (status, body, framing)
    assert (answer.header("A"), answer.header("T")) == ("", ""), "neither an interim reply's headers nor trailers"


async def test_a_reset_is_no_end_of_a_body() -> None:
    """On a close-delimited body httpx-aiohttp takes a reset for its end."""
    script = then_reset(HEAD + b"\r\n" + b'{"infcode":0}')
    async with Hostile(script) as hostile:
        with pytest.raises(httpx.ReadError):
            await CentreTransport(True).handle_async_request(request(hostile, 30))
