"""A season: one hospital with a fresh ledger, its replicas, its HIS, its own simulated centre, and trouble until enough were killed.

Then everything starts again without faults, every message is repeated until it is decided, and the books are audited.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adapter_core.simulator.faults import read_rules
from adapter_core.simulator.people import person_from
from adapter_core.simulator.server import Simulator
from adapter_core.simulator.truth import truth_of
from tests.flow.two_phase import DIALECT

from ..care import NATIONAL, TWO_PHASE, UNCONFIRMED_S, Care
from ..nursery import Born, Nursery
from .audit import Findings, audit, read_books
from .his import STORIES, Visit
from .replica import LINE_MAX, Shift
from .wire import HOOKED, OWN_PLACES, PLACES, HookPost, Relay, Sent, Server

LEASE_S = 2.0
DESKS = 5
HOSPITAL_DECIDES_S = 120.0
KILLED_WITHIN_S = 10.0
"""Bounds, not promises: a season that is not decided by then, so long after each kill, has a visit that never will be."""
HIS_PATIENCE_S = 1.5
CONFIG = """\
[institution]
fixmedins_code = "{code}"
fixmedins_name = "测试医院"
admdvs = "310000"

[ledger]
url = "{ledger}"
master_key_file = "{master_key}"
witness_file = "witness"

[gateway]
kind = "{gateway}"
url = "http://127.0.0.1:{port}{path}"
plain_http = "模拟中心在本机"
query_after_unknown = "by_visit"
{options}
[timers]
lease = {lease}
gate = 0.9
money_deadline = 0.9
read_deadline = 2
late_commit = 1.5
query_lag = 0
second_negative = 0.05
query_steps = [0.01, 0.05, 0.1, 0.2]
query_step_last = 0.3
reversal_retry = 0.2
"""
STEPS = (
    "ACCEPTED PREPARING", "INTENT 2201", "REPLY 2201", "INTENT 2204", "REPLY 2204", "INTENT 2401", "REPLY 2401", "INTENT 2301",
    "REPLY 2301", "INTENT 2402", "INTENT 3505", "REPLY 3505", "FOLLOWED_UP DONE", "CLAIMED SENDING", "CLAIMED RESOLVING",
    "INTENT 2601", "REPLY 2601", "INTENT rollback", "REPLY rollback",
)  # fmt: skip
MONEY_STEPS = ("INTENT {pay}", "PREPARED + INTENT {pay}", "REPLY {pay}", "OUTCOME {pay}", "OUTCOME {pay} + TOLD SETTLED",
    "EVIDENCE {pay} + TOLD SETTLED", "INTENT {back}", "REPLY {back}", "OUTCOME {back} + TOLD VOIDED", "INTENT {confirm}",
    "REPLY {confirm}", "OUTCOME {confirm} + TOLD SETTLED",
)  # fmt: skip


def points_of(cares: Sequence[Care]) -> list[str]:
    """Points of a life at which it may end by itself; one that is never met lets a random moment end it."""
    numbers = [{"pay": care.pay, "back": care.back, "confirm": care.confirm or "?"} for care in cares]
    money = [step.format(**one) for one in numbers for step in MONEY_STEPS if "?" not in step.format(**one)]
    steps = [step for step in STEPS if ("rollback" in step) is cares[0].two_phase or not step[-1].isdigit()]
    wire = [*(number for care in cares for number in care.money), "rollback" if cares[0].two_phase else "2601"]
    return [
        *(f"{side} {step}" for side in ("before", "after") for step in dict.fromkeys((*money, *money, *steps))),
        *(f"{at} {number}" for at in ("gate", "sent") for number in wire),
        "sent find" if cares[0].two_phase else "sent 5203",
    ]


async def _nothing_to_cut() -> None:
    pass


ALARM = re.compile(r"(?<=case )\w{20}")
"""A case's id in an alarm."""


