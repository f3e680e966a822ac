"""Watching rules that a site lets block (``blocks = true`` in its rules file; none does as shipped).

A settlement that such a rule speaks against is not sent; the flag names why, and once the insurance office dismissed it with a reason,
the same person settles.  The rule is asked of the settlement at hand, over what was booked until now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from adapter_core.accounts.acting import ItemLedger
from adapter_core.accounts.books import Books
from adapter_core.accounts.differences import OPEN, STANDING, made_id
from adapter_core.accounts.watching import TITLES, TOPIC, USUAL, Rules, usual_id
from adapter_core.settlement.records import AccountItem, Bill, Case, Encounter, Entry
from adapter_core.settlement.states import State
from adapter_core.settlement.watch import Suspicion
from adapter_core.values.moments import Clock, iso, national_date, national_time
from adapter_core.values.money import fen, yuan

LOOKED_BACK = timedelta(days=2)
"""A case opened earlier is none of a rule's, whose days and windows are shorter."""
CASES_MAX = 200
IDENTITY_CARD = "02"
"""``mdtrt_cert_type``."""
ON_TERMINAL = (
    "SELECT DISTINCT case_id FROM {ledger}entries WHERE org = ? AND business_day = ? AND terminal = ? AND entry = 'settle' "
    "AND stands AND setl_time >= ? LIMIT 1000"
)


class BlockingLedger(ItemLedger, Protocol):
    async def encounter(self, encounter_id: str) -> Encounter | None: ...

    async def find(self, kind: str, value: str) -> list[str]: ...

    async def entries_of_case(self, case_id: str) -> list[Entry]: ...


@dataclass(frozen=True, slots=True)
class AtHand:
    """The settlement that is asked about.  person: the ids of the person's cases, oldest first."""

    encounter: Encounter
    bill: Bill
    case: Case
    person: tuple[str, ...]
    now: datetime

    @property
    def somebody(self) -> str:
        """The person by a name of ours: the first case there ever was of theirs."""
        return self.person[0] if self.person else self.case.case_id

    @property
    def day(self) -> str:
        return national_date(self.now)


Hit = tuple[str, int] | None
"""What the flag is about, and what was counted."""


