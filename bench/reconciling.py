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
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapter_core.accounts.differences import TOPIC
from adapter_core.bootstrap.assembly import assembled, opened_ledger
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import reconciling_of
from adapter_core.bootstrap.site import gateway_endpoint, plugins, site_place
from adapter_core.centre.client import Centre
from adapter_core.centre.guarded import GuardedWire
from adapter_core.config import load_config
from adapter_core.ledger import sqlite_file
from adapter_core.ledger.sealing import create_master_key, read_master_key
from adapter_core.simulator.server import Simulator
from adapter_core.values.moments import national_date, parse_national_time
from bench.load.acted_day import CLASSES, ORG, Copy, Day, Turn, play

FIRST_DAY = "2026-10-01"
MONTH_DAYS = 30
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
