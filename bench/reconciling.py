"""Reconciling a day and a month: differences made by acting on the simulated centre's world and on a ledger's own records.

    python -m bench.reconciling                      # a day of 50,000 settlements with 504 differences of 12 classes
    python -m bench.reconciling --growth             # 5,000 … 100,000: seconds and memory
    python -m bench.reconciling --kill               # killed in the middle, then three runs: one record for each difference
    python -m bench.reconciling --month              # 30 days of 50,000

The centre is a process of its own; so is the measured run, whose time and peak memory are reported.  Nothing here edits a row that the
matcher reads: the world settles, refunds and reverses, the ledger books through the product's own function.  A month's first day is made
so; the others are the same day under another date, with keys and numbers of their own, at the centre and in the ledger, before any
of it is matched.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import structs

from adapter_core.accounts.differences import TOPIC
from adapter_core.bootstrap.assembly import assembled, opened_ledger
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import reconciling_of
from adapter_core.bootstrap.site import gateway_endpoint, plugins, site_place
from adapter_core.centre.client import Centre
from adapter_core.centre.guarded import GuardedWire
from adapter_core.config import load_config
from adapter_core.ledger import sqlite_file
from adapter_core.ledger.projections import BILLS, CALLS, CASES, ENCOUNTERS, ENTRIES
from adapter_core.ledger.sealing import create_master_key, read_master_key
from adapter_core.province.gateway import Site
from adapter_core.province.national import national
from adapter_core.settlement.calls import Context
from adapter_core.settlement.decisions import settled
from adapter_core.settlement.entries import booked
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import Bill, CallRecord, Case, Encounter, Entry
from adapter_core.settlement.states import State
from adapter_core.simulator.records import Place as Whose
from adapter_core.simulator.records import Refund, Settlement, Visit
from adapter_core.simulator.server import Simulator
from adapter_core.simulator.settling import outcome_told, refund_told
from adapter_core.simulator.world import World
from adapter_core.values.copies import replace
from adapter_core.values.moments import iso, national_date, parse_national_time

ORG = "H36010000001"
FIRST_DAY = "2026-10-01"
VISITS = 40
MONTH_DAYS = 30
CLASSES = (
    "found_in_doubt", "found_reversing", "found_disproved", "found_frozen", "other_day", "refunded_elsewhere",
    "foreign_same_visit", "foreign", "ours_only", "refund_ours_only", "total_differs", "split_differs",
)  # fmt: skip
CONFIG = """
environment = "test"
[institution]
fixmedins_code = "{org}"
fixmedins_name = "测试医院"
admdvs = "360100"
[ledger]
url = "sqlite:///ledger.db"
master_key_file = "master.key"
[gateway]
kind = "national"
url = "{url}/fsi/api"
plain_http = "bench"
[timers]
read_deadline = 60.0
"""


class StandingClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def mono(self) -> float:
        return 0.0

    def wall(self) -> datetime:
        return self.at


class Day:
    """One business day, acted at the centre and booked in the ledger's records.  Both processes make the same one."""

    def __init__(self, day: str, count: int, per_class: int) -> None:
        self.day = day
        self.clock = StandingClock(parse_national_time(f"{day} 10:00:00"))
        self.world = World(self.clock, seed=int(day.replace("-", "")) % 10_000)
        self.expected: dict[str, str] = {}
        self.count, self.per_class = count, per_class
        self._site = Site(ORG, "测试医院", "360100")
        self.place = Place(self._site, national(self._site))
        self._visits = self._registered()
        self._next = 0

    def _registered(self) -> list[tuple[Visit, Any]]:
        """Visits with one line each, split by the place of insurance's rules."""
        found = []
        people = [one for one in self.world.people if one.insurances and one.insurances[0].active]
        for number in range(VISITS):
            person = people[number % len(people)]
            insutype = person.insurances[0].insutype
            visit = Visit(
                self.world.identity("M"), "", person.psn_no, insutype, "outpatient", "11", f"{self.day} 09:00:00", {},
                ORG, "测试医院", self.clock.wall(),
            )  # fmt: skip
            amount = Decimal(100 + number)
            row = {"med_list_codg": "XA00000001"}
            visit.lines["F1"] = self.world.fee_line("F1", "B1", row, amount, Decimal(1), amount)
            self.world.visits[visit.mdtrt_id] = visit
            found.append((visit, self.world.quote(visit, visit.lines.values(), "11", insutype, True)))
        return found

    def settlement(self, msgid: str) -> Settlement:
        """The centre settles a visit of its own."""
        like, split = self._visits[self._next % VISITS]
        visit = replace(like, mdtrt_id=self.world.identity("M"), settlements=[])
        self.world.visits[visit.mdtrt_id] = visit
        return self._settled(visit, split, msgid)

    def again(self, one: Settlement, msgid: str) -> Settlement:
        """Somebody else settles the same visit once more."""
        return self._settled(one.visit, one.split, msgid)

    def _settled(self, visit: Visit, split: Any, msgid: str) -> Settlement:
        self._next += 1
        one = Settlement(
            self.world.identity("J"), "2207", msgid, visit, "B1", "11", visit.insutype, "02", "", split,
            self.clock.wall() + timedelta(seconds=self._next % 30_000), 0.0, Whose(ORG, "测试医院", "360100"), (),
        )  # fmt: skip
        self.world.settle(one)
        return one

    def once_more(self, day: str) -> None:
        """At the centre the same day again under another date, with numbers of its own."""
        turn = Turn(self.day, day)
        for one in self.world.settlements.values():
            one.setl_id, one.msgid, one.at = turn.number(one.setl_id), turn.text(one.msgid), one.at + turn.by
            if one.refund is not None:
                back = one.refund
                back.setl_id, back.msgid, back.at = turn.number(back.setl_id), turn.text(back.msgid), back.at + turn.by
        for visit in {id(one.visit): one.visit for one in self.world.settlements.values()}.values():
            visit.mdtrt_id = turn.number(visit.mdtrt_id)
        self.world.settlements = {one.setl_id: one for one in self.world.settlements.values()}
        self.world.visits = {visit.mdtrt_id: visit for visit in self.world.visits.values()}
        self.day = day

    def refund(self, one: Settlement, msgid: str) -> Refund:
        made = Refund(self.world.identity("J"), "2208", msgid, self.clock.wall(), 0.0)
        self.world.refund(one, made)
        return made


