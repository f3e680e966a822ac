"""What the centre's reconciliation files do not name: evidence E4 as proof of absence (`reliability.md` §5).

The file of every business day from the send to the end of the late commit, each asked for when the day was closed and the quiet period
was over, must be known to hold everything the centre has of the case's group, and must not name the money call.  That the quiet
period was over when a file was asked for is known by an order in the ledger, not by a clock: whoever drives the case writes it into
the case first, and whoever fetches the file reads it there before asking.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter_core.province.capabilities import Capabilities
from adapter_core.settlement.calls import Context
from adapter_core.settlement.entries import CLR_TYPE_OF
from adapter_core.settlement.place import Timers
from adapter_core.settlement.records import CallRecord, Case, Change, Event
from adapter_core.values.copies import replace
from adapter_core.values.moments import china

QUIET = "quiet"
"""In a case's data: the msgid of the money call whose quiet period is over."""
UNFILED = "unfiled"
"""In a case's data: the msgid, and the business days whose files do not name it."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """A money call in doubt, as the files would name it.

    days: whose files could hold it; quiet: its quiet period is over, so a file asked for from now on shows it if it is there.
    insutype, clr_type, optins: the group and the clearing office its row would stand in, "" where nobody knows.
    """

    case_id: str
    way: str
    msgid: str
    days: tuple[str, ...]
    quiet: bool
    insutype: str
    clr_type: str
    optins: str
    refunded: bool
    mdtrt_id: str


def doubted(context: Context, record: CallRecord, way: str) -> Doubted:
    """The doubt about a case's newest money call.  way: the name of its gateway."""
    case, bill = context.case, context.bill.content
    assert case is not None
    trial = {**bill.get("settled" if case.purpose == "void" else "trial", {})}
    return Doubted(
        case_id=case.case_id,
        way=way,
        msgid=record.msgid,
        days=business_days(record, context.place.timers, context.place.gateway.capabilities),
        quiet=case.data.get(QUIET) == record.msgid,
        insutype=str(trial.get("insutype") or bill.get("settle", {}).get("insutype") or ""),
        clr_type=str(trial.get("clr_type") or CLR_TYPE_OF.get(case.kind, "")),
        optins=str(trial.get("clr_optins") or ""),
        refunded=case.purpose == "void",
        mdtrt_id=context.encounter.mdtrt_id,
    )


def business_days(record: CallRecord, timers: Timers, capabilities: Capabilities) -> tuple[str, ...]:
    """From the send to ``not_after + late_commit_s``, yyyy-MM-dd."""
    not_after = datetime.fromisoformat(record.not_after)
    first = china(not_after - timedelta(seconds=timers.gate)).date()
    last = china(not_after + timedelta(seconds=capabilities.late_commit_s)).date()
    return tuple((first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1))


def outlived_quiet(case: Case, msgid: str, at: str) -> Change | None:
    """The case with the note that its quiet period is over; None where it has it."""
    if case.data.get(QUIET) == msgid:
        return None
    event = Event("QUIET", at, case.case_id, case.encounter_id, {"msgid": msgid})
    noted = replace(case, version=case.version + 1, changed_at=at, data={**case.data, QUIET: msgid})
    return Change(case.org, events=(event,), cases=(noted,))


def unfiled(case: Case, doubt: Doubted, day: str, at: str) -> Change | None:
    """The case with one more day whose file does not name it; None where that is known."""
    known = case.data.get(UNFILED, {})
    days = list(known.get("days", [])) if known.get("msgid") == doubt.msgid else []
    if day in days:
        return None
    facts = {"msgid": doubt.msgid, "days": sorted([*days, day])}
    event = Event(
        "NOT_FILED", at, case.case_id, case.encounter_id, {"evidence": "E4", "msgid": doubt.msgid, "day": day}
    )
    noted = replace(case, version=case.version + 1, changed_at=at, data={**case.data, UNFILED: facts})
    return Change(case.org, events=(event,), cases=(noted,))


def is_proved_absent(case: Case, record: CallRecord, timers: Timers, capabilities: Capabilities) -> bool:
    """Whether the file of every day that could hold the call is known not to name it."""
    known = case.data.get(UNFILED, {})
    return known.get("msgid") == record.msgid and set(known["days"]).issuperset(
        business_days(record, timers, capabilities)
    )
