"""The settlement core on virtual time: every invariant over a slice of hostile days, and the simulation's own promises."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import adapter_core.settlement
from adapter_core.testing.simtest.case import run_case, run_plan
from adapter_core.testing.simtest.centre import Answer, Asked, Centre
from adapter_core.testing.simtest.coverage import missing
from adapter_core.testing.simtest.faults import Faults, mix
from adapter_core.testing.simtest.plan import plan_data, plan_from, plan_of
from adapter_core.testing.simtest.run import Tally, run_many

SLICE = 2400
TRACED_SEEDS = 150
REGRESSION_DAYS = Path(__file__).parent / "regressions"
REGRESSIONS = sorted(REGRESSION_DAYS.glob("*.json"))
HASHES = """
import hashlib, sys
from adapter_core.testing.simtest.case import run_case
for seed in range(int(sys.argv[1])):
    trace = "\\n".join(run_case(seed, traced=True).trace)
    print(seed, hashlib.sha256(trace.encode()).hexdigest())
"""


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_broke_once_holds(path: Path) -> None:
    known = json.loads(path.read_text("utf-8"))
    only = frozenset((point, number) for point, number in known["faults"])
    result = run_plan(plan_from(known["plan"]), only)
    assert result.violation is None, result.violation


@pytest.fixture(scope="module")
def slice_of_days() -> Tally:
    """As many days as fit a test run, over two processes."""
    tally = Tally()
    for batch in run_many(1, SLICE, workers=2):
        tally.join(batch)
    return tally


def test_every_invariant_holds(slice_of_days: Tally) -> None:
    failures = [f"seed {one.seed}: {one.invariant}: {one.text}" for one in slice_of_days.failures]
    assert not failures, f"his-adapter simtest --seed N --shrink shows more: {failures[:5]}"


def test_everything_listed_happened(slice_of_days: Tally) -> None:
    assert slice_of_days.cases == SLICE
    assert missing(slice_of_days.counts, SLICE) == []


def test_the_same_seed_is_the_same_day_under_every_hash_seed() -> None:
    """Full traces of 150 days, from two processes that order their sets and dicts of texts otherwise."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", HASHES, str(TRACED_SEEDS)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "77")
    ]
    one, other = (process.communicate()[0].splitlines() for process in running)
    assert [process.returncode for process in running] == [0, 0]
    assert len(one) == TRACED_SEEDS
    assert [line for line in one if line not in other] == []


def test_a_dropped_fault_leaves_every_other_draw() -> None:
    rates = {"net.": 0.5}
    whole = Faults(5, rates)
    hits = [("net.a" if turn % 3 else "net.b") for turn in range(60)]
    for point in hits:
        whole.hit(point)
    kept = frozenset(whole.fired[1:])
    replayed = Faults(5, rates, kept)
    for point in hits:
        replayed.hit(point)
    assert frozenset(replayed.fired) == kept
    assert mix(5, 1, 1) == mix(5, 1, 1) != mix(5, 1, 2)


def test_a_plan_survives_its_file() -> None:
    for seed in range(20):
        plan = plan_of(seed)
        assert plan_from(json.loads(json.dumps(plan_data(plan)))) == plan


def test_a_late_confirm_that_revives_a_refunded_settlement_breaks_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Papers may follow a refund while a repeated confirm is late, because it commits nothing: the checker doesn't take that on trust."""
    confirm = Centre._confirm

    def revives(centre: Centre, asked: Asked) -> Answer:
        found = centre._named(asked)
        if found is not None and found.state == "refunded":
            found.state = "prepared"
        return confirm(centre, asked)

    monkeypatch.setattr(Centre, "_confirm", revives)
    known = json.loads(
        (REGRESSION_DAYS / "papers_after_a_refund_while_a_repeated_confirm_is_late.json").read_text("utf-8")
    )
    result = run_plan(plan_from(known["plan"]), frozenset((point, number) for point, number in known["faults"]))
    assert result.violation is not None
    assert result.violation.invariant == "I12"
    assert "takes effect while papers" in result.violation.text


def test_replaying_the_fired_faults_is_the_same_day() -> None:
    first = next(result for seed in range(50) if len((result := run_case(seed, traced=True)).fired) > 3)
    again = run_case(first.seed, frozenset(first.fired), traced=True)
    assert again.trace == first.trace


# -- what the core must not use, or the simulation would not be the core

FORBIDDEN_MODULES = frozenset({"time", "random", "secrets", "uuid", "threading", "socket", "os", "concurrent", "gc"})
FORBIDDEN_CALL = re.compile(
    r"\b(datetime\.(now|today|utcnow)|date\.today|to_thread|run_in_executor|as_completed)$|^(id|hash)$"
)


def settlement_sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(Path(adapter_core.settlement.__path__[0]).glob("*.py")):
        yield path.name, ast.parse(path.read_text("utf-8"))


def breaches() -> Iterator[str]:
    for name, tree in settlement_sources():
        for node in ast.walk(tree):
            where = f"{name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
                yield from (f"{where} imports {one}" for one in modules if one.split(".")[0] in FORBIDDEN_MODULES)
            elif isinstance(node, ast.ExceptHandler):
                caught = "BaseException" if node.type is None else ast.unparse(node.type)
                if "BaseException" in caught:
                    yield f"{where} catches everything"
            elif isinstance(node, ast.Call) and FORBIDDEN_CALL.search(ast.unparse(node.func)):
                yield f"{where} calls {ast.unparse(node.func)}"
            elif isinstance(node, ast.Call) and re.search(r"suppress\((Base)?Exception\b", ast.unparse(node)):
                yield f"{where} suppresses everything"
            elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
                over = node.iter
                if isinstance(over, ast.Set | ast.SetComp) or (
                    isinstance(over, ast.Call) and ast.unparse(over.func) in ("set", "frozenset")
                ):
                    yield f"{where} iterates a set"
            elif isinstance(node, ast.FunctionDef) and node.name == "__del__":
                yield f"{where} has a finaliser"


def test_the_core_asks_the_world_for_nothing_but_through_its_ports() -> None:
    assert list(breaches()) == []
