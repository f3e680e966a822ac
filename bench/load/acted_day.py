"""A business day acted twice, at the simulated centre's world and on a ledger's own records, with differences of every class.

Nothing here edits a row that a matcher reads: the world settles, refunds and reverses, the ledger books through the product's own
function.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import structs

from adapter_core.ledger import sqlite_file
from adapter_core.ledger.projections import BILLS, CALLS, CASES, ENCOUNTERS, ENTRIES
from adapter_core.ledger.sealing import read_master_key
from adapter_core.province.gateway import Site
from adapter_core.province.national import national
from adapter_core.settlement.calls import Context
from adapter_core.settlement.decisions import settled
from adapter_core.settlement.entries import booked
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import Bill, CallRecord, Case, Encounter, Entry
from adapter_core.settlement.states import State
from adapter_core.simulator.records import Place as Whose
from adapter_core.simulator.records import Refund, Settlement, Visit
from adapter_core.simulator.settling import outcome_told, refund_told
from adapter_core.simulator.world import World
from adapter_core.values.copies import replace
from adapter_core.values.moments import iso, national_date, parse_national_time

ORG = "H36010000001"
VISITS = 40
CLASSES = (
    "found_in_doubt", "found_reversing", "found_disproved", "found_frozen", "other_day", "refunded_elsewhere",
    "foreign_same_visit", "foreign", "ours_only", "refund_ours_only", "total_differs", "split_differs",
)  # fmt: skip


class StandingClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def mono(self) -> float:
        return 0.0

    def wall(self) -> datetime:
        return self.at


class Day:
    """One business day, acted at the centre and booked in the ledger's records.  Both processes make the same one."""

    def __init__(self, day: str, count: int, per_class: int) -> None:
        self.day = day
        self.clock = StandingClock(parse_national_time(f"{day} 10:00:00"))
        self.world = World(self.clock, seed=int(day.replace("-", "")) % 10_000)
        self.expected: dict[str, str] = {}
        self.count, self.per_class = count, per_class
        self._site = Site(ORG, "测试医院", "360100")
        self.place = Place(self._site, national(self._site))
        self._visits = self._registered()
        self._next = 0

    def _registered(self) -> list[tuple[Visit, Any]]:
        """Visits with one line each, split by the place of insurance's rules."""
        found = []
        people = [one for one in self.world.people if one.insurances and one.insurances[0].active]
        for number in range(VISITS):
            person = people[number % len(people)]
            insutype = person.insurances[0].insutype
            visit = Visit(
                self.world.identity("M"), "", person.psn_no, insutype, "outpatient", "11", f"{self.day} 09:00:00", {},
                ORG, "测试医院", self.clock.wall(),
            )  # fmt: skip
            amount = Decimal(100 + number)
            row = {"med_list_codg": "XA00000001"}
            visit.lines["F1"] = self.world.fee_line("F1", "B1", row, amount, Decimal(1), amount)
            self.world.visits[visit.mdtrt_id] = visit
            found.append((visit, self.world.quote(visit, visit.lines.values(), "11", insutype, True)))
        return found

    def settlement(self, msgid: str) -> Settlement:
        """The centre settles a visit of its own."""
        like, split = self._visits[self._next % VISITS]
        visit = replace(like, mdtrt_id=self.world.identity("M"), settlements=[])
        self.world.visits[visit.mdtrt_id] = visit
        return self._settled(visit, split, msgid)

    def again(self, one: Settlement, msgid: str) -> Settlement:
        """Somebody else settles the same visit once more."""
        return self._settled(one.visit, one.split, msgid)

    def _settled(self, visit: Visit, split: Any, msgid: str) -> Settlement:
        self._next += 1
        one = Settlement(
            self.world.identity("J"), "2207", msgid, visit, "B1", "11", visit.insutype, "02", "", split,
            self.clock.wall() + timedelta(seconds=self._next % 30_000), 0.0, Whose(ORG, "测试医院", "360100"), (),
        )  # fmt: skip
        self.world.settle(one)
        return one

    def once_more(self, day: str) -> None:
        """At the centre the same day again under another date, with numbers of its own."""
        turn = Turn(self.day, day)
        for one in self.world.settlements.values():
            one.setl_id, one.msgid, one.at = turn.number(one.setl_id), turn.text(one.msgid), one.at + turn.by
            if one.refund is not None:
                back = one.refund
                back.setl_id, back.msgid, back.at = turn.number(back.setl_id), turn.text(back.msgid), back.at + turn.by
        for visit in {id(one.visit): one.visit for one in self.world.settlements.values()}.values():
            visit.mdtrt_id = turn.number(visit.mdtrt_id)
        self.world.settlements = {one.setl_id: one for one in self.world.settlements.values()}
        self.world.visits = {visit.mdtrt_id: visit for visit in self.world.visits.values()}
        self.day = day

    def refund(self, one: Settlement, msgid: str) -> Refund:
        made = Refund(self.world.identity("J"), "2208", msgid, self.clock.wall(), 0.0)
        self.world.refund(one, made)
        return made


