"""Confirming: what phase one of a two-phase trade prepared is committed under an intent of its own (`translation.md` §7).

Nothing is told to the HIS before the confirm was answered: until then the centre may discard what phase one prepared.
"""

from __future__ import annotations

import asyncio

from adapter_core.province.messages import Call, Operation
from adapter_core.province.plan import Second
from adapter_core.settlement.calls import Called, Caller, Context
from adapter_core.settlement.concluding import Concluding
from adapter_core.settlement.decisions import move
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.records import Change
from adapter_core.settlement.retracing import Retracing
from adapter_core.settlement.second_phase import money_step, phases_of, second_content
from adapter_core.settlement.states import Result, State
from adapter_core.settlement.telling import Teller


class Confirming:
    """Drives a case in CONFIRMING: one confirm, or what the journal says became of it.

    scanned: set once the start-up scan has ended; nothing that moves money leaves before.
    """

    def __init__(
        self, caller: Caller, concluding: Concluding, retracing: Retracing, teller: Teller, scanned: asyncio.Event
    ) -> None:
        self._scanned = scanned
        self._caller = caller
        self._concluding = concluding
        self._retracing = retracing
        self._teller = teller

    async def turn(self, context: Context, operation: Operation | None) -> None:
        """Leads to SETTLED, VOIDED or RESOLVING."""
        await self._scanned.wait()
        case, step = context.case, money_step(context)
        assert case is not None
        second = step.second
        phases = await phases_of(self._retracing, case, step)
        first = await self._retracing.last_call(case, step.name)
        assert second is not None and phases is not None and first is not None
        last = phases.confirms[-1] if phases.confirms else None
        if last is not None and last.result == "":
            await self._recovered(context, second)
            return
        in_session = last is None and self._concluding.prepared_here(first[0].msgid)
        if not case.wanted or not (phases.may_confirm or (second.handle == "session" and in_session)):
            await self._in_doubt(context, "CANCELLED" if not case.wanted else "CONFIRM_OPEN")
            return
        await self._confirm(context, first[0], second, operation)

    async def _confirm(self, context: Context, first: Call, second: Second, operation: Operation | None) -> None:
        """The case goes one version on with the intent: a cancel or a take-over that came before it keeps it from being sent."""
        case = context.case
        assert case is not None
        step = context.place.gateway.route.steps[second.confirm]
        confirming = move(case, State.CONFIRMING, self._teller.stamp())
        content = second_content(context, first)
        called = await self._caller.send(step, context, content, Change(case.org, cases=(confirming,)))
        await self._concluding.confirmed(context, called, operation)

    async def _recovered(self, context: Context, second: Second) -> None:
        """A confirm whose outcome was never written: its journalled reply is read again, a missing one leaves it unknown."""
        case = context.case
        assert case is not None
        found = await self._retracing.last_call(case, second.confirm)
        assert found is not None
        call, reply, record = found
        if reply is not None:
            verdict = self._caller.judge(context, call, reply)
        else:
            verdict = Verdict(Result.UNKNOWN, "RESTARTED", "stopped between intent and reply")
        await self._concluding.confirmed(context, Called(record, call, verdict), None)

    async def _in_doubt(self, context: Context, why: str) -> None:
        case = context.case
        assert case is not None
        doubted = move(case, State.RESOLVING, self._teller.stamp(), data={**case.data, "why": why})
        await self._teller.commit(Change(case.org, cases=(doubted,)))
