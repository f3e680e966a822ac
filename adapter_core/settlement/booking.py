"""Booking: the HIS says that it has booked what it was told (J8).  Repeatable; invoice numbers may come later, and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter_core.province.messages import Operation
from adapter_core.settlement import answers
from adapter_core.settlement.records import Case, Change, Event
from adapter_core.settlement.states import OWNED, State
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused

BOOKABLE = frozenset({State.SETTLED, State.VOIDING, State.VOIDED})
NUMBERS = ("invono", "ebill_no")
"""The paper invoice's number, the fiscal e-bill's number."""


def acknowledged(case: Case, operation: Operation, at: str) -> Change | None:
    """What the ledger learns; None when it knew, or when nothing can have been booked yet.

    The numbers are read from ``ack`` and, a legacy message's invoice number, from ``settle``.
    Raises: Refused NOT_SETTLED when the HIS books what moved no money.
    """
    if case.state in OWNED or case.state is State.FROZEN:
        return None  # it hears once more that nothing is known yet
    if case.state not in BOOKABLE:
        state = answers.told_state(case)
        raise Refused(
            f"state {state}", code="NOT_SETTLED", message_zh=f"该笔当前为 {state}，没有可入账的结算，请先查询结果"
        )
    known: Mapping[str, Any] = case.data.get("acked", {})
    said = {**operation.content.get("settle", {}), **operation.content.get("ack", {})}
    numbers = {name: str(said[name]) for name in NUMBERS if said.get(name)}
    booked = {"at": at, **known, **numbers}
    if booked == known:
        return None
    acked = replace(case, version=case.version + 1, data={**case.data, "acked": booked})
    event = Event("HIS_ACK", at, case.case_id, case.encounter_id, {"key": case.key, **numbers})
    search = tuple((name, value, case.case_id) for name, value in numbers.items() if name == "invono")
    return Change(case.org, events=(event,), cases=(acked,), search=search)
