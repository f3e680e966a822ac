"""The audit after a season: the centre's truth, the wire's log, the ledger's export and what the HIS heard, side by side."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.ledger import inspection
from adapter_core.ledger.inspection import Reading
from adapter_core.ledger.sealing import read_master_key
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import State
from adapter_core.values.money import fen

from ..care import JOURNALLED_FIRST, kind_class
from .his import Visit
from .wire import Sent

SAME_AGAIN = frozenset({"rollback"})
"""The invented family's abort names the trade and nothing of its own: a second one has the same bytes."""
FAULTS = (
    "doubled",
    "lost",
    "changed answers",
    "sent without intent",
    "sent after a take-over",
    "ledger",
    "never decided",
)
ASKED = frozenset({"ACCEPTED", "RETRIED", "SETTLE_ASKED"})


@dataclass
class Findings:
    """faults: what must not be, by name; counts: what was."""

    faults: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, other: Findings) -> None:
        for name, texts in other.faults.items():
            self.faults[name] += texts
        self.counts += other.counts


@dataclass(frozen=True, slots=True)
class Books:
    """What a ledger holds: its cases, its journal unsealed, and whether it verifies."""

    cases: list[Case]
    journal: list[dict[str, Any]]
    is_whole: bool


def read_books(place: Path | str, master_key: Path) -> Books:
    """Of a ledger file, or of a database by its url.  Blocking; call outside of an event loop."""
    master, clock = read_master_key(master_key), SystemClock()
    reading = Reading(master, "crash rig", clock)
    if isinstance(place, Path):
        whole = inspection.verify(place, master).is_whole
        with SqliteLedger.open(place, master, environment="test", clock=clock, read_only=True) as ledger:
            cases = asyncio.run(ledger.cases_in(State))
        return Books(cases, list(inspection.export(place, reading)), whole)
    from adapter_core.ledger import postgres_inspection
    from adapter_core.ledger.postgres import PostgresLedger

    async def read_cases() -> list[Case]:
        opened = await PostgresLedger.open(place, master, environment="test", clock=clock, read_only=True)
        async with opened as ledger:
            return await ledger.cases_in(State)

    whole = postgres_inspection.verify(place, master).is_whole
    return Books(asyncio.run(read_cases()), list(postgres_inspection.export(place, reading)), whole)


def audit(
    visits: Sequence[Visit], books: Books, truth: Mapping[str, Any], sent: Sequence[Sent], owners: Mapping[str, str]
) -> Findings:
    """I1–I6, I14 and I20 of `reliability.md` §12.  owners: an owner's name in the ledger → the life that had it."""
    found = Findings()
    if not books.is_whole:
        found.faults["ledger"].append("verify: not whole")
    at_centre = defaultdict(list)
    for one in truth["settlements"]:
        at_centre[one["psn_no"]].append(one)
    of_visit = defaultdict(list)
    for case in books.cases:
        of_visit[case.visit_key].append(case)
    for visit in visits:
        _audit_visit(visit, of_visit[visit.name], at_centre[visit.psn_no], found)
    found.counts.update(f"{case.purpose} {case.state}" for case in books.cases)
    found.counts["visits"] += len(of_visit)
    found.counts.update(f"visits: {visit.care.name}" for visit in visits if of_visit[visit.name])
    _audit_wire(books.journal, sent, found)
    _audit_take_overs(books.journal, sent, owners, found)
    return found


def _audit_visit(visit: Visit, cases: list[Case], settlements: list[dict[str, Any]], found: Findings) -> None:
    found.faults["changed answers"] += visit.changed
    effective = [one for one in settlements if one["state"] == "settled"]
    if len(effective) > 1:
        found.faults["doubled"].append(f"{visit.name}: {len(effective)} effective settlements")
    if any(case.state is State.FROZEN for case in cases):
        return
    ours = [case for case in cases if case.purpose == "settle" and case.state is State.SETTLED]
    booked = {(case.setl_id, case.total_fen, case.fund_fen, case.account_fen, case.cash_fen) for case in ours}
    standing = {(one["setl_id"], *_amounts(one)) for one in effective}
    if booked != standing:
        found.faults["lost"].append(
            f"{visit.name}: ledger {booked}, centre {standing}, {[str(c.state) for c in cases]}"
        )
    keys = {case.key for case in ours}
    told = {name.split()[1] for name, one in visit.told.items() if one.states[-1:] == ["SETTLED"]}
    if told != keys:
        found.faults["lost"].append(f"{visit.name}: told SETTLED {sorted(told)}, ledger {sorted(keys)}")
    refunds = sum(one["state"] == "refunded" for one in settlements)
    voided = sum(case.purpose == "void" and case.state is State.VOIDED for case in cases)
    if refunds != voided:
        found.faults["lost"].append(f"{visit.name}: {refunds} refunds at the centre, {voided} in the ledger")


