"""Driving one case, by turns: prepare, quote, pay, take back, resolve.  Every turn ends in the ledger; a crash resumes from there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation
from adapter_core.province.plan import Step
from adapter_core.settlement.calls import Caller, Context
from adapter_core.settlement.chain import Chain
from adapter_core.settlement.concluding import Concluding
from adapter_core.settlement.confirming import Confirming
from adapter_core.settlement.contexts import context_of
from adapter_core.settlement.decisions import move
from adapter_core.settlement.doubting import Doubting
from adapter_core.settlement.judge import SIGN_IN_INVALID, Verdict
from adapter_core.settlement.lanes import Lanes
from adapter_core.settlement.list_items import ListItems
from adapter_core.settlement.opening import Opening
from adapter_core.settlement.outbox import FOLLOWING, Outbox
from adapter_core.settlement.ownership import Ownership, unmoved
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Conflict, Ledger, Random
from adapter_core.settlement.preparing import Preparing
from adapter_core.settlement.records import Change
from adapter_core.settlement.resolver import IN_DOUBT
from adapter_core.settlement.retracing import Retracing
from adapter_core.settlement.routing import Routing
from adapter_core.settlement.second_phase import money_step
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import OWNED, UNDECIDED, Result, State
from adapter_core.settlement.stopping import StepStopped
from adapter_core.settlement.telling import Teller
from adapter_core.settlement.watch import Watch
from adapter_core.settlement.ways import GatewayGone
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import LedgerUnavailable, TranslationError

CONFLICT_TRIES = 20
CREDENTIAL_EXPIRED = Verdict(Result.NOT_SENT, "CREDENTIAL_EXPIRED", "the credential is too old")


class Paying:
    def __init__(
        self,
        ledger: Ledger,
        caller: Caller,
        chain: Chain,
        clock: Clock,
        random: Random,
        dialects: Callable[[str], Dialect | None],
        teller: Teller,
        sessions: Sessions,
        ownership: Ownership,
        scanned: asyncio.Event,
        routing: Routing,
        watch: Watch | None = None,
    ) -> None:
        """watch: asked before a settlement is prepared, where a site's rules may block one."""
        self._ledger = ledger
        self._caller = caller
        self._chain = chain
        self._teller = teller
        self._sessions = sessions
        self._ownership = ownership
        self._concluding = Concluding(ledger, caller, teller, ownership)
        self.lists = ListItems(ledger, caller, sessions, teller)
        self._outbox = Outbox(ledger, chain, sessions, ownership, teller, random, self.lists.send)
        retracing = Retracing(ledger)
        self._confirming = Confirming(caller, self._concluding, retracing, teller, scanned)
        self._lanes = Lanes()
        """One bill of an encounter prepares at a time: they share its registration."""
        self.preparing = Preparing(ledger, chain, clock, dialects, teller, sessions, routing, self._lanes, watch)
        self.doubting = Doubting(
            ledger, caller, clock, random, teller, sessions, ownership, self._concluding, retracing
        )

    # -- the driver

    async def drive(self, place: Place, case_id: str, operation: Operation, opening: Opening | None = None) -> None:
        """Take the case as far as it goes now: to an answer, or to evidence.  opening: of one that is not stored yet."""
        if opening is not None and not await self._begin(opening, operation):
            return
        conflicts = 0
        while True:
            case = await self._ledger.case(case_id)
            assert case is not None
            if case.state not in OWNED or not self._ownership.is_mine(case):
                return
            try:
                context = await context_of(self._ledger, place, case)
            except GatewayGone as gone:
                await self.doubting.stranded(place, case, gone)
                return
            try:
                await self._turn(context, case.state, operation)
            except Conflict:
                # another bill of the encounter, or a cancel, wrote first; a case in doubt never loses its driver over that
                conflicts += 1
                if conflicts > CONFLICT_TRIES and (await self._state(case_id)) not in UNDECIDED:
                    raise
                continue
            after = await self._state(case_id)
            if after is case.state and after not in IN_DOUBT:
                return

    async def _begin(self, opening: Opening, operation: Operation) -> bool:
        """J1 of a new case: alone, or in one transaction with what follows at once where nobody has to be asked before.  False
        when it was not stored; whoever opened the case hears why."""
        try:
            ready = await self.preparing.ready_at_once(opening.context, operation)
            if ready is None:
                await self._teller.commit(opening.alone)
            else:
                context, prepared = ready
                await self._quote_or_pay(context, operation, opening.with_more(prepared), opening.stored)
            opening.stored()
        except Exception as failure:
            if not opening.is_stored:
                opening.failed(failure)
                return False
            if not isinstance(failure, Conflict):
                raise
            # stored, and somebody wrote since: read again, decide anew
        finally:
            if not opening.is_stored:
                opening.failed(LedgerUnavailable("stopped before the case was stored"))
        return True

    async def _turn(self, context: Context, state: State, operation: Operation) -> None:
        """One step of a case in one of the states ``OWNED``."""
        match state:
            case State.PREPARING:
                ready = await self.preparing.prepare(context, operation)
                if ready is not None:
                    context, prepared = ready
                    await self._quote_or_pay(context, operation, prepared)
            case State.READY if context.case is not None and context.case.purpose in FOLLOWING:
                await self._outbox.run(context)
            case State.READY:
                await self._quote_or_pay(context, operation)
            case State.SENDING:
                await self.doubting.recover(context)
            case State.CONFIRMING:
                await self._confirming.turn(context, operation)
            case State.RESOLVING | State.REVERSING:
                await self.doubting.resolve(context)

    async def _state(self, case_id: str) -> State:
        case = await self._ledger.case(case_id)
        assert case is not None
        return case.state

    # -- quote and money

    async def _quote_or_pay(
        self,
        context: Context,
        operation: Operation,
        prepared: Change | None = None,
        stored: Callable[[], None] = lambda: None,
    ) -> None:
        """prepared: J2, and the context's case is only to become READY with it; of a new case J1 as well.  stored: told once it is."""
        case = context.case
        assert case is not None
        change = prepared or Change(case.org)
        if case.data.get("intent") == "quote":
            content = self._teller.told_content(context, context.bill.content["trial"])
            quoted = move(case, State.QUOTED, self._teller.stamp())
            await self._teller.tell_amounts(context, quoted, "QUOTED", content, operation, change)
            return
        if prepared is not None and self._between(context):
            context = replace(context, case=replace(case, version=case.version + 1))
            assert context.case is not None
            await self._teller.commit(replace(change, cases=(context.case,)))
            stored()
            change = Change(case.org)
        for sign_again in (True, False):
            try:
                if self.preparing.credential_is_old(context):
                    raise StepStopped(money_step(context), CREDENTIAL_EXPIRED)
                context = await self._sessions.signed_in(context)  # of today: a quote or a settlement may be older
                context = await self._after_trial(context)
            except StepStopped as stopped:
                context, first = await self._kept(context, change)
                await self.preparing.stop(context, stopped, first)
                return
            assert context.case is not None
            case = context.case
            sending = move(case, State.SENDING, self._teller.stamp())
            step = money_step(context)
            content = _as_settled(context, view(context.encounter, context.bill))
            try:
                first = replace(change, cases=(sending,))
                called = await self._caller.send(step, context, content, first, intended=stored)
            except TranslationError as error:  # nothing was journalled and nothing sent
                context, kept = await self._kept(context, change)
                await self.preparing.refuse(context, error.code, error.message_zh, kept)
                return
            if called.verdict.code != SIGN_IN_INVALID or not sign_again:
                break
            # refused before it was processed: a new session and a new msgid, the same case, once
            record, event = self._caller.outcome(context, called)
            case = move(sending, State.READY, self._teller.stamp())
            await self._teller.commit(Change(case.org, events=(event,), calls=(record,), cases=(case,)))
            change = Change(case.org)
            await self._sessions.forget(context)
            context = replace(context, case=case)
        await self._concluding.conclude(replace(context, case=sending), called, operation)

    async def _kept(self, context: Context, change: Change) -> tuple[Context, Change | None]:
        """What waits to be stored with a case that ends here: of a new one for whoever stores its end, else stored now."""
        case = context.case
        assert case is not None
        if not change.events or not case.version:
            return context, change if change.events else None
        ready = replace(case, version=case.version + 1)
        await self._teller.commit(replace(change, cases=(ready,)))
        return replace(context, case=ready), None

    async def _after_trial(self, context: Context) -> Context:
        """The steps between the trial and the money: a stay is discharged once its amounts are known to be tellable."""
        case, steps = context.case, self._between(context)
        assert case is not None
        pay = context.place.gateway.route.goal(case.kind, "settle")
        if pay is None or not steps:
            return context
        async with self._lanes.lane(case.encounter_id):
            fresh = await context_of(self._ledger, context.place, await unmoved(self._ledger, case))
            done = await self._chain.run(await self._sessions.signed_in(fresh), steps, pay)
        return replace(done, case=await unmoved(self._ledger, case))

    def _between(self, context: Context) -> Sequence[Step]:
        case, route = context.case, context.place.gateway.route
        assert case is not None
        trial, pay = route.goal(case.kind, "quote"), route.goal(case.kind, "settle")
        assert trial is not None
        assert pay is not None
        return route.path(case.kind, pay)[len(route.path(case.kind, trial)) : -1] if case.purpose == "settle" else ()


def _as_settled(context: Context, content: Content) -> Content:
    """A refund names the place of insurance as the settlement did, whatever became of that code since."""
    case = context.case
    assert case is not None
    if case.purpose != "void" or not case.insuplc_admdvs:
        return content
    return {**content, "person": {**content.get("person", {}), "insuplc_admdvs": case.insuplc_admdvs}}
