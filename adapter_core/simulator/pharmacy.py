"""Pharmacies: a sale in one message (2101 trial, 2102 settlement, 2103 refund), and its goods afterwards (3505)."""

from __future__ import annotations

from decimal import Decimal

from adapter_core.simulator.fees import line_fields
from adapter_core.simulator.records import Ask, Asked, FeeLine, Refusal, Settlement, Visit
from adapter_core.simulator.settling import outcome_told, refund, refuse_unready
from adapter_core.simulator.world import World
from adapter_core.values.content import Content

DEFAULT_MED_TYPE = "41"


def trial(world: World, asked: Asked) -> Content:
    """2101: what the sale would cost; nothing of it is kept."""
    wanted = _wanted(world, asked)
    return _told(world, wanted, asked.msgid, "")


def settle(world: World, asked: Asked) -> Content:
    """2102: the sale is its own visit, opened and settled in one."""
    wanted = _wanted(world, asked)
    wanted.visit.mdtrt_id = world.identity("M")
    wanted.setl_id = world.identity("J")
    world.visits[wanted.visit.mdtrt_id] = wanted.visit
    world.settle(wanted)
    return _told(world, wanted, asked.msgid, wanted.setl_id)


def void(world: World, asked: Asked) -> Content:
    """2103; two amounts are named otherwise than in 2102, and one of them is printed as text."""
    told = refund(world, asked)
    setlinfo = {**told["setlinfo"]}
    setlinfo["psn_pay"], setlinfo["cash_payamt"] = str(setlinfo.pop("psn_part_amt")), setlinfo.pop("psn_cash_pay")
    setlinfo.pop("hosp_part_amt", None)
    return {**told, "setlinfo": setlinfo}


def sold(world: World, asked: Asked) -> None:
    """3505: goods sold under a settlement; the same again changes nothing."""
    data = asked.record("selinfo")
    code = data.need("med_list_codg")
    world.sales[(data.need("rtal_docno"), code, data.need("fixmedins_bchno"))] = dict(data.fields)


def _wanted(world: World, asked: Asked) -> Settlement:
    data = asked.record("druginfo")
    rows = asked.rows("drugdetail")
    if not rows:
        raise Refusal("field_missing", code="drugdetail")
    person = world.person(data.need("psn_no"))
    insutype = data.need("insutype")
    med_type = data.get("med_type") or DEFAULT_MED_TYPE
    visit = Visit(
        mdtrt_id="",
        msgid=asked.msgid,
        psn_no=person.psn_no,
        insutype=insutype,
        kind="pharmacy",
        med_type=med_type,
        begntime=data.need("begntime"),
        facts={},
        fixmedins_code=asked.fixmedins_code,
        fixmedins_name=asked.fixmedins_name,
        at=world.clock.wall(),
    )
    refuse_unready(world, asked, visit, insutype, data)
    visit.lines = {line.feedetl_sn: line for line in (_line(world, row) for row in rows)}
    lines = list(visit.lines.values())
    held = sum((line.shares.det_item_fee_sumamt for line in lines), Decimal("0.00"))
    if data.money("medfee_sumamt") != held:
        raise Refusal("total_differs", claimed=data.money("medfee_sumamt"), held=held)
    return Settlement(
        setl_id="",
        infno=asked.infno,
        msgid=asked.msgid,
        visit=visit,
        chrg_bchno="",
        med_type=med_type,
        insutype=insutype,
        mdtrt_cert_type=data.get("mdtrt_cert_type"),
        invono=data.get("invono"),
        split=world.quote(visit, lines, med_type, insutype, data.get("acct_used_flag") == "1"),
        at=world.clock.wall(),
        since=world.clock.mono(),
        place=world.place(asked),
        lines=tuple(visit.lines),
    )


def _line(world: World, row: Ask) -> FeeLine:
    amount, cnt, pric = row.money("det_item_fee_sumamt"), row.number("cnt", 16, 4), row.number("pric", 16, 6)
    row.need("med_list_codg")
    return world.fee_line(row.need("feedetl_sn"), "", row.fields, amount, cnt, pric)


def _told(world: World, one: Settlement, msgid: str, setl_id: str) -> Content:
    told = outcome_told(world, one, msgid, setl_id)
    return {**told, "detlcutinfo": [line_fields(line) for line in one.visit.lines.values()]}
