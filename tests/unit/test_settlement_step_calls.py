"""A step's doubt: kept with what was sent, ended by a definite answer, left as it was by a call that never left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from adapter_core.province.plan import Step
from adapter_core.settlement.calls import Called, Caller, Context
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.records import Bill, Change, Encounter
from adapter_core.settlement.states import Result
from adapter_core.settlement.step_calls import StepCalls

FEES = Step("fees", "2204", "U", per="bill", each="fees", key="feedetl_sn", undo="unfees", drop="line")
UNFEES = Step("unfees", "2205", "U", per="bill")


class Sent:
    """Stands for the caller: whatever is sent ends in ``result``."""

    result = Result.UNKNOWN

    async def send(self, step: Step, context: Context, content: Any, change: Change) -> Any:
        return SimpleNamespace(verdict=Verdict(self.result))

    def outcome(self, context: Context, called: Any) -> tuple[Any, Any]:
        return None, None


class Kept:
    async def commit(self, change: Change) -> int:
        self.bills = change.bills
        return 0


def context(**standing: Any) -> Any:
    bill = Bill("B1", "H1", "E1", "V1", "C1", standing=standing)
    return Context(SimpleNamespace(org="H1"), Encounter("E1", "H1", "V1", "outpatient", "national"), bill)  # type: ignore[arg-type]


async def after(result: Result, **standing: Any) -> Any:
    """The bill's doubt after its lines were to be taken back, as it is stored."""
    sent, kept = Sent(), Kept()
    sent.result = result
    calls = StepCalls(kept, sent)  # type: ignore[arg-type]
    context_now, called = await calls.send_in_doubt(context(**standing), FEES, {}, UNFEES)
    await calls.journal(context_now, FEES, called)
    stored = kept.bills[0] if kept.bills else context_now.bill
    return stored.standing.get("fees?")


OPEN = {"open": True, "sent": "fees", "rows": ["F1", "F2"]}


@pytest.mark.parametrize(
    ("result", "before", "left"),
    [
        (Result.NOT_SENT, {}, None),
        (Result.NOT_SENT, {"fees?": OPEN}, OPEN),
        (Result.REJECTED, {"fees?": OPEN}, None),
        (Result.UNKNOWN, {}, {"open": True, "sent": "unfees"}),
        (Result.UNKNOWN, {"fees?": OPEN}, {**OPEN, "sent": "unfees", "before": OPEN}),
    ],
    ids=["never left", "never left, and another did", "refused", "unanswered", "unanswered twice"],
)
async def test_what_is_left_in_doubt(result: Result, before: Any, left: Any) -> None:
    assert await after(result, **before) == left


class Flaky(Caller):
    """Answers as told, one try after the other."""

    def __init__(self, *results: Result) -> None:
        wire, random = SimpleNamespace(may_retry=lambda endpoint: True), SimpleNamespace(uniform=lambda low, high: 0.0)
        super().__init__(None, wire, None, random)  # type: ignore[arg-type]
        self.results = list(results)

    async def _read_once(self, step: Step, context: Context, content: Any, resolving: bool = False) -> Called:
        return SimpleNamespace(verdict=Verdict(self.results.pop(0)))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([Result.UNKNOWN, Result.NOT_SENT, Result.NOT_SENT], Result.UNKNOWN),
        ([Result.NOT_SENT, Result.UNKNOWN, Result.NOT_SENT], Result.UNKNOWN),
        ([Result.NOT_SENT, Result.NOT_SENT, Result.NOT_SENT], Result.NOT_SENT),
        ([Result.UNKNOWN, Result.NOT_SENT, Result.APPLIED], Result.APPLIED),
    ],
)
async def test_an_upload_that_once_left_is_not_told_as_never_sent(results: list[Result], told: Result) -> None:
    place = SimpleNamespace(endpoint="centre")
    asked: Any = SimpleNamespace(place=place)
    assert (await Flaky(*results).read(UNFEES, asked, {})).verdict.result is told
