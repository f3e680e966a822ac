"""One replica of the adapter: an incarnation of the core on its own node, with its own clock, memory and random source."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

from adapter_core.ledger.witnessed import Witnessed
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.settlement.answers import standing_outcome
from adapter_core.settlement.papers import REVOKED, revoked
from adapter_core.settlement.pipeline import Pipeline
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Conflict
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import State
from adapter_core.settlement.sweeping import SweepRules
from adapter_core.settlement.verdicts import OperatorDecision
from adapter_core.testing.simtest import questions
from adapter_core.testing.simtest.checker import Checker, words_of
from adapter_core.testing.simtest.disk import SimLedger, Store
from adapter_core.testing.simtest.failover import SimWitness
from adapter_core.testing.simtest.his import GONE
from adapter_core.testing.simtest.loop import Node
from adapter_core.testing.simtest.network import Network, SimWire
from adapter_core.testing.simtest.questions import QUESTION, Question
from adapter_core.testing.simtest.world import World
from adapter_core.values.errors import AdapterError, LedgerUnavailable, Refused

SCAN_S = 10.0
STARTS_WITHIN_S = 30.0
PAPER_TRIES = 5
SWEEP = SweepRules(after=timedelta(seconds=1))
EXPECTED = (AdapterError,)
"""What may end a request or a task: a refusal, a conflict, a ledger that is away.  Anything else is a fault of the core."""


class SimClock:
    """``mono`` starts anywhere at each incarnation; ``wall`` may be a day off and may jump."""

    def __init__(self, world: World, origin: float) -> None:
        self._world = world
        self._origin = origin
        self.offset = 0.0

    def mono(self) -> float:
        return self._origin + self._world.loop.time()

    def wall(self) -> datetime:
        return self._world.wall() + timedelta(seconds=self.offset)


class SimRandom:
    """Seeded, one per incarnation."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def token(self) -> str:
        return f"{self._random.getrandbits(80):020x}"

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


