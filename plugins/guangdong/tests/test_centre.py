"""STYDJY towards a centre: rendered by zeep, read by the WSDL and by the table."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.formats.soap import inner_tree, read_envelope
from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.legacy import LegacyGateway
from adapter_core.province.messages import Call, Mark
from adapter_core.values.errors import ConfigError
from adapter_core.values.frames import Frame
from his_adapter_guangdong.gateway import guangdong_soap

SAMPLES = Path(__file__).parent / "samples" / "soap-guangdong"
MOMENT = datetime(2026, 11, 21, 1, 0, 0, tzinfo=UTC)
STAY: dict[str, Any] = {
    "person": {
        "insuplc_admdvs": "360100",
        "psn_no": "T00000000001",
        "psn_cert_type": "01",
        "mdtrt_cert_type": "02",
        "mdtrt_cert_no": "110101190001010000",
        "certno": "110101190001010000",
    },
    "visit": {"mdtrt_id": "S000000001", "begntime": "2026-11-21 09:00:00"},
    "settle": {"medfee_sumamt": Decimal("186.50"), "insutype": "310", "mid_setl_flag": "0"},
}


@pytest.fixture(scope="module")
def gateway() -> LegacyGateway:
    options = {"akb026": "TEST0000000000000001"}
    return guangdong_soap(Site("H44000000001", "测试医院一", "440800", options))


def call(step: str, message: str, kind_class: str, content: dict[str, Any] | None = None) -> Call:
    return Call(step, message, kind_class, content or STAY, "H44000000001202611210900000001")


def reply(name: str) -> Frame:
    return Frame(body=(SAMPLES / name).read_bytes(), status=200)


def asked_xml(frame: Frame) -> Any:
    return inner_tree(read_envelope(frame.body).parameters["Inxml"])


@pytest.mark.parametrize(
    ("step", "message", "kind_class"), [("who", "0211", "R"), ("stay_trial", "0303", "P"), ("stay_pay", "0304", "N")]
)
def test_a_call_says_what_the_sample_says(gateway: LegacyGateway, step: str, message: str, kind_class: str) -> None:
    frame = gateway.encode(call(step, message, kind_class), MOMENT)
    sample = read_envelope((SAMPLES / f"{message}.request.xml").read_bytes())
    sent = read_envelope(frame.body)
    assert (sent.namespace, sent.operation) == (sample.namespace, sample.operation)
    assert sent.parameters["TransNo"] == message
    assert asked_xml(frame) == inner_tree(sample.parameters["Inxml"])
    assert frame.path == "/web/services/STYDJY.STYDJYHttpSoap11Endpoint/"
    assert dict(frame.headers) == {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}


def test_a_refund_names_the_settlements_own_transid(gateway: LegacyGateway) -> None:
    settled = gateway.decode(call("stay_pay", "0304", "N"), reply("0304.response.xml"))
    content = {**STAY, "settled": settled.content["result"]}
    frame = gateway.encode(call("stay_void", "0305", "N", content), MOMENT)
    assert asked_xml(frame)["otransid"] == "44080020261121090001000003"
    assert asked_xml(frame)["ykc700"] == "S000000001"


def test_a_refund_of_nothing_known_is_refused_before_it_is_sent(gateway: LegacyGateway) -> None:
    assert [fault.path for fault in gateway.faults(call("stay_void", "0305", "N"))] == ["otransid"]


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("0304.response.xml", Mark.OK),
        ("0304.error.response.xml", Mark.REFUSED),
        ("fault.response.xml", Mark.UNREADABLE),
    ],
)
def test_a_reply_is_read_by_this_familys_rule(gateway: LegacyGateway, name: str, mark: Mark) -> None:
    assert gateway.decode(call("stay_pay", "0304", "N"), reply(name)).mark is mark


@pytest.mark.parametrize("status", [500, 502, 302])
def test_a_success_under_a_failing_status_is_not_believed(gateway: LegacyGateway, status: int) -> None:
    frame = Frame(body=reply("0304.response.xml").body, status=status)
    assert gateway.decode(call("stay_pay", "0304", "N"), frame).mark is Mark.UNREADABLE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"http://pojo.webservice", b"http://another.webservice"),
        (b"STYDJKServiceResponse", b"STYDJKService"),
        (b"</ns:return>", b"</ns:return><ns:return>0</ns:return>"),
    ],
    ids=["another namespace", "an echo of the request", "two answers"],
)
def test_what_is_no_reply_by_the_wsdl_is_unreadable(gateway: LegacyGateway, old: bytes, new: bytes) -> None:
    body = reply("0304.response.xml").body
    assert old in body
    assert (
        gateway.decode(call("stay_pay", "0304", "N"), Frame(body=body.replace(old, new), status=200)).mark
        is Mark.UNREADABLE
    )


@pytest.mark.parametrize(
    ("element", "value", "faults"),
    [
        ("ykc700", "S000000001", ()),
        ("ykc700", "S000000009", ("visit.mdtrt_id",)),
        ("aac002", "T00000000009", ("person.psn_no",)),
        ("aac044", "220102199913330001", ("person.certno",)),
    ],
)
@pytest.mark.parametrize(("step", "message"), [("stay_trial", "0303"), ("stay_pay", "0304")])
def test_a_reply_about_somebody_else_contradicts(
    gateway: LegacyGateway, step: str, message: str, element: str, value: str, faults: tuple[str, ...]
) -> None:
    said = f"&lt;{element}&gt;{value}&lt;/{element}&gt;&lt;akc253".encode()
    body = reply(f"{message}.response.xml").body.replace(b"&lt;akc253", said, 1)
    about = call(step, message, "N")
    assert gateway.echo_faults(about, gateway.decode(about, Frame(body=body, status=200))) == faults


def test_the_institution_is_said_by_its_own_code_unless_the_site_has_another() -> None:
    plain = guangdong_soap(Site("H44000000001", "测试医院一", "440800"))
    sent = asked_xml(plain.encode(call("stay_trial", "0303", "P"), MOMENT))
    assert (sent["akb026"], sent["akb021"], sent["yab600"], sent["ykc675"]) == (
        "H44000000001",
        "测试医院一",
        "440800",
        "1",
    )


def test_an_unknown_option_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="akb27"):
        guangdong_soap(Site("H44000000001", "测试医院一", "440800", {"akb27": "1"}))


def test_nothing_can_be_asked_after_an_unknown_outcome(gateway: LegacyGateway) -> None:
    """0701 and 0707 have no public layout: a lost settlement is a person's to decide, and the route must say so."""
    assert gateway.capabilities.query_after_unknown == "none"
    assert gateway.route.steps["stay_pay"].ask == ""
    assert gateway.route.steps["stay_pay"].undo == "stay_void"
    assert isinstance(gateway, Gateway)
