"""Faults put into the core on purpose: each must break an invariant, or the checker has no teeth (`simulation.md` §8).

Only tests use this.  A mutant patches the core inside one ``with``, and changes a day before it begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from adapter_core.ledger import conflicts
from adapter_core.ledger.memory import MemoryLedger
from adapter_core.ledger.witnessed import Witnessed
from adapter_core.province.policy import Policy
from adapter_core.settlement import (
    concluding,
    decisions,
    judge,
    papers,
    reception,
    records,
    resolution,
    resolver,
    states,
    taking_back,
)
from adapter_core.settlement.calls import Caller, Context
from adapter_core.settlement.decisions import after_money
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.locating import named_case
from adapter_core.settlement.ownership import Ownership
from adapter_core.settlement.papers import Visit
from adapter_core.settlement.paying import Paying
from adapter_core.settlement.pipeline import Pipeline
from adapter_core.settlement.ports import Conflict
from adapter_core.settlement.records import CallRecord, Case, Change
from adapter_core.settlement.resolver import Evidence, Resolver
from adapter_core.settlement.retracing import Retracing
from adapter_core.settlement.searching import searched
from adapter_core.settlement.second_phase import Phases
from adapter_core.settlement.states import Result, State
from adapter_core.settlement.step_calls import StepCalls
from adapter_core.testing.simtest.case import Day, run_case
from adapter_core.testing.simtest.case import Result as DayResult
from adapter_core.testing.simtest.centre import ALREADY, UNLISTED
from adapter_core.testing.simtest.disk import SimLedger, label_of
from adapter_core.testing.simtest.lanes import CheapGateway
from adapter_core.testing.simtest.network import SimWire
from adapter_core.testing.simtest.replica import SimClock
from adapter_core.values.copies import replace

Patch = tuple[Any, str, Any]
"""Where, which name, and what stands there instead."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """dies_by: the invariants that may catch it; usual: days one of them needed on average, measured."""

    name: str
    dies_by: frozenset[str]
    usual: int
    patches: Callable[[], list[Patch]]
    change: Callable[[Day], None] | None = None

    @property
    def limit(self) -> int:
        """Days within which it must die: ten times the usual, so that a lucky mutant is one in twenty thousand."""
        return max(100, 10 * self.usual)


@contextmanager
def alive(mutant: Mutant) -> Iterator[None]:
    """The core with this mutant's patches in it."""
    done: list[Patch] = []
    try:
        for where, name, instead in mutant.patches():
            done.append((where, name, where.__dict__[name]))
            setattr(where, name, instead)
        yield
    finally:
        for where, name, original in reversed(done):
            setattr(where, name, original)


def hunt(mutant: Mutant, first: int = 1, limit: int | None = None) -> tuple[int, DayResult | None]:
    """Days until the mutant died, and how; None when it lived through all of them."""
    count = limit or mutant.limit
    with alive(mutant):
        for number in range(1, count + 1):
            result = run_case(first + number - 1, change=mutant.change)
            if result.violation is not None:
                return number, result
    return count, None


# -- the wire


def _sends_twice() -> list[Patch]:
    original = Caller._exchange

    async def twice(self: Caller, place: Any, frame: Any, kind_class: str, *rest: Any, **named: Any) -> Any:
        reply, verdict = await original(self, place, frame, kind_class, *rest, **named)
        if kind_class == "N" and verdict is not None and verdict.result is Result.UNKNOWN:
            return await original(self, place, frame, kind_class, *rest, **named)
        return reply, verdict

    return [(Caller, "_exchange", twice)]


def _timeout_is_not_sent() -> list[Patch]:
    original = Caller._exchange

    async def hopeful(self: Caller, *rest: Any, **named: Any) -> Any:
        reply, verdict = await original(self, *rest, **named)
        if verdict is not None and verdict.result is Result.UNKNOWN:
            verdict = Verdict(Result.NOT_SENT, verdict.code, verdict.text)
        return reply, verdict

    return [(Caller, "_exchange", hopeful)]


def _no_gate() -> list[Patch]:
    original = SimWire.exchange

    async def ungated(self: SimWire, endpoint: str, frame: Any, **named: Any) -> Any:
        return await original(self, endpoint, frame, **{**named, "gate": lambda: None})

    return [(SimWire, "exchange", ungated)]


def _journals_late() -> list[Patch]:
    original = Caller._intent

    async def late(self: Caller, *rest: Any) -> Any:
        ledger = self._ledger

        class Late:
            async def commit(self, change: Change) -> int:
                asyncio.get_running_loop().call_later(0.2, lambda: asyncio.ensure_future(_quietly(ledger, change)))
                return 0

            def __getattr__(self, name: str) -> Any:
                return getattr(ledger, name)

        self._ledger = Late()
        try:
            return await original(self, *rest)
        finally:
            self._ledger = ledger

    return [(Caller, "_intent", late)]


