"""Routing: which of an institution's gateways an encounter goes through, asked again once its place of insurance is known."""

from __future__ import annotations

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation
from adapter_core.settlement.absorb import refuse_faults
from adapter_core.settlement.calls import Context
from adapter_core.settlement.chain import Chain, plan_faults
from adapter_core.settlement.locating import locate
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Ledger
from adapter_core.settlement.records import Case, Change, Encounter
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.standing import missing, view
from adapter_core.settlement.ways import GatewayGone, way_of, way_section
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSupported, Refused


class Routing:
    def __init__(self, ledger: Ledger, chain: Chain, sessions: Sessions, clock: Clock) -> None:
        self._ledger = ledger
        self._chain = chain
        self._sessions = sessions
        self._clock = clock

    async def at_door(self, place: Place, dialect: Dialect, operation: Operation) -> Place:
        """The place with the gateway of the encounter a message is about; of a new one, with what its words choose.

        Raises: GatewayGone, NotSupported.
        """
        key = operation.keys.get("settle")
        own = await self._ledger.case_by_key(place.org, "settle", key) if key else None
        if own is not None and operation.verb in ("quote", "settle"):
            try:
                return place.of(await self._encounter_of(own))
            except GatewayGone:
                return place  # what was told is told again; whatever goes on meets its own gateway, or none
        encounter = await self._encounter(place, dialect, operation)
        if encounter is not None and way_of(encounter) is not None:
            return place.of(encounter)
        return place.chosen(_known(encounter, operation.content), operation.kind, self._clock.wall())

    async def _encounter(self, place: Place, dialect: Dialect, operation: Operation) -> Encounter | None:
        for purpose in ("settle", "void"):
            key = operation.keys.get(purpose)
            case = await self._ledger.case_by_key(place.org, purpose, key) if key else None
            if case is not None:
                return await self._encounter_of(case)
        try:
            return (await locate(self._ledger, place, dialect, operation)).encounter
        except Refused:
            return None  # whoever needs the reference refuses it himself

    async def _encounter_of(self, case: Case) -> Encounter:
        encounter = await self._ledger.encounter(case.encounter_id)
        assert encounter is not None
        return encounter

    async def routed(self, context: Context, kind: str, verb: str, operation: Operation) -> Context:
        """The context on its encounter's way.  One that has none yet is identified first, asked again by what the centre tells
        of the person, and then bound to its way for ever.

        Raises: Refused SYSTEM_CUTOVER; NotSupported, TranslationError where the way chosen at last can't do it; StepStopped.
        """
        if way_of(context.encounter) is not None:
            return replace(context, place=context.place.of(context.encounter))
        now = self._clock.wall()
        first = replace(context, place=context.place.chosen(context.encounter.content, kind, now))
        asked = await self._identified(first, kind)
        place = asked.place.chosen(asked.encounter.content, kind, now)
        if place.way != first.place.way:
            asked = replace(_unidentified(first, asked), place=place)
        place.ways.refuse_cut_over(place.way, now, begins=True)
        if place.way != context.place.way:
            self._refuse_unfit(asked, kind, verb, operation)
        return await self._bound(asked)

    async def _identified(self, context: Context, kind: str) -> Context:
        """With what the centre tells of the person, where this way asks for it by itself and can."""
        who = context.place.gateway.route.goal(kind, "identify")
        if who is None or missing(who, view(context.encounter, context.bill)):
            return context
        return await self._chain.run(await self._sessions.signed_in(context), [who], who)

    def _refuse_unfit(self, context: Context, kind: str, verb: str, operation: Operation) -> None:
        """What the door checked of another way is checked of this one."""
        route = context.place.gateway.route
        goal = route.goal(kind, verb)
        if goal is None:
            raise NotSupported(f"no {verb} for {kind} here", message_zh="该线路不支持此业务，未发送")
        refuse_faults(operation, context.bill, plan_faults(context, route.path(kind, goal)))

    async def _bound(self, context: Context) -> Context:
        content = {**context.encounter.content, **way_section(context.place.way)}
        encounter = replace(context.encounter, content=content, version=context.encounter.version + 1)
        bill = replace(context.bill, version=context.bill.version + 1)
        await self._ledger.commit(Change(context.place.org, encounter=encounter, bills=(bill,)))
        return replace(context, encounter=encounter, bill=bill)


def _known(encounter: Encounter | None, said: Content) -> Content:
    """What is known of the person before anything is stored."""
    known = encounter.content.get("person", {}) if encounter else {}
    return {"person": {**known, **{name: value for name, value in said.get("person", {}).items() if value}}}


def _unidentified(first: Context, asked: Context) -> Context:
    """As before the first way's centre was asked, but for the place of insurance: its numbers are not the other one's."""
    person = asked.encounter.content.get("person", {})
    said = {**first.encounter.content.get("person", {}), "insuplc_admdvs": person.get("insuplc_admdvs", "")}
    content = {**first.encounter.content, "person": said}
    encounter = replace(first.encounter, content=content, version=asked.encounter.version)
    bill = replace(first.bill, version=asked.bill.version)
    return replace(asked, encounter=encounter, bill=bill)
