"""kill -9 at every journal step of a settlement and of a refund, then start: never two settlements at the centre, no refund
twice, and what was told is told again.

The points are not listed here: a life that nobody kills writes down every point it passes, and each of them then gets a hospital
of its own, whose adapter dies there.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapter_core.ledger.sealing import create_master_key

from .hospital import Hospital, SimulatedCentre, Told
from .nursery import Nursery

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL, fork")

AT_ONCE = 6
"""Lives side by side: those that wait out a quiet period cost nothing."""
UNSENT = ("after INTENT {0}", "gate {0}")
"""Dead with the intent journalled and no byte gone: only the centre's word, later, says that nothing happened."""


@dataclass
class Town:
    """Makes hospitals, and looks over all of them at the end."""

    folder: Path
    centre: SimulatedCentre
    nursery: Nursery
    master_key: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def hospital(self) -> Hospital:
        made = Hospital(next(self.numbers), self.folder, self.centre, self.nursery, self.master_key)
        await made.open()
        return made

    async def each(self, points: list[str], story: Callable[[Hospital, str], Awaitable[None]]) -> list[Hospital]:
        """The story at each point, each in a hospital of its own.  Fails with every point that failed."""
        room = asyncio.Semaphore(AT_ONCE)
        hospitals = [await self.hospital() for _ in points]

        async def play(hospital: Hospital, point: str) -> None:
            async with room:
                await story(hospital, point)

        # last points first: behind them are the quiet periods
        order = list(zip(hospitals, points, strict=True))[::-1]
        ended = await asyncio.gather(*(play(*one) for one in order), return_exceptions=True)
        failures = [f"{point}: {one}" for (_, point), one in zip(order, ended, strict=True) if one is not None]
        assert not failures, "\n".join(failures)
        await self.assert_all_agree(dict(zip(points, hospitals, strict=True)))
        return hospitals

    async def assert_all_agree(self, hospitals: dict[str, Hospital]) -> None:
        truth, wire = await self.centre.control("truth"), await self.centre.control("wire")
        failures = []
        for point, hospital in hospitals.items():
            try:
                hospital.assert_agrees(await hospital.cases(), truth, wire)
            except AssertionError as error:
                failures.append(f"{point}: {error}")
        assert not failures, "\n".join(failures)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    create_master_key(folder / "master.key")
    with SimulatedCentre() as centre, Nursery() as nursery:
        yield Town(folder, centre, nursery, folder / "master.key")


def state(answer: bytes) -> Any:
    return json.loads(answer)["state"]


def points_of(told: Told, after: str = "") -> list[str]:
    """The points a life passed, up to its last answer; only those behind ``after``."""
    last = max(at for at, point in enumerate(told.passed) if point.startswith("told "))
    first = told.passed.index(after) + 1 if after else 0
    return told.passed[first : last + 1]


async def test_a_settlement_killed_at_every_point(town: Town) -> None:
    points = points_of(await (await town.hospital()).live("settle"))
    print(points)

    async def story(hospital: Hospital, point: str) -> None:
        killed = await hospital.live("settle", dies_at=point)
        answer = await hospital.resumed("settle")
        unsent = point in [one.format("2207") for one in UNSENT]
        assert state(answer) == ("NOT_APPLIED" if unsent else "SETTLED")
        assert killed.answers in ([], [answer])

    await town.each(points, story)
