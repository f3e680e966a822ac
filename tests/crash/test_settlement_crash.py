"""kill -9 at every journal step of a settlement and of a refund, then start: never two settlements at the centre, no refund
twice, and what was told is told again.

The points are not listed here: a life that nobody kills writes down every point it passes, and each of them then gets a hospital
of its own, whose adapter dies there.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapter_core.ledger.sealing import create_master_key

from .care import OUTPATIENT, Care
from .hospital import Hospital, SimulatedCentre, Told
from .nursery import Nursery

AT_ONCE = 8
"""Lives side by side: those that wait out a quiet period cost nothing."""
SETTLE = (("settle",), "2207", "SETTLED")
VOID = (("settle", "void"), "2208", "VOIDED")
"""Messages played; the money transaction of the last one; its state where the centre has taken it."""

Story = Callable[[Hospital, str], Awaitable[None]]


@dataclass
class Town:
    """Makes hospitals, and looks over all of them at the end."""

    folder: Path
    centre: SimulatedCentre
    nursery: Nursery
    master_key: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def hospital(self, infno: str = "", actions: Sequence[str] = (), care: Care = OUTPATIENT) -> Hospital:
        """actions: what the centre does with this patient's messages of that number."""
        made = Hospital(next(self.numbers), self.folder, self.centre, self.nursery, self.master_key, care)
        await made.open()
        if actions:
            await self.centre.for_patient(made.psn_no, infno, actions)
        return made

    async def each(
        self,
        points: list[str],
        story: Story,
        infno: str = "",
        actions: Sequence[str] = (),
        care: Care = OUTPATIENT,
    ) -> None:
        """The story at each point, each in a hospital of its own.  Fails with every point that failed."""
        room = asyncio.Semaphore(AT_ONCE)
        hospitals = [await self.hospital(infno, actions, care) for _ in points]

        async def play(hospital: Hospital, point: str) -> None:
            async with room:
                await story(hospital, point)

        # last points first: behind them are the quiet periods
        order = list(zip(hospitals, points, strict=True))[::-1]
        ended = await asyncio.gather(*(play(*one) for one in order), return_exceptions=True)
        failures = [f"{point}: {one}" for (_, point), one in zip(order, ended, strict=True) if one is not None]
        assert not failures, "\n".join(failures)
        await self.assert_all_agree(dict(zip(points, hospitals, strict=True)))

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


def first_times(points: list[str]) -> list[str]:
    """How often a query is repeated is nobody's promise, that it is made is."""
    return [point for point in points if "#" not in point]


def ends(point: str, number: str, applied: str) -> str:
    """Dead with the intent journalled and no byte gone: only the centre's word, later, says that nothing happened."""
    intended = point.startswith("after ") and point.endswith(
        f"INTENT {number}"
    )  # with or without what else was committed then
    return "NOT_APPLIED" if intended or point == f"gate {number}" else applied


async def test_a_settlement_killed_at_every_point(town: Town) -> None:
    points = points_of(await (await town.hospital()).live("settle"))

    async def story(hospital: Hospital, point: str) -> None:
        killed = await hospital.live("settle", dies_at=point)
        answer = await hospital.resumed("settle")
        assert state(answer) == ends(point, "2207", "SETTLED")
        assert killed.answers in ([], [answer])

    await town.each(points, story)


async def test_a_refund_killed_at_every_point(town: Town) -> None:
    points = points_of(await (await town.hospital()).live("settle", "void"), after="told 1")

    async def story(hospital: Hospital, point: str) -> None:
        killed = await hospital.live("settle", "void", dies_at=point)
        answer = await hospital.resumed("void")
        assert state(answer) == ends(point, "2208", "VOIDED")
        assert killed.answers[1:] in ([], [answer])
        settled = (await hospital.live("settle")).answers
        assert settled == killed.answers[:1] if state(answer) == "NOT_APPLIED" else state(settled[0]) == "VOIDED"

    await town.each(points, story)


