"""STYDJY towards a HIS: what only this family does.  The general laws are in ``test_laws.py``."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.formats.soap import inner_tree, read_envelope
from adapter_core.province.messages import Mark, Operation, Outcome
from adapter_core.values.errors import ConfigError, NotSupported, TranslationError
from adapter_core.values.frames import Frame
from his_adapter_guangdong.dialect import stydj

SAMPLES = Path(__file__).parent / "samples" / "soap-guangdong"
REQUESTS = sorted(path.name for path in SAMPLES.glob("*.request.xml"))
RESULT = {
    "medfee_sumamt": Decimal("186.50"),
    "fund_pay_sumamt": Decimal("120.30"),
    "hifp_pay": Decimal("110.30"),
    "hifmi_pay": Decimal("10.00"),
    "acct_pay": Decimal("40.00"),
    "psn_cash_pay": Decimal("26.20"),
    "psn_part_amt": Decimal("66.20"),
    "setl_id": "J000000001",
}


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def asked(name: str) -> Operation:
    return stydj({}).decode_request(Frame(body=sample(name)))


def inner(body: bytes, parameter: str = "return") -> dict[str, Any]:
    """The XML inside an envelope, as a tree."""
    tree = inner_tree(read_envelope(body).parameters[parameter])
    assert isinstance(tree, dict)
    return tree


def told(result: dict[str, Any], message: str = "0304", state: str = "SETTLED") -> dict[str, Any]:
    outcome = Outcome(state, state, "", {"result": result}, {"transid": "44030020261121090000000001"})
    output = inner(stydj({}).encode_reply(asked(f"{message}.request.xml"), outcome).body)["output"]
    assert isinstance(output, dict)
    return output


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_encodes_back_to_what_it_was(name: str) -> None:
    frame = stydj({}).encode_request(asked(name))
    before, after = read_envelope(sample(name)), read_envelope(frame.body)
    assert (after.version, after.namespace, after.operation) == (before.version, before.namespace, before.operation)
    assert after.parameters["TransNo"] == before.parameters["TransNo"]
    assert inner(frame.body, "Inxml") == inner(sample(name), "Inxml")
    assert after.parameters["Inxml"].startswith('<?xml version="1.0" encoding="GBK"?><input>')


@pytest.mark.parametrize(
    ("reply", "request_name", "state"),
    [
        ("0211.response.xml", "0211.request.xml", "DONE"),
        ("0303.response.xml", "0303.request.xml", "QUOTED"),
        ("0303.filled.response.xml", "0303.request.xml", "QUOTED"),
        ("0303.soap12.response.xml", "0303.soap12.request.xml", "QUOTED"),
        ("0304.response.xml", "0304.request.xml", "SETTLED"),
        ("0304.filled.response.xml", "0304.request.xml", "SETTLED"),
        ("0305.response.xml", "0305.request.xml", "VOIDED"),
        ("0305.filled.response.xml", "0305.request.xml", "VOIDED"),
    ],
)
def test_a_reply_encodes_back_to_what_it_was(reply: str, request_name: str, state: str) -> None:
    operation = asked(request_name)
    read = stydj({}).decode_reply(operation, Frame(body=sample(reply), status=200))
    frame = stydj({}).encode_reply(operation, Outcome(state, state, "", read.content, read.refs))
    assert inner(frame.body) == inner(sample(reply))
    assert read_envelope(frame.body).version == read_envelope(sample(reply)).version
    assert list(inner(frame.body)) == ["sign", "transid", "errorcode", "errormsg", "output"]
    assert frame.status == 200


def test_a_refusal_is_an_errorcode_below_zero_with_its_words() -> None:
    outcome = Outcome("REJECTED", "NOT_FILED", "未查到有效异地就医备案，不能直接结算")
    frame = stydj({}).encode_reply(asked("0304.request.xml"), outcome)
    assert frame.status == 200
    assert inner(frame.body) == {"errorcode": "-1", "errormsg": "未查到有效异地就医备案，不能直接结算"}


@pytest.mark.parametrize(("name", "version"), [("0303.request.xml", "1.1"), ("0303.soap12.request.xml", "1.2")])
@pytest.mark.parametrize("state", ["PENDING", "FROZEN"])
def test_an_unknown_outcome_is_a_fault_that_warns_the_cashier(name: str, version: str, state: str) -> None:
    frame = stydj({}).encode_reply(asked(name), Outcome(state, state, "工单号 ABC，请联系医保办"))
    message = read_envelope(frame.body)
    assert frame.status == 500
    assert message.version == version
    assert message.fault is not None
    assert message.fault.text == "【结果未知，请勿改自费】工单号 ABC，请联系医保办"


def test_a_refund_in_doubt_is_no_refund() -> None:
    operation = asked("0305.request.xml")
    for state in ("VOIDING", "PENDING", "SETTLED"):
        frame = stydj({}).encode_reply(operation, Outcome(state, state, "退费结果正在核实"))
        assert read_envelope(frame.body).fault is not None


def test_what_the_person_pays_is_account_and_cash() -> None:
    output = told(RESULT)
    assert (output["akb066"], output["yzz139"], output["akb068"], output["akc264"]) == (
        "40.00",
        "66.20",
        "120.30",
        "186.50",
    )


def test_a_national_reply_without_an_account_still_says_every_amount_of_the_equation() -> None:
    result = {**RESULT, "psn_cash_pay": Decimal("66.20")}
    del result["acct_pay"]
    output = told(result)
    assert (output["akb066"], output["yzz139"]) == ("0.00", "66.20")


def test_civil_servants_aid_stands_whole_in_its_first_element_with_the_others_said() -> None:
    output = told({**RESULT, "cvlserv_pay": Decimal("5.00"), "hifp_pay": Decimal("105.30")}, "0303", "QUOTED")
    assert (output["ake035"], output["ykc635"], output["ykc636"]) == ("5.00", "0.00", "0.00")


def test_funds_without_an_element_of_their_own_are_told_as_other() -> None:
    result = {**RESULT, "hifp_pay": Decimal("100.00"), "maf_pay": Decimal("10.00"), "hifob_pay": Decimal("0.30")}
    assert told(result)["ykc639"] == "10.30"


@pytest.mark.parametrize("name", ["acct_mulaid_pay", "hosp_part_amt"])
def test_an_amount_without_a_place_is_refused_not_lost(name: str) -> None:
    with pytest.raises(TranslationError, match=name):
        told({**RESULT, name: Decimal("0.01")})
    assert told({**RESULT, name: Decimal("0.00")})["akc264"] == "186.50"


def test_numbers_without_a_public_layout_are_declared_with_their_meaning() -> None:
    raw = sample("0303.request.xml").replace(b">0303<", b">0301<")
    with pytest.raises(NotSupported) as refused:
        stydj({}).decode_request(Frame(body=raw))
    assert "费用明细录入" in refused.value.message_zh


def test_a_number_nobody_knows_is_a_fault_of_the_message() -> None:
    with pytest.raises(TranslationError, match="TransNo"):
        stydj({}).decode_request(Frame(body=sample("0303.request.xml").replace(b">0303<", b">0999<")))


@pytest.mark.parametrize(
    ("errorcode", "mark"),
    [("0", Mark.OK), ("7", Mark.OK), ("-1", Mark.REFUSED), ("-12", Mark.REFUSED), ("", Mark.UNREADABLE)]
    + [(text, Mark.UNREADABLE) for text in ("ok", "0.5", "１", "--1")],
)
def test_only_a_number_says_whether_it_was_done(errorcode: str, mark: Mark) -> None:
    code = f"errorcode&gt;{errorcode}&lt;".encode()
    raw = sample("0304.response.xml").replace(b"errorcode&gt;0&lt;", code)
    assert stydj({}).decode_reply(asked("0304.request.xml"), Frame(body=raw, status=200)).mark is mark


def test_without_an_errorcode_nothing_was_said() -> None:
    raw = sample("0304.response.xml").replace(b"&lt;errorcode&gt;0&lt;/errorcode&gt;", b"")
    read = stydj({}).decode_reply(asked("0304.request.xml"), Frame(body=raw, status=200))
    assert read.mark is Mark.UNREADABLE


@pytest.mark.parametrize("element", ["akc264", "akb068", "akb066", "yzz139"])
def test_a_settlement_that_lacks_an_amount_of_the_equation_is_unreadable(element: str) -> None:
    raw = sample("0304.response.xml").replace(element.encode(), b"ykc999")
    read = stydj({}).decode_reply(asked("0304.request.xml"), Frame(body=raw, status=200))
    assert read.mark is Mark.UNREADABLE
    assert element in read.text


def test_a_certificate_that_is_no_identity_card_has_no_place() -> None:
    operation = asked("0211.request.xml")
    card = {**operation.content["person"], "mdtrt_cert_type": "03", "mdtrt_cert_no": "CARD0001"}
    del card["certno"]
    with pytest.raises(TranslationError, match="mdtrt_cert_type"):
        stydj({}).encode_request(Operation("identify", "0211", "guangdong-soap", content={"person": card}))


def test_a_site_may_list_its_certificate_types() -> None:
    raw = sample("0211.request.xml").replace(b"aac043&gt;01&lt;", b"aac043&gt;90&lt;")
    dialect = stydj({"codes.cert.90": "01"})
    operation = dialect.decode_request(Frame(body=raw))
    assert operation.content["person"]["psn_cert_type"] == "01"
    assert inner(dialect.encode_request(operation).body, "Inxml")["aac043"] == "90"
    with pytest.raises(TranslationError, match="aac043"):
        dialect.decode_request(Frame(body=raw.replace(b"&gt;90&lt;", b"&gt;91&lt;")))
    with pytest.raises(ConfigError, match="certificates"):
        stydj({"certificates": "90"})


def test_an_operator_is_put_in_only_where_the_message_names_none() -> None:
    assert asked("0305.request.xml").content["env"]["opter"] == "T001"
    assert asked("0304.request.xml").content["env"]["opter"] == "HIS"
    own = stydj({"opter": "T009", "opter_name": "测试操作员"})
    operation = own.decode_request(Frame(body=sample("0304.request.xml")))
    assert (operation.content["env"]["opter"], operation.content["env"]["opter_name"]) == ("T009", "测试操作员")
    assert "aae011" not in inner(own.encode_request(operation).body, "Inxml")


def test_a_minted_transid_has_the_form_the_samples_have() -> None:
    pattern = stydj({}).refs["transid"].pattern
    minted = pattern.format(admdvs="440800", time=datetime(2026, 11, 21, 9, 0, 1), n=3)  # noqa: DTZ001
    assert f"&lt;transid&gt;{minted}&lt;".encode() in sample("0304.response.xml")


def test_a_stay_is_known_by_its_number_and_settled_once_per_kind() -> None:
    quote, settle, void = (asked(f"{number}.request.xml") for number in ("0303", "0304", "0305"))
    assert quote.kind == settle.kind == void.kind == "inpatient"
    assert quote.keys == settle.keys == {"encounter": "S000000001", "settle": "S000000001/1"}
    assert settle.key_repeats
    # never by the settle key: after a refund and a second settlement it would name the first
    assert void.keys == {"encounter": "S000000001"}
    assert stydj({}).refs["otransid"].names == "transid"
    assert stydj({}).settle_form(quote).message == "0304"
