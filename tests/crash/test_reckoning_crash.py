"""kill -9 of a real process at every commit of a day's reconciliation, then three whole runs: one record for each difference.

The points are not listed here: a run that nobody kills writes down every point it passes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import signal
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import adapter
from adapter_core.config import load_config
from adapter_core.ledger.inspection import verify
from adapter_core.ledger.sealing import create_master_key, read_master_key
from adapter_core.simulator.server import Simulator
from adapter_core.values.moments import national_date
from tests.flow.hospital import Hospital as Played
from tests.flow.hospital import config_text, line, message

from .nursery import Nursery
from .reckoning import Reckoning

AT_ONCE = 4
EXPECTED = {"ours_only": 1, "total_differs": 1, "foreign_same_visit": 1, "found_reversing": 1}
SENDING_MONEY = frozenset({"2207", "2208", "2601"})


async def play_day(centre: Simulator, folder: Path) -> None:
    """Four settlements, of which one was reversed by somebody else, one has another total at the centre, and of one the reply was
    lost and the reversal too; another terminal settled one visit a second time."""
    create_master_key(folder / "master.key")
    (folder / "his-adapter.toml").write_text(config_text(centre.url, "by_setl_id_only"), "utf-8")
    async with adapter(load_config(folder / "his-adapter.toml")) as running:
        hospital = Played(centre, running, folder)
        hospital.awaits_files(True)
        hospital.can(reverse_ok="nothing", late_commit_s=600.0)
        for number in (1, 2, 3):
            visit = {"settle_key": f"K{number}", "visit_key": f"V{number}", "encounter_key": f"E{number}"}
            told = await hospital.say(message(**visit, fees=[line(f"F{number}", "186.50")]))
            assert told.state == "SETTLED"
        first, second, third = centre.world.settlements.values()
        hospital.rules(
            [{"infno": "2207", "nth": 1, "actions": ["commit", "drop"]}, {"infno": "2601", "actions": ["drop"]}]
        )
        assert (
            await hospital.say(message("settle", "K4", "V4", fees=[line("F4", "186.50")]), wait_s=0)
        ).state == "PENDING"
        await hospital.arrival("2601")
    centre.world.reverse(first)
    second.split = replace(second.split, bill=replace(second.split.bill, medfee_sumamt=Decimal("186.00")))
    fields = {name: getattr(third, name) for name in third.__slots__}
    centre.world.settle(type(third)(**{**fields, "setl_id": "J9", "msgid": "OTHER1", "lines": ()}))


def records(folder: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True) as reader:
        found = reader.execute(
            "SELECT item_id, subject, state FROM account_items WHERE topic = 'difference' ORDER BY item_id"
        ).fetchall()
        states = reader.execute("SELECT key, state FROM cases ORDER BY key").fetchall()
    reader.close()
    return [*found, *states]


def diary_of(folder: Path) -> list[list[Any]]:
    return [json.loads(text) for text in (folder / "diary").read_text("ascii").splitlines()]


async def test_killed_at_every_commit_then_run_three_times_each_difference_has_one_record(tmp_path: Path) -> None:
    day = national_date(datetime.now(UTC))
    numbers = itertools.count(1)
    async with Simulator() as centre:
        made = tmp_path / "made"
        made.mkdir()
        await play_day(centre, made)
        money = [entry.infno for entry in centre.entries if entry.infno in SENDING_MONEY]
        with Nursery() as nursery:

            async def live(folder: Path, times: int = 1, dies_at: str = "") -> int:
                return await nursery.live(Reckoning(str(folder), str(folder / "diary"), day, times, dies_at))

            def copied() -> Path:
                folder = tmp_path / str(next(numbers))
                shutil.copytree(made, folder)
                return folder

            whole = copied()
            assert await live(whole) == 0, diary_of(whole)
            wanted = records(whole)
            assert Counter(subject for _, subject, *state in wanted if state) == EXPECTED
            points = [
                point for kind, point in diary_of(whole) if kind == "passed" and point.split()[0] in ("before", "after")
            ]
            assert len(points) > 20

            async def story(point: str, room: asyncio.Semaphore) -> str:
                async with room:
                    folder = copied()
                    if await live(folder, dies_at=point) != -signal.SIGKILL:
                        return f"{point}: not killed"
                    if await live(folder, times=3) != 0:
                        return f"{point}: {diary_of(folder)[-1]}"
                    whole = verify(folder / "ledger.db", read_master_key(folder / "master.key")).is_whole
                    return "" if whole and records(folder) == wanted else f"{point}: {records(folder)}"

            room = asyncio.Semaphore(AT_ONCE)
            failures = [one for one in await asyncio.gather(*(story(point, room) for point in points)) if one]
        assert not failures, failures
        assert [entry.infno for entry in centre.entries if entry.infno in SENDING_MONEY] == money, "money was moved"
