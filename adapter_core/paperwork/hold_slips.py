"""The hold slip (待核查单): the one paper a patient may get while nobody knows whether the settlement happened.  Pure."""

from __future__ import annotations

from typing import Any

from adapter_core.paperwork.attempts import china_time
from adapter_core.paperwork.dossier import House, institution, patient
from adapter_core.paperwork.fee_lists import fee_rows, total
from adapter_core.settlement.answers import work_order
from adapter_core.settlement.papers import Visit
from adapter_core.settlement.states import OWNED, State
from adapter_core.values.errors import Refused

HELD_ZH = {State.FROZEN: "待人工核定", State.VOIDING: "退费结果核实中"}
SLIP_STATES = OWNED | HELD_ZH.keys()


def hold_slip(house: House, visit: Visit, at: str) -> dict[str, Any]:
    """What the slip says.  at: printed when (China).  Raises: Refused NOT_HELD where nothing is in doubt."""
    holder = visit.holder
    if holder is None or holder.state not in SLIP_STATES:
        raise Refused("nothing is in doubt", code="NOT_HELD", message_zh="该就诊没有结果未知的结算，不需要待核查单")
    return {
        "form": "hold_slip",
        "environment": house.environment,
        "institution": institution(house),
        "patient": patient(visit.encounter.content, visit.bill.content.get("settle", {})),
        "number": str(visit.encounter.content.get("visit", {}).get("ipt_otp_no", "")),
        "work_order": work_order(holder),
        "state_zh": HELD_ZH.get(holder.state, "结果核实中"),
        "since": china_time(holder.changed_at),
        "total": total(fee_rows(visit.bill.content)),
        "printed_at": at,
    }
