"""One case: a day from one seed, run to rest.  The result says what happened and which invariant broke first, if any."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from adapter_core.province.messages import Operation
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import Case
from adapter_core.settlement.verdicts import OperatorDecision
from adapter_core.testing.simtest.centre import STANDING, Answer, Asked, Centre
from adapter_core.testing.simtest.checker import Checker
from adapter_core.testing.simtest.disk import Store
from adapter_core.testing.simtest.failover import SimWitness, TailLoss, tail_to_lose
from adapter_core.testing.simtest.faults import Address, Faults
from adapter_core.testing.simtest.his import GONE, Cashier
from adapter_core.testing.simtest.lanes import LANES, SITE, policy_of, shown_result
from adapter_core.testing.simtest.loop import Node
from adapter_core.testing.simtest.network import Network
from adapter_core.testing.simtest.plan import MORNING, Plan, plan_of
from adapter_core.testing.simtest.replica import EXPECTED, SCAN_S, Replica
from adapter_core.testing.simtest.world import Violation, World

TICK_S = 15.0
SLACK_S = 60.0
PATIENCE_S = 40.0
HIS_ENDS_S = 60_000.0
SWEEPS = 10
LOOKED_AT_S = 240.0
"""How long a house that lost its ledger's tail is watched."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one case came to.  trace: lines, only when asked for."""

    seed: int
    violation: Violation | None
    fired: tuple[Address, ...]
    counts: Counter[str]
    steps: int
    seconds: float
    trace: tuple[str, ...] = ()
    weather: str = ""
    cases: tuple[str, ...] = field(default=())


def run_case(
    seed: int,
    only: frozenset[Address] | None = None,
    *,
    traced: bool = False,
    change: Callable[[Day], None] | None = None,
) -> Result:
    """Runs the day of one seed."""
    return run_plan(plan_of(seed), only, traced=traced, change=change)


def run_plan(
    plan: Plan,
    only: frozenset[Address] | None = None,
    *,
    traced: bool = False,
    change: Callable[[Day], None] | None = None,
) -> Result:
    """Runs one day.  only: exactly these faults instead of the plan's; change: what a mutant does to the day before it begins."""
    enabled, silenced = gc.isenabled(), logging.root.manager.disable
    gc.disable()
    logging.disable(logging.CRITICAL)
    try:
        day = Day(plan, only, traced)
        if change is not None:
            change(day)
        return day.run()
    finally:
        logging.disable(silenced)
        if enabled:
            gc.enable()


