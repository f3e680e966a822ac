"""Walking a route's chain up to a goal: one journalled call at a time, skipping what stands (`translation.md` §5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapter_core.province.messages import Call
from adapter_core.province.plan import Step
from adapter_core.settlement.absorb import content_hash
from adapter_core.settlement.calls import SAFE_TO_REPEAT, Called, Caller, Context
from adapter_core.settlement.filing import file_reply
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.ownership import unmoved
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import Bill, Change
from adapter_core.settlement.standing import doubt, missing, stands, view
from adapter_core.settlement.states import Result
from adapter_core.values.content import Content
from adapter_core.values.errors import Fault, TranslationError

TO_COME = {
    "person": {"psn_no": "0", "mdtrt_cert_type": "02"},
    "visit": {"mdtrt_id": "0"},
    "settle": {"insutype": "310"},
    "bill": {"chrg_bchno": "0"},
}
"""Stand-ins for what earlier steps will bring, so that everything else can be checked before the first byte leaves."""


class StepStopped(Exception):
    """A step before the money ended without being applied."""

    def __init__(self, step: Step, verdict: Verdict) -> None:
        super().__init__(f"{step.call}: {verdict.result}")
        self.step = step
        self.verdict = verdict


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
    for step in steps:
        if stands(step, context.encounter, context.bill):
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

    async def run(self, context: Context, steps: Sequence[Step], goal: Step) -> Context:
        """The context after all steps up to ``goal``; nothing of class N is sent here.

        Raises: StepStopped, Refused, TranslationError, ledger conflicts.
        """
        for step in steps:
            if step.kind_class == "N" or stands(step, context.encounter, context.bill):
                continue
            lacking = missing(step, view(context.encounter, context.bill))
            if lacking:
                if step is goal:
                    raise _lacking(step, lacking)
                continue
            context = await (self._upload(context, step) if step.each else self._single(context, step))
        return context

    async def _single(self, context: Context, step: Step) -> Context:
        content = view(context.encounter, context.bill)
        if step.kind_class in SAFE_TO_REPEAT:
            called = await self._caller.read(step, context, content)
            if called.verdict.result is not Result.APPLIED:
                raise StepStopped(step, called.verdict)
            return await self._file(context, step, called, stored=False)
        if step.kind_class == "C" and doubt(step) in context.encounter.standing:
            found = await self._already_there(context, step)
            if found is not None:
                return found
        for tries_left in (1, 0):
            context, called = await self._send_in_doubt(context, step, content)
            verdict = called.verdict.result
            if verdict is Result.APPLIED:
                return await self._file(context, step, called)
            await self._journal(context, step, called)
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

    async def _send_in_doubt(
        self, context: Context, step: Step, content: Content, undo: Step | None = None
    ) -> tuple[Context, Called]:
        """Send the step, or what takes it back, with the doubt stored in the intent's own transaction: a crash right after
        it leaves the question open, and the next run asks before it creates or uploads again.  The case moves one version on
        with it: who no longer owns it, or meets a cancel, sends nothing more for it."""
        mark = {doubt(step): {"open": True}}
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

    async def _already_there(self, context: Context, step: Step) -> Context | None:
        """After a create ended in doubt: ask by person and our own visit number, adopt what is found."""
        if not step.ask:
            return None
        ask = context.place.gateway.route.steps[step.ask]
        content = view(context.encounter, context.bill)
        until = {**content.get("env", {}), "endtime": self._caller.national_moment()}
        called = await self._caller.read(ask, context, {**content, "env": until})
        if called.verdict.result is not Result.APPLIED:
            raise StepStopped(step, replace(called.verdict, result=Result.UNKNOWN))
        ours = context.encounter.content["visit"].get("ipt_otp_no")
        visits = called.verdict.content.get("visits", [])
        rows = [row for row in visits if row.get("ipt_otp_no") == ours and row.get("mdtrt_id")]
        if not rows:
            return None
        adopted = replace(called.verdict, content={"visit": {"mdtrt_id": rows[-1]["mdtrt_id"]}})
        return await self._file(context, step, replace(called, verdict=adopted), stored=False)

    async def _upload(self, context: Context, step: Step) -> Context:
        """A keyed upload: only new rows go; a changed or vanished row, or a batch in doubt, is taken back whole first."""
        for tries_left in (1, 0):
            progress = (context.bill.standing.get(step.name) or {}).get("rows", {})
            hashes = {row[step.key]: content_hash(row) for row in context.bill.content.get(step.each, [])}
            changed = any(hashes.get(key) != known for key, known in progress.items())
            if changed or doubt(step) in context.bill.standing:
                context = await self._take_back(context, step)
                progress = {}
            try:
                return await self._upload_rows(context, step, progress, hashes)
            except StepStopped as stopped:
                if stopped.verdict.result is not Result.UNKNOWN or not tries_left:
                    raise
                bill = await self._ledger.bill(context.bill.bill_id)
                assert bill is not None
                case = await unmoved(self._ledger, context.case) if context.case is not None else None
                context = replace(context, bill=bill, case=case)
        raise AssertionError("unreachable")

    async def _upload_rows(
        self, context: Context, step: Step, progress: Mapping[str, Any], hashes: Mapping[str, str]
    ) -> Context:
        waiting = [row for row in context.bill.content.get(step.each, []) if row[step.key] not in progress]
        size = step.chunk or len(waiting) or 1
        for start in range(0, len(waiting), size):
            chunk = waiting[start : start + size]
            content = {**view(context.encounter, context.bill), step.each: chunk}
            context, called = await self._send_in_doubt(context, step, _on_wire(context.bill, step, content))
            if called.verdict.result is not Result.APPLIED:
                await self._journal(context, step, called)
                raise StepStopped(step, called.verdict)
            progress = {**progress, **{row[step.key]: hashes[row[step.key]] for row in chunk}}
            # a batch that went up in part does not stand yet: the rest goes up at the next try
            unfinished: dict[str, Any] = {} if start + size >= len(waiting) else {"over": ""}
            context = await self._file(context, step, called, rows=progress, **unfinished)
        return context

    async def _take_back(self, context: Context, step: Step) -> Context:
        """Remove every uploaded line of the bill; its lines get new numbers on the wire unless the gateway takes old ones.

        A refusal ("no such lines") goes on: should lines remain after all, the trial's total betrays them.
        """
        undo = context.place.gateway.route.steps[step.undo]
        # until it is answered nobody knows which lines stand: the upload itself is in doubt
        context, called = await self._send_in_doubt(context, step, view(context.encounter, context.bill), undo)
        record, event = self._caller.outcome(context, called)
        change = Change(context.place.org, events=(event,), calls=(record,))
        if called.verdict.result not in (Result.APPLIED, Result.REJECTED):
            await self._ledger.commit(change)
            raise StepStopped(undo, called.verdict)
        standing = _without(context.bill.standing, step)
        reuse = context.place.gateway.capabilities.feedetl_sn_reusable
        standing["batch"] = {"number": _batch(context.bill) + (0 if reuse else 1)}
        content = {name: value for name, value in context.bill.content.items() if name != "lines"}
        bill = replace(context.bill, standing=standing, content=content, version=context.bill.version + 1)
        await self._ledger.commit(replace(change, bills=(bill,)))
        return replace(context, bill=bill)

    async def _file(self, context: Context, step: Step, called: Called, stored: bool = True, **facts: Any) -> Context:
        """Store what a step brought; ``stored``: its call has an intent whose outcome belongs in the same transaction."""
        encounter = replace(context.encounter, standing=_without(context.encounter.standing, step))
        bill = replace(context.bill, standing=_without(context.bill.standing, step))
        encounter, bill = file_reply(step, encounter, bill, called.verdict.content, facts)
        encounter = replace(encounter, version=encounter.version + 1)
        bill = replace(bill, version=bill.version + 1)
        change = Change(context.place.org, encounter=encounter, bills=(bill,))
        if stored:
            record, event = self._caller.outcome(context, called)
            change = replace(change, events=(event,), calls=(record,))
        await self._ledger.commit(change)
        return replace(context, encounter=encounter, bill=bill)

    async def _journal(self, context: Context, step: Step, called: Called) -> None:
        """J6 of a call that brought nothing; a definite answer also ends the doubt."""
        record, event = self._caller.outcome(context, called)
        change = Change(context.place.org, events=(event,), calls=(record,))
        if called.verdict.result is not Result.UNKNOWN:
            bill, encounter = context.bill, context.encounter
            if step.per == "bill":
                standing = {name: row for name, row in bill.standing.items() if name != doubt(step)}
                change = replace(change, bills=(replace(bill, standing=standing, version=bill.version + 1),))
            else:
                standing = {name: row for name, row in encounter.standing.items() if name != doubt(step)}
                change = replace(change, encounter=replace(encounter, standing=standing, version=encounter.version + 1))
        await self._ledger.commit(change)


def _without(standing: Mapping[str, Any], step: Step) -> dict[str, Any]:
    return {name: row for name, row in standing.items() if name not in (step.name, doubt(step))}


def _batch(bill: Bill) -> int:
    return int((bill.standing.get("batch") or {}).get("number", 0))


def _on_wire(bill: Bill, step: Step, content: Content) -> Content:
    """Line numbers as the wire knows them: after a batch was taken back, used numbers get the batch's mark."""
    batch = _batch(bill)
    if not batch:
        return content
    return {**content, step.each: [{**row, step.key: f"{row[step.key]}-{batch}"} for row in content[step.each]]}


def _lacking(step: Step, paths: Sequence[str]) -> TranslationError:
    return TranslationError(
        [Fault(path, f"a value before {step.call} can be made", "nothing") for path in paths],
        code="INCOMPLETE",
        message_zh="资料不全，未发送，请补充后重试",
    )
