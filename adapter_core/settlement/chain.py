"""Walking a route's chain up to a goal: one journalled call at a time, skipping what stands (`translation.md` §5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter_core.province.messages import Call
from adapter_core.province.plan import Step
from adapter_core.settlement.calls import SAFE_TO_REPEAT, Called, Caller, Context
from adapter_core.settlement.diseases import refuse_disease
from adapter_core.settlement.filing import undo_step
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import Change, Encounter
from adapter_core.settlement.standing import applies, at, doubt, missing, stands, view
from adapter_core.settlement.states import Result
from adapter_core.settlement.step_calls import StepCalls, spare_mark
from adapter_core.settlement.stopping import USUAL_TYPE, StepStopped, facts_of, refuse_ineligible, with_fresh_insurance
from adapter_core.settlement.uploading import Uploading
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, TranslationError

TO_COME = {
    "person": {"psn_no": "0", "mdtrt_cert_type": "02"},
    "visit": {"mdtrt_id": "0"},
    "settle": {"insutype": "310"},
    "bill": {"chrg_bchno": "0"},
}
"""Stand-ins for what earlier steps will bring, so that everything else can be checked before the first byte leaves."""

UNTYPED = "11"
"""普通门诊.  2201 says no 医疗类别 and 5201 is printed to want one: no source says under which a centre lists what is only registered, so a
visit of another kind is looked for under both."""


def plan_faults(context: Context, steps: Sequence[Step]) -> list[Fault]:
    """All faults of the content for every step to be made, before anything is sent."""
    content = view(context.encounter, context.bill)
    filled = {
        **content,
        **{name: {**stand_ins, **content.get(name, {})} for name, stand_ins in TO_COME.items()},
    }
    brought = {step.into for step in steps if step.into}
    needed = {steps[-1].name} | {step.name for step in steps if step.into in steps[-1].needs}
    faults: dict[str, Fault] = {}
    goal = steps[-1]
    for step in steps:
        if _is_done(context, step) or not _is_called_for(context, step, goal):
            continue
        lacking = [path for path in missing(step, filled) if path not in brought]
        if lacking and step.name in needed:
            faults.update({path: Fault(path, f"a value before {step.call} can be made", "nothing") for path in lacking})
        if lacking or step.kind_class == "N":
            continue
        call = Call(step.name, step.call, step.kind_class, {**filled, **context.extra}, "0" * 30)
        for one in context.place.gateway.faults(call):
            faults.setdefault(str(one), replace(one, path=f"{step.call}.{one.path}"))
    return list(faults.values())


class Chain:
    """Runs the steps of one encounter.  Every step ends in one ledger transaction with what it brought."""

    def __init__(self, ledger: Ledger, caller: Caller) -> None:
        self._ledger = ledger
        self._caller = caller
        self._calls = StepCalls(ledger, caller)
        self.uploading = Uploading(ledger, caller, self._calls, self.undo)

    async def run(self, context: Context, steps: Sequence[Step], goal: Step) -> Context:
        """The context after all steps up to ``goal``; nothing of class N is sent here.

        Raises: StepStopped, Refused, TranslationError, ledger conflicts.
        """
        context = _begun(context)
        for step in steps:
            if not _is_next(context, step, goal):
                continue
            context = await self._made(context, step)
            if step.kind_class == "R":
                refuse_disease(context.place, context.encounter, context.bill)
                refuse_ineligible(context)
        return context

    def is_run(self, context: Context, steps: Sequence[Step], goal: Step) -> bool:
        """Whether everything up to ``goal`` stands, so that nobody has to be asked.  Raises: Refused, TranslationError."""
        begun = _begun(context)
        return begun is context and not any(_is_next(context, step, goal) for step in steps)

    async def _made(self, context: Context, step: Step) -> Context:
        if step.each:
            return await self.uploading.uploaded(context, step)
        if step.name in context.encounter.standing and step.change:
            return await self._single(context, context.place.gateway.route.steps[step.change])
        if step.name in context.encounter.standing and step.undo and step.kind_class == "U":
            context = await self.undo(context, step)  # it stands on other facts than those of now
        return await self._single(context, step)

    async def undo(self, context: Context, step: Step) -> Context:
        """Take back what a step made; rows of an upload are the bill's and go all at once.

        Raises: StepStopped when the centre refused, or gave no answer: then it is asked again at the next try.
        """
        if step.each:
            return await self.uploading.taken_back(context, step)
        undo = context.place.gateway.route.steps[step.undo]
        standings = (context.bill if step.per == "bill" else context.encounter).standing
        was_open = doubt(step) in standings
        if was_open and step.given and at(view(context.encounter, context.bill), step.given) is None:
            found = await self._already_there(context, step)  # created, perhaps: only its number can take it back
            if found is None:
                return await self._forgotten(context, step)
            context = found
        context, called = await self._calls.send_in_doubt(context, step, view(context.encounter, context.bill), undo)
        gone = called.verdict.result is Result.APPLIED or (was_open and called.verdict.result is Result.REJECTED)
        if not gone:
            await self._calls.journal(context, step, called)
            raise StepStopped(undo, called.verdict)
        record, event = self._caller.outcome(context, called)
        encounter, bill = undo_step(step, context.encounter, context.bill)
        change = Change(context.place.org, events=(event,), calls=(record,))
        if step.per == "bill":
            bill = replace(bill, version=bill.version + 1)
            await self._ledger.commit(replace(change, bills=(bill,)))
        else:
            encounter = replace(encounter, version=encounter.version + 1)
            await self._ledger.commit(replace(change, encounter=encounter))
        return replace(context, encounter=encounter, bill=bill)

    async def _forgotten(self, context: Context, step: Step) -> Context:
        """What was never created needs no taking back."""
        encounter, bill = undo_step(step, context.encounter, context.bill)
        encounter = replace(encounter, version=encounter.version + 1)
        await self._ledger.commit(Change(context.place.org, encounter=encounter))
        return replace(context, encounter=encounter, bill=bill)

    async def _single(self, context: Context, step: Step) -> Context:
        content = view(context.encounter, context.bill)
        if step.kind_class in SAFE_TO_REPEAT:
            called = await self._caller.read(step, context, content)
            if called.verdict.result is not Result.APPLIED:
                raise StepStopped(step, called.verdict)
            return await self._calls.file(context, step, called, stored=False)
        if step.kind_class == "C" and doubt(step) in context.encounter.standing:
            found = await self._already_there(context, step)
            if found is not None:
                return found
        for tries_left in (1, 0):
            context, called = await self._calls.send_in_doubt(context, step, content)
            verdict = called.verdict.result
            if verdict is Result.APPLIED:
                return await self._calls.file(context, step, called)
            await self._calls.journal(context, step, called)
            if verdict is not Result.UNKNOWN:
                raise StepStopped(step, called.verdict)
            if step.kind_class == "C":
                found = await self._already_there(context, step)
                if found is not None:
                    return found
                raise StepStopped(step, called.verdict)
            if not tries_left:
                raise StepStopped(step, called.verdict)
        raise AssertionError("unreachable")

    async def sent(self, context: Context, step: Step) -> tuple[Context, Called]:
        """One call that changes something and has no place on a chain; its doubt stays open until it was answered."""
        context, called = await self._calls.send_in_doubt(context, step, view(context.encounter, context.bill))
        await self._calls.journal(context, step, called)
        encounter = await self._ledger.encounter(context.encounter.encounter_id)
        assert encounter is not None
        return replace(context, encounter=encounter), called

    def looked_for(self, context: Context) -> tuple[str, ...]:
        """The kinds of care (医疗类别) under which a centre may list a visit: its own, and one that was only registered ``UNTYPED``."""
        said, kind = view(context.encounter, context.bill), context.encounter.kind
        own = str(said["settle"].get("med_type") or said.get("visit", {}).get("med_type") or USUAL_TYPE[kind])
        return (own, UNTYPED) if kind == "outpatient" and own != UNTYPED else (own,)

    async def looked_up(self, context: Context, step: Step, med_type: str = "") -> Called:
        """What the centre has, where a create ended in doubt.  med_type: asked for instead of the bill's own.

        Raises: StepStopped when this wasn't answered either.
        """
        ask = context.place.gateway.route.steps[step.ask]
        content = view(context.encounter, context.bill)
        until = {**content.get("env", {}), "endtime": self._caller.national_moment()}
        settle = {**content["settle"], "med_type": med_type} if med_type else content["settle"]
        try:
            called = await self._caller.read(ask, context, {**content, "settle": settle, "env": until})
        except TranslationError as error:  # what can't be asked stays in doubt
            raise StepStopped(step, Verdict(Result.UNKNOWN, error.code, str(error))) from error
        if called.verdict.result is not Result.APPLIED:
            raise StepStopped(step, replace(called.verdict, result=Result.UNKNOWN))
        return called

    async def _already_there(self, context: Context, step: Step) -> Context | None:
        """After a create ended in doubt: ask by person and our own visit number, adopt what is found."""
        if not step.ask:
            return None
        for med_type in self.looked_for(context):
            called = await self.looked_up(context, step, med_type)
            rows = ours_among(context.encounter, called)
            if rows:
                break
        else:
            return None
        if len(rows) > 1:
            standing = {**context.encounter.standing, spare_mark(step): {"open": True}}
            context = replace(context, encounter=replace(context.encounter, standing=standing))
        adopted = replace(called.verdict, content={"visit": {"mdtrt_id": rows[-1]["mdtrt_id"]}})
        return await self._calls.file(context, step, replace(called, verdict=adopted), stored=False)


def ours_among(encounter: Encounter, called: Called) -> list[Mapping[str, Any]]:
    """The rows of a query for visits that carry the HIS's own number of this one."""
    ours = encounter.content["visit"].get("ipt_otp_no")
    return [
        row for row in called.verdict.content.get("visits", []) if row.get("ipt_otp_no") == ours and row.get("mdtrt_id")
    ]


