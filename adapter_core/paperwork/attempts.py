"""What was tried to settle a visit directly: when, which call, what the centre said; and why it came to nothing, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapter_core.province.policy import Reason, reasons
from adapter_core.settlement.records import Case, Event
from adapter_core.settlement.states import State
from adapter_core.standard.transactions import transaction
from adapter_core.values.errors import AdapterError, Refused
from adapter_core.values.moments import national_time

RESULT_ZH = {"APPLIED": "已受理", "REJECTED": "被拒绝", "NOT_SENT": "未送达", "UNKNOWN": "未收到答复"}

ANSWERED = ("APPLIED", "REJECTED")
"""Results whose text is the centre's own; of the others it is ours, for engineers."""

AFTER_ZH = {
    State.REJECTED: "医保中心未接受本次直接结算",
    State.NOT_SENT: "直接结算请求未能送达医保中心",
    State.NOT_APPLIED: "经核实，医保中心没有本次结算",
    State.REVERSED: "本次结算已冲正，医保中心没有有效结算",
    State.VOIDED: "原直接结算已全部退费",
    State.CANCELLED: "本次直接结算已取消，没有送医保中心",
    State.MANUAL_REVOKED: "前次手工报销材料已收回作废",
}
NEVER_ZH = "本次就诊未做过直接结算"
UNREACHED = "network_unreachable"
"""The catalogue's reason of a request that never left."""


@dataclass(frozen=True, slots=True)
class Why:
    """Why direct settlement came to nothing.

    code: of the catalogue, "" where no fact or known text names one; centre_text: the centre's own words, whole.
    """

    code: str
    heading: str
    patient_zh: str
    cashier_zh: str = ""
    centre_text: str = ""


def attempt_rows(cases: Sequence[tuple[Case, Sequence[Event]]]) -> list[dict[str, str]]:
    """One row a call that a settlement of the visit made, oldest first.  Keys: at what msgid result said."""
    rows = []
    for _, events in cases:
        for event in events:
            if event.kind == "OUTCOME":
                rows.append(_row(event.at, event.data))
    return rows


def _row(at: str, data: Mapping[str, Any]) -> dict[str, str]:
    return {
        "at": china_time(at),
        "what": call_title(str(data.get("message", ""))),
        "msgid": str(data.get("msgid", "")),
        "result": RESULT_ZH.get(str(data.get("result", "")), str(data.get("result", ""))),
        "said": str(data.get("text", ""))[:200] if data.get("result") in ANSWERED else "",
    }


def call_title(message: str) -> str:
    """A call's number with its name, where the standard has one."""
    try:
        return f"{message} {transaction(message).name}"
    except AdapterError:
        return message


def china_time(stamp: str) -> str:
    """A journal's moment as the standard writes it, China time."""
    return national_time(datetime.fromisoformat(stamp))


def chosen_reason(code: str) -> Reason | None:
    """A reason of the catalogue by its code; None for "".  Raises: Refused UNKNOWN_REASON."""
    if code and code not in reasons():
        raise Refused(f"no reason {code}", code="UNKNOWN_REASON", message_zh=f"原因目录中没有 {code}")
    return reasons()[code] if code else None


def why(after: str, told: Mapping[str, str], last_events: Sequence[Event], named: Reason | None) -> Why:
    """Why, by what is known best: a reason somebody names, the reason the last answer had, the state alone.

    after: the state of the last settlement, "" for none.  told: what was told of it last.
    """
    refusal = next(
        (
            event.data
            for event in reversed(last_events)
            if event.kind == "OUTCOME" and event.data["result"] == "REJECTED"
        ),
        {},
    )
    text = str(refusal.get("text", "")) if after == State.REJECTED else ""
    # refused by the centre, or stopped before it was sent by a fact
    stopped = after in (State.REJECTED, State.CANCELLED)
    reason = named or (reasons().get(str(told.get("code", "")).lower()) if stopped else None)
    if reason is None and after == State.NOT_SENT:
        reason = reasons()[UNREACHED]
    heading = AFTER_ZH[State(after)] if after else NEVER_ZH
    if reason is not None:
        return Why(reason.code, heading, reason.patient_zh, reason.cashier_zh, text)
    if after == State.REJECTED:
        known = (
            "医保中心返回的原文见下，本院未能识别其原因，请以参保地解释为准"
            if text
            else str(told.get("message_zh", ""))
        )
        return Why("", heading, known, "", text)
    return Why("", heading, "")
