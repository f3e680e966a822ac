"""What may still be done about a two-phase trade, case by case; and what a route may declare."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapter_core.province.capabilities import Capabilities
from adapter_core.province.plan import Second, load_route
from adapter_core.settlement.place import Timers
from adapter_core.settlement.records import CallRecord
from adapter_core.settlement.resolution import Doubt, next_move
from adapter_core.settlement.second_phase import Phases
from adapter_core.settlement.states import Result
from adapter_core.values.errors import ContractError

ROUTE = """
route = "invented"
[chain]
outpatient = ["pay"]
[goal]
outpatient = {{ settle = "pay" }}
[step.pay]
call = "1"
class = "{pay}"
second = {{ confirm = "commit", abort = "rollback", {second} }}
[step.commit]
call = "2"
class = "{commit}"
[step.rollback]
call = "3"
class = "X"
"""


def phases(
    *confirms: Result | str, prepared: bool = True, handle: bool = False, refusals: int = 0, **second: str | bool
) -> Phases:
    records = tuple(
        CallRecord(str(at), "H", str(at), "commit", "2", "K", result=one) for at, one in enumerate(confirms)
    )
    return Phases(Second("commit", "rollback", **second), prepared, handle, records, refusals)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "may_confirm", "may_abort"),
    [
        (phases(), True, True),
        (phases(prepared=False), False, False),
        (phases(prepared=False, handle=True), False, True),
        (replace(phases(prepared=False), second=Second("commit", "rollback", handle="ours")), False, True),
        (phases(Result.NOT_SENT), True, True),
        (phases(Result.REJECTED), False, True),
        (phases(Result.UNKNOWN), False, False),
        (phases(""), False, False),
        (replace(phases(Result.UNKNOWN), second=Second("commit", "rollback", repeatable=True)), True, False),
        (phases(*[Result.UNKNOWN] * 50, repeatable=True), True, False),
        (phases(*[Result.UNKNOWN] * 50, repeatable=True, refusals=4), True, False),
        (phases(*[Result.UNKNOWN] * 50, repeatable=True, refusals=5), False, False),
        (replace(phases(), second=Second("commit", "rollback", handle="session")), False, False),
        (replace(phases(), second=Second("commit")), True, False),
    ],
)
def test_no_abort_follows_a_confirm_that_may_have_been_taken(one: Phases, may_confirm: bool, may_abort: bool) -> None:
    assert (one.may_confirm, one.may_abort) == (may_confirm, may_abort)


def doubt(**changes: object) -> Doubt:
    usual = Doubt(0.0, True, False, False, False, True, False, next_ask=5.0, next_reversal=0.0)
    return replace(usual, **changes)  # type: ignore[arg-type]


def test_a_confirm_that_does_no_harm_goes_before_everything_else() -> None:
    move = next_move(doubt(can_confirm=True, can_reverse=True), 0.0, Timers(), Capabilities())
    assert move.kind == "confirm"
    assert (
        next_move(doubt(can_confirm=True, can_reverse=True, keep=False), 0.0, Timers(), Capabilities()).kind
        == "reverse"
    )
    assert (
        next_move(doubt(can_confirm=True, can_reverse=True, burnt=True), 0.0, Timers(), Capabilities()).kind
        == "reverse"
    )


def test_an_absence_that_proves_nothing_closes_nothing() -> None:
    asked = doubt(can_ask=True, negatives=(700.0, 760.0), next_ask=800.0)
    assert next_move(asked, 770.0, Timers(), Capabilities()).kind == "close"
    assert next_move(replace(asked, absence_proves=False), 770.0, Timers(), Capabilities()).kind == "wait"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"commit": "N"}, "not of class K"),
        ({"pay": "P"}, "only a step of class N"),
        ({"second": 'handle = "mine"'}, "handle is one of"),
        ({"second": 'handle = "session", repeatable = true'}, "can't be repeated"),
    ],
)
def test_a_route_that_declares_nonsense_is_refused(changes: dict[str, str], fault: str) -> None:
    said = {"pay": "N", "commit": "K", "second": 'handle = "ours"', **changes}
    with pytest.raises(ContractError, match=fault):
        load_route(ROUTE.format(**said))
    assert load_route(ROUTE.format(pay="N", commit="K", second='handle = "ours"')).steps["pay"].second is not None
