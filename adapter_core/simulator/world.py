"""The simulated centre's world: its state, and the moves that every transaction is made of.  The clock is handed in.

Nothing here knows a wire.  Money moves in four places only: `settle`, `refund`, `reverse`, `revive`.
"""

from __future__ import annotations

import tomllib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from adapter_core.simulator.benefits import Benefits, Bill, Counters, Split, bill_of, split
from adapter_core.simulator.catalogue import Catalogue, Shares
from adapter_core.simulator.people import Insurance, People, Person, person_from
from adapter_core.simulator.publications import Published
from adapter_core.simulator.records import Answer, Asked, FeeLine, Place, Refund, Refusal, Settlement, Visit
from adapter_core.values.copies import replace
from adapter_core.values.moments import Clock, national_date, parse_national_time
from adapter_core.values.money import yuan

ANSWERS_KEPT = 5_000
"""Answers kept by msgid, for ``dedup_msgid`` and ``other_reply``: of creates, trials and money."""


@dataclass(frozen=True, slots=True)
class Temperament:
    """How this centre behaves where centres differ.  The defaults refuse little and promise nothing.

    dedup_msgid: a money message with a known msgid gets the first answer again instead of happening twice.
    refuse_second: a settled bill is not settled again.  query: 5203 ``by_visit`` | ``by_setl_id_only`` | ``none``.
    query_lag_s: how long 5203 doesn't see a change yet.  reverse_missing: 2601 of nothing answers ``ok`` | ``error``.
    reverse_window: ``same_day`` | ``until_cleared``.  recon_carries_msgid: the 3202 result file names the msgid.
    sign_in: calls need a sign_no from 9001.  diagnoses: a trial needs them.  discharge: 2304 (final) needs 2402.
    strict_input: a field that breaks the standard's tables refuses the message (5203 may leave out setl_id).
    wording: refusals in its ``own`` words, or in those ``seen`` of real centres.  wrapped: how many platforms pass a refusal on, each
    with the whole reply of the one behind it in its text.
    lists_sales: 5201 shows the visits that pharmacy sales made, too.
    Of two-phase families: two_phase_refunds: their refunds wait for a confirm as well.  unconfirmed_s: what nobody confirmed for so
    long is undone (0 = never).
    shows_prepared: queries show it meanwhile.  confirm_again: ``ok`` | ``error``, what a second confirm meets.
    """

    dedup_msgid: bool = False
    refuse_second: bool = False
    query: str = "by_visit"
    query_lag_s: float = 0.0
    reverse_missing: str = "ok"
    reverse_window: str = "same_day"
    recon_carries_msgid: bool = True
    sign_in: bool = False
    diagnoses: bool = False
    discharge: bool = False
    strict_input: bool = False
    two_phase_refunds: bool = False
    unconfirmed_s: float = 0.0
    shows_prepared: bool = False
    confirm_again: str = "ok"
    lists_sales: bool = True
    wording: str = "own"
    wrapped: int = 0

    def changed(self, changes: Mapping[str, Any]) -> Temperament:
        """Raises: ValueError naming what is wrong."""
        choices = {
            "query": ("by_visit", "by_setl_id_only", "none"),
            "reverse_missing": ("ok", "error"),
            "reverse_window": ("same_day", "until_cleared"),
            "confirm_again": ("ok", "error"),
            "wording": ("own", "seen"),
            "wrapped": (0, 1, 2, 3),
        }
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"no temperament {name!r}; there are {', '.join(known)}")
            if name in choices and value not in choices[name]:
                raise ValueError(f"{name} is one of {', '.join(map(str, choices[name]))}")
            if isinstance(known[name], bool) and not isinstance(value, bool):
                raise ValueError(f"{name} is true or false")
        seconds = {name: changes.get(name, known[name]) for name in ("query_lag_s", "unconfirmed_s")}
        for name, value in seconds.items():
            if isinstance(value, (bool, str)) or float(value) < 0:
                raise ValueError(f"{name} is a number of seconds")
        return replace(self, **{**changes, **{name: float(value) for name, value in seconds.items()}})


@cache
def data_table(name: str) -> Mapping[str, Any]:
    """One of the package's data files, parsed."""
    return tomllib.loads((files("adapter_core.simulator") / "data" / f"{name}.toml").read_text("utf-8"))


