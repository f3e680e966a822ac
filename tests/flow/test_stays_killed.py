"""Killed right after each write of the ledger, one after the other: the same message again ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from adapter_core.ledger.sealing import create_master_key
from adapter_core.settlement.records import Change
from adapter_core.simulator.server import Simulator
from tests.flow.conftest import opened
from tests.flow.hospital import Hospital, assert_invariants, config_text
from tests.flow.test_inpatient import day, done, final, lines, stay
from tests.flow.test_newborns import insured, open_stays, own, with_mother
from tests.flow.test_preadmission import as_outpatient, fold, of_visit, standing

Story = Callable[[Hospital], Awaitable[None]]


class Killed(Exception):
    """Stands for the end of the process: nothing more is written."""


def killed_after(hospital: Hospital, writes: int) -> None:
    ledger = hospital.running.pipeline._ledger
    commit = ledger.commit
    left = writes

    async def mortal(change: Change) -> int:
        nonlocal left
        if left == 0:
            raise Killed
        at = await commit(change)
        left -= 1
        if left == 0:
            raise Killed
        return at

    ledger.commit = mortal  # type: ignore[method-assign]


async def with_child(hospital: Hospital) -> None:
    await done(hospital, with_mother())
    await done(hospital, stay("upload_fees", person=None, fees=day(1, "100.00", "20.00")))
    insured(hospital)


async def become(hospital: Hospital) -> None:
    await done(hospital, own())


async def became(hospital: Hospital) -> None:
    await done(hospital, own())
    assert open_stays(hospital) == [("T00000000091", 2)]
    settled = await hospital.say(final(person=None), wait_s=20)
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "120.00")


async def into(hospital: Hospital) -> None:
    await done(hospital, fold("V0"))


async def went_in(hospital: Hospital) -> None:
    await done(hospital, fold("V0"))
    assert of_visit(hospital) == [(True, 0)]
    settled = await hospital.say(final(), wait_s=20)
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "142.50")
    assert sum(map(Decimal, lines(hospital).values())) == Decimal("142.50")
    assert (await hospital.refusal(as_outpatient("K9"))).code == "FOLDED"


async def folded(hospital: Hospital) -> None:
    await standing(hospital)
    await done(hospital, fold("V0"))


async def back(hospital: Hospital) -> None:
    await done(hospital, stay("unadmit", person=None))


async def came_back(hospital: Hospital) -> None:
    await done(hospital, stay("unadmit", person=None))
    assert lines(hospital) == {}
    settled = await hospital.say(as_outpatient("K9"), wait_s=20)
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "42.50")


@pytest.mark.parametrize(
    ("before", "act", "after"),
    [(with_child, become, became), (standing, into, went_in), (folded, back, came_back)],
    ids=["newborn", "fold", "unadmit"],
)
async def test_every_write_may_be_the_last(tmp_path: Path, before: Story, act: Story, after: Story) -> None:
    for writes in range(1, 60):
        folder = tmp_path / str(writes)
        folder.mkdir()
        create_master_key(folder / "master.key")
        async with Simulator() as centre:
            text = config_text(centre.url) + '[gateway.options]\npreadmission_days = "3"\n'
            (folder / "his-adapter.toml").write_text(text, "utf-8")
            async with opened(centre, folder) as hospital:
                await before(hospital)
                killed_after(hospital, writes)
                try:
                    await act(hospital)
                except Killed:
                    survived = False
                else:
                    survived = True
            async with opened(centre, folder) as hospital:
                await after(hospital)
            assert_invariants(centre, folder)
        if survived:
            assert writes > 4, "nothing was ever killed"
            return
    raise AssertionError("it never came to an end")
