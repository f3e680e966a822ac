"""Fee lines: outpatient 2204, 2205; inpatient 2301, 2302.  Keyed by feedetl_sn within a visit."""

from __future__ import annotations

from typing import Any

from adapter_core.simulator.records import Ask, Asked, FeeLine, Refusal, Visit
from adapter_core.simulator.world import World
from adapter_core.values.content import Content

ALL = "0000"
"""Source: `schemas/national/envelope.json`, rules.cancel_all: 2205's chrg_bchno and 2302's feedetl_sn."""


def upload(world: World, asked: Asked) -> Content:
    """2204, 2301: all rows or none.  The same row again is accepted once more and changes nothing."""
    rows = asked.rows("feedetail")
    if not rows:
        raise Refusal("field_missing", code="feedetail")
    taken: dict[str, tuple[Visit, FeeLine]] = {}
    for row in rows:
        visit, line = _line(world, asked.infno, row)
        if line.feedetl_sn in taken:
            raise Refusal("line_repeated", sn=line.feedetl_sn)
        _refuse_change(visit, line)
        taken[line.feedetl_sn] = (visit, line)
    for visit, line in taken.values():
        visit.lines.setdefault(line.feedetl_sn, line)
    return {"result": [line_fields(line) for _, line in taken.values()]}


def _line(world: World, infno: str, row: Ask) -> tuple[Visit, FeeLine]:
    visit = world.visit(row.need("mdtrt_id"), row.need("psn_no"))
    if visit.kind != ("inpatient" if infno == "2301" else "outpatient"):
        raise Refusal("visit_wrong_kind")
    batch = "" if infno == "2301" else row.need("chrg_bchno")
    row.need("med_list_codg")
    amount, cnt, pric = row.money("det_item_fee_sumamt"), row.number("cnt", 16, 4), row.number("pric", 16, 6)
    return visit, world.fee_line(row.need("feedetl_sn"), batch, row.fields, amount, cnt, pric)


def _refuse_change(visit: Visit, line: FeeLine) -> None:
    before = visit.lines.get(line.feedetl_sn)
    if before is None:
        return
    same = before.shares == line.shares and (before.cnt, before.pric) == (line.cnt, line.pric)
    if not same or before.chrg_bchno != line.chrg_bchno:
        raise Refusal("line_changed", sn=line.feedetl_sn)


def line_fields(line: FeeLine) -> dict[str, Any]:
    """One line as 2204, 2301 answer it."""
    shares, item = line.shares, line.shares.item
    return {
        "feedetl_sn": line.feedetl_sn,
        "det_item_fee_sumamt": shares.det_item_fee_sumamt,
        "cnt": line.cnt,
        "pric": line.pric,
        "pric_uplmt_amt": item.pric_uplmt_amt,
        "selfpay_prop": item.selfpay_prop,
        "fulamt_ownpay_amt": shares.fulamt_ownpay_amt,
        "overlmt_amt": shares.overlmt_amt,
        "preselfpay_amt": shares.preselfpay_amt,
        "inscp_scp_amt": shares.inscp_scp_amt,
        "chrgitm_lv": item.chrgitm_lv,
        "med_chrgitm_type": item.med_chrgitm_type,
        "bas_medn_flag": "0",
        "hi_nego_drug_flag": "1" if item.special_in else "0",
        "chld_medc_flag": "0",
        "list_sp_item_flag": "0",
        "lmt_used_flag": "0",
        "drt_reim_flag": "0",
    }


def withdraw(world: World, asked: Asked) -> None:
    """2205 (a batch, or all unsettled ones), 2302 (a line, or all unsettled ones)."""
    data = asked.record()
    visit = world.visit(data.need("mdtrt_id"), data.need("psn_no"))
    key = data.need("chrg_bchno" if asked.infno == "2205" else "feedetl_sn")
    found = {sn: line for sn, line in visit.lines.items() if key in _names(asked.infno, line)}
    unsettled = {sn: line for sn, line in found.items() if not line.setl_id}
    if found and not unsettled:
        raise Refusal("line_settled", sn=next(iter(found)))
    if not unsettled and key != ALL:
        raise Refusal("lines_unknown")
    visit.lines = {sn: line for sn, line in visit.lines.items() if sn not in unsettled}


def _names(infno: str, line: FeeLine) -> tuple[str, str]:
    return (ALL, line.chrg_bchno if infno == "2205" else line.feedetl_sn)
