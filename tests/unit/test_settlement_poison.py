"""What is noted while a plugin works, and when a case a worker died on has its turn."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.ledger.in_hand import InHandFile
from adapter_core.ledger.memory import MemoryLedger
from adapter_core.settlement.poison import DEATHS_MAX, SUSPECT_AFTER_S, Poison, deaths, noted, pardoned
from adapter_core.settlement.records import Case, Change
from adapter_core.settlement.states import State
from adapter_core.values.errors import ConfigError


class Note:
    def __init__(self, case_id: str = "") -> None:
        self.case_id = case_id

    def take(self, case_id: str) -> None:
        self.case_id = case_id

    def lay_down(self) -> None:
        self.case_id = ""

    def left_behind(self) -> str:
        return self.case_id


class Clock(SystemClock):
    now = 0.0

    def mono(self) -> float:
        return self.now


def case(case_id: str = "C1", state: State = State.RESOLVING, **data: Any) -> Case:
    return Case(
        case_id, "H1", "settle", case_id, case_id, "E1", "B1", "outpatient", "national", state, "", 1, data=data
    )


def raising(error: BaseException) -> Any:
    def work() -> None:
        raise error

    return work


def test_a_plugin_that_answers_or_raises_leaves_no_note() -> None:
    note = Note()
    assert noted(note, "C1", note.left_behind) == "C1"
    assert note.case_id == ""
    with pytest.raises(ValueError):
        noted(note, "C1", raising(ValueError()))
    assert note.case_id == ""


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_a_process_that_ends_within_a_plugin_leaves_one(end: type[BaseException]) -> None:
    note = Note()
    with pytest.raises(end):
        noted(note, "C1", raising(end()))
    assert note.case_id == "C1"


async def test_each_death_is_counted_once_and_only_on_the_case_in_hand() -> None:
    ledger = MemoryLedger()
    await ledger.commit(Change("H1", cases=(case("C1"), case("C2"))))
    for count in range(1, DEATHS_MAX + 1):
        poison = Poison(ledger, Clock(), Note("C1"))
        await poison.note_death()
        await poison.note_death()
        struck = await ledger.case("C1")
        assert struck is not None
        assert deaths(struck) == count
        assert poison.is_poison(struck) == (count == DEATHS_MAX)
    other = await ledger.case("C2")
    assert other == case("C2")
    assert [event.kind for event in await ledger.events_of_case("C1")] == ["WORKER_DIED"] * DEATHS_MAX
    assert deaths(pardoned(struck)) == 0


async def test_a_decided_or_unknown_case_is_not_touched() -> None:
    ledger = MemoryLedger()
    await ledger.commit(Change("H1", cases=(case("C1", State.SETTLED),)))
    for case_id in ("C1", "C2"):
        note = Note(case_id)
        await Poison(ledger, Clock(), note).note_death()
        assert note.case_id == ""
    assert await ledger.case("C1") == case("C1", State.SETTLED)


def test_a_suspect_lets_the_others_go_first_but_not_for_ever() -> None:
    clock = Clock()
    poison = Poison(MemoryLedger(), clock, Note())
    innocent, suspect, parked = case(), case(deaths=1), case(deaths=DEATHS_MAX)
    assert [poison.waits(one, True) for one in (innocent, suspect, parked)] == [False, True, False]
    assert not poison.waits(suspect, False)
    assert sorted([suspect, innocent, parked], key=poison.turn) == [parked, innocent, suspect]
    clock.now = SUSPECT_AFTER_S
    assert not poison.waits(suspect, True)


def test_the_note_outlives_a_kill(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom adapter_core.ledger.in_hand import InHandFile\n"
        "note = InHandFile(Path(sys.argv[1]))\nnote.take('a' * 20)\nnote.take('b' * 10)\nos.kill(os.getpid(), signal.SIGTERM)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "note")], check=False)
    assert killed.returncode in (-signal.SIGTERM, signal.SIGTERM)
    note = InHandFile(tmp_path / "note")
    assert note.left_behind() == "b" * 10
    with pytest.raises(ConfigError):
        InHandFile(tmp_path / "note")
    note.take("c")
    note.lay_down()
    assert note.left_behind() == ""
    note.close()
    again = InHandFile(tmp_path / "note")
    assert again.left_behind() == ""
    again.close()
