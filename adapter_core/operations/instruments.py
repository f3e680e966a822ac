"""What watches a running adapter: it stands around the ledger and the wire, and changes nothing that crosses them.

One wide log line, one span and the counters of a step are made when its outcome is journalled.  The exchange before it left
its times in a context variable: both happen in the task that drives the case.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapter_core.operations.clock_check import ClockCheck
from adapter_core.operations.logs import Log, no_log
from adapter_core.operations.metrics import Metrics
from adapter_core.operations.tracing import NoTraces, Traces
from adapter_core.settlement.ports import Conflict, Ledger
from adapter_core.settlement.records import CallRecord, Case, Change, Encounter, Event
from adapter_core.settlement.states import TERMINAL, State
from adapter_core.values.errors import AdapterError, NotSent
from adapter_core.values.frames import Frame
from adapter_core.values.moments import Clock

if TYPE_CHECKING:
    from datetime import datetime

    from adapter_core.centre.breaker import Outage
    from adapter_core.centre.guarded import GuardedWire

_log = logging.getLogger(__name__)

REMEMBERED = 4096
"""How many cases and encounters are kept in mind for the log; it only loses an attempt's count or a pseudonym beyond that."""
_ON_THE_WAY = frozenset({State.PREPARING, State.READY, State.SENDING})
"""States that a case passes through within one request: its step's line tells where it came to."""
_LOUD_STATES = frozenset({State.RESOLVING, State.REVERSING, State.FROZEN})
_READS = tuple(name for name in vars(Ledger) if not name.startswith("_") and name != "commit")


@dataclass(slots=True)
class Exchanged:
    """What the wire saw of the call this task made last.  Times: nanoseconds since the epoch, and of the monotonic clock."""

    endpoint: str
    begun_ns: int
    began: float
    elapsed_s: float = 0.0
    status: int | None = None
    bytes_out: int = 0
    bytes_in: int = 0


_last_exchange: ContextVar[Exchanged | None] = ContextVar("last_exchange", default=None)


class Instruments:
    """Satisfies `bootstrap.assembly.Instruments`: one for each adapter.

    province: name of the gateway's province, for labels.  pseudonym: psn_no → a keyed hash, the same for the same person.
    """

    def __init__(
        self,
        metrics: Metrics,
        clock: Clock,
        province: str,
        pseudonym: Callable[[str], str],
        log: Log = no_log,
        traces: Traces | None = None,
    ) -> None:
        self.metrics = metrics
        self.log = log
        self.traces = traces or NoTraces()
        self.province = province
        self.clock_check = ClockCheck()
        self.wire: GuardedWire | None = None
        self._clock = clock
        self._pseudonym = pseudonym

    def around_ledger(self, ledger: Ledger) -> Ledger:
        return ObservedLedger(ledger, _Reporter(self, self._pseudonym))

    def around_wire(self, wire: GuardedWire) -> ObservedWire:
        self.wire = wire
        return ObservedWire(wire, self, self._clock)

    def outage(self, outage: Outage) -> None:
        """A circuit opened, or closed again: said once each."""
        word, level = ("circuit_closed", "info") if outage.is_over else ("circuit_opened", "warning")
        self.log(word, level, province=self.province, group=outage.group, lasted_s=outage.lasted_s)


