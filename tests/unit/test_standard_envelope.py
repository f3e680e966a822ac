"""The envelope: requests and responses taken apart, the msgid, and saved messages checked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from adapter_core.standard import national_msgid, read_request, read_response, request_envelope
from adapter_core.standard.describe import validate_file
from adapter_core.values.errors import ConfigError, TranslationError

MOMENT = datetime(2026, 11, 20, 16, 5, 9, tzinfo=UTC)
FIELDS = {
    "infno": "2601",
    "msgid": "H36000000001202611210005090007",
    "mdtrtarea_admvs": "360100",
    "insuplc_admdvs": "440300",
    "recer_sys_code": "his",
    "infver": "V1.1",
    "opter_type": "1",
    "opter": "T001",
    "opter_name": "测试操作员",
    "inf_time": "2026-11-21 00:05:09",
    "fixmedins_code": "H36000000001",
    "fixmedins_name": "测试医院一",
}
INPUT = {"data": {"psn_no": "36000001", "omsgid": "H36000000001202611210005080006", "oinfno": "2207"}}


def test_a_msgid_is_the_code_the_time_in_china_and_four_digits() -> None:
    assert national_msgid("H36000000001", MOMENT, 7) == "H36000000001202611210005090007"
    assert len(national_msgid("H36000000001", MOMENT, 9999)) == 30


def test_a_msgid_that_would_not_fit_is_refused() -> None:
    for code in ("H360000000012", "", "H3600000 001", "医院1"):
        with pytest.raises(ConfigError):
            national_msgid(code, MOMENT, 1)
    for sequence in (-1, 10000):
        with pytest.raises(ValueError, match="four digits"):
            national_msgid("H36000000001", MOMENT, sequence)
    with pytest.raises(ValueError, match="time zone"):
        national_msgid("H36000000001", MOMENT.replace(tzinfo=None), 1)


def test_a_request_is_built_in_the_table_s_order_and_taken_apart_again() -> None:
    request = request_envelope({**FIELDS, "serv_code": "S1", "city_extra": Decimal("1.10")}, INPUT)
    assert list(request)[:3] == ["infno", "msgid", "mdtrtarea_admvs"]
    assert list(request)[-1] == "input"
    assert request["dev_no"] == ""
    fields, inner, faults = read_request(request)
    assert (inner, faults) == (INPUT, ())
    assert fields == {**FIELDS, "serv_code": "S1", "city_extra": Decimal("1.10")}


def test_all_faults_of_an_envelope_are_told_at_once() -> None:
    wrong = {
        **FIELDS,
        "infno": "",
        "opter_type": "9",
        "inf_time": "2026/11/21",
        "insuplc_admdvs": None,
        "infver": "V1.2.34",
    }
    with pytest.raises(TranslationError) as raised:
        request_envelope(wrong, INPUT)
    assert {fault.path for fault in raised.value.faults} == {
        f"request.{code}" for code in ("infno", "opter_type", "inf_time", "insuplc_admdvs", "infver")
    }


def test_the_place_of_insurance_is_asked_for_only_when_a_person_is_named() -> None:
    local = {code: value for code, value in FIELDS.items() if code != "insuplc_admdvs"}
    assert read_request({**local, "input": {"data": {"psn_no": ""}}}).faults == ()
    assert [f.path for f in read_request({**local, "input": {"rows": [{"psn_no": "1"}]}}).faults] == [
        "request.insuplc_admdvs"
    ]


def test_lengths_the_sources_dispute_do_not_refuse_an_envelope() -> None:
    assert (
        read_request({**FIELDS, "fixmedins_code": "H" * 20, "fixmedins_name": "测" * 201, "input": INPUT}).faults == ()
    )


@pytest.mark.parametrize(
    ("given", "inner", "paths"),
    [
        (json.dumps(INPUT), INPUT, []),
        ("cipher==", None, ["request.input"]),
        (None, None, ["request.input"]),
        ([1], None, ["request.input"]),
        ('{"data": 1, "data": 2}', None, ["request.input"]),
        ('{"data": NaN}', None, ["request.input"]),
    ],
)
def test_the_input_may_come_as_a_text(given: Any, inner: Any, paths: list[str]) -> None:
    read = read_request({**FIELDS, "input": given})
    assert read.input == inner
    assert [fault.path for fault in read.faults] == paths


@pytest.mark.parametrize("tree", [None, [], "x", 1])
def test_a_request_that_is_no_object_is_one_fault(tree: Any) -> None:
    assert [fault.path for fault in read_request(tree).faults] == ["request"]


@pytest.mark.parametrize(
    ("infcode", "text"),
    [
        (0, "0"), ("0", "0"), (Decimal("0"), "0"), (Decimal("0.0"), "0"), (-1, "-1"), ("-1", "-1"), (" 0 ", "0"),
        (None, ""), (False, ""), ([], ""), ("E001", "E001"), (Decimal("0.5"), "0.5"), (Decimal("NaN"), "NaN"),
    ],
)  # fmt: skip
def test_infcode_is_a_text_and_never_by_accident_a_success(infcode: Any, text: str) -> None:
    assert read_response({"infcode": infcode}).infcode == text


@pytest.mark.parametrize(
    ("given", "output"),
    [
        (None, None), ("", None), ({}, {}), ([{"a": 1}], [{"a": 1}]), ('{"a": 1.10}', {"a": Decimal("1.10")}),
        ("[]", []), ("cipher==", "cipher=="), ("12", "12"), ("[" * 100000, "[" * 100000),
    ],
)  # fmt: skip
def test_the_output_may_be_anything_the_provinces_send(given: Any, output: Any) -> None:
    read = read_response({"infcode": 0, "output": given})
    assert read.output == output
    assert (
        not any(isinstance(value, float) for value in (read.output or {}).values())
        if isinstance(output, dict)
        else True
    )


def test_a_response_keeps_every_further_field() -> None:
    read = read_response(
        {
            "infcode": 0, "err_msg": None, "inf_refmsgid": "R1", "refmsg_time": 20261121090500123,
            "warn_msg": "提示", "enctype": "", "own": {"a": None}, "output": None,
        }
    )  # fmt: skip
    assert (read.err_msg, read.inf_refmsgid, read.refmsg_time, read.respond_time) == ("", "R1", "20261121090500123", "")
    assert read.extra == {"warn_msg": "提示", "enctype": "", "own": {"a": None}}
    with pytest.raises(TranslationError):
        read_response([])


def test_a_saved_message_is_checked_for_what_it_is() -> None:
    request = request_envelope(FIELDS, INPUT)
    right = validate_file(request)
    assert (right.kind, right.infno, right.faults, right.warnings) == ("request", "2601", (), ())
    wrong = validate_file({**request, "opter_type": 1, "opter": "", "input": {"data": {"psn_no": "1"}}})
    assert [fault.path for fault in wrong.faults] == ["request.opter", "input.data.omsgid", "input.data.oinfno"]
    assert [fault.path for fault in wrong.warnings] == ["request.opter_type"]
    assert [fault.path for fault in validate_file({**request, "input": "cipher"}).faults] == ["request.input"]
    assert [fault.path for fault in validate_file({**request, "infno": "2999"}).faults] == ["infno"]


def test_an_input_alone_and_a_response_are_checked_with_the_number_given() -> None:
    assert validate_file(INPUT, "2601").faults == ()
    assert validate_file({"infno": "2601", "input": INPUT}).faults == ()
    assert validate_file({"input": INPUT}, "2601").faults == ()
    assert [fault.path for fault in validate_file(INPUT).faults] == ["infno"]
    refused = validate_file({"infcode": -1, "err_msg": "签名校验失败", "output": None}, "2207")
    assert (refused.kind, refused.faults, refused.warnings) == ("response", (), ())
    settled = validate_file({"infcode": "0", "output": {"setlinfo": []}}, "2207")
    assert [fault.path for fault in settled.faults] == ["output.setlinfo"]
    assert [fault.path for fault in validate_file({"infcode": None}, "2207").faults] == ["response.infcode"]
    assert validate_file([]).kind == "unreadable"
