"""Money: trials (2206, 2303), settlements (2207, 2304), refunds (2208, 2305) and the reversal 2601."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adapter_core.simulator.benefits import Split
from adapter_core.simulator.identity import base_fields, refuse_unfiled
from adapter_core.simulator.records import Ask, Asked, FeeLine, NoEffect, Refund, Refusal, Settlement, Visit
from adapter_core.simulator.world import World
from adapter_core.values.content import Content
from adapter_core.values.moments import national_date, national_time

CLR_TYPE = {"outpatient": "11", "inpatient": "21", "pharmacy": "41"}
CLR_WAY = "1"
"""As in the samples; the standard's dictionary of clr_way is not public."""
CHRONIC = "14"
INPATIENT = frozenset({"2303", "2304"})


def trial(world: World, asked: Asked) -> Content:
    """2206, 2303: what a settlement would be now."""
    wanted = _wanted(world, asked)
    return outcome_told(world, wanted, asked.msgid, setl_id="")


def settle(world: World, asked: Asked) -> Content:
    """2207, 2304; of a two-phase family the first phase."""
    wanted = _wanted(world, asked)
    wanted.setl_id = world.identity("J")
    (world.prepare if asked.prepare else world.settle)(wanted)
    return outcome_told(world, wanted, asked.msgid, setl_id=wanted.setl_id)


def _wanted(world: World, asked: Asked) -> Settlement:
    """The settlement the message asks for, checked and split, not yet standing."""
    data = asked.record()
    inpatient = asked.infno in INPATIENT
    visit = world.visit(data.need("mdtrt_id"), data.need("psn_no"))
    if inpatient != (visit.kind == "inpatient"):
        raise Refusal("visit_wrong_kind")
    med_type = visit.med_type if inpatient else data.need("med_type")
    insutype = data.need("insutype")
    refuse_unready(world, asked, visit, insutype, data)
    batch = "" if inpatient else data.need("chrg_bchno")
    lines = _lines(world, visit, batch)
    if not inpatient and med_type != CHRONIC:
        _refuse_special(world, visit, insutype, lines)
    held = sum((line.shares.det_item_fee_sumamt for line in lines), Decimal("0.00"))
    if data.money("medfee_sumamt") != held:
        raise Refusal("total_differs", claimed=data.money("medfee_sumamt"), held=held)
    told = world.quote(visit, lines, med_type, insutype, data.get("acct_used_flag") == "1")
    return Settlement(
        setl_id="",
        infno=asked.infno,
        msgid=asked.msgid,
        visit=visit,
        chrg_bchno=batch,
        med_type=med_type,
        insutype=insutype,
        mdtrt_cert_type=data.get("mdtrt_cert_type"),
        invono=data.get("invono"),
        split=told,
        at=world.clock.wall(),
        since=world.clock.mono(),
        place=world.place(asked),
        lines=tuple(line.feedetl_sn for line in lines),
    )


def refuse_unready(world: World, asked: Asked, visit: Visit, insutype: str, data: Ask) -> None:
    """Raises: Refusal where the person may not settle here now."""
    person = world.person(visit.psn_no)
    insurance = world.insurance(person, insutype)
    since = visit.begntime if visit.kind == "inpatient" else ""  # admitted while it stood
    refuse_unfiled(world, person, insurance, asked.mdtrtarea_admvs, since)
    if visit.kind == "outpatient" and person.pays_special_only(data.get("med_type")):
        raise Refusal("special_only")
    disease = str(visit.facts.get("dise_codg") or data.get("dise_codg"))
    if visit.kind == "outpatient" and data.get("med_type") == CHRONIC and not person.has_disease(disease):
        raise Refusal("chronic_not_qualified")
    if world.temperament.diagnoses and not visit.diagnoses:
        raise Refusal("diagnoses_missing")
    final = asked.infno == "2304" and data.get("mid_setl_flag") != "1"
    if world.temperament.discharge and final and not visit.discharged:
        raise Refusal("not_discharged")


def _refuse_special(world: World, visit: Visit, insutype: str, lines: list[FeeLine]) -> None:
    """Raises: Refusal for a drug that the place of insurance pays only for a special disease."""
    insured = world.insurance(world.person(visit.psn_no), insutype).insuplc_admdvs
    for line in lines:
        if insured.startswith(line.shares.item.special_in or ("-",)):
            raise Refusal("special_drug", item=line.shares.item.name)


