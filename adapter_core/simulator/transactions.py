"""The table of transactions, and the one way in: `answer`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from adapter_core.simulator import (
    applications,
    clearing,
    fees,
    identity,
    pharmacy,
    published,
    queries,
    settling,
    statements,
    visits,
)
from adapter_core.simulator.records import Answer, Asked, NoEffect, Refusal
from adapter_core.simulator.world import Temperament, World, data_table
from adapter_core.standard.codec import codec
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault

FAILED = "-1"
PASSED_ON = "参保地省平台返回："
"""How a platform begins that puts another one's whole reply into its own text."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """run: what it does; writes: it changes the centre's truth; once: a known msgid may be answered from memory;
    kept: the answer is kept by its msgid."""

    run: Callable[[World, Asked], Content | None]
    writes: bool = True
    once: bool = False
    kept: bool = False


TRANSACTIONS = {
    "1101": Transaction(identity.identify, writes=False),
    **{infno: Transaction(published.ticket, writes=False) for infno in sorted(published.FILES)},
    **{infno: Transaction(published.page, writes=False) for infno in sorted(published.PAGED)},
    "1901": Transaction(published.dictionary_rows, writes=False),
    "2001": Transaction(identity.benefit_check, writes=False),
    "2101": Transaction(pharmacy.trial, writes=False, kept=True),
    "2102": Transaction(pharmacy.settle, once=True),
    "2103": Transaction(pharmacy.void, once=True),
    "2201": Transaction(visits.register, once=True),
    "2202": Transaction(visits.cancel),
    "2203": Transaction(visits.inform),
    "2204": Transaction(fees.upload),
    "2205": Transaction(fees.withdraw),
    "2206": Transaction(settling.trial, writes=False, kept=True),
    "2207": Transaction(settling.settle, once=True),
    "2208": Transaction(settling.refund, once=True),
    "2301": Transaction(fees.upload),
    "2302": Transaction(fees.withdraw),
    "2303": Transaction(settling.trial, writes=False, kept=True),
    "2304": Transaction(settling.settle, once=True),
    "2305": Transaction(settling.refund, once=True),
    "2401": Transaction(visits.admit, once=True),
    "2402": Transaction(visits.discharge),
    "2403": Transaction(visits.change_stay),
    "2404": Transaction(visits.cancel),
    "2405": Transaction(visits.undo_discharge),
    "2501": Transaction(applications.file_transfer),
    "2502": Transaction(applications.unfile),
    "2503": Transaction(applications.file_chronic),
    "2504": Transaction(applications.unfile),
    "2505": Transaction(applications.file_chosen),
    "2506": Transaction(applications.unfile),
    "2601": Transaction(settling.reverse),
    "3201": Transaction(queries.totals, writes=False),
    "3202": Transaction(statements.compare, writes=False),
    "3203": Transaction(clearing.apply, once=True),
    "3204": Transaction(clearing.withdraw),
    "3260": Transaction(clearing.cleared_rows, writes=False),
    "3261": Transaction(clearing.confirm),
    "3301": Transaction(published.map_items),
    "3302": Transaction(published.unmap_items),
    "3505": Transaction(pharmacy.sold),
    "4101": Transaction(published.take_list),
    "4102": Transaction(published.mark_list),
    "5201": Transaction(queries.find_visits, writes=False),
    "5202": Transaction(queries.find_diagnoses, writes=False),
    "5203": Transaction(queries.find_settlement, writes=False),
    "5204": Transaction(queries.find_lines, writes=False),
    "5301": Transaction(applications.chronic_of, writes=False),
    "5302": Transaction(applications.chosen_of, writes=False),
    "5304": Transaction(applications.transfers_of, writes=False),
    "5303": Transaction(queries.find_stays, writes=False),
    "9001": Transaction(identity.sign_in),
    "9002": Transaction(identity.sign_out),
    "9101": Transaction(statements.upload, writes=False),
    "9102": Transaction(statements.download, writes=False),
}
VARIANTS = frozenset({"2102A", "2203A", "4101A", "2206A", "2207A", "2304A"})
"""Answered as the number without the letter: their tables are the same (`schemas/national/transactions`)."""


def answer(world: World, asked: Asked) -> Answer:
    """What the centre answers, having done it.  Never raises for a message from outside."""
    base = asked.infno[:4] if asked.infno in VARIANTS else asked.infno
    found = TRANSACTIONS.get(base)
    if found is None:
        return refused(Refusal("unknown_infno", infno=asked.infno[:8]))
    before, known = world.answers.get(asked.msgid, ("", None))
    if found.once and world.temperament.dedup_msgid and known is not None and before == asked.infno:
        return replace(known, committed=False)
    world.undo_unconfirmed()
    try:
        _refuse_unsigned(world, asked, base)
        _refuse_faulty(world, asked)
        output = found.run(world, _as_base(asked, base))
    except Refusal as refusal:
        return refused(refusal, world.temperament)
    except NoEffect:
        return Answer("0")
    told = Answer("0", output=output, committed=found.writes)
    if found.once or found.kept:
        world.keep(asked, told)
    return told


def refused(refusal: Refusal, temperament: Temperament | None = None) -> Answer:
    """A refusal in the centre's own words, or in others', and perhaps as another platform passes it on."""
    texts = data_table("texts")
    if temperament is not None and temperament.wording == "seen":
        texts = {**texts, **data_table("texts_seen")}
    text = str(texts[refusal.key]).format(**refusal.values)[:200]
    for _ in range(temperament.wrapped if temperament is not None else 0):
        text = PASSED_ON + json.dumps({"infcode": FAILED, "err_msg": text}, ensure_ascii=True)
    return Answer(FAILED, err_msg=text)


def _refuse_unsigned(world: World, asked: Asked, base: str) -> None:
    if world.temperament.sign_in and not base.startswith("900") and asked.sign_no not in world.sign_ins:
        raise Refusal("not_signed")


def _refuse_faulty(world: World, asked: Asked) -> None:
    if not world.temperament.strict_input:
        return
    faults = [one for one in codec(asked.infno).read_input(dict(asked.input)).faults if not _tolerated(asked, one)]
    if faults:
        raise Refusal("bad_message", fault=faults[0])


def _tolerated(asked: Asked, fault: Fault) -> bool:
    return asked.infno == "5203" and fault.path.endswith("setl_id")


def _as_base(asked: Asked, base: str) -> Asked:
    if asked.infno == base:
        return asked
    return replace(asked, infno=base)
