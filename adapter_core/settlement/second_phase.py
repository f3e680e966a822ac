"""How far a two-phase trade came, and what may still be done about it (`translation.md` §7)."""

from __future__ import annotations

from dataclasses import dataclass

from adapter_core.province.messages import Call
from adapter_core.province.plan import Second, Step
from adapter_core.settlement.calls import Context
from adapter_core.settlement.records import CallRecord, Case
from adapter_core.settlement.retracing import Retracing
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import Result
from adapter_core.values.content import Content

REFUSALS_MOST = 5
"""A repeatable confirm that a living centre refused so many times is not sent again, though nobody can tell what its words are
about: each one starts the quiet period anew, so nothing could ever be proved.  Silence and outages are not counted."""


def money_step(context: Context) -> Step:
    """The step that moves the case's money: the settlement, or what takes it back."""
    case = context.case
    assert case is not None
    route = context.place.gateway.route
    pay = route.goal(case.kind, "settle")
    assert pay is not None
    return route.steps[pay.undo] if case.purpose == "void" else pay


def second_content(context: Context, call: Call) -> Content:
    """What a confirm or an abort is made from: phase one's own content, its result with the references it brought, its msgid."""
    assert context.case is not None
    prepared = context.case.data.get("prepared", {})
    brought = prepared.get("result") or {"refs": dict(context.case.data.get("handle", {}))}
    content = {**view(context.encounter, context.bill), **call.content, "settled": brought}
    return {**content, "original": {"omsgid": call.msgid, "oinfno": call.message}}


@dataclass(frozen=True, slots=True)
class Phases:
    """How far a two-phase trade came.

    prepared: phase one's reply came and passed its checks.  confirms: every confirm that was intended, oldest first.
    refusals: how many of them were answered with a refusal that is not definite.
    """

    second: Second
    prepared: bool
    handle: bool
    confirms: tuple[CallRecord, ...]
    refusals: int

    @property
    def perhaps_confirmed(self) -> tuple[CallRecord, ...]:
        """The confirms of which it isn't known that they came to nothing."""
        return tuple(one for one in self.confirms if one.result not in (Result.NOT_SENT, Result.REJECTED))

    @property
    def refused(self) -> bool:
        return any(one.result == Result.REJECTED for one in self.confirms)

    @property
    def may_confirm(self) -> bool:
        """Whether one more confirm can do no harm: none may have been taken, or the route says that it may be repeated."""
        if not self.prepared or self.refused or self.second.handle == "session":
            return False
        if self.second.repeatable:
            return self.refusals < REFUSALS_MOST
        return not self.perhaps_confirmed

    @property
    def may_abort(self) -> bool:
        """What an abort does to a confirmed trade is nobody's promise, so none follows a confirm that may have been taken."""
        if not self.second.abort or self.perhaps_confirmed or self.second.handle == "session":
            return False
        return self.second.handle == "ours" or self.prepared or self.handle

    @property
    def found_is_confirmed(self) -> bool:
        return self.second.shows == "confirmed" and bool(self.perhaps_confirmed)

    @property
    def absence_proves(self) -> bool:
        """Whether an absence says that nothing is prepared either, or that what is prepared comes to nothing."""
        return self.second.shows == "prepared" or self.second.silence == "undone"


async def phases_of(retracing: Retracing, case: Case, step: Step) -> Phases | None:
    """None for a trade of one phase."""
    if step.second is None:
        return None
    confirms = tuple(await retracing.records(case, step.second.confirm))
    refusals = int(case.data.get("confirm_refusals", 0))
    return Phases(step.second, "prepared" in case.data, bool(case.data.get("handle")), confirms, refusals)
