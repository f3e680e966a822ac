"""Before the first byte: the gate, connecting; and cancelling at any point gives the descriptors back."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Iterator

import httpx
import pytest

from adapter_core.centre.client import Centre, Endpoint
from adapter_core.centre.transport import CentreTransport, ConnectTooSlow
from adapter_core.values.errors import NotSent, OutcomeUnknown
from adapter_core.values.frames import Frame

from .hostile import Authority, Hostile, Visitor, always, black_hole, descriptors, reply, silent, turns_until

counts_descriptors = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc/self/fd")


class Closed(Exception):
    """The ledger's own: too late, or the lease is gone."""


def request(
    url: str, deadline_s: float = 30, gate: Callable[[], None] = lambda: None, content: bytes = b"{}"
) -> httpx.Request:
    deadline = asyncio.get_running_loop().time() + deadline_s
    return httpx.Request("POST", url, content=content, extensions={"deadline": deadline, "send_gate": gate})


def plain(url: str, **options: object) -> Centre:
    return Centre([Endpoint("national", url, "test", **options)])


async def refused_code(centre: Centre, deadline_s: float, gate: Callable[[], None] = lambda: None) -> str:
    with pytest.raises(NotSent) as caught:
        await centre.exchange("national", Frame(body=b"{}"), deadline_s=deadline_s, gate=gate, money=True)
    return caught.value.code


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Descriptors must come back by themselves, not when the collector comes round."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("kind", [Closed, TimeoutError, ConnectionRefusedError])
async def test_a_raising_gate_lets_no_byte_out(kind: type[Exception]) -> None:
    standing: list[int] = []

    async with Hostile(silent) as hostile:
        transport = CentreTransport(True)
        centre = plain(hostile.url)

        def gate() -> None:
            standing.append(len(hostile.visitors))
            raise kind("not now")

        with pytest.raises(kind) as caught:
            await transport.handle_async_request(request(hostile.url, gate=gate))
        with pytest.raises(NotSent) as not_sent:
            await centre.exchange("national", Frame(body=b"{}"), deadline_s=30, gate=gate, money=True)
        await turns_until(lambda: len(hostile.visitors) == 2 and all(v.task.done() for v in hostile.visitors))
    assert hostile.received == b""
    assert vars(caught.value)["sent"] is False
    assert not_sent.value.code == "GATE_CLOSED"
    assert isinstance(not_sent.value.__cause__, kind)


async def test_the_gate_opens_only_on_a_standing_connection(tmp_path) -> None:
    """TLS included: the centre has met the caller before the gate is asked."""
    authority = Authority(tmp_path, "authority")
    done: list[str] = []
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def watched(*args, **options):
        made = await connect(*args, **options)
        done.append("connected" if made[0].get_extra_info("ssl_object").version() else "no tls")
        return made

    async with Hostile(always(reply()), authority.server_context()) as hostile:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "create_connection", watched)
            transport = CentreTransport(True, ssl=authority.client_context())
            await transport.handle_async_request(request(hostile.url, gate=lambda: done.append("gate")))
    assert done == ["connected", "gate"]


async def test_nothing_is_awaited_between_gate_and_write() -> None:
    """A cancel that comes with the loop's next turn after the gate finds the request written."""
    async with Hostile(silent) as hostile:
        transport = CentreTransport(True)
        gate = lambda: asyncio.get_running_loop().call_soon(task.cancel)  # noqa: E731
        task = asyncio.create_task(transport.handle_async_request(request(hostile.url, gate=gate)))
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    assert vars(caught.value)["sent"] is True


async def test_a_peer_gone_before_the_gate_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def closing(visitor: Visitor) -> None:
        visitor.cut()

    loop = asyncio.get_running_loop()
    connect = loop.create_connection
    asked: list[str] = []

    async def late_connect(*args, **options):
        transport, wire = await connect(*args, **options)
        await turns_until(lambda: wire.gone)
        return transport, wire

    async with Hostile(closing) as hostile:
        monkeypatch.setattr(loop, "create_connection", late_connect)
        with pytest.raises(httpx.ConnectError, match="before the gate") as caught:
            await CentreTransport(True).handle_async_request(request(hostile.url, gate=lambda: asked.append("gate")))
        assert await refused_code(plain(hostile.url), 30) == "CONNECT_FAILED"
    assert vars(caught.value)["sent"] is False
    assert asked == []