class Turn:
    """From one date to another: the same records under fresh keys."""

    def __init__(self, before: str, day: str) -> None:
        self._dates = [(before, day), (before.replace("-", ""), day.replace("-", "")), (_next(before), _next(day))]
        self._mark = f"d{day[-2:]}"
        self.by = parse_national_time(f"{day} 00:00:00") - parse_national_time(f"{before} 00:00:00")

    def number(self, text: str) -> str:
        """A number of the centre's."""
        return text and f"{text.partition('d')[0]}{self._mark}"

    def text(self, text: str) -> str:
        for before, day in self._dates:
            if before in text:
                return text.replace(before, day)
        return text

    def record(self, record: Any) -> Any:
        changed = {
            name: (self.number if name.endswith(("setl_id", "mdtrt_id")) else self.text)(value)
            for name in record.__struct_fields__
            if isinstance(value := getattr(record, name), str) and type(value) is str
        }
        return structs.replace(record, **changed)


def _next(day: str) -> str:
    return national_date(parse_national_time(f"{day} 12:00:00") + timedelta(days=1))


class Copy:
    """The ledger's own records of a day, written as its projections write them, with the keys of the ledger's file.

    kept: all of them, to be written once more under other dates."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, day: Day, keeps: bool = False) -> None:
        self.kept: list[tuple[Any, Any]] = []
        self._keeps = keeps
        self._connection, self._day = connection, day
        keys = sqlite_file.data_keys(connection, read_master_key(folder / "master.key"))
        row = connection.execute("SELECT key_id FROM data_keys ORDER BY key_id LIMIT 1").fetchone()
        if row is None:
            key = keys.master.new_data_key(1, day.day)
            connection.execute("INSERT INTO data_keys VALUES (?, ?, ?)", (key.key_id, key.day, key.wrapped))
            row = (1,)
        self._key = keys.of(row[0])
        self._rows: dict[Any, list[Any]] = {one: [] for one in (ENCOUNTERS, BILLS, CASES, CALLS, ENTRIES)}
        self._contexts: dict[str, Context] = {}

    def _context(self, one: Settlement) -> Context:
        known = self._contexts.get(one.visit.mdtrt_id)
        if known is not None:
            return known
        number = f"{self._day.day}-{one.visit.mdtrt_id}"
        person = {"psn_no": one.visit.psn_no, "insuplc_admdvs": one.split.rule.place or "330100"}
        encounter = Encounter(
            f"e{number}",
            ORG,
            number,
            "outpatient",
            "bench",
            1,
            one.visit.mdtrt_id,
            {"person": person, "env": {"opter": "001"}},
        )
        bill = Bill(
            f"b{number}", ORG, encounter.encounter_id, number, "B1", 1, False, {"settle": {"insutype": one.insutype}}
        )
        self._add(ENCOUNTERS, encounter)
        self._add(BILLS, bill)
        context = Context(self._day.place, encounter, bill)
        self._contexts[one.visit.mdtrt_id] = context
        return context

    def case(
        self, number: str, one: Settlement, state: State, msgid: str, purpose: str = "settle", burnt: bool = False
    ) -> Case:
        """A case in SENDING whose money call left, and what became of it."""
        context = self._context(one)
        at = iso(one.at)
        case = Case(
            number, ORG, purpose, number, number, context.encounter.encounter_id, context.bill.bill_id, "outpatient", "bench",
            State.SENDING, "", 1, insuplc_admdvs=context.encounter.content["person"]["insuplc_admdvs"], opened_at=at, changed_at=at,
        )  # fmt: skip
        call = CallRecord(
            f"k{number}", ORG, msgid, "pay" if purpose == "settle" else "refund", "2207", "N", number,
            context.encounter.encounter_id, context.bill.bill_id, not_after=at, burnt=burnt, version=1,
        )  # fmt: skip
        self._add(CALLS, call)
        if state not in (State.SETTLED, State.VOIDED):
            case = replace(case, state=state)
            self._add(CASES, case)
        return case

    def book(self, case: Case, one: Settlement, result: dict[str, Any], msgid: str, at: datetime) -> Entry:
        """What the product does when a settlement or a refund stands."""
        concluded, entry = booked(self._context(one), settled(case, result, iso(at)), result, msgid, at)
        self._add(CASES, replace(concluded, version=1))
        self._add(ENTRIES, replace(entry, version=1))
        return entry

    def once_more(self, turn: Turn) -> None:
        """The day's records again under another date."""
        for number, (projection, record) in enumerate(self.kept):
            self._seal(projection, turn.record(record))
            if number % 20_000 == 19_999:
                self.write()
        self.write()

    def _add(self, projection: Any, record: Any) -> None:
        if self._keeps:
            self.kept.append((projection, record))
        self._seal(projection, record)

    def _seal(self, projection: Any, record: Any) -> None:
        sealed = projection.sealed_columns(record, projection.document(record), self._key)
        self._rows[projection].append((*projection.values(record), *sealed))

    def write(self) -> None:
        self._connection.execute("BEGIN")
        for projection, rows in self._rows.items():
            self._connection.executemany(projection.insert, rows)
            rows.clear()
        self._connection.execute("COMMIT")
        self._contexts.clear()


