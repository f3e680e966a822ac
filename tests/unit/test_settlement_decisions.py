"""The decision core: which moves a case may make, and what a query's answer proves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapter_core.province.policy import Policy
from adapter_core.settlement.decisions import ImpossibleMove, after_money, finding, move
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import MOVES, RELEASED, TERMINAL, UNDECIDED, Result, State
from adapter_core.values.copies import replace

AT = "2026-11-21T01:00:00Z"
OURS = "MSG1"
ROW = {
    "setl_id": "S1", "medins_setl_id": OURS, "psn_no": "T1", "mdtrt_id": "M1", "medfee_sumamt": Decimal("200.00"),
    "fund_pay_sumamt": Decimal("150.00"), "psn_pay": Decimal("50.00"), "acct_pay": Decimal("20.00"),
    "cash_payamt": Decimal("30.00"), "refd_setl_flag": "0",
}  # fmt: skip
ASKED = {"person": {"psn_no": "T1"}, "visit": {"mdtrt_id": "M1"}, "settle": {"medfee_sumamt": Decimal("200.00")}}


def case(state: State = State.SENDING, purpose: str = "settle", **more: Any) -> Case:
    return Case("c1", "H1", purpose, "K1", "V1", "e1", "b1", "outpatient", "national", state, "h", version=5, **more)


@pytest.mark.parametrize("state", State)
def test_a_case_moves_only_as_the_table_says(state: State) -> None:
    for to in State:
        if to in MOVES[state] or to is state:
            moved = move(case(state), to, AT)
            assert (moved.state, moved.version, moved.changed_at) == (to, 6, AT)
        else:
            with pytest.raises(ImpossibleMove):
                move(case(state), to, AT)


def test_nothing_in_doubt_ends_without_evidence() -> None:
    """No move leads from doubt to a state in which the key, or the visit, is free to be sent again."""
    for state in (State.RESOLVING, State.REVERSING, State.FROZEN):
        assert MOVES[state].isdisjoint({State.NOT_SENT, State.READY, State.PREPARING, State.SENDING, State.CANCELLED})
    assert MOVES[State.SETTLED] == {State.VOIDING}
    assert UNDECIDED.isdisjoint(RELEASED | TERMINAL)


def test_only_a_proof_moves_a_case_out_of_sending() -> None:
    result = {**ROW, "psn_cash_pay": ROW["cash_payamt"]}
    applied = Verdict(Result.APPLIED, content={"result": result})
    settled = after_money(case(), applied, AT)
    assert (settled.state, settled.setl_id, settled.total_fen, settled.fund_fen) == (State.SETTLED, "S1", 20000, 15000)
    assert (settled.account_fen, settled.cash_fen) == (2000, 3000)
    assert after_money(case(purpose="void"), applied, AT).state is State.VOIDED
    for result_of, state in (
        (Result.REJECTED, State.REJECTED),
        (Result.NOT_SENT, State.NOT_SENT),
        (Result.UNKNOWN, State.RESOLVING),
    ):
        assert after_money(case(), Verdict(result_of), AT).state is state


def test_what_the_his_no_longer_wants_is_neither_settled_nor_sent_again() -> None:
    unwanted = case(wanted=False)
    assert after_money(unwanted, Verdict(Result.APPLIED, content={"result": ROW}), AT).state is State.RESOLVING
    assert after_money(unwanted, Verdict(Result.NOT_SENT), AT).state is State.CANCELLED
    assert after_money(unwanted, Verdict(Result.REJECTED), AT).state is State.REJECTED


def found(row: dict[str, Any] | None, purpose: str = "settle", **more: Any) -> str:
    content = {} if row is None else {"result": row}
    asked = {**ASKED, "settled": {"setl_id": "S1"}} if purpose == "void" else ASKED
    verdict = Verdict(more.pop("result", Result.APPLIED), text=more.pop("text", ""), content=content)
    policy = Policy(absent_texts=("无此结算",))
    return finding(case(State.RESOLVING, purpose), OURS, asked, verdict, policy, **more).kind


def changed(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**ROW, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (ROW, "found"),
        (None, "absent"),
        (changed(setl_id=None), "absent"),
        (changed(medins_setl_id="MSG2"), "other"),
        (changed(medins_setl_id=None), "silent"),
        (changed(psn_no="T2"), "contradiction"),
        (changed(mdtrt_id="M2"), "contradiction"),
        (changed(medfee_sumamt=Decimal("100.00"), fund_pay_sumamt=Decimal("50.00")), "contradiction"),
        (changed(medfee_sumamt=None), "contradiction"),
        (changed(psn_pay=Decimal("49.00")), "contradiction"),
        (changed(refd_setl_flag="1"), "contradiction"),
        (changed(psn_no=None, mdtrt_id=None), "found"),
        (changed(fund_pay_sumamt=Decimal("140.00")), "found"),
    ],
    ids=str,
)
def test_what_a_query_says_of_a_settlement(row: dict[str, Any] | None, kind: str) -> None:
    """The last row: 5203 has no hospital's part, so what remains is the hospital's."""
    assert found(row) == kind


def test_the_shared_account_is_counted_as_the_gateway_counts_it() -> None:
    row = changed(acct_mulaid_pay=Decimal("5.00"), cash_payamt=Decimal("25.00"))
    assert found(row) == "contradiction"
    assert found(row, shared_account_outside=True) == "found"


def test_5203s_own_names_are_read_as_the_settlements() -> None:
    verdict = Verdict(Result.APPLIED, content={"result": ROW, "funds": [{"fund_payamt": Decimal("150.00")}]})
    told = finding(case(State.RESOLVING), OURS, ASKED, verdict, Policy())
    assert (told.result["psn_cash_pay"], told.result["psn_part_amt"]) == (Decimal("30.00"), Decimal("50.00"))
    assert told.result["hosp_part_amt"] == 0
    assert told.funds == [{"fund_payamt": Decimal("150.00")}]


@pytest.mark.parametrize(
    ("result", "text", "kind"),
    [
        (Result.UNKNOWN, "", "silent"),
        (Result.NOT_SENT, "", "silent"),
        (Result.REJECTED, "系统忙", "silent"),
        (Result.REJECTED, "查询失败：无此结算", "absent"),
        (Result.UNKNOWN, "无此结算", "silent"),
    ],
)
def test_a_query_that_failed_proves_nothing_unless_its_words_are_listed(result: Result, text: str, kind: str) -> None:
    assert found(None, result=result, text=text) == kind


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (changed(refd_setl_flag="1", medins_setl_id="MSG0"), "found"),
        (changed(refd_setl_flag="1", setl_id="S2"), "found"),
        (changed(medins_setl_id="MSG0"), "absent"),
        (changed(refd_setl_flag=None, medins_setl_id="MSG0"), "absent"),
        (changed(setl_id="S9", medins_setl_id="MSG9", refd_setl_flag="1"), "silent"),
        (changed(setl_id="S9", medins_setl_id="MSG9"), "silent"),
        (None, "silent"),
    ],
    ids=[
        "flag on the settlement",
        "own row",
        "not refunded",
        "no flag",
        "another refund",
        "another settlement",
        "none",
    ],
)
def test_what_a_query_says_of_a_refund(row: dict[str, Any] | None, kind: str) -> None:
    assert found(row, "void") == kind


def test_a_refund_seen_on_its_settlements_row_takes_no_setl_id_from_it() -> None:
    verdict = Verdict(Result.APPLIED, content={"result": changed(refd_setl_flag="1", medins_setl_id="MSG0")})
    asked = {**ASKED, "settled": {"setl_id": "S1"}}
    told = finding(case(State.RESOLVING, "void"), OURS, asked, verdict, Policy())
    assert "setl_id" not in told.result


def test_a_refund_holds_no_visit_and_a_settlement_does_until_it_is_released() -> None:
    for state in State:
        assert not case(state, "void").holds_visit
        assert case(state).holds_visit is (state not in RELEASED)
    assert replace(case(), state=State.FROZEN).holds_visit
