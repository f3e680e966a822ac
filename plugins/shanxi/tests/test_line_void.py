"""FormularyEntry with -1: one line is taken back, and the others settle."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_core.testing.subject import Subject
from adapter_core.testing.window import Window, window

TESTS = Path(__file__).parent
SAMPLES = TESTS / "samples" / "dblib"


async def says(one: Window, name: str, *changes: tuple[bytes, bytes]) -> str:
    raw = (SAMPLES / f"{name}.request.txt").read_bytes()
    for old, new in changes:
        assert old in raw
        raw = raw.replace(old, new)
    return (await one.says(raw, f"{name}.request.txt")).state


def numbers(one: Window) -> list[str]:
    """The line numbers of the newest visit at the centre."""
    return sorted(list(one.centre.world.visits.values())[-1].lines)


SECOND = (b"CF001", b"CF002")
CHEAPER = ((b"Price=93.2500", b"Price=50.0000"), (b"Amount=186.50", b"Amount=100.00"))


@pytest.mark.parametrize("gateway", ["shanxi", "shanxi-dblib"])
async def test_a_line_is_taken_back_and_the_other_settles(gateway: str, tmp_path: Path) -> None:
    async with window(tmp_path, Subject("shanxi", TESTS).site(gateway), "shanxi-dblib") as one:
        assert await says(one, "Registration") == "DONE"
        assert await says(one, "FormularyEntry", SECOND, *CHEAPER) == "DONE"
        assert await says(one, "FormularyEntry") == "DONE"
        assert await says(one, "FormularyEntry-void") == "DONE"
        if gateway == "shanxi-dblib":
            assert numbers(one) == ["CF002"], "the line itself, not those that stay"
        assert await says(one, "PreExpenseCalc") == "QUOTED"
        assert await says(one, "ExpenseCalc") == "SETTLED"
        assert [row["amounts"]["medfee_sumamt"] for row in one.settlements] == ["100.00"]


async def test_a_changed_line_is_taken_back_as_it_was_sent(tmp_path: Path) -> None:
    async with window(tmp_path, Subject("shanxi", TESTS).site("shanxi-dblib"), "shanxi-dblib") as one:
        assert await says(one, "Registration") == "DONE"
        assert await says(one, "FormularyEntry") == "DONE"
        assert await says(one, "FormularyEntry", SECOND) == "DONE"
        assert await says(one, "FormularyEntry", SECOND, *CHEAPER) == "DONE"
        assert numbers(one) == ["CF001", "CF002-1"]
        assert await says(one, "ExpenseCalc") == "SETTLED"
        assert [row["amounts"]["medfee_sumamt"] for row in one.settlements] == ["286.50"]