def _lines(world: World, visit: Visit, batch: str) -> list[FeeLine]:
    """The lines to settle: the unsettled ones of the batch; a centre that takes seconds settles the same ones again."""
    of_batch = [line for line in visit.lines.values() if not batch or line.chrg_bchno == batch]
    unsettled = [line for line in of_batch if not line.setl_id]
    if unsettled:
        return unsettled
    if not of_batch:
        raise Refusal("lines_missing")
    if world.temperament.refuse_second:
        raise Refusal("batch_settled")
    return of_batch


def confirm(world: World, one: Settlement) -> None:
    """The second phase of a two-phase family.  Raises: NoEffect, Refusal."""
    if one.state == "settled" and world.temperament.confirm_again == "ok":
        raise NoEffect
    if one.state != "prepared":
        raise Refusal("trade_confirmed" if one.state == "settled" else "trade_undone")
    world.confirm(one)


def abort(world: World, one: Settlement) -> None:
    """A second phase that discards the first.  Raises: NoEffect, Refusal."""
    if one.state == "undone":
        raise NoEffect
    if one.state != "prepared":
        raise Refusal("trade_confirmed")
    one.state, one.since = "undone", world.clock.mono()


def confirm_refund(world: World, one: Settlement, made: Refund) -> None:
    """The second phase of a refund.  Raises: NoEffect, Refusal."""
    if made.state == "refunded" and world.temperament.confirm_again == "ok":
        raise NoEffect
    if made.state != "prepared":
        raise Refusal("trade_confirmed" if made.state == "refunded" else "trade_undone")
    if one.state != "settled":
        raise Refusal("settlement_refunded")
    made.state, made.since = "refunded", world.clock.mono()
    world.refund(one, made)


def abort_refund(world: World, one: Settlement, made: Refund) -> None:
    """A second phase that discards a refund's first.  Raises: NoEffect, Refusal."""
    if made.state == "undone":
        raise NoEffect
    if made.state != "prepared":
        raise Refusal("trade_confirmed")
    made.state, made.since = "undone", world.clock.mono()


def refund(world: World, asked: Asked) -> Content:
    """2208, 2305: the whole settlement; its amounts come back negative, under the refund's own setl_id."""
    data = asked.record()
    visit = world.visit(data.need("mdtrt_id"), data.need("psn_no"))
    found = world.settlements.get(data.need("setl_id"))
    if found is None or found.visit is not visit or found.state in ("reversed", "prepared", "undone"):
        raise Refusal("settlement_unknown")
    if (asked.infno == "2305") != (visit.kind == "inpatient"):
        raise Refusal("visit_wrong_kind")
    if found.state == "refunded":
        raise Refusal("settlement_refunded")
    made = Refund(world.identity("J"), asked.infno, asked.msgid, world.clock.wall(), world.clock.mono())
    if asked.prepare:
        world.prepare_refund(found, made)
    else:
        world.refund(found, made)
    return refund_told(world, found, made)


def reverse(world: World, asked: Asked) -> None:
    """2601 of a settlement, a refund or an admission.  Repeatable: what is reversed stays reversed."""
    data = asked.record()
    psn_no, omsgid, oinfno = data.need("psn_no"), data.need("omsgid"), data.need("oinfno")
    for settlement in world.settlements.values():
        made = settlement.refund
        if settlement.visit.psn_no == psn_no and settlement.msgid == omsgid:
            return _reverse_settlement(world, settlement, oinfno)
        if settlement.visit.psn_no == psn_no and made is not None and made.msgid == omsgid:
            return _reverse_refund(world, settlement, made, oinfno)
    for visit in world.visits.values():
        if visit.psn_no == psn_no and visit.kind == "inpatient" and visit.msgid == omsgid:
            return _reverse_admission(world, visit, oinfno)
    if world.temperament.reverse_missing == "error":
        raise Refusal("original_missing")
    raise NoEffect


def _reverse_settlement(world: World, settlement: Settlement, oinfno: str) -> None:
    _refuse_other(world, oinfno, settlement.infno, national_date(settlement.at))
    if settlement.state == "refunded":
        raise Refusal("settlement_refunded")
    if settlement.state in ("reversed", "undone"):
        raise NoEffect
    if settlement.state == "prepared":
        return abort(world, settlement)
    world.reverse(settlement)


