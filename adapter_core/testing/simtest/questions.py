"""What one question of the HIS makes the core do: I17 and I26 of `reliability.md` §12.

Whatever is sent or written on a question's behalf, also in tasks it began, carries the question in its context.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from adapter_core.settlement.records import Change
from adapter_core.testing.simtest.world import World

HARMLESS = frozenset({"PREPARING", "CANCELLED"})
"""Where a refused request may leave a case: not begun, or an expired quote put away."""


@dataclass(slots=True)
class Question:
    """verb: of the operation; asked_at: virtual seconds.  sent: transactions whose bytes left; states: of the cases written."""

    verb: str
    asked_at: float
    sent: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)


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
        question.states += [str(case.state) for case in change.cases]


def refused(world: World, question: Question, code: str) -> None:
    """The HIS hears that nothing was begun, so nothing may have been."""
    if question.sent:
        world.violate("I26", f"{question.verb} is refused with {code}, after {', '.join(question.sent)} left")
    beyond = [state for state in question.states if state not in HARMLESS]
    if beyond:
        world.violate("I26", f"{question.verb} is refused with {code}, and leaves a case {beyond[-1]}")
