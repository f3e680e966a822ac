"""Watching (管精管细): rules with thresholds over a day's books.  A flag is an item for the insurance office; it blocks nothing."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from adapter_core.accounts.acting import ItemLedger
from adapter_core.accounts.books import Books, Working
from adapter_core.accounts.differences import OPEN, made_id
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.records import AccountItem, Bill, Case, Encounter, Entry
from adapter_core.values.errors import ConfigError
from adapter_core.values.moments import iso, national_date, parse_national_time

TOPIC = "flag"
USUAL = "usual"
"""Topic, and the fact, that keeps each item's lines and hundredths of the newest watched day, where ``quantity`` blocks."""
PAGE = 500
TITLES = {
    "person_many_places": "同一参保人短时间在多家机构结算",
    "terminal_many_cards": "同一终端短时间出现多张卡",
    "quantity": "数量远高于平常",
    "split_bills": "同一人同日多次小额结算",
    "refunds": "收费员退费异常",
    "identity": "身份不符",
    "wrong_person": "用错他人凭证结算",
}
SECONDS = (
    "(CAST(SUBSTR({0}.setl_time, 12, 2) AS INTEGER) * 3600 + CAST(SUBSTR({0}.setl_time, 15, 2) AS INTEGER) * 60 "
    "+ CAST(SUBSTR({0}.setl_time, 18, 2) AS INTEGER))"
)
PERSONS = (
    "CREATE TEMP TABLE persons AS SELECT case_id, MIN(blind) AS person FROM {ledger}search "
    "WHERE kind = 'psn_no' AND ordinal >= ? GROUP BY case_id"
)
OF_DAY = (
    "CREATE TEMP TABLE watched AS SELECT entries.*, "
    + SECONDS.format("entries")
    + " AS second, persons.person FROM {ledger}entries AS entries LEFT JOIN persons "
    "ON persons.case_id = entries.case_id WHERE entries.business_day = ? AND entries.stands"
)
INDEXES = (
    "CREATE INDEX watched_person ON watched (person, second, entry, org)",
    "CREATE INDEX watched_terminal ON watched (org, terminal, second, entry, person)",
)
NAMED_SINCE = timedelta(days=3)
"""Who a settlement is for was written down when it was prepared, so much before its day at the most."""
LAST_NAMED = "SELECT COALESCE(MAX(ordinal), 0) FROM {ledger}search"
NAMED_AT = (
    "SELECT named.ordinal, cases.opened_at FROM (SELECT ordinal, case_id FROM {ledger}search WHERE ordinal >= ? "
    "ORDER BY ordinal LIMIT 1) AS named JOIN {ledger}cases AS cases ON cases.case_id = named.case_id"
)
PERSON_MANY_PLACES = (
    "SELECT one.entry_id, one.case_id, COUNT(DISTINCT other.org) FROM watched AS one JOIN watched AS other "
    "ON other.person = one.person AND other.second BETWEEN one.second - ? AND one.second AND other.entry = 'settle' "
    "WHERE one.org = ? AND one.entry = 'settle' AND one.person IS NOT NULL GROUP BY one.entry_id, one.case_id "
    "HAVING COUNT(DISTINCT other.org) >= ? ORDER BY one.entry_id"
)
TERMINAL_MANY_CARDS = (
    "SELECT terminal, '', MAX(persons) FROM (SELECT one.terminal, one.second, COUNT(DISTINCT other.person) AS persons "
    "FROM watched AS one JOIN watched AS other ON other.org = one.org AND other.terminal = one.terminal "
    "AND other.second BETWEEN one.second - ? AND one.second AND other.entry = 'settle' "
    "WHERE one.org = ? AND one.terminal <> '' AND one.entry = 'settle' GROUP BY one.terminal, one.second) AS windows "
    "GROUP BY terminal HAVING MAX(persons) >= ? ORDER BY terminal"
)
SPLIT_BILLS = (
    "SELECT MIN(entry_id), MIN(case_id), COUNT(*) FROM watched WHERE org = ? AND entry = 'settle' AND kind = 'outpatient' "
    "AND person IS NOT NULL AND total_fen < ? GROUP BY person, med_type HAVING COUNT(*) >= ? AND SUM(total_fen) >= ? "
    "ORDER BY MIN(entry_id)"
)
REFUNDS = (
    "SELECT operator, '', voids FROM (SELECT operator, SUM(CASE WHEN entry = 'void' THEN 1 ELSE 0 END) AS voids, "
    "SUM(CASE WHEN entry = 'settle' THEN 1 ELSE 0 END) AS settled FROM watched WHERE org = ? GROUP BY operator) AS sums "
    "WHERE voids >= ? AND voids * 100 >= ? * settled ORDER BY operator"
)
LINES = "CREATE TEMP TABLE lines (case_id TEXT, item TEXT, hundredths BIGINT)"
USUAL_LINES = "SELECT item, COUNT(*), SUM(hundredths) FROM lines GROUP BY item HAVING COUNT(*) >= ? ORDER BY item"
QUANTITY = (
    "SELECT lines.case_id || lines.item, lines.case_id, MAX(lines.hundredths) / 100 FROM lines JOIN "
    "(SELECT item, COUNT(*) AS count, SUM(hundredths) AS whole FROM lines GROUP BY item) AS usual ON usual.item = lines.item "
    # the average of the others: one large line must not raise the bar for itself
    "WHERE usual.count >= ? AND lines.hundredths >= ? AND lines.hundredths * (usual.count - 1) >= ? * (usual.whole - lines.hundredths) "
    "GROUP BY lines.case_id, lines.item ORDER BY lines.case_id, lines.item"
)

