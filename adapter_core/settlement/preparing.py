"""Preparing a case: everything before the money, up to its trial; and what ends it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.province.plan import Step
from adapter_core.settlement import answers
from adapter_core.settlement.amounts import amounts
from adapter_core.settlement.calls import Context
from adapter_core.settlement.chain import Chain
from adapter_core.settlement.contexts import context_of, fresh_case
from adapter_core.settlement.credentials import credential_age_s
from adapter_core.settlement.decisions import move
from adapter_core.settlement.judge import SIGN_IN_INVALID, Verdict
from adapter_core.settlement.lanes import Lanes
from adapter_core.settlement.ownership import unmoved
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Ledger
from adapter_core.settlement.records import Case, Change, Event
from adapter_core.settlement.routing import Routing
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import Result, State
from adapter_core.settlement.stopping import StepStopped, doubted, with_reason
from adapter_core.settlement.telling import Teller
from adapter_core.settlement.watch import Suspected, Suspicion, Watch
from adapter_core.settlement.ways import way_of
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError, Refused, TranslationError
from adapter_core.values.moments import china
from adapter_core.values.money import from_fen

SEARCHED = ("psn_no", "certno", "psn_name", "tel")


class Preparing:
    """lanes: one bill of an encounter prepares at a time.  watch: asked first, where a site's rules may block a settlement."""

    def __init__(
        self,
        ledger: Ledger,
        chain: Chain,
        clock: Clock,
        dialects: Callable[[str], Dialect | None],
        teller: Teller,
        sessions: Sessions,
        routing: Routing,
        lanes: Lanes,
        watch: Watch | None,
    ) -> None:
        self._ledger = ledger
        self._chain = chain
        self._clock = clock
        self._dialects = dialects
        self._teller = teller
        self._sessions = sessions
        self._routing = routing
        self._lanes = lanes
        self._watch = watch

    async def prepare(self, context: Context, operation: Operation) -> tuple[Context, Change] | None:
        """The case as READY, unstored, and J2; None where it ended, and whoever asked is told why."""
        case = context.case
        assert case is not None
        try:
            async with self._lanes.lane(case.encounter_id):
                context = await self._chained(context.place, case, operation)
        except Suspected as held:
            await self._hold_back(context, held.suspicion)
            return None
        except StepStopped as stopped:
            await self.stop(context, stopped)
            return None
        except TranslationError as error:
            listed = "；".join(f"{fault.path}{fault.title}应为{fault.expected}" for fault in error.faults)
            await self.refuse(context, error.code, f"{error.message_zh}：{listed}")
            return None
        except Refused as error:
            await self.refuse(context, error.code, error.message_zh)
            return None
        case = await unmoved(self._ledger, case)
        context = await context_of(self._ledger, context.place, case)
        fault = self._untellable(context, operation)
        if fault:
            await self.refuse(context, "NOT_TELLABLE", fault)
            return None
        ready, prepared = self._prepared(context)
        told_before = {name: int(value) for name, value in case.data.get("quoted", {}).items()}
        if told_before and told_before != ready.data["quoted"]:
            await self._quote_changed(context, operation, told_before)
            return None
        # J2 is stored with what follows from it at once: an intent, still before the wire, or a quote
        return replace(context, case=replace(ready, version=case.version)), prepared

    async def ready_at_once(self, context: Context, operation: Operation) -> tuple[Context, Change] | None:
        """A case that is not stored as it is to be, as READY and unstored, and J2 of a new one; None where somebody has to be asked
        first, or something speaks against it."""
        case = context.case
        assert case is not None
        if way_of(context.encounter) is None:
            return None
        try:
            context = replace(context, place=context.place.of(context.encounter))
            known = await self._sessions.known(context)
            if known is None or self.credential_is_old(context):
                return None
            if case.state is not State.READY and not self._is_new_and_ready(known, case, operation):
                return None
        except AdapterError:
            return None  # told once the case is stored, where it is met again
        ready, prepared = (case, Change(case.org)) if case.state is State.READY else self._prepared(context)
        return replace(context, case=replace(ready, version=case.version - 1)), prepared

    def _is_new_and_ready(self, context: Context, case: Case, operation: Operation) -> bool:
        """Whether a new case has its trial already, and nothing speaks against it.  Raises: AdapterError."""
        route = context.place.gateway.route
        goal = route.goal(case.kind, "quote")
        if self._watch is not None or goal is None or "trial" not in context.bill.content:
            return False
        is_run = self._chain.is_run(context, route.path(case.kind, goal), goal)
        return is_run and not self._untellable(context, operation)

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
        context = await context_of(self._ledger, place, case)
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
        context = await context_of(self._ledger, place, await unmoved(self._ledger, case))
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
        case = await fresh_case(self._ledger, context)
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

    async def stop(self, context: Context, stopped: StepStopped, unstored: Change | None = None) -> None:
        """A step before the money was refused or not reached: no money is at stake.  unstored: J1 of a case that isn't stored."""
        case = await fresh_case(self._ledger, context)
        if case.state not in (State.PREPARING, State.READY):
            return
        verdict = stopped.verdict
        if verdict.result is Result.REJECTED:
            verdict = with_reason(await context_of(self._ledger, context.place, case), stopped.step, verdict)
            rejected = move(case, State.REJECTED, self._teller.stamp())
            await self._teller.tell(context, rejected, answers.ended(rejected, verdict), unstored)
            return
        # an upload or a registration in doubt is taken up again, by asking first, at the next try
        unsent = move(case, State.NOT_SENT, self._teller.stamp())
        outcome = answers.ended(unsent, verdict)
        doubtful = await self._doubtful(context, case, stopped) if case.purpose == "settle" else None
        if doubtful is not None:
            unknown = answers.unsent_in_doubt
            outcome = unknown(doubtful) if stopped.is_unknown else answers.beside_doubt(outcome, doubtful)
        await self._teller.tell(context, unsent, outcome, unstored)

    async def _doubtful(self, context: Context, case: Case, stopped: StepStopped) -> Step | None:
        """The step before the money of which nobody knows whether it took effect, this time or since an earlier try."""
        if stopped.is_unknown:
            return stopped.step
        known = await context_of(self._ledger, context.place, case) if case.version else context
        route = known.place.gateway.route
        goal = route.goal(case.kind, "settle")
        steps = route.path(case.kind, goal) if goal else ()
        return doubted(route, steps, known.encounter, known.bill)

    async def refuse(self, context: Context, code: str, message_zh: str, unstored: Change | None = None) -> None:
        case = await fresh_case(self._ledger, context)
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

    def credential_is_old(self, context: Context) -> bool:
        assert context.case is not None
        age_s = credential_age_s(context.encounter, self._teller.wall())
        return context.case.purpose == "settle" and age_s is not None and age_s > context.place.timers.credential_ttl

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
