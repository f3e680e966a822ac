"""The national gateway: bytes against samples of two provinces' gateways, and what it reads out of replies."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.messages import Call, Mark
from adapter_core.province.national import NationalGateway, Profile, input_nodes, national, national_route_text
from adapter_core.province.plan import load_route
from adapter_core.standard.transactions import transaction
from adapter_core.values.errors import ConfigError, ContractError, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret
from his_adapter_guangdong.gateway import guangdong
from his_adapter_jiangxi.gateway import jiangxi

ENVELOPE = {
    "mdtrtarea_admvs": "360000", "insuplc_admdvs": "360000", "recer_sys_code": "his", "dev_no": "", "dev_safe_info": "",
    "cainfo": "", "signtype": "", "infver": "V1.1", "opter_type": 1, "opter": "T001", "opter_name": "测试操作员",
    "fixmedins_code": "H36000000001", "fixmedins_name": "测试医院一", "sign_no": "SIGN0000000001",
}  # fmt: skip
PERSON = {
    "mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000", "card_sn": "", "begntime": "2026-11-21 09:00:00",
    "psn_cert_type": "01", "certno": "110101190001010000", "psn_name": "测试甲",
}  # fmt: skip
TRIAL = {
    "psn_no": "36000000000000000000000001", "mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000",
    "med_type": "11", "medfee_sumamt": 186.5, "psn_setlway": "01", "mdtrt_id": "M000000001", "chrg_bchno": "B000000001",
    "acct_used_flag": "1", "insutype": "310",
}  # fmt: skip
PAY = {
    **TRIAL, "fulamt_ownpay_amt": 12.5, "overlmt_selfpay": 0, "preselfpay_amt": 8.0, "inscp_scp_amt": 166.0, "invono": "",
}  # fmt: skip
"""Inputs of one invented visit, as public client code of both provinces sends them."""

CONTENT: dict[str, Any] = {
    "person": {
        "psn_no": "36000000000000000000000001", "mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000",
        "psn_cert_type": "01", "certno": "110101190001010000", "psn_name": "测试甲", "insuplc_admdvs": "360000",
    },
    "visit": {"mdtrt_id": "M000000001", "begntime": "2026-11-21 09:00:00"},
    "settle": {"med_type": "11", "medfee_sumamt": Decimal("186.50"), "psn_setlway": "01", "acct_used_flag": "1",
               "insutype": "310"},
    "bill": {"chrg_bchno": "B000000001"},
    "trial": {"fulamt_ownpay_amt": Decimal("12.50"), "overlmt_selfpay": Decimal("0.00"),
              "preselfpay_amt": Decimal("8.00"), "inscp_scp_amt": Decimal("166.00"), "medfee_sumamt": Decimal("1.00")},
    "env": {"opter": "T001", "opter_name": "测试操作员", "opter_type": "1", "sign_no": "SIGN0000000001"},
}  # fmt: skip


def site(code: str = "H36000000001", admdvs: str = "360000", **more: Any) -> Site:
    return Site(code, "测试医院一", admdvs, **more)


def jiangxi_gateway() -> Gateway:
    return jiangxi(site(secrets={"ak": Secret("ak-test-0001"), "sk": Secret("sk-test-0001")}))


def guangdong_gateway() -> Gateway:
    secrets = {"paasid": Secret("gd_test_0001"), "token": Secret("test-token-not-real-0001")}
    return guangdong(site("H44000000001", "440300", secrets=secrets))


def same(sent: Any, sample: Any) -> None:
    """Every value of the sample is sent, an empty one possibly as nothing, and nothing beside it."""
    if isinstance(sample, dict):
        assert sent.keys() <= sample.keys()
        for name, value in sample.items():
            if value != "":
                same(sent[name], value)
            else:
                assert sent.get(name) in (None, "")
    else:
        assert (sent, isinstance(sent, str)) == (sample, isinstance(sample, str))


@pytest.mark.parametrize(
    ("infno", "kind", "sample", "minute", "sequence", "msgid", "signature"),
    [
        ("1101", "R", PERSON, "09:00:01", 1, "H36000000001202611210900011", "YA0PDuB0EiS9RbJCx+ihcyeXSKI="),
        ("2206", "P", TRIAL, "09:03:00", 9, "H36000000001202611210903009", "IIcnuKU7KkuwXIZQ0/INh5aA4GQ="),
        ("2207", "N", PAY, "09:05:00", 10, "H360000000012026112109050010", "0deElxGG7dhkTi8BWKDgWBHZ4iI="),
    ],
)
def test_a_call_to_jiangxi_is_the_sample(
    infno: str, kind: str, sample: dict[str, Any], minute: str, sequence: int, msgid: str, signature: str
) -> None:
    gateway = jiangxi_gateway()
    moment = datetime.fromisoformat(f"2026-11-21T{minute}+08:00").astimezone(UTC)
    assert gateway.msgid(moment, sequence) == msgid
    frame = gateway.encode(Call("", infno, kind, CONTENT, msgid), moment)
    envelope = {"infno": infno, "msgid": msgid, "inf_time": f"2026-11-21 {minute}", **ENVELOPE}
    same(json.loads(frame.body), {**envelope, "input": {"data": sample}})
    assert frame.path == f"/CSB/hsa-fsi-{infno}"
    assert frame.header("_api_signature") == signature
    assert frame.header("_api_timestamp") == str(int(moment.timestamp() * 1000))


@pytest.mark.parametrize(("infno", "kind", "sample"), [("1101", "R", PERSON), ("2206", "P", TRIAL)])
def test_a_call_to_guangdong_is_the_sample(infno: str, kind: str, sample: dict[str, Any]) -> None:
    gateway = guangdong_gateway()
    moment = datetime(2026, 11, 21, 1, 0, 1, 123_000, tzinfo=UTC)
    msgid = gateway.msgid(moment, 1)
    assert msgid == "H44000000001202611210900011231"
    frame = gateway.encode(Call("", infno, kind, CONTENT, msgid), moment)
    envelope = {
        **ENVELOPE, "infno": infno, "msgid": msgid, "inf_time": "2026-11-21 09:00:01", "mdtrtarea_admvs": "440300",
        "recer_sys_code": "ZZ", "infver": "V1.0", "opter_type": "1", "fixmedins_code": "H44000000001",
    }  # fmt: skip
    same(json.loads(frame.body), {**envelope, "input": {"data": sample}})
    assert frame.path == f"/ebus/gd_test_0001/hsa/hgs/{infno}"


def test_the_total_is_what_the_his_claims_and_the_parts_are_what_the_trial_told() -> None:
    data = input_nodes("2207", CONTENT)["data"]
    assert (data["medfee_sumamt"], data["inscp_scp_amt"]) == (Decimal("186.50"), Decimal("166.00"))


def test_the_numbers_of_money_keep_their_places_on_the_wire() -> None:
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    body = national(site()).encode(Call("", "2207", "N", CONTENT, "M1"), moment).body
    assert b'"medfee_sumamt":186.50' in body
    assert b'"preselfpay_amt":8.00' in body


def test_the_plain_gateway_counts_msgids_for_ever() -> None:
    gateway = national(site())
    moment = datetime(2026, 11, 21, 1, 5, 0, tzinfo=UTC)
    drawn = [gateway.msgid(moment, sequence) for sequence in (1, 9_999, 10_000, 123_456)]
    assert [one[-4:] for one in drawn] == ["0001", "9999", "0000", "3456"]
    assert {len(one) for one in drawn} == {30}
    assert len({gateway.msgid(moment, sequence) for sequence in range(10_000)}) == 10_000


@pytest.mark.parametrize("step", load_route(national_route_text()).steps.values(), ids=lambda step: step.call)
def test_every_planned_call_has_a_home_for_each_field_and_an_address(step: Any) -> None:
    gateway = national(site())
    content = {
        section: {field.code: field.code for node in transaction(step.call).input for field in node.fields}
        for section in (
            "person",
            "visit",
            "settle",
            "env",
            "trial",
            "settled",
            "bill",
            "original",
            "drop",
            "sale",
            "filing",
        )
    }
    nodes = input_nodes(step.call, {**content, "fees": [{}], "diagnoses": [{}]})
    for node in transaction(step.call).input:
        if not node.repeat and "." not in node.name:  # a node inside another one's record goes with that record
            # exp_content is what a province adds; no section of ours says it
            assert nodes[node.name].keys() == {field.code for field in node.fields} - {"expContent", "exp_content"}
    assert gateway.profile.path(gateway.site, step.call)[:1] in ("", "/")


def test_a_plan_with_a_homeless_field_fails_the_build() -> None:
    with pytest.raises(ContractError, match="no section holds"):
        NationalGateway("odd", site(), Profile(path=lambda here, infno: "", variants={"2206": "4101A"}))


def test_a_missing_secret_fails_the_build_by_name_only() -> None:
    with pytest.raises(ConfigError, match="sk"):
        jiangxi(site(secrets={"ak": Secret("ak-test-0001")}))


def test_all_faults_of_a_call_are_told_at_once_and_those_of_the_envelope_with_them() -> None:
    gateway = national(site())
    settle = {**CONTENT["settle"], "psn_setlway": "99", "med_type": "no such"}
    call = Call("", "2206", "P", {**CONTENT, "settle": settle, "env": {}, "bill": {}}, "M1")
    paths = {fault.path for fault in gateway.faults(call)}
    assert {"input.data.psn_setlway", "input.data.med_type", "input.data.chrg_bchno", "request.opter"} <= paths
    with pytest.raises(TranslationError) as caught:
        gateway.encode(call, datetime(2026, 11, 21, tzinfo=UTC))
    assert {fault.path for fault in caught.value.faults} <= paths


def test_a_query_asks_by_visit_and_by_setl_id_once_that_is_known() -> None:
    gateway = national(site())
    call = Call("find", "5203", "R", CONTENT, "M1")
    asked = {"psn_no": "36000000000000000000000001", "mdtrt_id": "M000000001"}
    for content, data in ((CONTENT, asked), ({**CONTENT, "settled": {"setl_id": "S1"}}, {**asked, "setl_id": "S1"})):
        frame = gateway.encode(replace(call, content=content), datetime(2026, 1, 1, tzinfo=UTC))
        assert json.loads(frame.body)["input"] == {"data": data}


PAYING = Call("pay", "2207", "N", CONTENT, "M1")


def decode(body: bytes, status: int | None = 200) -> Any:
    return national(site()).decode(PAYING, Frame(body=body, status=status))


@pytest.mark.parametrize("infcode", [b"0", b'"0"', b"0.0"])
def test_success_is_infcode_0_as_number_or_text(infcode: bytes) -> None:
    told = decode(b'{"infcode":' + infcode + b',"output":{"setlinfo":{"setl_id":"S1","medfee_sumamt":"186.5"}}}')
    assert told.mark is Mark.OK
    assert told.content["result"] == {"setl_id": "S1", "medfee_sumamt": Decimal("186.50")}


@pytest.mark.parametrize("status", [200, 500])
def test_a_refusal_keeps_the_centres_code_and_words(status: int) -> None:
    told = decode(b'{"infcode":-1,"err_msg":"\xe6\x9c\xaa\xe5\xa4\x87\xe6\xa1\x88","output":null}', status)
    assert (told.mark, told.code, told.text) == (Mark.REFUSED, "-1", "未备案")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b'"0"', b"{}", b'{"code":401,"message":"x"}', b'{"infcode":null}', b'{"infcode":""}',
        b'{"infcode":true}', b'{"infcode":false}', b'{"infcode":0,"output":{"setlinfo":"x"}}', b'{"infcode":0,"output":"x"}',
        b'{"infcode":0,"output":[]}', b'{"infcode":0', b'{"infcode":0,"infcode":-1}', b'{"infcode":NaN}', b"\xff\xfe",
        b'{"infcode":0,"output":{"setlinfo":' + b"[" * 500 + b"]" * 500 + b"}}", b"<html></html>",
    ],
)  # fmt: skip
def test_anything_else_is_unreadable_and_never_a_refusal(body: bytes) -> None:
    assert decode(body).mark is Mark.UNREADABLE


def test_a_success_under_an_http_error_is_unreadable() -> None:
    assert decode(b'{"infcode":0,"output":{"setlinfo":{"setl_id":"S1"}}}', 502).mark is Mark.UNREADABLE


def test_echoes_that_contradict_are_named_and_absent_ones_are_not() -> None:
    gateway = national(site())
    told = decode(b'{"infcode":0,"output":{"setlinfo":{"psn_no":"X","mdtrt_id":"M000000001","medins_setl_id":"M2"}}}')
    assert gateway.echo_faults(PAYING, told) == ("psn_no", "medins_setl_id")
    assert gateway.echo_faults(PAYING, decode(b'{"infcode":0,"output":{"setlinfo":{"psn_no":""}}}')) == ()
