"""What a hanging centre does to everybody else: polls, memory, descriptors, and another centre's settlements.

``make bench`` runs it and prints two tables; nothing is asserted.  One process, one pipeline, one SQLite ledger, real sockets; the
centres are simulated in processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from adapter_core.bootstrap.machine import SystemClock, SystemIds
from adapter_core.bootstrap.site import PLAIN_DEFAULTS
from adapter_core.centre.client import Centre, Endpoint
from adapter_core.centre.guarded import GuardedWire
from adapter_core.ledger.sealing import create_master_key, read_master_key
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Operation
from adapter_core.province.national import national
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.settlement.pipeline import Pipeline
from adapter_core.settlement.place import Place
from adapter_core.settlement.states import State
from adapter_core.values.errors import AdapterError
from adapter_core.values.frames import Frame

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.load.messages import LINE, VISIT

CENTRES, EACH = 25, 8
"""Eight money calls at once is what the bulkhead lets out to one centre, so 200 take this many centres."""
MONEY_DEADLINE_S = 15.0
POLLS_PER_S = 200
TILLS, HANGING_TILLS = 4, 40
DIALECT = NationalDialect()
IN_FLIGHT = (State.SENDING, State.RESOLVING, State.REVERSING)
EVERYTHING = [{"infno": None, "actions": ["hang"]}]
MONEY = [{"infno": "2207", "actions": ["hang"]}, {"infno": "5203", "actions": ["hang"]}]
FEE = {**LINE, "feedetl_sn": "F1", "det_item_fee_sumamt": "186.50", "pric": "186.50"}


def operation(**changes: Any) -> Operation:
    return DIALECT.decode_request(
        Frame(body=json.dumps({**VISIT, "fees": [FEE], **changes}, ensure_ascii=False).encode())
    )


def visit(key: str) -> Operation:
    return operation(settle_key=key, visit_key=f"V-{key}")


def poll(key: str) -> Operation:
    return DIALECT.decode_request(Frame(body=json.dumps({"intent": "query", "settle_key": key}).encode()))


@contextmanager
def centre() -> Iterator[str]:
    """The address of a simulated centre in a process of its own."""
    command = [sys.executable, "-m", "adapter_core.simulator", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://{process.stdout.readline().split()[-1]}"
    finally:
        process.terminate()
        process.communicate()


async def rule(url: str, rules: Sequence[Any]) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        (await client.post(f"{url}/_sim/rules", json=rules)).raise_for_status()


@dataclass
class House:
    """One process's pipeline and its institutions, one at each centre."""

    pipeline: Pipeline
    ledger: SqliteLedger
    places: list[Place]
    refused: Counter[str] = field(default_factory=Counter)

    async def say(self, place: Place, asked: Operation, wait_s: float) -> str:
        """What was told, or the code it was refused with."""
        try:
            return (await self.pipeline.handle(place, DIALECT, asked, wait_s)).state
        except AdapterError as error:
            return error.code


def place_at(number: int) -> Place:
    site = Site(f"H3601{number:07}", "测试医院", "360100")
    gateway = national(site)
    gateway.capabilities = replace(
        gateway.capabilities, query_after_unknown="by_visit", money_deadline_s=MONEY_DEADLINE_S
    )
    return Place(site, gateway, f"centre{number}", defaults={**PLAIN_DEFAULTS, "visit.caty": "A03"})


@asynccontextmanager
async def house(urls: Sequence[str]) -> AsyncIterator[House]:
    clock = SystemClock()
    places = [place_at(number) for number in range(len(urls))]
    endpoints = [
        Endpoint(place.endpoint, f"{url}/fsi/api", plain_http_reason="bench")
        for place, url in zip(places, urls, strict=True)
    ]
    with tempfile.TemporaryDirectory() as name:
        key = Path(name) / "master.key"
        create_master_key(key)
        wire = Centre(endpoints)
        with SqliteLedger.open(
            Path(name) / "ledger.db", read_master_key(key), environment="test", clock=clock, ballast_bytes=0
        ) as ledger:
            pipeline = Pipeline(ledger, GuardedWire(wire, clock), clock, SystemIds(), lambda _: DIALECT)
            try:
                yield House(pipeline, ledger, places)
            finally:
                await pipeline.close()
                await wire.aclose()


# -- polls


def memory_mb() -> float:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def polled(pipeline_of: House, keys: Sequence[tuple[Place, str]], seconds: float) -> list[float]:
    """Polls at a fixed rate; each one's time counts from when it was due, so a loop that stands still shows."""
    taken: list[float] = []
    now = time.perf_counter
    began = now()

    async def one(due: float) -> None:
        place, key = random.choice(keys)
        await pipeline_of.say(place, poll(key), 0)
        taken.append(now() - due)

    async with asyncio.TaskGroup() as polls:
        for number in range(int(seconds * POLLS_PER_S)):
            due = began + number / POLLS_PER_S
            if due > now():  # all that fell due in one turn of the loop begin together
                await asyncio.sleep(due - now())
            polls.create_task(one(due))
    return taken


