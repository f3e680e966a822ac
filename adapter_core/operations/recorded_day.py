"""A recorded day: what the HIS asked for on a day and what it was told, with every person replaced by a fictional one.

Nothing of a patient is kept but what was done and what it cost: who, and every reference of the HIS's own, is replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from adapter_core.bootstrap.assembly import Adapter
from adapter_core.province.messages import Operation
from adapter_core.province.relay import NAME as RELAYED
from adapter_core.settlement.answers import work_order
from adapter_core.settlement.records import Bill, Case, Encounter, Event
from adapter_core.settlement.ways import ONLY, way_of
from adapter_core.simulator.people import Person
from adapter_core.values.content import Content
from adapter_core.values.moments import CHINA, iso

CASES_MAX = 100_000
UNTOLD = "PENDING"
FENS = ("total_fen", "fund_fen", "account_fen", "cash_fen")
PERSONAL = frozenset(
    {"mdtrt_id", "tel", "coner_name", "coner_tel", "addr", "medrcdno", "ipt_no", "ipt_otp_no", "otp_no"}
)
"""Fields of a visit that name the person, or were the centre's own."""
ASKED_ANEW = frozenset({"insutype", "invono", "mdtrt_id", "psn_no"})
"""Fields of a settlement that depend on the person, or are drawn anew."""
CARDS = {"01": "ectoken", "02": "certno", "03": "card_no"}
"""``mdtrt_cert_type`` → which number of a fictional person is shown."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one message.  state: SETTLED, QUOTED …, or REFUSED with the refusal's code; amounts in fen, by name."""

    state: str
    code: str
    amounts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message of the day.  number: its work order; way: the gateway it went by; operation: to be played, people replaced."""

    number: str
    way: str
    operation: Operation
    told: Told


@dataclass(frozen=True, slots=True)
class Day:
    """messages: in the order they came; skipped: work order → why it can't be played again."""

    messages: Sequence[Recorded]
    skipped: Mapping[str, str]


async def recorded_day(running: Adapter, org: str, day: date, people: Iterable[Person]) -> Day:
    """Everything that opened a case on that day (China time).  people: the fictional ones to put in place of the real."""
    begins = datetime.combine(day, time(), CHINA)
    first, last = iso(begins), iso(begins + timedelta(days=1))
    changed = await running.ledger.cases_changed(org, (), first, CASES_MAX)
    cases = sorted((case for case in changed if first <= case.opened_at < last), key=lambda case: case.opened_at)
    place = running.place_named(org)
    masks = _Masks(people, place.site.admdvs, day)
    names = {case.case_id: f"R{number}" for number, case in enumerate(cases, 1)}
    messages, skipped = [], {}
    for case in cases:
        events = await running.ledger.events_of_case(case.case_id)
        accepted = next((event.data["operation"] for event in events if event.kind == "ACCEPTED"), None)
        if accepted is None:
            continue  # papers, and what follows a settlement by itself
        why = _not_playable(case, accepted, names)
        if why:
            skipped[work_order(case)] = why
            continue
        encounter, bill = await running.ledger.encounter(case.encounter_id), await running.ledger.bill(case.bill_id)
        assert encounter is not None
        assert bill is not None
        for operation in _operations(case, accepted, encounter, bill, names, masks, _was_quoted(events)):
            told = _told(case, events, operation.verb)
            messages.append(Recorded(work_order(case), way_of(encounter) or ONLY, operation, told))
    return Day(messages, skipped)


def _not_playable(case: Case, accepted: Mapping[str, Any], names: Mapping[str, str]) -> str:
    if accepted["dialect"] == RELAYED:
        return "国家接口直传，明细不在本系统账单中"
    if case.purpose == "void" and case.target_case_id not in names:
        return "退的是其他日期的结算"
    return ""


def _was_quoted(events: Sequence[Event]) -> bool:
    return any(event.kind == "SETTLE_ASKED" for event in events)


