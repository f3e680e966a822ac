"""Faults put into the core on purpose must be caught: the proof that the simulation has teeth (`simulation.md` §8).

Those that usually live for hundreds of days wait for the nightly run: SIMTEST_MUTANTS=full.
"""

from __future__ import annotations

import os

import pytest

from adapter_core.testing.simtest.case import run_case
from adapter_core.testing.simtest.mutants import MUTANTS, Mutant, alive, hunt
from adapter_core.testing.simtest.plan import plan_of
from adapter_core.testing.simtest.shrinking import shrink

QUICK = 150
FULL = os.environ.get("SIMTEST_MUTANTS") == "full"
SLOW = "takes more days than a test run has"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_dies(mutant: Mutant) -> None:
    if mutant.usual > QUICK and not FULL:
        pytest.skip(SLOW)
    days, result = hunt(mutant)
    assert result is not None, f"{mutant.name} lived through {days} days"
    assert result.violation is not None
    assert result.violation.invariant in mutant.dies_by, f"after {days} days by {result.violation}"


def test_the_core_is_whole_again_after_a_mutant() -> None:
    mutant = next(one for one in MUTANTS if one.name == "timeout = NOT_SENT")
    days, result = hunt(mutant)
    assert result is not None
    with alive(mutant):
        assert run_case(days).violation is not None
    assert run_case(days).violation is None


def test_shrinking_leaves_the_faults_that_matter() -> None:
    mutant = next(one for one in MUTANTS if one.name == "timeout = NOT_SENT")
    with alive(mutant):
        failed = next(
            result
            for seed in range(1, 400)
            if len((result := run_case(seed)).fired) >= 4 and result.violation and result.violation.invariant == "I2"
        )
        best, runs = shrink(plan_of(failed.seed), failed)
    assert best.violation is not None
    assert best.violation.invariant == "I2"
    assert 1 <= len(best.fired) < len(failed.fired)
    assert runs > 1