class Blocking:
    """A `settlement.watch.Watch`."""

    def __init__(self, books: Books, ledger: BlockingLedger, rules: Rules, clock: Clock) -> None:
        self._books = books
        self._ledger = ledger
        self._clock = clock
        checks: Mapping[str, Callable[[Mapping[str, Any], AtHand], Awaitable[Hit]]] = {
            "person_many_places": self._many_places,
            "terminal_many_cards": self._many_cards,
            "quantity": self._quantity,
            "split_bills": self._split_bills,
        }
        self._rules = [(name, rules[name], check) for name, check in checks.items() if blocks(rules[name])]

    async def suspicion(self, encounter: Encounter, bill: Bill, case: Case) -> Suspicion | None:
        person = await self._cases_of(encounter.content.get("person", {}))
        at_hand = AtHand(encounter, bill, case, tuple(person), self._clock.wall())
        for name, rule, check in self._rules:
            hit = await check(rule, at_hand)
            if hit is None:
                continue
            found = await self._held(name, at_hand, *hit)
            if found is not None:
                return found
        return None

    async def _held(self, rule: str, at_hand: AtHand, subject: str, count: int) -> Suspicion | None:
        case = at_hand.case
        number = made_id(case.org, TOPIC, at_hand.day, rule, "blocked", subject)
        known = await self._ledger.account_item(number)
        if known is not None and known.state not in STANDING:
            return None  # somebody looked into it and said why it is right
        order = case.case_id[:10].upper()
        text = (
            f"监管规则“{TITLES[rule]}”（{count}）要求先核实：本次未发送、未结算，请勿改自费。"
            f"请联系医保办，核实并了结提示 {number} 后，用原业务号重新提交即可（工单号 {order}）"
        )
        if known is not None:
            return Suspicion(rule, count, number, None, text)
        now = iso(at_hand.now)
        facts = {"what": f"拦截结算 {order}", "count": str(count), "title": TITLES[rule], "blocks": "1"}
        item = AccountItem(
            number, case.org, TOPIC, rule, at_hand.day, OPEN, case.case_id, opened_at=now, changed_at=now, facts=facts
        )
        return Suspicion(rule, count, number, item, text)

    # -- the rules

    async def _many_places(self, rule: Mapping[str, Any], at_hand: AtHand) -> Hit:
        since = national_time(at_hand.now - timedelta(minutes=rule["minutes"]))
        entries = await self._settled(at_hand)
        places = {entry.org for entry in entries if entry.setl_time >= since} | {at_hand.case.org}
        return (at_hand.somebody, len(places)) if len(places) >= rule["places"] else None

    async def _split_bills(self, rule: Mapping[str, Any], at_hand: AtHand) -> Hit:
        settle, each = at_hand.bill.content.get("settle", {}), rule["each_below_yuan"] * 100
        total = _total_fen(at_hand.bill)
        if at_hand.case.kind != "outpatient" or total >= each:
            return None
        bills = [total] + [
            entry.total_fen
            for entry in await self._settled(at_hand)
            if (entry.org, entry.kind, entry.business_day) == (at_hand.case.org, "outpatient", at_hand.day)
            and entry.med_type == settle.get("med_type", entry.med_type)
            and entry.total_fen < each
        ]
        many = len(bills) >= rule["bills"] and sum(bills) >= rule["together_yuan"] * 100
        return (at_hand.somebody, len(bills)) if many else None

    async def _many_cards(self, rule: Mapping[str, Any], at_hand: AtHand) -> Hit:
        terminal = str(at_hand.encounter.content.get("env", {}).get("dev_no", ""))
        if not terminal or not _identity(at_hand.encounter.content.get("person", {}))[1]:
            return None  # asked again when the centre has told who it is
        since = national_time(at_hand.now - timedelta(minutes=rule["minutes"]))
        cases = await asyncio.to_thread(self._on_terminal, at_hand.case.org, at_hand.day, terminal, since)
        persons = {await self._psn_no(case_id) for case_id in cases}
        is_among_them = not set(cases).isdisjoint(at_hand.person)
        count = len(persons) + (0 if is_among_them else 1)
        return (terminal, count) if count >= rule["persons"] else None

    async def _quantity(self, rule: Mapping[str, Any], at_hand: AtHand) -> Hit:
        """Against the averages of the newest day that was watched."""
        lines = [(str(row.get("med_list_codg", "")), row.get("cnt")) for row in at_hand.bill.content.get("fees", [])]
        large = {item: int(Decimal(cnt) * 100) for item, cnt in lines if cnt and Decimal(cnt) >= rule["at_least"]}
        kept = await self._ledger.account_item(usual_id(at_hand.case.org)) if large else None
        usual = kept.facts[USUAL] if kept is not None else {}
        for item, hundredths in large.items():
            count, whole = map(int, usual.get(item, (0, 0)))
            if count >= rule["lines"] and hundredths * count >= rule["times"] * whole:
                return (at_hand.case.visit_key, hundredths // 100)
        return None

    # -- reading

    async def _cases_of(self, person: Mapping[str, Any]) -> list[str]:
        kind, value = _identity(person)
        return await self._ledger.find(kind, value) if value else []

    async def _settled(self, at_hand: AtHand) -> list[Entry]:
        """What the person settled lately and did not get back, at whatever institution of this ledger."""
        since = iso(at_hand.now - LOOKED_BACK)
        found: list[Entry] = []
        for case_id in at_hand.person[: -CASES_MAX - 1 : -1]:
            case = await self._ledger.case(case_id)
            if case is None or case.opened_at < since:
                break
            if case.state in (State.SETTLED, State.VOIDING):  # what was refunded, or this bill tried before, is none
                found += [entry for entry in await self._ledger.entries_of_case(case_id) if entry.stands]
        return found

    def _on_terminal(self, org: str, day: str, terminal: str, since: str) -> list[str]:
        with self._books.working() as working:
            rows = working.rows(ON_TERMINAL.format(ledger=working.ledger), org, day, terminal, since)
            return [str(row[0]) for row in rows]

    async def _psn_no(self, case_id: str) -> str:
        case = await self._ledger.case(case_id)
        encounter = await self._ledger.encounter(case.encounter_id) if case else None
        return str(encounter.content.get("person", {}).get("psn_no", "")) if encounter else ""


def blocks(rule: Mapping[str, Any]) -> bool:
    return bool(rule["enabled"] and rule.get("blocks", False))


def _identity(person: Mapping[str, Any]) -> tuple[str, str]:
    """By what the person is looked up, and its value: the centre's number, else the identity card the HIS read; "" for neither."""
    if person.get("psn_no"):
        return "psn_no", str(person["psn_no"])
    is_identity = person.get("mdtrt_cert_type") == IDENTITY_CARD
    return "certno", str(person.get("certno") or (person.get("mdtrt_cert_no") if is_identity else "") or "")


def _total_fen(bill: Bill) -> int:
    rows = bill.content.get("fees", [])
    return sum(fen(yuan(row["det_item_fee_sumamt"])) for row in rows if row.get("det_item_fee_sumamt") is not None)
