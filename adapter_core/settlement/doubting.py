"""A case in doubt: found after a start, asked about until there is evidence, or left to a person and what that person decides."""

from __future__ import annotations

from adapter_core.province.messages import Call
from adapter_core.settlement import answers
from adapter_core.settlement.calls import Called, Caller, Context
from adapter_core.settlement.concluding import Concluding
from adapter_core.settlement.contexts import context_of, fresh_case, homeless_context
from adapter_core.settlement.decisions import move
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.outbox import FOLLOWING
from adapter_core.settlement.ownership import Ownership
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Conflict, Ledger, Random
from adapter_core.settlement.records import CallRecord, Case, Change
from adapter_core.settlement.resolver import IN_DOUBT, Evidence, Resolver
from adapter_core.settlement.retracing import Retracing
from adapter_core.settlement.second_phase import money_step
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.states import UNDECIDED, Result, State
from adapter_core.settlement.telling import Teller
from adapter_core.settlement.verdicts import OperatorDecision, check_decision, decided, rechecked
from adapter_core.settlement.ways import GatewayGone
from adapter_core.values.copies import replace
from adapter_core.values.frames import Frame


class Doubting:
    def __init__(
        self,
        ledger: Ledger,
        caller: Caller,
        clock: Clock,
        random: Random,
        teller: Teller,
        sessions: Sessions,
        ownership: Ownership,
        concluding: Concluding,
        retracing: Retracing,
    ) -> None:
        self._ledger = ledger
        self._caller = caller
        self._teller = teller
        self._ownership = ownership
        self._concluding = concluding
        self._retracing = retracing
        self._resolver = Resolver(ledger, caller, clock, random, ownership, sessions, retracing)

    async def recover(self, context: Context) -> None:
        """Found at SENDING after a start or a take-over: a journalled reply is read again, a missing one makes the outcome
        UNKNOWN.  The call itself is never sent again."""
        call, reply, record = await self._money_call(context)
        if reply is not None:
            verdict = self._caller.judge(context, call, reply)
        else:
            verdict = Verdict(Result.UNKNOWN, "RESTARTED", "stopped between intent and reply")
        await self._concluding.conclude(context, Called(record, call, verdict), None)

    async def resolve(self, context: Context) -> None:
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

    async def park(self, place: Place, case: Case, why: str) -> None:
        """A case in doubt that the worker keeps dying on waits for a person; its journalled reply is kept, and not read."""
        try:
            context = await context_of(self._ledger, place, case)
        except GatewayGone as gone:
            await self.stranded(place, case, gone)
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

    async def decide(self, place: Place, case: Case, decision: OperatorDecision) -> Case:
        """Carry out an operator's decision about a frozen case (E5).  Raises: as `check_decision`, ledger conflicts."""
        context = await context_of(self._ledger, place, case)
        _, _, record = await self._money_call(context)
        check_decision(place, case, decision, record.burnt)
        state, change = decided(case, decision, self._teller.stamp())
        if state is State.RESOLVING:
            await self._teller.commit(rechecked(case, change, self._ownership.instance, self._teller.stamp()))
        else:
            evidence = Evidence(state, "E5", dict(decision.result))
            await self._concluding.close(context, evidence, record, change)
        return await fresh_case(self._ledger, context)

    async def stranded(self, place: Place, case: Case, gone: GatewayGone) -> None:
        """Its gateway is no longer configured.  Nothing is sent elsewhere: what moved no money says so, a doubt waits for a
        person until the gateway is back."""
        context = await homeless_context(self._ledger, place, case)
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

    async def _money_call(self, context: Context) -> tuple[Call, Frame | None, CallRecord]:
        """The case's last money call with its reply, if one was journalled, and its record."""
        assert context.case is not None
        found = await self._retracing.last_call(context.case, money_step(context).name)
        assert found is not None
        return found

    async def _refreshed(self, context: Context, call: Call) -> tuple[Context, CallRecord]:
        case = await fresh_case(self._ledger, context)
        return replace(await context_of(self._ledger, context.place, case), case=case), await self._retracing.record(
            case, call
        )
