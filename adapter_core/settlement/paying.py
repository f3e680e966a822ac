"""Driving one case: prepare, quote, pay, take back, resolve.  Every turn ends in the ledger; a crash resumes from there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Call, Operation, Outcome
from adapter_core.province.plan import Step
from adapter_core.settlement import answers
from adapter_core.settlement.amounts import amounts
from adapter_core.settlement.calls import Called, Caller, Context
from adapter_core.settlement.chain import Chain, StepStopped
from adapter_core.settlement.concluding import Concluding
from adapter_core.settlement.confirming import Confirming
from adapter_core.settlement.credentials import credential_age_s
from adapter_core.settlement.decisions import move
from adapter_core.settlement.judge import SIGN_IN_INVALID, Verdict
from adapter_core.settlement.lanes import Lanes
from adapter_core.settlement.list_items import ListItems
from adapter_core.settlement.opening import Opening
from adapter_core.settlement.outbox import FOLLOWING, Outbox
from adapter_core.settlement.ownership import Ownership, unmoved
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Conflict, Ledger, Random
from adapter_core.settlement.records import CallRecord, Case, Change, Event
from adapter_core.settlement.resolver import IN_DOUBT, Evidence, Resolver
from adapter_core.settlement.retracing import Retracing
from adapter_core.settlement.routing import Routing
from adapter_core.settlement.second_phase import money_step
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import OWNED, UNDECIDED, Result, State
from adapter_core.settlement.stopping import with_reason
from adapter_core.settlement.telling import Teller
from adapter_core.settlement.verdicts import OperatorDecision, check_decision, decided, rechecked
from adapter_core.settlement.watch import Suspected, Suspicion, Watch
from adapter_core.settlement.ways import GatewayGone, way_of
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError, LedgerUnavailable, Refused, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.moments import china
from adapter_core.values.money import from_fen

CONFLICT_TRIES = 20
SEARCHED = ("psn_no", "certno", "psn_name", "tel")
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
        self._clock = clock
        self._dialects = dialects
        self._teller = teller
        self._sessions = sessions
        self._ownership = ownership
        self._routing = routing
        self._watch = watch
        self._concluding = Concluding(ledger, caller, teller, ownership)
        self._retracing = Retracing(ledger)
        self.lists = ListItems(ledger, caller, sessions, teller)
        self._outbox = Outbox(ledger, chain, sessions, ownership, teller, random, self.lists.send)
        self._confirming = Confirming(caller, self._concluding, self._retracing, teller, scanned)
        self._resolver = Resolver(ledger, caller, clock, random, ownership, sessions, self._retracing)
        self._lanes = Lanes()
        """One bill of an encounter prepares at a time: they share its registration."""

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
                context = await self._context(place, case)
            except GatewayGone as gone:
                await self._stranded(place, case, gone)
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
            ready = await self._ready_at_once(opening.context, operation)
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

    async def _ready_at_once(self, context: Context, operation: Operation) -> tuple[Context, Change] | None:
        """A new case as READY, unstored, and J2; None where somebody has to be asked first, or something speaks against it."""
        case = context.case
        assert case is not None
        if self._watch is not None or way_of(context.encounter) is None:
            return None
        try:
            context = replace(context, place=context.place.of(context.encounter))
            route = context.place.gateway.route
            goal = route.goal(case.kind, "quote")
            known = await self._sessions.known(context)
            if goal is None or known is None or "trial" not in context.bill.content:
                return None
            if not self._chain.is_run(known, route.path(case.kind, goal), goal):
                return None
        except AdapterError:
            return None  # told once the case is stored, where it is met again
        if self._credential_is_old(context) or self._untellable(context, operation):
            return None
        ready, prepared = self._prepared(context)
        return replace(context, case=replace(ready, version=case.version - 1)), prepared

    async def _turn(self, context: Context, state: State, operation: Operation) -> None:
        """One step of a case in one of the states ``OWNED``."""
        match state:
            case State.PREPARING:
                await self._prepare(context, operation)
            case State.READY if context.case is not None and context.case.purpose in FOLLOWING:
                await self._outbox.run(context)
            case State.READY:
                await self._quote_or_pay(context, operation)
            case State.SENDING:
                await self._recover(context)
            case State.CONFIRMING:
                await self._confirming.turn(context, operation)
            case State.RESOLVING | State.REVERSING:
                await self._resolve(context)

    async def _state(self, case_id: str) -> State:
        case = await self._ledger.case(case_id)
        assert case is not None
        return case.state

    async def _context(self, place: Place, case: Case) -> Context:
        """The case with its records, on the gateway its encounter was opened with.  Raises: GatewayGone."""
        context = await self._homeless(place, case)
        return replace(context, place=place.of(context.encounter))

    async def _homeless(self, place: Place, case: Case) -> Context:
        encounter = await self._ledger.encounter(case.encounter_id)
        bill = await self._ledger.bill(case.bill_id)
        assert encounter is not None and bill is not None
        return Context(place, encounter, bill, case)

    async def _stranded(self, place: Place, case: Case, gone: GatewayGone) -> None:
        """Its gateway is no longer configured.  Nothing is sent elsewhere: what moved no money says so, a doubt waits for a
        person until the gateway is back."""
        context = await self._homeless(place, case)
        now = self._teller.stamp()
        if case.state in (State.PREPARING, State.READY) and case.purpose not in FOLLOWING:
            outcome = answers.plain("NOT_SENT", gone.code, gone.message_zh)
            await self._teller.tell(context, move(case, State.NOT_SENT, now), outcome)
        if case.state not in UNDECIDED:
            return
        if case.state not in IN_DOUBT:
            case = move(case, State.RESOLVING, now)
            await self._teller.commit(Change(case.org, cases=(case,)))
        frozen = move(case, State.FROZEN, now, data={**case.data, "frozen_because": str(gone)}, told={})
        order = f"工单号 {answers.work_order(case)}，不要重复结算"
        outcome = answers.plain("FROZEN", gone.code, f"{answers.UNKNOWN_MARK}{gone.message_zh}，{order}")
        await self._teller.tell(context, frozen, outcome)

    # -- before the money

    async def _prepare(self, context: Context, operation: Operation) -> None:
        case = context.case
        assert case is not None
        try:
            async with self._lanes.lane(case.encounter_id):
                context = await self._chained(context.place, case, operation)
        except Suspected as held:
            await self._hold_back(context, held.suspicion)
            return
        except StepStopped as stopped:
            await self._stop(context, stopped)
            return
        except TranslationError as error:
            listed = "；".join(f"{fault.path}{fault.title}应为{fault.expected}" for fault in error.faults)
            await self._refuse(context, error.code, f"{error.message_zh}：{listed}")
            return
        except Refused as error:
            await self._refuse(context, error.code, error.message_zh)
            return
        case = await unmoved(self._ledger, case)
        context = await self._context(context.place, case)
        fault = self._untellable(context, operation)
        if fault:
            await self._refuse(context, "NOT_TELLABLE", fault)
            return
        ready, prepared = self._prepared(context)
        told_before = {name: int(value) for name, value in case.data.get("quoted", {}).items()}
        if told_before and told_before != ready.data["quoted"]:
            await self._quote_changed(context, operation, told_before)
            return
        # J2 is stored with what follows from it at once: an intent, still before the wire, or a quote
        unstored = replace(context, case=replace(ready, version=case.version))
        await self._quote_or_pay(unstored, operation, prepared)

    def _prepared(self, context: Context) -> tuple[Case, Change]:
        """The case READY with the trial's amounts, and J2 without it."""
        case = context.case
        assert case is not None
        quoted = amounts(context.bill.content["trial"]).as_fen()
        ready = move(
            case,
            State.READY,
            self._teller.stamp(),
            insuplc_admdvs=str(context.encounter.content["person"].get("insuplc_admdvs", "")),
            data={**case.data, "quoted": quoted},
        )
        event = self._teller.event("PREPARED", context, {"quoted": quoted})
        return ready, Change(case.org, events=(event,), search=self._search(context))

    async def _chained(self, place: Place, case: Case, operation: Operation) -> Context:
        """The chain up to the trial; a session the centre no longer knows is renewed once."""
        verb = str(case.data.get("intent") or "settle")
        context = await self._context(place, case)
        await self._refuse_suspected(context)
        context = await self._routing.routed(context, case.kind, verb, operation)
        route = context.place.gateway.route
        goal = route.goal(case.kind, "quote")
        assert goal is not None
        steps = route.path(case.kind, goal)
        context = await self._sessions.signed_in(context)
        try:
            return await self._run_chain(context, steps, goal)
        except StepStopped as stopped:
            if stopped.verdict.code != SIGN_IN_INVALID:
                raise
            await self._sessions.forget(context)
        context = await self._context(place, await unmoved(self._ledger, case))
        return await self._run_chain(await self._sessions.signed_in(context), steps, goal)

    async def _run_chain(self, context: Context, steps: Sequence[Step], goal: Step) -> Context:
        """The steps; where a rule may block, who the person is comes first and the rule is asked again.

        Raises: StepStopped, Suspected.
        """
        if self._watch is not None and steps and steps[0].name == "who":
            context = await self._chain.run(context, steps[:1], steps[0])
            await self._refuse_suspected(context)
        return await self._chain.run(context, steps, goal)

    async def _refuse_suspected(self, context: Context) -> None:
        """Raises: Suspected."""
        assert context.case is not None
        if self._watch is None or context.case.purpose != "settle":
            return
        suspicion = await self._watch.suspicion(context.encounter, context.bill, context.case)
        if suspicion is not None:
            raise Suspected(suspicion)

    async def _hold_back(self, context: Context, suspicion: Suspicion) -> None:
        """Not sent, with the flag that says why: dismissed, the same key settles."""
        case = await self._fresh(context)
        if case.state not in (State.PREPARING, State.READY):
            return
        facts = {"rule": suspicion.rule, "count": str(suspicion.count), "item_id": suspicion.item_id}
        event = self._teller.event("WATCHED", context, facts)
        items = () if suspicion.item is None else (suspicion.item,)
        outcome = answers.plain("NOT_SENT", Suspected.code, suspicion.text)
        unsent = move(case, State.NOT_SENT, self._teller.stamp())
        await self._teller.tell(context, unsent, outcome, Change(case.org, events=(event,), items=items))

    async def _quote_changed(self, context: Context, operation: Operation, before: Mapping[str, int]) -> None:
        """An old quote was tried again and the centre splits it otherwise: the patient decides anew."""
        case = context.case
        assert case is not None
        now = amounts(context.bill.content["trial"])
        data = {**case.data, "quoted": now.as_fen(), "intent": "quote"}
        quoted = move(replace(case, data=data), State.QUOTED, self._teller.stamp())
        content = self._teller.told_content(context, context.bill.content["trial"])
        content["quoted_before"] = dict(before)
        text = f"预结算金额有变化，未结算：原现金 {from_fen(before['cash_fen'])} 元，现为 {answers.in_words(now)}。请患者确认后再结算"
        await self._teller.tell(
            context, quoted, Outcome("QUOTED", "QUOTE_CHANGED", text, content, {}, answers.NEXT["QUOTED"])
        )

    async def _stop(self, context: Context, stopped: StepStopped, unstored: Change | None = None) -> None:
        """A step before the money was refused or not reached: no money is at stake.  unstored: J1 of a case that isn't stored."""
        case = await self._fresh(context)
        if case.state not in (State.PREPARING, State.READY):
            return
        verdict = stopped.verdict
        if verdict.result is Result.REJECTED:
            verdict = with_reason(await self._context(context.place, case), stopped.step, verdict)
            rejected = move(case, State.REJECTED, self._teller.stamp())
            await self._teller.tell(context, rejected, answers.ended(rejected, verdict), unstored)
            return
        # an upload or a registration in doubt is taken up again, by asking first, at the next try
        unsent = move(case, State.NOT_SENT, self._teller.stamp())
        await self._teller.tell(context, unsent, answers.ended(unsent, verdict), unstored)

    async def _refuse(self, context: Context, code: str, message_zh: str, unstored: Change | None = None) -> None:
        case = await self._fresh(context)
        if case.state not in (State.PREPARING, State.READY):
            return
        outcome = answers.plain("CANCELLED", code, message_zh)
        ended = move(case, State.CANCELLED, self._teller.stamp(), wanted=False)
        await self._teller.tell(context, ended, outcome, unstored)

    async def never_sent(self, case: Case) -> None:
        """At start: a case that never reached its intent.  The journal proves that no money call left."""
        now = self._teller.stamp()
        state = move(case, State.READY, now) if case.state is State.PREPARING else case
        ended = replace(move(state, State.NOT_SENT, now), version=case.version + 1)
        if case.purpose == "void":
            await self._void_ended(ended)
            return
        outcome = answers.not_sent("RESTARTED")
        told = replace(ended, told=answers.outcome_data(outcome))
        event = Event("TOLD", now, case.case_id, case.encounter_id, {"state": "NOT_SENT", "code": "RESTARTED"})
        await self._teller.commit(Change(case.org, events=(event,), cases=(told,)))

    async def _void_ended(self, void: Case) -> None:
        target = await self._ledger.case(void.target_case_id)
        assert target is not None
        back = move(target, State.SETTLED, self._teller.stamp()) if target.state is State.VOIDING else None
        outcome = answers.ended(void, Verdict(Result.NOT_SENT, "RESTARTED"))
        told = replace(void, told=answers.outcome_data(outcome))
        event = Event(
            "TOLD", self._teller.stamp(), void.case_id, void.encounter_id, {"state": "NOT_SENT", "code": "RESTARTED"}
        )
        await self._teller.commit(Change(void.org, events=(event,), cases=(told, *((back,) if back else ()))))

    def _untellable(self, context: Context, operation: Operation) -> str:
        """Empty when the HIS's own settle reply carries the quoted amounts and gives the same ones back."""
        dialect = self._dialects(operation.dialect)
        if dialect is None or not operation.message:
            return ""
        trial = context.bill.content["trial"]
        content = {**view(context.encounter, context.bill), "result": {**trial, "setl_id": "0"}}
        form = dialect.settle_form(operation)
        try:
            frame = dialect.encode_reply(form, answers.amounts_outcome("SETTLED", content, self._sample_refs(dialect)))
            read = dialect.decode_reply(form, frame)
        except TranslationError as error:
            return f"本院接口无法表达该结算金额（{error.faults[0].path if error.faults else ''}），请走手工报销"
        told, back = amounts(trial), amounts(read.content.get("result", {}))
        same = (told.total, told.fund, told.cash, told.account + told.shared_account) == (
            back.total,
            back.fund,
            back.cash,
            back.account + back.shared_account,
        )
        return "" if same else "本院接口无法完整表达该结算金额，请走手工报销"

    def _sample_refs(self, dialect: Dialect) -> dict[str, str]:
        moment = china(self._clock.wall())
        return {
            kind: spec.pattern.format(n=0, time=moment, admdvs="000000")
            for kind, spec in dialect.refs.items()
            if spec.mint
        }

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
                if self._credential_is_old(context):
                    raise StepStopped(money_step(context), CREDENTIAL_EXPIRED)
                context = await self._sessions.signed_in(context)  # of today: a quote or a settlement may be older
                context = await self._after_trial(context)
            except StepStopped as stopped:
                await self._stop(context, stopped, _first_of(context, change))
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
                await self._refuse(context, error.code, error.message_zh, _first_of(context, change))
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

    def _credential_is_old(self, context: Context) -> bool:
        assert context.case is not None
        age_s = credential_age_s(context.encounter, self._teller.wall())
        return context.case.purpose == "settle" and age_s is not None and age_s > context.place.timers.credential_ttl

    async def _after_trial(self, context: Context) -> Context:
        """The steps between the trial and the money: a stay is discharged once its amounts are known to be tellable."""
        case, steps = context.case, self._between(context)
        assert case is not None
        pay = context.place.gateway.route.goal(case.kind, "settle")
        if pay is None or not steps:
            return context
        async with self._lanes.lane(case.encounter_id):
            fresh = await self._context(context.place, await unmoved(self._ledger, case))
            done = await self._chain.run(await self._sessions.signed_in(fresh), steps, pay)
        return replace(done, case=await unmoved(self._ledger, case))

    def _between(self, context: Context) -> Sequence[Step]:
        case, route = context.case, context.place.gateway.route
        assert case is not None
        trial, pay = route.goal(case.kind, "quote"), route.goal(case.kind, "settle")
        assert trial is not None
        assert pay is not None
        return route.path(case.kind, pay)[len(route.path(case.kind, trial)) : -1] if case.purpose == "settle" else ()

    # -- doubt

    async def _recover(self, context: Context) -> None:
        """Found at SENDING after a start or a take-over: a journalled reply is read again, a missing one makes the outcome
        UNKNOWN.  The call itself is never sent again."""
        call, reply, record = await self._money_call(context)
        if reply is not None:
            verdict = self._caller.judge(context, call, reply)
        else:
            verdict = Verdict(Result.UNKNOWN, "RESTARTED", "stopped between intent and reply")
        await self._concluding.conclude(context, Called(record, call, verdict), None)

    async def _money_call(self, context: Context) -> tuple[Call, Frame | None, CallRecord]:
        """The case's last money call with its reply, if one was journalled, and its record."""
        assert context.case is not None
        found = await self._retracing.last_call(context.case, money_step(context).name)
        assert found is not None
        return found

    async def _resolve(self, context: Context) -> None:
        call, reply, record = await self._money_call(context)
        late = await self._late_reply(context, call, reply, record)
        if late is None:
            late = await self._resolver.evidence(context, call, record, lambda: self._refreshed(context, call))
        if late is None:
            return
        context, record = await self._refreshed(context, call)
        case = context.case
        assert case is not None
        if case.state not in IN_DOUBT or not self._ownership.is_mine(case):
            return
        if late.state in (State.SETTLED, State.VOIDED, State.CONFIRMING) and (record.burnt or not case.wanted):
            return  # the wish changed while the answer came: decide anew
        change = Change(case.org)
        if late.by or late.state is not State.CONFIRMING:
            facts = {"evidence": late.by, "state": str(late.state), "text": late.why, "msgid": call.msgid}
            change = replace(change, events=(self._teller.event("EVIDENCE", context, facts),))
        await self._concluding.close(context, late, record, change)

    async def _late_reply(
        self, context: Context, call: Call, reply: Frame | None, record: CallRecord
    ) -> Evidence | None:
        """E1: a valid reply to that msgid, however late, closes the doubt unless a reversal names it or nobody wants it."""
        case = context.case
        assert case is not None
        if record.burnt or not case.wanted:
            return None
        stands = State.VOIDED if case.purpose == "void" else State.SETTLED
        second = money_step(context).second
        if second is not None and "prepared" in case.data:
            confirm = await self._retracing.last_call(case, second.confirm)
            if confirm is None or not self._is_ok(context, confirm[0], confirm[1]):
                return None
            return Evidence(stands, "E1", case.data["prepared"]["result"], list(case.data["prepared"]["funds"]))
        if reply is None:
            return None
        verdict = self._caller.judge(context, call, reply)
        if verdict.result is not Result.APPLIED:
            return None
        state = stands if second is None else State.CONFIRMING
        return Evidence(state, "E1", verdict.content["result"], list(verdict.content.get("funds", [])))

    def _is_ok(self, context: Context, call: Call, reply: Frame | None) -> bool:
        return reply is not None and self._caller.judge(context, call, reply).result is Result.APPLIED

    async def park(self, place: Place, case: Case, why: str) -> None:
        """A case in doubt that the worker keeps dying on waits for a person; its journalled reply is kept, and not read."""
        try:
            context = await self._context(place, case)
        except GatewayGone as gone:
            await self._stranded(place, case, gone)
            return
        call, _, record = await self._money_call(context)
        if case.state is State.SENDING:
            unread = Verdict(Result.UNKNOWN, "WORKER_DIED", why)
            await self._concluding.conclude(context, Called(record, call, unread), None)
            context, record = await self._refreshed(context, call)
        elif case.state is State.CONFIRMING:
            doubted = move(case, State.RESOLVING, self._teller.stamp(), data={**case.data, "why": "WORKER_DIED"})
            await self._teller.commit(Change(case.org, cases=(doubted,)))
            context, record = await self._refreshed(context, call)
        try:
            await self._concluding.close(context, Evidence(State.FROZEN, why=why), record, Change(case.org))
        except Conflict:
            return  # the HIS cancelled meanwhile: the next scan parks it

    async def _refreshed(self, context: Context, call: Call) -> tuple[Context, CallRecord]:
        case = await self._fresh(context)
        return replace(await self._context(context.place, case), case=case), await self._retracing.record(case, call)

    # -- a person's decision

    async def decide(self, place: Place, case: Case, decision: OperatorDecision) -> Case:
        """Carry out an operator's decision about a frozen case (E5).  Raises: as `check_decision`, ledger conflicts."""
        context = await self._context(place, case)
        _, _, record = await self._money_call(context)
        check_decision(place, case, decision, record.burnt)
        state, change = decided(case, decision, self._teller.stamp())
        if state is State.RESOLVING:
            await self._teller.commit(rechecked(case, change, self._ownership.instance, self._teller.stamp()))
        else:
            evidence = Evidence(state, "E5", dict(decision.result))
            await self._concluding.close(context, evidence, record, change)
        return await self._fresh(context)

    # -- small

    async def _fresh(self, context: Context) -> Case:
        assert context.case is not None
        if not context.case.version:
            return context.case  # to be stored with what is written next
        case = await self._ledger.case(context.case.case_id)
        assert case is not None
        return case

    def _search(self, context: Context) -> tuple[tuple[str, str, str], ...]:
        assert context.case is not None
        person = context.encounter.content.get("person", {})
        rows = [(name, str(person[name])) for name in SEARCHED if person.get(name)]
        if person.get("certno"):
            rows.append(("certno_tail", str(person["certno"])[-4:]))
        invoice = context.bill.content.get("settle", {}).get("invono")
        if invoice:
            rows.append(("invono", str(invoice)))
        return tuple((kind, value, context.case.case_id) for kind, value in rows)


def _first_of(context: Context, change: Change) -> Change | None:
    """What must be stored with the first version of a case; None for one that is stored already."""
    return change if context.case is not None and not context.case.version else None


def _as_settled(context: Context, content: Content) -> Content:
    """A refund names the place of insurance as the settlement did, whatever became of that code since."""
    case = context.case
    assert case is not None
    if case.purpose != "void" or not case.insuplc_admdvs:
        return content
    return {**content, "person": {**content.get("person", {}), "insuplc_admdvs": case.insuplc_admdvs}}