def _reverse_refund(world: World, settlement: Settlement, made: Refund, oinfno: str) -> None:
    _refuse_other(world, oinfno, made.infno, national_date(made.at))
    if made.state == "reversed":
        raise NoEffect
    for sn in settlement.lines:
        line = settlement.visit.lines.get(sn)
        if line is None or line.setl_id:
            raise Refusal("line_settled", sn=sn)
    world.revive(settlement)


def _reverse_admission(world: World, visit: Visit, oinfno: str) -> None:
    _refuse_other(world, oinfno, "2401", national_date(visit.at))
    if world.standing(visit):
        raise Refusal("visit_has_settlement")
    if visit.cancelled:
        raise NoEffect
    visit.cancelled = True


def _refuse_other(world: World, oinfno: str, infno: str, day: str) -> None:
    if oinfno[:4] != infno[:4]:
        raise Refusal("original_other")
    if world.temperament.reverse_window == "same_day" and day != world.today():
        raise Refusal("original_closed")


def outcome_told(world: World, one: Settlement, medins_setl_id: str, setl_id: str) -> Content:
    """The output of a trial or a settlement."""
    person = world.person(one.visit.psn_no)
    insurance = world.insurance(person, one.insutype)
    setlinfo = {
        **({"setl_id": setl_id} if setl_id else {}),
        "mdtrt_id": one.visit.mdtrt_id,
        **base_fields(world, person),
        "insutype": one.insutype,
        "psn_type": insurance.psn_type,
        "cvlserv_flag": insurance.cvlserv_flag,
        "setl_time": national_time(one.at),
        "mdtrt_cert_type": one.mdtrt_cert_type or None,
        "med_type": one.med_type,
        **one.split.amounts(),
        "medins_setl_id": medins_setl_id,
        "clr_optins": one.place.mdtrtarea_admvs or None,
        "clr_way": CLR_WAY,
        "clr_type": CLR_TYPE[one.split.rule.kind],
    }
    if one.infno == "2304":
        setlinfo["hifdm_pay"] = Decimal("0.00")
    return {"setlinfo": setlinfo, "setldetail": fund_rows(world, one.split, one.insutype)}


def refund_told(world: World, one: Settlement, made: Refund) -> Content:
    """The output of a refund: the settlement's amounts, negative; the balance as it is now."""
    insurance = world.person(one.visit.psn_no).insurance(one.insutype)
    amounts = negative(one.split)
    amounts["balc"] = insurance.balc if insurance is not None else one.split.balc
    setlinfo: dict[str, Any] = {
        "mdtrt_id": one.visit.mdtrt_id,
        "setl_id": made.setl_id,
        "clr_optins": one.place.mdtrtarea_admvs or None,
        "setl_time": national_time(made.at),
        **amounts,
        "medins_setl_id": made.msgid,
    }
    if made.infno == "2208":
        setlinfo["pdn_cash_pay"] = amounts["psn_cash_pay"]
    return {"setlinfo": setlinfo, "setldetail": fund_rows(world, one.split, one.insutype, sign=-1)}


def negative(told: Split) -> dict[str, Decimal]:
    """All amounts of a split, turned round; a share or a zero stays as it is."""
    amounts = told.amounts()
    return {name: value if name == "pool_prop_selfpay" or not value else -value for name, value in amounts.items()}


def fund_rows(world: World, told: Split, insutype: str, sign: int = 1) -> list[dict[str, Any]]:
    """``setldetail``: one row per fund that pays."""
    names = world.benefits.funds.get(insutype, world.benefits.funds["310"])
    rows = []
    for fund, paid in told.funds.items():
        if not paid:
            continue
        code, title = names.get(fund, ("999997", "其他基金"))
        rows.append(
            {
                "fund_pay_type": code,
                "inscp_scp_amt": sign * told.bill.inscp_scp_amt,
                "crt_payb_lmt_amt": told.pool_left if fund == "hifp_pay" else Decimal("0.00"),
                "fund_payamt": sign * paid,
                "fund_pay_type_name": title,
                "setl_proc_info": "；".join(told.steps),
            }
        )
    return rows
