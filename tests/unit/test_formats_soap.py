from __future__ import annotations

import html
import io
import subprocess
import sys
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_core.formats.soap import (
    ENVELOPES,
    SoapClient,
    SoapFault,
    SoapMessage,
    Version,
    content_type,
    inner_tree,
    read_envelope,
    write_envelope,
    write_fault,
    wsdl_at,
)
from adapter_core.formats.xml import element_of, xml_text
from adapter_core.standard.source import schema_file
from adapter_core.values.errors import ContractError, TranslationError

SINOBEST = "http://pojo.webservice.service.ybdy.sinobest.cn"
WSDL = schema_file("his", "sinobest", "stydj.wsdl").read_bytes()
VERSIONS: list[Version] = ["1.1", "1.2"]
PERSON = {"aab299": "440800", "aab301": "360100", "aac002": "T00000000001", "aac044": "110101190001010000"}

# The shapes of the observed conversation, as a generic SOAP stack writes them.
REQUEST = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    f' xmlns:p="{SINOBEST}"><soapenv:Body><p:STYDJKService><p:TransNo>0211</p:TransNo><p:Inxml>{{inner}}</p:Inxml>'
    "</p:STYDJKService></soapenv:Body></soapenv:Envelope>\n"
)
RESPONSE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">'
    f'<soapenv:Body><ns:STYDJKServiceResponse xmlns:ns="{SINOBEST}"><ns:return>{{inner}}</ns:return>'
    "</ns:STYDJKServiceResponse></soapenv:Body></soapenv:Envelope>\n"
)
FAULT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">'
    "<soapenv:Body><soapenv:Fault><faultcode>soapenv:Server</faultcode><faultstring>STYDJYException</faultstring>"
    "<detail/></soapenv:Fault></soapenv:Body></soapenv:Envelope>\n"
)
INPUT = (
    '<?xml version="1.0" encoding="GBK"?><input><aab299>440800</aab299><aab301>360100</aab301>'
    "<aac002>T00000000001</aac002><aac044>110101190001010000</aac044></input>"
)
SETTLED = (
    '<?xml version="1.0" encoding="GBK"?><result><sign></sign><transid>44080020261121090001000003</transid><errorcode>0'
    "</errorcode><errormsg></errormsg><output><akc264>186.50</akc264><akb068>120.30</akb068><akb066>40.00</akb066>"
    "<yzz139>66.20</yzz139><ykc618>J000000001</ykc618></output></result>"
)
REFUSED = (
    '<?xml version="1.0" encoding="GBK"?><result><sign></sign><transid>44080020261121090001000004</transid><errorcode>-1'
    "</errorcode><errormsg>该人员未办理异地就医备案</errormsg></result>"
)


@pytest.fixture(scope="module")
def clients() -> dict[Version, SoapClient]:
    return {version: SoapClient(WSDL, version) for version in VERSIONS}


def escaped(text: str) -> str:
    return html.escape(text, quote=False)


def test_a_request_of_the_observed_shape_is_read() -> None:
    message = read_envelope(REQUEST.format(inner=escaped(INPUT)).encode())
    assert (message.version, message.operation, message.namespace) == ("1.1", "STYDJKService", SINOBEST)
    assert message.parameters["TransNo"] == "0211"
    assert inner_tree(message.parameters["Inxml"]) == PERSON


@pytest.mark.parametrize(
    "inner",
    [escaped(INPUT), f"<![CDATA[{INPUT}]]>", escaped(escaped(INPUT)), f"\n  {escaped(INPUT)}\n"],
    ids=["escaped", "CDATA", "doubly escaped", "padded"],
)
@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_xml_inside_xml_is_read_however_it_is_wrapped(inner: str, charset: str) -> None:
    declared = "UTF-8" if charset == "utf-8" else "GBK"
    raw = REQUEST.format(inner=inner).replace('encoding="UTF-8"', f'encoding="{declared}"').encode(charset)
    assert inner_tree(read_envelope(raw).parameters["Inxml"]) == PERSON


