"""The simulated ledger: `MemoryLedger`'s meaning behind commits that are slow, refused, ambiguous, or cut by a crash.

A commit is a message to the disk or the database server: it lands in the world's own time, also when the process that sent
it is dead by then.  What landed is synced, unless a test says otherwise; a crash then drops the unsynced tail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from adapter_core.ledger.memory import MemoryLedger
from adapter_core.settlement.ports import Conflict
from adapter_core.settlement.records import Alias, Bill, CallRecord, Case, Change, Encounter, Entry, Event
from adapter_core.settlement.states import State
from adapter_core.testing.simtest import questions
from adapter_core.testing.simtest.loop import Node
from adapter_core.testing.simtest.world import World
from adapter_core.values.errors import LedgerUnavailable

MONEY_STEPS = {
    "pay": "settle",
    "stay_pay": "settle",
    "void": "refund",
    "stay_void": "refund",
    "drug_pay": "settle",
    "drug_void": "refund",
    "commit": "confirm",
}
Read = TypeVar("Read")
STEPPED = frozenset({"INTENT", "OUTCOME"})
"""Events whose crash points are told apart by the step they belong to: a lost intent of money is not one of an upload."""


@dataclass(slots=True)
class Landed:
    """One change as the disk has it.  synced: it survives a power cut."""

    change: Change
    node: Node | None
    synced: bool = True


class Store:
    """What survives every node.  ``on_landing`` sees each change with the cases as they were before it.

    exclusive: one process at a time, so what a dead process had not committed never lands (SQLite's file lock).
    compared: at which failover each witness was compared last, -1 when it missed something.
    """

    def __init__(self, exclusive: bool) -> None:
        self.exclusive = exclusive
        self.memory = MemoryLedger()
        self.landed: list[Landed] = []
        self.highest = 0
        self.failovers = 0
        self.lost_tail = False
        self.compared: dict[str, int] = {}
        self.on_landing: Callable[[Landed, dict[str, Case]], None] = lambda landed, before: None

    def land(self, change: Change, node: Node | None, synced: bool = True) -> int:
        """Raises: Conflict; ValueError, TypeError for a change no ledger could take."""
        before = {case.case_id: self.memory._cases.get(case.case_id) for case in change.cases}
        head: int = at_once(self.memory.commit(change))
        landed = Landed(change, node, synced)
        self.landed.append(landed)
        self.on_landing(landed, {case_id: case for case_id, case in before.items() if case is not None})
        return head

    def drop_unsynced(self) -> list[Landed]:
        """A power cut: the first change that was not synced goes, and every one after it."""
        kept = next((at for at, landed in enumerate(self.landed) if not landed.synced), len(self.landed))
        return self._cut(kept)

    def fail_over(self, lost: int) -> list[Landed]:
        """Another server takes over, which never heard of the last so many changes."""
        self.failovers += 1
        return self._cut(len(self.landed) - lost)

    def _cut(self, kept: int) -> list[Landed]:
        lost = self.landed[kept:]
        if lost:
            self.lost_tail = True
            del self.landed[kept:]
            self.memory = MemoryLedger()
            for landed in self.landed:
                at_once(self.memory.commit(landed.change))
        return lost


def at_once(coroutine: Coroutine[Any, Any, Read]) -> Read:
    """The result of a coroutine that waits for nothing but its turn."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as done:
            result: Read = done.value
            return result


class SimLedger:
    """One node's way to the store.  Satisfies `settlement.ports.Ledger`."""

    def __init__(self, world: World, store: Store, node: Node) -> None:
        self._world = world
        self._store = store
        self._node = node
        self._drawn = store.highest

    async def commit(self, change: Change) -> int:
        label = label_of(change)
        faults = self._world.faults
        if faults.hit(f"crash.before.{label}"):
            await self._world.crashed(self._node)
        if faults.hit(f"db.refused.{label}"):
            await self._world.pause(0.01)
            raise LedgerUnavailable("simulated: the ledger can't be written")
        delay = self._world.random.uniform(0.0005, 0.003)
        if faults.hit(f"db.slow.{label}"):
            delay = faults.draw(f"db.slow.{label}", 0.05, 7.0)
        done = asyncio.get_running_loop().create_future()
        self._world.later(delay, self._land, change, label, done)
        head: int = await done
        questions.wrote(change)
        return head

    def _land(self, change: Change, label: str, done: asyncio.Future[int]) -> None:
        faults = self._world.faults
        if self._node.dead and self._store.exclusive:
            return
        if faults.hit(f"db.lost.{label}"):  # the connection broke at COMMIT, and it was never done
            self._fail(done, LedgerUnavailable("simulated: connection lost at commit"))
            return
        if faults.hit(f"db.ambiguous.{label}"):  # it broke, and the server does the COMMIT later all the same
            delay = faults.draw(f"db.ambiguous.{label}", 0.0, 5.0)
            self._world.later(delay, self._land_late, change)
            self._fail(done, LedgerUnavailable("simulated: connection lost at commit"))
            return
        try:
            head = self.land(change)
        except Conflict as conflict:
            self._world.count(f"conflict {type(conflict).__name__}")
            self._fail(done, conflict)
            return
        except (TypeError, ValueError) as error:
            self._fail(done, error)
            return
        if faults.hit(f"crash.after.{label}"):
            self._world.kill(self._node)
        elif faults.hit(f"pause.after.{label}"):
            self._world.freeze(self._node, faults.draw(f"pause.after.{label}", 0.5, self._world.pause_max))
        if not done.done():
            done.set_result(head)

    def _land_late(self, change: Change) -> None:
        if self._node.dead and self._store.exclusive:
            return
        try:
            self.land(change)
        except Conflict:
            self._world.count("ambiguous commit met a conflict")
            return
        self._world.count("ambiguous commit landed late")

    def land(self, change: Change) -> int:
        head = self._store.land(change, self._node)
        self._store.highest = max(self._store.highest, self._drawn)
        return head

    def _fail(self, done: asyncio.Future[int], error: Exception) -> None:
        if not done.done():
            done.set_exception(error)

    async def _read(self, coroutine: Coroutine[Any, Any, Read]) -> Read:
        result = at_once(coroutine)
        faults = self._world.faults
        if faults.hit("db.read.refused"):
            await self._world.pause(0.01)
            raise LedgerUnavailable("simulated: the ledger can't be read")
        if faults.hit("db.read.slow"):  # what was read may be old news when it arrives
            await self._world.pause(faults.draw("db.read.slow", 0.01, 3.0))
        else:
            await asyncio.sleep(0)
        return result

    def sequence(self, org: str) -> int:
        self._drawn += 1
        return self._drawn

    async def case(self, case_id: str) -> Case | None:
        return await self._read(self._store.memory.case(case_id))

    async def case_by_key(self, org: str, purpose: str, key: str) -> Case | None:
        return await self._read(self._store.memory.case_by_key(org, purpose, key))

    async def cases_of_bill(self, bill_id: str) -> list[Case]:
        return await self._read(self._store.memory.cases_of_bill(bill_id))

    async def holder(self, org: str, visit_key: str) -> Case | None:
        return await self._read(self._store.memory.holder(org, visit_key))

    async def cases_in(self, states: Iterable[State]) -> list[Case]:
        return await self._read(self._store.memory.cases_in(states))

    async def encounter(self, encounter_id: str) -> Encounter | None:
        return await self._read(self._store.memory.encounter(encounter_id))

    async def encounter_by_key(self, org: str, encounter_key: str) -> Encounter | None:
        return await self._read(self._store.memory.encounter_by_key(org, encounter_key))

    async def bill(self, bill_id: str) -> Bill | None:
        return await self._read(self._store.memory.bill(bill_id))

    async def encounters_newest(self, org: str, before: int, limit: int) -> list[tuple[int, Encounter]]:
        return await self._read(self._store.memory.encounters_newest(org, before, limit))

    async def bills_of(self, encounter_id: str) -> list[Bill]:
        return await self._read(self._store.memory.bills_of(encounter_id))

    async def find(self, kind: str, value: str) -> list[str]:
        return await self._read(self._store.memory.find(kind, value))

    async def alias(self, org: str, dialect: str, kind: str, value: str) -> Alias | None:
        return await self._read(self._store.memory.alias(org, dialect, kind, value))

    async def calls_of_case(self, case_id: str) -> list[CallRecord]:
        return await self._read(self._store.memory.calls_of_case(case_id))

    async def entries_of_case(self, case_id: str) -> list[Entry]:
        return await self._read(self._store.memory.entries_of_case(case_id))

    @property
    def connections(self) -> int:
        return self._store.failovers

    async def compared(self, witness: str, is_whole: bool) -> list[str]:
        """As a database shared by replicas does it; one that has a file to itself knows no other."""
        now = self._store.failovers
        if not is_whole and not self._store.lost_tail:
            self._world.violate("witness", f"{witness} freezes the house, and nothing was lost")
        self._store.compared[witness] = now if is_whole else -1
        await asyncio.sleep(0)
        return [name for name, at in self._store.compared.items() if name != witness and at != now]

    async def links_of_case(self, case_id: str) -> list[str]:
        return await self._read(self._store.memory.links_of_case(case_id))

    async def events_of_case(self, case_id: str) -> list[Event]:
        return await self._read(self._store.memory.events_of_case(case_id))


def label_of(change: Change) -> str:
    """What this commit is, as fault points and counters name it: its weightiest event."""
    if not change.events:
        return "records"
    event = change.events[-1]
    if event.kind in STEPPED:
        step = event.data.get("step")
        return f"{event.kind}.{MONEY_STEPS.get(step, step)}" if step else event.kind
    return event.kind