class World:
    """All truth of one simulated centre.  ``seed`` is part of every id it makes; there is no other randomness."""

    def __init__(self, clock: Clock, seed: int = 1) -> None:
        self.clock = clock
        self.seed = seed
        self.temperament = Temperament()
        self.catalogue = Catalogue(data_table("catalogue"))
        self.benefits = Benefits(data_table("benefits"))
        self.people = People(map(person_from, data_table("people")["person"]))
        self.visits: dict[str, Visit] = {}
        self.settlements: dict[str, Settlement] = {}
        self.refunds: dict[str, Settlement] = {}
        self.prepared_refunds: dict[str, tuple[Settlement, Refund]] = {}
        self.sales: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.counters: dict[tuple[str, str, str, str], Counters] = {}
        self.sign_ins: dict[str, str] = {}
        self.published = Published()
        self.files: dict[str, tuple[str, bytes]] = {}
        self.clearings: dict[str, dict[str, Any]] = {}
        self.confirmed: dict[str, str] = {}
        self.answers: OrderedDict[str, tuple[str, Answer]] = OrderedDict()
        self._numbers: dict[str, int] = {}
        for stay in data_table("people")["stay"]:
            self._seed_stay(stay)

    # ids and time

    def number(self, what: str) -> int:
        """The next number of a kind, from 1."""
        self._numbers[what] = self._numbers.get(what, 0) + 1
        return self._numbers[what]

    def identity(self, letter: str) -> str:
        """A new id: a letter, the seed, a counter; e.g. ``M000100000001``."""
        return f"{letter}{self.seed % 10_000:04}{self.number(letter):08}"

    def today(self) -> str:
        return national_date(self.clock.wall())

    def visible(self, since: float) -> bool:
        """Whether queries see a change made at that monotonic time yet."""
        return self.clock.mono() - since >= self.temperament.query_lag_s

    # people

    def person(self, psn_no: str) -> Person:
        found = self.people.by_number(psn_no)
        if found is None:
            raise Refusal("person_unknown")
        return found

    def insurance(self, person: Person, insutype: str) -> Insurance:
        """The person's standing insurance of that type.  Raises: Refusal."""
        found = person.insurance(insutype)
        if found is None:
            raise Refusal("not_insured", insutype=insutype)
        if not found.active:
            raise Refusal("suspended")
        return found

    # visits

    def visit(self, mdtrt_id: str, psn_no: str) -> Visit:
        found = self.visits.get(mdtrt_id)
        if found is None:
            raise Refusal("visit_unknown")
        if found.psn_no != psn_no:
            raise Refusal("visit_other")
        if found.cancelled:
            raise Refusal("visit_cancelled")
        return found

    def standing(self, visit: Visit) -> list[Settlement]:
        """The visit's settlements that stand, oldest first."""
        return [one for one in visit.settlements if one.state == "settled"]

    def fee_line(
        self, sn: str, batch: str, row: Mapping[str, Any], amount: Decimal, cnt: Decimal, pric: Decimal
    ) -> FeeLine:
        shares = self.catalogue.shares(str(row.get("med_list_codg", "")), amount, cnt, pric)
        return FeeLine(sn, batch, dict(row), shares, cnt, pric)

    def _seed_stay(self, row: Mapping[str, Any]) -> None:
        visit = Visit(
            mdtrt_id=row["mdtrt_id"],
            msgid="",
            psn_no=row["psn_no"],
            insutype=row["insutype"],
            kind="inpatient",
            med_type=row["med_type"],
            begntime=row["begntime"],
            facts={"ipt_no": row["ipt_no"]},
            fixmedins_code="",
            fixmedins_name="",
            at=parse_national_time(row["begntime"]),
            endtime=row["endtime"],
            discharged=True,
        )
        for fee in row["fees"]:
            amount, cnt, pric = yuan(fee["det_item_fee_sumamt"]), Decimal(fee["cnt"]), Decimal(fee["pric"])
            named = {**fee, "fee_ocur_time": row["begntime"], "med_type": row["med_type"]}
            visit.lines[fee["feedetl_sn"]] = self.fee_line(fee["feedetl_sn"], "", named, amount, cnt, pric)
        self.visits[visit.mdtrt_id] = visit

    # benefits

    def _counter_key(self, psn_no: str, insutype: str, kind: str, day: str) -> tuple[str, str, str, str]:
        return (psn_no, insutype, kind, day[:4])

    def used(self, psn_no: str, insutype: str, kind: str) -> Counters:
        """What the person used up this year."""
        return self.counters.get(self._counter_key(psn_no, insutype, kind, self.today()), Counters())

    def quote(
        self, visit: Visit, lines: Iterable[FeeLine], med_type: str, insutype: str, account_allowed: bool
    ) -> Split:
        """The split these lines would have now.  Raises: Refusal when more is returned than was sold."""
        person = self.person(visit.psn_no)
        insurance = self.insurance(person, insutype)
        bill = self._bill(line.shares for line in lines)
        kind = self.benefits.kind(med_type)
        return split(
            self.benefits.rule(insurance.insuplc_admdvs, insutype, kind),
            bill,
            insurance,
            self.used(person.psn_no, insutype, kind),
            account_allowed=account_allowed,
            aided="aid" in person.flags,
        )

    def _bill(self, lines: Iterable[Shares]) -> Bill:
        bill = bill_of(lines)
        parts = (bill.fulamt_ownpay_amt, bill.overlmt_selfpay, bill.preselfpay_amt, *bill.inside.values())
        if any(part < 0 for part in parts):
            raise Refusal("lines_negative")
        return bill

    # money

    def settle(self, settlement: Settlement) -> None:
        """Money moves: account, counters, lines."""
        self.settlements[settlement.setl_id] = settlement
        settlement.visit.settlements.append(settlement)
        self._move(settlement, +1)
        for sn in settlement.lines:
            settlement.visit.lines[sn].setl_id = settlement.setl_id

    def prepare(self, settlement: Settlement) -> None:
        """Phase one of a two-phase family: nothing moves yet."""
        settlement.state = "prepared"
        self.settlements[settlement.setl_id] = settlement
        settlement.visit.settlements.append(settlement)

    def confirm(self, settlement: Settlement) -> None:
        """Phase two.  Raises: Refusal when the lines were settled otherwise meanwhile."""
        taken = next((sn for sn in settlement.lines if settlement.visit.lines[sn].setl_id), None)
        if taken is not None:
            raise Refusal("line_settled", sn=taken)
        settlement.state, settlement.since = "settled", self.clock.mono()
        self._move(settlement, +1)
        for sn in settlement.lines:
            settlement.visit.lines[sn].setl_id = settlement.setl_id

    def prepare_refund(self, settlement: Settlement, refund: Refund) -> None:
        """Phase one of a refund: the settlement stands until it is confirmed."""
        refund.state = "prepared"
        self.prepared_refunds[refund.setl_id] = (settlement, refund)

    def undo_unconfirmed(self) -> None:
        """What nobody confirmed in time comes to nothing."""
        if not self.temperament.unconfirmed_s:
            return
        for _, made in self.prepared_refunds.values():
            if made.state == "prepared" and self.clock.mono() - made.since >= self.temperament.unconfirmed_s:
                made.state, made.since = "undone", self.clock.mono()
        for one in self.settlements.values():
            if one.state == "prepared" and self.clock.mono() - one.since >= self.temperament.unconfirmed_s:
                one.state, one.since = "undone", self.clock.mono()

    def refund(self, settlement: Settlement, refund: Refund) -> None:
        """A refund: everything comes back; the lines may be settled again."""
        settlement.state, settlement.refund = "refunded", refund
        self.refunds[refund.setl_id] = settlement
        self._release(settlement)

    def reverse(self, settlement: Settlement) -> None:
        """2601 of a settlement: as if it had never been."""
        settlement.state = "reversed"
        self._release(settlement)

    def revive(self, settlement: Settlement) -> None:
        """2601 of a refund: the settlement stands again."""
        assert settlement.refund is not None
        settlement.refund.state, settlement.state = "reversed", "settled"
        self._move(settlement, +1)
        for sn in settlement.lines:
            settlement.visit.lines[sn].setl_id = settlement.setl_id

    def _release(self, settlement: Settlement) -> None:
        self._move(settlement, -1)
        for sn in settlement.lines:
            line = settlement.visit.lines.get(sn)
            if line is not None and line.setl_id == settlement.setl_id:
                line.setl_id = ""

    def _move(self, settlement: Settlement, sign: int) -> None:
        told = settlement.split
        key = self._counter_key(
            settlement.visit.psn_no, settlement.insutype, told.rule.kind, national_date(settlement.at)
        )
        before = self.counters.get(key, Counters())
        self.counters[key] = before.plus(told.moved) if sign > 0 else before.minus(told.moved)
        insurance = self.person(settlement.visit.psn_no).insurance(settlement.insutype)
        if insurance is not None:
            insurance.balc -= sign * told.acct_pay

    # answers

    def keep(self, asked: Asked, answer: Answer) -> None:
        """Remember an answer by its msgid."""
        self.answers[asked.msgid] = (asked.infno, answer)
        while len(self.answers) > ANSWERS_KEPT:
            self.answers.popitem(last=False)

    def place(self, asked: Asked) -> Place:
        return Place(asked.fixmedins_code, asked.fixmedins_name, asked.mdtrtarea_admvs)
