"""kill -9 while changes are being committed: whatever was acknowledged is there afterwards, and the chain holds."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapter_core.ledger.sealing import MasterKey
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.records import CallRecord, Change
from adapter_core.settlement.states import State
from tests.clocks import HandClock

ORG = "H36010000001"
MASTER = MasterKey(bytes(range(32)))
KILLS = 4

WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from adapter_core.ledger.sealing import MasterKey
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.records import CallRecord, Case, Change, Event
from adapter_core.settlement.states import State

ORG = "H36010000001"

class Clock:
    def mono(self): return 0.0
    def wall(self): return datetime.now(UTC)

async def settle(ledger, run, lane):
    n = 0
    while True:
        number = ledger.sequence(ORG)
        name = f"{run}-{lane}-{n}"
        case = Case(name, ORG, "settle", name, name, "e", "b", "outpatient", "d", State.SENDING, "", version=1, told={"n": name})
        call = CallRecord(f"k-{name}", ORG, f"M{number}", "settle", "2207", "N", case_id=name, version=1)
        event = Event("INTENT", "2026-11-21T00:00:00Z", case_id=name, raw=name.encode() * 50)
        seq = await ledger.commit(Change(ORG, events=(event,), cases=(case,), calls=(call,)))
        sys.stdout.write(f"{seq} {name} {number}\\n")
        sys.stdout.flush()
        n += 1

async def main():
    path, run = Path(sys.argv[1]), sys.argv[2]
    ledger = SqliteLedger.open(path, MasterKey(bytes(range(32))), environment="test", clock=Clock(), ballast_bytes=0, free_bytes_min=0)
    await asyncio.gather(*(settle(ledger, run, lane) for lane in range(8)))

asyncio.run(main())
"""


def open_ledger(path: Path) -> SqliteLedger:
    """Checks the file and the whole chain."""
    return SqliteLedger.open(path, MASTER, environment="test", clock=HandClock(), ballast_bytes=0, free_bytes_min=0)


def killed_after(path: Path, run: int, acknowledgements: int) -> list[tuple[int, str, int]]:
    """What a writer acknowledged until it was killed, some time after that many acknowledgements."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(run)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledgements)]
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
        assert writer.wait() == -signal.SIGKILL
    told = [line.split() for line in lines if line.endswith("\n")]
    return [(int(seq), name, int(number)) for seq, name, number in told]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
async def test_what_was_acknowledged_survives_kill_nine(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    chance = random.Random()
    acknowledged: list[tuple[int, str, int]] = []
    for run in range(KILLS):
        acknowledged += killed_after(path, run, chance.randrange(1, 400))
        with open_ledger(path) as ledger:
            stored = {case.case_id for case in await ledger.cases_in([State.SENDING])}
            assert {name for _, name, _ in acknowledged} <= stored
            for _, name, number in acknowledged[-20:]:
                assert [event.raw for event in await ledger.events_of_case(name)] == [name.encode() * 50]
                assert [call.msgid for call in await ledger.calls_of_case(name)] == [f"M{number}"]
            # Every stored case has its event and its call: no change was cut in two.
            last = await ledger.commit(Change(ORG))
            assert last == len(stored) >= max(seq for seq, _, _ in acknowledged)
            assert all([len(await ledger.calls_of_case(name)) == 1 for name in stored])
            assert ledger.sequence(ORG) > max(number for _, _, number in acknowledged)
    numbers = [number for _, _, number in acknowledged]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
async def test_a_writer_killed_while_making_the_ledger_leaves_nothing_half_made(tmp_path: Path) -> None:
    """Killed at each statement of the making in turn, through SQLite's own trace."""
    script = (
        "import os, signal, sqlite3, sys; from pathlib import Path\n"
        "from adapter_core.ledger import sqlite_file; from adapter_core.ledger.sealing import MasterKey\n"
        "connection = sqlite_file.connect_writer(Path(sys.argv[1])); left = int(sys.argv[2])\n"
        "def count(_):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "connection.set_trace_callback(count)\n"
        "sqlite_file.create(connection, 'test', MasterKey(bytes(range(32))))\n"
    )
    for statement in (2, 20, 23):
        path = tmp_path / f"{statement}.db"
        done = subprocess.run([sys.executable, "-c", script, str(path), str(statement)], check=False)
        assert done.returncode == -signal.SIGKILL
        with open_ledger(path) as ledger:
            call = CallRecord("k1", ORG, "M1", "settle", "2207", "N", version=1)
            assert await ledger.commit(Change(ORG, calls=(call,))) == 0
