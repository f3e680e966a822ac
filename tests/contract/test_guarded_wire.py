"""The guarded wire: in front of a wire the test answers for, and in front of the real one on real sockets."""

from __future__ import annotations

import asyncio
import math
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from adapter_core.centre.admission import ENTERED, Lane
from adapter_core.centre.breaker import Outage
from adapter_core.centre.client import Centre, Endpoint
from adapter_core.centre.guarded import GuardedWire, GuardSettings
from adapter_core.values.errors import ConfigError, NotSent, OutcomeUnknown
from adapter_core.values.frames import Frame
from tests.clocks import HandClock

from .hostile import Hostile, Visitor, always, reply, silent, turns_until

LOST = OutcomeUnknown("no reply", code="NO_REPLY")
NO_CENTRE = NotSent("nobody there", code="CONNECT_FAILED")
WHOLE = Frame(status=200, body=b'{"infcode":"0"}')
REFUSED = Frame(status=200, body=b'{"infcode":"-1"}')


class AnsweredWire:
    """The port, answered by ``outcome`` at once, or call by call where that is None."""

    def __init__(self) -> None:
        self.outcome: Frame | Exception | None = None
        self.asked: list[tuple[str, float, bool]] = []
        self.open: list[asyncio.Future[Frame]] = []

    async def exchange(
        self, endpoint: str, frame: Frame, *, deadline_s: float, gate: Callable[[], None], money: bool
    ) -> Frame:
        self.asked.append((endpoint, deadline_s, money))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome is not None:
            return self.outcome
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self.open.append(answer)
        return await answer


class Guarded:
    def __init__(self, **settings: Any) -> None:
        self.clock = HandClock()
        self.far = AnsweredWire()
        self.told: list[Outage] = []
        self.wire = GuardedWire(self.far, self.clock, GuardSettings(**settings), self.told.append)

    async def ask(
        self, kind_class: str = "R", endpoint: str = "national", deadline_s: float = 30, **more: Any
    ) -> Frame:
        money = kind_class in "UCNX"
        return await self.wire.exchange(
            endpoint, Frame(), deadline_s=deadline_s, gate=lambda: None, money=money, kind_class=kind_class, **more
        )

    async def code(self, *args: Any, **more: Any) -> str:
        try:
            await self.ask(*args, **more)
        except (NotSent, OutcomeUnknown) as error:
            return error.code
        return "answered"

    def start(self, *args: Any, **more: Any) -> asyncio.Task[str]:
        return asyncio.create_task(self.code(*args, **more))

    async def trip(self, kind_class: str, endpoint: str = "national") -> None:
        self.far.outcome = LOST
        assert [await self.code(kind_class, endpoint) for _ in range(5)] == ["NO_REPLY"] * 5

    def state(self, endpoint: str = "national") -> Any:
        return next(one for one in self.wire.snapshot() if one.endpoint == endpoint)


async def a_turn() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


@pytest.mark.parametrize("kind_class", ["R", "U", "N"])
@pytest.mark.parametrize(
    "outcome",
    [LOST, NO_CENTRE, NotSent("late", code="DEADLINE_BEFORE_SEND"), Frame(status=503), Frame(status=502)],
    ids=["lost", "no centre", "late", "503", "502"],
)
async def test_transport_failures_open_and_are_then_refused_unsent(kind_class: str, outcome: Frame | Exception) -> None:
    guarded = Guarded()
    guarded.far.outcome = outcome
    for _ in range(5):
        await guarded.code(kind_class)
    with pytest.raises(NotSent) as caught:
        await guarded.ask(kind_class)
    assert caught.value.code == "BREAKER_OPEN"
    assert "自 12:00 起" in caught.value.message_zh
    assert len(guarded.far.asked) == 5
    assert (guarded.state().busy, guarded.state().waiting) == (0, 0)


@pytest.mark.parametrize(
    "outcome",
    [
        REFUSED,
        Frame(status=500, body=b'{"infcode":"-1"}'),
        Frame(ret="-2"),
        NotSent("", code="GATE_CLOSED"),
        NotSent("", code="FRAME_REFUSED"),
        NotSent("", code="NO_SUCH_ENDPOINT"),
        RuntimeError("the wire broke"),
    ],
    ids=lambda outcome: getattr(outcome, "code", None) or str(getattr(outcome, "status", "error")),
)
async def test_refusals_and_our_own_faults_never_open(outcome: Frame | Exception) -> None:
    guarded = Guarded()
    guarded.far.outcome = outcome
    for _ in range(30):
        with suppress(RuntimeError):
            await guarded.code("N")
    assert len(guarded.far.asked) == 30
    assert set(guarded.state().circuits.values()) == {"closed"}
    assert guarded.state().busy == 0