class ObservedWire:
    """Satisfies `settlement.ports.Wire`."""

    def __init__(self, wire: GuardedWire, instruments: Instruments, clock: Clock) -> None:
        self._wire = wire
        self._instruments = instruments
        self._clock = clock

    async def exchange(
        self,
        endpoint: str,
        frame: Frame,
        *,
        deadline_s: float,
        gate: Callable[[], None],
        money: bool,
        kind_class: str = "R",
        resolving: bool = False,
    ) -> Frame:
        """Raises also NotSent CLOCK_WRONG: no settlement or refund begins on a clock that is minutes off."""
        check = self._instruments.clock_check
        if check.closes_money and kind_class == "N" and not resolving:
            raise NotSent(f"our clock and the centre's differ by {check.skew or 0:.0f} s", code="CLOCK_WRONG")
        sent = self._clock.wall()
        exchanged = Exchanged(endpoint, time.time_ns(), time.perf_counter(), bytes_out=len(frame.body))
        _last_exchange.set(exchanged)
        reached = True
        try:
            reply = await self._wire.exchange(
                endpoint,
                frame,
                deadline_s=deadline_s,
                gate=gate,
                money=money,
                kind_class=kind_class,
                resolving=resolving,
            )
        except NotSent:
            reached = False
            raise
        finally:
            exchanged.elapsed_s = time.perf_counter() - exchanged.began
            if reached:  # what a breaker refuses in no time says nothing of the centre's speed
                seconds = self._instruments.metrics.call_seconds_of(self._instruments.province, kind_class)
                seconds.observe(exchanged.elapsed_s)
        exchanged.status = reply.status
        exchanged.bytes_in = len(reply.body)
        self._hear_clock(reply, sent)
        return reply

    def may_retry(self, endpoint: str) -> bool:
        return self._wire.may_retry(endpoint)

    def _hear_clock(self, reply: Frame, sent: datetime) -> None:
        check = self._instruments.clock_check
        was, warned, closed = check.skew, check.warns, check.closes_money
        check.heard(reply.body, sent, self._clock.wall())
        if check.skew is None or check.skew == was:
            return
        self._instruments.metrics.skew_of(self._instruments.province).set(check.skew)
        if (check.warns, check.closes_money) != (warned, closed):
            level = "error" if check.closes_money else "warning" if check.warns else "info"
            self._instruments.log("clock", level, province=self._instruments.province, skew_s=check.skew)


