"""Undoing: a registration, a discharge or fee lines taken back at the HIS's word, newest first, each step journalled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from adapter_core.province.messages import Operation
from adapter_core.province.plan import Step
from adapter_core.settlement import preadmission
from adapter_core.settlement.calls import Context
from adapter_core.settlement.chain import Chain
from adapter_core.settlement.filing import undo_step
from adapter_core.settlement.locating import Found
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.reception import Reception
from adapter_core.settlement.records import Bill, Change
from adapter_core.settlement.standing import at, doubt, view
from adapter_core.settlement.states import State
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSupported, Refused

MID_STAY = "1"
"""``mid_setl_flag`` of a settlement in the middle of a stay."""
SignedIn = Callable[[Context], Awaitable[Context]]


class Undoing:
    def __init__(self, ledger: Ledger, chain: Chain, reception: Reception) -> None:
        self._ledger = ledger
        self._chain = chain
        self._reception = reception

    async def undo(self, place: Place, operation: Operation, found: Found, signed_in: SignedIn) -> Context:
        """The context after the step of the verb, and what stands after it, was taken back.

        Raises: Refused NO_SUCH_ENCOUNTER, USE_VOID, VISIT_HELD; NotSupported; StepStopped.
        """
        if found.encounter is None:
            raise Refused(
                "no such encounter", code="NO_SUCH_ENCOUNTER", message_zh="没有找到该就诊，未发送，请核对就诊号"
            )
        route = place.gateway.route
        target = route.back(found.encounter.kind, operation.verb)
        if target is None:
            raise NotSupported(f"no {operation.verb} here", message_zh="该线路不支持此业务，未发送")
        bills = await self._ledger.bills_of(found.encounter.encounter_id)
        await self.refuse_settled(place, operation.verb, target, bills)
        if target.each:
            preadmission.refuse_folded(found.bill)
        bill = found.bill or (bills[-1] if bills else Bill("", place.org, found.encounter.encounter_id, "", ""))
        context = await signed_in(Context(place, found.encounter, bill))
        if target.each:
            return await self._drop(context, target, operation)
        # a refunded bill's lines still lie at the centre, which ends no visit that has any
        bills = [one for one in bills if one.is_open or target.per != "bill"]
        names = route.chains[found.encounter.kind]
        for name in reversed(names[names.index(target.name) :]):
            context = await self._undone(context, route.steps[name], bills)
        return context

    async def refuse_settled(self, place: Place, verb: str, target: Step, bills: list[Bill]) -> None:
        """Raises: Refused USE_VOID, VISIT_HELD."""
        for bill in bills:
            if target.per == "bill" and not bill.is_open:
                continue
            holder = await self._ledger.holder(place.org, bill.visit_key)
            if holder is None or holder.state is State.QUOTED:
                continue
            interim = str(bill.content.get("settle", {}).get("mid_setl_flag", "0")) == MID_STAY
            if holder.state is State.SETTLED and verb == "undischarge" and interim:
                continue
            if holder.state is State.SETTLED:
                raise Refused("settled", code="USE_VOID", message_zh="该就诊已有结算，请先退费再撤销，未发送")
            await self._reception.refuse_held(place, Found(bill=replace(bill, is_open=True)))

    async def _undone(self, context: Context, step: Step, bills: list[Bill]) -> Context:
        if step.per == "bill":
            for bill in bills:
                if step.undo and _stands(step, bill.standing):
                    context = await self._chain.undo(replace(context, bill=bill), step)
            return context
        if step.undo and step.kind_class != "N":
            there = step.given and at(view(context.encounter, context.bill), step.given) is not None
            if there or _stands(step, context.encounter.standing):
                return await self._chain.undo(context, step)
        elif _stands(step, context.encounter.standing):
            encounter, _ = undo_step(step, context.encounter, context.bill)
            encounter = replace(encounter, version=encounter.version + 1)
            await self._ledger.commit(Change(context.place.org, encounter=encounter))
            return replace(context, encounter=encounter)
        return context

    async def _drop(self, context: Context, step: Step, operation: Operation) -> Context:
        """Fee lines: those named, or all of the open bill."""
        if not context.bill.is_open or not context.bill.bill_id:
            return context
        named = {str(row[step.key]): True for row in operation.content.get(step.each, []) if row.get(step.key)}
        rows = context.bill.content.get(step.each, [])
        locked = preadmission.locked(context.bill)
        if any(number in locked for number in named):
            text = "该明细来自预住院的门诊账单，不能单独删除，请改用退回门诊"
            raise Refused("a folded line", code="LINE_FOLDED", message_zh=text)
        left = [row for row in rows if row[step.key] in locked or (named and row[step.key] not in named)]
        bill = replace(
            context.bill, content={**context.bill.content, step.each: left}, version=context.bill.version + 1
        )
        await self._ledger.commit(Change(context.place.org, bills=(bill,)))
        return await self._chain.uploading.dropped(replace(context, bill=bill), step)


def _stands(step: Step, standing: Mapping[str, Any]) -> bool:
    return step.name in standing or doubt(step) in standing