class Turn:
    """From one date to another: the same records under fresh keys."""

    def __init__(self, before: str, day: str) -> None:
        self._dates = [(before, day), (before.replace("-", ""), day.replace("-", "")), (_next(before), _next(day))]
        self._mark = f"d{day[-2:]}"
        self.by = parse_national_time(f"{day} 00:00:00") - parse_national_time(f"{before} 00:00:00")

    def number(self, text: str) -> str:
        """A number of the centre's."""
        return text and f"{text.partition('d')[0]}{self._mark}"

    def text(self, text: str) -> str:
        for before, day in self._dates:
            if before in text:
                return text.replace(before, day)
        return text

    def record(self, record: Any) -> Any:
        changed = {
            name: (self.number if name.endswith(("setl_id", "mdtrt_id")) else self.text)(value)
            for name in record.__struct_fields__
            if isinstance(value := getattr(record, name), str) and type(value) is str
        }
        return structs.replace(record, **changed)


def _next(day: str) -> str:
    return national_date(parse_national_time(f"{day} 12:00:00") + timedelta(days=1))


class Copy:
    """The ledger's own records of a day, written as its projections write them, with the keys of the ledger's file.

    kept: all of them, to be written once more under other dates."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, day: Day, keeps: bool = False) -> None:
        self.kept: list[tuple[Any, Any]] = []
        self._keeps = keeps
        self._connection, self._day = connection, day
        keys = sqlite_file.data_keys(connection, read_master_key(folder / "master.key"))
        row = connection.execute("SELECT key_id FROM data_keys ORDER BY key_id LIMIT 1").fetchone()
        if row is None:
            key = keys.master.new_data_key(1, day.day)
            connection.execute("INSERT INTO data_keys VALUES (?, ?, ?)", (key.key_id, key.day, key.wrapped))
            row = (1,)
        self._key = keys.of(row[0])
        self._rows: dict[Any, list[Any]] = {one: [] for one in (ENCOUNTERS, BILLS, CASES, CALLS, ENTRIES)}
        self._contexts: dict[str, Context] = {}

    def _context(self, one: Settlement) -> Context:
        known = self._contexts.get(one.visit.mdtrt_id)
        if known is not None:
            return known
        number = f"{self._day.day}-{one.visit.mdtrt_id}"
        person = {"psn_no": one.visit.psn_no, "insuplc_admdvs": one.split.rule.place or "330100"}
        encounter = Encounter(
            f"e{number}",
            ORG,
            number,
            "outpatient",
            "bench",
            1,
            one.visit.mdtrt_id,
            {"person": person, "env": {"opter": "001"}},
        )
        bill = Bill(
            f"b{number}", ORG, encounter.encounter_id, number, "B1", 1, False, {"settle": {"insutype": one.insutype}}
        )
        self._add(ENCOUNTERS, encounter)
        self._add(BILLS, bill)
        context = Context(self._day.place, encounter, bill)
        self._contexts[one.visit.mdtrt_id] = context
        return context

    def case(
        self, number: str, one: Settlement, state: State, msgid: str, purpose: str = "settle", burnt: bool = False
    ) -> Case:
        """A case in SENDING whose money call left, and what became of it."""
        context = self._context(one)
        at = iso(one.at)
        case = Case(
            number, ORG, purpose, number, number, context.encounter.encounter_id, context.bill.bill_id, "outpatient", "bench",
            State.SENDING, "", 1, insuplc_admdvs=context.encounter.content["person"]["insuplc_admdvs"], opened_at=at, changed_at=at,
        )  # fmt: skip
        call = CallRecord(
            f"k{number}", ORG, msgid, "pay" if purpose == "settle" else "refund", "2207", "N", number,
            context.encounter.encounter_id, context.bill.bill_id, not_after=at, burnt=burnt, version=1,
        )  # fmt: skip
        self._add(CALLS, call)
        if state not in (State.SETTLED, State.VOIDED):
            case = replace(case, state=state)
            self._add(CASES, case)
        return case

    def book(self, case: Case, one: Settlement, result: dict[str, Any], msgid: str, at: datetime) -> Entry:
        """What the product does when a settlement or a refund stands."""
        concluded, entry = booked(self._context(one), settled(case, result, iso(at)), result, msgid, at)
        self._add(CASES, replace(concluded, version=1))
        self._add(ENTRIES, replace(entry, version=1))
        return entry

    def once_more(self, turn: Turn) -> None:
        """The day's records again under another date."""
        for number, (projection, record) in enumerate(self.kept):
            self._seal(projection, turn.record(record))
            if number % 20_000 == 19_999:
                self.write()
        self.write()

    def _add(self, projection: Any, record: Any) -> None:
        if self._keeps:
            self.kept.append((projection, record))
        self._seal(projection, record)

    def _seal(self, projection: Any, record: Any) -> None:
        sealed = projection.sealed_columns(record, projection.document(record), self._key)
        self._rows[projection].append((*projection.values(record), *sealed))

    def write(self) -> None:
        self._connection.execute("BEGIN")
        for projection, rows in self._rows.items():
            self._connection.executemany(projection.insert, rows)
            rows.clear()
        self._connection.execute("COMMIT")
        self._contexts.clear()


