"""What one question of the HIS makes the core do: I17 and I26 of `reliability.md` §12.

Whatever is sent or written on a question's behalf, also in tasks it began, carries the question in its context.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from adapter_core.settlement.records import Change
from adapter_core.testing.simtest.world import World

HARMLESS = frozenset({"PREPARING", "CANCELLED"})
"""Where a refused request may leave a case: not begun, or an expired quote put away."""


@dataclass(slots=True)
class Question:
    """verb: of the operation; asked_at: virtual seconds.  sent: transactions whose bytes left; states: of the cases written,
    by ``case_id``, the last of each."""

    verb: str
    asked_at: float
    sent: list[str] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)


QUESTION: ContextVar[Question | None] = ContextVar("question", default=None)


def exchanges(world: World, infno: str) -> None:
    """The core turns to the centre, whether or not a byte leaves."""
    question = QUESTION.get()
    if question is not None and question.verb == "query":
        world.violate("I17", f"a poll asks the centre: {infno}")


def leaves(infno: str) -> None:
    question = QUESTION.get()
    if question is not None:
        question.sent.append(infno)


def wrote(change: Change) -> None:
    question = QUESTION.get()
    if question is not None:
        question.states |= {case.case_id: str(case.state) for case in change.cases}


def refused(world: World, question: Question, code: str, state_of: Callable[[str], str]) -> None:
    """The HIS hears that nothing was begun, so nothing may have been: neither sent, nor left standing.

    state_of: a case's state now.  What another question has ended since (papers opened here and revoked at another window) isn't
    left by this one.
    """
    if question.sent:
        world.violate("I26", f"{question.verb} is refused with {code}, after {', '.join(question.sent)} left")
    beyond = [
        state for case_id, state in question.states.items() if state not in HARMLESS and state_of(case_id) == state
    ]
    if beyond:
        world.violate("I26", f"{question.verb} is refused with {code}, and leaves a case {beyond[-1]}")