def result_of(day: Day, one: Settlement) -> dict[str, Any]:
    told: dict[str, Any] = outcome_told(day.world, one, one.msgid, one.setl_id)["setlinfo"]
    return told


def play(day: Day, copy: Copy | None) -> None:
    """The whole day: what agrees, then each class's share.  copy: None in the centre's own process."""
    for number in range(day.count):
        msgid = f"{ORG}{day.day.replace('-', '')}{number:010}"
        kind = CLASSES[number % len(CLASSES)] if number < day.per_class * len(CLASSES) else ""
        ACTS.get(kind, agrees)(day, copy, f"{day.day}-{number}", msgid)
        if copy is not None and number % 5000 == 4999:
            copy.write()
    if copy is not None:
        copy.write()


def agrees(day: Day, copy: Copy | None, key: str, msgid: str) -> Settlement:
    one = day.settlement(msgid)
    if copy is not None:
        copy.book(copy.case(key, one, State.SETTLED, msgid), one, result_of(day, one), msgid, one.at)
    return one


def in_state(state: State, burnt: bool = False) -> Any:
    def act(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
        """The reply was lost, or misread: the centre has it, the case says otherwise."""
        one = day.settlement(msgid)
        if copy is not None:
            copy.case(key, one, state, msgid, burnt=burnt)

    return act


def other_day(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    """Just before midnight at the centre; a reply without its time, booked by our clock after it."""
    one = day.settlement(msgid)
    if copy is not None:
        result = {name: value for name, value in result_of(day, one).items() if name != "setl_time"}
        copy.book(copy.case(key, one, State.SETTLED, msgid), one, result, msgid, one.at + timedelta(days=1))


def refunded_elsewhere(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    day.refund(agrees(day, copy, key, msgid), f"X{msgid[1:]}")


def foreign_same_visit(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    """Another terminal settles a visit of ours a second time."""
    day.again(agrees(day, copy, key, msgid), f"X{msgid[1:]}")


def foreign(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    """Another terminal's own visit."""
    day.settlement(f"Y{msgid[1:]}")


def ours_only(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    """A reversal of somebody else's came late."""
    day.world.reverse(agrees(day, copy, key, msgid))


def refund_ours_only(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
    """A refund that we booked was reversed at the centre."""
    one = agrees(day, copy, key, msgid)
    made = day.refund(one, f"Z{msgid[1:]}")
    if copy is not None:
        result = refund_told(day.world, one, made)["setlinfo"]
        copy.book(copy.case(f"{key}-void", one, State.VOIDED, made.msgid, "void"), one, result, made.msgid, made.at)
    day.world.revive(one)


def differing(names: tuple[str, ...]) -> Any:
    def act(day: Day, copy: Copy | None, key: str, msgid: str) -> None:
        """The reply's amounts were another trial's: of a bill with a line less, or before another bill used the deductible."""
        one = day.settlement(msgid)
        if copy is not None:
            result = result_of(day, one)
            first, second = names
            result = {
                **result,
                first: result[first] - 1,
                second: result[second] + (1 if first != "medfee_sumamt" else -1),
            }
            copy.book(copy.case(key, one, State.SETTLED, msgid), one, result, msgid, one.at)

    return act


ACTS = {
    "found_in_doubt": in_state(State.RESOLVING),
    "found_reversing": in_state(State.REVERSING, burnt=True),
    "found_disproved": in_state(State.REJECTED),
    "found_frozen": in_state(State.FROZEN),
    "other_day": other_day,
    "refunded_elsewhere": refunded_elsewhere,
    "foreign_same_visit": foreign_same_visit,
    "foreign": foreign,
    "ours_only": ours_only,
    "refund_ours_only": refund_ours_only,
    "total_differs": differing(("medfee_sumamt", "psn_cash_pay")),
    "split_differs": differing(("fund_pay_sumamt", "psn_cash_pay")),
}