ENDED = (
    "SELECT case_id FROM {ledger}cases WHERE org = ? AND opened_at >= ? AND opened_at < ? AND purpose = 'settle' "
    "AND state IN ('REJECTED', 'CANCELLED') ORDER BY ordinal"
)

Rules = Mapping[str, Mapping[str, Any]]
Hit = tuple[str, str, str, int]
"""Rule, what it is about, case (or ""), how much."""
Line = tuple[str, str, int]
"""Case, item, hundredths of its unit."""


class WatchedLedger(ItemLedger, Protocol):
    async def entries_with_person(self, org: str, day: str, after: int, limit: int) -> list[tuple[int, Entry, str]]: ...

    async def bill(self, bill_id: str) -> Bill | None: ...

    async def encounter(self, encounter_id: str) -> Encounter | None: ...

    async def case_by_key(self, org: str, purpose: str, key: str) -> Case | None: ...

    async def cases_in(self, states: Any) -> list[Case]: ...


def usual_id(org: str) -> str:
    return made_id(org, USUAL)


@cache
def shipped_rules() -> Rules:
    return tomllib.loads((files("adapter_core.accounts") / "data" / "watching.toml").read_text("utf-8"))


def read_rules(path: Path | None) -> Rules:
    """A site's rules; what its file leaves out is as shipped.  Raises: ConfigError for a rule or a threshold that is none."""
    if path is None:
        return shipped_rules()
    try:
        own = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name}: {error}") from None
    shipped = shipped_rules()
    faults = [name for name in own if name not in shipped]
    faults += [
        f"{name}.{key}"
        for name, rule in own.items()
        if name in shipped
        for key, value in rule.items()
        if key not in shipped[name] or type(value) is not type(shipped[name][key])
    ]
    if faults:
        raise ConfigError(f"{path.name}: no such rule or threshold: {', '.join(faults)}")
    return {name: {**rule, **own.get(name, {})} for name, rule in shipped.items()}


def take_day(working: Working, day: str) -> None:
    """A day's standing entries of every institution, with whom each is for, as the table ``watched``."""
    ledger = working.ledger
    since = iso(parse_national_time(f"{day} 00:00:00") - NAMED_SINCE)
    working.run(PERSONS.format(ledger=ledger), _first_named(working, since))
    working.run("CREATE INDEX persons_case ON persons (case_id)")
    working.run(OF_DAY.format(ledger=ledger), day)
    for index in INDEXES:
        working.run(index)


def _first_named(working: Working, since: str) -> int:
    """The place in ``search`` from which on cases were opened since then: it only grows, so halving finds it."""
    ledger = working.ledger
    [(last,)] = list(working.rows(LAST_NAMED.format(ledger=ledger)))
    low, high = 0, int(last)
    while low < high:
        middle = (low + high) // 2
        found = list(working.rows(NAMED_AT.format(ledger=ledger), middle))
        if not found or str(found[0][1]) >= since:
            high = middle
        else:
            low = max(int(found[0][0]), middle) + 1
    return low