async def test_one_endpoint_and_one_group_is_refused_the_rest_goes_on() -> None:
    guarded = Guarded()
    await guarded.trip("N")
    guarded.far.outcome = WHOLE
    assert await guarded.code("X") == "BREAKER_OPEN"
    assert [await guarded.code(kind) for kind in ("R", "P", "session", "U", "C")] == ["answered"] * 5
    assert await guarded.code("N", "other") == "answered"
    assert guarded.state().circuits == {"read": "closed", "write": "closed", "money": "open"}
    (outage,) = guarded.wire.outages()
    assert (outage.endpoint, outage.group) == ("national", "money")


async def test_a_read_brings_money_back_and_each_change_is_told_once() -> None:
    guarded = Guarded()
    await guarded.trip("N")
    await guarded.code("N")
    guarded.clock.later(10)
    assert await guarded.code("N") == "BREAKER_OPEN"
    guarded.far.outcome = WHOLE
    assert await guarded.code("R") == "answered"
    assert await guarded.code("N") == "answered"
    assert [(outage.group, outage.is_over, outage.lasted_s) for outage in guarded.told] == [
        ("money", False, 0.0),
        ("money", True, 10.0),
    ]


async def test_calls_that_wait_are_sent_away_when_their_circuit_opens() -> None:
    guarded = Guarded(slots=5)
    tasks = [guarded.start("N") for _ in range(8)]
    read = guarded.start("R")
    await a_turn()
    for answer in guarded.far.open[:4]:
        answer.set_exception(LOST)
    await a_turn()
    assert (guarded.state().busy, guarded.state().waiting) == (5, 0)  # three more and the read came in
    more = [guarded.start("N"), guarded.start("R")]
    await a_turn()
    resolving = guarded.start("N", resolving=True)
    await a_turn()
    guarded.far.open[-1].set_exception(LOST)  # the fifth in a row: no slot of work came free
    await a_turn()
    assert await more[0] == "BREAKER_OPEN"
    assert await resolving == "NO_REPLY"
    assert (guarded.state().busy, guarded.state().waiting) == (5, 1)
    for answer in guarded.far.open:
        if not answer.done():
            answer.set_result(WHOLE)
    await a_turn()
    guarded.far.open[-1].set_result(WHOLE)
    assert await asyncio.gather(*tasks, read, more[1]) == ["NO_REPLY"] * 4 + ["answered"] * 6
    assert guarded.state().busy == 0


async def test_nobody_queues_to_be_refused() -> None:
    guarded = Guarded(slots=1)
    read = guarded.start("R")
    await a_turn()
    guarded.far.outcome = LOST
    for _ in range(5):
        await guarded.code("N", resolving=True)
    assert await guarded.code("N") == "BREAKER_OPEN"
    assert not read.done()
    guarded.far.open[0].set_result(WHOLE)
    assert await read == "answered"


async def test_a_call_that_got_its_slot_too_late_is_not_sent_into_an_open_circuit() -> None:
    """The circuit opens in the same turn of the loop in which the slot is handed over."""
    guarded = Guarded(slots=2)
    guarded.far.outcome = LOST
    for _ in range(4):
        await guarded.code("N")
    guarded.far.outcome = None
    tasks = [guarded.start("N") for _ in range(3)]
    await a_turn()
    guarded.far.open[0].set_exception(NotSent("", code="GATE_CLOSED"))
    guarded.far.open[1].set_exception(LOST)
    assert await asyncio.gather(*tasks) == ["GATE_CLOSED", "NO_REPLY", "BREAKER_OPEN"]
    assert len(guarded.far.asked) == 6
    assert guarded.state().busy == 0


async def test_resolving_has_its_own_slots_and_is_not_stopped_but_counts() -> None:
    guarded = Guarded(slots=1, resolving_slots=2)
    await guarded.trip("R")
    guarded.far.outcome = None
    tasks = [guarded.start("R", resolving=True) for _ in range(3)]
    await a_turn()
    assert (guarded.state().resolving, guarded.state().resolving_waiting, guarded.state().busy) == (2, 1, 0)
    guarded.clock.later(10)
    guarded.far.open[0].set_result(WHOLE)
    await a_turn()
    assert guarded.state().circuits["read"] == "closed"
    for answer in guarded.far.open[1:]:
        answer.set_result(WHOLE)
    assert await asyncio.gather(*tasks) == ["answered"] * 3


