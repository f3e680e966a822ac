"""Folding: outpatient lines taken into a stay (预住院), and given back when nothing comes of it; each step journalled, each repeatable.

First both bills say where the lines go, then what the centre has of them is taken back, then they change places in one
transaction, and only then they go up anew.  Whoever is stopped on the way goes on there with the same message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from adapter_core.province.messages import Operation
from adapter_core.settlement import preadmission
from adapter_core.settlement.calls import Context
from adapter_core.settlement.chain import Chain
from adapter_core.settlement.decisions import move
from adapter_core.settlement.diseases import options_of
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Ledger
from adapter_core.settlement.reception import Reception
from adapter_core.settlement.records import Bill, Case, Change, Encounter, Event
from adapter_core.settlement.standing import doubt
from adapter_core.settlement.states import Result, State
from adapter_core.settlement.stopping import StepStopped
from adapter_core.settlement.undoing import MID_STAY
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, Refused, TranslationError
from adapter_core.values.moments import iso

Named = Mapping[str, str]
"""``encounter``, and ``visit`` where not all of its bills are meant."""
SignedIn = Callable[[Context], Awaitable[Context]]
Lane = Callable[[str], AbstractAsyncContextManager[None]]


class Folding:
    """lane: of an encounter, by its key."""

    def __init__(self, ledger: Ledger, chain: Chain, reception: Reception, clock: Clock) -> None:
        self._ledger = ledger
        self._chain = chain
        self._reception = reception
        self._clock = clock

    async def fold(self, context: Context, operation: Operation, signed_in: SignedIn, lane: Lane) -> Context:
        """The stay with the lines of the outpatient bills a message names among its own; they are not sent up here.

        context: the stay with its open bill.  Raises: NotSupported PREADMISSION_OFF; Refused NO_SUCH_ENCOUNTER, PERSON_DIFFERS,
        PREHOSPITAL_NOT_ELIGIBLE, NO_LINES, USE_VOID, USE_CANCEL, VISIT_HELD, FOLDED; StepStopped.
        """
        days = preadmission.refuse_closed(options_of(context.place), context.encounter)
        for named in _named(operation):
            async with lane(named["encounter"]):
                visit, bills = await self._outpatient(context.place.org, named)
                preadmission.refuse_other_person(context.encounter, visit)
                for bill in bills:
                    context = await self._taken(context, visit, bill, days, signed_in)
        return context

    async def _outpatient(self, org: str, named: Named) -> tuple[Encounter, list[Bill]]:
        """The visit, and the newest bill of every key that is meant.  Raises: Refused."""
        visit = await self._ledger.encounter_by_key(org, named["encounter"])
        if visit is None or visit.kind != "outpatient":
            text = f"没有找到门诊就诊 {named['encounter']}，未并入，请核对"
            raise Refused("no such visit", code="NO_SUCH_ENCOUNTER", message_zh=text)
        known = {bill.visit_key: bill for bill in await self._ledger.bills_of(visit.encounter_id)}
        bills = [bill for key, bill in known.items() if named.get("visit", key) == key]
        if "visit" not in named:
            bills = [bill for bill in bills if bill.content.get("fees")]
        if not bills:
            text = f"门诊就诊 {named['encounter']} 没有账单 {named.get('visit', '')}，未并入，请核对"
            raise Refused("no such bill", code="NO_SUCH_ENCOUNTER", message_zh=text)
        return visit, bills

    async def _taken(self, context: Context, visit: Encounter, bill: Bill, days: int, signed_in: SignedIn) -> Context:
        entry = preadmission.folded_in(context.bill).get(bill.visit_key)
        if entry is not None and entry["state"] == preadmission.IN:
            return context
        if entry is None:
            context, bill = await self._promised(context, bill, days)
        await self._withdrawn(context.place, visit, bill, signed_in)
        bill = await self._fresh(bill)
        stay_bill = preadmission.arrived(context.bill, bill)
        event = self._event("FOLDED", context.encounter, {"visit_key": bill.visit_key, "bill_id": bill.bill_id})
        bill = replace(bill, version=bill.version + 1)  # so that nobody else wrote to it meanwhile
        await self._ledger.commit(Change(context.place.org, bills=(stay_bill, bill), events=(event,)))
        return replace(context, bill=stay_bill)

    async def _promised(self, context: Context, bill: Bill, days: int) -> tuple[Context, Bill]:
        """Both bills say so: from here on the outpatient one takes nothing more."""
        org = context.place.org
        preadmission.refuse_folded(bill)
        preadmission.refuse_holder(bill.visit_key, await self._ledger.holder(org, bill.visit_key))
        preadmission.refuse_outside(context.encounter, bill.visit_key, bill, days)
        at = iso(self._clock.wall())
        stay_bill, promised = preadmission.coming(context.encounter, context.bill, bill, at)
        # what never reached the centre never will: the same key would settle the lines a second time
        unsent = [case for case in await self._ledger.cases_of_bill(bill.bill_id) if case.state is State.NOT_SENT]
        cases = tuple(move(case, State.CANCELLED, at, wanted=False, told={}) for case in unsent)
        events = tuple(self._cancelled(case) for case in cases)
        await self._ledger.commit(Change(org, bills=(stay_bill, promised), cases=cases, events=events))
        return replace(context, bill=stay_bill), promised

    async def _withdrawn(self, place: Place, visit: Encounter, bill: Bill, signed_in: SignedIn) -> None:
        """What the centre has of the outpatient lines is taken back; their registration too, where nothing else needs it."""
        route = place.of(visit).gateway.route
        context = Context(place.of(visit), visit, bill)
        fees = route.back(visit.kind, "drop_fees")
        if fees is not None and (fees.name in bill.standing or doubt(fees) in bill.standing):
            context = await self._chain.undo(await signed_in(context), fees)
        register = route.back(visit.kind, "unregister")
        standing = context.encounter.standing
        if register is None or not (register.name in standing or doubt(register) in standing):
            return
        others = [one for one in await self._ledger.bills_of(visit.encounter_id) if one.bill_id != bill.bill_id]
        if any(one.content.get("fees") and preadmission.FOLDED not in one.content for one in others):
            return
        try:
            await self._chain.undo(await signed_in(context), register)
        except StepStopped as stopped:
            if stopped.verdict.result is not Result.REJECTED:
                raise  # an empty registration that the centre keeps harms nothing

    # -- giving back

    async def unfold(self, place: Place, stay: Encounter, operation: Operation, signed_in: SignedIn) -> None:
        """The stay without the lines of the visits a message names, or of all; they are outpatient lines again.

        Raises: TranslationError for a visit that is not folded; Refused USE_VOID, VISIT_HELD; StepStopped.
        """
        bills = [one for one in await self._ledger.bills_of(stay.encounter_id) if preadmission.folded_in(one)]
        there = [key for bill in bills for key in preadmission.folded_in(bill)]
        named = [one.get("visit", one["encounter"]) for one in _named(operation, must=False)]
        strange = [key for key in named if key not in there]
        if strange:
            raise TranslationError([Fault("visits", "visits that are folded into this stay", key) for key in strange])
        for bill in bills:
            wanted = [key for key in preadmission.folded_in(bill) if key in named or not named]
            if not wanted:
                continue
            await self._refuse_settled(bill)
            context = await signed_in(Context(place, stay, bill))
            for visit_key in wanted:
                context = await self._given_back(context, visit_key)
            stay = context.encounter

    async def refuse_settled(self, stay: Encounter) -> None:
        """Nothing is folded into a stay that is over.  Raises: Refused USE_VOID, VISIT_HELD."""
        for bill in await self._ledger.bills_of(stay.encounter_id):
            if str(bill.content.get("settle", {}).get("mid_setl_flag", "0")) != MID_STAY:
                await self._refuse_settled(bill)

    async def _refuse_settled(self, stay_bill: Bill) -> None:
        holder = await self._ledger.holder(stay_bill.org, stay_bill.visit_key)
        if holder is None or holder.state is State.QUOTED:
            return
        if holder.state is State.SETTLED:
            text = f"该住院已结算（业务号 {holder.key}），未办理；请先退费"
            raise Refused("settled", code="USE_VOID", message_zh=text)
        text = f"该住院正在办理结算（业务号 {holder.key}），未办理；请先办结"
        raise Refused(f"state {holder.state}", code="VISIT_HELD", message_zh=text)

    async def _given_back(self, context: Context, visit_key: str) -> Context:
        org = context.place.org
        if preadmission.folded_in(context.bill)[visit_key]["state"] != preadmission.GOING:
            context = replace(context, bill=preadmission.going(context.bill, visit_key))
            await self._ledger.commit(Change(org, bills=(context.bill,)))
        step = context.place.gateway.route.back(context.encounter.kind, "drop_fees")
        if step is not None:
            context = await self._chain.uploading.dropped(context, step)
        return replace(context, bill=await self._released(context.encounter, context.bill, (visit_key,)))

    async def _released(self, stay: Encounter, stay_bill: Bill, visit_keys: Sequence[str]) -> Bill:
        """One transaction: the stay's bill forgets the visits, theirs are free."""
        org, bills = stay.org, []
        version = stay_bill.version
        for visit_key in visit_keys:
            bill = await self._ledger.bill(str(preadmission.folded_in(stay_bill)[visit_key]["bill_id"]))
            assert bill is not None
            bills.append(preadmission.free(bill))
            stay_bill = preadmission.returned(stay_bill, visit_key)
        stay_bill = replace(stay_bill, version=version + 1)
        event = self._event("UNFOLDED", stay, {"visit_keys": list(visit_keys)})
        await self._ledger.commit(Change(org, bills=(stay_bill, *bills), events=(event,)))
        return stay_bill

    async def not_admitted(self, stay: Encounter) -> None:
        """After an admission was taken back: every line goes back to where it came from."""
        for bill in await self._ledger.bills_of(stay.encounter_id):
            if preadmission.folded_in(bill):
                await self._released(stay, bill, tuple(preadmission.folded_in(bill)))

    # -- small

    async def _fresh(self, bill: Bill) -> Bill:
        found = await self._ledger.bill(bill.bill_id)
        assert found is not None
        return found

    def _event(self, kind: str, encounter: Encounter, data: Mapping[str, object]) -> Event:
        return Event(kind, iso(self._clock.wall()), "", encounter.encounter_id, data)

    def _cancelled(self, case: Case) -> Event:
        facts = {"state": str(case.state), "key": case.key, "reason": "FOLDED"}
        return Event("CANCELLED", case.changed_at, case.case_id, case.encounter_id, facts)


def _named(operation: Operation, must: bool = True) -> list[Named]:
    """Raises: TranslationError."""
    found: list[Named] = list(operation.content.get("preadmission", {}).get("visits", ()))
    if must and not found:
        raise TranslationError(
            [Fault("visits", "the outpatient visits, each a key or encounter_key and visit_key", "nothing")]
        )
    return found
