"""Reads: kept connections, and the only retries there are."""

from __future__ import annotations

import asyncio

import pytest

from adapter_core.centre.client import Centre, Endpoint
from adapter_core.centre.reads import read_with_retries
from adapter_core.values.errors import NotSent, OutcomeUnknown, Rejected
from adapter_core.values.frames import Frame

from .hostile import Hostile, Script, Visitor, always, descriptors, reply, turns_until

HEAD = b"HTTP/1.1 200 OK\r\n"


def plain(url: str, **options: object) -> Centre:
    return Centre([Endpoint("national", url, "test", **options)])


async def read(centre: Centre, money: bool = False) -> Frame:
    return await centre.exchange("national", Frame(body=b"{}"), deadline_s=30, gate=lambda: None, money=money)


async def test_a_read_takes_a_kept_connection_and_money_never_does() -> None:
    async with Hostile(always(*[reply()] * 9)) as hostile:
        centre = plain(hostile.url)
        for money in (False, False, True, True, False):
            await read(centre, money)
        assert [visitor.asked for visitor in hostile.visitors] == [3, 1, 1]
        assert b"Connection: keep-alive" in hostile.visitors[0].received
        assert b"Connection: close" in hostile.visitors[1].received
        await turns_until(
            lambda: hostile.visitors[2].task.done()
        )  # money's is closed by us, though the centre keeps it
        assert not hostile.visitors[0].task.done()
        await centre.aclose()
        await turns_until(lambda: hostile.visitors[0].task.done())


@pytest.mark.parametrize(
    "first",
    [
        reply() + reply(b'{"of":"another"}'),
        reply() + b"HTTP/1.1 2",
        reply() + b"garbage",
        reply(b"{}", b"Connection: close"),
        HEAD.replace(b"1.1", b"1.0") + b"Content-Length: 2\r\n\r\n{}",
    ],
    ids=["second reply in the packet", "half a second reply", "garbage behind", "says close", "http 1.0"],
)
async def test_what_is_not_kept(first: bytes) -> None:
    async with Hostile(always(first, reply(b'{"wrong":1}'))) as hostile:
        centre = plain(hostile.url)
        assert (await read(centre)).body == b"{}"
        assert (await read(centre)).body == b"{}"
        assert [visitor.asked for visitor in hostile.visitors] == [1, 1]


def first_visit(ending: Script) -> Script:
    """The first connection ends as told; later ones are good."""
    seen: list[Visitor] = []

    async def script(visitor: Visitor) -> None:
        seen.append(visitor)
        await (ending if len(seen) == 1 else always(*[reply()] * 9))(visitor)

    return script


@pytest.mark.parametrize("stray", [b"", b"x", reply(b'{"of":"another"}')], ids=["closed", "stray byte", "late reply"])
async def test_a_stale_connection_is_not_taken(stray: bytes) -> None:
    """Nor held: what an idle connection hears closes it at once."""
    gone_on = asyncio.Event()

    async def stale(visitor: Visitor) -> None:
        await visitor.request()
        visitor.send(reply())
        await gone_on.wait()
        visitor.send(stray)
        if not stray:
            visitor.writer.close()
        await visitor.ended()

    async with Hostile(first_visit(stale)) as hostile:
        centre = plain(hostile.url)
        before = descriptors()
        await read(centre)
        gone_on.set()
        await turns_until(lambda: descriptors() == before)
        assert (await read(centre)).body == b"{}"
        assert [visitor.asked for visitor in hostile.visitors] == [1, 1]
        await centre.aclose()


async def test_a_kept_connection_closed_under_a_request_is_a_lost_reply() -> None:
    """It looks the same on the wire, so the wire sends nothing again by itself."""

    async def closing(visitor: Visitor) -> None:
        await visitor.request()
        visitor.send(reply())
        await visitor.request()

    async with Hostile(first_visit(closing)) as hostile:
        centre = plain(hostile.url)
        await read(centre)
        with pytest.raises(OutcomeUnknown) as caught:
            await read(centre)
        assert caught.value.code == "NO_REPLY"
        assert [visitor.asked for visitor in hostile.visitors] == [2]
        assert (await read_with_retries(lambda: read(centre))).status == 200
        await centre.aclose()


async def test_eight_idle_connections_at_most() -> None:
    together = asyncio.Event()
    waiting = 0

    async def all_at_once(visitor: Visitor) -> None:
        nonlocal waiting
        await visitor.request()
        waiting += 1
        if waiting == 12:
            together.set()
        await together.wait()
        visitor.send(reply())
        await visitor.ended()

    async with Hostile(all_at_once) as hostile:
        centre = plain(hostile.url, slots=12)
        await asyncio.gather(*(read(centre) for _ in range(12)))
        await turns_until(lambda: sum(visitor.task.done() for visitor in hostile.visitors) == 4)
        await centre.aclose()


class Attempts:
    """Fails as listed, then answers; remembers the waits."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.waits: list[float] = []

    async def send(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_a_read_is_tried_again_twice_with_full_jitter() -> None:
    attempts = Attempts(NotSent("down"), OutcomeUnknown("cut"))
    shares = iter([0.5, 0.25])
    answer = await read_with_retries(attempts.send, sleep=attempts.sleep, random=lambda: next(shares))
    assert (answer, attempts.calls, attempts.waits) == ("answer", 3, [0.1, 0.1])


async def test_the_third_failure_is_told() -> None:
    last = OutcomeUnknown("third")
    attempts = Attempts(NotSent("first"), NotSent("second"), last, NotSent("never"))
    with pytest.raises(OutcomeUnknown) as caught:
        await read_with_retries(attempts.send, sleep=attempts.sleep, random=lambda: 0.0)
    assert caught.value is last
    assert attempts.calls == 3


@pytest.mark.parametrize("failure", [Rejected("-1", "refused"), ValueError("ours"), asyncio.CancelledError()])
async def test_anything_else_is_told_at_once(failure: BaseException) -> None:
    attempts = Attempts(failure)
    with pytest.raises(type(failure)):
        await read_with_retries(attempts.send, sleep=attempts.sleep, random=lambda: 0.0)
    assert (attempts.calls, attempts.waits) == (1, [])
