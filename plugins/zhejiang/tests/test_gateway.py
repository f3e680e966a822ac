"""The x-ca gateway against its vector and the invented visit's samples; what the legacy centres' replies mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.formats.signing import xca_signature
from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.messages import Call, Mark, Reply
from adapter_core.testing.samples import http_sample, said
from adapter_core.values.errors import ConfigError
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret
from his_adapter_zhejiang.dialect import InsigmaCentre, insigma, insigma_table
from his_adapter_zhejiang.gateway import zhejiang, zhejiang_insigma, zhejiang_siinterface
from his_adapter_zhejiang.siinterface import siinterface

SAMPLES = Path(__file__).parent / "samples"
XCA = SAMPLES / "n-xca-zhejiang"
SECRET = Secret("zj-secret-test-01")
SECRETS = {"key": Secret("H33000000001"), "secret": SECRET}
VECTOR = '{"infno":"1101","input":{"data":{"psn_name":"测试甲"}}}'
MOMENT = datetime(2026, 11, 21, 1, 5, 0, tzinfo=UTC)
ARGUMENTS = "ref.visit, person.mdtrt_cert_no, settle.med_type:code:med_type"
PERSON = {"psn_no": "33010000000000000000000001", "mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000",
          "insuplc_admdvs": "330100"}  # fmt: skip
PAY: dict[str, Any] = {
    "env": {"opter": "T001", "opter_name": "测试操作员", "sign_no": "SIGN0000000001"},
    "person": PERSON,
    "visit": {"mdtrt_id": "M000000001"},
    "settle": {"med_type": "11", "medfee_sumamt": Decimal("186.50"), "psn_setlway": "01", "acct_used_flag": "1",
               "insutype": "310"},
    "bill": {"chrg_bchno": "B000000001"},
    "trial": {"fulamt_ownpay_amt": Decimal("12.50"), "overlmt_selfpay": Decimal(0), "preselfpay_amt": Decimal("8.00"),
              "inscp_scp_amt": Decimal("166.00")},
}  # fmt: skip


def site(**options: str) -> Site:
    return Site("H33000000001", "测试医院一", "330199", options, SECRETS)


def test_the_signing_vector() -> None:
    signed = xca_signature(SECRET, VECTOR.encode("utf-8"), timestamp="1700000000")
    assert signed == "9071C271019692820EDEBF2823A815500AAC1D4B4233AAFE4826A2F8E9F219EF"


def test_other_bytes_are_another_signature() -> None:
    """The province's library takes GBK text and signs UTF-8: who signs the GBK bytes is refused."""
    signed = xca_signature(SECRET, VECTOR.encode("gbk"), timestamp="1700000000")
    assert signed.startswith("7A5956A4")


@pytest.mark.parametrize("name", ["1101.request.http", "2207A.request.http"])
def test_a_samples_body_has_the_samples_signature(name: str) -> None:
    _, headers, raw = http_sample(XCA / name)
    timestamp, _, signature = headers["x-ca-signature"].partition(":")
    assert xca_signature(SECRET, raw, timestamp=timestamp) == signature


def test_a_settlement_says_what_the_sample_says() -> None:
    gateway = zhejiang(site())
    path, headers, raw = http_sample(XCA / "2207A.request.http")
    frame = gateway.encode(Call("pay", "2207A", "N", PAY, gateway.msgid(MOMENT, 9999)), MOMENT)
    assert frame.path == path
    assert (frame.header("Content-Type"), frame.header("x-ca-key")) == (headers["Content-Type"], headers["x-ca-key"])
    stamp = str(int(MOMENT.timestamp()))
    assert frame.header("x-ca-signature") == f"{stamp}:{xca_signature(SECRET, frame.body, timestamp=stamp)}"
    ours, theirs = (said(json.loads(tree, parse_float=Decimal)) for tree in (frame.body, raw))
    assert ours == theirs


@pytest.mark.parametrize(
    ("infno", "path", "receiver"),
    [
        ("1101", "/fsi/api/fsiPsnInfoService/queryPsnInfo", "MBS_LOCAL"),
        ("2206A", "/fsi/api/outpatientSettleService/preSettletmentA", "FSI_LOCAL"),
        ("2208", "/fsi/api/outpatientSettleService/cancleSettletment", "MBS_LOCAL"),
    ],
)
def test_each_number_has_a_path_and_a_receiver(infno: str, path: str, receiver: str) -> None:
    content = {**PAY, "settled": {"setl_id": "S1"}, "visit": {**PAY["visit"], "begntime": "2026-11-21 09:00:00"}}
    frame = zhejiang(site()).encode(Call("step", infno, "R", content, "m"), MOMENT)
    assert frame.path == path
    assert json.loads(frame.body)["recer_sys_code"] == receiver


def test_the_sample_replies() -> None:
    gateway = zhejiang(site())
    call = Call("pay", "2207A", "N", PAY, "H33000000001202611210905009999")
    raw = (SAMPLES / "n-xca-zhejiang" / "2207A.response.json").read_bytes()
    settled = gateway.decode(call, Frame(body=raw, status=200))
    assert settled.mark is Mark.OK, settled.text
    assert gateway.echo_faults(call, settled) == ()
    names = ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay", "balc")
    assert [str(settled.content["result"][name].quantize(Decimal("0.01"))) for name in names] == [
        "186.50", "120.30", "40.00", "26.20", "315.60",
    ]  # fmt: skip
    person = gateway.decode(Call("who", "1101", "R", PAY, "m"), _file("1101.response.json"))
    assert person.content["person"]["exp_content"] == '{"crtYearBalc":120.5,"calYearBalc":235.1}'
    refused = gateway.decode(call, _file("error.response.json"))
    assert (refused.mark, refused.code) == (Mark.REFUSED, "-1")


