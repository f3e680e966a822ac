"""Who somebody is and what they may have: 1101, 2001; and the operator's sign-in: 9001, 9002."""

from __future__ import annotations

from typing import Any

from adapter_core.simulator.people import Insurance, Person
from adapter_core.simulator.records import Asked, Refusal
from adapter_core.simulator.world import World
from adapter_core.values.content import Content
from adapter_core.values.moments import china, national_time, parse_national_date


def identify(world: World, asked: Asked) -> Content:
    """1101: by card, certificate, electronic credential or psn_no, whatever certificate type the message names."""
    data = asked.record()
    credentials = [data.get("mdtrt_cert_no"), data.get("certno"), data.get("psn_no")]
    if not any(credentials):
        raise Refusal("field_missing", code="mdtrt_cert_no")
    person = next((found for one in credentials if one and (found := world.people.by_credential(one))), None)
    if person is None:
        raise Refusal("person_unknown")
    if data.get("psn_name") not in ("", person.psn_name):
        raise Refusal("name_differs")
    return {
        "baseinfo": base_fields(world, person),
        "insuinfo": [_insurance_row(row) for row in person.insurances],
        "idetinfo": [],
    }


def base_fields(world: World, person: Person) -> dict[str, Any]:
    """The person's fields that 1101, the settlements and the queries share."""
    return {
        "psn_no": person.psn_no,
        "psn_cert_type": person.psn_cert_type,
        "certno": person.certno,
        "psn_name": person.psn_name,
        "gend": person.gend,
        "naty": person.naty,
        "brdy": person.brdy,
        "age": person.age(china(world.clock.wall()).date()),
    }


def _insurance_row(row: Insurance) -> dict[str, Any]:
    return {
        "balc": row.balc,
        "insutype": row.insutype,
        "psn_type": row.psn_type,
        "psn_insu_stas": row.psn_insu_stas,
        "psn_insu_date": row.psn_insu_date or None,
        "paus_insu_date": row.paus_insu_date or None,
        "cvlserv_flag": row.cvlserv_flag,
        "insuplc_admdvs": row.insuplc_admdvs,
        "emp_name": row.emp_name or None,
    }


def benefit_check(world: World, asked: Asked) -> Content:
    """2001: whether the pool pays for this kind of visit."""
    data = asked.record()
    person = world.person(data.need("psn_no"))
    insurance = world.insurance(person, data.need("insutype"))
    med_type = data.need("med_type")
    refuse_unfiled(world, person, insurance, asked.mdtrtarea_admvs, data.get("begntime"))
    rule = world.benefits.rule(insurance.insuplc_admdvs, insurance.insutype, world.benefits.kind(med_type))
    pays = rule.covered and not person.pays_special_only(med_type)
    funds = world.benefits.funds.get(insurance.insutype, world.benefits.funds["310"])
    row = {
        "psn_no": person.psn_no,
        "trt_chk_type": "1",
        "fund_pay_type": funds["hifp_pay"][0],
        "trt_enjymnt_flag": "1" if pays else "0",
        "begndate": insurance.psn_insu_date,
        "enddate": insurance.paus_insu_date or None,
        "trt_chk_rslt": rule.title,
    }
    return {"trtinfo": [row]}


def refuse_unfiled(world: World, person: Person, insurance: Insurance, care: str, since: str = "") -> None:
    """since: when the visit or the stay began; "" = now.  Raises: Refusal where the person has no filing that stood then."""
    day = parse_national_date(since[:10]) if since else china(world.clock.wall()).date()
    fault = person.filing_fault(insurance.insuplc_admdvs, care, day)
    if fault:
        raise Refusal(fault, place=insurance.insuplc_admdvs, care=care)


def sign_in(world: World, asked: Asked) -> Content:
    """9001."""
    operator = asked.record("signIn").need("opter_no")
    sign_no = world.identity("Q")
    world.sign_ins[sign_no] = operator
    return {"signinoutb": {"sign_time": national_time(world.clock.wall()), "sign_no": sign_no}}


def sign_out(world: World, asked: Asked) -> Content:
    """9002."""
    sign_no = asked.record("signOut").need("sign_no")
    if world.sign_ins.pop(sign_no, None) is None:
        raise Refusal("not_signed")
    return {"signoutoutb": {"sign_time": national_time(world.clock.wall()), "sign_no": sign_no}}