async def _quietly(ledger: Any, change: Change) -> None:
    try:
        await ledger.commit(change)
    except Conflict:
        return


# -- msgids


def _numbers_by_the_clock() -> list[Patch]:
    return [(CheapGateway, "msgid", _clock_msgid), (conflicts, "_msgid_taken", lambda change, facts: None)]


def _clock_msgid(self: CheapGateway, moment: Any, sequence: int) -> str:
    return f"{moment:%Y%m%d%H%M%S}".rjust(30, "0")


def _uses_a_msgid_again() -> list[Patch]:
    original = Caller._prepare

    def again(self: Caller, step: Any, context: Context, content: Any) -> Any:
        record, call, frame = original(self, step, context, content)
        if step.kind_class != "N" or step.name.endswith("void"):
            return record, call, frame
        used = self.__dict__.setdefault("_used", {})
        call = replace(call, msgid=used.setdefault(context.bill.visit_key, call.msgid))
        return replace(record, msgid=call.msgid), call, context.place.gateway.encode(call, self._clock.wall())

    return [(Caller, "_prepare", again), (conflicts, "_msgid_taken", lambda change, facts: None)]


# -- judging


def _believes(texts: Callable[[str], bool]) -> list[Patch]:
    original = Policy.is_definite

    def definite(self: Policy, message: str, code: str, text: str) -> bool:
        return texts(text) or original(self, message, code, text)

    return [(Policy, "is_definite", definite)]


def _no_echo() -> list[Patch]:
    return [(judge, "reply_contradictions", lambda gateway, call, reply: [])]


def _no_hash() -> list[Patch]:
    def verb(operation: Any, hashed: str = "") -> str:
        return str(operation.verb)

    return [(reception, "asked_hash", verb), (taking_back, "asked_hash", verb)]


# -- resolving


def _early_not_found() -> list[Patch]:
    return [(resolution, "quiet_for_query", lambda doubt, timers, capabilities: doubt.first_read)]


def _no_lag() -> list[Patch]:
    return [(resolution, "quiet_for_query", resolution.quiet_for_reversal)]


def _early_reversal() -> list[Patch]:
    original = resolution.quiet_for_reversal

    def for_query(doubt: Any, timers: Any, capabilities: Any) -> float:
        return original(doubt, timers, capabilities) + float(capabilities.query_lag_s)

    return [
        (resolution, "quiet_for_reversal", lambda doubt, timers, capabilities: doubt.first_read),
        (resolution, "quiet_for_query", for_query),
    ]


def _reversal_works_at_once() -> list[Patch]:
    return [(resolution, "_is_effective", lambda reversal, now, capabilities: True)]


def _adopts_burnt() -> list[Patch]:
    original = Retracing.record

    async def unburnt(self: Retracing, *rest: Any) -> CallRecord:
        return replace(await original(self, *rest), burnt=False)

    def adopted(self: Resolver, context: Context, doubt: Any, found: Any, phases: Any) -> Evidence | None:
        return Evidence(State.SETTLED, "E2", found.result, found.funds) if found.kind == "found" else None

    moves = {**states.MOVES, State.REVERSING: states.MOVES[State.REVERSING] | {State.SETTLED}}
    return [(Retracing, "record", unburnt), (Resolver, "_found", adopted), (decisions, "MOVES", moves)]


def _recovery_sends() -> list[Patch]:
    original = Paying._turn

    async def again(self: Paying, context: Context, state: State, *rest: Any) -> None:
        case = context.case
        assert case is not None
        if state is not State.SENDING:
            return await original(self, context, state, *rest)
        return await self._quote_or_pay(context, _operation(case))

    return [(Paying, "_turn", again)]


def _operation(case: Case) -> Any:
    from adapter_core.province.messages import Operation

    return Operation("query", "", case.dialect)


def _ignores_cancels() -> list[Patch]:
    def wanted_anyway(case: Case, *rest: Any) -> Case:
        return after_money(replace(case, wanted=True), *rest)

    return [(concluding, "after_money", wanted_anyway)]


# -- two phases


def _one_phase_is_enough() -> list[Patch]:
    return [(concluding, "after_money", lambda case, verdict, at, two_phase=False: after_money(case, verdict, at))]


def _finds_are_confirmed() -> list[Patch]:
    return [(Phases, "found_is_confirmed", property(lambda self: True))]


# -- the ledger


def _no_visit_index() -> list[Patch]:
    async def nobody(self: MemoryLedger, org: str, visit_key: str) -> Case | None:
        return None

    return [(conflicts, "_held", lambda change, facts: None), (MemoryLedger, "holder", nobody)]


