"""The outbox: what goes to the centre after a settlement stands (3505, …).  It never touches the money state.

An item is a case of its own, purpose ``after``, that moves nothing: READY until its steps are made, then DONE; REJECTED when the
centre refused or the HIS's data don't suffice, DONE too when the settlement was taken back meanwhile (a settlement list: CANCELLED).  While
a refund is under way nothing goes out: it may come to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from adapter_core.settlement.calls import Context
from adapter_core.settlement.chain import Chain
from adapter_core.settlement.decisions import move
from adapter_core.settlement.lanes import Lanes
from adapter_core.settlement.ownership import Ownership
from adapter_core.settlement.ports import Ledger, Random
from adapter_core.settlement.records import Case, Change, Event
from adapter_core.settlement.resolution import pause_after
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.states import Result, State
from adapter_core.settlement.stopping import StepStopped
from adapter_core.settlement.telling import Teller
from adapter_core.values.copies import replace
from adapter_core.values.errors import TranslationError

PURPOSE = "after"
LIST = "list"
"""The purpose of a settlement list's items (`list_items`): they come when the HIS has the medical record, and may come again."""
TAKEN_BACK = "the settlement was taken back"
FOLLOWING = frozenset({PURPOSE, LIST})
"""Cases that move nothing: their steps may be made at any time after the settlement."""


def item_key(settle_key: str) -> str:
    """The key of a settlement's outbox item."""
    return f"{settle_key}/after"


def item_of(settled: Case, at: str) -> Case:
    """A new item, nobody's as yet."""
    return replace(
        settled,
        case_id=f"{settled.case_id}-after",
        purpose=PURPOSE,
        key=item_key(settled.key),
        state=State.READY,
        owner="",
        version=1,
        epoch=0,
        target_case_id=settled.case_id,
        opened_at=at,
        changed_at=at,
        setl_id="",
        total_fen=None,
        fund_fen=None,
        account_fen=None,
        cash_fen=None,
        told={},
        data={},
    )


SendList = Callable[[Context], Awaitable[tuple[Result, str, Mapping[str, Any]]]]


class Outbox:
    """lists: sends a settlement list once; what became of it, the centre's text, and what it told."""

    def __init__(
        self,
        ledger: Ledger,
        chain: Chain,
        sessions: Sessions,
        ownership: Ownership,
        teller: Teller,
        random: Random,
        lists: SendList,
    ) -> None:
        self._ledger = ledger
        self._chain = chain
        self._sessions = sessions
        self._ownership = ownership
        self._teller = teller
        self._random = random
        self._lists = lists
        self._lanes = Lanes()

    async def run(self, context: Context) -> None:
        """Until the item is done, refused, or another process's.  Raises: ledger conflicts."""
        tries = 0
        while True:
            case = await self._mine(context)
            if case is None:
                return
            target = await self._ledger.case(case.target_case_id)
            if target is None or target.state not in (State.SETTLED, State.VOIDING):
                await self._end(case, State.CANCELLED if case.purpose == LIST else State.DONE, TAKEN_BACK)
                return
            if target.state is State.SETTLED:
                stopped = await (self._list(context, case) if case.purpose == LIST else self._steps(context, case))
                if stopped is None or stopped is Result.REJECTED:
                    return
            pause = pause_after(tries, context.place.timers) * self._random.uniform(0.8, 1.2)
            tries += 1
            if not await self._waited(context, pause):
                return

    async def _steps(self, context: Context, case: Case) -> Result | None:
        """None when everything stands."""
        steps = context.place.gateway.route.after_money(case.kind)
        encounter = await self._ledger.encounter(case.encounter_id)
        bill = await self._ledger.bill(case.bill_id)
        assert encounter is not None
        assert bill is not None
        try:
            signed = await self._sessions.signed_in(Context(context.place, encounter, bill))
            await self._chain.run(signed, steps, steps[-1])
        except StepStopped as stopped:
            verdict = stopped.verdict
            if verdict.result is Result.REJECTED:
                await self._end(case, State.REJECTED, verdict.text)
            return verdict.result
        except TranslationError as error:
            await self._end(case, State.REJECTED, "; ".join(str(fault.path) for fault in error.faults))
            return Result.REJECTED
        await self._end(case, State.DONE, "")
        return None

    async def _list(self, context: Context, case: Case) -> Result | None:
        """One try of a settlement list; None when the centre took it.  One version of a list at a time."""
        async with self._lanes.lane(case.target_case_id):
            try:
                sent = await self._lists(replace(context, case=case))
            except StepStopped as stopped:  # the sign-in before it
                return stopped.verdict.result if stopped.verdict.result is not Result.REJECTED else Result.UNKNOWN
            except TranslationError as error:
                await self._end(case, State.REJECTED, "; ".join(str(fault.path) for fault in error.faults))
                return Result.REJECTED
        result, text, facts = sent
        if result is Result.APPLIED:
            await self._end(case, State.DONE, "", facts)
            return None
        if result is Result.REJECTED:
            await self._end(case, State.REJECTED, text)
        return result

    async def _end(self, case: Case, state: State, why: str, facts: Mapping[str, Any] | None = None) -> None:
        fresh = await self._ledger.case(case.case_id)
        assert fresh is not None
        if fresh.state is not State.READY:  # a newer version took its place, or the settlement was taken back meanwhile
            if facts:
                known = replace(fresh, data={**fresh.data, **facts}, version=fresh.version + 1)
                await self._ledger.commit(Change(case.org, cases=(known,)))
            return
        at = self._teller.stamp()
        ended = move(fresh, state, at, data={**fresh.data, **(facts or {}), "why": why})
        event = Event("FOLLOWED_UP", at, case.case_id, case.encounter_id, {"state": str(state), "why": why})
        await self._ledger.commit(Change(case.org, events=(event,), cases=(ended,)))

    async def _mine(self, context: Context) -> Case | None:
        assert context.case is not None
        case = await self._ledger.case(context.case.case_id)
        if case is None or case.state is not State.READY or not self._ownership.is_mine(case):
            return None
        return case

    async def _waited(self, context: Context, pause: float) -> bool:
        slice_s = pause if self._ownership.exclusive else self._ownership.lease_s / 3
        while pause > 0:
            await asyncio.sleep(min(slice_s, pause))
            pause -= slice_s
            case = await self._mine(context)
            if case is None or await self._ownership.renew(case) is None:
                return False
        return True
