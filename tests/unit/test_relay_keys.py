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


def sale(infno: str = "2102", *numbers: str, **more: Any) -> Operation:
    info = {"psn_no": PSN_NO, "begntime": "2026-11-21 09:00:00", "medfee_sumamt": 35, "insutype": "310", **more}
    rows = [
        {"feedetl_sn": number, "med_list_codg": "X1", "medins_list_codg": "Y1", "det_item_fee_sumamt": 35, "cnt": 1}
        for number in numbers or ("1",)
    ]
    tree = {"infno": infno, "msgid": "M1", "fixmedins_code": "H1", "input": {"druginfo": info, "drugdetail": rows}}
    return operation_of(read_asked(json.dumps(tree).encode()))


def test_a_sale_is_named_by_person_day_and_lines() -> None:
    first = sale("2102", "1", "2")
    assert (first.verb, first.kind, first.refs) == ("settle", "pharmacy", {})
    for again in (
        sale("2102", "2", "1"),
        sale("2102A", "1", "2", invono="F2"),
        sale("2102", "1", "2", begntime="2026-11-21 23:00:00"),
    ):
        assert again.keys == first.keys
    assert sale("2101", "1", "2").keys["visit"] == first.keys["visit"], "a trial is filed under the sale that it tries"
    for other in (
        sale("2102", "1"),
        sale("2102", "1", "3"),
        sale("2102", "1", "2", psn_no="T2"),
        sale("2102", "1", "2", begntime="2026-11-22 09:00:00"),
    ):
        assert other.keys["settle"] != first.keys["settle"]
        assert other.keys["visit"] != first.keys["visit"]
    assert PSN_NO not in "".join(first.keys.values())
    assert sale("2102", "1").keys != sale("2102", "01").keys, "a line's number is no amount"


def test_a_sale_at_no_moment_has_no_key() -> None:
    for begntime in ("", "20261121090000", "2026-13-21 09:00:00"):
        with pytest.raises(TranslationError) as refused:
            sale(begntime=begntime)
        assert [fault.path for fault in refused.value.faults] == ["input.begntime"]
    assert sale("2101", begntime="").keys == {}, "a trial without them only passes through"
