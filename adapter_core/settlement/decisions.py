"""What becomes of a case: the decision core.  Pure: records and facts in, records out; the driver carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_core.province.policy import Policy
from adapter_core.settlement.amounts import amounts, broken_identities
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import MOVES, OWNED, Result, State
from adapter_core.values.content import Content
from adapter_core.values.copies import replace


class ImpossibleMove(AssertionError):
    """A move the table doesn't allow: a fault of ours; the case is left as it was."""


def move(case: Case, state: State, at: str, **changes: Any) -> Case:
    """The case one version on, in ``state``.  Raises: ImpossibleMove."""
    if state is not case.state and state not in MOVES[case.state]:
        raise ImpossibleMove(f"{case.case_id}: {case.state} -> {state}")
    owner = case.owner if state in OWNED else ""
    return replace(case, state=state, version=case.version + 1, changed_at=at, **{"owner": owner, **changes})


def settled(case: Case, result: Mapping[str, Any], at: str, **changes: Any) -> Case:
    """The case with a settlement's amounts and id: SETTLED, or VOIDED for a case that takes one back."""
    state = State.VOIDED if case.purpose == "void" else State.SETTLED
    return move(case, state, at, setl_id=str(result.get("setl_id", "")), **amounts(result).as_fen(), **changes)


def after_money(case: Case, verdict: Verdict, at: str, two_phase: bool = False) -> Case:
    """What a verdict on the money call makes of the case.  Only a proof moves it anywhere but to RESOLVING.

    two_phase: the call was only the first phase, so an OK has prepared the settlement and not made it.
    """
    match verdict.result:
        case Result.APPLIED if two_phase:
            prepared = {"result": verdict.content["result"], "funds": list(verdict.content.get("funds", []))}
            state = State.CONFIRMING if case.wanted else State.RESOLVING
            return move(case, state, at, data={**case.data, "prepared": prepared})
        case Result.UNKNOWN if two_phase and verdict.refs:
            return move(case, State.RESOLVING, at, data={**case.data, "handle": verdict.refs})
        case Result.APPLIED if case.wanted:
            return settled(case, verdict.content["result"], at)
        case Result.REJECTED:
            return move(case, State.REJECTED, at)
        case Result.NOT_SENT:
            unsent = move(case, State.NOT_SENT, at)
            return unsent if case.wanted else replace(unsent, state=State.CANCELLED)
        case _:
            return move(case, State.RESOLVING, at)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a query after an unknown outcome says of the money call.

    kind: ``found`` (result: the centre's amounts), ``absent``, ``contradiction`` (text says which), ``other``
    (another settlement's row, which says nothing about this one), ``silent`` (no answer).
    """

    kind: str
    result: Content
    funds: list[Content]
    text: str = ""


def finding(
    case: Case, msgid: str, asked: Content, verdict: Verdict, policy: Policy, shared_account_outside: bool = False
) -> Finding:
    """A 5203 reply read as evidence E2 (`reliability.md` §5): ours only with our msgid, the same person, visit and total."""
    if verdict.result is not Result.APPLIED:
        absent = verdict.result is Result.REJECTED and any(text in verdict.text for text in policy.absent_texts)
        return Finding("absent" if absent else "silent", {}, [], verdict.text)
    result = _as_settlement(verdict.content.get("result", {}))
    if not result.get("setl_id"):
        return Finding("absent" if case.purpose == "settle" else "silent", {}, [])
    if case.purpose == "void":
        return _void_finding(msgid, asked.get("settled", {}).get("setl_id"), result, verdict)
    if result.get("medins_setl_id") != msgid:
        # the reply has room for one settlement of the visit: another one's row says nothing about ours
        named = bool(result.get("medins_setl_id"))
        return Finding(
            "other" if named else "silent", {}, [], "another settlement's msgid" if named else "a row without msgid"
        )
    if str(result.get("refd_setl_flag", "0")) == "1":
        return Finding("contradiction", result, [], "found, but refunded")
    differing = [
        name
        for name, value in (
            ("psn_no", asked.get("person", {}).get("psn_no")),
            ("mdtrt_id", asked.get("visit", {}).get("mdtrt_id")),
            ("medfee_sumamt", asked.get("settle", {}).get("medfee_sumamt")),
        )
        if value is not None and result.get(name) is not None and result[name] != value
    ]
    broken = broken_identities(result, shared_account_outside)
    if differing or broken:
        return Finding("contradiction", result, [], "; ".join([*(f"{name} differs" for name in differing), *broken]))
    return Finding("found", result, list(verdict.content.get("funds", [])))


def _void_finding(msgid: str, target: str | None, result: Content, verdict: Verdict) -> Finding:
    """Either the refund's own row, or the settlement's row, which then says whether it was refunded."""
    funds = list(verdict.content.get("funds", []))
    refunded = str(result.get("refd_setl_flag", "0")) == "1"
    if result.get("medins_setl_id") == msgid and refunded:
        return Finding("found", result, funds)
    if result["setl_id"] != target:
        return Finding("silent", {}, [], "another settlement's row")
    if not refunded:
        return Finding("absent", {}, [])
    # the settlement's row doesn't name the refund's own setl_id
    return Finding("found", {name: value for name, value in result.items() if name != "setl_id"}, funds)


def _as_settlement(result: Mapping[str, Any]) -> Content:
    """5203 names two amounts otherwise: ``psn_pay`` is ``psn_part_amt``, ``cash_payamt`` is ``psn_cash_pay``."""
    renamed = dict(result)
    for own, ours in (("psn_pay", "psn_part_amt"), ("cash_payamt", "psn_cash_pay")):
        if own in renamed:
            renamed.setdefault(ours, renamed[own])
    if "hosp_part_amt" not in renamed and {"medfee_sumamt", "fund_pay_sumamt", "psn_part_amt"} <= renamed.keys():
        # 5203's table has no hosp_part_amt, so the hospital's part is what remains
        renamed["hosp_part_amt"] = renamed["medfee_sumamt"] - renamed["fund_pay_sumamt"] - renamed["psn_part_amt"]
    return renamed
