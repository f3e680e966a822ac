"""A database that fails over: it may lose its tail, and every replica's connections are new (`reliability.md` §4, witness).

Once something is lost that had left the house, nothing more may: no message under an intent written since, no answer to a
question asked since but that it is not known.
"""

from __future__ import annotations

from collections.abc import Iterable

from adapter_core.ledger.witness import Entry
from adapter_core.province.messages import Outcome
from adapter_core.testing.simtest.disk import Landed, Store
from adapter_core.testing.simtest.questions import Question
from adapter_core.testing.simtest.world import World


class SimWitness:
    """A replica's witness, on a disk that outlives its processes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._entries: dict[str, Entry] = {}

    def read(self) -> list[Entry]:
        return list(self._entries.values())

    async def note(self, org: str, case_id: str, version: int, link_hex: str) -> None:
        self._entries.pop(case_id, None)
        self._entries[case_id] = Entry(org, case_id, version, link_hex)


def tail_to_lose(store: Store, witnesses: Iterable[SimWitness], more: int) -> int:
    """How many of the last changes go, so that one goes which let something out; 0 when nothing was let out yet."""
    let_out = {(entry.case_id, entry.version) for witness in witnesses for entry in witness.read()}
    for back, landed in enumerate(reversed(store.landed), 1):
        if any((case.case_id, case.version) in let_out for case in landed.change.cases):
            return min(back + more, len(store.landed))
    return 0


class TailLoss:
    """What is checked once the tail is lost.  since: virtual seconds; None while nothing was lost."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.since: float | None = None
        self._intents: set[str] = set()

    def happened(self) -> None:
        self.since = self._world.now
        self._world.count("tail lost")

    def landed(self, landed: Landed) -> None:
        if self.since is not None:
            self._intents.update(call.msgid for call in landed.change.calls)

    def leaves(self, infno: str, msgid: str) -> None:
        if msgid in self._intents:
            self._world.violate("witness", f"{infno} {msgid} leaves on a ledger that lost its tail")

    def told(self, question: Question, outcome: Outcome) -> None:
        if self.since is not None and question.asked_at > self.since and outcome.state != "PENDING":
            self._world.violate(
                "witness", f"{question.verb} is answered {outcome.state} from a ledger that lost its tail"
            )
