"""The CSB gateway against the samples: a real request's body and headers come out again, and replies mean what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.formats.signing import csb_signature
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call, Mark
from adapter_core.settlement.judge import SIGN_IN_INVALID, judge
from adapter_core.settlement.states import Result
from adapter_core.testing.samples import http_sample, said
from adapter_core.values.errors import ConfigError
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret
from his_adapter_jiangsu.gateway import jiangsu

SAMPLES = Path(__file__).parent / "samples" / "n-csb-jiangsu"
SECRETS = {"ak": Secret("ak-test-0001"), "sk": Secret("sk-test-0001")}
OPTIONS = {"api_name": "hssServives", "fixmedins_soft_fcty": "测试软件有限公司"}
OPERATOR = {"opter": "T001", "opter_name": "测试操作员"}
SIGN_IN = {"env": {**OPERATOR, "opter_no": "T001", "mac": "00:00:00:00:00:00", "ip": "127.0.0.1"}}
TRIAL = {
    "env": {**OPERATOR, "sign_no": "SIGN0000000001"},
    "person": {
        "psn_no": "31000000000000000000000001",
        "mdtrt_cert_type": "02",
        "mdtrt_cert_no": "110101190001010000",
        "insuplc_admdvs": "310000",
    },
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
    ("9001", "9001", SIGN_IN, "session", datetime(2026, 11, 21, 1, 0, 1, 123_000, UTC), 1),
    ("2206-elsewhere", "2206", TRIAL, "P", datetime(2026, 11, 21, 1, 3, 0, 456_000, UTC), 2),
]


def site(**options: str) -> Site:
    return Site("H32000000001", "测试医院一", "320100", {**OPTIONS, **options}, SECRETS)


@pytest.mark.parametrize(("name", "infno", "content", "kind_class", "moment", "sequence"), CONVERSATION)
def test_a_call_is_the_sample_to_the_signature(
    name: str, infno: str, content: dict[str, Any], kind_class: str, moment: datetime, sequence: int
) -> None:
    gateway = jiangsu(site())
    call = Call("step", infno, kind_class, content, gateway.msgid(moment, sequence))
    frame = gateway.encode(call, moment)
    path, headers, body = http_sample(SAMPLES / f"{name}.request.http")
    ours, theirs = (said(json.loads(raw, parse_float=Decimal)) for raw in (frame.body, body))
    # the sample's 9001 leaves the place of insurance empty; ours is the place of care, which names nobody
    if infno == "9001":
        assert ours.pop("insuplc_admdvs") == "320100"
    assert ours == theirs
    assert frame.path == path == "/CSB"
    assert {name: value for name, value in frame.headers if name.startswith("_api")} == {
        name: value for name, value in headers.items() if name.startswith("_api")
    }
    assert len(dict(frame.headers)["_api_timestamp"]) == 10


def test_the_published_vector_and_the_three_mistakes_of_public_clients() -> None:
    fields = {
        "_api_access_key": "ak-test-0001",
        "_api_name": "hssServives",
        "_api_timestamp": "1700000000",
        "_api_version": "1.0.0",
    }
    good = csb_signature(Secret("sk-test-0001"), fields)
    assert good == "hFbsXkN+DRlghAVJUAwpLH41tfU="
    signed_with_itself = csb_signature(Secret("ak-test-0001"), fields)
    another_time = csb_signature(Secret("sk-test-0001"), {**fields, "_api_timestamp": "1700000001"})
    assert len({good, signed_with_itself, another_time}) == 3


def test_the_service_and_the_makers_name_are_never_a_constant() -> None:
    for missing in OPTIONS:
        options = {name: value for name, value in OPTIONS.items() if name != missing}
        with pytest.raises(ConfigError, match=missing):
            jiangsu(Site("H32000000001", "测试医院一", "320100", options, SECRETS))
    with pytest.raises(ConfigError, match="sk"):
        jiangsu(Site("H32000000001", "测试医院一", "320100", OPTIONS, {"ak": Secret("ak-test-0001")}))


def reply(name: str) -> Frame:
    return Frame(body=(SAMPLES / name).read_bytes(), status=200)


def test_a_reply_of_a_person_insured_elsewhere_has_the_visits_figures() -> None:
    gateway = jiangsu(site())
    call = Call("trial", "2206", "P", TRIAL, "H32000000001202611210903000002")
    read = gateway.decode(call, reply("2206-elsewhere.response.json"))
    assert read.mark is Mark.OK
    result = read.content["result"]
    figures = ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay", "balc")
    assert [str(result[name]) for name in figures] == ["186.50", "120.30", "40.00", "26.20", "315.60"]
    assert gateway.echo_faults(call, read) == ()


def test_a_lost_session_is_told_apart_from_a_refusal() -> None:
    gateway = jiangsu(site())
    call = Call("pay", "2207", "N", TRIAL, "H32000000001202611210905000003")
    verdict = judge(gateway, call, reply("2207.error.response.json"))
    assert (verdict.result, verdict.code) == (Result.REJECTED, SIGN_IN_INVALID)
    assert gateway.capabilities.sign_in == "operator_day"


@pytest.mark.parametrize(
    ("infcode", "mark"),
    [('"0"', Mark.OK), ("0", Mark.OK), ('"-1"', Mark.REFUSED), ('"-2"', Mark.REFUSED), ('"00"', Mark.REFUSED),
     ('""', Mark.UNREADABLE), ("null", Mark.UNREADABLE), ("true", Mark.UNREADABLE)],
)  # fmt: skip
def test_only_the_word_0_is_success(infcode: str, mark: Mark) -> None:
    body = (SAMPLES / "9001.response.json").read_bytes().replace(b'"infcode": "0"', f'"infcode": {infcode}'.encode())
    call = Call("sign", "9001", "session", SIGN_IN, "m")
    assert jiangsu(site()).decode(call, Frame(body=body, status=200)).mark is mark


def test_a_file_is_the_reply_where_one_is_due_and_nowhere_else() -> None:
    zipped = replace(
        reply("9001.response.json"), body=b"PK\x03\x04", headers=(("Content-Type", "application/octet-stream"),)
    )
    pay, fetch = Call("pay", "2207", "N", TRIAL, "m"), Call("read", "9102", "R", {}, "m")
    assert jiangsu(site()).decode(pay, zipped).mark is Mark.UNREADABLE
    fetched = jiangsu(site()).decode(fetch, zipped)
    assert (fetched.mark, fetched.content) == (Mark.OK, {"file": b"PK\x03\x04"})
