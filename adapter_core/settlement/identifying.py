"""A newborn's own person, said later than its admission: the mother's registration is taken back, and the same encounter goes on.

The order of the writes is what keeps it one stay: the wish is stored first and shuts every other door, then what stands at the
centre is taken back, newest first, and only when that is proved the encounter changes its person.  The same message again goes on
where it stopped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation
from adapter_core.settlement import newborns
from adapter_core.settlement.absorb import refuse_faults
from adapter_core.settlement.calls import Context
from adapter_core.settlement.chain import plan_faults
from adapter_core.settlement.locating import Found
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Ledger
from adapter_core.settlement.reception import Reception
from adapter_core.settlement.records import Change, Encounter, Event
from adapter_core.settlement.states import State
from adapter_core.settlement.undoing import Undoing
from adapter_core.settlement.ways import way_section
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSupported, Refused
from adapter_core.values.moments import iso

UNADMIT = "unadmit"


class Identifying:
    def __init__(self, ledger: Ledger, reception: Reception, undoing: Undoing, clock: Clock) -> None:
        self._ledger = ledger
        self._reception = reception
        self._undoing = undoing
        self._clock = clock

    async def refuse_known(self, place: Place, operation: Operation, found: Found) -> None:
        """Raises: Refused NEWBORN_KNOWN for a child that another encounter is about."""
        alias = await self._ledger.alias(place.org, newborns.ALIAS, newborns.ALIAS, newborns.alias_of(operation))
        known = await self._ledger.encounter(alias.encounter_id) if alias is not None else None
        newborns.refuse_known(known, found.encounter)

    async def identified(
        self,
        place: Place,
        dialect: Dialect,
        operation: Operation,
        found: Found,
        signed_in: Callable[[Context], Awaitable[Context]],
    ) -> Found:
        """The encounter as the child's own, nothing of it left at the centre under anybody else's number.

        Raises: TranslationError with every fault, before anything is taken back; Refused USE_VOID, USE_CANCEL, VISIT_HELD;
        StepStopped where the centre did not take it back: the same message again goes on from there.
        """
        assert found.encounter is not None
        self._refuse_faulty(place, dialect, operation, found)
        await self._refuse_unready(place, found.encounter)
        person = operation.content["person"]
        encounter = found.encounter
        if newborns.child_of(encounter).get(newborns.BECOMES) != person:
            encounter = newborns.becoming(encounter, person)
            events = (self._event("NEWBORN_IDENTIFIED", encounter),)
            await self._ledger.commit(Change(place.org, encounter=encounter, events=events))
        if encounter.standing or encounter.mdtrt_id:
            back = Operation(UNADMIT, UNADMIT, operation.dialect, encounter.kind)
            context = await self._undoing.undo(place, back, replace(found, encounter=encounter), signed_in)
            encounter = context.encounter
        return await self._swapped(place, encounter)

    async def _swapped(self, place: Place, encounter: Encounter) -> Found:
        route = place.gateway.route
        encounter = newborns.own(encounter, route, self._unchosen(place))
        known = await self._ledger.bills_of(encounter.encounter_id)
        bills = [newborns.untried(bill, route, encounter.kind) for bill in known if bill.is_open]
        events = (self._event("NEWBORN_OWN", encounter),)
        await self._ledger.commit(Change(place.org, encounter=encounter, bills=tuple(bills), events=events))
        return Found(encounter, bills[-1] if bills else None)

    def _refuse_faulty(self, place: Place, dialect: Dialect, operation: Operation, found: Found) -> None:
        """As the child's own registration will be checked, on copies."""
        assert found.encounter is not None
        route = place.gateway.route
        becoming = newborns.becoming(found.encounter, operation.content["person"])
        encounter = newborns.own(becoming, route, self._unchosen(place))
        bill = newborns.untried(found.bill, route, encounter.kind) if found.bill and found.bill.is_open else None
        context, _ = self._reception.admitted(place, dialect, operation, Found(encounter, bill))
        goal = route.goal(encounter.kind, operation.verb)
        if goal is not None:
            refuse_faults(operation, context.bill, plan_faults(context, route.path(encounter.kind, goal)))

    async def _refuse_unready(self, place: Place, encounter: Encounter) -> None:
        """Nothing is begun that can't be brought to its end: a quote is of the mother's amounts, a settlement in her name."""
        bills = await self._ledger.bills_of(encounter.encounter_id)
        for bill in bills:
            holder = await self._ledger.holder(place.org, bill.visit_key)
            if holder is not None and holder.state is State.QUOTED:
                text = f"该就诊有一笔未取消的预结算（业务号 {holder.key}），请先取消再补登新生儿身份，未发送"
                raise Refused("quoted", code="USE_CANCEL", message_zh=text)
        if not (encounter.standing or encounter.mdtrt_id):
            return
        target = place.gateway.route.back(encounter.kind, UNADMIT)
        if target is None:
            raise NotSupported("an admission can't be taken back here", message_zh="该线路不支持入院撤销，未发送")
        await self._undoing.refuse_settled(place, UNADMIT, target, bills)

    async def withdrawn(self, place: Place, found: Found) -> Found:
        """The wish given up: the stay goes on under the number it had, and what was taken back of it goes up again."""
        assert found.encounter is not None
        encounter = newborns.remaining(found.encounter)
        events = (self._event("NEWBORN_REMAINS", encounter),)
        await self._ledger.commit(Change(place.org, encounter=encounter, events=events))
        return replace(found, encounter=encounter)

    def _unchosen(self, place: Place) -> Content:
        return way_section("" if place.ways.is_choice else place.way)

    def _event(self, kind: str, encounter: Encounter) -> Event:
        facts = {"by": newborns.child_of(encounter).get("by", "")}
        return Event(kind, iso(self._clock.wall()), "", encounter.encounter_id, facts)
