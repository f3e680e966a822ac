"""The whole truth of a world as JSON: ``GET /_sim/truth``."""

from __future__ import annotations

from typing import Any

from adapter_core.simulator.people import Person
from adapter_core.simulator.records import FeeLine, Refund, Settlement, Visit
from adapter_core.simulator.world import World
from adapter_core.values.moments import national_time


def truth_of(world: World) -> dict[str, Any]:
    """People with balances and counters, visits with lines, settlements with states, amounts and explanation.

    Money is text with two places; times are China time.
    """
    world.undo_unconfirmed()
    return {
        "seed": world.seed,
        "time": national_time(world.clock.wall()),
        "people": [_person(world, person) for person in world.people],
        "visits": [_visit(visit) for visit in world.visits.values()],
        "settlements": [_settlement(one) for one in world.settlements.values()],
        "sales": [{name: str(value) for name, value in sold.items()} for sold in world.sales.values()],
    }


def _person(world: World, person: Person) -> dict[str, Any]:
    counters = [
        {
            "insutype": insutype,
            "kind": kind,
            "year": year,
            "deductible": str(used.deductible),
            "pool": str(used.pool),
            "burden": str(used.burden),
        }
        for (psn_no, insutype, kind, year), used in world.counters.items()
        if psn_no == person.psn_no
    ]
    return {
        "psn_no": person.psn_no,
        "psn_name": person.psn_name,
        "certno": person.certno,
        "card_no": person.card_no,
        "ectoken": person.ectoken,
        "insurances": [
            {
                "insutype": row.insutype,
                "psn_type": row.psn_type,
                "insuplc_admdvs": row.insuplc_admdvs,
                "psn_insu_stas": row.psn_insu_stas,
                "balc": str(row.balc),
            }
            for row in person.insurances
        ],
        "filings": [
            {
                "kind": one.kind,
                "region": one.region,
                "begndate": one.begndate,
                "enddate": one.enddate,
                "state": one.state,
            }
            for one in person.filings
        ],
        "counters": counters,
    }


def _visit(visit: Visit) -> dict[str, Any]:
    return {
        "mdtrt_id": visit.mdtrt_id,
        "psn_no": visit.psn_no,
        "kind": visit.kind,
        "med_type": visit.med_type,
        "msgid": visit.msgid,
        "fixmedins_code": visit.fixmedins_code,
        "begntime": visit.begntime,
        "endtime": visit.endtime,
        "cancelled": visit.cancelled,
        "discharged": visit.discharged,
        "diagnoses": len(visit.diagnoses),
        "lines": [_line(line) for line in visit.lines.values()],
    }


def _line(line: FeeLine) -> dict[str, Any]:
    return {
        "feedetl_sn": line.feedetl_sn,
        "chrg_bchno": line.chrg_bchno,
        "det_item_fee_sumamt": str(line.shares.det_item_fee_sumamt),
        "setl_id": line.setl_id,
    }


def _settlement(one: Settlement) -> dict[str, Any]:
    return {
        "setl_id": one.setl_id,
        "state": one.state,
        "infno": one.infno,
        "msgid": one.msgid,
        "psn_no": one.visit.psn_no,
        "mdtrt_id": one.visit.mdtrt_id,
        "chrg_bchno": one.chrg_bchno,
        "setl_time": national_time(one.at),
        "amounts": {name: str(value) for name, value in one.split.amounts().items()},
        "explained": list(one.split.steps),
        "refund": None if one.refund is None else _refund(one.refund),
    }


def _refund(made: Refund) -> dict[str, Any]:
    return {
        "setl_id": made.setl_id,
        "state": made.state,
        "infno": made.infno,
        "msgid": made.msgid,
        "setl_time": national_time(made.at),
    }
