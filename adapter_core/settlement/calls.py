"""One remote call, journalled: intent before the wire, reply before parsing, outcome before an answer (`reliability.md` §4)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from msgspec import Struct, field
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt

from adapter_core.province.messages import Call
from adapter_core.province.plan import Step
from adapter_core.settlement.judge import Verdict, judge
from adapter_core.settlement.place import Place
from adapter_core.settlement.poison import NothingInHand, noted
from adapter_core.settlement.ports import Clock, InHand, Ledger, MsgidTaken, Random, VersionMoved, Wire
from adapter_core.settlement.records import Bill, CallRecord, Case, Change, Encounter, Event
from adapter_core.settlement.states import Result
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSent, OutcomeUnknown
from adapter_core.values.frames import Frame
from adapter_core.values.moments import iso, national_time

READ_TRIES = 3
SAFE_TO_REPEAT = frozenset({"R", "P", "session"})
MSGID_TRIES = 50
_CONTINUING = bytes(range(0x80, 0xC0))
"""Bytes that continue a character of UTF-8."""


class Context(Struct, frozen=True):
    """What a call is made for; ``case`` is None for a verb without one."""

    place: Place
    encounter: Encounter
    bill: Bill
    case: Case | None = None
    extra: Content = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Called:
    """A finished call: its record as stored, and the verdict."""

    record: CallRecord
    call: Call
    verdict: Verdict


class Caller:
    """Makes calls.  It is the one place that draws a msgid, journals and sends."""

    def __init__(self, ledger: Ledger, wire: Wire, clock: Clock, random: Random, in_hand: InHand | None = None) -> None:
        self._in_hand = in_hand or NothingInHand()
        self._ledger = ledger
        self._wire = wire
        self._clock = clock
        self._random = random

    def national_moment(self) -> str:
        """Now, in the standard's form."""
        return national_time(self._clock.wall())

    async def read(self, step: Step, context: Context, content: Content, resolving: bool = False) -> Called:
        """A read or a trial: sent again, with a new msgid, when no trusted reply came; two retries at most.

        resolving: the query belongs to an unknown outcome: it has its own lane, and the resolver's ladder repeats it.
        """
        done = await self._read_once(step, context, content, resolving)
        if resolving or not self._worth_repeating(context, done):
            return done  # nearly every read: it needs no machinery for retries
        tried = [done]
        unanswered: list[Called] = []

        async def again() -> Called:
            found = tried.pop() if tried else await self._read_once(step, context, content)
            if found.verdict.result is Result.UNKNOWN:
                unanswered.append(found)
            return found

        retrying = AsyncRetrying(
            stop=stop_after_attempt(READ_TRIES),
            retry=retry_if_result(lambda found: self._worth_repeating(context, found)),
            wait=self._jitter,
            sleep=asyncio.sleep,
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        last: Called = await retrying(again)
        # an upload of the HIS's own that once left may have arrived, whatever became of the tries after it
        return unanswered[-1] if last.verdict.result is Result.NOT_SENT and unanswered else last

    def _jitter(self, state: RetryCallState) -> float:
        return self._random.uniform(0.0, min(5.0, 0.2 * 2.0**state.attempt_number))

    def _worth_repeating(self, context: Context, done: Called) -> bool:
        nothing_known = done.verdict.result in (Result.NOT_SENT, Result.UNKNOWN)
        return nothing_known and self._wire.may_retry(context.place.endpoint)

    async def _read_once(self, step: Step, context: Context, content: Content, resolving: bool = False) -> Called:
        record, call, frame = self._prepare(step, context, content)
        deadline = context.place.gateway.capabilities.read_deadline_s
        reply, failure = await self._exchange(context.place, frame, step.kind_class, deadline, resolving=resolving)
        verdict = failure if reply is None else self.judge(context, call, reply)
        assert verdict is not None
        events = [
            self._event("CALL", context, _asked_data(call), frame_bytes(frame)),
            self._outcome_event(context, call, verdict),
        ]
        if reply is not None:
            events.insert(1, self._reply_event(step, context, call, reply))
        record = replace(record, result=verdict.result, replied=reply is not None, version=1)
        change = Change(context.place.org, events=tuple(events), calls=(record,))
        try:
            await self._ledger.commit(change)
        except MsgidTaken:  # a read may be repeated, so a doubled number harms nothing; the journal still has it
            await self._ledger.commit(replace(change, calls=()))
        return Called(record, call, verdict)

    async def send(
        self,
        step: Step,
        context: Context,
        content: Content,
        with_intent: Change | None = None,
        resolving: bool = False,
        intended: Callable[[], None] = lambda: None,
    ) -> Called:
        """A call that changes something at the centre, once: J3, gate, wire, J5, verdict.  The caller journals J6.

        with_intent: records to store in the intent's own transaction (the case going to SENDING); intended: told once they are.
        Raises: whatever the ledger raises at J3: then nothing was sent.
        """
        record, call, frame, gate_closes = await self._intent(step, context, content, with_intent)
        intended()

        def gate() -> None:
            if self._clock.mono() > gate_closes:
                raise NotSent("the send gate is closed", code="GATE_CLOSED")

        capabilities = context.place.gateway.capabilities
        inpatient = context.encounter.kind == "inpatient"
        deadline = capabilities.inpatient_deadline_s if inpatient else capabilities.money_deadline_s
        reply, failure = await self._exchange(context.place, frame, step.kind_class, deadline, gate, resolving)
        if reply is None:
            assert failure is not None
            return Called(record, call, failure)
        record = await self._replied(context, call, record, reply)
        return Called(record, call, self.judge(context, call, reply))

    async def _replied(self, context: Context, call: Call, record: CallRecord, reply: Frame) -> CallRecord:
        """J5.  A late reply is evidence even when another replica has taken the case over meanwhile, so it is never dropped."""
        event = self._event(
            "REPLY", context, {"msgid": call.msgid, "step": call.step, **frame_data(reply)}, frame_bytes(reply)
        )
        while True:
            record = replace(record, replied=True, version=record.version + 1)
            try:
                await self._ledger.commit(Change(context.place.org, events=(event,), calls=(record,)))
            except VersionMoved:
                records = await self._ledger.calls_of_case(record.case_id)
                record = next(one for one in records if one.call_id == record.call_id)
                continue
            return record

    async def _intent(
        self, step: Step, context: Context, content: Content, with_intent: Change | None
    ) -> tuple[CallRecord, Call, Frame, float]:
        base = with_intent or Change(context.place.org)
        for _ in range(MSGID_TRIES):
            gate_closes = self._clock.mono() + context.place.timers.gate
            record, call, frame = self._prepare(step, context, content)
            event = self._event(
                "INTENT", context, {**call_data(call), "body_hash": record.body_hash}, frame_bytes(frame)
            )
            try:
                await self._ledger.commit(replace(base, events=(*base.events, event), calls=(*base.calls, record)))
            except MsgidTaken:
                continue
            return record, call, frame, gate_closes
        raise NotSent("no free msgid", code="NO_MSGID")

    def length(self, step: Step, context: Context, content: Content) -> int:
        """Characters of the call as it would leave, without sending it."""
        call = Call(step.name, step.call, step.kind_class, {**content, **context.extra}, "0" * 30)
        frame = noted(self._in_hand, _case_id(context), lambda: context.place.gateway.encode(call, self._clock.wall()))
        return len(frame_bytes(frame).translate(None, _CONTINUING))

    def _prepare(self, step: Step, context: Context, content: Content) -> tuple[CallRecord, Call, Frame]:
        place = context.place
        moment = self._clock.wall()
        msgid = place.gateway.msgid(moment, self._ledger.sequence(place.org))
        call = Call(step.name, step.call, step.kind_class, {**content, **context.extra}, msgid)
        frame = noted(self._in_hand, _case_id(context), lambda: place.gateway.encode(call, moment))
        record = CallRecord(
            call_id=self._random.token(),
            org=place.org,
            msgid=msgid,
            step=step.name,
            message=step.call,
            kind_class=step.kind_class,
            case_id=_case_id(context),
            encounter_id=context.encounter.encounter_id,
            bill_id=context.bill.bill_id,
            body_hash=hashlib.sha256(frame_bytes(frame)).hexdigest(),
            not_after=iso(moment + timedelta(seconds=place.timers.gate)),
            version=1,
        )
        return record, call, frame

    async def _exchange(
        self,
        place: Place,
        frame: Frame,
        kind_class: str,
        deadline_s: float,
        gate: Callable[[], None] | None = None,
        resolving: bool = False,
    ) -> tuple[Frame | None, Verdict | None]:
        """The reply, or the verdict on its absence.  Whatever has a gate goes over a connection of its own."""
        try:
            reply = await self._wire.exchange(
                place.endpoint,
                frame,
                deadline_s=deadline_s,
                gate=gate or (lambda: None),
                money=gate is not None,
                kind_class=kind_class,
                resolving=resolving,
            )
        except NotSent as error:
            return None, Verdict(Result.NOT_SENT, error.code, str(error))
        except OutcomeUnknown as error:
            return None, Verdict(Result.UNKNOWN, error.code, str(error))
        return reply, None

    def judge(self, context: Context, call: Call, reply: Frame) -> Verdict:
        """The verdict on a reply that just came, or that the journal kept."""
        return noted(self._in_hand, _case_id(context), lambda: judge(context.place.gateway, call, reply))

    def outcome(self, context: Context, called: Called, **facts: Any) -> tuple[CallRecord, Event]:
        """J6: the record and the event to commit together with what follows from them."""
        record = replace(called.record, result=called.verdict.result, version=called.record.version + 1)
        return record, self._outcome_event(context, called.call, called.verdict, **facts)

    def _outcome_event(self, context: Context, call: Call, verdict: Verdict, **facts: Any) -> Event:
        data = {
            "msgid": call.msgid,
            "step": call.step,
            "message": call.message,
            "result": str(verdict.result),
            "code": verdict.code,
            "text": verdict.text,
            "reason": verdict.reason.code if verdict.reason else "",
            "warnings": list(verdict.warnings),
            **facts,
        }
        return self._event("OUTCOME", context, data)

    def _reply_event(self, step: Step, context: Context, call: Call, reply: Frame) -> Event:
        data: dict[str, Any] = {"msgid": call.msgid, "step": call.step, **frame_data(reply)}
        raw = frame_bytes(reply)
        if step.bulk:
            return self._event("REPLY", context, {**data, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()})
        return self._event("REPLY", context, data, raw)

    def _event(self, kind: str, context: Context, data: Mapping[str, Any], raw: bytes = b"") -> Event:
        return Event(kind, iso(self._clock.wall()), _case_id(context), context.encounter.encounter_id, data, raw)


def _case_id(context: Context) -> str:
    return context.case.case_id if context.case else ""


def call_data(call: Call) -> dict[str, Any]:
    """A call as the journal keeps it, whole: a restart reads its reply again with it."""
    return {
        "step": call.step,
        "message": call.message,
        "class": call.kind_class,
        "msgid": call.msgid,
        "content": call.content,
        "refs": dict(call.refs),
    }


def _asked_data(call: Call) -> dict[str, Any]:
    """A read as the journal keeps it: a HIS's own message stands whole in the frame beside it, and once is enough."""
    return {**call_data(call), "content": {name: part for name, part in call.content.items() if name != "relay"}}


def call_from(data: Mapping[str, Any]) -> Call:
    """The inverse of `call_data`."""
    return Call(data["step"], data["message"], data["class"], dict(data["content"]), data["msgid"], dict(data["refs"]))


def frame_data(frame: Frame) -> dict[str, Any]:
    """What of a reply frame is not its bytes."""
    return {"status": str(frame.status or ""), "ret": frame.ret, "headers": [list(pair) for pair in frame.headers]}


def frame_bytes(frame: Frame) -> bytes:
    """The bytes of a frame: an HTTP body, or a function call's first buffer."""
    return frame.body or next(iter((frame.outs or frame.ins).values()), b"")


def frame_from(data: Mapping[str, Any], raw: bytes) -> Frame:
    """A reply frame as it was journalled."""
    return Frame(
        body=raw,
        status=int(data["status"]) if data["status"] else None,
        ret=data["ret"],
        headers=tuple((name, value) for name, value in data["headers"]),
    )
