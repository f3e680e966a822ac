"""Who looks after a case or another piece of work, with notes; and decisions that wait for a second pair of eyes.

Both lie in the ledger, sealed, each with a version: of two people who write at once the second is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter_core.settlement.ports import Conflict
from adapter_core.settlement.records import AccountItem, Case, Change, Event
from adapter_core.sidecar.console.counter import Counter
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused
from adapter_core.values.moments import national_date

TASK_TOPIC = "console_task"
PROPOSAL_TOPIC = "console_decision"
OPEN = "open"
NOTES_MAX = 200


class PROPOSAL:
    """States of a decision that was proposed."""

    waiting = "waiting"
    done = "done"
    refused = "refused"


@dataclass(frozen=True, slots=True)
class Task:
    """notes: ``at``, ``by``, ``text`` each, oldest first."""

    version: int = 0
    assignee: str = ""
    notes: Sequence[Mapping[str, str]] = ()


def task_id(about: str) -> str:
    """about: a case's id, or another item's."""
    return f"task:{about}"


def proposal_id(case: Case) -> str:
    """One for each version of a case: what was proposed about an older one counts no more."""
    return f"decision:{case.case_id}:{case.version}"


def task_of(item: AccountItem | None) -> Task:
    if item is None:
        return Task()
    facts = item.facts
    return Task(item.version, str(facts.get("assignee", "")), tuple(facts.get("notes", ())))


async def changed(
    counter: Counter,
    org: str,
    about: str,
    case_id: str,
    version: int,
    who: str,
    *,
    assignee: str | None = None,
    note: str = "",
) -> None:
    """Write a task on from the version the visitor saw.  Raises: Refused TASK_MOVED when somebody was first."""
    found = (await counter.lists.items([task_id(about)])).get(task_id(about))
    before = task_of(found)
    if before.version != version:
        raise _moved()
    now = counter.now()
    said = {"at": now, "by": who, "text": note} if note else None
    notes = [*before.notes, *([said] if said else [])][-NOTES_MAX:]
    facts = {"assignee": before.assignee if assignee is None else assignee, "notes": notes}
    item = AccountItem(
        item_id=task_id(about),
        org=org,
        topic=TASK_TOPIC,
        subject="case" if case_id else "item",
        day=national_date(counter.clock.wall()),
        state=OPEN,
        case_id=case_id,
        opened_at=found.opened_at if found else now,
        changed_at=now,
        version=version + 1,
        facts=facts,
    )
    journalled = {"user": who, "about": about, "assignee": facts["assignee"], "text": note}
    await _commit(counter, Change(org, events=(Event("NOTED", now, case_id, "", journalled),), items=(item,)))


async def proposed(counter: Counter, case: Case, facts: Mapping[str, Any]) -> None:
    """Keep a decision for the second operator.  Raises: Refused when one waits already."""
    now = counter.now()
    found = (await counter.lists.items([proposal_id(case)])).get(proposal_id(case))
    if found is not None and found.state == PROPOSAL.waiting:
        raise _moved()
    item = AccountItem(
        item_id=proposal_id(case),
        org=case.org,
        topic=PROPOSAL_TOPIC,
        subject=str(facts["outcome"]),
        day=national_date(counter.clock.wall()),
        state=PROPOSAL.waiting,
        case_id=case.case_id,
        amount_fen=int(case.data.get("quoted", {}).get("total_fen", 0)),
        opened_at=now,
        changed_at=now,
        version=(found.version if found else 0) + 1,
        facts=facts,
    )
    told = {"user": facts["by"], "outcome": facts["outcome"], "reason": facts["reason"], "proof": facts["proof"]}
    event = Event("PROPOSED", now, case.case_id, case.encounter_id, told)
    await _commit(counter, Change(case.org, events=(event,), items=(item,)))


async def ended(counter: Counter, case: Case, item: AccountItem, state: str, who: str, why: str = "") -> None:
    """A proposal carried out, or refused.  Raises: Refused when somebody was first."""
    now = counter.now()
    after = replace(item, state=state, changed_at=now, version=item.version + 1)
    events: tuple[Event, ...] = ()
    if state == PROPOSAL.refused:
        events = (Event("PROPOSAL_REFUSED", now, case.case_id, case.encounter_id, {"user": who, "reason": why}),)
    await _commit(counter, Change(case.org, events=events, items=(after,)))


async def _commit(counter: Counter, change: Change) -> None:
    running = counter.desk.running
    try:
        await (running.kept or running.ledger).commit(change)
    except Conflict:
        raise _moved() from None


def _moved() -> Refused:
    return Refused("somebody was first", code="TASK_MOVED", message_zh="其他人刚刚改过，请刷新后再操作")
