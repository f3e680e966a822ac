"""Locating: which encounter, bill and case a message's references and keys name."""

from __future__ import annotations

from dataclasses import dataclass

from adapter_core.province.dialect import Dialect, RefKind
from adapter_core.province.messages import Operation
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import Alias, Bill, Case, Encounter
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused


@dataclass(frozen=True, slots=True)
class Found:
    """What a message's references and keys name; None where nothing yet."""

    encounter: Encounter | None = None
    bill: Bill | None = None
    case: Case | None = None


async def locate(ledger: Ledger, place: Place, dialect: Dialect, operation: Operation) -> Found:
    """Raises: Refused UNKNOWN_REF, REF_CONFLICT."""
    found = Found()
    for kind, value in operation.refs.items():
        spec = dialect.refs.get(kind) or RefKind(kind, theirs=True)
        alias = await ledger.alias(place.org, dialect.name, spec.names or kind, value)
        if alias is None:
            if spec.theirs:
                continue
            raise Refused(
                f"unknown {kind}", code="UNKNOWN_REF", message_zh=f"单据号 {value} 不是本系统发出的，未发送，请核对"
            )
        found = await _joined(ledger, found, alias, kind)
    if found.encounter is None and operation.keys.get("encounter"):
        encounter = await ledger.encounter_by_key(place.org, operation.keys["encounter"])
        found = replace(found, encounter=encounter)
    if found.encounter is not None and found.bill is None:
        found = replace(found, bill=await _bill(ledger, found.encounter, operation.keys.get("visit", "")))
    return found


async def named_case(ledger: Ledger, place: Place, dialect: Dialect, operation: Operation) -> Case:
    """The settlement a reversal, cancel or query names.  Raises: Refused NO_SUCH_CASE."""
    key = operation.keys.get("settle")
    case = await ledger.case_by_key(place.org, "settle", key) if key else None
    if case is None and operation.verb in ("query", "confirm") and operation.keys.get("void"):
        case = await ledger.case_by_key(place.org, "void", operation.keys["void"])
    if case is None:
        case = (await locate(ledger, place, dialect, operation)).case
    if case is None:
        raise Refused(
            "no settlement of that key",
            code="NO_SUCH_CASE",
            message_zh="没有找到要处理的结算记录，未发送，请核对单号",
        )
    return case


async def _joined(ledger: Ledger, found: Found, alias: Alias, kind: str) -> Found:
    if found.encounter is not None and alias.encounter_id not in ("", found.encounter.encounter_id):
        raise Refused(
            f"{kind} is another encounter's",
            code="REF_CONFLICT",
            message_zh="报文中的单号属于不同的就诊，未发送，请核对",
        )
    return Found(
        encounter=found.encounter or (await ledger.encounter(alias.encounter_id) if alias.encounter_id else None),
        bill=found.bill or (await ledger.bill(alias.bill_id) if alias.bill_id else None),
        case=found.case or (await ledger.case(alias.case_id) if alias.case_id else None),
    )


async def _bill(ledger: Ledger, encounter: Encounter, visit_key: str) -> Bill | None:
    bills = await ledger.bills_of(encounter.encounter_id)
    if visit_key:
        # the newest: after a refund the same visit goes on in a new bill
        named = next((bill for bill in reversed(bills) if bill.visit_key == visit_key), None)
        return named or _nameless(encounter, bills, visit_key)
    return next((bill for bill in reversed(bills) if bill.is_open), None)


def _nameless(encounter: Encounter, bills: list[Bill], visit_key: str) -> Bill | None:
    """A stay's lines come before anybody knows which bill they will be: the open one takes the name it is settled by."""
    bill = next((one for one in reversed(bills) if one.is_open), None)
    if bill is None or encounter.kind != "inpatient" or bill.visit_key != own_name(encounter, bill.chrg_bchno):
        return None
    return replace(bill, visit_key=visit_key)


def own_name(encounter: Encounter, charge_batch: str) -> str:
    """A bill's key where the HIS has none."""
    return f"{encounter.encounter_key}#{charge_batch}"