def _no_fence() -> list[Patch]:
    return [(conflicts, "_moved", lambda change, facts: None)]


def _reopens() -> list[Patch]:
    original = reception.Reception._continued

    async def reopened(self: Any, place: Any, dialect: Any, operation: Any, case: Case) -> reception.Opened:
        if case.state is not State.CANCELLED:
            return await original(self, place, dialect, operation, case)
        owner = getattr(self, "_instance", "")
        again = replace(case, state=State.PREPARING, version=case.version + 1, wanted=True, owner=owner, told={})
        await self._ledger.commit(Change(place.org, cases=(again,)))
        return reception.Opened(again)

    return [(reception.Reception, "_continued", reopened)]


class UnsyncedLedger(SimLedger):
    """Says "done" for some commits before they are on the disk."""

    early = "TOLD"

    def land(self, change: Change) -> int:
        if self.early not in label_of(change):
            return super().land(change)
        head = self._store.land(change, self._node, synced=False)
        self._world.later(2.0, self._sync, self._store.landed[-1])
        return head

    def _sync(self, landed: Any) -> None:
        landed.synced = True


class UnsyncedIntents(UnsyncedLedger):
    early = "INTENT"


def _with_ledger(ledger: type[SimLedger]) -> Callable[[Day], None]:
    def change(day: Day) -> None:
        for replica in day.replicas:
            replica.ledger_of = ledger

    return change


# -- several replicas


def _unfenced_steps() -> list[Patch]:
    original = StepCalls.send_in_doubt

    async def unfenced(self: StepCalls, *rest: Any, **named: Any) -> Any:
        caller = self._caller

        class Unfenced:
            async def send(self, step: Any, context: Any, content: Any, change: Change) -> Any:
                return await caller.send(step, context, content, replace(change, cases=()))

            def __getattr__(self, name: str) -> Any:
                return getattr(caller, name)

        unfencing: Any = Unfenced()
        self._caller = unfencing
        try:
            return await original(self, *rest, **named)
        finally:
            self._caller = caller

    return [(StepCalls, "send_in_doubt", unfenced)]


def _no_lease() -> list[Patch]:
    return [(Ownership, "may_claim", lambda self, case: True)]


def _wall_for_mono() -> list[Patch]:
    return [(SimClock, "mono", lambda self: self.wall().timestamp())]


def _no_witness() -> list[Patch]:
    async def trusting(self: Witnessed) -> None:
        return

    return [(Witnessed, "compare", trusting)]


def _witness_first() -> list[Patch]:
    original = Witnessed.commit

    async def early(self: Witnessed, change: Change) -> int:
        for case in change.cases:
            links = await self._ledger.links_of_case(case.case_id)
            if links:
                await self._witness.note(case.org, case.case_id, case.version, links[-1])
        return await original(self, change)

    return [(Witnessed, "commit", early)]


def _own_witness_only() -> list[Patch]:
    original = SimLedger.compared

    async def alone(self: SimLedger, witness: str, is_whole: bool) -> list[str]:
        await original(self, witness, is_whole)
        return []

    return [(SimLedger, "compared", alone)]


def _reads_unwitnessed() -> list[Patch]:
    return [(Witnessed, "_reading", lambda self, part: part)]


# -- what is asked and refused


def _polls_ask() -> list[Patch]:
    original = Pipeline._handle

    async def asking(self: Pipeline, place: Any, dialect: Any, operation: Any, wait: float) -> Any:
        told = await original(self, place, dialect, operation, wait)
        if operation.verb == "query" and told.state == "PENDING":
            self._run(place, await named_case(self._ledger, place, dialect, operation), operation)
        return told

    return [(Pipeline, "_handle", asking)]


def _asks_before_refusing() -> list[Patch]:
    original = Pipeline._settle

    async def asking(self: Pipeline, place: Any, dialect: Any, operation: Any, wait: float) -> Any:
        await self._passing.identify(place, operation)
        return await original(self, place, dialect, operation, wait)

    return [(Pipeline, "_settle", asking)]


def _opens_early(day: Day) -> None:
    for replica in day.replicas:
        replica.opens_early = True


def _no_status() -> list[Patch]:
    original = CheapGateway.decode

    def decoded(self: CheapGateway, call: Any, frame: Any) -> Any:
        return original(self, call, replace(frame, status=200))

    return [(CheapGateway, "decode", decoded)]


def _no_sums() -> list[Patch]:
    return [(judge, "broken_identities", lambda result, shared_account_outside: [])]


def _papers_hold_nothing() -> list[Patch]:
    return [(records, "RELEASED", states.RELEASED | {State.MANUAL_OPEN})]


