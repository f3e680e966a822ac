"""Queries: visits 5201, diagnoses 5202, settlements 5203, fee lines 5204, stays 5303, totals 3201."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from adapter_core.simulator.fees import line_fields
from adapter_core.simulator.identity import base_fields
from adapter_core.simulator.people import Insurance
from adapter_core.simulator.records import Ask, Asked, FeeLine, Refund, Refusal, Settlement, Visit
from adapter_core.simulator.settling import CLR_TYPE, CLR_WAY, fund_rows, negative
from adapter_core.simulator.visits import WITH_MOTHER
from adapter_core.simulator.world import World
from adapter_core.values.content import Content
from adapter_core.values.moments import national_date, national_time, parse_national_time

BALANCED, UNBALANCED = "0", "1"
SETTLED, REFUNDED = "0", "1"
"""stmt_rslt and refd_setl_flag: no public dictionary; our reading of 平/不平 and 否/是."""


def find_visits(world: World, asked: Asked) -> Content:
    """5201: visits of a person that began in the period."""
    data = asked.record()
    person = world.person(data.need("psn_no"))
    since, until = data.need("begntime"), data.need("endtime")
    rows = [
        _visit_row(world, visit)
        for visit in world.visits.values()
        if visit.psn_no == person.psn_no
        and not visit.cancelled
        and (visit.kind != "pharmacy" or world.temperament.lists_sales)
        and since[:10] <= visit.begntime[:10] <= until[:10]
        and data.get("med_type") in ("", visit.med_type)
        and data.get("mdtrt_id") in ("", visit.mdtrt_id)
    ]
    return {"mdtrtinfo": rows}


def _newborn(med_type: str, insurance: Insurance | None) -> str:
    """nwb_flag: admitted with its mother, or insured as a newborn (psn_type 1401)."""
    return "1" if med_type == WITH_MOTHER or (insurance is not None and insurance.psn_type == "1401") else "0"


def _visit_row(world: World, visit: Visit) -> dict[str, Any]:
    person = world.person(visit.psn_no)
    insurance = person.insurance(visit.insutype)
    facts = visit.facts
    carried = ("ipt_otp_no", "medrcdno", "atddr_no", "adm_dept_codg", "adm_dept_name", "adm_bed", "dise_codg")
    return {
        "mdtrt_id": visit.mdtrt_id,
        **base_fields(world, person),
        "insutype": visit.insutype,
        "psn_type": insurance.psn_type if insurance else "",
        "maf_psn_flag": "1" if "aid" in person.flags else "0",
        "cvlserv_flag": insurance.cvlserv_flag if insurance else "0",
        "flxempe_flag": "0",
        "nwb_flag": _newborn(visit.med_type, insurance),
        "begntime": visit.begntime,
        "endtime": visit.endtime or visit.begntime,
        "med_type": visit.med_type,
        "ars_year_ipt_flag": "0",
        "pre_pay_flag": "0",
        **({"ipt_otp_no": str(facts["ipt_no"])} if "ipt_no" in facts else {}),
        **{name: str(facts[name]) for name in carried if name in facts},
        "inhosp_stas": "1" if visit.kind == "inpatient" and not visit.discharged else "0",
    }


def find_diagnoses(world: World, asked: Asked) -> Content:
    """5202."""
    data = asked.record()
    visit = world.visits.get(data.need("mdtrt_id"))
    if visit is None or visit.cancelled or data.get("psn_no") not in ("", visit.psn_no):
        raise Refusal("visit_unknown")
    flow = "1" if visit.kind == "inpatient" else "2"
    rows = []
    for index, fields in enumerate(visit.diagnoses, start=1):
        named = {"maindiag_flag": "1" if index == 1 else "0", **fields}
        keep = {key: value for key, value in named.items() if key != "vali_flag" and value not in (None, "")}
        ids = {"diag_info_id": f"{visit.mdtrt_id}-{index}", "mdtrt_id": visit.mdtrt_id, "psn_no": visit.psn_no}
        rows.append({**keep, **ids, "inout_diag_type": flow})
    return {"diseinfo": rows}


def find_settlement(world: World, asked: Asked) -> Content:
    """5203, as the temperament allows.  Nothing found: an empty output.

    By visit: the newest record of the visit that queries see: a settlement, or the refund that took it back.  What 2601
    reversed is gone.  By setl_id: that record; a refunded settlement carries the refund flag.
    """
    data = asked.record()
    if world.temperament.query == "none":
        raise Refusal("query_closed")
    person = world.person(data.need("psn_no"))
    setl_id = data.get("setl_id")
    if setl_id:
        found = _by_setl_id(world, setl_id, person.psn_no)
    elif world.temperament.query == "by_setl_id_only":
        raise Refusal("field_missing", code="setl_id")
    else:
        found = _by_visit(world, data.need("mdtrt_id"), person.psn_no)
    return {} if found is None else _settlement_told(world, *found)


def _by_setl_id(world: World, setl_id: str, psn_no: str) -> tuple[Settlement, Refund | None] | None:
    refunded = world.refunds.get(setl_id)
    one = refunded or world.settlements.get(setl_id)
    if one is None or one.visit.psn_no != psn_no or not _shown(world, one):
        return None
    if refunded is None:
        return one, None
    made = one.refund
    stands = made is not None and made.setl_id == setl_id and made.state == "refunded" and world.visible(made.since)
    return (one, made) if stands else None


def _shown(world: World, one: Settlement) -> bool:
    """Whether 5203 shows it: what was reversed or never confirmed is gone."""
    if one.state in ("reversed", "undone") or not world.visible(one.since):
        return False
    return one.state != "prepared" or world.temperament.shows_prepared


def _by_visit(world: World, mdtrt_id: str, psn_no: str) -> tuple[Settlement, Refund | None] | None:
    visit = world.visits.get(mdtrt_id)
    if visit is None or visit.psn_no != psn_no:
        return None
    newest: tuple[float, int, Settlement, Refund | None] | None = None
    for order, one in enumerate(visit.settlements):
        if not _shown(world, one):
            continue
        made = one.refund if one.state == "refunded" and one.refund and world.visible(one.refund.since) else None
        row = (made.since if made else one.since, order, one, made)
        if newest is None or row[:2] >= newest[:2]:
            newest = row
    return None if newest is None else newest[2:]


def _settlement_told(world: World, one: Settlement, made: Refund | None) -> Content:
    person = world.person(one.visit.psn_no)
    insurance = person.insurance(one.insutype)
    amounts = negative(one.split) if made else one.split.amounts()
    amounts["psn_pay"] = amounts.pop("psn_part_amt")
    amounts["cash_payamt"] = amounts.pop("psn_cash_pay")
    amounts.pop("hosp_part_amt")
    seen_refunded = one.refund is not None and one.state == "refunded" and world.visible(one.refund.since)
    day = national_date(made.at if made else one.at)
    setlinfo = {
        "setl_id": made.setl_id if made else one.setl_id,
        "mdtrt_id": one.visit.mdtrt_id,
        **base_fields(world, person),
        "insutype": one.insutype,
        "psn_type": insurance.psn_type if insurance else "",
        "cvlserv_flag": insurance.cvlserv_flag if insurance else "0",
        "flxempe_flag": "0",
        "nwb_flag": _newborn(one.visit.med_type, insurance),
        "pay_loc": "2",
        "fixmedins_code": one.place.fixmedins_code,
        "fixmedins_name": one.place.fixmedins_name,
        "hosp_lv": "02",
        "lmtpric_hosp_lv": "3",
        "dedc_hosp_lv": "3",
        "begndate": one.visit.begntime[:10],
        "enddate": (one.visit.endtime or one.visit.begntime)[:10],
        "setl_time": national_time(made.at if made else one.at),
        "mdtrt_cert_type": one.mdtrt_cert_type or None,
        "med_type": one.med_type,
        "clr_type": CLR_TYPE[one.split.rule.kind],
        "clr_way": CLR_WAY,
        "clr_optins": one.place.mdtrtarea_admvs or None,
        **amounts,
        "medins_setl_id": made.msgid if made else one.msgid,
        "refd_setl_flag": REFUNDED if seen_refunded else SETTLED,
        "year": day[:4],
        "invono": one.invono or None,
    }
    rows = fund_rows(world, one.split, one.insutype, sign=-1 if made else 1)
    return {"setlinfo": setlinfo, "setldetail": [{**row, "fund_pay_type_name": None} for row in rows]}


def find_lines(world: World, asked: Asked) -> Content:
    """5204: the visit's lines, of one settlement if ``setl_id`` is given.  A line not settled yet has no setl_id."""
    data = asked.record()
    visit = world.visit(data.need("mdtrt_id"), data.need("psn_no"))
    setl_id = data.get("setl_id")
    lines = (line for line in visit.lines.values() if not setl_id or line.setl_id == setl_id)
    return {"data": [_line_row(visit, line) for line in lines]}


