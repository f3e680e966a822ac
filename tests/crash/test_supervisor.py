"""The parent and its worker, as real processes: each life of the worker plays what its number says."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter_core.supervisor import PIPE, Patience, supervise

if sys.platform == "win32":
    pytest.skip("the service manager is the parent there", allow_module_level=True)

QUICK = Patience(silence_s=0.7, pause_s=0.01, pause_max_s=0.02)
WORKER = """
import asyncio, os, signal, sys
from pathlib import Path
from adapter_core import supervisor

supervisor.BEAT_S = 0.05
diary = Path(sys.argv[1])

def note(word):
    with diary.open("a") as file:
        print(word, file=file)

async def live():
    lives = diary.read_text().count("born") if diary.exists() else 0
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda number=number: (note(number.name), told.set()))
    async with supervisor.heartbeat():
        await asyncio.sleep(0)
        note(f"born {os.getpid()}")
        {BODY}

sys.exit(asyncio.run(live()))
"""


def worker(tmp_path: Path, body: str) -> list[str]:
    return [sys.executable, "-c", WORKER.replace("{BODY}", body), str(tmp_path / "diary")]


def diary(tmp_path: Path) -> list[str]:
    return [line.split()[0] for line in (tmp_path / "diary").read_text().splitlines()]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def begun(tmp_path: Path, word: str) -> None:
    await until(lambda: (tmp_path / "diary").exists() and word in diary(tmp_path))


async def test_a_worker_that_ends_well_ends_its_parent(tmp_path: Path) -> None:
    assert await supervise(worker(tmp_path, "return 0"), QUICK) == 0
    assert diary(tmp_path) == ["born"]


async def test_a_code_that_means_it_is_not_answered_with_a_restart(tmp_path: Path) -> None:
    assert await supervise(worker(tmp_path, "return 6"), QUICK, final=(0, 6)) == 6
    assert diary(tmp_path) == ["born"]


@pytest.mark.parametrize(
    "death", ["raise ValueError", "os.kill(os.getpid(), signal.SIGKILL)", "return 5"], ids=["raised", "killed", "code"]
)
async def test_a_worker_that_dies_is_started_anew(tmp_path: Path, death: str) -> None:
    body = f"if lives == 2: return 0\n        {death}"
    assert await supervise(worker(tmp_path, body), QUICK) == 0
    assert diary(tmp_path) == ["born"] * 3


async def test_a_loop_that_stands_still_is_killed_and_one_that_works_long_is_not(tmp_path: Path) -> None:
    """The second life outlasts the patience twice over, beating."""
    body = "if lives == 1:\n            await asyncio.sleep(1.5)\n            return 0\n        while True: pass"
    assert await supervise(worker(tmp_path, body), QUICK) == 0
    assert diary(tmp_path) == ["born"] * 2


async def test_a_slow_start_is_not_silence(tmp_path: Path) -> None:
    """A large ledger is checked before the first beat."""
    command = worker(tmp_path, "return 0")
    command[2] = "import time; time.sleep(1.5)\n" + command[2]
    assert await supervise(command, QUICK) == 0
    assert diary(tmp_path) == ["born"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_is_passed_on_and_the_worker_drains(tmp_path: Path, number: signal.Signals) -> None:
    """Longer than the patience: draining beats."""
    body = "await told.wait()\n        await asyncio.sleep(1.5)\n        note('drained')\n        return 6"
    parent = asyncio.create_task(supervise(worker(tmp_path, body), QUICK))
    await begun(tmp_path, "born")
    os.kill(os.getpid(), number)
    assert await parent == 6
    assert diary(tmp_path) == ["born", number.name, "drained"]


async def test_a_worker_that_hangs_when_told_to_stop_is_killed_and_stays_dead(tmp_path: Path) -> None:
    body = "await told.wait()\n        while True: pass"
    parent = asyncio.create_task(supervise(worker(tmp_path, body), QUICK))
    await begun(tmp_path, "born")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await parent == -signal.SIGKILL
    assert diary(tmp_path) == ["born", "SIGTERM"]


async def test_a_signal_in_the_pause_ends_it(tmp_path: Path) -> None:
    patience = Patience(silence_s=0.7, pause_s=600, pause_max_s=600)
    parent = asyncio.create_task(supervise(worker(tmp_path, "os._exit(1)"), patience))
    await begun(tmp_path, "born")
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        assert await parent != 0


async def test_the_pauses_grow(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    patience = Patience(pause_s=0.01, pause_max_s=600)
    assert await supervise(worker(tmp_path, "return 0 if lives == 4 else 1"), patience) == 0
    assert [record.args for record in caplog.records] == [(1, 0.01), (1, 0.02), (1, 0.04), (1, 0.08)]


async def test_a_worker_whose_parent_is_gone_stops_by_itself(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *worker(tmp_path, "await told.wait()\n        return 0"),
        pass_fds=(theirs,),
        env={**os.environ, PIPE: str(theirs)},
    )
    os.close(theirs)
    await begun(tmp_path, "born")
    os.close(ours)
    async with asyncio.timeout(20):
        assert await process.wait() == 0
    assert diary(tmp_path) == ["born", "SIGTERM"]
