"""An operator's decision about a frozen case: evidence E5 (`reliability.md` §5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapter_core.settlement.decisions import move
from adapter_core.settlement.place import Place
from adapter_core.settlement.poison import pardoned
from adapter_core.settlement.records import Case, Change, Event
from adapter_core.settlement.states import State
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, Refused, TranslationError

OUTCOMES = {
    "settled": "结算成立（须填 setl_id 和金额）",
    "not_applied": "没有这笔结算",
    "reversed": "已冲正，没有结算",
    "recheck": "重新向中心核实",
}
"""What may be decided.  Each but ``recheck`` ends the doubt on the operator's word and proof."""


@dataclass(frozen=True, slots=True)
class OperatorDecision:
    """Who decides what, why, and on which proof.

    outcome: one of OUTCOMES.  proof: name and SHA-256 of the attached file.  second_operator: the other pair of eyes, needed
    above the place's ``four_eyes_fen``.  result: for ``settled``: setl_id, medfee_sumamt, fund_pay_sumamt, acct_pay, psn_cash_pay.
    """

    outcome: str
    operator: str
    reason: str
    proof: str
    second_operator: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)


def check_decision(place: Place, case: Case, decision: OperatorDecision, burnt: bool) -> None:
    """burnt: a reversal of the money call is in the journal.

    Raises: TranslationError with every fault; Refused NOT_FROZEN, FOUR_EYES, BURNT.
    """
    faults = [
        Fault(name, "a text", "nothing")
        for name in ("operator", "reason", "proof")
        if not getattr(decision, name).strip()
    ]
    if decision.outcome not in OUTCOMES:
        faults.append(Fault("outcome", " | ".join(OUTCOMES), decision.outcome[:20]))
    if decision.outcome == "settled":
        wanted = ("setl_id", "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay")
        faults += [Fault(name, "as the centre has it", "nothing") for name in wanted if name not in decision.result]
    if faults:
        raise TranslationError(faults, message_zh="裁定材料不全，未受理")
    if case.state is not State.FROZEN:
        raise Refused(f"state {case.state}", code="NOT_FROZEN", message_zh="只有待人工核定的业务可以裁定")
    if decision.outcome == "settled" and burnt:
        # a reversal may still take effect after the HIS was told that it paid
        raise Refused(
            "a reversal of it was sent",
            code="BURNT",
            message_zh="该笔已发过冲正，不能裁定为结算成立，可裁定已冲正或重新核实",
        )
    second = decision.second_operator.strip()
    if needs_two(place, case) and (not second or second == decision.operator.strip()):
        raise Refused("a second operator must sign", code="FOUR_EYES", message_zh="金额超过限额，须由另一名操作员复核")


def needs_two(place: Place, case: Case) -> bool:
    """Whether a decision about the case needs a second pair of eyes."""
    return int(case.data.get("quoted", {}).get("total_fen", 0)) > place.four_eyes_fen


def decided(case: Case, decision: OperatorDecision, at: str) -> tuple[State, Change]:
    """The state decided for, and the change that journals the decision; the settlement itself is filed by the driver."""
    state = {
        "settled": State.VOIDED if case.purpose == "void" else State.SETTLED,
        "not_applied": State.NOT_APPLIED,
        "reversed": State.REVERSED,
        "recheck": State.RESOLVING,
    }[decision.outcome]
    facts = {
        "outcome": decision.outcome,
        "operator": decision.operator,
        "second_operator": decision.second_operator,
        "reason": decision.reason,
        "proof": decision.proof,
        "evidence": "E5",
    }
    event = Event("DECIDED", at, case.case_id, case.encounter_id, facts)
    return state, Change(case.org, events=(event,))


def rechecked(case: Case, change: Change, owner: str, at: str) -> Change:
    """Back to asking the centre."""
    again = replace(pardoned(move(case, State.RESOLVING, at)), owner=owner, epoch=case.epoch + 1, told={})
    return replace(change, cases=(again,))
