"""Sweeping: registrations that nobody settled are cancelled at the centre in quiet hours (2202, 2404), and so are the second ones that
a lost reply to a registration leaves behind (`reliability.md` §1, §5).  Never in a cashier's request.

Spared is whatever may still be settled or have been: a visit with a settlement, a doubt, a frozen case or papers, a patient who is still
in hospital, a visit of a HIS that registers by itself (relay), and a registration under which the centre shows a settlement.
Each step is journalled before it leaves, and begins with a claim: the encounter is marked and its cases move one version on, so
a settlement that comes at the same moment either was first, and nothing is swept, or asks the centre what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from adapter_core.province.plan import Route, Step
from adapter_core.province.relay import NAME as RELAY
from adapter_core.settlement.calls import Called, Caller, Context
from adapter_core.settlement.chain import Chain, ours_among
from adapter_core.settlement.decisions import move
from adapter_core.settlement.filing import undo_step
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Conflict, Ledger
from adapter_core.settlement.records import Bill, Case, Change, Encounter, Event
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.standing import doubt, view
from adapter_core.settlement.states import Result, State
from adapter_core.settlement.step_calls import spare_mark
from adapter_core.settlement.stopping import StepStopped
from adapter_core.settlement.telling import Teller
from adapter_core.settlement.ways import GatewayGone
from adapter_core.values.copies import replace
from adapter_core.values.errors import TranslationError
from adapter_core.values.moments import parse_national_time

PAGE = 200
SPARED = "spared"
"""In a registration's standing: why it is left alone for good."""
UNSETTLED = frozenset(
    {State.QUOTED, State.NOT_SENT, State.REJECTED, State.NOT_APPLIED, State.REVERSED, State.CANCELLED}
)
"""States of a settlement that never stood and may not stand by itself any more."""
AT_WORK = frozenset(
    {
        State.PREPARING,
        State.READY,
        State.SENDING,
        State.CONFIRMING,
        State.RESOLVING,
        State.REVERSING,
        State.FROZEN,
        State.VOIDING,
    }
)


@dataclass(frozen=True, slots=True)
class SweepRules:
    """after: how old a registration must be, and how long nothing may have happened to it; stays_after: the same for the stay of a
    patient who has left, zero = never; look_back: what is older is left alone."""

    after: timedelta
    stays_after: timedelta = timedelta(0)
    look_back: timedelta = timedelta(days=60)


@dataclass(slots=True)
class Swept:
    """What one sweep did.  spared: the centre refused, or shows a settlement; unanswered: left for the next sweep."""

    cancelled: int = 0
    extra: int = 0
    spared: int = 0
    unanswered: int = 0


@dataclass(slots=True)
class _Seen:
    """One pass over the encounters.  owners: a visit's number at the centre → the encounters that go by it."""

    old: list[Encounter] = field(default_factory=list)
    owners: dict[str, list[str]] = field(default_factory=dict)