def test_an_escaped_character_of_a_doubly_escaped_text_stays_itself() -> None:
    text = xml_text(element_of("a", '1 < 2 & "3"'))
    assert inner_tree(text) == inner_tree(escaped(text)) == '1 < 2 & "3"'


@pytest.mark.parametrize(
    "inner", ['<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>', "no xml", "", "<a>"]
)
def test_hostile_inner_xml_is_refused_however_it_is_wrapped(inner: str) -> None:
    for text in (inner, escaped(inner)):
        with pytest.raises(TranslationError):
            inner_tree(text)


def reply(asked: SoapMessage, text: str) -> bytes:
    return write_envelope(asked.version, asked.namespace, f"{asked.operation}Response", {"return": text})


@pytest.mark.parametrize("inner", [SETTLED, REFUSED])
def test_a_reply_of_the_observed_shape_reads_the_same_through_zeep_and_by_ourselves(
    clients: dict[Version, SoapClient], inner: str
) -> None:
    raw = RESPONSE.format(inner=escaped(inner)).encode()
    assert clients["1.1"].parse("STYDJKService", raw) == inner
    assert read_envelope(raw).parameters == {"return": inner}
    asked = read_envelope(REQUEST.format(inner=escaped(INPUT)).encode())
    assert read_envelope(reply(asked, inner)) == read_envelope(raw)


def test_a_fault_of_the_observed_shape_is_a_value(clients: dict[Version, SoapClient]) -> None:
    expected = SoapFault("Server", "STYDJYException")
    assert read_envelope(FAULT).fault == expected
    assert clients["1.1"].parse("STYDJKService", FAULT.encode()) == expected


def test_unqualified_typed_parameters_are_read() -> None:
    """The shape of an older stack: parameters in no namespace, each with its xsi:type."""
    raw = (
        '<?xml version="1.0"?><E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/" xmlns:i="http://www.w3.org'
        '/2001/XMLSchema-instance"><E:Body><N:GetPersonInfo xmlns:N="http://tempuri.org/"><sCardCode i:type="s"></sCardCode>'
        '<sAreaCode i:type="s">341200</sAreaCode><sNone i:nil="true"/></N:GetPersonInfo></E:Body></E:Envelope>'
    )
    message = read_envelope(raw)
    assert message == SoapMessage(
        "1.1", "GetPersonInfo", "http://tempuri.org/", {"sCardCode": "", "sAreaCode": "341200"}
    )
    written = write_envelope("1.1", message.namespace, message.operation, message.parameters, qualified=False)
    assert read_envelope(written) == message
    assert b"<sAreaCode>341200<" in written


@pytest.mark.parametrize(
    "content",
    [
        "<s:Body/>",
        "<s:Body><a/><b/></s:Body>",
        "<s:Body><a><b/><b/></a></s:Body>",
        "<s:Body><a><b><c/></b></a></s:Body>",
        '<s:Header><x s:mustUnderstand="1"/></s:Header><s:Body><a/></s:Body>',
        "",
    ],
)
def test_envelopes_that_say_no_one_thing_are_refused(content: str) -> None:
    with pytest.raises(TranslationError):
        read_envelope(f'<s:Envelope xmlns:s="{ENVELOPES["1.1"]}">{content}</s:Envelope>')


def test_other_roots_are_refused() -> None:
    for text in ("<html></html>", '<Envelope xmlns="urn:other"><Body><a/></Body></Envelope>'):
        with pytest.raises(TranslationError):
            read_envelope(text)


names = st.text("abcxyzABC_", min_size=1, max_size=8)


@given(
    version=st.sampled_from(VERSIONS),
    operation=names,
    parameters=st.dictionaries(names, st.text(max_size=20), max_size=4),
    namespace=st.sampled_from(["", SINOBEST, "http://tempuri.org/"]),
    qualified=st.booleans(),
)
def test_what_is_written_reads_back(
    version: Version, operation: str, parameters: dict[str, str], namespace: str, qualified: bool
) -> None:
    try:
        raw = write_envelope(version, namespace, operation, parameters, qualified=qualified)
    except TranslationError:
        return
    assert read_envelope(raw) == SoapMessage(version, operation, namespace, parameters)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("code", ["Client", "Server"])
