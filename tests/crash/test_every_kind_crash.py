"""kill -9 at the journal's steps of every other kind of care: stays, sales, chronic diseases, two-phase trades.

`test_settlement_crash` does it for outpatients, at every point.  Here a test run takes the points from the money on; every
point is for ``CRASH_POINTS=all``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from adapter_core.ledger.sealing import create_master_key

from .care import CHRONIC, INPATIENT, PHARMACY, TWO_PHASE, Care
from .hospital import Hospital, SimulatedCentre
from .nursery import Nursery
from .test_settlement_crash import Town, ends, first_times, points_of, state

ALL = os.environ.get("CRASH_POINTS") == "all"
CARES = (INPATIENT, PHARMACY, CHRONIC, TWO_PHASE)
BESIDE = ("3505", "READY", "FOLLOWED_UP")
NOTHING = {"NOT_APPLIED", "REVERSED"}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    create_master_key(folder / "master.key")
    with SimulatedCentre() as centre, Nursery() as nursery:
        yield Town(folder, centre, nursery, folder / "master.key")


@pytest.fixture(params=CARES, ids=lambda care: care.name)
def care(request: pytest.FixtureRequest) -> Care:
    chosen: Care = request.param
    return chosen


def told_end(care: Care, point: str, number: str, applied: str) -> set[str]:
    """What a life that died there may come to.  A sale that never left is reversed, because no query shows that it is absent; a
    trade whose first phase has no answer in the journal is aborted, and one whose confirm nobody saw comes to nothing."""
    if care.two_phase and applied == "SETTLED":
        return {applied, *NOTHING} if any(one in point for one in (care.pay, care.confirm)) else {applied}
    end = ends(point, number, applied)
    return {"REVERSED"} if care is PHARMACY and end == "NOT_APPLIED" and applied == "SETTLED" else {end}


def from_the_money_on(points: list[str], number: str) -> list[str]:
    """From the commit that lets the money out, and right before a commit only where a reply is lost by it; all of them where that
    was asked for.  What follows a sale goes its own way beside a refund, so a life need not pass it again."""
    points = [point for point in points if not any(one in point for one in BESIDE)]
    if ALL:
        return points
    first = next(at for at, point in enumerate(points) if point.endswith(f"INTENT {number}"))
    return [one for one in first_times(points[first:]) if "before " not in one or "REPLY" in one]


async def test_a_settlement_killed_at_the_steps_of_the_money(town: Town, care: Care) -> None:
    points = from_the_money_on(points_of(await (await town.hospital(care=care)).live("settle")), care.pay)

    async def story(hospital: Hospital, point: str) -> None:
        killed = await hospital.live("settle", dies_at=point)
        answer = await hospital.resumed("settle")
        assert state(answer) in told_end(care, point, care.pay, "SETTLED")
        assert killed.answers in ([], [answer])

    await town.each(points, story, care=care)


async def test_a_refund_killed_at_the_steps_of_the_money(town: Town, care: Care) -> None:
    passed = points_of(await (await town.hospital(care=care)).live("settle", "void"), after="told 1")
    points = from_the_money_on(passed, care.back)

    async def story(hospital: Hospital, point: str) -> None:
        killed = await hospital.live("settle", "void", dies_at=point)
        answer = await hospital.resumed("void")
        assert state(answer) in told_end(care, point, care.back, "VOIDED")
        assert killed.answers[1:] in ([], [answer])

    await town.each(points, story, care=care)


async def test_a_lost_reply_and_then_killed_at_the_steps_of_its_recovery(town: Town, care: Care) -> None:
    lost, number = ["commit", "drop"], care.confirm or care.pay
    spared = await town.hospital(number, lost, care)
    points = first_times(points_of(await spared.live("settle"), after=f"sent {number}"))
    chosen = points if ALL else points[::4]

    async def story(hospital: Hospital, point: str) -> None:
        killed = await hospital.live("settle", dies_at=point)
        answer = await hospital.resumed("settle")
        assert state(answer) == "SETTLED"
        assert killed.answers in ([], [answer])

    await town.each(chosen, story, number, lost, care)
