"""A process that reconciles a day, on a ledger and a wire that can kill it at a named point (`mortal`)."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass
from pathlib import Path

from adapter_core.bootstrap.offices import reconciling_of
from adapter_core.config import load_config

from .mortal import Diary, mortal_adapter


@dataclass(frozen=True, slots=True)
class Reckoning:
    """folder: holds the configuration and the ledger; diary: where passed points are written; times: runs, one after the other;
    dies_at: the point of the end, "" for a process that ends by itself."""

    folder: str
    diary: str
    day: str
    times: int = 1
    dies_at: str = ""


async def _reckon(asked: Reckoning, diary: Diary) -> None:
    async with mortal_adapter(load_config(Path(asked.folder) / "his-adapter.toml"), diary) as running:
        for _ in range(asked.times):
            report = await reconciling_of(running, running.place).run(asked.day)
            diary.note("found", dict(report.found))


def reckon(asked: Reckoning) -> int:
    """The exit status of a process that ended by itself."""
    diary = Diary(asked.diary, asked.dies_at)
    try:
        asyncio.run(_reckon(asked, diary))
    except BaseException:
        diary.note("error", traceback.format_exc())
        return 1
    return 0
