"""Passing requests: sign-in, and who a person is, before any encounter exists.  Nothing of them is stored."""

from __future__ import annotations

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement.absorb import absorb, refuse_faults
from adapter_core.settlement.calls import Caller, Context
from adapter_core.settlement.chain import plan_faults
from adapter_core.settlement.filing import choose_insurance
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock
from adapter_core.settlement.records import Bill, Encounter
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import Result
from adapter_core.settlement.stepping import stopped_outcome
from adapter_core.settlement.stopping import StepStopped
from adapter_core.settlement.telling import Teller
from adapter_core.values.moments import national_time


class Passing:
    def __init__(self, caller: Caller, sessions: Sessions, teller: Teller, clock: Clock) -> None:
        self._caller = caller
        self._sessions = sessions
        self._teller = teller
        self._clock = clock

    async def sign_in(self, place: Place, dialect: Dialect, operation: Operation) -> Outcome:
        """The centre's session of today for the operator at hand.  Raises: TranslationError, Refused."""
        try:
            told = await self._sessions.sign_in(await self._context(place, operation))
        except StepStopped as stopped:
            return stopped_outcome(stopped)
        refs = await self._teller.minted(place, dialect, "sign_in", None)
        return Outcome("DONE", "OK", "签到成功", {"env": dict(told)}, refs)

    async def identify(self, place: Place, operation: Operation, is_first: bool = True) -> Outcome:
        """Who the person is, as the centre knows them; asked once more where the answer chooses another gateway.

        Raises: TranslationError, Refused.
        """
        context = await self._context(place, operation)
        step = place.gateway.route.steps["who"]
        refuse_faults(operation, context.bill, plan_faults(context, [step]))
        try:
            context = await self._sessions.signed_in(context)
        except StepStopped as stopped:
            return stopped_outcome(stopped)
        called = await self._caller.read(step, context, view(context.encounter, context.bill))
        if called.verdict.result is not Result.APPLIED:
            return stopped_outcome(StepStopped(step, called.verdict))
        content = dict(called.verdict.content)
        rows = content.get("insurances", [])
        chosen = choose_insurance(rows, operation.content.get("settle", {}).get("insutype")) if rows else None
        content["person"] = {
            **context.encounter.content.get("person", {}),
            **content.get("person", {}),
            **(chosen or {}),
        }
        chosen_place = place.chosen(content, operation.kind, self._clock.wall())
        if is_first and chosen_place.way != place.way:
            return await self.identify(chosen_place, operation, is_first=False)
        name = content["person"].get("psn_name", "")
        return Outcome("DONE", "OK", f"已查到参保人 {name}，余额 {content['person'].get('balc', '未返回')} 元", content)

    async def _context(self, place: Place, operation: Operation) -> Context:
        """A context that is stored nowhere: for reads before any encounter exists."""
        now = national_time(self._clock.wall())
        encounter = Encounter("", place.org, "", operation.kind, operation.dialect)
        bill = Bill("", place.org, "", "", "")
        encounter, bill = absorb(encounter, bill, operation, place.defaults, now)
        return Context(place, encounter, bill)