@dataclass
class Slot:
    """Where one replica after another runs.  config: its folder; life: its name, new with each."""

    name: str
    folder: Path
    life: str = ""
    born: Born | None = None
    line: asyncio.StreamWriter | None = None
    ended_by: str = ""
    paused: bool = False
    up: asyncio.Event = field(default_factory=asyncio.Event)
    asked: dict[int, asyncio.Future[dict[str, Any] | None]] = field(default_factory=dict)


class Office(Server):
    """Where replicas call the HIS.  Each knows its slot by the port it was given."""

    line_max = LINE_MAX

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        slot = self._slot
        slot.line = writer
        slot.up.set()
        try:
            while line := await reader.readline():
                with contextlib.suppress(ValueError):  # a line that a kill cut off
                    reply = json.loads(line)
                    waiting = slot.asked.pop(reply["id"], None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(reply)
        finally:
            slot.up.clear()
            slot.line = None
            for waiting in slot.asked.values():
                if not waiting.done():
                    waiting.set_result(None)
            slot.asked.clear()


class Season:
    """ledger: the url, or "" for a SQLite file in the folder, which one replica has; a database is shared by two.

    kills: SIGKILLs until it ends; killed: told of each; cares: the kinds of care its visits mix: national ones, or the invented
    family's.
    """

    def __init__(
        self,
        number: int,
        folder: Path,
        nursery: Nursery,
        master_key: Path,
        chance: random.Random,
        kills: int,
        killed: Callable[[], None] = lambda: None,
        ledger: str = "",
        cares: Sequence[Care] = NATIONAL,
    ) -> None:
        self.cares = cares
        self.points = points_of(cares)
        self.findings = Findings()
        self.visits: list[Visit] = []
        self.enough = asyncio.Event()
        self.shared = bool(ledger)
        self.slots = [Slot(name, folder.with_name(f"{folder.name}{name}")) for name in ("ab" if ledger else "a")]
        self.folder = folder
        self.small_disk = False
        self.cut_connections = _nothing_to_cut
        """Ends every connection to the ledger's database."""
        self.serving = asyncio.Event()
        """Cleared while the ledger's database, or its disk, can't serve: nobody is started then."""
        self.serving.set()
        self._code = f"H3100{number:07}"
        self._number = number
        self._nursery = nursery
        self._master_key = master_key
        self._chance = chance
        self._kills = kills
        self._killed = killed
        self._ledger = ledger
        self._calm = False
        self._closing = False
        self._answered = asyncio.Event()
        self._unpaused = asyncio.Event()
        self._unpaused.set()
        self._ambushes: dict[tuple[str, str], tuple[str, str]] = {}
        self._patients, self._asks = itertools.count(1), itertools.count(1)
        self._relays: list[Relay] = []
        self._playing: list[asyncio.Task[None]] = []
        self._open: list[str] = []
        self._beside: set[asyncio.Task[None]] = set()

    def _way(self) -> dict[str, str]:
        """The gateway's lines of the configuration."""
        if self.cares[0].two_phase:
            return {"gateway": TWO_PHASE.name, "path": f"/legacy/{TWO_PHASE.name}", "options": ""}
        options = '[gateway.options]\n"path.5201" = "/visits"\n'
        return {"gateway": "national", "path": "/fsi/api", "options": options}

    @property
    def ledger_place(self) -> Path | str:
        return self._ledger or self.folder / "ledger.db"

    # the whole of it

    async def run(self, trouble: Callable[[Season], AsyncGenerator[None]] | None = None) -> Findings:
        """trouble: goes on beside the kills, as long as it is iterated over."""
        try:
            async with asyncio.timeout(HOSPITAL_DECIDES_S + KILLED_WITHIN_S * self._kills):
                await self._run(trouble)
        except TimeoutError:
            killed = self.findings.counts["SIGKILL"]
            text = f"season {self._number}: {killed} of {self._kills} killed, calm: {self._calm}, open: {self._open}"
            self.findings.faults["never decided"].append(text)
        return self.findings

    async def _run(self, trouble: Callable[[Season], AsyncGenerator[None]] | None) -> None:
        async with self._open_house() as centre:
            keepers = [asyncio.create_task(self._keep(slot)) for slot in self.slots]
            troubled = asyncio.create_task(self._troubled(trouble)) if trouble else None
            await asyncio.gather(*(self._desk(centre) for _ in range(DESKS)))
            if troubled is not None:
                await troubled
            await self._unpaused.wait()
            await self._calm_down()
            for failure in await asyncio.gather(*self._playing, return_exceptions=True):
                if failure is not None:
                    self.findings.faults["never decided"].append(repr(failure))
            await asyncio.gather(*(visit.repeat() for visit in self.visits))
            self._closing = True
            last = self.slots[-1]
            await last.up.wait()
            assert last.line is not None
            last.line.close()
            await asyncio.gather(*keepers)
            truth = truth_of(centre.world)
        books = await asyncio.to_thread(read_books, self.ledger_place, self._master_key)
        owners, out = self._read_diaries()
        sent = [
            replace(one, life=life, at=at)
            for relay in self._relays
            for one in relay.log
            for life, at in [out.get(one.msgid, (one.life, one.at))]
        ]
        self.findings.add(audit(self.visits, books, truth, sorted(sent, key=lambda one: one.at), owners))

    def _read_diaries(self) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
        """Which life called itself what in the ledger; who let which msgid out, and when: a message may lie on the wire while
        its sender dies.  Alarms are counted on the way."""
        owners: dict[str, str] = {}
        out: dict[str, tuple[str, str]] = {}
        for slot in self.slots:
            for diary in slot.folder.glob("life*"):
                life = slot.name + diary.name.removeprefix("life")
                for line in diary.read_text("ascii").splitlines():
                    match json.loads(line):
                        case ["owner", name]:
                            owners[name] = life
                        case ["out", [msgid, at]]:
                            out[msgid] = (life, at)
                        case ["alarm", text]:
                            self.findings.counts[f"alarm: {ALARM.sub('…', text)}"] += 1
        return owners, out

    @asynccontextmanager
    async def _open_house(self) -> AsyncIterator[Simulator]:
        async with AsyncExitStack() as house:
            centre = await house.enter_async_context(Simulator(seed=self._number, dialects={TWO_PHASE.name: DIALECT}))
            centre.world.temperament = centre.world.temperament.changed({"unconfirmed_s": UNCONFIRMED_S})
            self._hooks = HookPost(self._hooked)
            await house.enter_async_context(self._hooks)
            self._offices = {}
            self.folder.mkdir(exist_ok=True)
            for slot in self.slots:
                relay = Relay(centre.port, lambda slot=slot: slot.life, self._met)  # type: ignore[misc]
                await house.enter_async_context(relay)
                self._relays.append(relay)
                office = Office(slot)
                await house.enter_async_context(office)
                self._offices[slot.name] = office
                slot.folder.mkdir()
                config = CONFIG.format(
                    code=self._code, ledger=self._ledger or f"sqlite:///{self.folder / 'ledger.db'}",
                    master_key=self._master_key, port=relay.port, lease=LEASE_S, **self._way(),
                )  # fmt: skip
                (slot.folder / "his-adapter.toml").write_text(config, "utf-8")
            try:
                yield centre
            finally:
                self._closing = True
                rows = zip(self.visits, self._playing, strict=False)
                self._open = [f"{visit.name} ({visit.last})" for visit, task in rows if not task.done()]
                for task in (*self._playing, *self._beside):
                    task.cancel()
                for slot in self.slots:
                    if slot.born is not None and not slot.born.ended.done():
                        os.kill(slot.born.pid, signal.SIGKILL)

    async def _calm_down(self) -> None:
        """From now on no faults.  Of two replicas one is left, which had its connections cut a last time: it must take over
        whatever the other had."""
        *others, last = self.slots
        if others:
            await last.up.wait()
            await self.cut_connections()
        self._calm = True
        for slot in others or [last]:
            self._kill(slot, "at the end")

    async def _troubled(self, trouble: Callable[[Season], AsyncGenerator[None]]) -> None:
        async with aclosing(trouble(self)) as troubles:
            async for _ in troubles:
                if self.enough.is_set():
                    return

    # the HIS's side

    async def _desk(self, centre: Simulator) -> None:
        """One visit after another until enough were killed.  One that is in doubt for long goes on beside the next."""
        while not self.enough.is_set():
            visit = self._next_visit(centre)
            playing = asyncio.create_task(visit.play())
            self._playing.append(playing)
            stalled = asyncio.create_task(visit.stalled.wait())
            await asyncio.wait([playing, stalled], return_when=asyncio.FIRST_COMPLETED)
            stalled.cancel()

    def _next_visit(self, centre: Simulator) -> Visit:
        number = next(self._patients)
        story, care = self._chance.choice(STORIES), self._chance.choice(self.cares)
        visit = Visit(number, f"{self._number:03}V{number:05}", story, care, self._ask)
        centre.world.people.put(person_from(visit.person))
        rules = []
        if story == "cancel" and self._chance.random() < 0.7:  # the reply is lost, so there is a doubt to cancel in
            rules.append({"psn_no": visit.psn_no, "infno": care.pay, "nth": 1, "actions": ["commit", "drop"]})
        elif self._chance.random() < 0.6:
            infno = self._chance.choice((*(care.pay,) * 6, *(care.back,) * 3, *care.before))
            place = self._chance.choice(OWN_PLACES if care.two_phase else PLACES)
            deed = "stop" if self._chance.random() < (0.15 if self.shared else 0.05) else "kill"
            self._ambushes[visit.certno if care.two_phase else visit.psn_no, infno] = (place, deed)
            if place in HOOKED:
                actions = [self._hooks.action(action, place) for action in HOOKED[place]]
                rules.append({"psn_no": visit.psn_no, "infno": infno, "nth": 1, "actions": actions})
        centre.rules.rules += read_rules(rules).rules
        self.visits.append(visit)
        return visit

    async def _ask(self, message: str, wait_s: float) -> dict[str, Any]:
        """One try at one living replica after another, until one replies."""
        while True:
            slot = await self._someone_up()
            if slot.line is None or slot.line.is_closing():
                await asyncio.sleep(0.01)  # its end was seen by the one side, and not yet by the other
                continue
            number = next(self._asks)
            waiting: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()
            slot.asked[number] = waiting
            slot.line.write(json.dumps({"id": number, "message": message, "wait_s": wait_s}).encode() + b"\n")
            try:
                async with asyncio.timeout(wait_s + HIS_PATIENCE_S):
                    reply = await waiting
            except TimeoutError:  # paused, or its ledger is: ask anew, perhaps another one
                slot.asked.pop(number, None)
                continue
            if reply is not None:
                if "fault" in reply:
                    self.findings.faults["ledger"].append(f"{slot.life}: {reply['fault']}")
                self.findings.counts["messages"] += 1
                self._answered.set()
                self._answered.clear()
                return reply

    async def _someone_up(self) -> Slot:
        while True:
            up = [slot for slot in self.slots if slot.up.is_set()]
            if up:
                return self._chance.choice(up)
            waiting = [asyncio.create_task(slot.up.wait()) for slot in self.slots]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()

    async def answered(self) -> None:
        """Wait for the next answer, or until enough were killed."""
        waiting = [asyncio.create_task(event.wait()) for event in (self._answered, self.enough)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    # lives and deaths

    async def _keep(self, slot: Slot) -> None:
        """One life after another; the last one, when all is told, ends by itself."""
        for number in itertools.count(1):
            await self.serving.wait()
            dies_at, lifetime = self._fate()
            slot.life, slot.ended_by = f"{slot.name}{number}", ""
            diary = slot.folder / f"life{number}"
            shift = Shift(str(slot.folder), str(diary), self._offices[slot.name].port, dies_at, self.small_disk)
            slot.born = await self._nursery.begin(shift)
            up = asyncio.create_task(slot.up.wait())
            await asyncio.wait([up, slot.born.ended], return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            if lifetime and not slot.born.ended.done():
                await self._live(slot, lifetime)
            status = await slot.born.ended
            self._counted(slot, status, dies_at, diary)
            if self._closing or (self._calm and slot is not self.slots[-1]):
                return

    def _fate(self) -> tuple[str, float]:
        """Where a life ends by itself, and how long at most it lasts; nothing of both when all is calm."""
        if self._calm:
            return "", 0.0
        if self.small_disk:  # the disk is the trouble
            return "", self._chance.uniform(3.0, 6.0)
        dies_at = ""
        if self._chance.random() < 0.5:
            dies_at = self._chance.choice(self.points)
            if self._chance.random() < 0.3:
                dies_at += " #2"
        is_long = self._chance.random() < (0.5 if self.shared else 0.15)
        lifetime = self._chance.uniform(2.5, 5.0) if is_long else self._chance.uniform(0.05, 1.5)
        return dies_at, lifetime

    async def _live(self, slot: Slot, lifetime: float) -> None:
        assert slot.born is not None
        await asyncio.wait([slot.born.ended], timeout=lifetime)
        await self._unpaused.wait()  # while one is paused the others live on: they are to take its cases over
        if not self._calm and not slot.born.ended.done():
            self._kill(slot, "random moment")

    def _kill(self, slot: Slot, how: str) -> None:
        if slot.born is None or slot.born.ended.done() or slot.ended_by:
            return
        slot.ended_by = how
        with contextlib.suppress(ProcessLookupError):
            os.kill(slot.born.pid, signal.SIGKILL)

    def _counted(self, slot: Slot, status: int, dies_at: str, diary: Path) -> None:
        if status == -signal.SIGKILL:
            how = slot.ended_by or ("journal point" if dies_at else "")
            if not how:
                self.findings.faults["ledger"].append(f"{slot.life} was killed by nobody here")
            self.findings.counts["SIGKILL"] += 1
            self.findings.counts[f"SIGKILL: {how}"] += 1
            self._killed()
            if self.findings.counts["SIGKILL"] >= self._kills:
                self.enough.set()
        elif status == 3 and not self._calm:
            self.findings.counts["starts refused"] += 1
        elif status or not self._closing:
            text = diary.read_text("utf-8").splitlines()[-1:]
            self.findings.faults["ledger"].append(f"{slot.life} ended with {status}: {text}")

    def kill_all(self, how: str) -> None:
        for slot in self.slots:
            self._kill(slot, how)

    # ambushes

    async def _met(self, place: str, sent: Sent) -> bool:
        """A message of an awaited patient is at an awaited place: its sender is killed, or paused, there."""
        waits_at, deed = self._ambushes.get((sent.person, sent.infno), ("", ""))
        if waits_at != place or self._calm:
            return False
        del self._ambushes[sent.person, sent.infno]
        slot = next((slot for slot in self.slots if slot.life == sent.life), None)
        if slot is None or slot.born is None or slot.born.ended.done() or slot.ended_by:
            return False
        if deed == "stop" and self._unpaused.is_set():
            self._pause(slot)
            return False
        self._kill(slot, place)
        await slot.born.ended
        return True

    async def _hooked(self, place: str, msgid: str) -> bool:
        sent = next(one for relay in self._relays for one in reversed(relay.log) if one.msgid == msgid)
        return await self._met(place, sent)

    def _pause(self, slot: Slot) -> None:
        assert slot.born is not None
        born = slot.born
        self._unpaused.clear()
        self.findings.counts["SIGSTOP … SIGCONT"] += 1
        os.kill(born.pid, signal.SIGSTOP)

        async def wake() -> None:
            # a lease, and the scan that finds it lapsed, are real time
            await asyncio.wait([born.ended], timeout=2 * LEASE_S)
            if not born.ended.done():
                os.kill(born.pid, signal.SIGCONT)
            # so long it may show what it still does
            await asyncio.wait([born.ended], timeout=LEASE_S / 4)
            self._unpaused.set()

        waking = asyncio.create_task(wake())
        self._beside.add(waking)
        waking.add_done_callback(self._beside.discard)