def _line_row(visit: Visit, line: FeeLine) -> dict[str, Any]:
    fields, item = line.fields, line.shares.item
    return {
        "mdtrt_id": visit.mdtrt_id,
        "setl_id": line.setl_id or None,
        "med_type": visit.med_type,
        "fee_ocur_time": fields.get("fee_ocur_time") or visit.begntime,
        **line_fields(line),
        "hilist_code": fields["med_list_codg"],
        "hilist_name": item.name,
        "list_type": item.list_type or "101",
        "med_list_codg": fields["med_list_codg"],
        "medins_list_codg": fields.get("medins_list_codg") or fields["med_list_codg"],
        "medins_list_name": item.name,
        "dosform_name": "无",
        "hosp_prep_flag": "0",
        "prodplac_type": "1",
    }


def find_stays(world: World, asked: Asked) -> Content:
    """5303: who is in hospital."""
    data = asked.record()
    rows = []
    for visit in world.visits.values():
        if visit.kind != "inpatient" or visit.cancelled or visit.discharged:
            continue
        if data.get("psn_no") not in ("", visit.psn_no):
            continue
        base = base_fields(world, world.person(visit.psn_no))
        base.pop("naty")
        more = {"insutype": visit.insutype, "begndate": visit.begntime[:10], "med_type": visit.med_type}
        rows.append({"mdtrt_id": visit.mdtrt_id, **base, **more})
    return {"data": rows}