def quantiles(times: Sequence[float]) -> tuple[str, str, str]:
    """p50, p99, the longest; milliseconds."""
    cuts = statistics.quantiles(times, n=100)
    return tuple(f"{1000 * figure:.1f}" for figure in (cuts[49], cuts[98], max(times)))  # type: ignore[return-value]


async def polls_while_every_centre_hangs(slice_s: float, slices: int) -> Table:
    table = Table(title=f"Every centre hangs, {CENTRES * EACH} settlements in flight; {POLLS_PER_S} polls a second")
    for column in ("after, s", "in flight", "polls", "p50, ms", "p99, ms", "max, ms", "RSS, MB", "descriptors"):
        table.add_column(column, justify="right")
    with centre() as url:
        async with house([url] * CENTRES) as one:
            await one.say(one.places[0], visit("warm"), 25)
            times = await polled(one, [(one.places[0], "warm")], slice_s)
            table.add_row(
                "none hangs", "0", str(len(times)), *quantiles(times), f"{memory_mb():.0f}", str(descriptors())
            )
            await rule(url, MONEY)
            keys = [(place, f"K{number}") for place in one.places for number in range(EACH)]
            await asyncio.gather(*(one.say(place, visit(key), 0) for place, key in keys))
            while len(await one.ledger.cases_in([State.SENDING])) < len(keys):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            began = time.perf_counter()
            for _ in track(range(slices), "every centre hangs"):
                times = await polled(one, keys, slice_s)
                states = Counter(str(case.state) for case in await one.ledger.cases_in(IN_FLIGHT))
                flying = " ".join(f"{count} {state}" for state, count in sorted(states.items()))
                after = f"{time.perf_counter() - began:.0f}"
                table.add_row(
                    after, flying, str(len(times)), *quantiles(times), f"{memory_mb():.0f}", str(descriptors())
                )
    return table


# -- the neighbour


async def settled_at(one: House, place: Place, name: str, seconds: float) -> list[float]:
    """Seconds of each settlement at a healthy centre, by tills that begin the next when one is done."""
    until = time.perf_counter() + seconds
    times: list[float] = []

    async def till(number: int) -> None:
        count = 0
        while time.perf_counter() < until:
            count += 1
            began = time.perf_counter()
            told = await one.say(place, visit(f"{name}-{number}-{count}"), 25)
            assert told == "SETTLED", told
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(till(number) for number in range(TILLS)))
    return times


async def insistent(one: House, place: Place, number: int) -> None:
    """A till at a centre that hangs: tries a visit, hears that it was not sent, tries again a second later."""
    count = 0
    while True:
        told = await one.say(place, visit(f"B-{number}-{count}"), 8)
        one.refused[told] += 1
        count += told == "PENDING"
        await asyncio.sleep(random.uniform(0.5, 1.5))


async def the_neighbours_settlements(seconds: float, rounds: int) -> Table:
    table = Table(title=f"A healthy centre, {TILLS} tills, while another hangs with {HANGING_TILLS} tills")
    for column in ("the other", "settlements", "p50, ms", "p99, ms", "max, ms", "p99 ratio"):
        table.add_column(column, justify="right")
    with centre() as healthy, centre() as hanging:
        async with house([healthy, hanging]) as one:
            here, there = one.places
            await settled_at(one, here, "warm", 2)
            alone, beside = [], []
            for number in track(range(rounds), "two centres"):
                alone += await settled_at(one, here, f"alone{number}", seconds)
                await rule(hanging, MONEY)
                tills = [asyncio.create_task(insistent(one, there, n)) for n in range(HANGING_TILLS)]
                await asyncio.sleep(2)  # eight of them are now on the wire with their money
                await rule(hanging, EVERYTHING)
                beside += await settled_at(one, here, f"beside{number}", seconds)
                for till in tills:
                    till.cancel()
                await asyncio.gather(*tills, return_exceptions=True)
            for what, times in (("idle", alone), ("hangs", beside)):
                ratio = statistics.quantiles(times, n=100)[98] / statistics.quantiles(alone, n=100)[98]
                table.add_row(what, str(len(times)), *quantiles(times), f"{ratio:.2f}")
            table.caption = "the other's tills heard: " + ", ".join(
                f"{n}x {told}" for told, n in one.refused.most_common()
            )
    return table


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slice", type=float, default=5, help="seconds of polls per row")
    parser.add_argument("--slices", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8, help="seconds of settlements per round and kind")
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    console = Console(width=120)
    console.print(await polls_while_every_centre_hangs(chosen.slice, chosen.slices))
    console.print(await the_neighbours_settlements(chosen.seconds, chosen.rounds))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
