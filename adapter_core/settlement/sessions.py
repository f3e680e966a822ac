"""Sessions with a centre: today's ``sign_no`` of an operator, where the gateway wants one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter_core.settlement.calls import Caller, Context
from adapter_core.settlement.ports import Clock, Ledger
from adapter_core.settlement.records import Alias, Change
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import Result
from adapter_core.settlement.stopping import StepStopped
from adapter_core.values.copies import replace
from adapter_core.values.moments import national_date


class Sessions:
    """process: this process's own name, new at every start: a session of scope ``process`` ends with it."""

    def __init__(self, ledger: Ledger, caller: Caller, clock: Clock, process: str) -> None:
        self._process = process
        self._ledger = ledger
        self._caller = caller
        self._clock = clock

    async def signed_in(self, context: Context) -> Context:
        """The context with today's ``sign_no`` of its operator, where the gateway wants one."""
        known = await self.known(context)
        if known is not None:
            return known
        return self._with_sign_no(context, str((await self.sign_in(context)).get("sign_no", "")))

    async def known(self, context: Context) -> Context | None:
        """As `signed_in`, from the ledger alone; None where the centre has to be asked."""
        place = context.place
        if place.gateway.capabilities.sign_in == "none":
            return context
        known = await self._ledger.alias(place.org, place.sessions, "sign_no", self._session(context))
        return self._with_sign_no(context, known.note) if known is not None and known.note else None

    async def sign_in(self, context: Context) -> Mapping[str, Any]:
        """A new session (9001): what the centre told of it.  It serves every later call of this operator and day.

        Raises: StepStopped.
        """
        place = context.place
        step = place.gateway.route.steps["sign"]
        content = view(context.encounter, context.bill)
        signer = content.get("env", {})
        content["env"] = {"opter_no": signer.get("opter", ""), **signer}
        called = await self._caller.read(step, context, content)
        if called.verdict.result is not Result.APPLIED:
            raise StepStopped(step, called.verdict)
        told: Mapping[str, Any] = called.verdict.content.get("env", {})
        if told.get("sign_no"):
            alias = Alias(place.org, place.sessions, "sign_no", self._session(context), note=str(told["sign_no"]))
            await self._ledger.commit(Change(place.org, aliases=(alias,)))
        return told

    async def forget(self, context: Context) -> None:
        """The centre no longer knows today's ``sign_no``: the next call signs in anew."""
        place = context.place
        alias = Alias(place.org, place.sessions, "sign_no", self._session(context), note="")
        await self._ledger.commit(Change(place.org, aliases=(alias,)))

    def _session(self, context: Context) -> str:
        if context.place.gateway.capabilities.sign_in == "process":
            return f"process/{self._process}"
        operator = context.encounter.content.get("env", {}).get("opter", "")
        return f"{operator}/{national_date(self._clock.wall())}"

    def _with_sign_no(self, context: Context, sign_no: str) -> Context:
        content = dict(context.encounter.content)
        content["env"] = {**content.get("env", {}), "sign_no": sign_no}
        return replace(context, encounter=replace(context.encounter, content=content))
