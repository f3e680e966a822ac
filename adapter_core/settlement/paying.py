"""Driving one case: prepare, quote, pay, take back, resolve.  Every turn ends in the ledger; a crash resumes from there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Call, Operation, Outcome
from adapter_core.province.plan import Step
from adapter_core.settlement import answers
from adapter_core.settlement.amounts import amounts
from adapter_core.settlement.calls import Called, Caller, Context, call_from, frame_from
from adapter_core.settlement.chain import Chain, StepStopped
from adapter_core.settlement.decisions import after_money, move, settled
from adapter_core.settlement.judge import Verdict, judge
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Conflict, Ledger, Random
from adapter_core.settlement.records import Alias, Case, Change, Event
from adapter_core.settlement.resolver import Evidence, Resolver
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import RELEASED, UNDECIDED, Result, State
from adapter_core.values.content import Content
from adapter_core.values.errors import Refused, TranslationError
from adapter_core.values.moments import china, iso, national_date
from adapter_core.values.money import from_fen

MONEY = "settled"
CONFLICT_TRIES = 20
SEARCHED = ("psn_no", "certno", "psn_name", "tel")


class Paying:
    def __init__(
        self,
        ledger: Ledger,
        caller: Caller,
        chain: Chain,
        clock: Clock,
        random: Random,
        dialects: Callable[[str], Dialect | None],
        observer: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._ledger = ledger
        self._caller = caller
        self._chain = chain
        self._clock = clock
        self._dialects = dialects
        self._observer = observer
        self._resolver = Resolver(caller, clock, random)
        self._lanes: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One bill of an encounter prepares at a time: they share its registration."""

    # -- the driver

    async def drive(self, place: Place, case_id: str, operation: Operation) -> None:
        """Take the case as far as it goes now: to an answer, or to evidence."""
        conflicts = 0
        while True:
            case = await self._ledger.case(case_id)
            assert case is not None
            context = await self._context(place, case)
            try:
                if not await self._turn(context, case.state, operation):
                    return
            except Conflict:
                # another bill of the encounter, or a cancel, wrote first; a case in doubt never loses its driver over that
                conflicts += 1
                if conflicts > CONFLICT_TRIES and (await self._state(case_id)) not in UNDECIDED:
                    raise
                continue
            if (await self._state(case_id)) is case.state:
                return

    async def _turn(self, context: Context, state: State, operation: Operation) -> bool:
        """One step of a case; False where nothing is left to do."""
        match state:
            case State.PREPARING:
                await self._prepare(context, operation)
            case State.READY:
                await self._quote_or_pay(context, operation)
            case State.SENDING:
                await self._recover(context)
            case State.RESOLVING:
                # from here, not from the case's beginning: preparing may have taken longer than any quiet period
                await self._resolve(context, self._clock.mono())
            case _:
                return False
        return True

    async def _state(self, case_id: str) -> State:
        case = await self._ledger.case(case_id)
        assert case is not None
        return case.state

    async def _context(self, place: Place, case: Case) -> Context:
        encounter = await self._ledger.encounter(case.encounter_id)
        bill = await self._ledger.bill(case.bill_id)
        assert encounter is not None and bill is not None
        return Context(place, encounter, bill, case)

    # -- before the money

    async def _prepare(self, context: Context, operation: Operation) -> None:
        case = context.case
        assert case is not None
        route = context.place.gateway.route
        goal = route.goal(case.kind, "quote")
        assert goal is not None
        try:
            async with self._lanes.setdefault(case.encounter_id, asyncio.Lock()):
                context = await self.signed_in(await self._context(context.place, case))
                context = await self._chain.run(context, route.path(case.kind, goal), goal)
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
        context = await self._context(context.place, case)
        case = context.case
        assert case is not None
        if not case.wanted or case.state is not State.PREPARING:
            return
        fault = self._untellable(context, operation)
        if fault:
            await self._refuse(context, "NOT_TELLABLE", fault)
            return
        quoted = amounts(context.bill.content["trial"])
        told_before = {name: int(value) for name, value in case.data.get("quoted", {}).items()}
        if told_before and told_before != quoted.as_fen():
            await self._quote_changed(context, operation, told_before)
            return
        ready = move(
            case,
            State.READY,
            self._now(),
            insuplc_admdvs=str(context.encounter.content["person"].get("insuplc_admdvs", "")),
            data={**case.data, "quoted": quoted.as_fen()},
        )
        event = self._event("PREPARED", context, {"quoted": quoted.as_fen()})
        await self._commit(Change(case.org, events=(event,), cases=(ready,), search=self._search(context)))

    async def _quote_changed(self, context: Context, operation: Operation, before: Mapping[str, int]) -> None:
        """An old quote was tried again and the centre splits it otherwise: the patient decides anew."""
        case = context.case
        assert case is not None
        now = amounts(context.bill.content["trial"])
        data = {**case.data, "quoted": now.as_fen(), "intent": "quote"}
        quoted = move(replace(case, data=data), State.QUOTED, self._now())
        content = self._told_content(context, context.bill.content["trial"])
        text = f"预结算金额有变化，未结算：原现金 {from_fen(before['cash_fen'])} 元，现为 {answers.in_words(now)}。请患者确认后再结算"
        await self._tell(context, quoted, Outcome("QUOTED", "QUOTE_CHANGED", text, content, {}, answers.NEXT["QUOTED"]))

    async def _stop(self, context: Context, stopped: StepStopped) -> None:
        """A step before the money was refused or not reached: no money is at stake."""
        case = await self._fresh(context)
        if case.state not in (State.PREPARING, State.READY):
            return
        verdict = stopped.verdict
        if verdict.result is Result.REJECTED:
            rejected = move(case, State.REJECTED, self._now())
            await self._tell(context, rejected, answers.ended(rejected, verdict))
            return
        # an upload or a registration in doubt is taken up again, by asking first, at the next try
        unsent = move(case, State.NOT_SENT, self._now())
        await self._tell(context, unsent, answers.ended(unsent, verdict))

    async def _refuse(self, context: Context, code: str, message_zh: str) -> None:
        case = await self._fresh(context)
        if case.state not in (State.PREPARING, State.READY):
            return
        outcome = answers.plain("CANCELLED", code, message_zh)
        await self._tell(context, move(case, State.CANCELLED, self._now(), wanted=False), outcome)

    async def never_sent(self, case: Case) -> None:
        """At start: a case that never reached its intent.  The journal proves that no money call left."""
        now = self._now()
        state = move(case, State.READY, now) if case.state is State.PREPARING else case
        ended = replace(move(state, State.NOT_SENT, now), version=case.version + 1)
        if case.purpose == "void":
            await self._void_ended(ended)
            return
        outcome = answers.not_sent("RESTARTED")
        told = replace(ended, told=answers.outcome_data(outcome))
        event = Event("TOLD", now, case.case_id, case.encounter_id, {"state": "NOT_SENT", "code": "RESTARTED"})
        await self._commit(Change(case.org, events=(event,), cases=(told,)))

    async def _void_ended(self, void: Case) -> None:
        target = await self._ledger.case(void.target_case_id)
        assert target is not None
        back = move(target, State.SETTLED, self._now()) if target.state is State.VOIDING else None
        outcome = answers.ended(void, Verdict(Result.NOT_SENT, "RESTARTED"))
        told = replace(void, told=answers.outcome_data(outcome))
        event = Event("TOLD", self._now(), void.case_id, void.encounter_id, {"state": "NOT_SENT", "code": "RESTARTED"})
        await self._commit(Change(void.org, events=(event,), cases=(told, *((back,) if back else ()))))

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

    async def _quote_or_pay(self, context: Context, operation: Operation) -> None:
        case = context.case
        assert case is not None
        if case.data.get("intent") == "quote":
            content = self._told_content(context, context.bill.content["trial"])
            await self._tell_amounts(context, move(case, State.QUOTED, self._now()), "QUOTED", content, operation)
            return
        try:
            context = await self.signed_in(context)  # of today: a quote or a settlement may be older
        except StepStopped as stopped:
            await self._stop(context, stopped)
            return
        step = self._money_step(context)
        sending = move(case, State.SENDING, self._now())
        try:
            called = await self._caller.send(
                step, context, view(context.encounter, context.bill), Change(case.org, cases=(sending,))
            )
        except TranslationError as error:  # nothing was journalled and nothing sent
            await self._refuse(context, error.code, error.message_zh)
            return
        await self._conclude(replace(context, case=sending), called, operation)

    def _money_step(self, context: Context) -> Step:
        case = context.case
        assert case is not None
        route = context.place.gateway.route
        pay = route.goal(case.kind, "settle")
        assert pay is not None
        return route.steps[pay.undo] if case.purpose == "void" else pay

    async def _conclude(self, context: Context, called: Called, operation: Operation | None) -> None:
        """J6 and, where the answer is known, J7 in the same transaction."""
        case = await self._fresh(context)  # the HIS may have cancelled while the call was under way
        context = replace(context, case=case)
        record, event = self._caller.outcome(context, called)
        change = Change(case.org, events=(event,), calls=(record,))
        concluded = after_money(case, called.verdict, self._now())
        if concluded.state in (State.SETTLED, State.VOIDED):
            await self._stands(context, concluded, called.verdict.content, change, operation)
        elif concluded.state is State.RESOLVING:
            data = {**case.data, "why": called.verdict.code, "text": called.verdict.text}
            await self._commit(replace(change, cases=(replace(concluded, data=data),)))
        else:
            await self._tell(context, concluded, answers.ended(concluded, called.verdict), change)

    async def _stands(
        self, context: Context, concluded: Case, content: Content, change: Change, operation: Operation | None
    ) -> None:
        """A settlement, or a refund, that stands at the centre: close the bill and tell it, in one transaction."""
        bill = context.bill
        if concluded.purpose == "settle":
            bill = replace(
                bill,
                is_open=False,
                version=bill.version + 1,
                content={**bill.content, MONEY: content["result"], "funds": content.get("funds", [])},
            )
            change = replace(change, bills=(bill,))
            quoted = concluded.data.get("quoted")
            if quoted and {name: int(value) for name, value in quoted.items()} != amounts(content["result"]).as_fen():
                concluded = replace(concluded, data={**concluded.data, "changed_from_quote": True})
        else:
            target = await self._ledger.case(concluded.target_case_id)
            assert target is not None
            voided = move(target, State.VOIDED, self._now(), data={**target.data, "refund_setl_id": concluded.setl_id})
            change = replace(change, cases=(replace(voided, told={}),))
        told = self._told_content(replace(context, bill=bill), content["result"], content.get("funds"))
        await self._tell_amounts(context, concluded, str(concluded.state), told, operation, change)

    def _told_content(self, context: Context, result: Mapping[str, Any], funds: Any = None) -> Content:
        shown = view(context.encounter, context.bill)
        names = ("person", "visit", "settle", "bill", "lines", MONEY)
        told: Content = {name: shown[name] for name in names if name in shown}
        told["result"] = dict(result)
        told["funds"] = shown.get("funds", []) if funds is None else funds
        return told

    # -- telling

    async def _tell_amounts(
        self,
        context: Context,
        case: Case,
        state: str,
        content: Content,
        operation: Operation | None,
        change: Change | None = None,
    ) -> None:
        dialect = self._dialects(case.dialect)
        verb = {"QUOTED": "quote", "SETTLED": "settle", "VOIDED": "void"}[state]
        refs = await self.minted(context.place, dialect, verb, replace(context, case=case)) if dialect else {}
        kept = {**(operation.refs if operation and operation.verb != "query" else {}), **refs}
        await self._tell(context, case, answers.amounts_outcome(state, content, kept), change)

    async def _tell(self, context: Context, case: Case, outcome: Outcome, change: Change | None = None) -> None:
        """J7: what the HIS is about to be answered is durable before it is answered."""
        base = change or Change(case.org)
        told = replace(case, told=answers.outcome_data(outcome))
        event = self._event(
            "TOLD", context, {"state": outcome.state, "code": outcome.code, "message_zh": outcome.message_zh}
        )
        cases = (*base.cases, told)
        if case.purpose == "void" and case.state in RELEASED and case.state is not State.VOIDED:
            target = await self._ledger.case(case.target_case_id)
            assert target is not None
            cases = (*cases, move(target, State.SETTLED, self._now()))
        await self._commit(replace(base, events=(*base.events, event), cases=cases))

    async def minted(self, place: Place, dialect: Dialect, verb: str, context: Context | None) -> dict[str, str]:
        """New references this verb's answer makes, stored as aliases before they are told."""
        kinds = {kind: spec for kind, spec in dialect.refs.items() if verb in spec.mint}
        moment = china(self._clock.wall())
        refs = {
            kind: spec.pattern.format(n=self._ledger.sequence(place.org), time=moment, admdvs=place.site.admdvs)
            for kind, spec in kinds.items()
        }
        if not refs:
            return {}
        ids = ("", "", "")
        if context is not None:
            ids = (context.encounter.encounter_id, context.bill.bill_id, context.case.case_id if context.case else "")
        aliases = tuple(Alias(place.org, dialect.name, kind, value, *ids) for kind, value in refs.items())
        await self._ledger.commit(Change(place.org, aliases=aliases))
        return refs

    # -- doubt

    async def _recover(self, context: Context) -> None:
        """Found at SENDING after a start: a journalled reply is read again, a missing one makes the outcome UNKNOWN."""
        call, reply, record = await self._money_call(context)
        if reply is not None:
            verdict = judge(context.place.gateway, call, reply)
        else:
            verdict = Verdict(Result.UNKNOWN, "RESTARTED", "stopped between intent and reply")
        await self._conclude(context, Called(record, call, verdict), None)

    async def _money_call(self, context: Context) -> tuple[Call, Any, Any]:
        """The case's last money call with its reply, if one was journalled, and its record."""
        case = context.case
        assert case is not None
        step = self._money_step(context)
        call, reply = None, None
        for event in await self._ledger.events_of_case(case.case_id):
            if event.kind == "INTENT" and event.data["step"] == step.name:
                call, reply = call_from(event.data), None
            elif event.kind == "REPLY" and call is not None and event.data["msgid"] == call.msgid:
                reply = frame_from(event.data, event.raw)
        assert call is not None
        records = await self._ledger.calls_of_case(case.case_id)
        record = next(one for one in records if one.msgid == call.msgid)
        return call, reply, record

    async def _resolve(self, context: Context, started: float) -> None:
        call, _, record = await self._money_call(context)
        evidence = await self._resolver.evidence(context, call, started)
        case = await self._fresh(context)
        context = replace(context, case=case)
        if case.state is not State.RESOLVING:
            return
        facts = {"evidence": evidence.by, "kind": evidence.kind, "text": evidence.text, "msgid": call.msgid}
        change = Change(case.org, events=(self._event("EVIDENCE", context, facts),))
        await self._close(context, evidence, replace(change, calls=()), record)

    async def _close(self, context: Context, evidence: Evidence, change: Change, record: Any) -> None:
        case = context.case
        assert case is not None
        now = self._now()
        data = {**case.data, "closed_by": evidence.by}
        if evidence.kind == "found" and case.wanted:
            resolved = replace(record, result=Result.APPLIED, version=record.version + 1)
            concluded = settled(case, evidence.result, now, data=data)
            content = {"result": evidence.result, "funds": evidence.funds}
            await self._stands(context, concluded, content, replace(change, calls=(resolved,)), None)
        elif evidence.kind == "absent":
            resolved = replace(record, result=Result.REJECTED, version=record.version + 1)
            ended = move(case, State.NOT_APPLIED, now, data=data)
            await self._tell(
                context, ended, answers.standing_outcome(replace(ended, told={})), replace(change, calls=(resolved,))
            )
        else:
            why = "no longer wanted, found at the centre" if evidence.kind == "found" else evidence.text
            frozen = move(case, State.FROZEN, now, data={**case.data, "frozen_because": why})
            await self._tell(context, frozen, answers.standing_outcome(replace(frozen, told={})), change)

    # -- sessions

    async def signed_in(self, context: Context) -> Context:
        """The context with today's ``sign_no`` of its operator, where the gateway wants one."""
        place = context.place
        if place.gateway.capabilities.sign_in != "operator_day":
            return context
        known = await self._ledger.alias(place.org, place.gateway.name, "sign_no", self._session(context))
        if known is not None:
            return self._with_sign_no(context, known.note)
        step = place.gateway.route.steps["sign"]
        content = view(context.encounter, context.bill)
        signer = content.get("env", {})
        content["env"] = {"opter_no": signer.get("opter", ""), **signer}
        called = await self._caller.read(step, context, content)
        if called.verdict.result is not Result.APPLIED:
            raise StepStopped(step, called.verdict)
        environment = called.verdict.content.get("env", {})
        await self.remember_sign_in(context, environment)
        return self._with_sign_no(context, str(environment.get("sign_no", "")))

    async def remember_sign_in(self, context: Context, environment: Mapping[str, Any]) -> None:
        place = context.place
        sign_no = str(environment.get("sign_no", ""))
        if (
            sign_no
            and await self._ledger.alias(place.org, place.gateway.name, "sign_no", self._session(context)) is None
        ):
            alias = Alias(place.org, place.gateway.name, "sign_no", self._session(context), note=sign_no)
            await self._ledger.commit(Change(place.org, aliases=(alias,)))

    def _session(self, context: Context) -> str:
        operator = context.encounter.content.get("env", {}).get("opter", "")
        return f"{operator}/{national_date(self._clock.wall())}"

    def _with_sign_no(self, context: Context, sign_no: str) -> Context:
        content = dict(context.encounter.content)
        content["env"] = {**content.get("env", {}), "sign_no": sign_no}
        return replace(context, encounter=replace(context.encounter, content=content))

    # -- small

    async def _fresh(self, context: Context) -> Case:
        assert context.case is not None
        case = await self._ledger.case(context.case.case_id)
        assert case is not None
        return case

    async def _commit(self, change: Change) -> None:
        await self._ledger.commit(change)
        for case in change.cases:
            self._observer(
                {
                    "case_id": case.case_id,
                    "visit_key": case.visit_key,
                    "settle_key": case.key,
                    "state": str(case.state),
                    "at": case.changed_at,
                }
            )

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

    def _event(self, kind: str, context: Context, data: Mapping[str, Any]) -> Event:
        assert context.case is not None
        return Event(kind, self._now(), context.case.case_id, context.encounter.encounter_id, data)

    def _now(self) -> str:
        return iso(self._clock.wall())
