"""Receipts of settled visits: figures, capitals, reprints, and 80 columns on the dot-matrix printer."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import pytest
from pypdf import PdfReader

from adapter_core.paperwork import rendering
from adapter_core.paperwork.receipts import COLUMNS, dot_matrix, receipt, width
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import State
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused
from tests.unit.paperwork_samples import HOUSE, ORG, visit

RESULT = {
    "setl_id": "J0001", "mdtrt_id": "M0001", "setl_time": "2026-11-21 09:10:00", "medfee_sumamt": Decimal("37.65"),
    "fund_pay_sumamt": Decimal("20.00"), "acct_pay": Decimal("7.60"), "psn_cash_pay": Decimal("10.05"), "balc": Decimal("294.00"),
    "inscp_scp_amt": Decimal("33.90"),
}  # fmt: skip
FUNDS = [{"fund_pay_type": "310100", "fund_payamt": Decimal("20.00"), "fund_pay_type_name": "参保地自己的基金名称"}]


def made(
    case_type: str = "outpatient", copy: int = 1, state: State = State.SETTLED, notice: str = ""
) -> dict[str, Any]:
    seen = visit(case_type)
    bill = replace(seen.bill, content={**seen.bill.content, "settled": RESULT, "funds": FUNDS})
    case = Case(
        "C1", ORG, "settle", "K1", "V1", "E1", "B1", seen.encounter.kind, "national", state, "h", setl_id="J0001"
    )
    return receipt(HOUSE, case, seen.encounter, bill, copy, "2026-11-21 09:11:00", "沪医保中心(2019)31号", notice)


@pytest.mark.parametrize("paper", ["a4", "a5"])
@pytest.mark.parametrize(
    ("case_type", "title"),
    [("outpatient", "门诊医保结算单"), ("inpatient", "住院医保结算单"), ("pharmacy", "药店购药医保结算单")],
)
def test_a_receipt_says_the_settlements_own_figures_and_names(case_type: str, title: str, paper: str) -> None:
    pdf = rendering.pdf("receipt", {**made(case_type), "paper": paper})
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    for wanted in (
        title, "J0001", "M0001", "参保地自己的基金名称", "37.65", "20.00", "7.60", "10.05", "壹拾元零伍分", "叁拾柒元陆角伍分",
        "沪医保中心(2019)31号", "收费专用章",
    ):  # fmt: skip
        assert wanted in text
    assert "账户共济支付" not in text  # the centre returned none: an absent amount is not a zero
    assert "补打" not in text
    assert rendering.GETA not in text


def test_a_reprint_says_which_one_it_is() -> None:
    pdf = rendering.pdf("receipt", {**made(copy=3), "paper": "a4"})
    assert "补打第 2 次" in PdfReader(io.BytesIO(pdf)).pages[0].extract_text()
    assert "补打第2次" in dot_matrix(made(copy=3))
    assert "补打" not in dot_matrix(made())


@pytest.mark.parametrize("case_type", ["outpatient", "inpatient", "pharmacy"])
def test_continuous_paper_takes_eighty_columns_of_gb18030(case_type: str) -> None:
    text = dot_matrix(made(case_type))
    lines = text.rstrip("\f").split("\r\n")
    assert max(map(width, lines)) <= COLUMNS
    assert text.endswith("\r\n\f")
    assert all(len(line.encode("gb18030")) == width(line) for line in lines)
    for wanted in ("J0001", "M0001", "参保地自己的基金名称", "37.65", "壹拾元零伍分"):
        assert wanted in text


def test_long_names_are_broken_and_not_cut() -> None:
    long = {**made(), "funds": [{"name": "很长的基金名称" * 8, "amount": "20.00"}]}
    lines = dot_matrix(long).split("\r\n")
    assert max(map(width, lines)) <= COLUMNS
    assert "很长的基金名称" * 8 in "".join(lines)


def test_only_a_chronic_patient_gets_the_notice() -> None:
    assert made("outpatient_chronic", notice="告知内容")["notice"] == "告知内容"
    assert made(notice="告知内容")["notice"] == ""


@pytest.mark.parametrize("state", [State.VOIDED, State.VOIDING, State.RESOLVING, State.REJECTED])
def test_only_what_is_settled_has_a_receipt(state: State) -> None:
    with pytest.raises(Refused) as caught:
        made(state=state)
    assert caught.value.code == "NOT_SETTLED"
