"""Reopening: a stay's bill after its refund.  Its lines lie at the centre as before the settlement, so the new bill begins with them:
what the HIS leaves out is taken back, what it changes goes up anew, and what it says the same is sent no second time."""

from __future__ import annotations

from adapter_core.province.plan import Route
from adapter_core.settlement.records import Bill
from adapter_core.settlement.uploading import MARKS, SENT
from adapter_core.values.copies import replace


def reopened(route: Route, kind: str, closed: Bill, bill: Bill) -> Bill:
    """The new bill of a refunded one's visit.  Lines that belong to a charge batch (an outpatient's) ended with it."""
    uploads = [route.steps[name] for name in route.chains.get(kind, ()) if route.steps[name].each]
    kept = [step.name for step in uploads if step.drop != "bill" and step.name in closed.standing]
    if kind != "inpatient" or not kept:
        return bill
    standing = {name: closed.standing[name] for name in (*kept, MARKS) if name in closed.standing}
    content = {name: closed.content[name] for name in ("fees", SENT) if name in closed.content}
    return replace(bill, standing={**bill.standing, **standing}, content={**bill.content, **content})
