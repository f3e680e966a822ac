"""Resolving an unknown outcome by evidence, never by time alone (`reliability.md` §5).

This release asks (E2, E3) and freezes; reversing (2601, E6) and operators' decisions (E5) join in the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_core.province.messages import Call
from adapter_core.settlement.calls import Caller, Context
from adapter_core.settlement.decisions import Finding, finding
from adapter_core.settlement.ports import Clock, Random
from adapter_core.settlement.standing import view
from adapter_core.values.content import Content


@dataclass(frozen=True, slots=True)
class Evidence:
    """What closes a case: kind ``found`` | ``absent`` | ``contradiction`` | ``none``; by: E2 or E3."""

    kind: str
    by: str
    result: Content
    funds: list[Content]
    text: str = ""


class Resolver:
    """Asks the centre about one money call until evidence is there.  Restarting only makes it wait longer, never shorter:
    quiet periods run on this process's own monotonic clock from the moment it first read the intent."""

    def __init__(self, caller: Caller, clock: Clock, random: Random) -> None:
        self._caller = caller
        self._clock = clock
        self._random = random

    async def evidence(self, context: Context, call: Call, first_read: float) -> Evidence:
        """Asks with growing pauses; returns only with evidence, or at once with kind ``none`` where nothing can be asked.

        first_read: `Clock.mono` when this process first knew of the intent.
        """
        capabilities = context.place.gateway.capabilities
        if not self._can_ask(context, call):
            return Evidence("none", "", {}, [], f"query_after_unknown = {capabilities.query_after_unknown}")
        quiet_until = first_read + context.place.timers.gate + capabilities.late_commit_s + capabilities.query_lag_s
        negative_at: float | None = None
        steps = iter(context.place.timers.query_steps)
        while True:
            await asyncio.sleep(self._pause(context, steps, quiet_until, negative_at))
            asked_at = self._clock.mono()
            found = await self._ask(context, call)
            if found.kind in ("found", "contradiction"):
                return Evidence(found.kind, "E2", found.result, found.funds, found.text)
            if found.kind != "absent" or asked_at < quiet_until:
                negative_at = None if found.kind != "absent" else negative_at
                continue
            if negative_at is not None and asked_at >= negative_at + capabilities.second_negative_s:
                return Evidence("absent", "E3", {}, [])
            negative_at = asked_at if negative_at is None else negative_at

    def _can_ask(self, context: Context, call: Call) -> bool:
        assert context.case is not None
        route = context.place.gateway.route
        if not route.steps[call.step].ask:
            return False
        wanted = context.place.gateway.capabilities.query_after_unknown
        return wanted == "by_visit" or (wanted == "by_setl_id_only" and context.case.purpose == "void")

    def _pause(self, context: Context, steps: Any, quiet_until: float, negative_at: float | None) -> float:
        """The next step of the ladder; towards the end of the quiet period, and between the two negatives, just long enough."""
        timers = context.place.timers
        step = next(steps, timers.query_step_last)
        now = self._clock.mono()
        if negative_at is not None:
            return max(0.0, negative_at + context.place.gateway.capabilities.second_negative_s - now)
        pause = step * self._random.uniform(0.8, 1.2)
        return max(0.0, quiet_until - now) if now < quiet_until < now + pause else pause

    async def _ask(self, context: Context, call: Call) -> Finding:
        assert context.case is not None
        route = context.place.gateway.route
        ask = route.steps[route.steps[call.step].ask]
        content: Mapping[str, Any] = {**view(context.encounter, context.bill), **call.content}
        called = await self._caller.read(ask, context, dict(content))
        gateway = context.place.gateway
        outside = gateway.capabilities.shared_account_outside
        return finding(context.case, call.msgid, call.content, called.verdict, gateway.policy, outside)
