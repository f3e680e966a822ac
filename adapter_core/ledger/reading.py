"""Reading a ledger that lies in a database: the queries, the same for each, and the rows as records again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from adapter_core.ledger import documents
from adapter_core.ledger import projections as sql
from adapter_core.ledger.chain import Head
from adapter_core.ledger.projections import BILLS, CALLS, CASES, ENCOUNTERS, ENTRIES, ITEMS, Projection, Record
from adapter_core.ledger.sealing import DataKeys, bound_to
from adapter_core.ledger.transaction import blind_alias, blind_search, unpack_event
from adapter_core.settlement.records import AccountItem, Alias, Bill, CallRecord, Case, Encounter, Entry, Event
from adapter_core.settlement.states import State


class StoredLedger(ABC):
    """The reading half of `settlement.ports.Ledger`.  Each reading raises LedgerUnavailable or LedgerDamaged."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys

    @abstractmethod
    async def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        """All rows of a statement whose parameters are ``?``."""

    @abstractmethod
    async def _open_keys(self, key_ids: Iterable[int]) -> None:
        """Open the data keys rows are sealed under before the rows are unsealed."""

    async def case(self, case_id: str) -> Case | None:
        return await self._by_id(CASES, case_id)

    async def case_by_key(self, org: str, purpose: str, key: str) -> Case | None:
        return await self._one(CASES, "WHERE org = ? AND purpose = ? AND key = ?", org, purpose, key)

    async def cases_of_bill(self, bill_id: str) -> list[Case]:
        return await self._all(CASES, "WHERE bill_id = ? ORDER BY ordinal", bill_id)

    async def holder(self, org: str, visit_key: str) -> Case | None:
        return await self._one(CASES, "WHERE org = ? AND visit_key = ? AND holds_visit", org, visit_key)

    async def cases_in(self, states: Iterable[State]) -> list[Case]:
        wanted = sorted({str(state) for state in states})
        if not wanted:  # PostgreSQL knows no empty list
            return []
        return await self._all(CASES, f"WHERE state IN ({', '.join('?' * len(wanted))}) ORDER BY ordinal", *wanted)

    async def cases_changed(self, org: str, states: Iterable[State], since: str, limit: int) -> list[Case]:
        """Newest first: cases of an institution that changed at or after ``since`` (RFC 3339 UTC); no states: in any."""
        wanted = sorted({str(state) for state in states})
        among = f"AND state IN ({', '.join('?' * len(wanted))}) " if wanted else ""
        where = f"WHERE org = ? AND changed_at >= ? {among}ORDER BY ordinal DESC LIMIT ?"
        return await self._all(CASES, where, org, since, *wanted, limit)

    async def unacknowledged(self, org: str, since: str, limit: int) -> list[Case]:
        """Oldest first: settlements since then that the HIS has not said it booked."""
        where = (
            "WHERE org = ? AND state = ? AND purpose = ? AND changed_at >= ? AND NOT EXISTS (SELECT 1 FROM journal "
            "WHERE journal.case_id = cases.case_id AND journal.kind = ?) ORDER BY ordinal LIMIT ?"
        )
        return await self._all(CASES, where, org, str(State.SETTLED), "settle", since, "HIS_ACK", limit)

    async def events_after(
        self, org: str, after: int, kinds: Iterable[str], limit: int
    ) -> tuple[list[tuple[int, Event]], int]:
        """Events of these kinds with their number, oldest first, and the journal's last number."""
        wanted = sorted(kinds)
        where = f"WHERE org = ? AND seq > ? AND kind IN ({', '.join('?' * len(wanted))}) ORDER BY seq LIMIT ?"
        heads = await self._rows(
            "SELECT seq FROM heads WHERE org = ?", org
        )  # first: what comes meanwhile is not skipped
        rows = await self._rows(sql.SELECT_EVENTS + where, org, after, *wanted, limit)
        await self._open_keys(row[-2] for row in rows)
        return [(row[1], self._event(*row)) for row in rows], heads[0][0] if heads else 0

    async def encounter(self, encounter_id: str) -> Encounter | None:
        return await self._by_id(ENCOUNTERS, encounter_id)

    async def encounter_by_key(self, org: str, encounter_key: str) -> Encounter | None:
        return await self._one(ENCOUNTERS, "WHERE org = ? AND encounter_key = ?", org, encounter_key)

    async def encounters_newest(self, org: str, before: int, limit: int) -> list[tuple[int, Encounter]]:
        """Each with its ordinal, the newest first.  before: only those below that ordinal; 0 = all."""
        columns = ", ".join((*ENCOUNTERS.plain, "key_id", "sealed"))
        rows = await self._rows(
            f"SELECT ordinal, {columns} FROM encounters WHERE org = ? AND (ordinal < ? OR ? = 0) "
            "ORDER BY ordinal DESC LIMIT ?",
            org,
            before,
            before,
            limit,
        )
        await self._open_keys({row[-2] for row in rows})
        return [(row[0], ENCOUNTERS.record(row[1:], self._keys)) for row in rows]

    async def bill(self, bill_id: str) -> Bill | None:
        return await self._by_id(BILLS, bill_id)

    async def bills_of(self, encounter_id: str) -> list[Bill]:
        return await self._all(BILLS, "WHERE encounter_id = ? ORDER BY ordinal", encounter_id)

    async def calls_of_case(self, case_id: str) -> list[CallRecord]:
        return await self._all(CALLS, "WHERE case_id = ? ORDER BY ordinal", case_id)

    async def entries_of_case(self, case_id: str) -> list[Entry]:
        """What the case put into the books, oldest first."""
        return await self._all(ENTRIES, "WHERE case_id = ? ORDER BY ordinal", case_id)

    async def entries_with_person(self, org: str, day: str, after: int, limit: int) -> list[tuple[int, Entry, str]]:
        """A business day's standing entries, each with its ordinal and the person's ``psn_no``, a page at a time.

        after: the ordinal of the last one seen, 0 at first.
        """
        split = len(ENTRIES.plain)
        columns = [f"entries.{name}" for name in ENTRIES.plain]
        columns += [f"encounters.{name}" for name in (*ENCOUNTERS.plain, "key_id", "sealed")]
        rows = await self._rows(
            f"SELECT entries.ordinal, {', '.join(columns)} FROM entries "
            "JOIN cases ON cases.case_id = entries.case_id "
            "JOIN encounters ON encounters.encounter_id = cases.encounter_id "
            "WHERE entries.org = ? AND entries.business_day = ? AND entries.stands AND entries.ordinal > ? "
            "ORDER BY entries.ordinal LIMIT ?",
            org,
            day,
            after,
            limit,
        )
        await self._open_keys({row[-2] for row in rows})
        found = []
        for row in rows:
            person = ENCOUNTERS.record(row[split + 1 :], self._keys).content.get("person", {})
            found.append((row[0], ENTRIES.record(row[1 : split + 1], self._keys), str(person.get("psn_no", ""))))
        return found

    async def entries_to_file(
        self, org: str, day: str, offices: Sequence[str], after: int, limit: int
    ) -> list[tuple[Any, ...]]:
        """A business day's standing entries of some clearing offices as a statement lists them, a page at a time.

        Rows: ordinal, entry_id, way, refunded, setl_id, mdtrt_id, total, fund, acct_pay, cash in fen, ``psn_no``.  after: the ordinal
        of the last one seen, 0 at first.
        """
        rows = await self._rows(
            "SELECT entries.ordinal, entries.entry_id, entries.way, entries.entry = 'void', entries.setl_id, entries.mdtrt_id, "
            "entries.total_fen, entries.fund_fen, entries.acct_pay_fen, entries.cash_fen, "
            "encounters.encounter_id, encounters.version, encounters.key_id, encounters.sealed FROM entries "
            "JOIN cases ON cases.case_id = entries.case_id "
            "JOIN encounters ON encounters.encounter_id = cases.encounter_id "
            "WHERE entries.org = ? AND entries.business_day = ? AND entries.stands AND entries.ordinal > ? "
            f"AND entries.clr_optins IN ({', '.join('?' * len(offices))}) ORDER BY entries.ordinal LIMIT ?",
            org,
            day,
            after,
            *offices,
            limit,
        )
        await self._open_keys({row[-2] for row in rows})
        found = []
        for *line, encounter_id, version, key_id, sealed in rows:
            place = bound_to(org, ENCOUNTERS.table, encounter_id, version)
            named = documents.psn_no(self._keys.of(key_id).unseal(sealed, place))
            found.append((*line, named))
        return found

    async def account_item(self, item_id: str) -> AccountItem | None:
        return await self._by_id(ITEMS, item_id)

    async def account_items(
        self, org: str, topic: str, states: Iterable[str] = (), day: str = "", limit: int = 100_000
    ) -> list[AccountItem]:
        """Items of a topic, oldest first; states: in any of these (none: in all); day: "" for every day."""
        wanted = sorted(states)
        among = f"AND state IN ({', '.join('?' * len(wanted))}) " if wanted else ""
        of_day = "AND day = ? " if day else ""
        where = f"WHERE org = ? AND topic = ? {among}{of_day}ORDER BY ordinal LIMIT ?"
        return await self._all(ITEMS, where, org, topic, *wanted, *((day,) if day else ()), limit)

    async def alias(self, org: str, dialect: str, kind: str, value: str) -> Alias | None:
        blind = blind_alias(self._keys.master, org, dialect, kind, value)
        rows = await self._rows(sql.SELECT_ALIAS, org, dialect, kind, blind)
        return Alias(org, dialect, kind, value, *rows[0]) if rows else None

    async def find(self, kind: str, value: str) -> list[str]:
        """The ids of the cases a searchable value was stored with, oldest first."""
        rows = await self._rows(sql.SELECT_SEARCH, kind, blind_search(self._keys.master, kind, value))
        return [case_id for (case_id,) in rows]

    async def events_of_case(self, case_id: str) -> list[Event]:
        rows = await self._rows(sql.SELECT_EVENTS + "WHERE case_id = ? ORDER BY seq", case_id)
        await self._open_keys(row[-2] for row in rows)
        return [self._event(*row) for row in rows]

    async def links_of_case(self, case_id: str) -> list[str]:
        """The chain's links (64 hex digits) of the case's events, oldest first: the last one is for the witness."""
        return [link.hex() for (link,) in await self._rows(sql.SELECT_LINKS_OF_CASE, case_id)]

    async def heads(self) -> dict[str, Head]:
        """The head of every org's chain."""
        return {row[0]: Head(*row[1:4]) for row in await self._rows(sql.SELECT_HEADS)}

    async def link(self, org: str, seq: int) -> bytes | None:
        """The chain's link of one event, None where there is none."""
        rows = await self._rows(sql.SELECT_LINK, org, seq)
        return rows[0][0] if rows else None

    async def compared(self, witness: str, is_whole: bool) -> list[str]:
        """A ledger that one process has knows no other witness."""
        return []

    async def forget_witness(self, witness: str) -> bool:
        """False: there is none of that name."""
        return False

    def _event(
        self, org: str, seq: int, at: str, kind: str, case_id: str, encounter_id: str, key_id: int, sealed: bytes
    ) -> Event:
        data, raw = unpack_event(self._keys.of(key_id).unseal(sealed, bound_to(org, "journal", seq)))
        return Event(kind, at, case_id, encounter_id, data, raw)

    async def _by_id(self, projection: Projection[Record], record_id: str) -> Record | None:
        return await self._one(projection, f"WHERE {projection.id_name} = ?", record_id)

    def _known(self, projection: Projection[Record], record_id: str, version: int) -> Record | None:
        """The record at this version where it is at hand anyway: then it isn't unsealed and read again."""
        return None

    async def _one(self, projection: Projection[Record], where: str, *parameters: Any) -> Record | None:
        found = await self._all(projection, where, *parameters)
        return found[0] if found else None

    async def _all(self, projection: Projection[Record], where: str, *parameters: Any) -> list[Record]:
        rows = await self._rows(projection.select + where, *parameters)
        if projection.sealed:
            await self._open_keys(row[-2] for row in rows)
        return [self._record(projection, row) for row in rows]

    def _record(self, projection: Projection[Record], row: Any) -> Record:
        known = self._known(projection, *projection.id_and_version(row))
        return known if known is not None else projection.record(row, self._keys)