def totals(world: World, asked: Asked) -> Content:
    """3201: the institution's sums of the period against ours.  ``refd_setl_flag`` absent: refunds count negative."""
    data = asked.record()
    sums = dict.fromkeys(("medfee_sumamt", "fund_pay_sumamt", "acct_pay"), Decimal("0.00"))
    count = 0
    for sign, one in _records(world, asked, data):
        told, count = one.split, count + 1
        shares = (told.bill.medfee_sumamt, told.fund_pay_sumamt, told.acct_pay)
        for name, share in zip(sums, shares, strict=True):
            sums[name] += sign * share
    claimed = {name: data.money(name) for name in sums}
    if data.get("refd_setl_flag") == REFUNDED:
        sums, claimed = ({name: abs(value) for name, value in row.items()} for row in (sums, claimed))
    equal = claimed == sums and int(data.number("fixmedins_setl_cnt", 10, 0)) == count
    words = "，".join(f"{name} {value}" for name, value in sums.items())
    return {
        "stmtinfo": {
            "setl_optins": data.get("setl_optins") or None,
            "stmt_rslt": BALANCED if equal else UNBALANCED,
            "stmt_rslt_dscr": f"中心：{count} 笔，{words}",
        }
    }


def _records(world: World, asked: Asked, data: Ask) -> list[tuple[int, Settlement]]:
    """What stands in the period: +1 settlements (refunded ones too), -1 refunds."""
    begins, ends = period(data)
    insutype, clr_type = data.need("insutype"), data.need("clr_type")
    flag = data.get("refd_setl_flag")
    found = []
    for one in world.settlements.values():
        ours = one.place.fixmedins_code == asked.fixmedins_code and one.state not in ("reversed", "prepared", "undone")
        grouped = one.insutype == insutype and CLR_TYPE[one.split.rule.kind] == clr_type
        if not ours or not grouped:
            continue
        if flag != REFUNDED and begins <= one.at < ends:
            found.append((1, one))
        refunded = one.refund if one.state == "refunded" else None
        if flag != SETTLED and refunded is not None and begins <= refunded.at < ends:
            found.append((-1, one))
    return found


def period(data: Ask) -> tuple[datetime, datetime]:
    """The days a statement asks for, from the first moment of the first to the first after the last."""
    moments = []
    for name in ("stmt_begndate", "stmt_enddate"):
        try:
            moments.append(parse_national_time(f"{data.need(name)[:10]} 00:00:00"))
        except ValueError:
            raise Refusal("field_bad", code=name) from None
    return moments[0], moments[1] + timedelta(days=1)
