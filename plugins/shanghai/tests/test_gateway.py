"""The national front end, who goes where, and what a V5 reply is when it isn't plainly good."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.messages import Call, Mark
from adapter_core.values.errors import ConfigError
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret
from his_adapter_shanghai.dialect import PayStatus, V5Centre, v5, v5_table
from his_adapter_shanghai.gateway import gateway_for, shanghai, shanghai_v5

MOMENT = datetime(2026, 11, 21, 1, 5, tzinfo=UTC)
SAMPLES = Path(__file__).parent / "samples" / "v5"
PAY: dict[str, Any] = {
    "env": {"opter": "T001", "opter_name": "测试操作员", "sign_no": "SIGN0000000001"},
    "person": {"psn_no": "36000000000000000000000001", "mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000",
               "insuplc_admdvs": "360100"},
    "visit": {"mdtrt_id": "M000000001"},
    "settle": {"med_type": "11", "medfee_sumamt": Decimal("186.50"), "psn_setlway": "01", "acct_used_flag": "1",
               "insutype": "310"},
    "bill": {"chrg_bchno": "B000000001"},
    "trial": {"fulamt_ownpay_amt": Decimal("12.50")},
}  # fmt: skip


def site(**options: str) -> Site:
    secrets = {"apikey": Secret("sh-apikey-test-0001"), "startup": Secret("startup-test-0001")}
    return Site("H31000000001", "测试医院一", "310100", options, secrets)


def body(infno: str, insutype: str = "310", **options: str) -> dict[str, Any]:
    content = {**PAY, "settle": {**PAY["settle"], "insutype": insutype}}
    sent: dict[str, Any] = json.loads(
        shanghai(site(**options)).encode(Call("pay", infno, "N", content, "m"), MOMENT).body
    )
    return sent


@pytest.mark.parametrize(
    ("insuplc", "gateway"),
    [
        ("310000", "shanghai-v5"),
        ("310115", "shanghai-v5"),
        ("", "shanghai-v5"),
        ("360100", "shanghai"),
        ("330100", "shanghai"),
    ],
)
def test_local_persons_go_over_v5_and_all_others_over_the_national_route(insuplc: str, gateway: str) -> None:
    assert gateway_for(insuplc) == gateway


def test_one_url_and_a_constant_key() -> None:
    frame = shanghai(site(env="test")).encode(Call("pay", "2207", "N", PAY, "m"), MOMENT)
    assert frame.path == "/gjptqzyy-test/api/v1/route/"
    assert frame.header("apikey") == "sh-apikey-test-0001"


@pytest.mark.parametrize(
    ("infno", "insutype", "receiver"),
    [("2207", "310", "YBXT"), ("2207", "390", "YBXT"), ("2206", "340", "LXXT"), ("5203", "340", "MBS_LOCAL")],
)
def test_the_receiver_is_chosen_by_the_insurance(infno: str, insutype: str, receiver: str) -> None:
    content = {**PAY, "settle": {**PAY["settle"], "insutype": insutype}, "settled": {"setl_id": "S1"}}
    frame = shanghai(site()).encode(Call("pay", infno, "N", {**content, "result": {"setl_id": "S1"}}, "m"), MOMENT)
    assert json.loads(frame.body)["recer_sys_code"] == receiver


def test_work_injury_is_a_sites_setting() -> None:
    assert body("2207", "410", **{"recer_sys_code.410": "GSXT"})["recer_sys_code"] == "GSXT"


def test_no_password_goes_out_for_a_person_insured_elsewhere() -> None:
    sent = body("2207")
    assert not sent.get("cainfo")
    assert sent["signtype"] == "PRCSSC"


def test_what_is_missing_or_misspelt_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="apikey"):
        shanghai(Site("H31000000001", "测试医院一", "310100"))
    with pytest.raises(ConfigError, match="env"):
        shanghai(site(env="poc"))
    with pytest.raises(ConfigError, match="startup"):
        shanghai_v5(Site("H31000000001", "测试医院一", "310100"))
    with pytest.raises(ConfigError, match="query"):
        shanghai_v5(site(query="SI92"))
    with pytest.raises(ConfigError, match="charset"):
        v5({"charset": "big5"})


def test_both_are_gateways() -> None:
    assert isinstance(shanghai(site()), Gateway)
    assert isinstance(shanghai_v5(site()), Gateway)


def test_a_v5_call_says_its_time_its_number_and_its_institution() -> None:
    gateway = shanghai_v5(site(jgdm="00000000001"))
    assert gateway.msgid(MOMENT, 7) == "0000000000120261121090500007"
    call = Call("who", "SM01", "R", {"person": {"mdtrt_cert_type": "03"}}, gateway.msgid(MOMENT, 7))
    frame = gateway.encode(call, MOMENT)
    assert frame.path.endswith("/calls/0000000000120261121090500007")
    step = gateway.dialect.encode_request(gateway._operation(call))
    sent = json.loads(step.ins["sendMsg"].decode("gbk"))
    assert (sent["msgid"], sent["jgdm"]) == (call.msgid, "00000000001")
    assert (sent["xxnr"]["cardtype"], sent["xxnr"].get("carddata", "")) == ("1", "")


def test_taking_back_lines_calls_the_library_once_for_each_upload() -> None:
    uploads = [{"det_item_fee_sumamt": Decimal(1), "x": {"mxzdh": f"X00000000{number}"}} for number in (1, 2)]
    gateway = shanghai_v5(site())
    content = {"person": {"mdtrt_cert_type": "03"}, "visit": {"ipt_otp_no": "D1"}, "lines": uploads}
    request = json.loads(gateway.encode(Call("unfees", "SN02", "U", content, "m"), MOMENT).body)
    sent = [json.loads(base64.b64decode(step["ins"]["sendMsg"]).decode("gbk")) for step in request["steps"]]
    assert [one["xxnr"]["mxzdh"] for one in sent] == ["X000000001", "X000000002"]


def test_an_identity_card_is_no_card_of_v5() -> None:
    person = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000"}
    [fault] = shanghai_v5(site()).faults(Call("who", "SM01", "R", {"person": person}, "m"))
    assert fault.path == "person.mdtrt_cert_type"


def reply(changes: dict[str, Any], name: str = "SI12") -> Any:
    tree = json.loads((SAMPLES / f"{name}.response.txt").read_bytes().decode("gbk"))
    tree.update(changes)
    dialect = v5({})
    asked = dialect.decode_request(dialect.read_frame_file((SAMPLES / f"{name}.request.txt").read_bytes(), name))
    return dialect.decode_reply(asked, Frame(body=json.dumps(tree, ensure_ascii=False).encode("gbk"), status=200))


@pytest.mark.parametrize(
    ("code", "mark"),
    [("P001", Mark.OK), ("P900", Mark.REFUSED), ("-1", Mark.REFUSED), ("-100", Mark.REFUSED), ("0", Mark.REFUSED),
     ("1", Mark.REFUSED), ("OK", Mark.REFUSED), ("P0010", Mark.REFUSED), ("", Mark.UNREADABLE), (None, Mark.UNREADABLE)],
)  # fmt: skip
def test_only_p001_is_a_success(code: Any, mark: Mark) -> None:
    assert reply({"xxfhm": code}).mark is mark


def test_a_success_may_say_nothing_or_name_another_message() -> None:
    assert reply({"fhxx": "", "xxlxm": "SK01"}).mark is Mark.OK


@pytest.mark.parametrize("number", ["145.00", 145, Decimal("145.00")])
def test_amounts_come_as_texts_or_as_numbers(number: Any) -> None:
    raw = (SAMPLES / "SI12.response.txt").read_bytes().decode("gbk")
    text = f'"{number}"' if isinstance(number, str) else str(number)
    dialect = v5({})
    asked = dialect.decode_request(dialect.read_frame_file((SAMPLES / "SI12.request.txt").read_bytes(), "SI12"))
    changed = raw.replace('"tczfs": "110.30"', f'"tczfs": {text}')
    assert dialect.decode_reply(asked, Frame(body=changed.encode("gbk"))).content["result"]["hifp_pay"] == 145


def test_a_vendors_loose_json_is_unreadable() -> None:
    dialect = v5({})
    asked = dialect.decode_request(dialect.read_frame_file((SAMPLES / "SI12.request.txt").read_bytes(), "SI12"))
    raw = (SAMPLES / "SI12.response.txt").read_bytes().replace(b'"zdjbhs": null', b'"zdjbhs": null,')
    assert dialect.decode_reply(asked, Frame(body=raw)).mark is Mark.UNREADABLE


@pytest.mark.parametrize(
    ("status", "known", "found"),
    [
        ("1", PayStatus(), "S"),
        ("1", PayStatus(done="1"), "S"),
        ("2", PayStatus(done="1"), ""),
        ("0", PayStatus(absent="0"), "absent"),
    ],
)
def test_an_si91_reply_proves_only_what_the_site_knows_its_codes_to_mean(
    status: str, known: PayStatus, found: str
) -> None:
    centre = V5Centre(v5_table({}), known, Secret("startup-test-0001"))
    dialect = v5({})
    asked = dialect.decode_request(dialect.read_frame_file((SAMPLES / "SI91.request.txt").read_bytes(), "SI91"))
    raw = (SAMPLES / "SI91.response.txt").read_bytes().replace(b'"paystatus": "1"', f'"paystatus": "{status}"'.encode())
    told = centre.decode_reply(asked, Frame(outs={"rcvMsg": raw}))
    assert told.mark is (Mark.OK if found else Mark.UNREADABLE)
    assert bool(told.content.get("result", {}).get("setl_id")) is (found == "S")