class Day:
    """Everything of one case, wired together."""

    def __init__(self, plan: Plan, only: frozenset[Address] | None, traced: bool) -> None:
        self.plan = plan
        self.exclusive = plan.replicas == 1
        self.random = Random(plan.seed ^ 0xDA4)
        self.faults = Faults(plan.seed, plan.rates, only)
        self.world = World(plan.seed, self.faults, plan.began, traced=traced)
        self.world.on_death = self._died
        self.world.pause_max = plan.pause_max_s
        self.checker = Checker(self.world)
        self.store = Store(exclusive=self.exclusive)
        self.store.on_landing = self.checker.landed
        self.loss = TailLoss(self.world)
        self.checker.on_landing = self.loss.landed
        self.checker.on_first_byte = self.loss.leaves
        self.checker.may_freeze = self._may_freeze
        self.checker.unaskable = self._unaskable
        self.centre = self._centre()
        self.checker.named = self.centre.named
        lane = LANES[plan.lane]
        self.network = Network(
            self.world,
            lane,
            self.centre,
            self.checker,
            plan.late_s,
            copies=plan.copies,
            repeats=plan.capabilities.may_repeat,
        )
        policy = policy_of(plan.temperament)
        place = Place(
            SITE, lane.gateway(plan.capabilities, policy, plan.second), timers=plan.timers, on_unknown=plan.on_unknown
        )
        self.replicas = [self._replica(number, place) for number in range(plan.replicas)]
        self.cashiers = [self._cashier(number) for number in range(plan.visits)]

    def _centre(self) -> Centre:
        world = self.world
        return Centre(
            self.plan.temperament,
            lambda: world.now,
            world.wall,
            world.later,
            self.faults.hit,
            self.checker.effective,
            self.checker.ended,
        )

    def _replica(self, number: int, place: Place) -> Replica:
        replica = Replica(number, self.world, self.store, self.network, self.checker, place, self.plan.seed)
        replica.exclusive = self.exclusive
        replica.lease_s = self.plan.lease_s
        if self.plan.witnessed:
            replica.witness = SimWitness(f"w{number}")
            replica.on_told = self.loss.told
        return replica

    def _cashier(self, number: int) -> Cashier:
        national = self.plan.lane == "national"
        seed = self.plan.seed * 7 + number
        encounter = "E0" if self.plan.one_encounter else f"E{number}"
        person = "" if national else f"P{0 if self.plan.one_encounter else number}"
        amount = Decimal(100 + seed % 900) + Decimal(seed % 100) / 100
        return Cashier(self.world, self, Random(seed), self.plan.habits, f"V{number}", encounter, person, amount)

    def _unaskable(self, case: Case) -> bool:
        """5203 has room for one settlement of an encounter: while another bill's stands, it says nothing of this one."""
        if not self.plan.one_encounter or str(case.state) not in ("RESOLVING", "REVERSING"):
            return False
        standing = [one for one in self.checker.messages.values() if one.standing is not None]
        if any(one.visit_key != case.visit_key for one in standing):
            return True
        return self._shows_another_prepared(case) and not self._may_prove_by_reversal(case)

    def _shows_another_prepared(self, case: Case) -> bool:
        """Whether the one row that 5203 has room for is what phase one prepared for another bill."""
        rows = [one for one in self.centre.settlements if one.state in STANDING]
        if not rows or rows[-1].state != "prepared" or not self.plan.temperament.shows_prepared:
            return False
        shown = self.checker.messages.get(rows[-1].asked.msgid)
        return shown is not None and shown.visit_key != case.visit_key

    def _may_prove_by_reversal(self, case: Case) -> bool:
        """Inside ``reverse_window``, by every clock, an OK to a 2601 ends what no query can say (E6)."""
        can = self.plan.capabilities
        another_day = self.plan.began != MORNING or any(point == "clock.jump" for point, _ in self.faults.fired)
        inside = can.reverse_window != "same_day" or not another_day
        return inside and case.purpose == "settle" and can.reverse_ok != "nothing"

    def _may_freeze(self, case: Case) -> bool:
        """Whether evidence may be out of reach here: nothing to ask and nothing that proves, or another day by some clock."""
        can = self.plan.capabilities
        asks = can.query_after_unknown == "by_visit" and case.kind != "pharmacy"  # a sale has no visit number to ask by
        if self.plan.second and case.purpose == "settle" and not asks:
            return True  # a confirm without an answer that nobody can be asked about
        if "worker died" in str(case.data.get("frozen_because", "")):
            return True  # a case that looks like the cause of death is parked
        if self.plan.began != MORNING or any(point == "clock.jump" for point, _ in self.faults.fired):
            return True
        if asks or (case.purpose == "void" and can.query_after_unknown == "by_visit"):
            return False
        if case.purpose == "void":
            return can.query_after_unknown == "none"
        return can.reverse_ok == "nothing"

    # -- running

    def run(self) -> Result:
        for replica in self.replicas:
            replica.start()
        conductor = self.world.spawn(self._conduct())
        try:
            self.world.loop.run()
        except RuntimeError as error:
            self.world.violate("I18", str(error))
        if self.world.violation is None and not conductor.done():
            self.world.violate("I25", "nothing is left to run, and the day has not ended")
        self._left_over(conductor)
        result = self._result()
        self.world.loop.bury()
        return result

    async def _conduct(self) -> None:
        """The day: faults until their end, then healing, then rest, then one more restart and every answer again."""
        world, plan = self.world, self.plan
        self._plan_accidents()
        tasks = [world.spawn(cashier.serve()) for cashier in self.cashiers]
        while world.now < plan.stops_at and not all(task.done() for task in tasks) and self.loss.since is None:
            await world.pause(TICK_S)
        if (
            self.loss.since is not None
        ):  # until it is reconciled with the centre nothing goes on: that is all there is to see
            await world.pause(LOOKED_AT_S)
            world.loop.stop()
            return
        self.faults.live = False
        self._heal()
        healed = world.now
        while not (all(task.done() for task in tasks) and self._at_rest()):
            await world.pause(TICK_S)
            self.checker.none_stuck(healed, self._bound)
            if world.now > healed + HIS_ENDS_S:
                world.violate("I25", "the HIS never came to an end")
        self.checker.at_rest()
        await self._a_person_decides(healed)
        await self._answers_again()
        self.checker.at_rest()
        world.loop.stop()

    def _at_rest(self) -> bool:
        under_way = any(message.under_way for message in self.checker.messages.values())
        return not under_way and self.checker.nothing_open()

    def _bound(self, case: Case) -> float:
        """I25: how long after the last fault a doubt may live.  A sale has no visit to ask by: its ladder is the reversal's."""
        can, timers = self.plan.capabilities, self.plan.timers
        lease = self.plan.lease_s + SCAN_S
        quiet = timers.gate + can.late_commit_s + can.query_lag_s + can.second_negative_s + can.reverse_ok_after_s
        deadlines = 2 * (can.money_deadline_s + can.inpatient_deadline_s) + 12 * can.read_deadline_s
        asks = can.query_after_unknown == "by_visit" and can.reverse_ok != "nothing" and case.kind != "pharmacy"
        step = timers.query_step_last * 1.2 if asks else 3600.0
        return 2 * lease + quiet + deadlines + 3 * step + self.world.pause_max + SLACK_S

    def _plan_accidents(self) -> None:
        """Deaths, freezes and clock jumps at any moment, whatever the core is doing then."""
        for number in range(4):
            at = self.random.uniform(0.0, 30.0) if number < 2 else self.random.uniform(0.0, self.plan.stops_at)
            self.world.later(at, self._accident)

        if self.plan.sweeps:
            random = Random(self.plan.seed ^ 0x5EE9B)
            for number in range(SWEEPS):
                at = random.uniform(1.0, 40.0 if number % 2 else self.plan.stops_at)
                self.world.later(at, self._sweeps, random.randrange(len(self.replicas)))
        if self.plan.witnessed:
            for _ in range(2):
                self.world.later(self.random.uniform(0.5, 40.0), self._fails_over)

    def _sweeps(self, number: int) -> None:
        replica = self.replicas[number]
        if replica.ready and not replica.node.dead:
            self.world.loop.create_task(replica.sweep(), context=replica.node.context.copy())

    def _fails_over(self) -> None:
        """The database moves to another server; the second kind of fault is that this one lacks the tail."""
        if self.loss.since is not None:
            return
        if self.faults.hit("db.failover"):
            witnesses = [replica.witness for replica in self.replicas if replica.witness is not None]
            number = tail_to_lose(self.store, witnesses, int(self.faults.draw("db.failover", 0.0, 3.0)))
            if not number:
                return
            self.checker.lost(self.store.fail_over(number), self.store.memory._cases.get)
            self.loss.happened()
        elif self.faults.hit("db.reconnect"):
            self.store.fail_over(0)
        else:
            return
        if self.exclusive:  # a file is put back, or found shorter, while its process is down
            self.world.kill(self.replicas[0].node)

    def _accident(self) -> None:
        for replica in self.replicas:
            if self.faults.hit("crash.any"):
                self.world.kill(replica.node)
            if self.faults.hit("pause.any"):
                self.world.freeze(replica.node, self.faults.draw("pause.any", 0.5, 90.0))
            if self.faults.hit("clock.jump"):
                replica.clock.offset = self.faults.draw("clock.jump", -86_400.0, 86_400.0)

    def _died(self, node: Node) -> None:
        lost = self.store.drop_unsynced()
        self.checker.lost(lost, self.store.memory._cases.get)
        for replica in self.replicas:
            if replica.node is node:
                replica.ready = False
                delay = self.faults.draw("crash.any", 0.2, 45.0) if self.faults.live else 0.5
                replica.restart_later(node, delay)

    def _heal(self) -> None:
        """The dead start anew.  One process alone never scans for abandoned work: after a disk's fault it is started anew."""
        for replica in self.replicas:
            replica.node.paused_until = min(replica.node.paused_until, self.world.now + 1.0)
            if self.exclusive:
                self.world.kill(replica.node)

    async def _answers_again(self) -> None:
        """I5, I6 over a last death of every replica."""
        for replica in self.replicas:
            self.world.kill(replica.node)
        await self.world.pause(5.0)
        for cashier in self.cashiers:
            await cashier.last_answers()

    async def _a_person_decides(self, healed: float) -> None:
        """E5: an operator with the centre's own word decides every frozen case; some ask for another look first."""
        replica = next((one for one in self.replicas if one.ready and not one.node.dead), None)
        frozen = [case for case in self.checker.cases.values() if str(case.state) == "FROZEN"]
        if replica is None or not frozen:
            return
        for case in frozen:
            if any(one.burnt and one.standing for one in self.checker.by_case.get(case.case_id, [])):
                continue  # never adopted (I11): it is refunded at the agency's counter, outside every system
            decision = self._true_decision(case)
            task = self.world.loop.create_task(replica.decide(case, decision), context=replica.node.context)
            while not task.done():
                await self.world.pause(1.0)
        while not self._at_rest():
            await self.world.pause(TICK_S)
            self.checker.none_stuck(healed, self._bound)

    def _true_decision(self, case: Case) -> OperatorDecision:
        standing = next((one.standing for one in self.checker.by_case.get(case.case_id, []) if one.standing), None)
        if self.random.random() < 0.3:
            return OperatorDecision("recheck", "测试甲", "再核", "0" * 64)
        if standing is None:
            return OperatorDecision("not_applied", "测试甲", "中心书面答复：无此结算", "0" * 64, "测试乙")
        result = shown_result(Asked("5203", ""), Answer("ok", shown=standing, sign=-1 if case.purpose == "void" else 1))
        return OperatorDecision("settled", "测试甲", "中心书面答复：结算有效", "0" * 64, "测试乙", result)

    # -- asking

    async def ask(self, operation: Operation, wait_s: float) -> str:
        """The desk of `Cashier`."""
        replica = self.replicas[self.random.randrange(len(self.replicas))]
        if not replica.ready or replica.node.dead or self.faults.hit("his.unreachable"):
            await self.world.pause(1.0)
            return GONE
        answer: asyncio.Future[str] = self.world.loop.create_future()
        self.world.later(wait_s + PATIENCE_S, _hear, answer, GONE)
        its_own = replica.node.context.copy()
        self.world.loop.create_task(self._serve(replica, operation, wait_s, answer), context=its_own)
        return await answer

    async def _serve(self, replica: Replica, operation: Operation, wait_s: float, answer: asyncio.Future[str]) -> None:
        said = await replica.serve(operation, wait_s)
        lost = self.faults.hit("his.answer.lost")
        self.world.later(0.01, _hear, answer, GONE if lost else said)

    # -- the end

    def _left_over(self, conductor: asyncio.Task[None]) -> None:
        for task in self.world.loop.tasks:
            if not task.done() or task.cancelled():
                continue
            error = task.exception()
            if error is not None and not isinstance(error, EXPECTED):
                self.world.violate("exception", f"left in a task: {type(error).__name__}: {error}")
        for complaint in self.world.loop.complaints:
            self.world.violate("exception", complaint)

    def _result(self) -> Result:
        world = self.world
        for point, _ in self.faults.fired:
            world.count(f"fault {point}")
        world.counts[f"weather {self.plan.weather}"] += 1
        world.counts[f"lane {self.plan.lane}"] += 1
        world.counts["two phases"] += bool(self.plan.second)
        world.counts[f"replicas {len(self.replicas)}"] += 1
        rows = [f"{case.purpose} {case.key} {case.state}" for case in self.checker.cases.values()]
        return Result(
            self.plan.seed,
            world.violation,
            tuple(self.faults.fired),
            world.counts,
            world.loop.steps,
            world.now,
            tuple(world.trace or ()),
            self.plan.weather,
            tuple(rows),
        )


def _hear(answer: asyncio.Future[str], said: str) -> None:
    if not answer.done():
        answer.set_result(said)