class Replica:
    """``start`` makes a new incarnation: new memory, same ledger.  ``ready``: its start-up scan is done."""

    def __init__(
        self, number: int, world: World, store: Store, network: Network, checker: Checker, place: Place, seed: int
    ) -> None:
        self.number = number
        self.exclusive = True
        self.lease_s = 45.0
        self.opens_early = False
        self.witness: SimWitness | None = None
        self.on_told: Callable[[Question, Outcome], None] = lambda question, outcome: None
        self.world = world
        self.ready = False
        self.place = place
        self._store = store
        self._network = network
        self._checker = checker
        self._seed = seed
        self._incarnation = 0
        self.node = Node("")
        self.node.dead = True
        self.clock = SimClock(world, 0.0)
        self.pipeline: Pipeline | None = None
        self.ledger_of: Callable[[World, Store, Node], Any] = SimLedger
        self.dialect: Dialect = NationalDialect()

    def start(self) -> None:
        self._incarnation += 1
        self.ready = False
        node = self.node = Node(f"n{self.number}.{self._incarnation}")
        offset, self.clock = self.clock.offset, SimClock(self.world, 1000.0 * self._incarnation * (self.number + 1))
        self.clock.offset = offset
        self.world.later(STARTS_WITHIN_S, self._late, node, len(self.world.faults.fired))
        task = self.world.loop.create_task(self._live(node), context=node.context)
        task.add_done_callback(lambda done: self._ended(node, done), context=self.world.outside)

    def _late(self, node: Node, faults_before: int) -> None:
        """I19, where neither the ledger nor the machine kept it from starting."""
        hindered = any(point.startswith(("db.", "pause.")) for point, _ in self.world.faults.fired[faults_before:])
        if not node.scanned and not node.dead and not hindered and node.paused_until < self.world.now - STARTS_WITHIN_S:
            self.world.violate("I19", f"{node.name} has not scanned {STARTS_WITHIN_S:.0f} s after its start")

    def restart_later(self, node: Node, delay: float) -> None:
        self.world.later(delay, self._restart, node)

    def _restart(self, node: Node) -> None:
        if self.node is node and node.dead:
            self.start()

    async def _live(self, node: Node) -> None:
        ledger = self.ledger_of(self.world, self._store, node)
        if self.witness is not None:
            ledger = Witnessed(ledger, self.witness)
            await ledger.compare()
        wire = SimWire(self._network, node)
        national = self._network.lane.name == "national"
        dialects = (lambda name: self.dialect) if national else (lambda name: None)
        random = SimRandom(self._seed * 1009 + self.number * 31 + self._incarnation)
        pipeline = Pipeline(
            ledger,
            wire,
            self.clock,
            random,
            dialects,
            instance=node.name,
            exclusive=self.exclusive,
            lease_s=self.lease_s,
        )
        if self.opens_early:
            self.pipeline, self.ready = pipeline, True
        await pipeline.resume(lambda org: self.place)
        node.scanned = True
        self.pipeline, self.ready = pipeline, True
        self.world.note(lambda: f"{node.name} ready")
        if not self.exclusive:
            await pipeline.keep_scanning(lambda org: self.place, SCAN_S)

    def _ended(self, node: Node, done: Any) -> None:
        """The process ended by itself: a start-up that met a refusing ledger is tried again."""
        error = done.exception()
        if error is not None and not isinstance(error, EXPECTED):
            self.world.violate("exception", f"start-up: {type(error).__name__}: {error}")
        elif error is not None:
            self.world.kill(node)

    async def serve(self, operation: Operation, wait_s: float) -> str:
        """One question of the HIS, in this node's own context; what it is told, or the code of the refusal."""
        asked_at = self._checker.position
        question = Question(operation.verb, self.world.now)
        QUESTION.set(question)
        assert self.pipeline is not None
        try:
            if operation.verb.startswith("paper_"):
                outcome = await self._papers(operation)
            else:
                outcome = await self.pipeline.handle(self.place, self.dialect, operation, wait_s)
        except EXPECTED as error:
            code = error.code
            self.world.note(lambda: f"refused {operation.verb} {operation.keys.get('settle')} {code}")
            self.world.count(f"refused {code}")
            if isinstance(error, LedgerUnavailable):
                return GONE
            questions.refused(self.world, question, code, self._checker.state_of)
            return code
        except Exception as error:
            self.world.violate("exception", f"{operation.verb}: {type(error).__name__}: {error}")
            return GONE
        self.on_told(question, outcome)
        if operation.keys.get("settle"):
            self._told(operation, outcome, asked_at)
        return outcome.state

    async def _papers(self, operation: Operation) -> Outcome:
        """Papers opened or taken back, without their sheets; begun anew where somebody else wrote first, as the office does."""
        for _ in range(PAPER_TRIES):
            try:
                return await self._papers_once(operation)
            except Conflict:
                continue
        raise Refused("too many writers", code="VISIT_HELD")

    async def _papers_once(self, operation: Operation) -> Outcome:
        assert self.pipeline is not None
        papers = self.pipeline.papers
        visit = await papers.visit(self.place.org, operation.keys["visit"])
        if visit is None:
            raise Refused("no such visit", code="NO_SUCH_CASE")
        if operation.verb == "paper_open":
            position = 0
            case = visit.holder
            if case is not None and case.state is State.MANUAL_OPEN and case.data["paper"]["version"]:
                return standing_outcome(
                    case
                )  # somebody else has just made them: the same set again, as the office gives it
            if case is None or case.state is not State.MANUAL_OPEN:
                case, position = await papers.hold(visit, {})
            case = await papers.keep_set(case, {"position": str(position)}, "已出具", version=1)
        elif visit.holder is None:
            raise Refused("nothing to take back", code="NO_PAPER")
        else:
            case = await papers.step(
                visit.holder, REVOKED, lambda fresh, at: revoked(fresh, "红1", "补备案", "", at), {}
            )
        return standing_outcome(case)

    async def sweep(self) -> None:
        """The quiet hours' sweep, as impatient as no site would have it."""
        assert self.pipeline is not None
        try:
            swept = await self.pipeline.sweeping.sweep(self.place, SWEEP)
        except EXPECTED as error:
            self.world.count(f"sweep stopped {error.code}")
            return
        for name in ("cancelled", "extra", "spared", "unanswered"):
            for _ in range(getattr(swept, name)):
                self.world.count(f"swept {name}")

    async def decide(self, case: Case, decision: OperatorDecision) -> None:
        """An operator's decision, carried out on this node; repeated when the case changed under the operator's eyes."""
        assert self.pipeline is not None
        try:
            await self.pipeline.decide(self.place, case, decision)
        except Conflict:
            self.world.count("decision met a change")
            await self.decide(self._checker.cases[case.case_id], decision)
        except EXPECTED as error:
            self.world.count(f"decision refused {error.code}")
            self.world.violate("E5", f"{decision.outcome} for {case.key} was refused: {error}")

    def _told(self, operation: Operation, outcome: Outcome, asked_at: int) -> None:
        void = operation.keys.get("void")
        purpose, key = ("void", void) if void else ("settle", operation.keys.get("settle", ""))
        self._checker.told(purpose, key, outcome, words_of(outcome), asked_at)
