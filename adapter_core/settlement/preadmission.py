"""Pre-admission (预住院): outpatient lines of the days before an admission that become lines of the stay.  Pure.

A line is in one bill at a time.  The outpatient bill says that it is folded and takes nothing more, not even papers; the stay's bill
says which of its lines came from where.  Both are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from adapter_core.province.policy import reasons
from adapter_core.settlement.amounts import total_of
from adapter_core.settlement.records import Bill, Case, Encounter
from adapter_core.settlement.states import State
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSupported, Refused

FOLDED = "folded"
"""In an outpatient bill's content: the key of the stay it went into."""
FOLDED_IN = "folded_in"
"""In a stay's bill: visit key → ``bill_id``, ``lines`` (the numbers here), ``state``."""
COMING, IN, GOING = "coming", "in", "going"
"""Being taken back from the outpatient visit; a line of the stay; being taken back from the stay."""
DAYS = "preadmission_days"
"""Gateway option: how many days before the admission a line may be of; 0, the default: nothing is folded here."""
DISEASES = "preadmission_diseases"
"""Gateway option: codes of the stay (``dise_codg`` or ``dscg_maindiag_code``) it is allowed for, separated by spaces; "" = all."""
ANOTHERS = ("med_type", "chrg_bchno", "mdtrt_id", "psn_no", "dise_codg", "rxno", "rx_circ_flag")
"""What a line says of the outpatient visit it no longer belongs to."""
SAME = ("med_list_codg", "det_item_fee_sumamt", "cnt")
_SN = "feedetl_sn"


def refuse_closed(options: Mapping[str, str], stay: Encounter) -> int:
    """How many days before the admission count.  Raises: NotSupported; Refused PREHOSPITAL_NOT_ELIGIBLE."""
    days = str(options.get(DAYS, "0"))
    if not days.isdigit() or int(days) == 0:
        text = "本线路没有开通预住院（入院前检查并入住院），未办理；该费用请按门诊结算"
        raise NotSupported("no pre-admission here", code="PREADMISSION_OFF", message_zh=text)
    visit, listed = stay.content.get("visit", {}), str(options.get(DISEASES, "")).split()
    if listed and not {str(visit.get(name)) for name in ("dise_codg", "dscg_maindiag_code")} & {*listed}:
        raise _not_eligible("病种不在本院预住院病种表内")
    return int(days)


def refuse_other_person(stay: Encounter, visit: Encounter) -> None:
    """Raises: Refused PERSON_DIFFERS unless some number of the person is the same, and none another."""
    ours, theirs = (_numbers(one.content.get("person", {})) for one in (stay, visit))
    common = [name for name in ours if name in theirs]
    if not common or any(ours[name] != theirs[name] for name in common):
        text = f"门诊就诊 {visit.encounter_key} 与住院登记的不是同一患者（或无从核对），未并入，请核对"
        raise Refused("another person", code="PERSON_DIFFERS", message_zh=text)


def _numbers(person: Mapping[str, Any]) -> dict[str, str]:
    names = ["psn_no", "certno"]
    found = {name: str(person[name]) for name in names if person.get(name)}
    if person.get("mdtrt_cert_type") == "02" and person.get("mdtrt_cert_no"):
        found.setdefault("certno", str(person["mdtrt_cert_no"]))
    return found


def refuse_outside(stay: Encounter, visit_key: str, bill: Bill, days: int) -> None:
    """Raises: Refused NO_LINES, PREHOSPITAL_NOT_ELIGIBLE naming the lines outside the window."""
    rows: Sequence[Content] = bill.content.get("fees", ())
    if not rows:
        raise Refused("no lines", code="NO_LINES", message_zh=f"门诊账单 {visit_key} 没有费用明细，未并入")
    admitted = date.fromisoformat(str(stay.content.get("visit", {}).get("begntime", ""))[:10])
    first = admitted - timedelta(days=days)
    outside = [str(row[_SN]) for row in rows if not first <= _day(row, admitted) <= admitted]
    if outside:
        raise _not_eligible(f"门诊账单 {visit_key} 的明细 {'、'.join(outside[:5])} 不在 {first} 至 {admitted} 之间")


def _day(row: Mapping[str, Any], usual: date) -> date:
    text = str(row.get("fee_ocur_time") or "")[:10]
    return date.fromisoformat(text) if text else usual


def _not_eligible(why: str) -> Refused:
    reason = reasons()["prehospital_not_eligible"]
    text = f"{reason.cashier_zh}：{why}，未并入，请按门诊结算"
    return Refused(why, code="PREHOSPITAL_NOT_ELIGIBLE", message_zh=text)


def refuse_holder(visit_key: str, holder: Case | None) -> None:
    """Raises: Refused USE_VOID, USE_CANCEL, VISIT_HELD for an outpatient bill that is settled, or may be."""
    if holder is None:
        return
    order = holder.case_id[:10].upper()
    if holder.state is State.SETTLED:
        text = f"门诊账单 {visit_key} 已直接结算（业务号 {holder.key}，结算编号 {holder.setl_id}），未并入；请先退费再并入住院"
        raise Refused("settled", code="USE_VOID", message_zh=text)
    if holder.state is State.QUOTED:
        text = f"门诊账单 {visit_key} 有未取消的预结算（业务号 {holder.key}），未并入；请先取消"
        raise Refused("quoted", code="USE_CANCEL", message_zh=text)
    text = f"门诊账单 {visit_key} 正在办理结算或手工报销（业务号 {holder.key}，工单号 {order}），未并入；请先办结"
    raise Refused(f"state {holder.state}", code="VISIT_HELD", message_zh=text)


