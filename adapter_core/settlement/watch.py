"""The watch: what a site's rules say against a settlement, asked before anything of it is sent.  Without such a rule nobody asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from adapter_core.settlement.records import AccountItem, Bill, Case, Encounter
from adapter_core.values.errors import AdapterError

CODE = "WATCH_BLOCKED"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why a settlement waits for the insurance office.

    rule: the rule's name; count: what it counted; item_id: the flag that is dismissed with a reason; item: the same where it is new
    and to be stored, None where it stands already; text: for the cashier.
    """

    rule: str
    count: int
    item_id: str
    item: AccountItem | None
    text: str


class Watch(Protocol):
    async def suspicion(self, encounter: Encounter, bill: Bill, case: Case) -> Suspicion | None:
        """What speaks against settling this bill now, by what is known of the person so far; None for nothing, and for what
        was dismissed.  Asked once before anything leaves, and once more when the centre has told who the person is."""


class Suspected(AdapterError):
    """A rule that blocks found something."""

    code = CODE

    def __init__(self, suspicion: Suspicion) -> None:
        super().__init__(f"held by the rule {suspicion.rule}", message_zh=suspicion.text)
        self.suspicion = suspicion
