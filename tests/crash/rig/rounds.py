"""Rounds of seasons: as many hospitals side by side as the machine bears, until enough were killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from adapter_core.ledger.sealing import create_master_key
from tests.contract.postgres_server import TestServer

from ..care import NATIONAL, TWO_PHASE, Care
from ..nursery import Nursery
from .audit import Findings
from .season import Season
from .troubles import Database, as_url, disk_trouble, small_disk

SIDE_BY_SIDE = {"sqlite": 4, "postgresql": 2}
KILLS_OF_A_SEASON = 20
KILLS_WITH_A_FULL_DISK = 12


async def play(
    folder: Path,
    kills: int,
    seed: int,
    server: TestServer | None,
    killed: Callable[[], None] = lambda: None,
    cares: Sequence[Care] = (),
) -> Findings:
    """So many SIGKILLs, on SQLite or, where a server is given, on PostgreSQL.  seed: what, whom, where and when.

    cares: the kinds of care; none given: every third season is one of two-phase trades, the others mix all national kinds.
    """
    folder.mkdir(parents=True)
    master_key = folder / "master.key"
    create_master_key(master_key)
    found = Findings()
    with Nursery() as nursery:

        def season(number: int, its_kills: int, ledger: str = "") -> Season:
            chance = random.Random(f"{seed}/{number}")
            mixed = cares or ((TWO_PHASE,) if number % 3 == 0 else NATIONAL)
            return Season(number, folder / f"{number}", nursery, master_key, chance, its_kills, killed, ledger, mixed)

        if server is not None:
            await _on_postgresql(season, server, seed, kills, found)
        else:
            await _on_sqlite(season, folder, kills, found)
    return found


MakeSeason = Callable[..., Season]


def _left(kills: int, found: Findings) -> int:
    """How many are still to be killed; none once a season came to no end: that is the finding, and more would take hours."""
    return 0 if found.faults["never decided"] else kills - found.counts["SIGKILL"]


async def _on_sqlite(season: MakeSeason, folder: Path, kills: int, found: Findings) -> None:
    number = 0
    if kills >= 2 * KILLS_WITH_A_FULL_DISK:
        number += 1
        with small_disk(folder / f"{number}") as why_not:
            if why_not:
                found.counts[f"disk full: skipped, {why_not}"] = 1
            else:
                hurt = season(number, KILLS_WITH_A_FULL_DISK)
                hurt.small_disk = True
                found.add(await hurt.run(disk_trouble))
    while (left := _left(kills, found)) > 0:
        side_by_side = min(SIDE_BY_SIDE["sqlite"], -(-left // KILLS_OF_A_SEASON))
        seasons = [
            season(number + n, min(KILLS_OF_A_SEASON, -(-left // side_by_side))) for n in range(1, side_by_side + 1)
        ]
        number += side_by_side
        for findings in await asyncio.gather(*(one.run() for one in seasons)):
            found.add(findings)


async def _on_postgresql(season: MakeSeason, server: TestServer, seed: int, kills: int, found: Findings) -> None:
    number = 0
    while (left := _left(kills, found)) > 0:
        side_by_side = min(SIDE_BY_SIDE["postgresql"], -(-left // KILLS_OF_A_SEASON))
        database = Database(server, random.Random(f"{seed}/database/{number}"))
        its_kills = min(2 * KILLS_OF_A_SEASON, -(-left // side_by_side))
        for n in range(1, side_by_side + 1):
            database.add(season(number + n, its_kills, as_url(server.new_database())))
        number += side_by_side
        for findings in await asyncio.gather(*(one.run(database.trouble) for one in database.seasons)):
            found.add(findings)
