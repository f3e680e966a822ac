"""What the contract doesn't say: both families' forms of success, their odd cases, and the national gateway's choice of signer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from adapter_core.formats.json import read_json
from adapter_core.formats.soap import read_envelope
from adapter_core.province.bridge import values_of
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call, Mark, Operation, Outcome, Reply
from adapter_core.values.errors import ConfigError, NotSupported, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret
from his_adapter_anhui.dialect import fuyang, hefei
from his_adapter_anhui.gateway import anhui, anhui_fuyang, anhui_hefei

SAMPLES = Path(__file__).parent / "samples"
MOMENT = datetime(2026, 11, 21, 1, 5, tzinfo=UTC)
SITE = Site("H34000000001", "测试医院一", "340100")
RESULT = {
    "medfee_sumamt": Decimal("186.50"),
    "fund_pay_sumamt": Decimal("120.30"),
    "hifp_pay": Decimal("110.30"),
    "hifmi_pay": Decimal("10.00"),
    "acct_pay": Decimal("40.00"),
    "psn_cash_pay": Decimal("26.20"),
    "balc": Decimal("315.60"),
}


def handle_asked() -> Operation:
    return hefei({}).decode_request(
        hefei({}).read_frame_file((SAMPLES / "hefei" / "settle.request.txt").read_bytes(), "x", False)
    )


def handle_reply(ret: str, **outs: str) -> Reply:
    whole = hefei({}).read_frame_file((SAMPLES / "hefei" / "settle.reply.txt").read_bytes(), "x", True)
    changed = {name: text.encode("gbk") for name, text in outs.items()}
    return hefei({}).decode_reply(handle_asked(), replace(whole, ret=ret, outs={**whole.outs, **changed}))


@pytest.mark.parametrize(
    ("ret", "outs", "mark", "text"),
    [
        ("true", {}, Mark.OK, ""),
        ("true", {"getErrMsg": "OK" + "\x00" * 20}, Mark.OK, ""),  # a buffer filled up
        ("true", {"getErrMsg": "连接中断"}, Mark.REFUSED, "连接中断"),
        ("true", {"getErrMsg": "ok"}, Mark.REFUSED, "ok"),
        ("true", {"getErrMsg": ""}, Mark.UNREADABLE, ""),
        ("false", {"getFailReason": "该门诊号已结算，不能重复结算"}, Mark.REFUSED, "该门诊号已结算，不能重复结算"),
        ("false", {}, Mark.REFUSED, ""),  # getErrMsg's OK is no reason for a failure
        ("1", {}, Mark.REFUSED, ""),
        ("", {}, Mark.UNREADABLE, ""),
    ],
)
def test_hefei_needs_both_marks_of_a_success(ret: str, outs: dict[str, str], mark: Mark, text: str) -> None:
    reply = handle_reply(ret, **outs)
    assert reply.mark is mark
    if mark is Mark.REFUSED:
        assert reply.text == text


def test_hefei_tells_refusal_and_doubt_in_different_forms() -> None:
    asked = handle_asked()
    failed = hefei({}).encode_reply(asked, Outcome("REJECTED", "X", "卡已挂失"))
    doubt = hefei({}).encode_reply(asked, Outcome("PENDING", "X", "正在核实"))
    assert (failed.ret, failed.outs["getFailReason"].decode("gbk")) == ("false", "卡已挂失")
    assert doubt.ret == "true"
    assert doubt.outs["getErrMsg"].decode("gbk") == "【结果未知，请勿改自费】正在核实"


def test_hefei_tells_every_fund_in_its_one_place_and_the_balance_before() -> None:
    told = hefei({}).encode_reply(handle_asked(), Outcome("SETTLED", "", "", {"result": RESULT})).outs
    texts = {
        name: told[name].decode("gbk")
        for name in ("akc260", "akc261", "akc262", "akc264", "akc252", "akc087", "skc033")
    }
    assert list(texts.values()) == ["120.30", "26.20", "40.00", "186.50", "355.60", "315.60", "Z"]
    with pytest.raises(TranslationError, match="acct_mulaid_pay"):
        hefei({}).encode_reply(
            handle_asked(), Outcome("SETTLED", "", "", {"result": {**RESULT, "acct_mulaid_pay": Decimal(1)}})
        )


def test_hefei_never_keeps_a_password() -> None:
    raw = (SAMPLES / "hefei" / "settle.request.txt").read_bytes() + b"pwd=secret-1\n"
    read = hefei({}).decode_request(hefei({}).read_frame_file(raw, "x", False))
    assert "secret-1" not in repr(read)


@pytest.mark.parametrize("function", ["F04.06.09.01", "F07.11.05.01", "F04.12.01.02"])
def test_functions_without_public_parameters_are_named_and_refused(function: str) -> None:
    with pytest.raises(NotSupported, match=function):
        hefei({}).decode_request(Frame(function=function, ins={"akc020": b"T1"}))


def test_a_handle_call_is_one_request_that_puts_processes_and_gets() -> None:
    gateway = anhui_hefei(SITE)
    fees = [{"med_list_codg": code, "pric": Decimal("93.25"), "cnt": Decimal(1), "det_item_fee_sumamt": Decimal("93.25")}
            for code in ("XA00000001", "XA00000002")]  # fmt: skip
    person = {"mdtrt_cert_type": "03", "mdtrt_cert_no": "T0000001", "psn_no": "T00000000001"}
    content = {"person": person, "visit": {"ipt_otp_no": "MZ0000001"}, "fees": fees, "settle": {"med_type": "11"}}
    frame = gateway.encode(Call("pay", "F04.05.10.01", "N", content, "M1"), MOMENT)
    steps = read_json(frame.body)["steps"]
    assert (frame.method, frame.path) == ("PUT", "/calls/M1")
    functions = [step["function"] for step in steps]
    assert functions[:2] == ["putPara", "putPara"]
    assert functions.count("startResultSetName") == functions.count("endCurResultSet") == 1
    assert functions.count("endcurRow") == 2
    assert functions.index("endCurResultSet") < functions.index("process") < functions.index("getErrMsg")
    process = steps[functions.index("process")]
    assert (values_of(process["ins"]), process["ret"]) == ({"function": b"F04.05.10.01"}, "true")
    assert next(step["outs"] for step in steps if step["function"] == "getParaByName") == ["aae072"]
    assert not any("pwd" in str(values_of(step["ins"])) for step in steps)


def soap_reply(value: str, text: str = "", result: str | None = None) -> Reply:
    raw = (SAMPLES / "fuyang" / "InpatientCalculate.response.xml").read_text("utf-8")
    raw = raw.replace('xsd:int">1<', f'xsd:int">{value}<')
    raw = raw.replace("已享受起付线", text)
    if result is not None:
        start, end = raw.index("&lt;"), raw.rindex("&gt;") + 4
        raw = raw[:start] + result + raw[end:]
    asked = fuyang({}).decode_request(Frame(body=(SAMPLES / "fuyang" / "InpatientCalculate.request.xml").read_bytes()))
    return fuyang({}).decode_reply(asked, Frame(body=raw.encode(), status=200))


@pytest.mark.parametrize(
    ("value", "mark"),
    [("1", Mark.OK), ("7", Mark.OK), ("-1", Mark.OK), ("0", Mark.REFUSED), ("00", Mark.REFUSED), ("-0", Mark.REFUSED),
     ("", Mark.UNREADABLE), ("true", Mark.UNREADABLE), ("1.0", Mark.UNREADABLE), ("OK", Mark.UNREADABLE)],
)  # fmt: skip
def test_fuyang_returns_0_for_failure_and_any_other_number_for_success(value: str, mark: Mark) -> None:
    assert soap_reply(value).mark is mark


def test_a_success_with_a_hint_is_a_success_and_one_without_its_rows_is_none() -> None:
    assert soap_reply("1", "请核对起付线").mark is Mark.OK
    assert soap_reply("1", result="").mark is Mark.UNREADABLE
    assert soap_reply("0", "费用信息不符，请重新上传", result="").text == "费用信息不符，请重新上传"


@pytest.mark.parametrize(
    "result",
    [
        "&lt;JQWebService&gt;&lt;RowCount&gt;2&lt;/RowCount&gt;&lt;Row1&gt;&lt;sAllInCost&gt;1&lt;/sAllInCost&gt;&lt;/Row1&gt;&lt;/JQWebService&gt;",
        "&lt;JQWebService&gt;&lt;RowCount&gt;1&lt;/RowCount&gt;&lt;Row2&gt;&lt;sAllInCost&gt;1&lt;/sAllInCost&gt;&lt;/Row2&gt;&lt;/JQWebService&gt;",
        "&lt;Other/&gt;",
    ],
    ids=["a row is missing", "numbered from 2", "another root"],
)
def test_rows_that_dont_add_up_are_unreadable(result: str) -> None:
    assert soap_reply("1", result=result).mark is Mark.UNREADABLE


def test_fuyang_says_doubt_as_a_fault_and_refusal_as_0() -> None:
    asked = fuyang({}).decode_request(Frame(body=(SAMPLES / "fuyang" / "InpatientCalculate.request.xml").read_bytes()))
    refused = read_envelope(fuyang({}).encode_reply(asked, Outcome("REJECTED", "X", "待遇不享受")).body)
    assert (refused.operation, refused.parameters["return"]) == ("InpatientCalculateResponse", "0")
    assert refused.parameters["sMessage"] == "待遇不享受"
    doubt = fuyang({}).encode_reply(asked, Outcome("FROZEN", "X", "工单号 A"))
    fault = read_envelope(doubt.body).fault
    assert doubt.status == 500
    assert fault is not None
    assert fault.text.startswith("【结果未知，请勿改自费】")


@pytest.mark.parametrize(
    ("person", "mark"),
    [({"psn_name": "测试乙"}, Mark.OK), ({"certno": "110101190001010000"}, Mark.OK), ({}, Mark.REFUSED),
     ({"psn_name": "测试丙"}, Mark.REFUSED)],
)  # fmt: skip
def test_of_a_family_under_one_certificate_nobody_is_guessed(person: dict[str, str], mark: Mark) -> None:
    gateway = anhui_fuyang(SITE)
    asked = {"person": {"mdtrt_cert_type": "03", "mdtrt_cert_no": "T0000001", **person}}
    frame = Frame(body=(SAMPLES / "fuyang" / "GetPersonInfo.response.xml").read_bytes(), status=200)
    reply = gateway.decode(Call("who", "GetPersonInfo", "R", asked, "M1"), frame)
    assert reply.mark is mark
    if mark is Mark.OK:
        assert all(reply.content["person"][name] == value for name, value in person.items())


def test_the_national_gateway_claims_nothing_and_takes_the_sites_word() -> None:
    call = Call("who", "1101", "R", {"person": {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000"},
                                     "env": {"opter": "1", "opter_name": "测试"}}, "H34000000001202611210905000001")  # fmt: skip
    plain = anhui(SITE).encode(call, MOMENT)
    assert (plain.path, [name for name, _ in plain.headers]) == ("", ["Content-Type"])
    secrets = {name: Secret(name) for name in ("ak", "sk", "paasid", "token", "key", "secret", "apikey")}
    for signer, options, header in (
        ("csb", {"api_name": "test"}, "_api_signature"),
        ("x-tif", {}, "x-tif-signature"),
        ("x-ca", {}, "x-ca-signature"),
        ("apikey", {}, "apikey"),
    ):
        site = replace(SITE, options={"signer": signer, "path": "/{infno}", **options}, secrets=secrets)
        frame = anhui(site).encode(call, MOMENT)
        assert frame.header(header), signer
        assert frame.path == "/1101"
    for wrong, options in (("signer", {"signer": "sm2"}), ("api_name", {"signer": "csb"}), ("recer", {"recer": "1"})):
        with pytest.raises(ConfigError, match=wrong):
            anhui(replace(SITE, options=options, secrets=secrets))
