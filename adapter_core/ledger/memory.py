"""The ledger in memory, for unit tests and simulation: the meaning of `SqliteLedger` without disk and crypto."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

from adapter_core.ledger import documents
from adapter_core.ledger.conflicts import conflict_of, refuse_malformed
from adapter_core.ledger.transaction import pack_event, unpack_event
from adapter_core.settlement.records import (
    AccountItem,
    Alias,
    Bill,
    CallRecord,
    Case,
    Change,
    Encounter,
    Entry,
    Event,
    Record,
)
from adapter_core.settlement.states import State
from adapter_core.values.copies import replace


class MemoryLedger:
    """Satisfies `settlement.ports.Ledger` and passes the same contract tests."""

    def __init__(self) -> None:
        self._encounters: dict[str, Encounter] = {}
        self._bills: dict[str, Bill] = {}
        self._cases: dict[str, Case] = {}
        self._calls: dict[str, CallRecord] = {}
        self._case_keys: dict[tuple[str, str, str], str] = {}
        self._holders: dict[tuple[str, str], str] = {}
        self._encounter_keys: dict[tuple[str, str], str] = {}
        self._msgids: dict[tuple[str, str], str] = {}
        self._aliases: dict[tuple[str, str, str, str], Alias] = {}
        self._search: dict[tuple[str, str], dict[str, None]] = {}
        self._entries: dict[str, Entry] = {}
        self._items: dict[str, AccountItem] = {}
        self._journal: list[Event] = []
        self._heads: Counter[str] = Counter()
        self._drawn: Counter[str] = Counter()

    async def commit(self, change: Change) -> int:
        refuse_malformed(change)
        # A real commit lets others run before it lands, and so must this one.
        await asyncio.sleep(0)
        stored = _as_read_back(change)
        conflict = conflict_of(stored, self)
        if conflict is not None:
            raise conflict
        self._store(stored)
        self._journal.extend(stored.events)
        self._heads[change.org] += len(stored.events)
        return self._heads[change.org]

    def _store(self, change: Change) -> None:
        if change.encounter is not None:
            self._encounters[change.encounter.encounter_id] = change.encounter
            self._encounter_keys[change.org, change.encounter.encounter_key] = change.encounter.encounter_id
        self._bills.update({bill.bill_id: bill for bill in change.bills})
        for case in sorted(change.cases, key=attrgetter("holds_visit")):
            self._cases[case.case_id] = case
            self._case_keys[case.org, case.purpose, case.key] = case.case_id
            visit = (case.org, case.visit_key)
            if case.holds_visit:
                self._holders[visit] = case.case_id
            elif self._holders.get(visit) == case.case_id:
                del self._holders[visit]
        for call in change.calls:
            self._calls[call.call_id] = call
            self._msgids[call.org, call.msgid] = call.call_id
        self._entries.update({entry.entry_id: entry for entry in change.entries})
        self._items.update({item.item_id: item for item in change.items})
        self._aliases.update({(a.org, a.dialect, a.kind, a.value): a for a in change.aliases})
        for kind, value, case_id in change.search:
            self._search.setdefault((kind, value), {})[case_id] = None

    def version(self, record: Record) -> int | None:
        stored: Record | None
        match record:
            case Encounter():
                stored = self._encounters.get(record.encounter_id)
            case Bill():
                stored = self._bills.get(record.bill_id)
            case Case():
                stored = self._cases.get(record.case_id)
            case CallRecord():
                stored = self._calls.get(record.call_id)
            case Entry():
                stored = self._entries.get(record.entry_id)
            case AccountItem():
                stored = self._items.get(record.item_id)
        return stored.version if stored is not None else None

    def encounter_of_key(self, org: str, encounter_key: str) -> str | None:
        return self._encounter_keys.get((org, encounter_key))

    def case_of_key(self, org: str, purpose: str, key: str) -> str | None:
        return self._case_keys.get((org, purpose, key))

    def holder_of(self, org: str, visit_key: str) -> str | None:
        return self._holders.get((org, visit_key))

    def call_of_msgid(self, org: str, msgid: str) -> str | None:
        return self._msgids.get((org, msgid))

    def sequence(self, org: str) -> int:
        self._drawn[org] += 1
        return self._drawn[org]

    async def case(self, case_id: str) -> Case | None:
        return self._cases.get(case_id)

    async def case_by_key(self, org: str, purpose: str, key: str) -> Case | None:
        return self._cases.get(self._case_keys.get((org, purpose, key), ""))

    async def cases_of_bill(self, bill_id: str) -> list[Case]:
        return [case for case in self._cases.values() if case.bill_id == bill_id]

    async def holder(self, org: str, visit_key: str) -> Case | None:
        return self._cases.get(self._holders.get((org, visit_key), ""))

    async def cases_in(self, states: Iterable[State]) -> list[Case]:
        wanted = set(states)
        return [case for case in self._cases.values() if case.state in wanted]

    async def encounter(self, encounter_id: str) -> Encounter | None:
        return self._encounters.get(encounter_id)

    async def encounter_by_key(self, org: str, encounter_key: str) -> Encounter | None:
        return self._encounters.get(self._encounter_keys.get((org, encounter_key), ""))

    async def bill(self, bill_id: str) -> Bill | None:
        return self._bills.get(bill_id)

    async def encounters_newest(self, org: str, before: int, limit: int) -> list[tuple[int, Encounter]]:
        """Each with its ordinal, the newest first.  before: only those below that ordinal; 0 = all."""
        known = enumerate(self._encounters.values(), 1)
        rows = [(at, one) for at, one in known if one.org == org and (not before or at < before)]
        return rows[::-1][:limit]

    async def bills_of(self, encounter_id: str) -> list[Bill]:
        return [bill for bill in self._bills.values() if bill.encounter_id == encounter_id]

    async def alias(self, org: str, dialect: str, kind: str, value: str) -> Alias | None:
        return self._aliases.get((org, dialect, kind, value))

    async def calls_of_case(self, case_id: str) -> list[CallRecord]:
        return [call for call in self._calls.values() if call.case_id == case_id]

    async def events_of_case(self, case_id: str) -> list[Event]:
        return [event for event in self._journal if event.case_id == case_id]

    async def links_of_case(self, case_id: str) -> list[str]:
        """No chain here: where the case's events stand in the journal takes the place of their links."""
        return [f"{place:064x}" for place, event in enumerate(self._journal, 1) if event.case_id == case_id]

    async def entries_of_case(self, case_id: str) -> list[Entry]:
        return [entry for entry in self._entries.values() if entry.case_id == case_id]

    async def account_item(self, item_id: str) -> AccountItem | None:
        return self._items.get(item_id)

    async def account_items(
        self, org: str, topic: str, states: Iterable[str] = (), day: str = "", limit: int = 100_000
    ) -> list[AccountItem]:
        wanted = set(states)
        found = (item for item in self._items.values() if item.org == org and item.topic == topic)
        return [item for item in found if (not wanted or item.state in wanted) and (not day or item.day == day)][:limit]

    async def find(self, kind: str, value: str) -> list[str]:
        """The ids of the cases a searchable value was stored with, oldest first."""
        return list(self._search.get((kind, value), ()))


def _as_read_back(change: Change) -> Change:
    """The change as a disk would give it back: copies, every number a Decimal.  Raises: TypeError, ValueError."""
    encounter = change.encounter
    if encounter is not None:
        encounter = replace(encounter, content=_copy(encounter.content), standing=_copy(encounter.standing))
    return replace(
        change,
        events=tuple(map(_event_copy, change.events)),
        encounter=encounter,
        bills=tuple(replace(b, content=_copy(b.content), standing=_copy(b.standing)) for b in change.bills),
        cases=tuple(replace(c, told=_copy(c.told), data=_copy(c.data)) for c in change.cases),
        items=tuple(replace(item, facts=_copy(item.facts)) for item in change.items),
    )


def _event_copy(event: Event) -> Event:
    data, raw = unpack_event(pack_event(event))
    return replace(event, data=data, raw=raw)


def _copy(document: Mapping[str, Any]) -> dict[str, Any]:
    return documents.decode(documents.encode(document))
