"""Which conflict a change meets, in one order for every ledger: key, version, visit, msgid.

A repeat of the same key must hear KeyTaken (it reads the stored answer) even though its visit is held as well, and a
write that may already have landed must hear VersionMoved before it could draw a fresh msgid.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from adapter_core.settlement.ports import Conflict, KeyTaken, MsgidTaken, VersionMoved, VisitHeld
from adapter_core.settlement.records import AccountItem, CallRecord, Change, Entry, Record


class Facts(Protocol):
    """What a ledger knows, as ids; None where nothing is stored."""

    def version(self, record: Record) -> int | None:
        """The stored version of the record with that id."""

    def encounter_of_key(self, org: str, encounter_key: str) -> str | None: ...

    def case_of_key(self, org: str, purpose: str, key: str) -> str | None: ...

    def holder_of(self, org: str, visit_key: str) -> str | None: ...

    def call_of_msgid(self, org: str, msgid: str) -> str | None: ...


def conflict_of(change: Change, facts: Facts) -> Conflict | None:
    """The conflict this change meets, None when it can be stored."""
    return _key_taken(change, facts) or _moved(change, facts) or _held(change, facts) or _msgid_taken(change, facts)


def refuse_malformed(change: Change) -> None:
    """Raises: ValueError for a change no state of the ledger could take: a mistake of its maker."""
    for record in records_of(change):
        if record.org != change.org:
            raise ValueError(f"a change of {change.org} holds a record of {record.org}")
        if record.version < 1:
            raise ValueError("a stored record has version 1 or higher")


def records_of(change: Change) -> Iterable[Record]:
    if change.encounter is not None:
        yield change.encounter
    yield from change.bills
    yield from change.cases
    yield from change.calls
    yield from change.entries
    yield from change.items


def opens_work(change: Change) -> bool:
    """New work: refused when the disk runs low, while what is under way may still be written."""
    under_way = (CallRecord, Entry, AccountItem)
    opened = (record.version == 1 for record in records_of(change) if not isinstance(record, under_way))
    return any(opened)


def _key_taken(change: Change, facts: Facts) -> Conflict | None:
    encounter = change.encounter
    if encounter is not None:
        owner = facts.encounter_of_key(change.org, encounter.encounter_key)
        if owner not in (None, encounter.encounter_id):
            return KeyTaken(f"the encounter key belongs to encounter {owner}")
    claimed: dict[tuple[str, str], str] = {}
    for case in change.cases:
        owner = facts.case_of_key(change.org, case.purpose, case.key)
        owner = claimed.setdefault((case.purpose, case.key), case.case_id) if owner is None else owner
        if owner != case.case_id or (case.version == 1 and facts.version(case) is not None):
            return KeyTaken(f"the {case.purpose} key belongs to case {owner}")
    return None


def _moved(change: Change, facts: Facts) -> Conflict | None:
    for record in records_of(change):
        stored = facts.version(record)
        if stored != (record.version - 1 or None):
            name = type(record).__name__.lower()
            return VersionMoved(f"this {name} is at version {stored or 0}, the change replaces {record.version - 1}")
    return None


def _held(change: Change, facts: Facts) -> Conflict | None:
    released = {case.case_id for case in change.cases if not case.holds_visit}
    claimed: dict[str, str] = {}
    for case in change.cases:
        if not case.holds_visit:
            continue
        holder = facts.holder_of(change.org, case.visit_key)
        if holder is None or holder in released:
            holder = claimed.setdefault(case.visit_key, case.case_id)
        if holder != case.case_id:
            return VisitHeld(f"case {holder} holds the visit")
    return None


def _msgid_taken(change: Change, facts: Facts) -> Conflict | None:
    claimed: dict[str, str] = {}
    for call in change.calls:
        owner = facts.call_of_msgid(change.org, call.msgid)
        owner = claimed.setdefault(call.msgid, call.call_id) if owner is None else owner
        if owner != call.call_id:
            return MsgidTaken(f"this msgid was drawn for call {owner}")
    return None