def test_faults_read_back(clients: dict[Version, SoapClient], version: Version, code: str) -> None:
    raw = write_fault(version, code, "系统忙")
    assert read_envelope(raw) == SoapMessage(version, fault=SoapFault(code, "系统忙"))
    assert clients[version].parse("STYDJKService", raw) == SoapFault(code, "系统忙")
    assert ((b"Sender" in raw) or (b"Receiver" in raw)) == (version == "1.2")


def test_faults_and_parameters_stay_out_of_logs() -> None:
    message = SoapMessage("1.1", "A", "", {"Inxml": "测试甲"}, SoapFault("Server", "测试甲"))
    assert "测试甲" not in repr(message)


@pytest.mark.parametrize("version", VERSIONS)
def test_zeep_renders_the_observed_shape(clients: dict[Version, SoapClient], version: Version) -> None:
    headers, body = clients[version].render("STYDJKService", TransNo="0211", Inxml=INPUT)
    assert read_envelope(body) == SoapMessage(version, "STYDJKService", SINOBEST, {"TransNo": "0211", "Inxml": INPUT})
    assert b":TransNo>0211</" in body  # qualified, as observed
    expected = [("Content-Type", "text/xml; charset=utf-8"), ("SOAPAction", '""')]
    if version == "1.2":
        expected = [("Content-Type", 'application/soap+xml; charset=utf-8; action=""')]
    assert list(headers) == expected


def test_rendering_checks_the_wsdl_and_the_characters(clients: dict[Version, SoapClient]) -> None:
    client = clients["1.1"]
    for operation, parameters in [
        ("STYDJKService", {}),
        ("STYDJKService", {"TransNo": "0211"}),
        ("STYDJKService", {"TransNo": "0211", "Inxml": "", "Other": ""}),
        ("Other", {}),
    ]:
        with pytest.raises(ContractError):
            client.render(operation, **parameters)
    for text in ("\x00", "\ud800"):
        with pytest.raises(TranslationError):
            client.render("STYDJKService", TransNo="0211", Inxml=text)


@pytest.mark.parametrize("version", VERSIONS)
def test_replies_that_answer_something_else_are_refused(clients: dict[Version, SoapClient], version: Version) -> None:
    """zeep alone reads each of these as an answer, the first four as an empty one or as "1"."""
    other: Version = "1.2" if version == "1.1" else "1.1"
    answers = [
        write_envelope(version, SINOBEST, "STYDJKServiceResponse", {}),
        write_envelope(version, SINOBEST, "Other", {"return": "1"}),
        write_envelope(version, "urn:other", "STYDJKServiceResponse", {"return": "1"}),
        write_envelope(version, SINOBEST, "STYDJKService", {"TransNo": "0304", "Inxml": ""}),
        write_envelope(version, SINOBEST, "STYDJKServiceResponse", {"other": "1", "return": "1"}),
        write_envelope(other, SINOBEST, "STYDJKServiceResponse", {"return": "1"}),
    ]
    for answer in answers:
        with pytest.raises(TranslationError):
            clients[version].parse("STYDJKService", answer)
    empty = write_envelope(version, SINOBEST, "STYDJKServiceResponse", {"return": ""})
    assert clients[version].parse("STYDJKService", empty) == ""


@given(raw=st.binary() | st.text("<>/&;测a1", max_size=30).map(str.encode))
def test_any_reply_gives_a_value_or_a_translation_error(clients: dict[Version, SoapClient], raw: bytes) -> None:
    body = RESPONSE.format(inner="@").encode()
    for reply in (
        raw,
        body.replace(b"@", raw),
        body.replace(b"<ns:return>@</ns:return>", raw),
        FAULT.encode()[: len(raw) * 9],
    ):
        try:
            value = clients["1.1"].parse("STYDJKService", reply)
        except TranslationError:
            continue
        assert isinstance(value, (str, SoapFault))