def _file(name: str) -> Frame:
    return Frame(body=(SAMPLES / "n-xca-zhejiang" / name).read_bytes(), status=200)


def insigma_reply(text: str, code: str = "30") -> Reply:
    centre = InsigmaCentre(insigma_table({}))
    asked = centre.decode_request(_request(code))
    return centre.decode_reply(asked, Frame(outs={"out": text.encode("gbk")}))


def _request(code: str) -> Frame:
    name = f"{code}.request.txt"
    return insigma({}).read_frame_file((SAMPLES / "insigma" / name).read_bytes(), name)


def _told(name: str) -> str:
    return (SAMPLES / "insigma" / name).read_bytes().decode("gbk")


@pytest.mark.parametrize(
    ("status", "mark"),
    [("0", Mark.OK), ("1", Mark.OK), ("17", Mark.OK), ("-1", Mark.REFUSED), ("-17", Mark.REFUSED), ("", Mark.UNREADABLE),
     ("OK", Mark.UNREADABLE), ("0.0", Mark.UNREADABLE)],
)  # fmt: skip
def test_below_zero_failed_and_above_is_a_success_with_a_warning(status: str, mark: Mark) -> None:
    told = insigma_reply(_told("30.reply.txt").replace("$$0~~", f"$${status}~提醒~", 1))
    assert told.mark is mark
    if mark is Mark.OK:
        assert told.warnings == ("提醒",)
        assert told.content["result"]["setl_id"] == "LS00000001"


def test_a_buffers_padding_is_no_text_and_a_cut_buffer_no_reply() -> None:
    text = _told("30.reply.txt")
    assert insigma_reply(text + "\0" * 100).mark is Mark.OK
    for length in range(len(text)):
        assert insigma_reply(text[:length]).mark is Mark.UNREADABLE, length


@pytest.mark.parametrize(
    ("flags", "words"),
    [("000000000000000", ""), ("000000001000000", "未参保"), ("000000011000000", "未参保"), ("100000010000000", "卡已锁定"),
     ("111111000000000", "黑名单"), ("000100000000000", "账户冻结")],
)  # fmt: skip
def test_a_cards_checks_are_judged_in_their_order(flags: str, words: str) -> None:
    told = insigma_reply(_told("22.reply.txt").replace("~000000000000000~", f"~{flags}~"), "22")
    assert told.mark is (Mark.REFUSED if words else Mark.OK)
    assert words in told.text


def test_card_data_is_cut_by_bytes_and_never_inside_a_character() -> None:
    text = _told("22.reply.txt")
    assert insigma_reply(text, "22").content["person"]["psn_name"] == "测试甲"
    assert insigma_reply(text.replace("测试甲    ", "测试甲   乙", 1), "22").mark is Mark.UNREADABLE


def test_a_list_that_does_not_come_out_even_is_refused() -> None:
    raw = (SAMPLES / "insigma" / "29.request.txt").read_bytes().replace(b"%%3%%%%1~", b"%%3%%1~")
    with pytest.raises(Exception, match=r"cell \[12\]"):
        insigma({}).decode_request(insigma({}).read_frame_file(raw, "29.request.txt"))


@pytest.mark.parametrize(
    ("text", "mark", "words"),
    [("0|", Mark.OK, ""), ("5|", Mark.OK, ""), ("-1|余额不足|", Mark.REFUSED, "余额不足"), ("该卡已挂失", Mark.REFUSED, "该卡已挂失"),
     ("", Mark.UNREADABLE, "")],
)  # fmt: skip
def test_a_siinterface_error_is_below_zero_or_no_number(text: str, mark: Mark, words: str) -> None:
    dialect = siinterface({})
    asked = dialect.decode_request(Frame(function="TRADE_ANSWER", ins={"in": b"261121090500000001"}))
    told = dialect.decode_reply(asked, Frame(outs={"out": text.encode("gbk") + b"\0\0"}))
    assert (told.mark, words in told.text) == (mark, True)


def test_the_unpublished_arguments_must_be_said() -> None:
    with pytest.raises(ConfigError, match=r"args\.10"):
        zhejiang_siinterface(site(**{"args.09": ARGUMENTS}))
    assert [one.message for one in siinterface({}).messages] == ["99", "TRADE_ANSWER"]
    said = siinterface({"args.09": ARGUMENTS, "args.10": ARGUMENTS})
    assert [one.message for one in said.messages] == ["09", "10", "99", "TRADE_ANSWER"]


def test_all_are_gateways_and_a_wrong_option_stops_the_start() -> None:
    assert isinstance(zhejiang(site()), Gateway)
    assert zhejiang_insigma(site()).route.steps["find"].call == "bridge-close"
    assert zhejiang_insigma(site(query="43")).route.steps["find"].call == "43"
    assert zhejiang_insigma(site(query="43")).capabilities.query_after_unknown == "none"
    with pytest.raises(ConfigError, match="libary"):
        zhejiang_insigma(site(libary="x"))
    with pytest.raises(ConfigError, match="secret"):
        zhejiang(Site("H33000000001", "测试医院一", "330199"))
