"""From a failing day to the few faults that matter."""

from __future__ import annotations

from collections.abc import Callable

from adapter_core.testing.simtest.case import Result, run_plan
from adapter_core.testing.simtest.faults import Address
from adapter_core.testing.simtest.plan import Plan

RUNS_MAX = 200


def shrink(plan: Plan, failed: Result, run: Callable[..., Result] = run_plan) -> tuple[Result, int]:
    """The last failing result with the fewest faults found, and the runs it took.

    Faults go by halves, then by quarters … then one by one, as long as the same invariant breaks.
    """
    assert failed.violation is not None
    invariant = failed.violation.invariant
    best, runs = failed, 0
    size = max(1, len(best.fired) // 2)
    while runs < RUNS_MAX:
        smaller = None
        for start in range(0, len(best.fired), size):
            kept = best.fired[:start] + best.fired[start + size :]
            runs += 1
            tried = run(plan, frozenset(kept))
            if tried.violation is not None and tried.violation.invariant == invariant:
                smaller = tried
                break
        if smaller is not None:
            best = smaller
        elif size == 1:
            break
        size = min(size, max(1, len(best.fired) // 2)) if smaller is not None else max(1, size // 2)
        if not best.fired:
            break
    return best, runs


def fault_list(fired: tuple[Address, ...]) -> list[list[str | int]]:
    """As a regression file keeps it."""
    return [[point, number] for point, number in fired]
