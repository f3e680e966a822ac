"""Breaker of one endpoint: reads, writes and money have a circuit each, and only a read may try a broken endpoint out.

Our own, since no library has all of: one probe at a time, replies that refuse never count, a clock that is passed in, and
money that is never the probe (`reliability.md` §9).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from adapter_core.values.moments import Clock

Group = Literal["read", "write", "money"]
State = Literal["closed", "open", "half_open"]

GROUPS: tuple[Group, ...] = ("read", "write", "money")
GROUP_ZH: dict[Group, str] = {"read": "查询", "write": "登记上传", "money": "结算"}
_GROUP_OF: dict[str, Group] = {
    "R": "read", "P": "read", "session": "read", "U": "write", "C": "write", "N": "money", "X": "money",
}  # fmt: skip

FAILURES_IN_A_ROW = 5
WINDOW_CALLS = 20
WINDOW_FAILURES = 10


def group_of(kind_class: str, money: bool) -> Group:
    """The circuit a call belongs to.  What isn't surely a read is never taken for one: a read may be sent as a probe."""
    group = _GROUP_OF.get(kind_class, "money")
    return "money" if money and group == "read" else group


@dataclass(frozen=True, slots=True)
class Outage:
    """One circuit that is open, or that has just closed.  since: aware UTC; lasted_s: on the clock that never jumps."""

    endpoint: str
    group: Group
    since: datetime
    lasted_s: float
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that was let through.  serial: counts the endpoint's calls in the order they began."""

    group: Group
    serial: int


class _Circuit:
    def __init__(self, cool_down_s: float) -> None:
        self.since: datetime | None = None
        self.opened_at = self.retry_at = 0.0
        self.cool_down_s = cool_down_s
        self.counts_from = 0  # a call begun before the last opening tells nothing new when it ends
        self.probe = 0  # serial of the probe under way
        self.is_proved = False
        self.in_a_row = 0
        self.recent: deque[bool] = deque(maxlen=WINDOW_CALLS)


class Breaker:
    """Circuits of one endpoint.

    A circuit opens at 5 transport failures in a row or 10 among the last 20 calls of its group.  It closes when its
    cool-down is over and the latest read (or call of its own group) begun since the opening got a whole reply; while the
    read circuit is open and its cool-down over, one read at a time is let through as the probe.  The cool-down doubles, up
    to a limit, with each failed probe and with each opening that no success of the group came before.
    """

    def __init__(
        self,
        endpoint: str,
        clock: Clock,
        cool_down_s: float,
        cool_down_max_s: float,
        changed: Callable[[Outage], None],
    ) -> None:
        """changed: told once when a circuit opens and once when it closes; must not raise."""
        self._endpoint = endpoint
        self._clock = clock
        self._cool_down_s = cool_down_s
        self._cool_down_max_s = cool_down_max_s
        self._changed = changed
        self._serial = 0
        self._circuits: dict[Group, _Circuit] = {group: _Circuit(cool_down_s) for group in GROUPS}

    def state(self, group: Group) -> State:
        self._close_what_is_due()
        circuit = self._circuits[group]
        if circuit.since is None:
            return "closed"
        return "half_open" if group == "read" and self._clock.mono() >= circuit.retry_at else "open"

    def outages(self) -> tuple[Outage, ...]:
        """The open circuits."""
        self._close_what_is_due()
        return tuple(
            self._outage(group, circuit.since, circuit)
            for group, circuit in self._circuits.items()
            if circuit.since is not None
        )

    def refuses(self, group: Group) -> bool:
        """Whether a call of work would be refused now."""
        state = self.state(group)
        return state == "open" or (state == "half_open" and self._circuits[group].probe != 0)

    def begin(self, group: Group, *, resolving: bool = False) -> Begun | None:
        """Let a call through, or None when it is refused.  Every call let through must `end`.

        resolving: finds out what became of a settlement: never refused, never the probe, but its result counts.
        """
        if not resolving and self.refuses(group):
            return None
        self._serial += 1
        if not resolving and self._circuits[group].since is not None:
            self._circuits[group].probe = self._serial
        return Begun(group, self._serial)

    def end(self, begun: Begun, answered: bool | None) -> None:
        """answered: a whole reply came, whatever it says; False: the transport failed; None: neither, it does not count."""
        own = self._circuits[begun.group]
        was_probe = own.probe == begun.serial
        if was_probe:
            own.probe = 0
        if answered is None:
            return
        for group, circuit in self._circuits.items():
            if begun.serial < circuit.counts_from:
                continue
            if circuit.since is None:
                if circuit is own:
                    self._count(group, circuit, answered)
            elif begun.group in ("read", group):
                self._learn(circuit, answered, circuit is own, was_probe and circuit is own)
        self._close_what_is_due()

    def _count(self, group: Group, circuit: _Circuit, answered: bool) -> None:
        circuit.recent.append(answered)
        if answered:
            circuit.in_a_row = 0
            circuit.cool_down_s = self._cool_down_s
            return
        circuit.in_a_row += 1
        full = len(circuit.recent) == WINDOW_CALLS
        if circuit.in_a_row >= FAILURES_IN_A_ROW or (full and circuit.recent.count(False) >= WINDOW_FAILURES):
            self._open(group, circuit)

    def _learn(self, circuit: _Circuit, answered: bool, is_own: bool, was_probe: bool) -> None:
        """A result that came while the circuit is open."""
        now = self._clock.mono()
        circuit.is_proved = answered
        if answered and is_own:
            circuit.cool_down_s = self._cool_down_s
        if answered and was_probe:
            circuit.retry_at = min(circuit.retry_at, now)
        elif not answered and is_own and now >= circuit.retry_at:
            self._cool_down(circuit, now)

    def _open(self, group: Group, circuit: _Circuit) -> None:
        circuit.since = self._clock.wall()
        circuit.opened_at = self._clock.mono()
        circuit.counts_from = self._serial + 1
        circuit.is_proved = False
        self._cool_down(circuit, circuit.opened_at)
        self._changed(self._outage(group, circuit.since, circuit))

    def _cool_down(self, circuit: _Circuit, now: float) -> None:
        circuit.retry_at = now + circuit.cool_down_s
        circuit.cool_down_s = min(2 * circuit.cool_down_s, self._cool_down_max_s)

    def _close_what_is_due(self) -> None:
        now = self._clock.mono()
        for group, circuit in self._circuits.items():
            if circuit.since is None or not circuit.is_proved or now < circuit.retry_at:
                continue
            outage = self._outage(group, circuit.since, circuit, is_over=True)
            circuit.since = None
            circuit.in_a_row = 0
            circuit.recent.clear()
            self._changed(outage)

    def _outage(self, group: Group, since: datetime, circuit: _Circuit, is_over: bool = False) -> Outage:
        return Outage(self._endpoint, group, since, self._clock.mono() - circuit.opened_at, is_over)
