"""Cases the worker dies on (`reliability.md` §9): counted, kept behind the others, and at last handed to a person.

A plugin that hangs stops the whole process, and so every case in flight dies with it.  Which one was to blame is known because
its id was noted, before the plugin got it, where the note outlives the process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from adapter_core.settlement.ports import Clock, Conflict, InHand, Ledger
from adapter_core.settlement.records import Case, Change, Event
from adapter_core.settlement.states import OWNED
from adapter_core.values.copies import replace
from adapter_core.values.moments import iso

DEATHS_MAX = 3
"""A case that this many workers died on is parked."""
SUSPECT_AFTER_S = 900.0
"""How long a case that a worker died on lets the others go first: a kill starts their quiet periods anew."""
DEATHS = "deaths"
CONFLICT_TRIES = 5
T = TypeVar("T")
_log = logging.getLogger(__name__)


class NothingInHand:
    """Where nothing is noted, no case is ever blamed."""

    def take(self, case_id: str) -> None:
        pass

    def lay_down(self) -> None:
        pass

    def left_behind(self) -> str:
        return ""


def noted(in_hand: InHand, case_id: str, work: Callable[[], T]) -> T:
    """Runs a plugin's code with the case's id noted.  The note is left when the process ends in there: killed, crashed, or
    told to stop while it hung."""
    in_hand.take(case_id)
    try:
        done = work()
    except Exception:
        in_hand.lay_down()
        raise
    in_hand.lay_down()
    return done


def deaths(case: Case) -> int:
    """How many workers died on the case since it was last handed over."""
    return int(case.data.get(DEATHS, 0))


def pardoned(case: Case) -> Case:
    """The case with its deaths forgotten: a person had the plugin mended."""
    return replace(case, data={name: value for name, value in case.data.items() if name != DEATHS})


class Poison:
    def __init__(self, ledger: Ledger, clock: Clock, in_hand: InHand) -> None:
        self._ledger = ledger
        self._clock = clock
        self._in_hand = in_hand
        self._since = clock.mono()

    async def note_death(self) -> None:
        """At start: if the process before died with a case in hand, the journal and the case say so."""
        case_id = self._in_hand.left_behind()
        if not case_id:
            return
        for _ in range(CONFLICT_TRIES):
            case = await self._ledger.case(case_id)
            if case is None or case.state not in OWNED:
                break
            count = deaths(case) + 1
            struck = replace(case, version=case.version + 1, data={**case.data, DEATHS: count})
            now = iso(self._clock.wall())
            event = Event("WORKER_DIED", now, case.case_id, case.encounter_id, {"count": count})
            try:
                await self._ledger.commit(Change(case.org, events=(event,), cases=(struck,)))
            except Conflict:
                continue
            _log.error("the worker died in a plugin on case %s (%s), %d time(s)", case.case_id, case.state, count)
            break
        self._in_hand.lay_down()

    def is_poison(self, case: Case) -> bool:
        return deaths(case) >= DEATHS_MAX

    def turn(self, case: Case) -> int:
        """In which order cases are taken up: those to be parked before the next one can kill this worker too, suspects last."""
        return -1 if self.is_poison(case) else deaths(case)

    def waits(self, case: Case, others_run: bool) -> bool:
        """Whether a case that a worker died on still lets the others go first.  One to be parked runs no plugin, and does not."""
        if not 0 < deaths(case) < DEATHS_MAX:
            return False
        return others_run and self._clock.mono() - self._since < SUSPECT_AFTER_S
