"""The x-tif gateway against the samples: a real request's body, path and headers come out again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.messages import Call, Mark
from adapter_core.testing.samples import http_sample, said
from adapter_core.values.errors import ConfigError
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret
from his_adapter_guangdong.gateway import guangdong, nonce

SAMPLES = Path(__file__).parent / "samples" / "n-tif-guangdong"
SECRETS = {"paasid": Secret("gd_test_0001"), "token": Secret("test-token-not-real-0001")}
OPERATOR = {"opter": "T001", "opter_name": "测试操作员", "sign_no": "SIGN0000000001"}
PATIENT = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000"}
WHO = {
    "env": OPERATOR,
    "person": {**PATIENT, "psn_cert_type": "01", "certno": "110101190001010000", "psn_name": "测试甲"},
    "visit": {"begntime": "2026-11-21 09:00:00"},
}
TRIAL = {
    "env": OPERATOR,
    "person": {**PATIENT, "psn_no": "36000000000000000000000001", "insuplc_admdvs": "360000"},
    "visit": {"mdtrt_id": "M000000001"},
    "settle": {
        "med_type": "11",
        "medfee_sumamt": Decimal("186.50"),
        "psn_setlway": "01",
        "acct_used_flag": "1",
        "insutype": "310",
    },
    "bill": {"chrg_bchno": "B000000001"},
}
CONVERSATION = [
    ("1101", WHO, "R", datetime(2026, 11, 21, 1, 0, 1, 123_000, UTC), 1),
    ("2206", TRIAL, "P", datetime(2026, 11, 21, 1, 3, 0, 123_000, UTC), 2),
]


def site(**options: str) -> Site:
    return Site("H44000000001", "测试医院一", "440300", {"recer_sys_code": "ZZ", **options}, SECRETS)


@pytest.mark.parametrize(("infno", "content", "kind_class", "moment", "sequence"), CONVERSATION)
def test_a_call_makes_the_sample_body(
    infno: str, content: dict[str, Any], kind_class: str, moment: datetime, sequence: int
) -> None:
    gateway = guangdong(site())
    call = Call("step", infno, kind_class, content, gateway.msgid(moment, sequence))
    path, _, body = http_sample(SAMPLES / f"{infno}.request.http")
    frame = gateway.encode(call, moment)
    assert frame.path == path
    ours, theirs = (said(json.loads(raw, parse_float=Decimal)) for raw in (frame.body, body))
    assert ours == theirs


@pytest.mark.parametrize(("infno", "content", "kind_class", "moment", "sequence"), CONVERSATION)
def test_a_call_is_signed_as_the_sample_is(
    infno: str, content: dict[str, Any], kind_class: str, moment: datetime, sequence: int
) -> None:
    _, headers, raw = http_sample(SAMPLES / f"{infno}.request.http")
    gateway = guangdong(site(), nonce_of=lambda msgid: headers["x-tif-nonce"])
    # the samples' headers carry a fixed test time, their bodies the conversation's
    signed_at = datetime.fromtimestamp(int(headers["x-tif-timestamp"]), UTC)
    frame = gateway.encode(Call("step", infno, kind_class, content, json.loads(raw)["msgid"]), signed_at)
    assert dict(frame.headers) == headers


def test_a_test_environment_has_its_own_segment() -> None:
    call = Call("who", "1101", "R", WHO, "m")
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    assert guangdong(site(test_segment="poc")).encode(call, moment).path == "/ebus/gd_test_0001/poc/hsa/hgs/1101"


def test_a_bureau_may_want_the_signature_in_capitals() -> None:
    call = Call("who", "1101", "R", WHO, "m")
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    lower = guangdong(site()).encode(call, moment).header("x-tif-signature")
    upper = guangdong(site(hex_case="upper")).encode(call, moment).header("x-tif-signature")
    assert lower != upper
    assert lower.upper() == upper


def test_a_nonce_is_digits_and_each_calls_own() -> None:
    nonces = [nonce(f"H4400000000120261121090001123{digit}") for digit in range(10)]
    assert all(one.isdigit() and 1 <= len(one) <= 10 for one in nonces)
    assert len(set(nonces)) == 10
    assert nonces[0] == nonce("H44000000001202611210900011230")


def test_a_msgid_has_milliseconds_and_one_digit() -> None:
    moment = datetime(2026, 12, 31, 16, 0, 0, 7_999, UTC)
    assert guangdong(site()).msgid(moment, 12345) == "H44000000001202701010000000075"


@pytest.mark.parametrize(("infno", "content"), [("1101", WHO), ("2206", TRIAL)])
def test_a_sample_reply_says_what_it_means(infno: str, content: dict[str, Any]) -> None:
    gateway = guangdong(site())
    call = Call("step", infno, "R", content, "H44000000001202611210903001232")
    reply = gateway.decode(call, Frame(body=(SAMPLES / f"{infno}.response.json").read_bytes(), status=200))
    assert reply.mark is Mark.OK
    assert gateway.echo_faults(call, reply) == ()
    if infno == "1101":
        assert reply.content["person"]["psn_no"] == "36000000000000000000000001"
        assert [row["insuplc_admdvs"] for row in reply.content["insurances"]] == ["360000"]
        return
    told = {name: reply.content["result"][name] for name in ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "balc")}
    assert told == {
        "medfee_sumamt": Decimal("186.50"),
        "fund_pay_sumamt": Decimal("120.30"),
        "acct_pay": Decimal("40.00"),
        "balc": Decimal("315.60"),
    }


@pytest.mark.parametrize("status", [200, 401])
def test_a_refusal_by_the_gateway_itself_is_no_answer_of_the_centre(status: int) -> None:
    """It has no infcode: taken for a refusal it would let a cashier settle by hand what may have been applied."""
    raw = (SAMPLES / "gateway-refused.response.json").read_bytes()
    reply = guangdong(site()).decode(Call("pay", "2207", "N", TRIAL, "m"), Frame(body=raw, status=status))
    assert reply.mark is Mark.UNREADABLE


def test_a_missing_secret_or_a_wrong_option_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="token"):
        guangdong(Site("H44000000001", "测试医院一", "440300", {}, {"paasid": SECRETS["paasid"]}))
    with pytest.raises(ConfigError, match="hex_case"):
        guangdong(site(hex_case="UPPER"))


def test_it_is_a_gateway() -> None:
    assert isinstance(guangdong(site()), Gateway)