class Sweeping:
    def __init__(
        self, ledger: Ledger, caller: Caller, chain: Chain, sessions: Sessions, clock: Clock, teller: Teller
    ) -> None:
        self._ledger = ledger
        self._caller = caller
        self._chain = chain
        self._sessions = sessions
        self._clock = clock
        self._teller = teller

    async def sweep(self, place: Place, rules: SweepRules) -> Swept:
        """One pass.  What somebody else is at work on is left for the next one."""
        swept, seen = Swept(), await self._seen(place, rules)
        for encounter in reversed(seen.old):
            try:
                await self._swept(place, encounter, rules, seen, swept)
            except (Conflict, GatewayGone):
                continue
            except (StepStopped, TranslationError):
                swept.unanswered += 1  # left for the next one
        return swept

    async def _seen(self, place: Place, rules: SweepRules) -> _Seen:
        seen, before = _Seen(), 0
        while True:
            page = await self._ledger.encounters_newest(place.org, before, PAGE)
            in_reach = False
            for ordinal, encounter in page:
                before = ordinal
                if encounter.mdtrt_id:
                    seen.owners.setdefault(encounter.mdtrt_id, []).append(encounter.encounter_id)
                age = self._age(_begun(encounter))
                in_reach = in_reach or age is None or age <= rules.look_back
                if age is not None and age >= rules.after and encounter.dialect != RELAY:
                    seen.old.append(encounter)
            if len(page) < PAGE or not in_reach:
                return seen

    async def _swept(self, place: Place, encounter: Encounter, rules: SweepRules, seen: _Seen, swept: Swept) -> None:
        place = place.of(encounter)
        step = place.gateway.route.goal(encounter.kind, "register")
        mark = _mark(encounter, step) if step is not None and step.undo else None
        age = self._age(str((mark or {}).get("at", "")))
        if step is None or mark is None or SPARED in mark or age is None or age < rules.after:
            return
        bills = await self._ledger.bills_of(encounter.encounter_id)
        cases = [case for bill in bills for case in await self._ledger.cases_of_bill(bill.bill_id)]
        work = _Work(place, step, encounter, bills, cases, seen.owners)
        if self._is_abandoned(work, age, rules):
            await self._take_back(work, swept)
        elif spare_mark(step) in encounter.standing and not any(case.state in AT_WORK for case in cases):
            await self._cancel_extras(work, swept)

    def _is_abandoned(self, work: _Work, age: timedelta, rules: SweepRules) -> bool:
        """Nothing of it stands or may, nothing happened to it for long, and the patient is not in hospital."""
        if any(case.purpose != "settle" or case.state not in UNSETTLED for case in work.cases):
            return False
        if work.encounter.kind == "inpatient":
            left = work.route.goal("inpatient", "discharge")
            gone = left is not None and left.name in work.encounter.standing
            if not rules.stays_after or age < rules.stays_after or not gone:
                return False
        now = self._clock.wall()
        return all(now - datetime.fromisoformat(case.changed_at) >= rules.after for case in work.cases)

    async def _take_back(self, work: _Work, swept: Swept) -> None:
        encounter = await self._claimed(work, "abandoned")
        context = Context(work.place, encounter, work.bills[-1] if work.bills else _no_bill(work))
        context = await self._sessions.signed_in(context)
        context = await self._emptied(context, work)
        own, listed = work.encounter.mdtrt_id, await self._listed(context, work)
        kept = ""
        for number in dict.fromkeys((*([own] if own else []), *listed)):
            if work.is_anothers(number):
                continue
            context, why = await self._cancelled(context, work, number)
            if why and work.step.ask and number not in await self._listed(context, work):
                continue  # another sweep cancelled it, and nobody heard so
            kept = kept or why
            swept.cancelled += not why
        swept.spared += bool(kept)
        await self._settled_down(context, work, kept)

    async def _cancel_extras(self, work: _Work, swept: Swept) -> None:
        encounter = await self._claimed(work, "extra", in_doubt=False)
        context = await self._sessions.signed_in(Context(work.place, encounter, work.bills[-1]))
        for number in await self._listed(context, work):
            if number == work.encounter.mdtrt_id or work.is_anothers(number):
                continue
            context, why = await self._cancelled(context, work, number)
            swept.spared += bool(why)
            swept.extra += not why
        standing = {name: row for name, row in context.encounter.standing.items() if name != spare_mark(work.step)}
        done = replace(context.encounter, standing=standing, version=context.encounter.version + 1)
        await self._ledger.commit(Change(work.place.org, encounter=done))

    async def _claimed(self, work: _Work, why: str, in_doubt: bool = True) -> Encounter:
        """The encounter marked and its cases moved on, a lapsed quote put away, in one transaction.  Raises: Conflict."""
        at, encounter = self._teller.stamp(), work.encounter
        open_mark = {doubt(work.step): {"open": True, "at": (_mark(encounter, work.step) or {}).get("at", "")}}
        standing = {**encounter.standing, **(open_mark if in_doubt else {})}
        encounter = replace(encounter, standing=standing, version=encounter.version + 1)
        cases = tuple(
            move(case, State.CANCELLED, at, wanted=False, told={})
            if case.state is State.QUOTED
            else replace(case, version=case.version + 1)
            for case in work.cases
        )
        facts = {"why": why, "mdtrt_id": encounter.mdtrt_id}
        event = Event("SWEEP", at, cases[-1].case_id if cases else "", encounter.encounter_id, facts)
        change = Change(work.place.org, events=(event,), encounter=encounter, cases=cases)
        await self._teller.commit(change)
        work.cases = list(cases)
        return encounter

    async def _emptied(self, context: Context, work: _Work) -> Context:
        """Its lines, and a stay's discharge, go first: no centre ends a visit that has any.  Raises: StepStopped."""
        names = work.route.chains[work.encounter.kind]
        after = [work.route.steps[name] for name in names[names.index(work.step.name) + 1 :]]
        for step in reversed([one for one in after if one.undo and one.kind_class == "U"]):
            if step.per == "encounter" and _stands(step, context.encounter.standing):
                context = await self._chain.undo(context, step)
            for bill in work.bills if step.per == "bill" else ():
                if bill.is_open and _stands(step, bill.standing):
                    context = await self._still(context)
                    undone = await self._chain.undo(replace(context, bill=bill), step)
                    context = replace(context, encounter=undone.encounter)
        return context

    async def _still(self, context: Context) -> Context:
        """The encounter one version on: who came to it since the claim keeps it.  Raises: Conflict."""
        encounter = replace(context.encounter, version=context.encounter.version + 1)
        await self._ledger.commit(Change(context.place.org, encounter=encounter))
        return replace(context, encounter=encounter)

    async def _listed(self, context: Context, work: _Work) -> list[str]:
        """The person's visits that carry our own number.  Raises: StepStopped."""
        if not work.step.ask:
            return []
        numbers: list[str] = []
        visit = {name: value for name, value in context.encounter.content["visit"].items() if name != "mdtrt_id"}
        anyones = replace(context.encounter, content={**context.encounter.content, "visit": visit})
        bill = {name: section for name, section in context.bill.content.items() if name != "settled"}
        context = replace(
            context, encounter=anyones, bill=replace(context.bill, content=bill)
        )  # or it shows that one alone
        for med_type in self._chain.looked_for(context):
            called = await self._chain.looked_up(context, work.step, med_type)
            rows = ours_among(context.encounter, called)
            numbers += [str(row["mdtrt_id"]) for row in rows if str(row["mdtrt_id"]) not in numbers]
        return numbers

    async def _cancelled(self, context: Context, work: _Work, number: str) -> tuple[Context, str]:
        """One registration cancelled; the text says why it was not.  Raises: StepStopped when nobody knows."""
        content = view(context.encounter, context.bill)
        content = {**content, "visit": {**content.get("visit", {}), "mdtrt_id": number}, "settled": {}}
        if await self._has_settlement(context, work, content):
            return context, "the centre shows a settlement of it"
        encounter = replace(context.encounter, version=context.encounter.version + 1)
        context = replace(context, encounter=encounter, case=None)
        undo = work.route.steps[work.step.undo]
        called = await self._caller.send(undo, context, content, Change(work.place.org, encounter=encounter))
        record, event = self._caller.outcome(context, called)
        await self._ledger.commit(Change(work.place.org, events=(event,), calls=(record,)))
        if called.verdict.result not in (Result.APPLIED, Result.REJECTED):
            raise StepStopped(undo, called.verdict)
        return context, "" if called.verdict.result is Result.APPLIED else called.verdict.text or "refused"

    async def _has_settlement(self, context: Context, work: _Work, content: Mapping[str, Any]) -> bool:
        """Whether the centre, where it can be asked by visit, shows any.  Raises: StepStopped when it gave no answer."""
        pay = work.route.goal(work.encounter.kind, "settle")
        by_visit = work.place.gateway.capabilities.query_after_unknown == "by_visit"
        if pay is None or not pay.ask or not by_visit:
            return False
        asked: Called = await self._caller.read(work.route.steps[pay.ask], context, dict(content))
        if asked.verdict.result is Result.REJECTED:
            absent = work.place.gateway.policy.absent_texts
            return not any(text in asked.verdict.text for text in absent)  # what it doesn't say plainly is no leave
        if asked.verdict.result is not Result.APPLIED:
            raise StepStopped(work.route.steps[pay.ask], asked.verdict)
        return bool(asked.verdict.content.get("result", {}).get("setl_id"))

    async def _settled_down(self, context: Context, work: _Work, kept: str) -> None:
        """What is left in the ledger: nothing of it, or a registration that stays for the reason the centre gave."""
        encounter, step = context.encounter, work.step
        if kept:
            standing = {name: row for name, row in encounter.standing.items() if name != doubt(step)}
            row = {**(standing.get(step.name) or {"over": ""}), SPARED: kept[:200]}
            encounter = replace(encounter, standing={**standing, step.name: row})
        else:
            encounter, _ = undo_step(step, encounter, context.bill)
            standing = dict(encounter.standing)
            for gone in (spare_mark(step), *work.rested_on_it):
                standing.pop(gone, None)
            encounter = replace(encounter, standing=standing)
        encounter = replace(encounter, version=encounter.version + 1)
        facts = {"kept": kept[:200]}
        event = Event("SWEPT", self._teller.stamp(), "", encounter.encounter_id, facts)
        await self._ledger.commit(Change(work.place.org, events=(event,), encounter=encounter))

    def _age(self, at: str) -> timedelta | None:
        try:
            return self._clock.wall() - parse_national_time(at)
        except ValueError:
            return None


