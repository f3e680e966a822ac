"""Lists of cases for people: counted, filtered and paged by key, along the index ``cases_by_opening`` or the blind indexes.

A page's rows are chosen among index entries alone; only the rows of the page itself are read and unsealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from typing import Any, NamedTuple

from adapter_core.ledger.projections import CASES, ENCOUNTERS, ITEMS
from adapter_core.ledger.reading import StoredLedger
from adapter_core.ledger.transaction import blind_search
from adapter_core.settlement.records import AccountItem, Case, Encounter
from adapter_core.settlement.states import State

_OF_PEOPLE = "purpose IN ('settle', 'void')"
"""What a person knows as a case; the outbox's items are not."""
FEW = ("visit_key", "invono", "certno")
"""Blind indexes whose values name few cases."""
ID_END = "z" * 20
"""Above every id that begins so, in whatever order of letters a database has."""


class Listed(NamedTuple):
    """One row of a list.  ordinal: its place in the order of opening."""

    ordinal: int
    case: Case


class Standing(NamedTuple):
    """How many cases opened since stand in a state, by the two digits of the place of insurance ("" where nobody knows)."""

    state: State
    province: str
    number: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for; every criterion that is given must hold.

    blind: kind → exact value of the blind indexes.  key: settle_key, void_key, case id or work order.  province: two digits.
    opened_from, opened_before: RFC 3339 UTC.
    """

    blind: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    setl_id: str = ""
    msgid: str = ""
    states: Sequence[State] = ()
    province: str = ""
    total_fen: int | None = None
    opened_from: str = ""
    opened_before: str = ""


class CaseLists:
    """Reads beside the ledger's own methods.  Each raises LedgerUnavailable or LedgerDamaged."""

    def __init__(self, ledger: StoredLedger) -> None:
        self._ledger = ledger

    async def standings(self, org: str, since: str) -> list[Standing]:
        """Settlements opened at or after ``since`` (RFC 3339 UTC), counted."""
        statement = (
            "SELECT state, substr(insuplc_admdvs, 1, 2), COUNT(*) FROM cases "
            "WHERE org = ? AND opened_at >= ? AND purpose = 'settle' GROUP BY 1, 2"
        )
        rows = await self._ledger._rows(statement, org, since)
        return [Standing(State(state), province, number) for state, province, number in rows]

    async def found(self, org: str, wanted: Wanted, before: tuple[str, int] | None, limit: int) -> list[Listed]:
        """Newest first.  before: ``(opened_at, ordinal)`` of the last row of the page before."""
        few, few_parameters = self._few(org, wanted)
        terms, parameters = self._terms(org, wanted)
        if before is not None:
            terms.append("(opened_at, ordinal) < (?, ?)")
            parameters += before
        chosen = " AND ".join([f"org = ? AND {_OF_PEOPLE}", *terms])
        # a cross join is walked as it is written: from the few rows a number names, not along all of an institution's
        tables = f"({few}) AS named CROSS JOIN cases" if few else "cases"
        joined = "cases.case_id = named.case_id AND " if few else ""
        inner = f"SELECT ordinal FROM {tables} WHERE {joined}{chosen} ORDER BY opened_at DESC, ordinal DESC LIMIT ?"
        where = f"WHERE ordinal IN ({inner}) ORDER BY opened_at DESC, ordinal DESC"
        return await self._listed(where, *few_parameters, org, *parameters, limit)

    async def in_states(self, org: str, states: Iterable[State], after: int, limit: int) -> list[Listed]:
        """Oldest first.  after: the ordinal of the last row of the page before, 0 for the first page."""
        pages = []
        for state in states:
            where = f"WHERE state = ? AND org = ? AND {_OF_PEOPLE} AND ordinal > ? ORDER BY ordinal LIMIT ?"
            pages.append(await self._listed(where, str(state), org, after, limit))
        return list(merge(*pages, key=lambda row: row.ordinal))[:limit]

    async def ended_in(self, org: str, states: Sequence[State], since: str, limit: int) -> list[tuple[int, str]]:
        """Ordinal and state of the newest settlements opened since then that stand in one of these states."""
        wanted = [str(state) for state in states]
        statement = (
            "SELECT ordinal, state FROM cases WHERE org = ? AND opened_at >= ? AND purpose = 'settle' "
            f"AND state IN ({_places(wanted)}) ORDER BY opened_at DESC, ordinal DESC LIMIT ?"
        )
        return [(ordinal, state) for ordinal, state in await self._ledger._rows(statement, org, since, *wanted, limit)]

    async def at(self, ordinals: Sequence[int]) -> list[Listed]:
        """The cases at these places, for some hundred at most."""
        if not ordinals:
            return []
        return await self._listed(f"WHERE ordinal IN ({_places(ordinals)})", *ordinals)

    async def encounters(self, ids: Iterable[str]) -> dict[str, Encounter]:
        """By id."""
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        found = await self._ledger._all(ENCOUNTERS, f"WHERE encounter_id IN ({_places(wanted)})", *wanted)
        return {one.encounter_id: one for one in found}

    async def items(self, ids: Iterable[str]) -> dict[str, AccountItem]:
        """By id; what does not exist is left out."""
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        found = await self._ledger._all(ITEMS, f"WHERE item_id IN ({_places(wanted)})", *wanted)
        return {one.item_id: one for one in found}

    async def items_of(self, org: str, topic: str, states: Sequence[str], after: str, limit: int) -> list[AccountItem]:
        """Items of a topic in these states (none: in all), by their id.  after: the id of the last row of the page before."""
        among = f"AND state IN ({_places(states)}) " if states else ""
        where = f"WHERE org = ? AND topic = ? {among}AND item_id > ? ORDER BY item_id LIMIT ?"
        return await self._ledger._all(ITEMS, where, org, topic, *states, after, limit)

    async def item_counts(self, org: str) -> dict[tuple[str, str], int]:
        """(topic, state) → how many."""
        rows = await self._ledger._rows(
            "SELECT topic, state, COUNT(*) FROM account_items WHERE org = ? GROUP BY topic, state", org
        )
        return {(topic, state): count for topic, state, count in rows}

    async def count_in(self, org: str, states: Sequence[State]) -> int:
        """How many cases stand in these states."""
        wanted = [str(state) for state in states]
        rows = await self._ledger._rows(
            f"SELECT COUNT(*) FROM cases WHERE state IN ({_places(wanted)}) AND org = ? AND {_OF_PEOPLE}", *wanted, org
        )
        return int(rows[0][0])

    async def _listed(self, where: str, *parameters: Any) -> list[Listed]:
        rows = await self._ledger._rows(f"SELECT ordinal, {CASES.select.removeprefix('SELECT ')}{where}", *parameters)
        await self._ledger._open_keys(row[-2] for row in rows)
        return [Listed(row[0], CASES.record(row[1:], self._ledger._keys)) for row in rows]

    def _few(self, org: str, wanted: Wanted) -> tuple[str, list[Any]]:
        """A statement for the ids of the few cases that a number of theirs names, with its parameters; "" where none is given."""
        for kind in FEW:
            if kind in wanted.blind:
                blind = blind_search(self._ledger._keys.master, kind, wanted.blind[kind])
                return "SELECT DISTINCT case_id FROM search WHERE kind = ? AND blind = ?", [kind, blind]
        if wanted.setl_id:
            return "SELECT DISTINCT case_id FROM entries WHERE org = ? AND setl_id = ?", [org, wanted.setl_id]
        if wanted.msgid:
            return "SELECT DISTINCT case_id FROM calls WHERE org = ? AND msgid = ?", [org, wanted.msgid]
        return "", []

    def _terms(self, org: str, wanted: Wanted) -> tuple[list[str], list[Any]]:
        terms: list[str] = []
        parameters: list[Any] = []

        def term(text: str, *values: Any) -> None:
            terms.append(text)
            parameters.extend(values)

        for kind, value in sorted(wanted.blind.items()):
            blind = blind_search(self._ledger._keys.master, kind, value)
            term("cases.case_id IN (SELECT case_id FROM search WHERE kind = ? AND blind = ?)", kind, blind)
        if wanted.setl_id:
            term("cases.case_id IN (SELECT case_id FROM entries WHERE org = ? AND setl_id = ?)", org, wanted.setl_id)
        if wanted.msgid:
            term("cases.case_id IN (SELECT case_id FROM calls WHERE org = ? AND msgid = ?)", org, wanted.msgid)
        if wanted.key:  # a case's own key, or its work order, which is the beginning of its id
            prefix = wanted.key.lower()
            term("(key = ? OR (cases.case_id >= ? AND cases.case_id <= ?))", wanted.key, prefix, prefix + ID_END)
        if wanted.states:
            term(f"state IN ({_places(wanted.states)})", *map(str, wanted.states))
        if wanted.province:
            term("substr(insuplc_admdvs, 1, 2) = ?", wanted.province)
        if wanted.total_fen is not None:
            term("total_fen = ?", wanted.total_fen)
        if wanted.opened_from:
            term("opened_at >= ?", wanted.opened_from)
        if wanted.opened_before:
            term("opened_at < ?", wanted.opened_before)
        return terms, parameters


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