def _begun(context: Context) -> Context:
    """The context with what must be asked anew forgotten.  Raises: Refused for what needs no asking."""
    facts = facts_of(context)
    begun = with_fresh_insurance(context, facts)
    refuse_disease(begun.place, begun.encounter, begun.bill)
    refuse_ineligible(begun, facts if begun is context else None)
    return begun


def _is_next(context: Context, step: Step, goal: Step) -> bool:
    """Whether a step is to be made now.  Raises: TranslationError where the goal lacks what it needs."""
    if step.kind_class == "N" or _is_done(context, step) or not _is_called_for(context, step, goal):
        return False
    lacking = missing(step, view(context.encounter, context.bill))
    if lacking and step is goal:
        raise _lacking(step, lacking)
    return not lacking


def _is_done(context: Context, step: Step) -> bool:
    """Whether the step stands, or the centre was told what changed since."""
    if stands(step, context.encounter, context.bill):
        return True
    if not step.change or step.name not in context.encounter.standing or doubt(step) in context.encounter.standing:
        return False
    return stands(context.place.gateway.route.steps[step.change], context.encounter, context.bill)


def _is_called_for(context: Context, step: Step, goal: Step) -> bool:
    """A trial is made for who wants its amounts, everything else where it applies."""
    if step.kind_class == "P" and step is not goal and step.into not in goal.needs:
        return False
    return applies(step, context.encounter, context.bill)


def _lacking(step: Step, paths: Sequence[str]) -> TranslationError:
    return TranslationError(
        [Fault(path, f"a value before {step.call} can be made", "nothing") for path in paths],
        code="INCOMPLETE",
        message_zh="资料不全，未发送，请补充后重试",
    )
