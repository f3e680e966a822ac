"""The context of a case, read from the ledger as it is now."""

from __future__ import annotations

from adapter_core.settlement.calls import Context
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import Case
from adapter_core.values.copies import replace


async def context_of(ledger: Ledger, place: Place, case: Case) -> Context:
    """The case with its records, on the gateway its encounter was opened with.  Raises: GatewayGone."""
    context = await homeless_context(ledger, place, case)
    return replace(context, place=place.of(context.encounter))


async def homeless_context(ledger: Ledger, place: Place, case: Case) -> Context:
    """The case with its records, on whatever gateway the place has: its own may be gone."""
    encounter = await ledger.encounter(case.encounter_id)
    bill = await ledger.bill(case.bill_id)
    assert encounter is not None and bill is not None
    return Context(place, encounter, bill, case)


async def fresh_case(ledger: Ledger, context: Context) -> Case:
    """The context's case as it is stored now; one that isn't stored yet as it is."""
    assert context.case is not None
    if not context.case.version:
        return context.case  # to be stored with what is written next
    case = await ledger.case(context.case.case_id)
    assert case is not None
    return case