def _amounts(one: Mapping[str, Any]) -> list[int]:
    names = ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay")
    return [fen(Decimal(one["amounts"][name])) for name in names]


def _audit_wire(journal: Sequence[Mapping[str, Any]], sent: Sequence[Sent], found: Findings) -> None:
    """No msgid twice that moves money or may; whatever changes something at the centre was journalled before, byte for byte."""
    classes = {one.infno: kind_class(one.infno) for one in sent}
    once = [one for one in sent if classes[one.infno] in JOURNALLED_FIRST and one.infno not in SAME_AGAIN]
    met = Counter(one.msgid for one in once)
    found.faults["doubled"] += [f"msgid {msgid} {times} times on the wire" for msgid, times in met.items() if times > 1]
    intents: dict[str, str] = {}
    for row in journal:
        if row["kind"] == "INTENT":
            intents.setdefault(row["data"]["body_hash"], row["at"])
    for one in sent:
        if classes[one.infno] not in JOURNALLED_FIRST:
            continue
        found.counts["intents checked"] += 1
        if one.sha256 not in intents or intents[one.sha256] > one.at:
            found.faults["sent without intent"].append(f"{one.infno} {one.msgid} by {one.life}")


def _audit_take_overs(
    journal: Sequence[Mapping[str, Any]], sent: Sequence[Sent], owners: Mapping[str, str], found: Findings
) -> None:
    """Once a case was taken over, nothing of its former owner's leaves: neither what it had journalled, nor anything new."""
    on_wire = {one.sha256: one for one in sent if one.infno not in SAME_AGAIN}
    intents: defaultdict[str, list[Sent]] = defaultdict(list)
    former: defaultdict[str, set[str]] = defaultdict(set)
    meant: defaultdict[str, list[str]] = defaultdict(list)
    for row in journal:
        if row["kind"] == "INTENT":
            meant[row["data"]["body_hash"]].append(row["at"])
    for row in journal:
        case_id = row["case_id"]
        if row["kind"] == "CLAIMED":
            found.counts["take-overs"] += 1
            now = owners[row["data"]["owner"]]
            found.counts["taken up again by the same life"] += any(one.life == now for one in intents[case_id])
            # a confirm names its trade and nothing of its own: the new owner's, meant by it anew, has the bytes of the former's
            late = [
                one
                for one in intents[case_id]
                if one.at > row["at"] and not any(row["at"] < at <= one.at for at in meant[one.sha256])
            ]
            for one in late:
                texts = _history(journal, case_id)
                found.faults["sent after a take-over"].append(
                    f"{one.infno} {one.msgid} by {one.life} {one.at}: {texts}"
                )
            former[case_id] = (former[case_id] | {one.life for one in intents[case_id]}) - {now}
        elif row["kind"] in ASKED:
            former[case_id] = set()
        elif row["kind"] == "INTENT" and row["data"]["body_hash"] in on_wire:
            one = on_wire[row["data"]["body_hash"]]
            intents[case_id].append(one)
            if one.life in former[case_id]:
                found.faults["sent after a take-over"].append(f"{one.infno} {one.msgid}, new, by {one.life}")


def _history(journal: Sequence[Mapping[str, Any]], case_id: str) -> str:
    """What the journal says of a case, for whoever has to find out."""
    names = ("message", "msgid", "state", "owner", "code")
    rows = [row for row in journal if row["case_id"] == case_id]
    texts = [" ".join([row["at"], row["kind"], *(row["data"][n] for n in names if row["data"].get(n))]) for row in rows]
    return "; ".join(texts[-16:])
