"""Yinhai's and the national libraries' forms of success."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter_core.formats.json import read_json, write_json
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call, Mark
from adapter_core.values.errors import NotSupported
from adapter_core.values.frames import Frame
from his_adapter_sichuan_chongqing.dialect import yinhai
from his_adapter_sichuan_chongqing.gateway import chongqing, sichuan_library

SAMPLES = Path(__file__).parent / "samples" / "yinhai"
SITE = Site("H50000000001", "测试医院一", "500100")
OK_REPLY = b'{"infcode": 0, "err_msg": "", "output": {"baseinfo": {"psn_no": "T1", "psn_name": "x"}, "insuinfo": []}}'
WHO = {
    "person": {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000"},
    "env": {"opter": "1", "opter_name": "测试"},
}
CALL = Call("who", "1101", "R", WHO, "H50000000001202611210905000001")


@pytest.mark.parametrize(
    ("appcode", "mark"),
    [("1", Mark.OK), ("0", Mark.OK), ("12", Mark.OK), ("-1", Mark.REFUSED), ("-20", Mark.REFUSED), ("", Mark.UNREADABLE),
     ("OK", Mark.UNREADABLE), ("１", Mark.UNREADABLE), ("1.0", Mark.UNREADABLE)],
)  # fmt: skip
def test_yinhai_fails_below_zero(appcode: str, mark: Mark) -> None:
    dialect = yinhai({})
    asked = dialect.decode_request(
        dialect.read_frame_file((SAMPLES / "03.request.txt").read_bytes(), "03.request.txt", False)
    )
    frame = dialect.read_frame_file((SAMPLES / "03.reply.txt").read_bytes(), "03.reply.txt", True)
    code = {"appcode": appcode.encode("gbk"), "msg": "原因".encode("gbk")}
    reply = dialect.decode_reply(asked, replace(frame, outs={**frame.outs, **code}))
    assert reply.mark is mark
    assert reply.text == "原因" or mark is not Mark.REFUSED


def test_trades_without_public_elements_are_named() -> None:
    with pytest.raises(NotSupported) as refused:
        yinhai({}).decode_request(Frame(function="yh_interface_call", ins={"jybh": b"31", "jysr_xml": b"<input/>"}))
    assert "31 住院费用明细写入" in refused.value.message_zh


def bridged(ret: str, text: bytes) -> Frame:
    step = {"function": "BUSINESS_HANDLE", "ret": ret, "outs": {"out": b64encode(text).decode()}}
    return Frame(body=write_json({"entered": True, "steps": [step]}), status=200)


@pytest.mark.parametrize(
    ("ret", "text", "mark"),
    [
        ("0", OK_REPLY, Mark.OK),
        ("0", OK_REPLY.replace(b'"infcode": 0', b'"infcode": "0"') + b"\x00\x00", Mark.OK),
        ("0", OK_REPLY.replace(b'"infcode": 0', b'"infcode": -1'), Mark.REFUSED),
        ("0", b"", Mark.UNREADABLE),
        ("-1", OK_REPLY, Mark.UNREADABLE),
        ("-2", b"no such person", Mark.REFUSED),
        ("1", OK_REPLY, Mark.UNREADABLE),
        ("", OK_REPLY, Mark.UNREADABLE),
    ],
)
def test_chongqings_return_value_comes_before_the_json(ret: str, text: bytes, mark: Mark) -> None:
    assert chongqing(SITE).decode(CALL, bridged(ret, text)).mark is mark


def test_a_library_without_refusals_of_its_own_leaves_everything_but_0_unknown() -> None:
    assert sichuan_library(SITE).decode(CALL, bridged("-2", b"x")).mark is Mark.UNREADABLE


def test_the_whole_national_request_crosses_as_bytes() -> None:
    moment = datetime(2026, 11, 21, 1, 5, tzinfo=UTC)
    for gateway, function, name in (
        (chongqing(SITE), "BUSINESS_HANDLE", "in"),
        (sichuan_library(SITE), "yh_CHS_call", "json"),
    ):
        frame = gateway.encode(CALL, moment)
        [step] = read_json(frame.body)["steps"]
        assert (frame.method, frame.path) == ("PUT", f"/calls/{CALL.msgid}")
        assert step["function"] == function
        sent = read_json(b64decode(step["ins"][name]))
        assert (sent["infno"], sent["msgid"]) == ("1101", CALL.msgid)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"entered": false}', b'{"entered": true}', b'{"entered": true, "steps": 1}']
)
def test_a_bridge_that_says_nothing_proves_nothing(body: bytes) -> None:
    assert chongqing(SITE).decode(CALL, Frame(body=body, status=200)).mark is Mark.UNREADABLE
    assert chongqing(SITE).decode(CALL, Frame(body=bridged("0", OK_REPLY).body, status=502)).mark is Mark.UNREADABLE