async def test_a_peer_that_speaks_first_is_not_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def early(visitor: Visitor) -> None:
        visitor.send(reply(b'{"infcode":0}'))
        await visitor.ended()

    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def late_connect(*args, **options):
        transport, wire = await connect(*args, **options)
        await turns_until(lambda: wire.gone)
        return transport, wire

    async with Hostile(early) as hostile:
        monkeypatch.setattr(loop, "create_connection", late_connect)
        assert await refused_code(plain(hostile.url), 30) == "CONNECT_FAILED"
        assert hostile.received == b""


async def test_a_deadline_already_past() -> None:
    async with Hostile(always(reply(), reply())) as hostile:
        assert await refused_code(plain(hostile.url), -1) == "DEADLINE_BEFORE_SEND"
        # a kept connection awaits nothing before its gate, and is not sent on either
        reads = CentreTransport(False)
        await reads.handle_async_request(request(hostile.url))
        with pytest.raises(httpx.ConnectTimeout) as caught:
            await reads.handle_async_request(request(hostile.url, -1))
        assert vars(caught.value)["sent"] is False
        assert sum(visitor.asked for visitor in hostile.visitors) == 1


async def test_a_deadline_or_connect_limit_while_connecting() -> None:
    with black_hole() as port:
        url = f"http://127.0.0.1:{port}"
        assert await refused_code(plain(url), 0.1) == "DEADLINE_BEFORE_SEND"
        assert await refused_code(plain(url, connect_s=0.1), 30) == "CONNECT_FAILED"
        with pytest.raises(ConnectTooSlow) as caught:
            await CentreTransport(True, connect_s=0.1).handle_async_request(request(url))
        assert isinstance(caught.value, httpx.ConnectTimeout)
        assert vars(caught.value)["sent"] is False


async def test_refused_or_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def unspeakable(*_: object, **__: object) -> list[object]:
        raise UnicodeError("label too long")

    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        assert await refused_code(plain(f"http://127.0.0.1:{reserved.getsockname()[1]}"), 30) == "CONNECT_FAILED"
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    with pytest.raises(httpx.ConnectError) as caught:
        await CentreTransport(True).handle_async_request(request("http://centre.invalid"))
    assert isinstance(caught.value.__cause__, socket.gaierror)
    assert vars(caught.value)["sent"] is False
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unspeakable)
    assert await refused_code(plain("http://centre.invalid"), 30) == "CONNECT_FAILED", "the flag decides, not the type"


async def test_one_dead_address_does_not_eat_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Hostile(always(reply())) as hostile:

        async def three(*_: object, **__: object) -> list[object]:
            names = ("127.0.0.2", "127.0.0.3", "127.0.0.1")  # a black hole, nobody, the centre
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, hostile.port)) for name in names]

        with black_hole("127.0.0.2", hostile.port):
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", three)
            response = await CentreTransport(True, connect_s=0.6).handle_async_request(
                request(f"http://centre.invalid:{hostile.port}")
            )
    assert response.status_code == 200
    assert b"Host: centre.invalid" in hostile.received


async def cancelled(task: asyncio.Task[httpx.Response]) -> bool:
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return bool(vars(caught.value)["sent"])


