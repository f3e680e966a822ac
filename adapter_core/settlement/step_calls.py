"""The calls of a chain's steps: sent with their doubt stored first, and what each brought stored in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter_core.province.plan import Step
from adapter_core.settlement.calls import Called, Caller, Context
from adapter_core.settlement.filing import file_reply
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import Change
from adapter_core.settlement.standing import doubt
from adapter_core.settlement.states import Result
from adapter_core.values.content import Content
from adapter_core.values.copies import replace


class StepCalls:
    def __init__(self, ledger: Ledger, caller: Caller) -> None:
        self._ledger = ledger
        self._caller = caller

    async def send_in_doubt(
        self, context: Context, step: Step, content: Content, undo: Step | None = None, rows: Sequence[str] = ()
    ) -> tuple[Context, Called]:
        """Send the step, or what takes it back, with the doubt stored in the intent's own transaction: a crash right after
        it leaves the question open, and the next run asks before it creates or uploads again.  The case moves one version on
        with it: who no longer owns it, or meets a cancel, sends nothing more for it.

        rows: keys of the rows the doubt is about, beside those it was about before.
        """
        standings = (context.bill if step.per == "bill" else context.encounter).standing
        known: Mapping[str, Any] = standings.get(doubt(step)) or {}
        rows = list(dict.fromkeys((*known.get("rows", ()), *rows)))
        mark: dict[str, Any] = {
            doubt(step): {"open": True, "sent": (undo or step).name, **({"rows": rows} if rows else {})}
        }
        if known:  # what was sent before stays in doubt even where this never leaves
            mark[doubt(step)]["before"] = {name: value for name, value in known.items() if name != "before"}
        if step.given and step.kind_class == "C" and undo is None:
            mark[doubt(step)]["at"] = self._caller.national_moment()
            if known:  # the one before may have landed all the same, or land yet
                mark[spare_mark(step)] = {"open": True}
        bill, encounter = context.bill, context.encounter
        if step.per == "bill":
            bill = replace(bill, standing={**bill.standing, **mark}, version=bill.version + 1)
            change = Change(context.place.org, bills=(bill,))
        else:
            encounter = replace(encounter, standing={**encounter.standing, **mark}, version=encounter.version + 1)
            change = Change(context.place.org, encounter=encounter)
        context = replace(context, encounter=encounter, bill=bill)
        if context.case is not None:
            case = replace(context.case, version=context.case.version + 1)
            context, change = replace(context, case=case), replace(change, cases=(case,))
        return context, await self._caller.send(undo or step, context, content, change)

    async def file(self, context: Context, step: Step, called: Called, stored: bool = True, **facts: Any) -> Context:
        """Store what a step brought; ``stored``: its call has an intent whose outcome belongs in the same transaction."""
        if step.given and step.kind_class == "C":
            facts = {"at": self._caller.national_moment(), **facts}
        encounter = replace(context.encounter, standing=without(context.encounter.standing, step))
        bill = replace(context.bill, standing=without(context.bill.standing, step))
        encounter, bill = file_reply(step, encounter, bill, called.verdict.content, facts)
        encounter = replace(encounter, version=encounter.version + 1)
        bill = replace(bill, version=bill.version + 1)
        change = Change(context.place.org, encounter=encounter, bills=(bill,))
        if stored:
            record, event = self._caller.outcome(context, called)
            change = replace(change, events=(event,), calls=(record,))
        await self._ledger.commit(change)
        return replace(context, encounter=encounter, bill=bill)

    async def journal(self, context: Context, step: Step, called: Called) -> None:
        """J6 of a call that brought nothing.  A definite answer ends the doubt; a call that never left leaves it as it was."""
        record, event = self._caller.outcome(context, called)
        change = Change(context.place.org, events=(event,), calls=(record,))
        result = called.verdict.result
        if result is Result.UNKNOWN:
            await self._ledger.commit(change)
            return
        bill, encounter = context.bill, context.encounter
        standing = dict((bill if step.per == "bill" else encounter).standing)
        mark = standing.pop(doubt(step), {})
        if result is Result.NOT_SENT and "before" in mark:
            standing[doubt(step)] = mark["before"]
        if step.per == "bill":
            change = replace(change, bills=(replace(bill, standing=standing, version=bill.version + 1),))
        else:
            change = replace(change, encounter=replace(encounter, standing=standing, version=encounter.version + 1))
        await self._ledger.commit(change)


def spare_mark(step: Step) -> str:
    """The standing's key under which it is noted that the centre may have more than one of what the step made."""
    return f"{step.name}+"


def without(standing: Mapping[str, Any], step: Step) -> dict[str, Any]:
    """A record's standing as if the step had never been made, and were not in doubt."""
    return {name: row for name, row in standing.items() if name not in (step.name, doubt(step))}