class Watching:
    def __init__(self, books: Books, ledger: WatchedLedger, notes: FromFiles, org: str, rules: Rules) -> None:
        self._books = books
        self._ledger = ledger
        self._notes = notes
        self._org = org
        self._rules = rules

    async def watch(self, day: str) -> list[AccountItem]:
        """The day's flags.  One that was dismissed stays dismissed."""
        hits = await asyncio.to_thread(self._of_books, day)
        hits += await self._of_lines(day)
        hits += await self._of_identity(day)
        return [await self._flagged(day, *hit) for hit in hits]

    def _of_books(self, day: str) -> list[Hit]:
        with self._books.working() as working:
            take_day(working, day)
            return self._asked(working)

    def _asked(self, working: Working) -> list[Hit]:
        rules, org = self._rules, self._org
        places, cards = rules["person_many_places"], rules["terminal_many_cards"]
        split, refunds = rules["split_bills"], rules["refunds"]
        asked: dict[str, tuple[str, tuple[Any, ...]]] = {
            "person_many_places": (PERSON_MANY_PLACES, (places["minutes"] * 60, org, places["places"])),
            "terminal_many_cards": (TERMINAL_MANY_CARDS, (cards["minutes"] * 60, org, cards["persons"])),
            "split_bills": (
                SPLIT_BILLS,
                (org, split["each_below_yuan"] * 100, split["bills"], split["together_yuan"] * 100),
            ),
            "refunds": (REFUNDS, (org, refunds["voids"], refunds["percent"])),
        }
        return [
            (rule, str(subject), str(case_id), int(count))
            for rule, (statement, parameters) in asked.items()
            if rules[rule]["enabled"]
            for subject, case_id, count in working.rows(statement, *parameters)
        ]

    async def _of_lines(self, day: str) -> list[Hit]:
        rule = self._rules["quantity"]
        if not rule["enabled"]:
            return []
        rows: list[Line] = []
        after = 0
        while page := await self._ledger.entries_with_person(self._org, day, after, PAGE):
            after = page[-1][0]
            for _, entry, _ in page:
                rows += await self._lines(entry)
            await asyncio.sleep(0)  # reading them takes long; whoever settles goes between
        hits, usual = await asyncio.to_thread(self._of_rows, rows, rule)
        if rule["blocks"]:
            await self._keep_usual(day, usual)
        return hits

    def _of_rows(self, rows: Sequence[Line], rule: Mapping[str, Any]) -> tuple[list[Hit], dict[str, list[int]]]:
        """What is far above the others', and each item's lines and sum."""
        with self._books.working() as working:
            working.run(LINES)
            working.load("lines", ("case_id", "item", "hundredths"), rows)
            parameters = (rule["lines"], rule["at_least"] * 100, rule["times"])
            found = working.rows(QUANTITY, *parameters)
            hits: list[Hit] = [("quantity", str(subject), str(case), int(count)) for subject, case, count in found]
            usual = working.rows(USUAL_LINES, rule["lines"])
            return hits, {str(item): [int(count), int(whole)] for item, count, whole in usual}

    async def _keep_usual(self, day: str, usual: Mapping[str, Sequence[int]]) -> None:
        """What a settlement is measured against until the next day is watched."""
        known = await self._ledger.account_item(usual_id(self._org))
        if not usual or (known is not None and known.day > day):
            return
        now = self._notes.stamp()
        await self._notes.noted(
            AccountItem(
                usual_id(self._org), self._org, USUAL, "quantity", day, "kept",
                opened_at=known.opened_at if known else now, changed_at=now,
                version=known.version + 1 if known else 1, facts={USUAL: dict(usual)},
            )
        )  # fmt: skip

    async def _lines(self, entry: Entry) -> list[Line]:
        case = await self._ledger.case(entry.case_id) if entry.entry == "settle" else None
        bill = await self._ledger.bill(case.bill_id) if case else None
        fees = bill.content.get("fees", []) if bill else []
        return [
            (entry.case_id, str(row.get("med_list_codg", "")), int(row["cnt"] * 100)) for row in fees if row.get("cnt")
        ]

    async def _of_identity(self, day: str) -> list[Hit]:
        rule = self._rules["identity"]
        if not rule["enabled"]:
            return []
        ended = await asyncio.to_thread(self._ended, day)
        cases = [await self._ledger.case(case_id) for case_id in ended]
        named = [
            case
            for case in cases
            if case is not None
            and case.told.get("code") in rule["codes"]
            and national_date(datetime.fromisoformat(case.changed_at)) == day
        ]
        return [("identity", case.case_id, case.case_id, 1) for case in named]

    def _ended(self, day: str) -> list[str]:
        """Cases opened until the end of a day that came to nothing."""
        begin = parse_national_time(f"{day} 00:00:00")
        asked = (self._org, iso(begin - NAMED_SINCE), iso(begin + timedelta(days=1)))
        with self._books.working() as working:
            return [str(row[0]) for row in working.rows(ENDED.format(ledger=working.ledger), *asked)]

    async def _flagged(self, day: str, rule: str, subject: str, case_id: str, count: int) -> AccountItem:
        number = made_id(self._org, TOPIC, day, rule, subject)
        known = await self._ledger.account_item(number)
        if known is not None:
            return known
        now = self._notes.stamp()
        facts = {"what": subject, "count": str(count), "title": TITLES[rule]}
        item = AccountItem(
            number, self._org, TOPIC, rule, day, OPEN, case_id, opened_at=now, changed_at=now, facts=facts
        )
        await self._notes.noted(item, event="FLAGGED", rule=rule, count=str(count))
        return item