def _papers_in_doubt() -> list[Patch]:
    """Papers beside whatever holds the visit, as a paper case of its own that nothing excludes."""

    def opened(visit: Visit, case_id: str, serial: str, wish: Mapping[str, Any], at: str) -> Case:
        return made(replace(visit, cases=()), case_id, serial, wish, at)

    made = papers.opened
    return [
        (papers, "refuse_unopenable", lambda visit: None),
        (papers, "opened", opened),
        (records, "RELEASED", states.RELEASED | {State.MANUAL_OPEN}),
    ]


def _unlisted_sales_are_absent() -> list[Patch]:
    async def hasty(*rest: Any) -> Any:
        told = await searched(*rest)
        return replace(told, kind="absent") if told.kind == "other" else told

    def doubted(**facts: Any) -> resolution.Doubt:
        return resolution.Doubt(**{**facts, "finds_only": False})

    return [(resolver, "searched", hasty), (resolver, "Doubt", doubted)]


def _none() -> list[Patch]:
    return []


def _row(
    name: str,
    dies_by: str,
    usual: int,
    patches: Callable[[], list[Patch]],
    change: Callable[[Day], None] | None = None,
) -> Mutant:
    return Mutant(name, frozenset(dies_by.split()), usual, patches, change)


MUTANTS: tuple[Mutant, ...] = (
    _row("retry settle on timeout", "I4 I2", 10, _sends_twice),
    _row("phase one is enough", "I2", 10, _one_phase_is_enough),
    _row("a prepared trade counts as confirmed", "I2", 100, _finds_are_confirmed),
    _row("timeout = NOT_SENT", "I2 I20", 10, _timeout_is_not_sent),
    _row("no send gate", "I12 I20 I2 I11", 230, _no_gate),
    _row("journal after send", "I3", 2, _journals_late),
    _row("INTENT not synced", "I3", 2, _none, _with_ledger(UnsyncedIntents)),
    _row("HIS told before sync", "I9 I5 I6 I2 I25", 50, _none, _with_ledger(UnsyncedLedger)),
    _row("msgid from the clock alone", "I4 I3 I2", 10, _numbers_by_the_clock),
    _row("msgid used again after reversal", "I4 I11 I3", 10, _uses_a_msgid_again),
    _row("unlisted code = refusal", "I2", 140, lambda: _believes(lambda text: UNLISTED in text)),
    _row('"already settled" = refusal', "I2", 300, lambda: _believes(lambda text: ALREADY in text)),
    _row("no echo/amount check", "I2", 25, _no_echo),
    _row("no request hash", "I8", 25, _no_hash),
    _row("early NOT_FOUND closes", "I2", 50, _early_not_found),
    _row("query_lag_s ignored", "I2", 300, _no_lag),
    _row("early 2601 OK closes", "I2", 60, _early_reversal),
    _row("reverse_ok_after_s ignored", "I2", 140, _reversal_works_at_once),
    _row("burnt msgid adopted", "I11 I2", 40, _adopts_burnt),
    _row("recovery sends again", "I2 I20 I4", 10, _recovery_sends),
    _row("direct reply ignores a cancel", "I6", 55, _ignores_cancels),
    _row("cancelled key can reopen", "I6", 10, _reopens),
    _row("no visit index", "I20 I1", 15, _no_visit_index),
    _row("no fence on writes", "I20 I2 I4 I6 I12 I10 I11", 25, _no_fence),
    _row("leases not observed", "I20 I2 I12 I25", 35, _no_lease),
    _row("leases, quiet time by a jumping clock", "I2 I11 I20 I25", 400, _wall_for_mono),
    _row("a poll asks the centre", "I17", 20, _polls_ask),
    _row("money before the scan has ended", "I19", 600, _none, _opens_early),
    _row("HTTP status ignored", "I22 I2", 70, _no_status),
    _row("sums not checked", "I22 I2", 40, _no_sums),
    _row("asks the centre before it refuses", "I26", 3, _asks_before_refusing),
    _row("witness not compared", "witness I2", 35, _no_witness),
    _row("witness before the commit", "witness", 45, _witness_first),
    _row("other replicas' witnesses not awaited", "witness", 75, _own_witness_only),
    _row("read over a new connection, not compared", "witness exception", 500, _reads_unwitnessed),
    _row("a sale that no query lists is absent", "I2", 100, _unlisted_sales_are_absent),
    _row("papers hold nothing", "I12 I20", 25, _papers_hold_nothing),
    _row("papers opened in doubt", "I12", 10, _papers_in_doubt),
    _row("steps before the money not fenced", "I20", 50, _unfenced_steps),
)
