"""Searching for a settlement that made a visit of its own: a sale (2102), whose visit number only its lost reply said.

The person's visits of that day are listed (5201), then each is asked for its settlement (5203).  ``medins_setl_id`` = our msgid
is evidence E2 wherever it is met; not to meet it is none, because no source says that 5201 lists sales.
"""

from __future__ import annotations

from adapter_core.province.messages import Call
from adapter_core.settlement.calls import Caller, Context
from adapter_core.settlement.decisions import Finding, finding
from adapter_core.settlement.states import Result
from adapter_core.values.content import Content

VISITS_MOST = 20
"""A person with more visits of one kind in a day is asked about the newest only."""
DAY = 10
"""Characters of the day in a national moment."""


async def searched(caller: Caller, context: Context, call: Call, content: Content) -> Finding:
    """``found`` or ``contradiction`` where one of the person's visits has the settlement of our msgid; else ``other`` (every one
    was asked) or ``silent``.  content: the call's, under today's session."""
    gateway = context.place.gateway
    step = gateway.route.steps[call.step]
    asks = content.get("visit", {})
    since = str(asks.get("begntime") or caller.national_moment())[:DAY]
    until = {**content.get("env", {}), "endtime": caller.national_moment()}
    listing = {**content, "visit": {**asks, "begntime": f"{since} 00:00:00"}, "env": until}
    listed = await caller.read(gateway.route.steps[step.among], context, listing, resolving=True)
    if listed.verdict.result is not Result.APPLIED:
        return Finding("silent", {}, [], listed.verdict.text)
    numbers = [str(row["mdtrt_id"]) for row in listed.verdict.content.get("visits", []) if row.get("mdtrt_id")]
    last = Finding("other", {}, [], "no visit of the person has it")
    for number in reversed(numbers[-VISITS_MOST:]):
        assert context.case is not None
        about = {**content, "visit": {**asks, "mdtrt_id": number}}
        called = await caller.read(gateway.route.steps[step.ask], context, about, resolving=True)
        outside = gateway.capabilities.shared_account_outside
        told = finding(context.case, call.msgid, call.content, called.verdict, gateway.policy, outside)
        if told.kind in ("found", "contradiction"):
            return told
        last = told if told.kind == "silent" else last
    return last
