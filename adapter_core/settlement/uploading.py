"""Uploading the rows of a bill by their keys: new ones go up, changed or vanished ones are taken back first (`translation.md` §5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from adapter_core.province.plan import Step
from adapter_core.settlement.absorb import content_hash
from adapter_core.settlement.calls import Caller, Context
from adapter_core.settlement.ownership import unmoved
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import Bill, Change
from adapter_core.settlement.standing import doubt, footing, view
from adapter_core.settlement.states import Result
from adapter_core.settlement.step_calls import StepCalls, without
from adapter_core.settlement.stopping import StepStopped
from adapter_core.values.content import Content
from adapter_core.values.copies import replace

ALL_ROWS = "0000"
"""2302's feedetl_sn for every line.  Source: `schemas/national/envelope.json`, rules.cancel_all."""
SENT = "sent"
"""The section of a bill's content with its rows as they went up, by key (`Step.drop` = ``line``)."""
MARKS = "marks"


class Uploading:
    """undo: takes back another step of the encounter, one that may not stand while rows come and go."""

    def __init__(
        self, ledger: Ledger, caller: Caller, calls: StepCalls, undo: Callable[[Context, Step], Awaitable[Context]]
    ) -> None:
        self._ledger = ledger
        self._caller = caller
        self._calls = calls
        self._undo = undo

    async def uploaded(self, context: Context, step: Step) -> Context:
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
                context = await self.taken_back(context, step)
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
        return await self.taken_back(context, step)

    async def taken_back(self, context: Context, step: Step) -> Context:
        """Remove every uploaded line of the bill; its lines get new numbers on the wire unless the gateway takes old ones.

        A refusal ("no such lines") goes on: should lines remain after all, the trial's total betrays them.
        """
        undo = context.place.gateway.route.steps[step.undo]
        content = {**view(context.encounter, context.bill), "drop": {step.key: ALL_ROWS}}
        if step.drop == "line":
            content[step.each] = _sent(context.bill, _up_or_in_doubt(context.bill, step))
        # until it is answered nobody knows which lines stand: the upload itself is in doubt
        context, called = await self._calls.send_in_doubt(context, step, content, undo)
        if called.verdict.result not in (Result.APPLIED, Result.REJECTED):
            await self._calls.journal(context, step, called)
            raise StepStopped(undo, called.verdict)
        record, event = self._caller.outcome(context, called)
        change = Change(context.place.org, events=(event,), calls=(record,))
        standing = self._renumbered(context, step)
        content = {name: value for name, value in context.bill.content.items() if name not in ("lines", SENT)}
        bill = replace(context.bill, standing=standing, content=content, version=context.bill.version + 1)
        await self._ledger.commit(replace(change, bills=(bill,)))
        return replace(context, bill=bill)

    async def _freed(self, context: Context, step: Step) -> Context:
        """What may not stand while rows come and go is taken back, and made again when the chain comes to it."""
        route = context.place.gateway.route
        for name in step.frees:
            later = route.steps[name]
            if name in context.encounter.standing or doubt(later) in context.encounter.standing:
                context = await self._undo(context, later)
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
            context, called = await self._calls.send_in_doubt(
                context, step, content, rows=keys if step.drop != "bill" else ()
            )
            if called.verdict.result is not Result.APPLIED:
                await self._calls.journal(context, step, called)
                raise StepStopped(step, called.verdict)
            progress = {**progress, **{key: hashes[key] for key in keys}}
            # a batch that went up in part does not stand yet: the rest goes up at the next try
            unfinished: dict[str, Any] = {"over": ""} if waiting else {}
            context = await self._calls.file(context, step, called, rows=progress, **unfinished)
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
            context, called = await self._calls.send_in_doubt(context, step, content, undo, rows=(key,))
            if called.verdict.result not in (Result.APPLIED, Result.REJECTED):
                await self._calls.journal(context, step, called)
                raise StepStopped(undo, called.verdict)
            record, event = self._caller.outcome(context, called)
            change = Change(context.place.org, events=(event,), calls=(record,))
            bill = self._without_row(context, step, key)
            await self._ledger.commit(replace(change, bills=(bill,)))
            context = replace(context, bill=bill)
        return context

    def _without_row(self, context: Context, step: Step, key: str) -> Bill:
        bill, standing = context.bill, dict(context.bill.standing)
        known = dict(standing.get(step.name) or {"over": ""})
        known["rows"] = {name: value for name, value in known.get("rows", {}).items() if name != key}
        left = [name for name in standing[doubt(step)].get("rows", []) if name != key]
        standing = without(standing, step)
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

    def _renumbered(self, context: Context, step: Step) -> dict[str, Any]:
        """The bill's standing without any row of the step; used numbers get a mark unless the gateway takes them again."""
        standing = without(context.bill.standing, step)
        if context.place.gateway.capabilities.feedetl_sn_reusable:
            return standing
        if step.drop == "bill":
            return {**standing, "batch": {"number": _batch(context.bill) + 1}}
        marks = dict(standing.get(MARKS) or {})
        used = _up_or_in_doubt(context.bill, step)
        return {**standing, MARKS: {**marks, **{key: int(marks.get(key, 0)) + 1 for key in used}}}


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
