"""How long is asked, and what closes: the resolver on a clock of its own (`reliability.md` §5, E2 and E3)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call
from adapter_core.province.national import NationalGateway, national
from adapter_core.settlement.calls import Context
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.ownership import Ownership
from adapter_core.settlement.place import Place, Timers
from adapter_core.settlement.records import Bill, CallRecord, Case, Encounter
from adapter_core.settlement.resolver import Evidence, Resolver
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.states import Result, State
from adapter_core.values.moments import iso

SITE = Site("H36010000001", "测试医院", "360100")
QUIET = 5.0 + 600.0 + 60.0
"""gate + late_commit + query_lag, the defaults."""
ABSENT = Verdict(Result.APPLIED, content={})
BROKEN = Verdict(Result.UNKNOWN)
OURS = Verdict(Result.APPLIED, content={"result": {"setl_id": "S1", "medins_setl_id": "MSG1", "medfee_sumamt": 0}})


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def mono(self) -> float:
        return self.now

    def wall(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC)

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


class Middle:
    """Draws in the middle: no jitter."""

    def token(self) -> str:
        return "t"

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


class Centre:
    """Answers queries from a script of ``(from this second on, answer)``; keeps when it was asked."""

    def __init__(self, clock: Clock, *script: tuple[float, Verdict]) -> None:
        self._clock = clock
        self._script = script
        self.asked: list[float] = []

    async def read(self, step: Any, context: Context, content: Any, resolving: bool = False) -> Any:
        assert step.call == "5203"
        assert resolving
        since = self._clock.now - 1000.0
        self.asked.append(since)
        return SimpleNamespace(verdict=next(told for start, told in reversed(self._script) if since >= start))


async def evidence(
    monkeypatch: pytest.MonkeyPatch, *script: tuple[float, Verdict], **capabilities: Any
) -> tuple[Evidence, list[float]]:
    clock = Clock()
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    asking = Capabilities(**{"query_after_unknown": "by_visit", **capabilities})
    gateway = NationalGateway("national", SITE, national(SITE).profile, capabilities=asking)
    case = Case("c", "H", "settle", "K", "V", "e", "b", "outpatient", "national", State.RESOLVING, "h", owner="me")
    context = Context(
        Place(SITE, gateway, timers=Timers()), Encounter("e", "H", "E", "outpatient", "national"),
        Bill("b", "H", "e", "V", "B"), case,
    )  # fmt: skip
    centre = Centre(clock, *script)
    ownership = Ownership(None, clock, "me", 45.0, exclusive=True)  # type: ignore[arg-type]
    sessions = Sessions(None, centre, clock, "p1")  # type: ignore[arg-type]
    resolver = Resolver(None, centre, clock, Middle(), ownership, sessions, None)  # type: ignore[arg-type]
    record = CallRecord("r", "H", "MSG1", "pay", "2207", "N", not_after=iso(clock.wall()))

    async def refresh() -> tuple[Context, CallRecord]:
        return context, record

    found = await resolver.evidence(context, Call("pay", "2207", "N", {}, "MSG1"), record, refresh)
    assert found is not None
    return found, centre.asked


async def test_absence_takes_two_negatives_both_sent_after_the_quiet_period(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = await evidence(monkeypatch, (0.0, ABSENT))
    assert (found.state, found.by) == (State.NOT_APPLIED, "E3")
    late = [at for at in asked if at >= QUIET]
    assert len(late) == 2
    assert late[0] == QUIET
    assert late[1] >= late[0] + 30.0


async def test_the_ladder_of_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    _, asked = await evidence(monkeypatch, (0.0, ABSENT))
    assert asked[:7] == [2.0, 7.0, 22.0, 52.0, 112.0, 412.0, QUIET]


@pytest.mark.parametrize("late", [60.0, 599.0, QUIET + 1.0])
async def test_what_appears_before_the_second_negative_is_found(monkeypatch: pytest.MonkeyPatch, late: float) -> None:
    found, asked = await evidence(monkeypatch, (0.0, ABSENT), (late, OURS))
    assert (found.state, found.by) == (State.SETTLED, "E2")
    assert found.result["setl_id"] == "S1"
    assert asked[-1] >= late


async def test_a_failed_question_is_no_negative_and_breaks_the_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = await evidence(monkeypatch, (0.0, ABSENT), (QUIET + 10, BROKEN), (QUIET + 100, ABSENT))
    assert found.state is State.NOT_APPLIED
    good = [at for at in asked if at >= QUIET + 100]
    assert len(good) == 2
    assert good[1] >= good[0] + 30.0


async def test_a_slower_centre_is_given_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"late_commit_s": 1800.0, "query_lag_s": 300.0, "second_negative_s": 60.0}
    found, asked = await evidence(monkeypatch, (0.0, ABSENT), **slow)
    late = [at for at in asked if at >= 5.0 + 1800.0 + 300.0]
    assert (found.state, len(late)) == (State.NOT_APPLIED, 2)
    assert late[1] >= late[0] + 60.0


@pytest.mark.parametrize("query", ["none", "by_setl_id_only"])
async def test_who_can_not_be_asked_is_not_asked(monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    monkeypatch.setattr(Resolver, "_can_reverse", lambda *_: False)
    found, asked = await evidence(monkeypatch, (0.0, ABSENT), query_after_unknown=query)
    assert (found.state, asked) == (State.FROZEN, [])
