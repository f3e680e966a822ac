"""Carrying out a resolution: asks, reverses, waits, and reads the case anew before every move (`reliability.md` §5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from adapter_core.province.capabilities import Capabilities
from adapter_core.province.messages import Call
from adapter_core.settlement.calls import Caller, Context
from adapter_core.settlement.decisions import Finding, finding, move
from adapter_core.settlement.from_files import ask_by_setl_id, filed_at, filed_row, from_file
from adapter_core.settlement.judge import SIGN_IN_INVALID
from adapter_core.settlement.ownership import Ownership
from adapter_core.settlement.place import Timers
from adapter_core.settlement.ports import Clock, Conflict, Ledger, Random
from adapter_core.settlement.records import CallRecord, Case, Change, Event
from adapter_core.settlement.resolution import (
    Doubt,
    Reversal,
    asked,
    found_again,
    next_move,
    pause_after,
    quiet_for_query,
    reversed_once,
)
from adapter_core.settlement.retracing import Retracing
from adapter_core.settlement.searching import searched
from adapter_core.settlement.second_phase import Phases, phases_of, second_content
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import Result, State
from adapter_core.settlement.stopping import StepStopped
from adapter_core.settlement.unfiled import is_proved_absent, outlived_quiet
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.moments import china, iso

IN_DOUBT = (State.RESOLVING, State.REVERSING)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What ends a doubt.  state: SETTLED, VOIDED, NOT_APPLIED, REVERSED or FROZEN; by: E2, E3, E6 ("" when frozen).

    CONFIRMING: what phase one prepared (``result``, empty where it is known already) is to be confirmed now.
    """

    state: State
    by: str = ""
    result: Content = field(default_factory=dict)
    funds: list[Content] = field(default_factory=list)
    why: str = ""


