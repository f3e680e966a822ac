"""The breaker's laws on a clock of the test's own, and the budget for sending again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapter_core.centre.admission import RetryBudget
from adapter_core.centre.breaker import GROUPS, Begun, Breaker, Group, Outage, group_of
from tests.clocks import HandClock

START = datetime(2026, 11, 21, 2, 32, tzinfo=UTC)
COOL_DOWN_S = 10.0
COOL_DOWN_MAX_S = 60.0


class Watched:
    """A breaker, its clock and what it told."""

    def __init__(self) -> None:
        self.clock = HandClock(START)
        self.told: list[Outage] = []
        self.breaker = Breaker("national", self.clock, COOL_DOWN_S, COOL_DOWN_MAX_S, self.told.append)

    def call(self, group: Group, answered: bool | None) -> None:
        begun = self.breaker.begin(group)
        assert begun is not None
        self.breaker.end(begun, answered)

    def resolve(self, group: Group, answered: bool) -> None:
        begun = self.breaker.begin(group, resolving=True)
        assert begun is not None
        self.breaker.end(begun, answered)

    def trip(self, group: Group) -> None:
        for _ in range(5):
            self.call(group, False)
        assert self.breaker.state(group) == "open"

    def wait(self, seconds: float) -> None:
        self.clock.later(seconds)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.mark.parametrize("group", GROUPS)
def test_five_failures_in_a_row_open_one_group_only(watched: Watched, group: Group) -> None:
    for answered in (False, False, False, False, True, False, False, False, False):
        watched.call(group, answered)
    assert watched.told == []
    watched.call(group, None)  # a cancelled call is neither
    watched.call(group, False)
    assert watched.told == [Outage("national", group, START, 0.0)]
    assert [watched.breaker.begin(other) is None for other in GROUPS] == [other == group for other in GROUPS]


def test_half_of_the_last_twenty_opens(watched: Watched) -> None:
    for answered in [True] * 10 + [False, True] * 5:  # 5 of 20
        watched.call("money", answered)
    for answered in [False, True] * 4:  # 9 of the last 20
        watched.call("money", answered)
    assert watched.told == []
    watched.call("money", False)
    assert watched.breaker.state("money") == "open"

    watched.call("read", True)
    watched.wait(COOL_DOWN_S)
    watched.call("money", False)  # counting starts over
    assert watched.breaker.state("money") == "closed"


def test_fewer_than_twenty_calls_are_no_share(watched: Watched) -> None:
    for answered in [False, True] * 9 + [False]:
        watched.call("read", answered)
    assert watched.breaker.state("read") == "closed"


def test_the_probe_decides(watched: Watched) -> None:
    watched.trip("read")
    watched.wait(COOL_DOWN_S - 0.1)
    assert watched.breaker.begin("read") is None
    watched.wait(0.1)
    probe = watched.breaker.begin("read")
    assert probe is not None
    assert watched.breaker.begin("read") is None
    watched.breaker.end(probe, False)
    assert watched.breaker.state("read") == "open"
    watched.wait(2 * COOL_DOWN_S)
    watched.call("read", True)
    assert watched.breaker.state("read") == "closed"
    assert [outage.is_over for outage in watched.told] == [False, True]
    assert watched.told[1] == Outage("national", "read", START, 3 * COOL_DOWN_S, is_over=True)


def test_a_probe_that_was_cancelled_makes_room_for_the_next(watched: Watched) -> None:
    watched.trip("read")
    watched.wait(COOL_DOWN_S)
    watched.call("read", None)
    watched.call("read", True)
    assert watched.breaker.state("read") == "closed"


def test_the_cool_down_grows_to_its_limit_and_starts_over_after_a_success(watched: Watched) -> None:
    watched.trip("read")
    for cool_down_s in (10, 20, 40, 60, 60):
        watched.wait(cool_down_s - 1)
        assert watched.breaker.state("read") == "open"
        watched.wait(1)
        watched.call("read", False)
    watched.wait(60)
    watched.call("read", True)
    watched.trip("read")
    watched.wait(COOL_DOWN_S)
    assert watched.breaker.state("read") == "half_open"


@pytest.mark.parametrize("group", ["write", "money"])
def test_a_read_and_its_own_cool_down_close_the_others(watched: Watched, group: Group) -> None:
    watched.trip(group)
    watched.call("read", True)
    assert watched.breaker.begin(group) is None
    watched.wait(COOL_DOWN_S)
    assert watched.breaker.begin(group) is not None

    watched.trip(group)  # no success of its own in between: longer this time
    watched.call("read", True)
    watched.wait(2 * COOL_DOWN_S - 1)
    assert watched.breaker.begin(group) is None
    watched.call("read", False)
    watched.wait(1)
    assert watched.breaker.begin(group) is None  # nobody knows
    watched.call("read", True)
    assert watched.breaker.begin(group) is not None


def test_the_latest_read_counts_for_money(watched: Watched) -> None:
    watched.trip("money")
    watched.call("read", True)
    watched.call("read", False)
    watched.wait(COOL_DOWN_S)
    assert watched.breaker.begin("money") is None
    watched.call("read", False)  # postpones nothing but its own
    watched.call("read", True)
    assert watched.breaker.begin("money") is not None


def test_only_reads_speak_for_another_group(watched: Watched) -> None:
    watched.trip("read")
    watched.trip("money")
    watched.wait(COOL_DOWN_S)
    watched.call("write", True)
    assert [watched.breaker.state(group) for group in GROUPS] == ["half_open", "closed", "open"]


def test_a_success_of_money_ends_the_growth(watched: Watched) -> None:
    for _ in range(2):
        watched.trip("money")
        watched.call("read", True)
        watched.wait(COOL_DOWN_S)
        watched.call("money", True)
    assert watched.breaker.state("money") == "closed"


def test_calls_begun_before_the_opening_tell_nothing(watched: Watched) -> None:
    early = [watched.breaker.begin("read") for _ in range(8)]
    watched.trip("read")
    watched.wait(COOL_DOWN_S)
    watched.breaker.end(early[0], True)
    assert watched.breaker.state("read") == "half_open"
    watched.call("read", True)
    for begun in early[1:]:  # hung through the outage
        watched.breaker.end(begun, False)
    assert watched.breaker.state("read") == "closed"


def test_resolving_goes_through_and_counts(watched: Watched) -> None:
    for _ in range(5):
        watched.resolve("money", False)
    assert watched.breaker.begin("money") is None
    watched.trip("read")
    watched.resolve("read", True)
    assert watched.breaker.state("read") == "open"
    watched.wait(COOL_DOWN_S)
    assert [watched.breaker.state(group) for group in GROUPS] == ["closed"] * 3


def test_a_failed_resolving_read_is_as_good_as_a_failed_probe(watched: Watched) -> None:
    watched.trip("read")
    watched.wait(COOL_DOWN_S - 1)
    watched.resolve("read", False)  # too early to be one
    watched.wait(1)
    assert watched.breaker.state("read") == "half_open"
    watched.resolve("read", False)
    assert watched.breaker.begin("read") is None


def test_the_probe_has_the_last_word(watched: Watched) -> None:
    watched.trip("read")
    watched.wait(COOL_DOWN_S)
    probe = watched.breaker.begin("read")
    assert probe is not None
    watched.resolve("read", False)
    watched.breaker.end(probe, True)
    assert watched.breaker.state("read") == "closed"


def test_groups_of_the_classes() -> None:
    classes = ("R", "P", "session", "U", "C", "N", "X", "something new")
    assert [group_of(one, money=one in "UCNX") for one in classes] == ["read"] * 3 + ["write"] * 2 + ["money"] * 3
    assert group_of("R", money=True) == "money"  # a caller that says no class is never let through as the probe


class BreakerLaws(RuleBasedStateMachine):
    """Any order of beginnings, endings and passing time."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = Watched()
        self.breaker = self.watched.breaker
        self.under_way: list[Begun] = []
        self.probes: dict[int, int] = {}  # serial: how much had been told when it began
        self.failures = dict.fromkeys(GROUPS, 0)  # since the group's last change
        self.only_whole_replies = dict.fromkeys(GROUPS, True)

    @rule(group=st.sampled_from(GROUPS))
    def work(self, group: Group) -> None:
        state = self.breaker.state(group)
        told = len(self.watched.told)
        begun = self.breaker.begin(group)
        if group != "read":
            assert state != "half_open"
        if state == "half_open":
            assert (begun is None) == bool(self.probes)
        else:
            assert (begun is None) == (state == "open")
        if begun is None:
            return
        self.under_way.append(begun)
        if state == "half_open":
            self.probes[begun.serial] = told

    @rule(group=st.sampled_from(GROUPS))
    def resolving(self, group: Group) -> None:
        begun = self.breaker.begin(group, resolving=True)
        assert begun is not None
        self.under_way.append(begun)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), answered=st.sampled_from([False, False, False, True, None]))
    def end(self, data: st.DataObject, answered: bool | None) -> None:
        begun = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        before = len(self.watched.told)
        self.failures[begun.group] += answered is False
        self.only_whole_replies[begun.group] &= answered is not False
        self.breaker.end(begun, answered)
        for outage in self.watched.told[before:]:
            if not outage.is_over:
                assert (outage.group, answered) == (begun.group, False)
                assert self.failures[outage.group] >= 5
            self.failures[outage.group] = 0
        told_at_start = self.probes.pop(begun.serial, None)
        if answered and told_at_start is not None:
            openings = [o for o in self.watched.told[told_at_start:] if o.group == "read" and not o.is_over]
            assert openings or self.breaker.state("read") == "closed"

    @rule(seconds=st.sampled_from([1.0, 9.5, 10.0, 25.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.watched.wait(seconds)

    @invariant()
    def one_probe_at_a_time(self) -> None:
        assert len(self.probes) <= 1

    @invariant()
    def told_once_each(self) -> None:
        for group in GROUPS:
            told = [outage.is_over for outage in self.watched.told if outage.group == group]
            assert told == [number % 2 == 1 for number in range(len(told))]
            is_open = self.breaker.state(group) != "closed"
            told = [outage.is_over for outage in self.watched.told if outage.group == group]
            assert is_open == (len(told) % 2 == 1)

    @invariant()
    def whole_replies_never_open(self) -> None:
        for group in GROUPS:
            assert not (self.only_whole_replies[group] and self.breaker.state(group) != "closed")

    def teardown(self) -> None:
        """When the faults end, one read after the longest cool-down opens everything again."""
        for begun in self.under_way:
            self.breaker.end(begun, None)
        self.watched.wait(COOL_DOWN_MAX_S)
        self.watched.call("read", True)
        assert [self.breaker.state(group) for group in GROUPS] == ["closed"] * 3


TestBreakerLaws = BreakerLaws.TestCase
TestBreakerLaws.settings = settings(max_examples=150, stateful_step_count=80, deadline=None)


def test_retries_are_a_tenth_of_traffic() -> None:
    budget = RetryBudget()
    assert [budget.take() for _ in range(12)] == [True] * 10 + [False] * 2
    retries = 0
    for _ in range(1000):
        budget.earn()
        retries += budget.take()
    assert retries == 100
    for _ in range(1000):
        budget.earn()
    assert budget.left == 10