def result_of(day: Day, one: Settlement) -> dict[str, Any]:
    told: dict[str, Any] = outcome_told(day.world, one, one.msgid, one.setl_id)["setlinfo"]
    return told


def play(day: Day, copy: Copy | None) -> None:
    """The whole day: what agrees, then each class's share.  copy: None in the centre's own process."""
    for number in range(day.count):
        msgid = f"{ORG}{day.day.replace('-', '')}{number:010}"
        kind = CLASSES[number % len(CLASSES)] if number < day.per_class * len(CLASSES) else ""
        ACTS.get(kind, agrees)(day, copy, f"{day.day}-{number}", msgid)
        if copy is not None and number % 5000 == 4999:
            copy.write()
    if copy is not None:
        copy.write()


def agrees(day: Day, copy: Copy | None, key: str, msgid: str) -> Settlement:
    one = day.settlement(msgid)
    if copy is not None:
        copy.book(copy.case(key, one, State.SETTLED, msgid), one, result_of(day, one), msgid, one.at)
    return one


def in_state(state: State, burnt: bool = False) -> Any:
    def act(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
        """The reply was lost, or misread: the centre has it, the case says otherwise."""
        one = day.settlement(msgid)
        if copy is not None:
            copy.case(key, one, state, msgid, burnt=burnt)

    return act


def other_day(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    """Just before midnight at the centre; a reply without its time, booked by our clock after it."""
    one = day.settlement(msgid)
    if copy is not None:
        result = {name: value for name, value in result_of(day, one).items() if name != "setl_time"}
        copy.book(copy.case(key, one, State.SETTLED, msgid), one, result, msgid, one.at + timedelta(days=1))


def refunded_elsewhere(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    day.refund(agrees(day, copy, key, msgid), f"X{msgid[1:]}")


def foreign_same_visit(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    """Another terminal settles a visit of ours a second time."""
    day.again(agrees(day, copy, key, msgid), f"X{msgid[1:]}")


def foreign(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    """Another terminal's own visit."""
    day.settlement(f"Y{msgid[1:]}")


def ours_only(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    """A reversal of somebody else's came late."""
    day.world.reverse(agrees(day, copy, key, msgid))


def refund_ours_only(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    """A refund that we booked was reversed at the centre."""
    one = agrees(day, copy, key, msgid)
    made = day.refund(one, f"Z{msgid[1:]}")
    if copy is not None:
        result = refund_told(day.world, one, made)["setlinfo"]
        copy.book(copy.case(f"{key}-void", one, State.VOIDED, made.msgid, "void"), one, result, made.msgid, made.at)
    day.world.revive(one)


def differing(names: tuple[str, ...]) -> Any:
    def act(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
        """The reply's amounts were another trial's: of a bill with a line less, or before another bill used the deductible."""
        one = day.settlement(msgid)
        if copy is not None:
            result = result_of(day, one)
            first, second = names
            result = {
                **result,
                first: result[first] - 1,
                second: result[second] + (1 if first != "medfee_sumamt" else -1),
            }
            copy.book(copy.case(key, one, State.SETTLED, msgid), one, result, msgid, one.at)

    return act


ACTS = {
    "found_in_doubt": in_state(State.RESOLVING),
    "found_reversing": in_state(State.REVERSING, burnt=True),
    "found_disproved": in_state(State.REJECTED),
    "found_frozen": in_state(State.FROZEN),
    "other_day": other_day,
    "refunded_elsewhere": refunded_elsewhere,
    "foreign_same_visit": foreign_same_visit,
    "foreign": foreign,
    "ours_only": ours_only,
    "refund_ours_only": refund_ours_only,
    "total_differs": differing(("medfee_sumamt", "psn_cash_pay")),
    "split_differs": differing(("fund_pay_sumamt", "psn_cash_pay")),
}


# the centre's process


def serve_centre(count: int, per_class: int) -> None:
    """Serves one day after another: a date on stdin acts it, the next date shows it once more under that one; ``ready`` answers."""

    async def run() -> None:
        async with Simulator() as centre:
            print(centre.url, flush=True)
            loop = asyncio.get_running_loop()
            day: Day | None = None
            while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
                if day is None:
                    day = Day(line, count, per_class)
                    play(day, None)
                    centre.world = day.world
                else:
                    day.once_more(line)
                print("ready", flush=True)

    asyncio.run(run())


class CentreProcess:
    def __init__(self, count: int, per_class: int) -> None:
        command = [
            sys.executable,
            "-m",
            "bench.reconciling",
            "--centre",
            "--count",
            str(count),
            "--each",
            str(per_class),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def show(self, day: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{day}\n")
        self._process.stdin.flush()
        self._process.stdout.readline()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


# the measured process


def measured(folder: Path, days: list[str]) -> None:
    """Reconcile days; one line of JSON with what was found, the seconds of each and the peak memory."""
    print(json.dumps(asyncio.run(_reconciled(folder, days))), flush=True)


async def _reconciled(folder: Path, days: list[str]) -> dict[str, Any]:
    config = load_config(folder / "his-adapter.toml")
    loaded = plugins(config.settings.plugins)
    place = site_place(config, loaded)
    clock = SystemClock()
    found: Counter[str] = Counter()
    seconds = []
    async with AsyncExitStack() as parts:
        ledger = await opened_ledger(config, clock, parts)
        centre = Centre([gateway_endpoint(config)])
        parts.push_async_callback(centre.aclose)
        running = assembled(config, loaded, place, ledger, GuardedWire(centre, clock), clock)
        for day in days:
            print(f"begin {day}", flush=True)
            if len(days) > 1:
                sys.stdin.readline()  # the centre shows the next day
            begun, processor = time.perf_counter(), time.process_time()
            report = await reconciling_of(running, place).run(day)
            seconds.append(round(time.perf_counter() - begun, 2))
            processor = time.process_time() - processor
            print(f"done {day} {seconds[-1]:.2f} s ({processor:.2f} s of processor)", flush=True)
            if report.text:
                raise SystemExit(report.text)
            found.update(report.found)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = round(used.ru_utime + used.ru_stime, 1)
    return {"found": dict(found), "seconds": seconds, "cpu": cpu, "peak_mb": used.ru_maxrss // 1024}


def run_measured(folder: Path, days: list[str], centre: CentreProcess) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.reconciling", "--measured", str(folder), "--days", ",".join(days)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                told: dict[str, Any] = json.loads(line)
                return told
            if line.startswith("done ") and len(days) > 1:
                print(line.removeprefix("done "), end="", flush=True)
            if line.startswith("begin ") and len(days) > 1:
                centre.show(line.split()[1])
                process.stdin.write("\n")
                process.stdin.flush()
    raise SystemExit("the measured run ended without a result")


# the story


def prepared(folder: Path, url: str, days: list[str], count: int, per_class: int) -> None:
    """A ledger with these days."""
    create_master_key(folder / "master.key")
    (folder / "his-adapter.toml").write_text(CONFIG.format(org=ORG, url=url), "utf-8")
    connection = sqlite_file.connect_writer(folder / "ledger.db")
    sqlite_file.create(connection, "test", read_master_key(folder / "master.key"))
    connection.execute("PRAGMA synchronous = OFF")
    first, *others = days
    acted = Day(first, count, per_class)
    copy = Copy(connection, folder, acted, keeps=bool(others))
    play(acted, copy)
    for day in others:
        copy.once_more(Turn(first, day))
    connection.close()


def days_from(first: str, count: int) -> list[str]:
    begin = parse_national_time(f"{first} 12:00:00")
    return [national_date(begin + timedelta(days=number)) for number in range(count)]


def items_of(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True) as reader:
        return reader.execute("SELECT item_id, subject FROM account_items WHERE topic = ?", (TOPIC,)).fetchall()


def one_day(count: int, per_class: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        centre = CentreProcess(count, per_class)
        try:
            prepared(folder, centre.url, [FIRST_DAY], count, per_class)
            centre.show(FIRST_DAY)
            told = run_measured(folder, [FIRST_DAY], centre)
        finally:
            centre.close()
        recorded = Counter(subject for _, subject in items_of(folder))
    wanted = dict.fromkeys(CLASSES, per_class)
    if told["found"] != wanted or dict(recorded) != wanted:
        raise SystemExit(f"expected {wanted}, found {told['found']}, recorded {dict(recorded)}")
    return told


def killed(count: int, per_class: int) -> None:
    """kill -9 when a third of the differences is recorded, then three whole runs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        centre = CentreProcess(count, per_class)
        try:
            prepared(folder, centre.url, [FIRST_DAY], count, per_class)
            centre.show(FIRST_DAY)
            command = [sys.executable, "-m", "bench.reconciling", "--measured", str(folder), "--days", FIRST_DAY]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            while len(items_of(folder)) < per_class * len(CLASSES) // 3 and process.poll() is None:
                time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            before = len(items_of(folder))
            for _ in range(3):
                run_measured(folder, [FIRST_DAY], centre)
        finally:
            centre.close()
        items = items_of(folder)
    counts = Counter(subject for _, subject in items)
    print(f"killed after {before} records; three runs later {len(items)}", flush=True)
    if dict(counts) != dict.fromkeys(CLASSES, per_class) or len({number for number, _ in items}) != len(items):
        raise SystemExit(f"not one record for each difference: {counts}")
    print("one record for each difference")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--each", type=int, default=42, help="differences of each of the 12 classes")
    for mode in ("growth", "kill", "month", "centre"):
        parser.add_argument(f"--{mode}", action="store_true")
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--days", default="")
    chosen = parser.parse_args()
    if chosen.centre:
        serve_centre(chosen.count, chosen.each)
    elif chosen.measured:
        measured(chosen.measured, chosen.days.split(","))
    elif chosen.kill:
        killed(chosen.count, chosen.each)
    elif chosen.growth:
        for count in (5_000, 10_000, 25_000, 50_000, 100_000):
            told = one_day(count, max(1, count // 1_200))
            print(
                f"{count:>7} settlements: {told['seconds'][0]:6.2f} s ({told['cpu']} s of processor), {told['peak_mb']} MB peak",
                flush=True,
            )
    elif chosen.month:
        whole_month(chosen.count, chosen.each)
    else:
        told = one_day(chosen.count, chosen.each)
        found = sum(told["found"].values())
        print(
            f"{chosen.count} settlements, {found} differences of {len(told['found'])} classes: all found, none invented"
        )
        print(f"{told['seconds'][0]} s ({told['cpu']} s of processor), {told['peak_mb']} MB peak")


def whole_month(count: int, per_class: int) -> None:
    days = days_from(FIRST_DAY, MONTH_DAYS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        centre = CentreProcess(count, per_class)
        try:
            prepared(folder, centre.url, days, count, per_class)
            size = (folder / "ledger.db").stat().st_size // 2**20
            print(f"{count * len(days)} settlements in a ledger of {size} MB", flush=True)
            told = run_measured(folder, days, centre)
        finally:
            centre.close()
        recorded = Counter(subject for _, subject in items_of(folder))
    total = sum(told["seconds"])
    if dict(recorded) != dict.fromkeys(CLASSES, per_class * len(days)):
        raise SystemExit(f"not one record for each difference: {dict(recorded)}")
    print(
        f"{count * MONTH_DAYS} settlements in {MONTH_DAYS} days: {total:.1f} s together ({told['cpu']} s of processor), {told['peak_mb']} MB peak"
    )
    print(
        f"first day {told['seconds'][0]} s, last day {told['seconds'][-1]} s; one record for each of {recorded.total()} differences"
    )


if __name__ == "__main__":
    main()