def _told(case: Case, events: Sequence[Event], verb: str) -> Told:
    """What the HIS was told last of this case itself, or of its quote; a refund is another case."""
    told = [event.data for event in events if event.kind == "TOLD" and event.data["state"] != UNTOLD]
    if not told:
        return Told(UNTOLD, UNTOLD)
    if told[-1]["state"] == "QUOTED" or (verb == "quote" and _was_quoted(events)):
        return Told("QUOTED", "QUOTED", {name: int(fen) for name, fen in case.data.get("quoted", {}).items()})
    fens = {name: getattr(case, name) for name in FENS}
    known = {name: fen for name, fen in fens.items() if fen is not None}
    return Told(str(told[-1]["state"]), str(told[-1]["code"]), known)


def _operations(
    case: Case,
    accepted: Mapping[str, Any],
    encounter: Encounter,
    bill: Bill,
    names: Mapping[str, str],
    masks: _Masks,
    was_quoted: bool,
) -> list[Operation]:
    """The message as it can be said again; a quote that was settled later is settled, too."""
    name, dialect, message = names[case.case_id], str(accepted["dialect"]), str(accepted["message"])
    echo = dict(accepted.get("echo", {}))
    if case.purpose == "void":
        keys = {"settle": names[case.target_case_id], "void": name}
        return [Operation("void", message, dialect, case.kind, keys=keys, echo=echo)]
    content = masks.content(encounter, bill, accepted["content"])
    keys = {"settle": name, "visit": f"V{bill.bill_id}", "encounter": f"E{encounter.encounter_id}"}
    verbs = ["quote", "settle"] if was_quoted else [str(accepted["verb"])]
    return [Operation(verb, message, dialect, case.kind, "", content, {}, keys, False, True, echo) for verb in verbs]


class _Masks:
    """Fictional people in place of real ones: the same for the same person, insured in the same province and filed for care here
    where there is such a one."""

    def __init__(self, people: Iterable[Person], care: str, day: date) -> None:
        self._care, self._day = care, day
        self._people = [one for one in people if len(one.insurances) == 1 and one.insurances[0].active]
        self._known: dict[str, Person] = {}

    def content(self, encounter: Encounter, bill: Bill, said: Content) -> Content:
        """What one message asked for, with all of its bill and nothing of its person."""
        person = {**encounter.content.get("person", {}), **said.get("person", {})}
        visit = {**encounter.content.get("visit", {}), **said.get("visit", {})}
        settle = {**bill.content.get("settle", {}), **said.get("settle", {})}
        return {
            "person": self._shown(person),
            "visit": {name: value for name, value in visit.items() if name not in PERSONAL},
            "settle": {name: value for name, value in settle.items() if name not in ASKED_ANEW},
            "fees": [dict(row) for row in bill.content.get("fees", [])],
            "diagnoses": [dict(row) for row in bill.content.get("diagnoses", [])],
        }

    def _shown(self, person: Mapping[str, Any]) -> Content:
        stands_in = self._stands_in(person)
        kind = str(person.get("mdtrt_cert_type") or "02")
        number = getattr(stands_in, CARDS.get(kind, "certno"))
        shown: Content = {"mdtrt_cert_type": kind, "mdtrt_cert_no": number, "psn_name": stands_in.psn_name}
        return {**shown, **({"card_sn": stands_in.card_no} if person.get("card_sn") else {})}

    def _stands_in(self, person: Mapping[str, Any]) -> Person:
        who = str(person.get("psn_no") or person.get("certno") or person.get("mdtrt_cert_no") or "")
        if who not in self._known:
            province = str(person.get("insuplc_admdvs") or "")[:2]
            near = [one for one in self._people if one.insurances[0].insuplc_admdvs.startswith(province)]
            filed = [
                one for one in near if not one.filing_fault(one.insurances[0].insuplc_admdvs, self._care, self._day)
            ]
            among = filed or near or self._people
            self._known[who] = among[len(self._known) % len(among)]
        return self._known[who]