@dataclass(slots=True)
class _Work:
    """One encounter under the broom."""

    place: Place
    step: Step
    encounter: Encounter
    bills: list[Bill]
    cases: list[Case]
    owners: Mapping[str, list[str]]

    @property
    def route(self) -> Route:
        return self.place.gateway.route

    @property
    def rested_on_it(self) -> list[str]:
        """Standings of what was told the centre about the registration, which must be told again of another one."""
        names = self.route.chains[self.encounter.kind]
        after = [self.route.steps[name] for name in names[names.index(self.step.name) + 1 :]]
        return [key for one in after if one.per == "encounter" for key in (one.name, doubt(one))]

    def is_anothers(self, number: str) -> bool:
        """Whether another encounter of this house goes by that number at the centre."""
        return any(one != self.encounter.encounter_id for one in self.owners.get(number, ()))


def _mark(encounter: Encounter, step: Step) -> Mapping[str, Any] | None:
    """What is known of the registration: it stands, or whether it does is in doubt."""
    found: Mapping[str, Any] | None = encounter.standing.get(step.name) or encounter.standing.get(doubt(step))
    return found


def _begun(encounter: Encounter) -> str:
    marks: Iterable[Any] = encounter.standing.values()
    known = [str(row["at"]) for row in marks if isinstance(row, Mapping) and row.get("at")]
    return known[0] if known else str(encounter.content.get("visit", {}).get("begntime", ""))


def _stands(step: Step, standing: Mapping[str, Any]) -> bool:
    return step.name in standing or doubt(step) in standing


def _no_bill(work: _Work) -> Bill:
    return Bill("", work.place.org, work.encounter.encounter_id, "", "")
