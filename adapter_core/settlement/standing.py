"""Which step of the plan is next: what stands, what is missing.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter_core.province.plan import Step
from adapter_core.settlement.absorb import content_hash
from adapter_core.settlement.records import Bill, Encounter
from adapter_core.values.content import Content


def view(encounter: Encounter, bill: Bill) -> Content:
    """The content a call is built from: the encounter's sections and the bill's, which says no insurance of its own as a
    rule: it is the one the encounter is registered under."""
    settle = {**encounter.content.get("insurance", {}), **bill.content.get("settle", {})}
    return {**encounter.content, **bill.content, "settle": settle}


def at(content: Mapping[str, Any], path: str) -> Any:
    """The value at ``section`` or ``section.field``; None when absent or empty."""
    section, _, field = path.partition(".")
    value = content.get(section)
    if field and (type(value) is dict or isinstance(value, Mapping)):
        value = value.get(field)
    return value or None


def missing(step: Step, content: Content) -> list[str]:
    """What the step needs and the content doesn't hold."""
    return [path for path in step.needs if at(content, path) is None]


def footing(step: Step, content: Content) -> str:
    """Hash of what the step's result rests on."""
    return content_hash({path: at(content, path) for path in step.over})


def doubt(step: Step) -> str:
    """The standing's key under which an unanswered call of the step is noted."""
    return f"{step.name}?"


def applies(step: Step, encounter: Encounter, bill: Bill) -> bool:
    """Whether the step is to be made at all: its conditions hold, and nobody else made it."""
    if not step.when and not step.given:
        return True
    content = view(encounter, bill)
    if any(str(at(content, path) or "") not in values for path, values in step.when.items()):
        return False
    ours = step.name in encounter.standing or doubt(step) in encounter.standing
    return not step.given or ours or at(content, step.given) is None


def stands(step: Step, encounter: Encounter, bill: Bill) -> bool:
    """Whether the step was done, what it rests on has not changed since, and no later try of it is in doubt."""
    standings = (bill if step.per == "bill" else encounter).standing
    standing = standings.get(step.name)
    return (
        standing is not None
        and doubt(step) not in standings
        and standing.get("over") == footing(step, view(encounter, bill))
    )