async def test_the_queue_is_first_come_first_served_and_no_longer_than_its_limit() -> None:
    guarded = Guarded(slots=2, queue=3)
    ended: list[int] = []

    async def one(number: int) -> str:
        code = await guarded.code("N" if number % 2 else "R", deadline_s=30)
        ended.append(number)
        return code

    tasks = [asyncio.create_task(one(number)) for number in range(7)]
    await a_turn()
    assert ended == [5, 6]
    assert (guarded.state().busy, guarded.state().waiting) == (2, 3)
    for number in range(5):
        guarded.far.open[number].set_result(WHOLE)
        await a_turn()
        assert guarded.state().busy <= 2
    assert ended == [5, 6, 0, 1, 2, 3, 4]
    assert [await task for task in tasks] == ["answered"] * 5 + ["QUEUE_FULL"] * 2


async def test_the_wait_for_a_slot_is_part_of_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    guarded = Guarded(slots=1)
    first, patient, hasty = guarded.start(), guarded.start(deadline_s=10), guarded.start(deadline_s=3)
    await a_turn()
    now = 4.0
    assert await hasty == "NO_SLOT"
    assert guarded.state().waiting == 1
    guarded.far.open[0].set_result(WHOLE)
    await a_turn()
    guarded.far.open[1].set_result(WHOLE)
    assert await asyncio.gather(first, patient) == ["answered"] * 2
    assert [deadline_s for _, deadline_s, _ in guarded.far.asked] == [30, 6]
    assert await guarded.code(deadline_s=0) == "DEADLINE_BEFORE_SEND"
    assert len(guarded.far.asked) == 2


async def test_giving_up_in_the_queue_leaves_no_slot_behind() -> None:
    guarded = Guarded(slots=1)
    first, second, third = (asyncio.create_task(guarded.ask()) for _ in range(3))
    await a_turn()
    second.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await second
    assert vars(caught.value)["sent"] is False
    assert guarded.state().waiting == 1

    guarded.far.open[0].set_result(WHOLE)
    await turns_until(lambda: len(guarded.far.open) == 2)
    guarded.far.open[1].set_result(WHOLE)
    assert await asyncio.gather(first, third) == [WHOLE, WHOLE]
    assert (guarded.state().busy, guarded.state().waiting) == (0, 0)


async def test_giving_up_in_the_turn_a_slot_is_handed_over_passes_it_on() -> None:
    lane = Lane(slots=1, queue_max=2)
    assert await lane.enter("read", math.inf) == ENTERED
    hasty, patient = (asyncio.create_task(lane.enter("read", math.inf)) for _ in range(2))
    await a_turn()
    lane.leave()
    hasty.cancel()
    assert await patient == ENTERED
    assert hasty.cancelled()
    lane.leave()
    assert lane.taken == 0


async def test_a_cancelled_probe_gives_way_to_the_next() -> None:
    guarded = Guarded()
    await guarded.trip("R")
    guarded.clock.later(10)
    guarded.far.outcome = None
    probe = asyncio.create_task(guarded.ask())
    await a_turn()
    assert await guarded.code() == "BREAKER_OPEN"
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    guarded.far.outcome = WHOLE
    assert await guarded.code() == "answered"
    assert guarded.state().circuits["read"] == "closed"


async def test_an_observer_that_fails_costs_no_reply(caplog: pytest.LogCaptureFixture) -> None:
    def broken(outage: Outage) -> None:
        raise RuntimeError("no")

    guarded = Guarded()
    guarded.wire = GuardedWire(guarded.far, guarded.clock, observe=broken)
    await guarded.trip("R")
    guarded.clock.later(10)
    guarded.far.outcome = WHOLE
    assert await guarded.ask() is WHOLE
    assert len(caplog.records) == 2


async def test_retries_are_bounded_by_traffic_that_went_out() -> None:
    guarded = Guarded(slots=1, queue=0)
    guarded.far.outcome = WHOLE
    assert [guarded.wire.may_retry("national") for _ in range(11)] == [True] * 10 + [False]
    assert guarded.wire.may_retry("other")
    for _ in range(10):
        await guarded.ask("N")
    assert [guarded.wire.may_retry("national") for _ in range(2)] == [True, False]
    guarded.far.outcome = None
    task = guarded.start()
    await a_turn()
    assert {await guarded.code() for _ in range(20)} == {"QUEUE_FULL"}  # refused calls earn nothing
    guarded.far.open[0].set_result(WHOLE)
    assert await task == "answered"
    assert not guarded.wire.may_retry("national")


