"""Which case a national request means (`contracts.md` §5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapter_core.province.messages import Operation
from adapter_core.province.relay import operation_of, read_asked
from adapter_core.values.errors import TranslationError

PSN_NO = "T00000000001"


def operation(infno: str, msgid: str = "M1", **data: Any) -> Operation:
    fields = {"psn_no": PSN_NO, "mdtrt_id": "V1", "chrg_bchno": "B1", "medfee_sumamt": 10, "insutype": "310", **data}
    tree = {"infno": infno, "msgid": msgid, "fixmedins_code": "H1", "opter": "001", "input": {"data": fields}}
    return operation_of(read_asked(json.dumps(tree).encode()))


@pytest.mark.parametrize("infno", ["2207", "2207A"])
def test_an_outpatient_bill_is_one_case_however_it_is_asked_again(infno: str) -> None:
    first = operation(infno)
    again = operation(infno, "M2", medfee_sumamt="10.00", invono="F2", opter="002")
    assert first.verb == "settle"
    assert first.keys == again.keys
    assert first.content["settle"] == again.content["settle"]
    assert operation(infno, chrg_bchno="B2").keys["settle"] != first.keys["settle"]
    assert operation(infno, chrg_bchno="B2").keys["visit"] != first.keys["visit"]
    assert operation(infno, psn_no="T2").keys["settle"] != first.keys["settle"]


def test_a_stay_has_one_final_bill_and_as_many_interim_ones_as_it_needs() -> None:
    final = operation("2304", mid_setl_flag="0")
    other_sum = operation("2304", mid_setl_flag="0", medfee_sumamt=20)
    assert other_sum.keys["visit"] == final.keys["visit"], "two final settlements may never be open beside each other"
    assert other_sum.keys["settle"] != final.keys["settle"]
    interim, next_interim = (operation("2304", mid_setl_flag="1", medfee_sumamt=sum_) for sum_ in (5, 6))
    assert len({one.keys["visit"] for one in (final, interim, next_interim)}) == 3
    assert operation("2304", mid_setl_flag="0", medfee_sumamt="10.00").keys == final.keys


def test_a_trial_is_filed_under_the_bill_that_it_tries() -> None:
    assert operation("2206").keys["visit"] == operation("2207").keys["visit"]
    assert operation("2206").verb == "relay"
    assert operation("2303", mid_setl_flag="0").keys["visit"] == operation("2304", mid_setl_flag="0").keys["visit"]
    assert operation("2303").keys == {}, "without the fields of a key it only passes through"


def test_no_key_shows_the_person() -> None:
    for infno in ("2201", "2207", "2304", "2208"):
        asked = operation(infno, ipt_otp_no="OP1", begntime="2026-11-21 09:00:00", mid_setl_flag="0", setl_id="J1")
        assert PSN_NO not in "".join(asked.keys.values())


def test_a_money_call_without_its_key_is_refused() -> None:
    with pytest.raises(TranslationError) as refused:
        operation("2207", chrg_bchno="")
    assert [fault.path for fault in refused.value.faults] == ["input.chrg_bchno"]
