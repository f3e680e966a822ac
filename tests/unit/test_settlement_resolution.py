"""What to do about a doubt, and what closes it: the pure rules (`reliability.md` §5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_core.province.capabilities import Capabilities
from adapter_core.settlement.place import Timers
from adapter_core.settlement.resolution import (
    Doubt,
    Reversal,
    asked,
    found_again,
    next_move,
    quiet_for_query,
    quiet_for_reversal,
    reversed_once,
)
from adapter_core.settlement.states import Result, State

TIMERS = Timers()
CAN = Capabilities(query_after_unknown="by_visit")
DOUBT = Doubt(
    first_read=0.0,
    keep=True,
    burnt=False,
    can_ask=True,
    can_reverse=True,
    in_window=True,
    overdue=False,
    next_ask=2.0,
    next_reversal=0.0,
)
QUIET_REVERSAL = quiet_for_reversal(DOUBT, TIMERS, CAN)
OK = Result.APPLIED


def test_what_is_wanted_and_can_be_asked_is_never_reversed() -> None:
    for now in (0.0, 10.0, QUIET_REVERSAL + 1):
        assert next_move(replace(DOUBT, next_ask=now), now, TIMERS, CAN).kind == "ask"


@pytest.mark.parametrize("change", [{"keep": False}, {"can_ask": False}, {"burnt": True}])
def test_what_is_not_wanted_or_cannot_be_asked_is_reversed_at_once(change: dict[str, bool]) -> None:
    assert next_move(replace(DOUBT, **change), 0.0, TIMERS, CAN).kind == "reverse"


def test_a_query_that_only_ever_shows_another_bill_is_no_usable_query() -> None:
    doubt = replace(DOUBT, blind=True, next_reversal=QUIET_REVERSAL, next_ask=QUIET_REVERSAL + 300)
    assert next_move(doubt, QUIET_REVERSAL, TIMERS, CAN).kind == "reverse"


def test_nothing_is_reversed_outside_the_window() -> None:
    doubt = replace(DOUBT, keep=False, in_window=False)
    assert next_move(doubt, 2.0, TIMERS, CAN).kind == "ask"
    assert next_move(replace(doubt, can_ask=False), 2.0, TIMERS, CAN).kind == "freeze"


def test_an_early_ok_closes_nothing_and_the_one_after_the_quiet_period_does() -> None:
    doubt = replace(DOUBT, can_ask=False)
    doubt = reversed_once(doubt, Reversal(0.0, OK), TIMERS, CAN)
    assert next_move(doubt, 1.0, TIMERS, CAN).kind == "wait"
    assert next_move(doubt, QUIET_REVERSAL, TIMERS, CAN).kind == "reverse"
    closed = next_move(reversed_once(doubt, Reversal(QUIET_REVERSAL, OK), TIMERS, CAN), QUIET_REVERSAL, TIMERS, CAN)
    assert (closed.kind, closed.state, closed.evidence) == ("close", State.REVERSED, "E6")


def test_a_reversal_just_before_the_quiet_period_ends_is_followed_by_one_just_after() -> None:
    doubt = reversed_once(replace(DOUBT, can_ask=False), Reversal(QUIET_REVERSAL - 0.1, OK), TIMERS, CAN)
    assert next_move(doubt, QUIET_REVERSAL - 0.05, TIMERS, CAN).until == QUIET_REVERSAL


def test_an_ok_that_takes_effect_later_is_waited_for() -> None:
    later = replace(CAN, reverse_ok="effective_after", reverse_ok_after_s=100.0)
    doubt = reversed_once(
        replace(DOUBT, can_ask=False), Reversal(QUIET_REVERSAL, OK, answered_at=QUIET_REVERSAL + 20), TIMERS, CAN
    )
    assert next_move(doubt, QUIET_REVERSAL + 119, TIMERS, later).kind == "wait"
    assert next_move(doubt, QUIET_REVERSAL + 120, TIMERS, later).evidence == "E6"


def test_where_an_ok_means_nothing_a_person_decides() -> None:
    nothing = replace(CAN, reverse_ok="nothing")
    doubt = reversed_once(replace(DOUBT, can_ask=False), Reversal(QUIET_REVERSAL, OK), TIMERS, CAN)
    assert next_move(doubt, QUIET_REVERSAL + 1, TIMERS, nothing).kind == "freeze"


@pytest.mark.parametrize("result", [Result.UNKNOWN, Result.NOT_SENT, Result.REJECTED])
def test_a_reversal_without_an_ok_closes_nothing(result: Result) -> None:
    doubt = reversed_once(replace(DOUBT, can_ask=False), Reversal(QUIET_REVERSAL, result), TIMERS, CAN)
    assert next_move(doubt, QUIET_REVERSAL, TIMERS, CAN).kind == "wait"


def test_no_such_original_closes_only_where_the_gateway_is_known_to_say_so() -> None:
    doubt = reversed_once(
        replace(DOUBT, can_ask=False), Reversal(QUIET_REVERSAL, Result.REJECTED, missing=True), TIMERS, CAN
    )
    assert next_move(doubt, QUIET_REVERSAL, TIMERS, CAN).kind == "wait"
    assert next_move(doubt, QUIET_REVERSAL, TIMERS, replace(CAN, reverse_missing="error")).evidence == "E6"


def test_absent_after_a_reversal_means_reversed() -> None:
    doubt = replace(DOUBT, burnt=True, negatives=(700.0, 730.0))
    assert next_move(doubt, 730.0, TIMERS, CAN).state is State.REVERSED
    assert next_move(replace(doubt, burnt=False), 730.0, TIMERS, CAN).state is State.NOT_APPLIED


def test_five_reversals_in_the_first_hour_then_hourly() -> None:
    doubt = replace(DOUBT, can_ask=False)
    for count in range(1, 7):
        doubt = reversed_once(doubt, Reversal(100.0 * count, Result.UNKNOWN), TIMERS, CAN)
        assert doubt.next_reversal - 100.0 * count == (60.0 if count < 5 else 3600.0)


def test_without_evidence_by_the_end_of_the_next_day_a_person_decides() -> None:
    assert next_move(replace(DOUBT, overdue=True), 5.0, TIMERS, CAN).kind == "freeze"


@given(
    st.lists(st.tuples(st.floats(0.1, 400.0), st.booleans()), max_size=40),
    st.booleans(),
)
def test_absence_closes_only_by_two_late_negatives_in_a_row(pauses: list[tuple[float, bool]], burnt: bool) -> None:
    """However the answers come: before two trusted negatives 30 s apart, with nothing else between them, nothing is closed."""
    doubt, now = replace(DOUBT, burnt=burnt), 0.0
    quiet = quiet_for_query(doubt, TIMERS, CAN)
    trusted: list[float] = []
    for pause, absent in pauses:
        now += pause
        doubt = asked(doubt, now, absent, 300.0, TIMERS, CAN)
        trusted = [*trusted, now] if absent and now >= quiet else ([] if not absent else trusted)
        closes = next_move(doubt, now, TIMERS, CAN).kind == "close"
        assert closes == (len(trusted) >= 2 and trusted[-1] - trusted[0] >= 30.0)


@pytest.mark.parametrize("stuck", [{"can_reverse": False}, {"in_window": False}, {"reversals": (Reversal(0.0, OK),)}])
def test_what_nothing_else_can_tell_waits_for_the_files_until_the_end_of_the_next_day(stuck: dict[str, object]) -> None:
    """No query; no reversal, none any more, or one that proves nothing."""
    nothing = replace(CAN, reverse_ok="nothing")
    doubt = replace(DOUBT, can_ask=False, **stuck)  # type: ignore[arg-type]
    assert next_move(doubt, 1000.0, TIMERS, nothing).kind == "freeze"
    waiting = replace(doubt, awaits_files=True)
    move = next_move(waiting, 1000.0, TIMERS, nothing)
    assert (move.kind, move.until) == ("wait", 1000.0 + TIMERS.query_step_last)
    assert next_move(replace(waiting, overdue=True), 1000.0, TIMERS, nothing).kind == "freeze"


def test_what_a_query_still_shows_is_reversed_again_and_not_an_hour_later() -> None:
    doubt = replace(DOUBT, keep=False)
    for number in range(5):
        doubt = reversed_once(doubt, Reversal(number * 60.0, Result.UNKNOWN), TIMERS, CAN)
    assert doubt.next_reversal == 4 * 60.0 + 3600.0
    assert found_again(doubt, 250.0, TIMERS).next_reversal == 4 * 60.0 + TIMERS.reversal_retry
    assert found_again(doubt, 900.0, TIMERS).next_reversal == 900.0
    assert found_again(DOUBT, 900.0, TIMERS).next_reversal == DOUBT.next_reversal