def test_no_reply_reaches_zeep_unread(clients: dict[Version, SoapClient]) -> None:
    hostile = (
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>' + RESPONSE.format(inner="&x;").split("\n", 1)[1]
    )
    zeep_reads = patch.object(clients["1.1"]._binding, "process_reply")
    with zeep_reads as read, pytest.raises(TranslationError, match="DOCTYPE"):
        clients["1.1"].parse("STYDJKService", hostile.encode())
    assert not read.called


@pytest.mark.parametrize(
    "wsdl",
    [
        b"",
        b"<a/>",
        b"<!DOCTYPE a>" + WSDL.split(b"?>", 1)[1],
        WSDL.replace(
            b"<wsdl:types>", b'<wsdl:import namespace="urn:x" location="http://address.invalid/x.wsdl"/><wsdl:types>'
        ),
        WSDL.replace(
            b"<xs:element",
            b'<xs:import namespace="urn:x" schemaLocation="http://address.invalid/x.xsd"/><xs:element',
            1,
        ),
        WSDL.replace(b"http://schemas.xmlsoap.org/wsdl/soap/", b"urn:none"),
    ],
    ids=["empty", "no wsdl", "doctype", "wsdl import", "schema import", "no binding"],
)
def test_unsafe_or_unusable_wsdl_is_refused_without_a_connection(wsdl: bytes) -> None:
    with patch("socket.socket", side_effect=AssertionError("a connection was tried")), pytest.raises(ContractError):
        SoapClient(wsdl)


def test_the_served_wsdl_names_the_address_at_every_port() -> None:
    served = wsdl_at(WSDL, "http://127.0.0.1:8080/soap?a=1&b=2")
    assert served.count(b'location="http://127.0.0.1:8080/soap?a=1&amp;b=2"') == 2
    assert b"ADDRESS" not in served


class Wire:
    """The far side of a real zeep client: hands its bytes to a handler, as an HTTP server would."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.addresses: list[str] = []

    def post_xml(self, address: str, envelope: Any, headers: dict[str, str]) -> SimpleNamespace:
        from zeep.wsdl.utils import etree_to_string

        self.addresses.append(address)
        asked = read_envelope(etree_to_string(envelope))
        assert headers["Content-Type"].startswith(content_type(asked.version).split(";")[0])
        body = self.answer(asked)
        return SimpleNamespace(status_code=200, headers={"Content-Type": content_type(asked.version)}, content=body)


@pytest.mark.parametrize("port", ["STYDJYHttpSoap11Endpoint", "STYDJYHttpSoap12Endpoint"])
def test_a_real_zeep_client_is_served(port: str) -> None:
    import zeep

    def answer(asked: SoapMessage) -> bytes:
        if asked.parameters["TransNo"] == "9999":
            return write_fault(asked.version, "Server", "STYDJYException")
        assert inner_tree(asked.parameters["Inxml"]) == PERSON
        return reply(asked, SETTLED)

    wire = Wire(answer)
    wsdl = io.BytesIO(wsdl_at(WSDL, "http://127.0.0.1:8080/soap"))
    client = zeep.Client(wsdl, transport=wire, port_name=port, settings=zeep.Settings(force_https=False))
    assert client.service.STYDJKService(TransNo="0304", Inxml=INPUT) == SETTLED
    with pytest.raises(zeep.exceptions.Fault, match="STYDJYException"):
        client.service.STYDJKService(TransNo="9999", Inxml="")
    assert set(wire.addresses) == {"http://127.0.0.1:8080/soap"}


@pytest.mark.parametrize("version", VERSIONS)
def test_our_client_and_our_server_understand_each_other(clients: dict[Version, SoapClient], version: Version) -> None:
    _, body = clients[version].render("STYDJKService", TransNo="0304", Inxml=INPUT)
    assert clients[version].parse("STYDJKService", reply(read_envelope(body), REFUSED)) == REFUSED


def test_zeep_is_imported_only_by_a_soap_client() -> None:
    code = "import sys, adapter_core.formats.soap; sys.exit('zeep' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