@pytest.mark.parametrize("dies_at", ["before REPLY", "after REPLY"])
@pytest.mark.parametrize(("messages", "number", "applied"), [SETTLE, VOID])
async def test_recovery_killed_at_every_point(
    town: Town, messages: tuple[str, ...], number: str, applied: str, dies_at: str
) -> None:
    """A reply that was never stored, and one that was stored and not read: asked for, or read, by the third process as well."""
    spared = await town.hospital()
    await spared.live(*messages, dies_at=f"{dies_at} {number}")
    points = first_times(points_of(await spared.live(messages[-1])))
    assert ("sent 5203" in points) == (dies_at == "before REPLY")

    async def story(hospital: Hospital, point: str) -> None:
        await hospital.live(*messages, dies_at=f"{dies_at} {number}")
        killed = await hospital.live(messages[-1], dies_at=point)
        answer = await hospital.resumed(messages[-1])
        assert state(answer) == applied
        assert killed.answers in ([], [answer])

    await town.each(points, story)


async def test_the_quiet_period_starts_again_with_every_process(town: Town) -> None:
    """Nothing reached the centre; the first to say so must have waited as long as a late message may take."""

    async def story(hospital: Hospital, point: str) -> None:
        await hospital.live("settle", dies_at="after PREPARED + INTENT 2207")
        await hospital.live("settle", dies_at=point)
        assert state(await hospital.resumed("settle")) == "NOT_APPLIED"

    await town.each(["sent 5203", "before EVIDENCE 2207 + TOLD NOT_APPLIED"], story)


@pytest.mark.parametrize(("messages", "number", "applied"), [SETTLE, VOID])
async def test_a_lost_reply_and_then_killed_at_every_point(
    town: Town, messages: tuple[str, ...], number: str, applied: str
) -> None:
    lost = ["commit", "drop"]
    spared = await town.hospital(number, lost)
    points = first_times(points_of(await spared.live(*messages), after=f"sent {number}"))

    async def story(hospital: Hospital, point: str) -> None:
        killed = await hospital.live(*messages, dies_at=point)
        answer = await hospital.resumed(messages[-1])
        assert state(answer) == applied
        assert killed.answers[len(messages) - 1 :] in ([], [answer])

    await town.each(points, story, number, lost)


@pytest.mark.parametrize(("messages", "number", "applied"), [SETTLE, VOID])
async def test_a_message_that_takes_effect_after_its_sender_died(
    town: Town, messages: tuple[str, ...], number: str, applied: str
) -> None:
    """And nobody asks again: starting alone finds it, at the second attempt."""

    async def story(hospital: Hospital, point: str) -> None:
        await hospital.live(*messages, dies_at=point)
        await hospital.live(dies_at="sent 5203")
        await hospital.live()
        assert (await hospital.cases())["void" if "void" in messages else "settle"].state == applied
        assert state(await hospital.resumed(messages[-1])) == applied

    await town.each([f"sent {number}"], story, number, ["commit_after(0.6)", "drop"])


async def test_a_legacy_message_over_a_signed_gateway(town: Town) -> None:
    """GBK in, CSB out.  A key that may be used again is settled at the second asking, after the first was told there is nothing."""
    pytest.importorskip("his_adapter_jiangxi", reason="the jiangxi plugin is not installed")
    hospital = await town.hospital()
    quote, settle = hospital.move_to_jiangxi()
    await hospital.live(quote, settle, dies_at="after SETTLE_ASKED READY + INTENT 2207")
    await hospital.live(settle)
    assert (await hospital.cases())["settle"].state == "NOT_APPLIED"
    settled, again = await hospital.live(settle), await hospital.live(settle)
    assert again.answers == settled.answers
    assert (await hospital.cases())["settle"].state == "SETTLED"
    await town.assert_all_agree({"after SETTLE_ASKED READY + INTENT 2207": hospital})
