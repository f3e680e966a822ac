"""Lines of a settlement whose total differs, beside ours."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adapter_core.accounts.lines import compared


def line(number: str, amount: Any, code: str = "XA1") -> dict[str, Any]:
    return {"feedetl_sn": number, "med_list_codg": code, "det_item_fee_sumamt": amount}


def test_only_lines_that_differ_are_shown_with_both_sides() -> None:
    ours = [line("F1", Decimal("100.00")), line("F2", Decimal("13.50")), line("F3", Decimal("1.00"))]
    theirs = [line("F1", "100"), line("F2", "13.05"), line("F4", "2.00", "XB2")]
    assert compared(ours, theirs) == [
        {"feedetl_sn": "F2", "med_list_codg": "XA1", "ours": "13.50", "centre": "13.05"},
        {"feedetl_sn": "F3", "med_list_codg": "XA1", "ours": "1.00", "centre": ""},
        {"feedetl_sn": "F4", "med_list_codg": "XB2", "ours": "", "centre": "2.00"},
    ]


def test_returned_rows_of_a_line_count_together_and_what_is_no_amount_differs() -> None:
    ours = [line("F1", Decimal("100.00")), line("F1", Decimal("-40.00"))]
    assert compared(ours, [line("F1", "60.00")]) == []
    [row] = compared(ours, [line("F1", "many")])
    assert (row["ours"], row["centre"]) == ("60.00", "?")
