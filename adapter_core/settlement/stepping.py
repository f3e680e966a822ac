"""Steps without a case: registered, admitted, charged, folded, discharged, filed, and each of them taken back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.province.plan import Route, Step
from adapter_core.settlement import answers, newborns
from adapter_core.settlement.absorb import refuse_faults
from adapter_core.settlement.applications import Applications
from adapter_core.settlement.calls import Context
from adapter_core.settlement.chain import Chain, plan_faults
from adapter_core.settlement.folding import Folding
from adapter_core.settlement.hospital_items import refuse_unmapped
from adapter_core.settlement.identifying import Identifying
from adapter_core.settlement.lanes import Lanes
from adapter_core.settlement.locating import locate
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Ledger, Random
from adapter_core.settlement.reception import Reception
from adapter_core.settlement.records import Change
from adapter_core.settlement.routing import Routing
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import Result
from adapter_core.settlement.stopping import StepStopped, doubted
from adapter_core.settlement.telling import Teller
from adapter_core.settlement.undoing import Undoing
from adapter_core.values.errors import LedgerUnavailable, Refused
from adapter_core.values.texts import shown

UNADMITS = frozenset({"unadmit", "unregister"})


class Stepping:
    """doors: one request at a time decides about one encounter."""

    def __init__(
        self,
        ledger: Ledger,
        chain: Chain,
        reception: Reception,
        teller: Teller,
        sessions: Sessions,
        routing: Routing,
        doors: Lanes,
        clock: Clock,
        random: Random,
    ) -> None:
        self._ledger = ledger
        self._chain = chain
        self._reception = reception
        self._teller = teller
        self._sessions = sessions
        self._routing = routing
        self._doors = doors
        self._applications = Applications(ledger, chain, clock, random)
        self._undoing = Undoing(ledger, chain, reception)
        self._folding = Folding(ledger, chain, reception, clock)
        self._identifying = Identifying(ledger, reception, self._undoing, clock)

    async def step(self, place: Place, dialect: Dialect, operation: Operation) -> Outcome:
        """The chain up to the verb's own step."""
        newborns.refuse_misfit(operation)
        async with door(self._doors, place, operation), self._cradle(place, operation):
            found = await locate(self._ledger, place, dialect, operation)
            goal = place.gateway.route.goal(operation.kind, operation.verb)
            if goal is None:
                raise Refused(
                    f"no {operation.verb} here", code="NOT_SUPPORTED", message_zh="该线路不支持此业务，未发送"
                )
            self._reception.refuse_cut_over(place, begins=found.encounter is None)
            await self._reception.refuse_held(place, found)
            try:
                if newborns.identifies(found.encounter, operation):
                    signed_in = self._sessions.signed_in
                    found = await self._identifying.identified(place, dialect, operation, found, signed_in)
                elif newborns.remains(found.encounter, operation):
                    found = await self._identifying.withdrawn(place, found)
                elif newborns.alias_of(operation):
                    await self._identifying.refuse_known(place, operation, found)
                context, change = self._reception.admitted(place, dialect, operation, found)
                refuse_unmapped(context.bill, self._reception.items)
                steps = place.gateway.route.path(operation.kind, goal)
                refuse_faults(operation, context.bill, plan_faults(newborns.as_if_known(context), steps))
                await self._teller.commit(change)
                if newborns.waits(context.encounter):
                    told = view(context.encounter, context.bill)
                    return answers.plain("DONE", "NEWBORN_WAITS", newborns.WAITS_ZH, told)
                context = await self._stepped(context, operation)
            except StepStopped as stopped:
                return await self._in_doubt(place, dialect, operation, stopped) or stopped_outcome(stopped)
            except LedgerUnavailable as lost:
                return await self._left(place, dialect, operation, lost)
            refs = await self._teller.minted(place, dialect, operation.verb, context)
        return Outcome("DONE", "OK", "已受理", view(context.encounter, context.bill), refs)

    async def _stepped(self, context: Context, operation: Operation) -> Context:
        """The way to the verb's own step; a newborn's lines that were gathered before its admission go up with it."""
        context = await self._routing.routed(context, operation.kind, operation.verb, operation)
        route = context.place.gateway.route
        goal = route.goal(operation.kind, operation.verb)
        if newborns.has_gathered(context, operation):
            goal = route.goal(operation.kind, "upload_fees") or goal
        assert goal is not None
        steps = route.path(operation.kind, goal)
        return await self._chain.run(await self._sessions.signed_in(context), steps, goal)

    async def _in_doubt(
        self, place: Place, dialect: Dialect, operation: Operation, stopped: StepStopped
    ) -> Outcome | None:
        """What is told where the verb's own steps are in doubt since an earlier try, and this one did not come so far as to ask
        about them; None where what stopped speaks for itself."""
        refused = stopped.verdict.result is Result.REJECTED
        if stopped.is_unknown or (refused and not stopped.is_harmless):
            return None
        step = await self._open_doubt(place, dialect, operation)
        also = f"（本次被医保中心拒绝：{shown(stopped.verdict.text) or '无说明'}）" if refused else ""
        return None if step is None else answers.step_unknown(step, also)

    async def _left(self, place: Place, dialect: Dialect, operation: Operation, lost: LedgerUnavailable) -> Outcome:
        """The ledger stores no more; what it stored with an intent may have left since.

        Raises: ``lost``, where nothing of the verb is in doubt: then nothing was sent.
        """
        step = await self._open_doubt(place, dialect, operation)
        if step is None:
            raise lost
        return answers.step_unknown(step)

    async def _open_doubt(self, place: Place, dialect: Dialect, operation: Operation) -> Step | None:
        """What was sent last for one of the verb's own steps and had no answer."""
        found = await locate(self._ledger, place, dialect, operation)
        if found.encounter is None:
            return None
        kind, route = found.encounter.kind, place.of(found.encounter).gateway.route
        return doubted(route, _concerned(route, kind, operation.verb), found.encounter, found.bill)

    def _cradle(self, place: Place, operation: Operation) -> AbstractAsyncContextManager[None]:
        """One admission at a time of a newborn without a number of its own, whatever encounter it is said for."""
        child = newborns.alias_of(operation)
        return self._doors.lane(f"{place.org}/{newborns.ALIAS}/{child}") if child else nullcontext()

    async def fold(self, place: Place, dialect: Dialect, operation: Operation) -> Outcome:
        """``fold``: outpatient lines into a stay, and up with it; ``unfold``: out of it again."""
        async with door(self._doors, place, operation):
            found = await locate(self._ledger, place, dialect, operation)
            if found.encounter is None or found.encounter.kind != "inpatient":
                text = "没有找到该住院就诊，未办理，请先办理入院登记"
                raise Refused("no such stay", code="NO_SUCH_ENCOUNTER", message_zh=text)
            signed_in = self._sessions.signed_in
            try:
                if operation.verb == "unfold":
                    await self._folding.unfold(place, found.encounter, operation, signed_in)
                    return answers.plain("DONE", "OK", "已退回门诊")
                await self._folding.refuse_settled(found.encounter)
                context, change = self._reception.admitted(place, dialect, operation, found)
                await self._teller.commit(change)
                lane = partial(self._visit_lane, place, dialect)
                context = await self._folding.fold(context, operation, signed_in, lane)
                goal = place.gateway.route.goal("inpatient", "upload_fees")
                if goal is not None and not newborns.waits(context.encounter):
                    steps = place.gateway.route.path("inpatient", goal)
                    context = await self._chain.run(await signed_in(context), steps, goal)
            except StepStopped as stopped:
                return stopped_outcome(stopped)
        return Outcome("DONE", "OK", "已并入住院", view(context.encounter, context.bill))

    def _visit_lane(self, place: Place, dialect: Dialect, encounter_key: str) -> AbstractAsyncContextManager[None]:
        return self._doors.lane(f"{place.org}/{dialect.name}/{encounter_key}")

    async def application(self, place: Place, operation: Operation) -> Outcome:
        """``file`` and ``unfile``."""
        async with door(self._doors, place, operation):
            try:
                return await self._applications.run(place, operation, self._sessions.signed_in)
            except StepStopped as stopped:
                return stopped_outcome(stopped)

    async def undo(self, place: Place, dialect: Dialect, operation: Operation) -> Outcome:
        """A registration, a discharge or lines taken back."""
        async with door(self._doors, place, operation):
            found = await locate(self._ledger, place, dialect, operation)
            try:
                context = await self._undoing.undo(place, operation, found, self._sessions.signed_in)
            except StepStopped as stopped:
                return await self._in_doubt(place, dialect, operation, stopped) or stopped_outcome(stopped)
            except LedgerUnavailable as lost:
                return await self._left(place, dialect, operation, lost)
            if operation.verb in UNADMITS and context.encounter.kind == "inpatient":
                await self._folding.not_admitted(context.encounter)
            if operation.verb in UNADMITS and newborns.child_of(context.encounter):
                await self._teller.commit(Change(place.org, encounter=newborns.gone(context.encounter)))
        return Outcome("DONE", "OK", "已撤销", view(context.encounter, context.bill))


def door(doors: Lanes, place: Place, operation: Operation) -> AbstractAsyncContextManager[None]:
    """One request at a time decides about one encounter; the unique index decides between processes."""
    key = operation.keys.get("encounter") or operation.keys.get("settle") or operation.keys.get("void") or ""
    return doors.lane(f"{place.org}/{operation.dialect}/{key}")


def stopped_outcome(stopped: StepStopped) -> Outcome:
    """What is told of a step that came to nothing before any money, or of which nobody knows whether it did."""
    if stopped.is_unknown:
        return answers.step_unknown(stopped.step)
    if stopped.verdict.result is Result.REJECTED:
        return answers.rejected(stopped.verdict)
    return answers.unsent(stopped.verdict)


def _concerned(route: Route, kind: str, verb: str) -> Sequence[Step]:
    """The steps a verb makes, or takes back."""
    goal, target = route.goal(kind, verb), route.back(kind, verb)
    if goal is not None:
        return route.path(kind, goal)
    chain = route.chains.get(kind, ())
    return [route.steps[name] for name in chain[chain.index(target.name) :]] if target is not None else ()
