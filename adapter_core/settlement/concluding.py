"""What follows from what is known of a money call: the bill closed, the case moved, the HIS told, in one transaction."""

from __future__ import annotations

from adapter_core.province.messages import Operation
from adapter_core.settlement import answers
from adapter_core.settlement.amounts import amounts
from adapter_core.settlement.calls import Called, Caller, Context
from adapter_core.settlement.decisions import after_money, move, settled
from adapter_core.settlement.entries import VERSION, booked, withdrawn
from adapter_core.settlement.list_items import lists_taken_back
from adapter_core.settlement.outbox import item_of
from adapter_core.settlement.ownership import Ownership
from adapter_core.settlement.ports import Ledger, VersionMoved
from adapter_core.settlement.records import CallRecord, Case, Change
from adapter_core.settlement.resolver import Evidence
from adapter_core.settlement.second_phase import money_step
from adapter_core.settlement.states import MOVES, Result, State
from adapter_core.settlement.telling import MONEY, Teller
from adapter_core.values.content import Content
from adapter_core.values.copies import replace


class Concluding:
    def __init__(self, ledger: Ledger, caller: Caller, teller: Teller, ownership: Ownership) -> None:
        self._ledger = ledger
        self._caller = caller
        self._teller = teller
        self._ownership = ownership
        self._prepared: dict[str, bool] = {}

    def prepared_here(self, msgid: str) -> bool:
        """Whether this process itself, a moment ago, heard that phase one is prepared: asked once."""
        return self._prepared.pop(msgid, False)

    async def conclude(self, context: Context, called: Called, operation: Operation | None) -> None:
        """J6 and, where the answer is known, J7 in the same transaction.  context: as the intent was stored."""
        assert context.case is not None
        try:
            await self._concluded(context, called, operation)
            return
        except VersionMoved:  # the HIS may have cancelled while the call was under way
            case = await self._ledger.case(context.case.case_id)
        assert case is not None
        if case.state is State.SENDING and self._ownership.is_mine(case):
            await self._concluded(replace(context, case=case), called, operation)
        # else another replica took the case over: it resolves what became of the call

    async def _concluded(self, context: Context, called: Called, operation: Operation | None) -> None:
        """Raises: VersionMoved when somebody wrote the case since it was read."""
        case = context.case
        assert case is not None
        record, event = self._caller.outcome(context, called)
        change = Change(case.org, events=(event,), calls=(record,))
        two_phase = context.place.gateway.route.steps[called.call.step].second is not None
        concluded = after_money(case, called.verdict, self._teller.stamp(), two_phase)
        if concluded.state is State.CONFIRMING:
            await self._teller.commit(replace(change, cases=(concluded,)))
            self._prepared[called.call.msgid] = True
        elif concluded.state in (State.SETTLED, State.VOIDED):
            msgid = called.call.msgid
            await self._stands(context, concluded, called.verdict.content, change, operation, msgid)
        elif concluded.state is State.RESOLVING:
            data = {**concluded.data, "why": called.verdict.code, "text": called.verdict.text}
            await self._teller.commit(replace(change, cases=(replace(concluded, data=data),)))
        else:
            await self._teller.tell(context, concluded, answers.ended(concluded, called.verdict), change)

    async def confirmed(self, context: Context, called: Called, operation: Operation | None) -> None:
        """J6 of a second phase.  Its OK makes the settlement that phase one prepared."""
        assert context.case is not None
        case = await self._ledger.case(context.case.case_id)
        assert case is not None
        if case.state is not State.CONFIRMING or not self._ownership.is_mine(case):
            return  # another replica took the case over: it resolves what became of the confirm
        context = replace(context, case=case)
        record, event = self._caller.outcome(context, called)
        change = Change(case.org, events=(event,), calls=(record,))
        if called.verdict.result is Result.APPLIED and case.wanted:
            content: Content = dict(case.data["prepared"])
            concluded = settled(case, content["result"], self._teller.stamp())
            msgid = await self._first_msgid(context, case)
            await self._stands(context, concluded, content, change, operation, msgid)
            return
        refusals = int(case.data.get("confirm_refusals", 0)) + called.verdict.is_refusal
        verdict = {"why": called.verdict.code, "text": called.verdict.text, "confirm_refusals": refusals}
        doubted = move(case, State.RESOLVING, self._teller.stamp(), data={**case.data, **verdict})
        await self._teller.commit(replace(change, cases=(doubted,)))

    async def _first_msgid(self, context: Context, case: Case) -> str:
        """Of phase one: the settlement's own, which a confirm only names."""
        step = money_step(context).name
        return [one.msgid for one in await self._ledger.calls_of_case(case.case_id) if one.step == step][-1]

    async def _stands(
        self,
        context: Context,
        concluded: Case,
        content: Content,
        change: Change,
        operation: Operation | None,
        msgid: str,
    ) -> None:
        """A settlement, or a refund, that stands at the centre: close the bill, book and tell it, in one transaction."""
        bill = context.bill
        if concluded.purpose == "settle":
            bill = replace(
                bill,
                is_open=False,
                version=bill.version + 1,
                content={
                    **bill.content,
                    MONEY: content["result"],
                    "funds": content.get("funds", []),
                    **({"lines": content["lines"]} if content.get("lines") else {}),
                },
            )
            change = replace(change, bills=(bill,))
            its_own = "relay" in bill.content  # a HIS that speaks the national JSON sends what follows itself
            if context.place.gateway.route.after_money(concluded.kind) and not its_own:
                change = replace(change, cases=(*change.cases, item_of(concluded, self._teller.stamp())))
            quoted = concluded.data.get("quoted")
            if quoted and {name: int(value) for name, value in quoted.items()} != amounts(content["result"]).as_fen():
                concluded = replace(concluded, data={**concluded.data, "changed_from_quote": True})
        else:
            target = await self._ledger.case(concluded.target_case_id)
            assert target is not None
            if State.VOIDED not in MOVES[target.state] and target.state is not State.VOIDED:
                raise VersionMoved(f"{target.case_id} is {target.state}: its refund was concluded elsewhere")
            at = self._teller.stamp()
            voided = move(target, State.VOIDED, at, data={**target.data, "refund_setl_id": concluded.setl_id})
            lists = await lists_taken_back(self._ledger, target, at)
            change = replace(change, cases=(replace(voided, told={}), *lists))
        closed = replace(context, bill=bill)
        concluded, entry = booked(closed, concluded, content["result"], msgid, self._teller.wall())
        change = replace(change, entries=(entry,))
        told = self._teller.told_content(closed, content["result"], content.get("funds"))
        await self._teller.tell_amounts(context, concluded, str(concluded.state), told, operation, change)

    async def close(self, context: Context, evidence: Evidence, record: CallRecord, change: Change) -> None:
        """A doubt ended by evidence, or handed to a person."""
        case = context.case
        assert case is not None
        now = self._teller.stamp()
        if evidence.state is State.FROZEN:
            frozen = move(case, State.FROZEN, now, data={**case.data, "frozen_because": evidence.why}, told={})
            await self._teller.tell(context, frozen, answers.standing_outcome(frozen), change)
            return
        if evidence.state is State.CONFIRMING:
            prepared = {"result": evidence.result, "funds": evidence.funds}
            data = {**case.data, **({"prepared": prepared} if evidence.result else {})}
            await self._teller.commit(replace(change, cases=(move(case, State.CONFIRMING, now, data=data),)))
            return
        data = {**case.data, "closed_by": evidence.by}
        stands = evidence.state in (State.SETTLED, State.VOIDED)
        outcome = Result.APPLIED if stands else Result.REJECTED
        change = replace(change, calls=(replace(record, result=outcome, version=record.version + 1),))
        if stands:
            concluded = settled(case, evidence.result, now, data=data)
            # a query says nothing of the numbers that phase one's reply brought, and a refund has to name them
            brought = case.data.get("prepared", {}).get("result", {}).get("refs") or case.data.get("handle")
            named = {"refs": dict(brought), **evidence.result} if brought else evidence.result
            content: Content = {"result": named, "funds": evidence.funds}
            await self._stands(context, concluded, content, change, None, record.msgid)
            return
        if VERSION in case.data:  # it stood in the books once
            change = replace(change, entries=withdrawn(await self._ledger.entries_of_case(case.case_id)))
        ended = move(case, evidence.state, now, data=data, told={})
        await self._teller.tell(context, ended, answers.standing_outcome(ended), change)
