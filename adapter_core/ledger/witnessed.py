"""A ledger with a witness: what lets something out of the house is noted on another path, after the commit and before it leaves.

A new connection may lead to a database that failed over and lost its tail.  Whatever is read or written over one counts only
once this replica's witness has been compared, and those of all other replicas that are known: until then, and for good
after a mismatch, every reading and every write is refused, so nothing is sent and nothing is told.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from adapter_core.ledger.witness import Entry, WitnessedLedger, behind
from adapter_core.settlement.records import Change
from adapter_core.values.errors import LedgerUnavailable

LETS_OUT = frozenset({"INTENT", "REVERSE_INTENT", "TOLD", "CANCELLED", "CANCEL_ASKED", "DECIDED", "PAPER_SET"})
"""Events after which bytes leave for the centre, an answer for the HIS, or papers for a patient."""

NEWEST = 50
"""How many entries are compared on a new connection: a tail that was lost holds the newest ones, but for those few that were
under way at once and were noted in another order than they were stored."""

BEHIND_ZH = "账本与见证文件不符或尚未核对，已暂停收发；该业务结果以对账为准，请勿改自费"


class Notes(Protocol):
    """What is asked of a witness."""

    name: str

    def read(self) -> list[Entry]: ...

    async def note(self, org: str, case_id: str, version: int, link_hex: str) -> None: ...


class ComparedLedger(WitnessedLedger, Protocol):
    """What is asked of a ledger beside the port."""

    async def commit(self, change: Change) -> int: ...

    async def compared(self, witness: str, is_whole: bool) -> Sequence[str]:
        """is_whole: the witness of that name has nothing the database lacks.  The names of those not known to say the same."""


class Witnessed:
    """Satisfies `settlement.ports.Ledger`.  Raises besides: LedgerUnavailable with code LEDGER_BEHIND."""

    def __init__(self, ledger: ComparedLedger, witness: Notes) -> None:
        self._ledger = ledger
        self._witness = witness
        self._compared_at = -1
        self._comparing = asyncio.Lock()

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._ledger, name)
        return self._reading(part) if inspect.iscoroutinefunction(part) else part

    def _reading(self, part: Callable[..., Any]) -> Callable[..., Any]:
        async def read(*named: Any) -> Any:
            found = await part(*named)
            await self.compare()
            return found

        return read

    async def commit(self, change: Change) -> int:
        """Raises also LedgerUnavailable when the witness can't be written: then nothing may leave."""
        await self.compare()
        last = await self._ledger.commit(change)
        await self.compare()  # it may have been the first over a new connection
        if any(event.kind in LETS_OUT for event in change.events):
            for case in change.cases:
                links = await self._ledger.links_of_case(case.case_id)
                if links:
                    await self._witness.note(case.org, case.case_id, case.version, links[-1])
        return last

    async def compare(self) -> None:
        """Once for every connection opened.  Raises: LedgerUnavailable LEDGER_BEHIND."""
        if self._connections() == self._compared_at:
            return
        async with self._comparing:
            while (connections := self._connections()) != self._compared_at:
                lost = await behind(self._ledger, self._witness.read()[-NEWEST:])
                missing = await self._ledger.compared(self._witness.name, not lost)
                if lost:
                    raise _behind(f"the ledger lost its tail: {len(lost)} entries of the witness are missing")
                if missing:
                    raise _behind(f"not compared yet with the witnesses {', '.join(missing)}")
                self._compared_at = connections

    def _connections(self) -> int:
        """Opened so far; a ledger in a file of its own has one for good."""
        opened: int = getattr(self._ledger, "connections", 0)
        return opened


def _behind(why: str) -> LedgerUnavailable:
    return LedgerUnavailable(why, code="LEDGER_BEHIND", message_zh=BEHIND_ZH)
