"""The apikey gateway and the electronic credential's front end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call, Mark
from adapter_core.values.errors import ConfigError
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret
from his_adapter_neimenggu.gateway import ec_front, neimenggu

SAMPLES = Path(__file__).parent / "samples" / "ec-front"
MOMENT = datetime(2026, 11, 21, 1, 5, tzinfo=UTC)
SITE = Site("H15000000001", "测试医院一", "150100", {}, {"apikey": Secret("key-test-0001")})
WHO = {
    "person": {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000"},
    "env": {"opter": "1", "opter_name": "测试"},
}
CALL = Call("who", "1101", "R", WHO, "H15000000001202611210905000001")


def test_one_address_and_a_constant_key() -> None:
    frame = neimenggu(SITE).encode(CALL, MOMENT)
    body = json.loads(frame.body)
    assert frame.path == "/uif-hsaf-med-api/api/medical/service"
    assert frame.header("apikey") == "key-test-0001"
    assert (body["recer_sys_code"], body["signtype"], body["infver"]) == ("MBS_LOCAL", "PRCSSC", "V1.0")
    assert "key-test-0001" not in repr(SITE)
    with pytest.raises(ConfigError, match="apikey"):
        neimenggu(Site("H15000000001", "测试医院一", "150100"))


@pytest.mark.parametrize(
    ("body", "mark"),
    [
        (b'{"infcode": 0, "err_msg": null, "output": {"baseinfo": {"psn_no": "T1"}, "insuinfo": []}}', Mark.OK),
        (b'{"infcode": "0", "err_msg": null, "output": {"baseinfo": {"psn_no": "T1"}, "insuinfo": []}}', Mark.OK),
        (b'{"infcode": -1, "err_msg": "x", "output": null}', Mark.REFUSED),
        (b'{"infcode": -2, "err_msg": "x", "output": null}', Mark.REFUSED),
        (b'{"infcode": 0, "output": {},}', Mark.UNREADABLE),
        (b'{"code": 500159, "success": false}', Mark.UNREADABLE),
    ],
)
def test_replies_with_a_number_a_word_and_a_stray_comma(body: bytes, mark: Mark) -> None:
    assert neimenggu(SITE).decode(CALL, Frame(body=body, status=200)).mark is mark


def test_only_what_the_client_lists_is_reversible() -> None:
    assert neimenggu(SITE).policy.reversible == {"2207", "2208", "2304", "2305", "2401"}
    assert not neimenggu(SITE).policy.is_definite("settle", "-2", "业务错误")


def test_the_code_is_asked_for_as_in_the_sample() -> None:
    frame = ec_front("H15000000001").encode("01101", ("T001", "测试操作员"), ("0001", "测试科"))
    assert frame.path == "/localcfc/api/hsecfc/localQrCodeQuery"
    assert json.loads(frame.body) == json.loads((SAMPLES / "ec.query.request.json").read_text("utf-8"))


def test_the_code_is_a_person_under_the_national_fields() -> None:
    reply = ec_front("H15000000001").decode(Frame(body=(SAMPLES / "ec.query.response.json").read_bytes(), status=200))
    assert reply.mark is Mark.OK
    assert reply.content["person"] == {
        "mdtrt_cert_type": "01",
        "mdtrt_cert_no": "150000ec0000000000000000000000000001",
        "psn_name": "测试乙",
        "certno": "220102199913330001",
        "psn_cert_type": "01",
        "insuplc_admdvs": "150000",
    }


@pytest.mark.parametrize(
    ("body", "mark"),
    [
        ((SAMPLES / "ec.query.error.response.json").read_bytes(), Mark.REFUSED),
        (b'{"code": 0, "success": false, "message": "x", "data": {"ecToken": "t"}}', Mark.REFUSED),
        (b'{"code": 1, "message": "x", "data": {"ecToken": "t"}}', Mark.REFUSED),
        (b'{"code": 0, "message": "x", "data": {}}', Mark.UNREADABLE),
        (b'{"message": "x", "data": {"ecToken": "t"}}', Mark.UNREADABLE),
        (b"<html/>", Mark.UNREADABLE),
        (b"[]", Mark.UNREADABLE),
    ],
)
def test_the_front_ends_own_forms(body: bytes, mark: Mark) -> None:
    reply = ec_front("H15000000001").decode(Frame(body=body, status=200))
    assert reply.mark is mark
    assert reply.text == "请使用医保电子凭证二维码" or b"500159" not in body