async def test_no_retry_is_spent_on_an_open_circuit() -> None:
    guarded = Guarded()
    await guarded.trip("R")
    assert not guarded.wire.may_retry("national")
    assert guarded.state().retries_left == 10


@pytest.mark.parametrize(
    "settings",
    [{"slots": 0}, {"resolving_slots": 0}, {"queue": -1}, {"cool_down_s": 0}, {"cool_down_s": 61}],
    ids=str,
)
def test_wrong_settings_stop_the_start(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        GuardSettings(**settings)


def centre(**urls: str) -> Centre:
    return Centre([Endpoint(name, url, "test") for name, url in urls.items()])


async def test_a_hanging_endpoint_takes_nothing_from_another() -> None:
    """Real sockets.  The other endpoint's calls never queue, and all end before any of the hanging ones."""
    async with Hostile(silent) as hanging, Hostile(always(*[reply()] * 50)) as well:
        wire = GuardedWire(centre(hanging=hanging.url, well=well.url), HandClock())

        async def ask(endpoint: str, money: bool) -> int | None:
            kind = "N" if money else "R"
            frame = await wire.exchange(
                endpoint, Frame(), deadline_s=60, gate=lambda: None, money=money, kind_class=kind
            )
            return frame.status

        stuck = [asyncio.create_task(ask("hanging", number % 2 == 0)) for number in range(40)]
        await turns_until(lambda: sum(visitor.asked for visitor in hanging.visitors) == 8)
        for number in range(50):
            assert await ask("well", number % 2 == 0) == 200
            assert wire.snapshot()[1].waiting == 0
        hang = wire.snapshot()[0]
        assert (hang.busy, hang.waiting, len(hanging.visitors)) == (8, 32, 8)
        assert not any(task.done() for task in stuck)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        assert (wire.snapshot()[0].busy, wire.snapshot()[0].waiting) == (0, 0)


async def test_a_thousand_refused_callers_leave_nothing_behind() -> None:
    async with Hostile(silent) as hanging:
        real = centre(national=hanging.url)
        wire = GuardedWire(real, HandClock())

        async def code() -> str:
            try:
                await wire.exchange("national", Frame(), deadline_s=60, gate=lambda: None, money=True, kind_class="N")
            except NotSent as refused:
                return refused.code
            return "answered"

        crowd = [asyncio.create_task(code()) for _ in range(1040)]
        await turns_until(lambda: sum(task.done() for task in crowd) == 1000)
        await turns_until(lambda: len(hanging.visitors) == 8)
        assert [task.result() for task in crowd[40:]] == ["QUEUE_FULL"] * 1000
        assert (wire.snapshot()[0].busy, wire.snapshot()[0].waiting) == (8, 32)

        await code()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(1000):
                await code()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < 64 * 1024
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)


async def test_a_centre_that_went_away_opens_and_its_return_closes() -> None:
    clock = HandClock()
    is_away = False

    async def moody(visitor: Visitor) -> None:
        await visitor.request()
        if not is_away:
            visitor.send(reply(b'{"infcode":"-1"}'))
            await visitor.ended()

    async with Hostile(moody) as hostile:
        wire = GuardedWire(centre(national=hostile.url), clock)

        async def code(kind_class: str) -> str:
            money = kind_class == "N"
            try:
                await wire.exchange(
                    "national", Frame(), deadline_s=60, gate=lambda: None, money=money, kind_class=kind_class
                )
            except (NotSent, OutcomeUnknown) as error:
                return error.code
            return "answered"

        assert [await code("N") for _ in range(6)] == ["answered"] * 6
        is_away = True
        assert [await code("N") for _ in range(6)] == ["NO_REPLY"] * 5 + ["BREAKER_OPEN"]
        assert [await code("R") for _ in range(6)] == ["NO_REPLY"] * 5 + ["BREAKER_OPEN"]
        clock.later(10)
        assert [await code("R"), await code("R"), await code("N")] == ["NO_REPLY", "BREAKER_OPEN", "BREAKER_OPEN"]
        is_away = False
        clock.later(20)
        assert [await code("N"), await code("R"), await code("N")] == ["BREAKER_OPEN", "answered", "answered"]
        assert sum(visitor.asked for visitor in hostile.visitors) == 6 + 5 + 5 + 1 + 2
