"""A ledger with a witness: what lets something out of the house is noted on another path, after the commit and before it leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from adapter_core.ledger.witness import Witness, behind
from adapter_core.settlement.records import Change
from adapter_core.values.errors import LedgerUnavailable

if TYPE_CHECKING:
    from adapter_core.ledger.postgres import PostgresLedger
    from adapter_core.ledger.sqlite import SqliteLedger

LETS_OUT = frozenset({"INTENT", "REVERSE_INTENT", "TOLD", "CANCELLED", "CANCEL_ASKED", "DECIDED"})
"""Events after which bytes leave for the centre or an answer leaves for the HIS."""


class Witnessed:
    """Satisfies `settlement.ports.Ledger`: reads go to the ledger as they are, commits also to the witness."""

    def __init__(self, ledger: SqliteLedger | PostgresLedger, witness: Witness) -> None:
        self._ledger = ledger
        self._witness = witness
        self._connections = self._opened()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def commit(self, change: Change) -> int:
        """Raises also LedgerUnavailable when the witness can't be written: then nothing may leave."""
        last = await self._ledger.commit(change)
        if self._opened() != self._connections:
            await self._compare()
        if any(event.kind in LETS_OUT for event in change.events):
            for case in change.cases:
                links = await self._ledger.links_of_case(case.case_id)
                if links:
                    await asyncio.to_thread(self._witness.append, case.org, case.case_id, case.version, links[-1])
        return last

    def _opened(self) -> int:
        """Connections opened so far; a new one may lead to another server, one that failed over and lost its tail."""
        opened: int = getattr(self._ledger, "connections", 0)
        return opened

    async def _compare(self) -> None:
        lost = await behind(self._ledger, self._witness.read())
        if lost:
            raise LedgerUnavailable(
                f"the ledger lost its tail: {len(lost)} entries of the witness are missing", code="LEDGER_BEHIND"
            )
        self._connections = self._opened()