@counts_descriptors
@pytest.mark.parametrize("point", ["connect", "handshake", "reply", "body"])
@pytest.mark.usefixtures("no_collector")
async def test_cancelling_gives_the_descriptor_back(point: str, tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    half = asyncio.Event()
    hello = asyncio.Event()

    async def first_bytes(visitor: Visitor) -> None:  # of a TLS hello that is never answered
        await visitor.reader.read(1)
        hello.set()
        await visitor.ended()

    async def half_a_body(visitor: Visitor) -> None:
        await visitor.request()
        visitor.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")
        await visitor.writer.drain()
        half.set()
        await visitor.ended()

    scripts = {"connect": silent, "handshake": first_bytes, "reply": silent, "body": half_a_body}
    context = Authority(tmp_path, "authority").client_context()
    async with Hostile(scripts[point]) as hostile:
        with black_hole() as dead_port:
            transport = CentreTransport(True, ssl=context)
            url = {
                "connect": f"http://127.0.0.1:{dead_port}",
                "handshake": f"https://127.0.0.1:{hostile.port}",
            }.get(point, hostile.url)
            before = descriptors()
            for round_number in range(1, 21):
                task = asyncio.create_task(transport.handle_async_request(request(url)))
                if point == "connect":
                    await turns_until(lambda: descriptors() > before)
                elif point == "handshake":
                    await hello.wait()
                elif point == "reply":
                    await turns_until(lambda n=round_number: sum(v.asked for v in hostile.visitors) == n)
                else:
                    await half.wait()
                assert await cancelled(task) is (point in ("reply", "body"))
                half.clear()
                hello.clear()
                await turns_until(lambda: descriptors() == before)
    assert caplog.records == []


@counts_descriptors
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.usefixtures("no_collector")
async def test_cancelling_at_every_turn_of_the_loop(scheme: str, tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority(tmp_path, "authority")
    async with Hostile(silent, authority.server_context() if scheme == "https" else None) as hostile:
        transport = CentreTransport(True, ssl=authority.client_context())
        before = descriptors()
        told = set()
        for turns in range(40):
            asked = sum(visitor.asked for visitor in hostile.visitors)
            task = asyncio.create_task(transport.handle_async_request(request(hostile.url)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            sent = vars(caught.value).get("sent", False)  # cancelled before its first step it has no flag
            told.add(sent)
            await turns_until(lambda: descriptors() == before)
            assert sent or sum(visitor.asked for visitor in hostile.visitors) == asked
    assert told == {False, True}
    assert caplog.records == []


@counts_descriptors
@pytest.mark.usefixtures("no_collector")
async def test_cancelled_when_just_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def connect_and_wait(*args, **options):
        made = await connect(*args, **options)
        connected.set()
        await asyncio.Event().wait()
        return made

    connected = asyncio.Event()
    async with Hostile(silent) as hostile:
        before = descriptors()
        monkeypatch.setattr(loop, "create_connection", connect_and_wait)
        task = asyncio.create_task(CentreTransport(True).handle_async_request(request(hostile.url)))
        await connected.wait()
        assert await cancelled(task) is False
        await turns_until(lambda: descriptors() == before)


@counts_descriptors
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.usefixtures("no_collector")
async def test_a_centre_that_reads_nothing_holds_no_descriptor(scheme: str, tmp_path) -> None:
    """A close would wait for the unsent rest, and under TLS for the peer's goodbye."""
    authority = Authority(tmp_path, "authority")
    resumed = asyncio.Event()
    written = asyncio.Event()

    async def deaf(visitor: Visitor) -> None:
        visitor.writer.transport.pause_reading()
        await resumed.wait()

    async with Hostile(deaf, authority.server_context() if scheme == "https" else None) as hostile:
        transport = CentreTransport(True, ssl=authority.client_context())
        before = descriptors()
        gate = lambda: asyncio.get_running_loop().call_soon(written.set)  # noqa: E731
        content = bytes(32 * 1024 * 1024)
        task = asyncio.create_task(transport.handle_async_request(request(hostile.url, gate=gate, content=content)))
        gate_opened = asyncio.create_task(written.wait())
        await asyncio.wait({task, gate_opened}, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), task.exception()  # a failed handshake must not be waited for
        await hostile.met.wait()
        assert await cancelled(task) is True
        await turns_until(lambda: descriptors() == before + 1)  # the centre's own end
        resumed.set()
        await turns_until(lambda: descriptors() == before)


@counts_descriptors
@pytest.mark.usefixtures("no_collector")
async def test_300_calls_leave_no_descriptor(caplog: pytest.LogCaptureFixture) -> None:
    """Good, cut, garbled and refused calls in turn."""
    turn = 0

    async def moody(visitor: Visitor) -> None:
        nonlocal turn
        await visitor.request()
        visitor.send((reply(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"garbage\r\n\r\n")[turn % 3])
        turn += 1
        visitor.writer.close()
        await visitor.ended()

    async with Hostile(moody) as hostile:
        centre = plain(hostile.url)
        before = descriptors()
        outcomes = {"answered": 0, "unknown": 0, "not sent": 0}

        def gate() -> None:
            if outcomes["not sent"] * 4 < sum(outcomes.values()):
                raise Closed

        for _ in range(300):
            try:
                await centre.exchange("national", Frame(body=b"{}"), deadline_s=30, gate=gate, money=True)
                outcomes["answered"] += 1
            except OutcomeUnknown:
                outcomes["unknown"] += 1
            except NotSent:
                outcomes["not sent"] += 1
        await turns_until(lambda: descriptors() == before)
    assert outcomes == {"answered": 75, "unknown": 150, "not sent": 75}
    assert caplog.records == []