class ObservedLedger:
    """Satisfies `settlement.ports.Ledger`: reads go to the ledger as they are, commits are timed and told."""

    def __init__(self, ledger: Ledger, reporter: _Reporter) -> None:
        self._ledger = ledger
        self._reporter = reporter
        for name in _READS:  # once, as a ledger is asked several times for each message
            setattr(self, name, getattr(ledger, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def commit(self, change: Change) -> int:
        began = time.perf_counter()
        try:
            last = await self._ledger.commit(change)
        except Conflict:  # an everyday answer: somebody else wrote first
            raise
        except AdapterError as error:
            self._reporter.not_written(error)
            raise
        try:
            self._reporter.written(change, time.perf_counter() - began)
        except Exception:  # the change is stored: who only watches must not make it look as if it were not
            _log.exception("a step could not be told")
        return last


class _Reporter:
    """From what was journalled to lines, spans and numbers.  Whatever goes wrong here must not reach the case."""

    def __init__(self, instruments: Instruments, pseudonym: Callable[[str], str]) -> None:
        self._instruments = instruments
        self._metrics = instruments.metrics
        self._province = instruments.province
        self._traces = None if isinstance(instruments.traces, NoTraces) else instruments.traces
        self._pseudonym = pseudonym
        self._patients: OrderedDict[str, str] = OrderedDict()
        self._attempts: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._states: OrderedDict[str, State] = OrderedDict()

    def not_written(self, error: AdapterError) -> None:
        self._metrics.commit_failures.inc()
        self._instruments.log("ledger_not_written", "error", code=error.code)

    def written(self, change: Change, commit_s: float) -> None:
        self._metrics.commit_seconds.observe(commit_s)
        if change.encounter is not None and change.encounter.encounter_id not in self._patients:
            self._remember_patient(change.encounter)
        moved = self._moved(change.cases)
        told = False
        for event in change.events:
            if event.kind == "OUTCOME":
                self._step(change, event, moved, commit_s)
                told = True
            elif event.kind == "REFUSED":
                self._refused(event)
        if not told:
            for case, was in moved:
                if case.state not in _ON_THE_WAY:
                    self._case(change, case, was)

    def _remember_patient(self, encounter: Encounter) -> None:
        psn_no = encounter.content.get("person", {}).get("psn_no")
        if psn_no:
            _keep(self._patients, encounter.encounter_id, self._pseudonym(str(psn_no)))

    def _moved(self, cases: tuple[Case, ...]) -> list[tuple[Case, State | None]]:
        """The cases that came to another state, and the one before as far as it is remembered."""
        moved = []
        for case in cases:
            was = self._states.get(case.case_id)
            if was is case.state:
                continue
            moved.append((case, was))
            self._metrics.cases_of(self._province, case.purpose, str(case.state)).inc()
            _keep(self._states, case.case_id, case.state)
            if case.state in TERMINAL:
                self._attempts.pop(case.case_id, None)
        return moved

    def _step(self, change: Change, event: Event, moved: list[tuple[Case, State | None]], commit_s: float) -> None:
        data = event.data
        record = _call_of(change.calls, data.get("msgid"))
        kind_class = record.kind_class if record else ""
        result = str(data.get("result", ""))
        self._metrics.calls_of(self._province, kind_class, result).inc()
        exchanged = _last_exchange.get()
        _last_exchange.set(None)
        facts = {
            **self._place(change, event.case_id, event.encounter_id),
            "step": data.get("step"),
            "infno": data.get("message"),
            "class": kind_class,
            "msgid": data.get("msgid"),
            "result": result,
            "code": data.get("code"),
            "reason": data.get("reason"),
            "warnings": len(data.get("warnings", ())) or None,
            "attempt": self._attempt(event),
            "commit_ms": commit_s * 1000,
        }
        if moved:
            facts |= _case_facts(*moved[0])
        if exchanged is not None:
            facts |= {
                "elapsed_ms": exchanged.elapsed_s * 1000,
                "http_status": exchanged.status,
                "bytes_out": exchanged.bytes_out,
                "bytes_in": exchanged.bytes_in,
            }
        self._instruments.log("step", "warning" if result == "UNKNOWN" else "info", **facts)
        if exchanged is not None and self._traces is not None:
            answered = exchanged.begun_ns + int(exchanged.elapsed_s * 1e9)
            self._traces.step(str(data.get("step")), exchanged.begun_ns, answered, max(answered, time.time_ns()), facts)

    def _attempt(self, event: Event) -> int:
        of = event.case_id or event.encounter_id
        counts = self._attempts.get(of)
        if counts is None:
            counts = {}
            _keep(self._attempts, of, counts)
        step = str(event.data.get("step"))
        attempt = counts[step] = counts.get(step, 0) + 1
        return attempt

    def _case(self, change: Change, case: Case, was: State | None) -> None:
        level = "warning" if case.state in _LOUD_STATES else "info"
        self._instruments.log(
            "case",
            level,
            **self._place(change, case.case_id, case.encounter_id),
            **_case_facts(case, was),
            purpose=case.purpose,
            kind=case.kind,
            dialect=case.dialect,
            insuplc_admdvs=case.insuplc_admdvs,
        )

    def _refused(self, event: Event) -> None:
        dialect, code = str(event.data.get("dialect", "")), str(event.data.get("code", ""))
        self._metrics.refused.labels(dialect, code).inc()
        self._instruments.log(
            "refused",
            dialect=dialect,
            code=code,
            faults=len(event.data.get("paths", ())),
            province=self._province,
        )

    def _place(self, change: Change, case_id: str, encounter_id: str) -> dict[str, Any]:
        return {
            "province": self._province,
            "org": change.org,
            "case_id": case_id,
            "encounter_id": encounter_id,
            "patient": self._patients.get(encounter_id),
        }


def _call_of(calls: tuple[CallRecord, ...], msgid: Any) -> CallRecord | None:
    for one in calls:
        if one.msgid == msgid:
            return one
    return None


def _case_facts(case: Case, was: State | None) -> dict[str, Any]:
    return {
        "state": str(case.state),
        "was": str(was or ""),
        "told": case.told.get("code") if case.told else None,
        "evidence": case.data.get("closed_by"),
    }


def _keep(memory: OrderedDict[str, Any], key: str, value: Any) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
