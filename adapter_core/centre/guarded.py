"""GuardedWire: the wire port with a breaker, a bulkhead and a retry budget for each endpoint (`reliability.md` §9)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from adapter_core.centre.admission import ENTERED, Lane, RetryBudget
from adapter_core.centre.breaker import GROUP_ZH, GROUPS, Breaker, Group, Outage, State, group_of
from adapter_core.settlement.judge import PROXY_STATUSES
from adapter_core.values.errors import ConfigError, NotSent, OutcomeUnknown
from adapter_core.values.frames import Frame
from adapter_core.values.moments import Clock, china

log = logging.getLogger(__name__)

_OUR_OWN_DOING = frozenset({"NO_SUCH_ENDPOINT", "FRAME_REFUSED", "GATE_CLOSED"})
"""NotSent codes that say nothing about the endpoint."""
_NOT_SENT_ZH = {
    "QUEUE_FULL": "未发送：医保接口排队已满，请稍后重试",
    "NO_SLOT": "未发送：医保接口繁忙，请稍后重试",
    "DEADLINE_BEFORE_SEND": "未发送：已超过允许的等待时间，请重试",
}


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """For each endpoint.

    slots: calls of work at once, reads and money together; queue: calls waiting for one, in each lane;
    resolving_slots: calls at once that find out what became of a settlement, beside the others;
    cool_down_s: how long an open circuit stays open at first, doubling up to cool_down_max_s.  Raises: ConfigError.
    """

    slots: int = 8
    queue: int = 32
    resolving_slots: int = 2
    cool_down_s: float = 10.0
    cool_down_max_s: float = 60.0

    def __post_init__(self) -> None:
        if min(self.slots, self.resolving_slots) < 1 or self.queue < 0:
            raise ConfigError("slots and resolving_slots must be above zero, queue not below")
        if not 0 < self.cool_down_s <= self.cool_down_max_s:
            raise ConfigError("cool_down_s must be above zero and at most cool_down_max_s")


@dataclass(frozen=True, slots=True)
class EndpointState:
    """For metrics and `doctor`.  circuits: state of each group; outages: the open ones, with their beginning;
    busy and waiting: calls of work; resolving and resolving_waiting: the other lane; retries_left: of the budget."""

    endpoint: str
    circuits: Mapping[Group, State]
    outages: tuple[Outage, ...]
    busy: int
    waiting: int
    resolving: int
    resolving_waiting: int
    retries_left: int


class PlainWire(Protocol):
    """What is guarded: `centre.client.Centre` has this shape, and so has every wire port."""

    async def exchange(
        self, endpoint: str, frame: Frame, *, deadline_s: float, gate: Callable[[], None], money: bool
    ) -> Frame: ...


class GuardedWire:
    """The wire port.  Belongs to one event loop."""

    def __init__(
        self,
        wire: PlainWire,
        clock: Clock,
        settings: GuardSettings | None = None,
        observe: Callable[[Outage], None] | None = None,
        by_endpoint: Mapping[str, GuardSettings] | None = None,
    ) -> None:
        """settings: of every endpoint that ``by_endpoint`` doesn't name.

        observe: told once when a circuit opens and once when it closes; an exception of it is logged and goes no further.
        """
        self._wire = wire
        self._clock = clock
        self._settings = settings or GuardSettings()
        self._by_endpoint = by_endpoint or {}
        self._observe = observe
        self._guards: dict[str, _Guard] = {}

    async def exchange(
        self,
        endpoint: str,
        frame: Frame,
        *,
        deadline_s: float,
        gate: Callable[[], None],
        money: bool,
        kind_class: str = "R",
        resolving: bool = False,
    ) -> Frame:
        """As the wire's own, within ``deadline_s`` from here on, the wait for a slot included.

        Args:
            kind_class: R P U C N X or ``session``: which circuit the call belongs to.
            resolving: it finds out what became of a settlement: own slots, not stopped by the breaker.

        Raises: what the wire raises; NotSent too: BREAKER_OPEN, QUEUE_FULL, NO_SLOT, DEADLINE_BEFORE_SEND.
        """
        deadline = asyncio.get_running_loop().time() + deadline_s
        guard = self._guards.get(endpoint) or self._guard(endpoint)
        group = group_of(kind_class, money)
        if not resolving and guard.breaker.refuses(group):  # before queueing: nobody waits to be refused
            raise guard.refusal("BREAKER_OPEN", group)
        lane = guard.resolving if resolving else guard.work
        try:
            word = await lane.enter(group, deadline)
        except asyncio.CancelledError as cancelled:
            vars(cancelled).update(sent=False)
            raise
        if word != ENTERED:
            raise guard.refusal(word, group)
        try:
            return await self._admitted(guard, group, frame, deadline, gate, money, resolving)
        finally:
            lane.leave()

    async def _admitted(
        self,
        guard: _Guard,
        group: Group,
        frame: Frame,
        deadline: float,
        gate: Callable[[], None],
        money: bool,
        resolving: bool,
    ) -> Frame:
        left_s = deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise guard.refusal("DEADLINE_BEFORE_SEND", group)
        begun = guard.breaker.begin(group, resolving=resolving)
        if begun is None:
            raise guard.refusal("BREAKER_OPEN", group)
        guard.budget.earn()
        answered: bool | None = None  # stays so for a cancelled call: it tells nothing about the endpoint
        try:
            reply = await self._wire.exchange(guard.endpoint, frame, deadline_s=left_s, gate=gate, money=money)
            answered = reply.status not in PROXY_STATUSES
            return reply
        except NotSent as error:
            answered = None if error.code in _OUR_OWN_DOING else False
            raise
        except OutcomeUnknown:
            answered = False
            raise
        finally:
            guard.breaker.end(begun, answered)

    def may_retry(self, endpoint: str) -> bool:
        """Whether a read that failed may be sent again, which spends the budget.  Never while the breaker would refuse it."""
        guard = self._guard(endpoint)
        return not guard.breaker.refuses("read") and guard.budget.take()

    def outages(self) -> tuple[Outage, ...]:
        """The open circuits of all endpoints."""
        return tuple(outage for guard in self._guards.values() for outage in guard.breaker.outages())

    def snapshot(self) -> tuple[EndpointState, ...]:
        """The endpoints that were called since the start."""
        return tuple(guard.state() for guard in self._guards.values())

    def _guard(self, endpoint: str) -> _Guard:
        if endpoint not in self._guards:
            settings = self._by_endpoint.get(endpoint, self._settings)
            self._guards[endpoint] = _Guard(endpoint, self._clock, settings, self._tell)
        return self._guards[endpoint]

    def _tell(self, outage: Outage) -> None:
        if self._observe is None:
            return
        try:
            self._observe(outage)
        except Exception:  # it may be called between a money reply and its journal entry
            log.exception("the observer of outages failed")


class _Guard:
    """What stands before one endpoint."""

    def __init__(self, endpoint: str, clock: Clock, settings: GuardSettings, tell: Callable[[Outage], None]) -> None:
        self.endpoint = endpoint
        self.work = Lane(settings.slots, settings.queue)
        self.resolving = Lane(settings.resolving_slots, settings.queue)
        self.budget = RetryBudget()
        self.breaker = Breaker(endpoint, clock, settings.cool_down_s, settings.cool_down_max_s, self._changed)
        self._tell = tell

    def _changed(self, outage: Outage) -> None:
        if not outage.is_over:
            self.work.dismiss(outage.group, "BREAKER_OPEN")
        self._tell(outage)

    def refusal(self, code: str, group: Group) -> NotSent:
        return NotSent(f"endpoint {self.endpoint}: {code}", code=code, message_zh=self._message_zh(code, group))

    def _message_zh(self, code: str, group: Group) -> str:
        if code != "BREAKER_OPEN":
            return _NOT_SENT_ZH[code]
        since = next((f"自 {china(one.since):%H:%M} 起" for one in self.breaker.outages() if one.group == group), "")
        return f"未发送：医保{GROUP_ZH[group]}接口{since}中断，恢复后会自动放行，请稍后重试"

    def state(self) -> EndpointState:
        return EndpointState(
            endpoint=self.endpoint,
            circuits={group: self.breaker.state(group) for group in GROUPS},
            outages=self.breaker.outages(),
            busy=self.work.taken,
            waiting=self.work.waiting,
            resolving=self.resolving.taken,
            resolving_waiting=self.resolving.waiting,
            retries_left=self.budget.left,
        )