class Resolver:
    """Restarting only makes it wait longer, never shorter: quiet periods run on this process's own monotonic clock from the
    moment it first had the doubt, which is never before the intent's gate opened."""

    def __init__(
        self,
        ledger: Ledger,
        caller: Caller,
        clock: Clock,
        random: Random,
        ownership: Ownership,
        sessions: Sessions,
        retracing: Retracing,
    ) -> None:
        self._ledger = ledger
        self._caller = caller
        self._clock = clock
        self._random = random
        self._ownership = ownership
        self._sessions = sessions
        self._retracing = retracing
        self._first_read: dict[str, float] = {}

    async def evidence(
        self,
        context: Context,
        call: Call,
        record: CallRecord,
        refresh: Callable[[], Awaitable[tuple[Context, CallRecord]]],
    ) -> Evidence | None:
        """Works until the doubt ends; None when the case is no longer this process's, no longer in doubt, or a late reply came.

        refresh: gives the context with the case, and the call's record, as the ledger has them now.
        """
        phases = await self._phases(context, call)
        doubt = self._first_doubt(context, call, record, phases)
        filed = ""
        while True:
            replied = _replies(record, phases)
            context, record = await refresh()
            phases = await self._phases(context, call)
            case = _case(context)
            late_reply = _replies(record, phases) > replied
            if case.state not in IN_DOUBT or not self._ownership.is_mine(case) or late_reply:
                return None
            doubt = replace(doubt, **self._facts(context, call, record, phases))
            if filed_at(case) != filed:  # the centre's file names it: what was not found until now counts no more
                filed = filed_at(case)
                doubt = replace(doubt, negatives=(), next_reversal=self._clock.mono())
            proved = await self._filed(context, call, doubt, phases)
            if proved is not None:
                return proved
            timers, capabilities = context.place.timers, context.place.gateway.capabilities
            if doubt.absence_proves and is_proved_absent(case, record, timers, capabilities):
                ended = State.REVERSED if doubt.burnt and case.purpose == "settle" else State.NOT_APPLIED
                return Evidence(ended, "E4")
            if phases is None and await self._noted_quiet(case, call, doubt, timers, capabilities):
                continue
            todo = next_move(doubt, self._clock.mono(), timers, capabilities)
            match todo.kind:
                case "close":
                    undone = todo.state is State.REVERSED and case.purpose == "void"
                    return Evidence(State.NOT_APPLIED if undone else todo.state, todo.evidence)
                case "confirm":
                    return Evidence(State.CONFIRMING)
                case "freeze":
                    return Evidence(State.FROZEN, why=todo.why)
                case "wait":
                    if not await self._wait(case, todo.until - self._clock.mono()):
                        return None
                case "ask":
                    sent_at = self._clock.mono()
                    found = await self._ask(context, call)
                    evidence = self._found(context, doubt, found, phases)
                    if evidence is not None:
                        return evidence
                    doubt = self._not_found(context, doubt, sent_at, found)
                case "reverse":
                    reversal = await self._reverse(context, call, record)
                    if reversal is None:
                        return None
                    doubt = reversed_once(doubt, reversal, timers, capabilities)

    def _first_doubt(self, context: Context, call: Call, record: CallRecord, phases: Phases | None) -> Doubt:
        return Doubt(
            first_read=self._known_since(call, phases),
            keep=True,
            burnt=record.burnt,
            can_ask=self._can_ask(context, call),
            finds_only=bool(context.place.gateway.route.steps[call.step].among),
            can_reverse=False,
            in_window=True,
            overdue=False,
            next_ask=self._clock.mono() + self._jittered(pause_after(0, context.place.timers)),
            next_reversal=self._clock.mono(),
            next_confirm=self._next_confirm(context, phases),
        )

    def _not_found(self, context: Context, doubt: Doubt, sent_at: float, found: Finding) -> Doubt:
        """The doubt after a question that ended nothing."""
        timers, capabilities = context.place.timers, context.place.gateway.capabilities
        pause = self._jittered(pause_after(doubt.asked + 1, timers))
        doubt = asked(doubt, sent_at, found.kind == "absent", pause, timers, capabilities)
        if found.kind == "found":
            doubt = found_again(doubt, sent_at, timers)
        late = sent_at >= quiet_for_query(doubt, timers, capabilities)
        return replace(
            doubt,
            blind=doubt.blind or (late and (doubt.finds_only or found.kind == "other")),
            refused=doubt.refused or found.kind == "contradiction",
        )

    async def _phases(self, context: Context, call: Call) -> Phases | None:
        return await phases_of(self._retracing, _case(context), context.place.gateway.route.steps[call.step])

    def _known_since(self, call: Call, phases: Phases | None) -> float:
        """When this process first knew of the newest message that may still take effect."""
        msgids = [call.msgid, *(one.msgid for one in (phases.perhaps_confirmed if phases else ()))]
        return max(self._first_read.setdefault(msgid, self._clock.mono()) for msgid in msgids)

    def _next_confirm(self, context: Context, phases: Phases | None) -> float:
        """The first confirm goes at once; after each that came to nothing the ladder's next step is waited."""
        if phases is None or not phases.confirms:
            return self._clock.mono()
        pause = pause_after(len(phases.confirms) - 1, context.place.timers)
        return self._clock.mono() + self._jittered(pause)

    def _facts(self, context: Context, call: Call, record: CallRecord, phases: Phases | None) -> dict[str, Any]:
        """What may change while waiting: the HIS's wish, the calendar, the journal."""
        case = _case(context)
        sent = china(datetime.fromisoformat(record.not_after)).date()
        today = china(self._clock.wall()).date()
        window = context.place.gateway.capabilities.reverse_window
        aborts = phases is not None and phases.may_abort
        in_window = window != "same_day" or sent == today or aborts
        # a refund is never reversed, so one that is found stands
        wish = case.data.get("on_unknown") or context.place.on_unknown
        adopts = wish == "adopt" or not in_window or case.purpose == "void"
        prepared = (
            phases is not None and phases.prepared
        )  # answered and checked: what isn't known is only our own confirm
        keep = case.wanted and (adopts or prepared)
        facts: dict[str, Any] = {
            "keep": keep,
            "burnt": record.burnt,
            "in_window": in_window,
            "overdue": today > sent + timedelta(days=1),
            "awaits_files": context.place.awaits_files,
            "can_reverse": aborts or self._can_reverse(context, call),
        }
        if phases is None:
            return facts
        # as long as our own confirm is still to come, its absence is no news
        to_come = phases.may_confirm and not phases.perhaps_confirmed and keep and not record.burnt
        self_evident = phases.second.shows == "prepared"
        return {
            **facts,
            "first_read": self._known_since(call, phases),
            "prepared": phases.prepared and not phases.perhaps_confirmed,
            "can_confirm": phases.may_confirm,
            "refused": phases.refused,
            "absence_proves": phases.absence_proves and (self_evident or not to_come),
        }

    def _found(self, context: Context, doubt: Doubt, found: Finding, phases: Phases | None) -> Evidence | None:
        """Evidence E2, or what a find that may not be adopted leads to; None = go on."""
        case = _case(context)
        if found.kind == "contradiction":
            if phases is not None and phases.may_abort:
                return None  # nothing is confirmed: what is wrong is discarded
            return Evidence(State.FROZEN, "", found.result, found.funds, found.text)
        if found.kind != "found":
            return None
        if phases is not None and not phases.found_is_confirmed and doubt.keep and not doubt.burnt:
            return None if phases.prepared else Evidence(State.CONFIRMING, "E2", found.result, found.funds)
        if doubt.keep and not doubt.burnt:
            return Evidence(_standing(case), "E2", found.result, found.funds)
        if doubt.can_reverse and doubt.in_window:
            return None
        why = "found at the centre, no longer wanted or already reversed, and no reversal is possible any more"
        return Evidence(State.FROZEN, "", found.result, found.funds, why)

    async def _filed(self, context: Context, call: Call, doubt: Doubt, phases: Phases | None) -> Evidence | None:
        """Evidence E4: a reconciliation file names the call; None where none does, or where it is to be reversed."""
        case, gateway = _case(context), context.place.gateway
        row = filed_row(case, call.msgid)
        if row is None:
            return None
        if not doubt.keep or doubt.burnt:
            if doubt.can_reverse and doubt.in_window:
                return None
            why = "the centre's file has it, it is no longer wanted or already reversed, and no reversal is possible any more"
            return Evidence(State.FROZEN, why=why)
        found = Finding("silent", {}, [])
        if gateway.route.steps[call.step].ask and gateway.capabilities.query_after_unknown != "none":
            number = row.setl_id if case.purpose == "settle" else call.content.get("settled", {}).get("setl_id", "")
            found = await ask_by_setl_id(self._caller, context, call, await self._of_today(context, call), number)
        evidence = self._found(context, doubt, found, phases)
        if evidence is not None:
            return replace(evidence, by="E4") if evidence.state is _standing(case) else evidence
        trial = context.bill.content.get("settled" if case.purpose == "void" else "trial", {})
        result = from_file(case, trial, replace(row, refunded=row.refunded and case.purpose != "void"))
        if result is not None:
            return Evidence(_standing(case), "E4", result)
        return Evidence(State.FROZEN, why="the centre's file has it with other amounts, and no query shows its split")

    async def _noted_quiet(
        self, case: Case, call: Call, doubt: Doubt, timers: Timers, capabilities: Capabilities
    ) -> bool:
        """A doubt that nothing ended when its quiet period did waits for the files: those asked for from now on prove something."""
        over = quiet_for_query(doubt, timers, capabilities) + 2 * timers.query_step_last
        change = outlived_quiet(case, call.msgid, iso(self._clock.wall())) if self._clock.mono() >= over else None
        if change is None:
            return False
        try:
            await self._ledger.commit(change)
        except Conflict:
            pass  # a cancel, or a file, wrote first: read again
        return True

    def _can_ask(self, context: Context, call: Call) -> bool:
        if not context.place.gateway.route.steps[call.step].ask:
            return False
        wanted = context.place.gateway.capabilities.query_after_unknown
        return wanted == "by_visit" or (wanted == "by_setl_id_only" and _case(context).purpose == "void")

    def _can_reverse(self, context: Context, call: Call) -> bool:
        """A void is never reversed by itself: that would revive the settlement."""
        gateway = context.place.gateway
        reversible = bool(gateway.route.steps[call.step].reverse) and call.message in gateway.policy.reversible
        return reversible and _case(context).purpose == "settle"

    def _jittered(self, pause: float) -> float:
        return pause * self._random.uniform(0.8, 1.2)

    async def _wait(self, case: Case, pause: float) -> bool:
        """Sleep, with signs of life where other replicas watch; False when the case was taken over."""
        until = self._clock.mono() + pause
        slice_s = pause if self._ownership.exclusive else self._ownership.lease_s / 3
        while self._clock.mono() < until:
            await asyncio.sleep(max(0.0, min(slice_s, until - self._clock.mono())))
            if not self._ownership.exclusive:
                fresh = await self._ledger.case(case.case_id)
                if fresh is None or not self._ownership.is_mine(fresh):
                    return False
                if fresh.state not in IN_DOUBT or fresh.wanted != case.wanted:
                    return True
                if await self._ownership.renew(fresh) is None:
                    return True
        return True

    async def _ask(self, context: Context, call: Call) -> Finding:
        gateway = context.place.gateway
        step = gateway.route.steps[call.step]
        today = await self._of_today(context, call)
        content = {**today, "original": {"omsgid": call.msgid, "oinfno": call.message}}
        if step.among:
            return await searched(self._caller, context, call, content)
        ask = gateway.route.steps[step.ask]
        called = await self._caller.read(ask, context, content, resolving=True)
        if called.verdict.code == SIGN_IN_INVALID:
            await self._sessions.forget(context)
        outside = gateway.capabilities.shared_account_outside
        return finding(_case(context), call.msgid, call.content, called.verdict, gateway.policy, outside)

    async def _of_today(self, context: Context, call: Call) -> Content:
        """The doubted call's content under today's session: a doubt may outlive the day it began in."""
        content = {**view(context.encounter, context.bill), **call.content}
        try:
            signed = await self._sessions.signed_in(context)
        except StepStopped:
            return content  # the centre takes no sign-in now: ask all the same
        return {**content, "env": {**content.get("env", {}), **signed.encounter.content.get("env", {})}}

    async def _reverse(self, context: Context, call: Call, record: CallRecord) -> Reversal | None:
        """One 2601.  Its intent burns the msgid and moves the case to REVERSING in the same transaction."""
        case = _case(context)
        route = context.place.gateway.route
        phases = await self._phases(context, call)
        aborts = phases is not None and phases.may_abort
        step = route.steps[phases.second.abort if phases and aborts else route.steps[call.step].reverse]
        now = iso(self._clock.wall())
        intent = Event(
            "REVERSE_INTENT", now, case.case_id, case.encounter_id, {"msgid": call.msgid, "message": call.message}
        )
        burnt = () if record.burnt else (replace(record, burnt=True, version=record.version + 1),)
        reversing = move(case, State.REVERSING, now)
        today = await self._of_today(context, call)
        content = {**today, "original": {"omsgid": call.msgid, "oinfno": call.message}}
        if aborts:
            content["settled"] = second_content(context, call)["settled"]
        change = Change(case.org, events=(intent,), calls=burnt, cases=(reversing,))
        sent_at = self._clock.mono()
        try:
            called = await self._caller.send(step, replace(context, case=reversing), content, change, resolving=True)
        except Conflict:
            return None
        answered_at = self._clock.mono()
        outcome, event = self._caller.outcome(context, called)
        await self._ledger.commit(Change(case.org, events=(event,), calls=(outcome,)))
        texts = context.place.gateway.policy.reverse_missing_texts
        missing = called.verdict.result is Result.REJECTED and any(text in called.verdict.text for text in texts)
        return Reversal(sent_at, called.verdict.result, missing, answered_at)


def _case(context: Context) -> Case:
    assert context.case is not None
    return context.case


def _replies(record: CallRecord, phases: Phases | None) -> int:
    """How many of the money messages have a journalled reply."""
    return sum(one.replied for one in (record, *(phases.confirms if phases else ())))


def _standing(case: Case) -> State:
    return State.VOIDED if case.purpose == "void" else State.SETTLED