def refuse_folded(bill: Bill | None) -> None:
    """What may not be done any more with an outpatient bill that went into a stay.  Raises: Refused FOLDED."""
    if bill is not None and FOLDED in bill.content:
        stay = bill.content[FOLDED]["into"]
        text = f"门诊账单 {bill.visit_key} 的费用已并入住院 {stay}，不能再按门诊办理，未发送；未入院的请先退回门诊"
        raise Refused(f"folded into {stay}", code="FOLDED", message_zh=text)


# -- moving


def folded_in(bill: Bill) -> Mapping[str, Mapping[str, Any]]:
    """The visits whose lines are in a stay's bill, or on their way."""
    found: Mapping[str, Mapping[str, Any]] = bill.content.get(FOLDED_IN, {})
    return found


def coming(stay: Encounter, stay_bill: Bill, bill: Bill, at: str) -> tuple[Bill, Bill]:
    """The stay's bill and the outpatient one, both saying that the lines are on their way."""
    entry = {"bill_id": bill.bill_id, "lines": [], "state": COMING}
    waiting = _with(stay_bill, FOLDED_IN, {**folded_in(stay_bill), bill.visit_key: entry})
    return _moved_on(waiting), _moved_on(_with(bill, FOLDED, {"into": stay.encounter_key, "at": at}))


def arrived(stay_bill: Bill, bill: Bill) -> Bill:
    """The stay's bill with the lines.  A number that is taken in the stay already gets a mark."""
    taken = {row[_SN]: True for row in stay_bill.content.get("fees", ())}
    rows = []
    for row in bill.content["fees"]:
        number = str(row[_SN])
        while number in taken:
            number = f"{number}P"
        taken[number] = True
        rows.append({**{name: value for name, value in row.items() if name not in ANOTHERS}, _SN: number})
    entry = {"bill_id": bill.bill_id, "lines": [row[_SN] for row in rows], "state": IN}
    fees = [*stay_bill.content.get("fees", ()), *rows]
    return _moved_on(_with_fees(_with(stay_bill, FOLDED_IN, {**folded_in(stay_bill), bill.visit_key: entry}), fees))


def going(stay_bill: Bill, visit_key: str) -> Bill:
    """The stay's bill without the visit's lines, which may still be at the centre under the stay."""
    entry = folded_in(stay_bill)[visit_key]
    rows = [row for row in stay_bill.content.get("fees", ()) if row[_SN] not in entry["lines"]]
    gone = {**folded_in(stay_bill), visit_key: {**entry, "state": GOING}}
    return _moved_on(_with_fees(_with(stay_bill, FOLDED_IN, gone), rows))


def returned(stay_bill: Bill, visit_key: str) -> Bill:
    """The stay's bill that knows nothing of the visit any more."""
    bill = going(stay_bill, visit_key)
    left = {key: entry for key, entry in folded_in(bill).items() if key != visit_key}
    return _with(bill, FOLDED_IN, left)


def free(bill: Bill) -> Bill:
    """The outpatient bill, to be settled as such again."""
    content = {name: part for name, part in bill.content.items() if name != FOLDED}
    return _moved_on(replace(bill, content=content))


def carried(closed: Bill, bill: Bill) -> tuple[Bill, Bill]:
    """A stay's new bill after a refund takes the folded lines over from the closed one.  Both, in that order."""
    numbers = locked(closed)
    rows = [row for row in closed.content.get("fees", ()) if row[_SN] in numbers]
    return _with_fees(_with(bill, FOLDED_IN, folded_in(closed)), rows), _moved_on(_with(closed, FOLDED_IN, {}))


def locked(bill: Bill) -> frozenset[str]:
    """Numbers of the lines of a stay's bill that only `returned` takes out of it."""
    return frozenset(number for entry in folded_in(bill).values() for number in entry["lines"])


def with_folded(bill: Bill, rows: Iterable[Content]) -> list[Content]:
    """A stay's lines as the HIS now says them, with the folded ones: they stay whatever it leaves out.

    Raises: Refused LINE_FOLDED where a line of the same number is another one.
    """
    numbers = locked(bill)
    if not numbers:
        return list(rows)
    known = {row[_SN]: row for row in bill.content.get("fees", ()) if row[_SN] in numbers}
    found = []
    for row in rows:
        mine = known.get(row[_SN])
        if mine is not None and any(mine.get(name) != row.get(name) for name in SAME):
            text = f"明细 {row[_SN]} 与并入住院的门诊明细同号但内容不同，未发送，请更换明细号"
            raise Refused("another line of a folded number", code="LINE_FOLDED", message_zh=text)
        if mine is None:
            found.append(row)
    return [*known.values(), *found]


def _moved_on(bill: Bill) -> Bill:
    return replace(bill, version=bill.version + 1)


def _with(bill: Bill, name: str, value: Mapping[str, Any]) -> Bill:
    return replace(bill, content={**bill.content, name: value})


def _with_fees(bill: Bill, rows: list[Content]) -> Bill:
    settle = {name: value for name, value in bill.content.get("settle", {}).items() if name != "medfee_sumamt"}
    if rows:
        settle["medfee_sumamt"] = total_of(rows)
    return replace(bill, content={**bill.content, "fees": rows, "settle": settle})
