"""Visits: outpatient registration (2201, 2202), diagnoses (2203, 2203A), stays (2401 … 2405)."""

from __future__ import annotations

from adapter_core.simulator.records import Ask, Asked, Refusal, Visit
from adapter_core.simulator.world import World
from adapter_core.values.content import Content

WITH_MOTHER = "92"
"""med_type of a newborn's stay under its mother's number (新生儿随母住院).  No public dictionary has its code; here it is 其他住院."""


def register(world: World, asked: Asked) -> Content:
    """2201.  The visit's med_type comes later, with 2203A or the trial."""
    data = asked.record()
    visit = _open(world, asked, data, "outpatient", "11")
    visit.facts["ipt_otp_no"] = data.need("ipt_otp_no")
    world.visits[visit.mdtrt_id] = visit
    return {"data": {"mdtrt_id": visit.mdtrt_id, "psn_no": visit.psn_no, "ipt_otp_no": data.get("ipt_otp_no")}}


def admit(world: World, asked: Asked) -> Content:
    """2401.  One open stay a person and institution, beside those of newborns under the mother's number."""
    data = asked.record("mdtrtinfo")
    for other in world.visits.values():
        if WITH_MOTHER in (data.get("med_type"), other.med_type):
            continue
        same = other.psn_no == data.get("psn_no") and other.fixmedins_code == asked.fixmedins_code
        if same and other.kind == "inpatient" and not other.cancelled and not other.discharged:
            raise Refusal("already_admitted")
    visit = _open(world, asked, data, "inpatient", data.need("med_type"))
    visit.diagnoses = [row.fields for row in asked.rows("diseinfo")]
    world.visits[visit.mdtrt_id] = visit
    return {"result": {"mdtrt_id": visit.mdtrt_id}}


def _open(world: World, asked: Asked, data: Ask, kind: str, med_type: str) -> Visit:
    person = world.person(data.need("psn_no"))
    insutype = data.need("insutype")
    world.insurance(person, insutype)
    begntime = data.need("begntime")
    facts = {key: value for key, value in data.fields.items() if value not in (None, "")}
    return Visit(
        mdtrt_id=world.identity("M"),
        msgid=asked.msgid,
        psn_no=person.psn_no,
        insutype=insutype,
        kind=kind,
        med_type=med_type,
        begntime=begntime,
        facts=facts,
        fixmedins_code=asked.fixmedins_code,
        fixmedins_name=asked.fixmedins_name,
        at=world.clock.wall(),
    )


def cancel(world: World, asked: Asked) -> None:
    """2202, 2404: only an empty visit goes away."""
    visit = _of(world, asked.record(), "outpatient" if asked.infno == "2202" else "inpatient")
    if world.standing(visit):
        raise Refusal("visit_has_settlement")
    if visit.lines:
        raise Refusal("visit_has_fees")
    visit.cancelled = True


def inform(world: World, asked: Asked) -> None:
    """2203, 2203A: visit facts and the whole list of diagnoses, replacing the last one."""
    data = asked.record("mdtrtinfo")
    visit = _of(world, data, "outpatient")
    visit.med_type = data.need("med_type")
    visit.facts.update({key: value for key, value in data.fields.items() if value not in (None, "")})
    visit.diagnoses = [row.fields for row in asked.rows("diseinfo")]


def change_stay(world: World, asked: Asked) -> None:
    """2403."""
    data = asked.record("adminfo")
    visit = _of(world, data, "inpatient")
    visit.begntime, visit.med_type = data.need("begntime"), data.need("med_type")
    visit.facts.update({key: value for key, value in data.fields.items() if value not in (None, "")})
    if rows := asked.rows("diseinfo"):
        visit.diagnoses = [row.fields for row in rows]


def discharge(world: World, asked: Asked) -> None:
    """2402."""
    data = asked.record("dscginfo")
    visit = _of(world, data, "inpatient")
    visit.endtime = data.need("endtime")
    visit.discharged = True
    visit.facts.update({key: value for key, value in data.fields.items() if value not in (None, "")})
    if rows := asked.rows("diseinfo"):
        visit.diagnoses = [row.fields for row in rows]


def undo_discharge(world: World, asked: Asked) -> None:
    """2405: not while a settlement stands."""
    visit = _of(world, asked.record(), "inpatient")
    if not visit.discharged:
        raise Refusal("not_discharged")
    if world.standing(visit):
        raise Refusal("visit_has_settlement")
    visit.discharged, visit.endtime = False, ""


def _of(world: World, data: Ask, kind: str) -> Visit:
    visit = world.visit(data.need("mdtrt_id"), data.need("psn_no"))
    if visit.kind != kind:
        raise Refusal("visit_wrong_kind")
    return visit
