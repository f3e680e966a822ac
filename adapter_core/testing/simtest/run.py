"""``his-adapter simtest``: many days over all processors, what they covered, and the first thing that broke."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from adapter_core.testing.simtest import shrinking
from adapter_core.testing.simtest.case import Result, run_case, run_plan
from adapter_core.testing.simtest.coverage import missing, told_groups
from adapter_core.testing.simtest.faults import Address
from adapter_core.testing.simtest.plan import plan_data, plan_of
from adapter_core.testing.simtest.shrinking import fault_list

CASES = 3000
BATCH = 50
FAILURES_SHOWN = 10
TRACE_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Failure:
    """One day that broke an invariant."""

    seed: int
    invariant: str
    text: str
    at: float
    weather: str
    fired: tuple[Address, ...]


@dataclass(slots=True)
class Tally:
    """What a range of seeds came to."""

    cases: int = 0
    steps: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.cases += 1
        self.steps += result.steps
        self.counts.update(result.counts)
        broken = result.violation
        if broken is not None:
            row = Failure(result.seed, broken.invariant, broken.text, broken.at, result.weather, result.fired)
            self.failures.append(row)

    def join(self, other: Tally) -> None:
        self.cases += other.cases
        self.steps += other.steps
        self.counts.update(other.counts)
        self.failures.extend(other.failures)


def run_range(first: int, count: int) -> Tally:
    """Seeds ``first`` … ``first + count - 1`` in this process."""
    tally = Tally()
    for seed in range(first, first + count):
        tally.add(run_case(seed))
        if tally.cases % 100 == 0:
            gc.collect()
    gc.collect()
    return tally


def run_many(first: int, count: int, workers: int) -> Iterator[Tally]:
    """The same over several processes; one tally per batch as it is done.  Order does not matter: seeds share nothing."""
    batches = [(at, min(BATCH, first + count - at)) for at in range(first, first + count, BATCH)]
    if workers <= 1:
        for batch in batches:
            yield run_range(*batch)
        return
    with ProcessPoolExecutor(workers) as pool:
        waiting: set[Future[Tally]] = {pool.submit(run_range, *batch) for batch in batches}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for one in done:
                yield one.result()


def main(
    seed: int = 1,
    cases: int | None = None,
    shrink: bool = False,
    as_json: bool = False,
    workers: int | None = None,
) -> int:
    """Runs ``cases`` days from ``seed`` on.  Exit code 0: every invariant held and everything listed was covered; else 1.

    cases: 3000 when not given, one when ``shrink`` asks for one seed's faults.
    """
    count = cases if cases is not None else (1 if shrink else CASES)
    console = Console(stderr=as_json, highlight=False)
    tally = _run_shown(seed, count, workers or os.cpu_count() or 1, console)
    tally.failures.sort(key=lambda one: one.seed)
    uncovered = missing(tally.counts, tally.cases)
    if as_json:
        json.dump(_report(tally, uncovered), sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
    else:
        _print_report(tally, uncovered, console)
    if tally.failures and shrink:
        _print_shrunk(tally.failures[0].seed, console)
    return 1 if tally.failures or uncovered else 0


def _run_shown(first: int, count: int, workers: int, console: Console) -> Tally:
    tally = Tally()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("simulated days", total=count)
        for batch in run_many(first, count, min(workers, -(-count // BATCH))):
            tally.join(batch)
            failed = f", {len(tally.failures)} broken" if tally.failures else ""
            progress.update(bar, advance=batch.cases, description=f"simulated days{failed}")
    return tally


def _report(tally: Tally, uncovered: Sequence[str]) -> dict[str, object]:
    return {
        "cases": tally.cases,
        "steps": tally.steps,
        "failures": [
            {
                "seed": one.seed,
                "invariant": one.invariant,
                "text": one.text,
                "at_s": round(one.at, 3),
                "weather": one.weather,
                "faults": fault_list(one.fired),
            }
            for one in tally.failures
        ],
        "uncovered": list(uncovered),
        "counters": dict(sorted(tally.counts.items())),
    }


def _print_report(tally: Tally, uncovered: Sequence[str], console: Console) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for title, rows in told_groups(tally.counts):
        table.add_row(title, "  ".join(f"{name} {count}" for name, count in rows), style=None)
    console.print(table)
    steps = tally.steps / max(1, tally.cases)
    console.print(f"{tally.cases} days, {steps:.0f} steps a day, {len(tally.failures)} broken")
    for one in tally.failures[:FAILURES_SHOWN]:
        console.print(f"seed {one.seed}: {one.invariant} at {one.at:.1f} s ({one.weather}): {one.text}", markup=False)
        console.print(f"  faults: {_in_a_row(one.fired)}", markup=False)
    for name in uncovered:
        console.print(f"never happened: {name}", markup=False)


def _print_shrunk(seed: int, console: Console) -> None:
    plan = plan_of(seed)
    best, runs = shrinking.shrink(plan, run_plan(plan))
    assert best.violation is not None
    traced = run_plan(plan, frozenset(best.fired), traced=True)
    console.print(f"\nseed {seed}: {len(best.fired)} faults are enough ({runs} runs); the last lines of its trace:")
    for line in traced.trace[-TRACE_SHOWN:]:
        console.print(line, markup=False, soft_wrap=True)
    regression = {
        "invariant": best.violation.invariant,
        "text": best.violation.text,
        "faults": fault_list(best.fired),
        "plan": plan_data(plan),
    }
    console.print("as a regression file:")
    console.print(json.dumps(regression, ensure_ascii=False, default=str), markup=False, soft_wrap=True)


def _in_a_row(fired: tuple[Address, ...]) -> str:
    return ", ".join(f"{point} #{number}" for point, number in fired) or "none"
