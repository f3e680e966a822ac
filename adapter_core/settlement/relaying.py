"""Relaying: a call of the HIS's own, passed on and journalled; nothing here moves money.

Reads, trials and uploads are repeated under a new msgid when no trusted reply came; a create without a plan of its own is sent once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.province.plan import Step
from adapter_core.settlement import answers
from adapter_core.settlement.calls import SAFE_TO_REPEAT, Called, Caller, Context
from adapter_core.settlement.filing import file_reply
from adapter_core.settlement.judge import SIGN_IN_INVALID, Verdict
from adapter_core.settlement.locating import locate
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.reception import Reception
from adapter_core.settlement.records import Bill, Change, Encounter
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import Result
from adapter_core.settlement.stopping import StepStopped
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import LedgerUnavailable, NotSupported
from adapter_core.values.texts import shown

STEP = "relay"
PASSED_ON = frozenset({"R", "P", "U", "session"})


class Relaying:
    """commit: writes a change and tells the observers.  Each call is signed in as a settlement's own are, unless it says its
    own ``sign_no``."""

    def __init__(
        self,
        ledger: Ledger,
        caller: Caller,
        reception: Reception,
        sessions: Sessions,
        commit: Callable[[Change], Awaitable[int]],
    ) -> None:
        self._ledger = ledger
        self._caller = caller
        self._reception = reception
        self._sessions = sessions
        self._commit = commit

    async def relay(self, place: Place, dialect: Dialect, operation: Operation) -> Outcome:
        """The centre's own answer, whole, under ``reply``; DONE REJECTED NOT_SENT or UNKNOWN.

        Raises: NotSupported where this route can't relay; Refused VISIT_HELD for a trial of a bill that a case works on.
        """
        trial = place.gateway.route.goal(operation.kind, "quote") if operation.keys.get("visit") else None
        if trial is not None:
            return await self._trial(place, dialect, operation, trial)
        step = place.gateway.route.steps.get(STEP)
        if step is None:
            raise NotSupported("this route relays nothing", message_zh="该线路不能转发国家接口报文，未发送")
        context = Context(
            place,
            Encounter("", place.org, "", operation.kind, operation.dialect, content=dict(operation.content)),
            Bill("", place.org, "", "", ""),
        )
        if step.kind_class not in (*PASSED_ON, "C"):
            raise NotSupported(f"{step.call} is not relayed", message_zh=f"本版本不转发交易 {step.call}，未发送")
        try:
            return _told(step, await self._signed(step, context, lambda signed: dict(signed.encounter.content)))
        except StepStopped as stopped:
            return _unanswered(step, stopped.verdict) if stopped.is_unknown else _unsigned(stopped.verdict)

    async def _signed(self, step: Step, context: Context, content: Callable[[Context], Content]) -> Called:
        """The call within a session; one that the centre no longer knows is renewed once.  Raises: StepStopped."""
        if step.kind_class == "session" or context.encounter.content.get("env", {}).get("sign_no"):
            return await self._called(step, context, content(context))
        signed = await self._sessions.signed_in(context)
        called = await self._called(step, signed, content(signed))
        if called.verdict.code != SIGN_IN_INVALID or signed is context:
            return called
        await self._sessions.forget(context)
        signed = await self._sessions.signed_in(context)
        return await self._called(step, signed, content(signed))

    async def _called(self, step: Step, context: Context, content: Content) -> Called:
        left = step.kind_class == "U"  # an upload is journalled when it is over

        def intended() -> None:
            nonlocal left
            left = True

        try:
            if step.kind_class in PASSED_ON:
                return await self._caller.read(step, context, content)
            called = await self._caller.send(step, context, content, intended=intended)
            record, event = self._caller.outcome(context, called)
            await self._commit(Change(context.place.org, events=(event,), calls=(record,)))
        except LedgerUnavailable as lost:
            if not left:
                raise
            raise StepStopped(step, Verdict(Result.UNKNOWN, lost.code, str(lost))) from lost
        return called

    async def _trial(self, place: Place, dialect: Dialect, operation: Operation, step: Step) -> Outcome:
        """A trial of the HIS's own: its amounts are the bill's, as long as the HIS settles what it tried."""
        found = await locate(self._ledger, place, dialect, operation)
        await self._reception.refuse_held(place, found)
        context, change = self._reception.admitted(place, dialect, operation, found)
        await self._commit(change)
        try:
            called = await self._signed(step, context, lambda signed: view(signed.encounter, signed.bill))
        except StepStopped as stopped:
            return _unsigned(stopped.verdict)
        if called.verdict.result is Result.APPLIED:
            encounter, bill = file_reply(step, context.encounter, context.bill, called.verdict.content, {})
            encounter = replace(encounter, version=encounter.version + 1)
            await self._commit(Change(place.org, encounter=encounter, bills=(replace(bill, version=bill.version + 1),)))
        return _told(step, called)


def _unsigned(verdict: Verdict) -> Outcome:
    """Without a session nothing of the call itself left."""
    return answers.rejected(verdict) if verdict.result is Result.REJECTED else answers.not_sent(verdict.code)


def _unanswered(step: Step, verdict: Verdict) -> Outcome:
    changes = step.kind_class not in SAFE_TO_REPEAT
    text = "没有得到医保中心的可信应答，" + ("请先查询再决定是否重发" if changes else "请稍后重试")
    return Outcome("UNKNOWN", verdict.code or "UNKNOWN", text, {}, {}, ("query", "repeat"))


def _told(step: Step, called: Called) -> Outcome:
    verdict, content = called.verdict, {"call": {"msgid": called.call.msgid}}
    match verdict.result:
        case Result.APPLIED:
            return Outcome("DONE", "OK", "已受理", {**verdict.content, **content})
        case Result.REJECTED:
            return replace(answers.rejected(verdict), content={**_refusal(verdict), **content})
        case Result.NOT_SENT:
            return replace(answers.not_sent(verdict.code), content=dict(content))
        case _:
            return replace(_unanswered(step, verdict), content=dict(content))


def _refusal(verdict: Verdict) -> dict[str, object]:
    """What the centre itself said."""
    return {"reply": {"infcode": verdict.code, "err_msg": shown(verdict.text)}}
