"""Walking a route's chain up to a goal: one journalled call at a time, skipping what stands (`translation.md` §5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapter_core.province.messages import Call
from adapter_core.province.plan import Step
from adapter_core.settlement.absorb import content_hash
from adapter_core.settlement.calls import SAFE_TO_REPEAT, Called, Caller, Context
from adapter_core.settlement.diseases import refuse_disease
from adapter_core.settlement.filing import file_reply, undo_step
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.ownership import unmoved
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import Bill, Change, Encounter
from adapter_core.settlement.standing import applies, at, doubt, footing, missing, stands, view
from adapter_core.settlement.states import Result
from adapter_core.settlement.stopping import facts_of, refuse_ineligible, with_fresh_insurance
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, TranslationError

TO_COME = {
    "person": {"psn_no": "0", "mdtrt_cert_type": "02"},
    "visit": {"mdtrt_id": "0"},
    "settle": {"insutype": "310"},
    "bill": {"chrg_bchno": "0"},
}
"""Stand-ins for what earlier steps will bring, so that everything else can be checked before the first byte leaves."""

ALL_ROWS = "0000"
"""2302's feedetl_sn for every line.  Source: `schemas/national/envelope.json`, rules.cancel_all."""
UNTYPED = "11"
"""普通门诊.  2201 says no 医疗类别 and 5201 is printed to want one: no source says under which a centre lists what is only registered, so a
visit of another kind is looked for under both."""
SENT = "sent"
"""The section of a bill's content with its rows as they went up, by key (`Step.drop` = ``line``)."""
MARKS = "marks"


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
            return await self._upload(context, step)
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
            return await self._take_back(context, step)
        undo = context.place.gateway.route.steps[step.undo]
        standings = (context.bill if step.per == "bill" else context.encounter).standing
        was_open = doubt(step) in standings
        if was_open and step.given and at(view(context.encounter, context.bill), step.given) is None:
            found = await self._already_there(context, step)  # created, perhaps: only its number can take it back
            if found is None:
                return await self._forgotten(context, step)
            context = found
        context, called = await self._send_in_doubt(context, step, view(context.encounter, context.bill), undo)
        gone = called.verdict.result is Result.APPLIED or (was_open and called.verdict.result is Result.REJECTED)
        if not gone:
            await self._journal(context, step, called)
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

    async def sent(self, context: Context, step: Step) -> tuple[Context, Called]:
        """One call that changes something and has no place on a chain; its doubt stays open until it was answered."""
        context, called = await self._send_in_doubt(context, step, view(context.encounter, context.bill))
        await self._journal(context, step, called)
        encounter = await self._ledger.encounter(context.encounter.encounter_id)
        assert encounter is not None
        return replace(context, encounter=encounter), called

    def looked_for(self, context: Context) -> tuple[str, ...]:
        """The kinds of care (医疗类别) under which a centre may list a visit that was only registered; "" = the bill's own."""
        own = str(view(context.encounter, context.bill)["settle"].get("med_type", ""))
        return ("", UNTYPED) if context.encounter.kind == "outpatient" and own not in ("", UNTYPED) else ("",)

    async def looked_up(self, context: Context, step: Step, med_type: str = "") -> Called:
        """What the centre has, where a create ended in doubt.  med_type: asked for instead of the bill's own.

        Raises: StepStopped when this wasn't answered either.
        """
        ask = context.place.gateway.route.steps[step.ask]
        content = view(context.encounter, context.bill)
        until = {**content.get("env", {}), "endtime": self._caller.national_moment()}
        settle = {**content["settle"], "med_type": med_type} if med_type else content["settle"]
        called = await self._caller.read(ask, context, {**content, "settle": settle, "env": until})
        if called.verdict.result is not Result.APPLIED:
            raise StepStopped(step, replace(called.verdict, result=Result.UNKNOWN))
        return called

    async def _send_in_doubt(
        self, context: Context, step: Step, content: Content, undo: Step | None = None, rows: Sequence[str] = ()
    ) -> tuple[Context, Called]:
        """Send the step, or what takes it back, with the doubt stored in the intent's own transaction: a crash right after
        it leaves the question open, and the next run asks before it creates or uploads again.  The case moves one version on
        with it: who no longer owns it, or meets a cancel, sends nothing more for it.

        rows: keys of the rows the doubt is about, beside those it was about before.
        """
        standings = (context.bill if step.per == "bill" else context.encounter).standing
        before = (standings.get(doubt(step)) or {}).get("rows", ())
        mark: dict[str, Any] = {
            doubt(step): {"open": True, **({"rows": list(dict.fromkeys((*before, *rows)))} if rows else {})}
        }
        if step.given and step.kind_class == "C" and undo is None:
            mark[doubt(step)]["at"] = self._caller.national_moment()
            if doubt(step) in standings:  # the one before may have landed all the same, or land yet
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

    async def _already_there(self, context: Context, step: Step) -> Context | None:
        """After a create ended in doubt: ask by person and our own visit number, adopt what is found."""
        if not step.ask:
            return None
        called = await self.looked_up(context, step)
        rows = ours_among(context.encounter, called)
        for med_type in self.looked_for(context)[1:] if not rows else ():
            called = await self.looked_up(context, step, med_type)
            rows = ours_among(context.encounter, called)
        if not rows:
            return None
        if len(rows) > 1:
            standing = {**context.encounter.standing, spare_mark(step): {"open": True}}
            context = replace(context, encounter=replace(context.encounter, standing=standing))
        adopted = replace(called.verdict, content={"visit": {"mdtrt_id": rows[-1]["mdtrt_id"]}})
        return await self._file(context, step, replace(called, verdict=adopted), stored=False)

    async def _upload(self, context: Context, step: Step) -> Context:
        """A keyed upload: only new rows go; changed or vanished rows, and those in doubt, are taken back first."""
        for tries_left in (1, 0):
            context = await self._freed(context, step)
            hashes = {row[step.key]: content_hash(row) for row in context.bill.content.get(step.each, [])}
            if not step.undo:
                pass  # a keyed row goes up again as it is
            elif step.drop != "bill":
                context = await self._drop_rows(context, step, hashes)
            elif doubt(step) in context.bill.standing or any(
                hashes.get(key) != known for key, known in _progress(context.bill, step).items()
            ):
                context = await self._take_back(context, step)
            try:
                return await self._upload_rows(context, step, _progress(context.bill, step), hashes)
            except StepStopped as stopped:
                if stopped.verdict.result is not Result.UNKNOWN or not tries_left:
                    raise
                bill = await self._ledger.bill(context.bill.bill_id)
                assert bill is not None
                # every send moved the case on: who goes on with the old one meets himself as a stranger
                case = await unmoved(self._ledger, context.case) if context.case is not None else None
                context = replace(context, bill=bill, case=case)
        raise AssertionError("unreachable")

    async def dropped(self, context: Context, step: Step) -> Context:
        """Rows that are no longer the bill's go from the centre, too.  Where they go only all at once, the others go up again
        with the next upload.  Raises: StepStopped."""
        hashes = {row[step.key]: content_hash(row) for row in context.bill.content.get(step.each, [])}
        progress = _progress(context.bill, step)
        if doubt(step) not in context.bill.standing and all(
            hashes.get(key) == known for key, known in progress.items()
        ):
            return context
        context = await self._freed(context, step)
        if step.drop != "bill" and hashes:
            return await self._drop_rows(context, step, hashes)
        return await self._take_back(context, step)

    async def _freed(self, context: Context, step: Step) -> Context:
        """What may not stand while rows come and go is taken back, and made again when the chain comes to it."""
        route = context.place.gateway.route
        for name in step.frees:
            later = route.steps[name]
            if name in context.encounter.standing or doubt(later) in context.encounter.standing:
                context = await self.undo(context, later)
        return context

    async def _upload_rows(
        self, context: Context, step: Step, progress: Mapping[str, Any], hashes: Mapping[str, str]
    ) -> Context:
        waiting = [row for row in context.bill.content.get(step.each, []) if row[step.key] not in progress]
        if not waiting:
            return await self._all_up(context, step, progress)
        while waiting:
            content, chunk = self._chunk(context, step, waiting)
            waiting = waiting[len(chunk) :]
            keys = [row[step.key] for row in chunk]
            if step.drop == "line":
                context = _with_sent(context, dict(zip(keys, content[step.each], strict=True)))
            context, called = await self._send_in_doubt(
                context, step, content, rows=keys if step.drop != "bill" else ()
            )
            if called.verdict.result is not Result.APPLIED:
                await self._journal(context, step, called)
                raise StepStopped(step, called.verdict)
            progress = {**progress, **{key: hashes[key] for key in keys}}
            # a batch that went up in part does not stand yet: the rest goes up at the next try
            unfinished: dict[str, Any] = {"over": ""} if waiting else {}
            context = await self._file(context, step, called, rows=progress, **unfinished)
        return context

    async def _all_up(self, context: Context, step: Step, progress: Mapping[str, Any]) -> Context:
        """Every row is up already, e.g. after others were dropped: the step stands on what is there now."""
        over = footing(step, view(context.encounter, context.bill))
        standing = {**context.bill.standing, step.name: {"over": over, "rows": dict(progress)}}
        bill = replace(context.bill, standing=standing, version=context.bill.version + 1)
        await self._ledger.commit(Change(context.place.org, bills=(bill,)))
        return replace(context, bill=bill)

    def _chunk(
        self, context: Context, step: Step, waiting: Sequence[Mapping[str, Any]]
    ) -> tuple[Content, Sequence[Mapping[str, Any]]]:
        """The next rows that fit one call by number and by characters, as the wire knows them."""
        chunk = waiting[: step.chunk or len(waiting)]
        seen = {name: value for name, value in view(context.encounter, context.bill).items() if name != "lines"}
        while True:
            content = _on_wire(context.bill, step, {**seen, step.each: list(chunk)})
            if step.row:
                content[step.row] = _as_sale(content, chunk[0])
            if not step.chars or len(chunk) == 1 or self._caller.length(step, context, content) <= step.chars:
                return content, chunk
            chunk = chunk[: (len(chunk) + 1) // 2]

    async def _drop_rows(self, context: Context, step: Step, hashes: Mapping[str, str]) -> Context:
        """Changed and vanished rows, and those of a batch in doubt, one by one; each gets a new number on the wire unless the
        gateway takes an old one.  A refusal ("no such line") goes on: should it remain, the trial's total betrays it."""
        progress = _progress(context.bill, step)
        open_rows = (context.bill.standing.get(doubt(step)) or {}).get("rows", [])
        moved = [key for key, known in progress.items() if hashes.get(key) != known]
        undo = context.place.gateway.route.steps[step.undo]
        for key in dict.fromkeys((*open_rows, *moved)):
            seen = {name: value for name, value in view(context.encounter, context.bill).items() if name != "lines"}
            whole = _sent(context.bill, [key]) if step.drop == "line" else []
            content = {**seen, step.each: whole, "drop": {step.key: wire_key(context.bill, step, key)}}
            context, called = await self._send_in_doubt(context, step, content, undo, rows=(key,))
            record, event = self._caller.outcome(context, called)
            change = Change(context.place.org, events=(event,), calls=(record,))
            if called.verdict.result not in (Result.APPLIED, Result.REJECTED):
                await self._ledger.commit(change)
                raise StepStopped(undo, called.verdict)
            bill = self._without_row(context, step, key)
            await self._ledger.commit(replace(change, bills=(bill,)))
            context = replace(context, bill=bill)
        return context

    def _without_row(self, context: Context, step: Step, key: str) -> Bill:
        bill, standing = context.bill, dict(context.bill.standing)
        known = dict(standing.get(step.name) or {"over": ""})
        known["rows"] = {name: value for name, value in known.get("rows", {}).items() if name != key}
        left = [name for name in standing[doubt(step)].get("rows", []) if name != key]
        standing = _without(standing, step)
        standing[step.name] = {**known, "over": ""}
        if left:
            standing[doubt(step)] = {"open": True, "rows": left}
        if not context.place.gateway.capabilities.feedetl_sn_reusable:
            marks = dict(standing.get(MARKS) or {})
            standing[MARKS] = {**marks, key: int(marks.get(key, 0)) + 1}
        lines = [row for row in bill.content.get("lines", []) if row.get(step.key) != wire_key(bill, step, key)]
        content = {**bill.content, "lines": lines}
        if SENT in content:
            content[SENT] = {name: row for name, row in content[SENT].items() if name != key}
        return replace(bill, standing=standing, content=content, version=bill.version + 1)

    async def _take_back(self, context: Context, step: Step) -> Context:
        """Remove every uploaded line of the bill; its lines get new numbers on the wire unless the gateway takes old ones.

        A refusal ("no such lines") goes on: should lines remain after all, the trial's total betrays them.
        """
        undo = context.place.gateway.route.steps[step.undo]
        content = {**view(context.encounter, context.bill), "drop": {step.key: ALL_ROWS}}
        if step.drop == "line":
            content[step.each] = _sent(context.bill, _up_or_in_doubt(context.bill, step))
        # until it is answered nobody knows which lines stand: the upload itself is in doubt
        context, called = await self._send_in_doubt(context, step, content, undo)
        record, event = self._caller.outcome(context, called)
        change = Change(context.place.org, events=(event,), calls=(record,))
        if called.verdict.result not in (Result.APPLIED, Result.REJECTED):
            await self._ledger.commit(change)
            raise StepStopped(undo, called.verdict)
        standing = self._renumbered(context, step)
        content = {name: value for name, value in context.bill.content.items() if name not in ("lines", SENT)}
        bill = replace(context.bill, standing=standing, content=content, version=context.bill.version + 1)
        await self._ledger.commit(replace(change, bills=(bill,)))
        return replace(context, bill=bill)

    def _renumbered(self, context: Context, step: Step) -> dict[str, Any]:
        """The bill's standing without any row of the step; used numbers get a mark unless the gateway takes them again."""
        standing = _without(context.bill.standing, step)
        if context.place.gateway.capabilities.feedetl_sn_reusable:
            return standing
        if step.drop == "bill":
            return {**standing, "batch": {"number": _batch(context.bill) + 1}}
        marks = dict(standing.get(MARKS) or {})
        used = _up_or_in_doubt(context.bill, step)
        return {**standing, MARKS: {**marks, **{key: int(marks.get(key, 0)) + 1 for key in used}}}

    async def _file(self, context: Context, step: Step, called: Called, stored: bool = True, **facts: Any) -> Context:
        """Store what a step brought; ``stored``: its call has an intent whose outcome belongs in the same transaction."""
        if step.given and step.kind_class == "C":
            facts = {"at": self._caller.national_moment(), **facts}
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


def spare_mark(step: Step) -> str:
    """The standing's key under which it is noted that the centre may have more than one of what the step made."""
    return f"{step.name}+"


def ours_among(encounter: Encounter, called: Called) -> list[Mapping[str, Any]]:
    """The rows of a query for visits that carry the HIS's own number of this one."""
    ours = encounter.content["visit"].get("ipt_otp_no")
    return [
        row for row in called.verdict.content.get("visits", []) if row.get("ipt_otp_no") == ours and row.get("mdtrt_id")
    ]


def _without(standing: Mapping[str, Any], step: Step) -> dict[str, Any]:
    return {name: row for name, row in standing.items() if name not in (step.name, doubt(step))}


def _batch(bill: Bill) -> int:
    return int((bill.standing.get("batch") or {}).get("number", 0))


def _progress(bill: Bill, step: Step) -> dict[str, Any]:
    """The rows that are up: key → hash of what went up."""
    return dict((bill.standing.get(step.name) or {}).get("rows", {}))


def wire_key(bill: Bill, step: Step, key: str) -> str:
    """A line's number as the wire knows it: after it was taken back, a used number gets a mark."""
    mark = _batch(bill) if step.drop == "bill" else int((bill.standing.get(MARKS) or {}).get(key, 0))
    return f"{key}-{mark}" if mark else key


def _up_or_in_doubt(bill: Bill, step: Step) -> list[str]:
    """Keys of the rows that are at the centre, or may be."""
    open_rows = (bill.standing.get(doubt(step)) or {}).get("rows", [])
    return list(dict.fromkeys((*_progress(bill, step), *open_rows)))


def _with_sent(context: Context, rows: Mapping[str, Content]) -> Context:
    """The context whose bill remembers rows as the wire gets them: what takes one back has to say all of it again, and by then
    the HIS may have changed or dropped it."""
    content = context.bill.content
    return replace(context, bill=replace(context.bill, content={**content, SENT: {**content.get(SENT, {}), **rows}}))


def _sent(bill: Bill, keys: Iterable[str]) -> list[Content]:
    known = bill.content.get(SENT, {})
    return [known[key] for key in keys if key in known]


def _on_wire(bill: Bill, step: Step, content: Content) -> Content:
    rows = [{**row, step.key: wire_key(bill, step, row[step.key])} for row in content[step.each]]
    return {**content, step.each: rows}


def _as_sale(content: Content, row: Mapping[str, Any]) -> Content:
    """A line as one record; what the HIS didn't say of the sale is what the line and its settlement say."""
    told = {
        "mdtrt_sn": content.get("settled", {}).get("mdtrt_id"),
        "sel_retn_cnt": row.get("cnt"),
        "sel_retn_time": row.get("fee_ocur_time"),
        "finl_trns_pric": row.get("pric"),
    }
    return {**{name: value for name, value in told.items() if value is not None}, **row}


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
