"""SOAP 1.1 and 1.2, document/literal wrapped: serving a HIS with lxml, calling a centre with zeep.

Serving: ``read_envelope`` and ``write_envelope`` know operations and flat text parameters, which is all that the
insurance services carry; what matters is XML text inside a parameter (``inner_xml``).
Calling: ``SoapClient`` lets zeep render and read from a WSDL of our package.  It opens no connection: the core sends.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal
from xml.sax.saxutils import unescape

from lxml import etree

from adapter_core.formats.xml import read_xml, write_xml
from adapter_core.values.errors import ContractError, Fault, TranslationError

Version = Literal["1.1", "1.2"]

ENVELOPES: dict[str, str] = {
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
}
_VERSIONS: dict[str, Version] = {ENVELOPES["1.1"]: "1.1", ENVELOPES["1.2"]: "1.2"}
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_CODES_1_2 = {"Client": "Sender", "Server": "Receiver"}
_CODES_1_1 = {new: old for old, new in _CODES_1_2.items()}
_WSDL_ADDRESSES = (
    "{http://schemas.xmlsoap.org/wsdl/soap/}address",
    "{http://schemas.xmlsoap.org/wsdl/soap12/}address",
)


@dataclass(frozen=True, slots=True)
class SoapFault:
    """code: the fault's local name in SOAP 1.1's words (``Client``, ``Server``, ``VersionMismatch`` …); text: the far
    side's own, which may name a patient."""

    code: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SoapMessage:
    """One envelope.  parameters: local name → text, in order; absent or nil ones have no key.  A message with a fault
    has no operation, namespace or parameters."""

    version: Version
    operation: str = ""
    namespace: str = ""
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    fault: SoapFault | None = None


def read_envelope(raw: bytes | str) -> SoapMessage:
    """The one operation or fault of a SOAP envelope, of either version, its parameters qualified or not.

    Raises: TranslationError for anything ``read_xml`` refuses, for what isn't an envelope with exactly one element in
    its body, for a header that must be understood, and for a parameter that comes twice or holds elements, not text.
    """
    envelope = read_xml(raw)
    name = etree.QName(envelope)
    version = _VERSIONS.get(str(name.namespace))
    if name.localname != "Envelope" or version is None:
        raise _bad("Envelope", "a SOAP 1.1 or 1.2 envelope", "another root element")
    space = ENVELOPES[version]
    for header in envelope.iterfind(f"{{{space}}}Header/*"):
        if header.get(f"{{{space}}}mustUnderstand") in ("1", "true"):
            raise _bad("Envelope.Header", "no header that must be understood", "one")
    contents = envelope.findall(f"{{{space}}}Body/*")
    if len(contents) != 1:
        raise _bad("Envelope.Body", "exactly one element", f"{len(contents)} elements")
    content = contents[0]
    if content.tag == f"{{{space}}}Fault":
        return SoapMessage(version, fault=_read_fault(content, version))
    wrapped = etree.QName(content)
    return SoapMessage(version, wrapped.localname, str(wrapped.namespace or ""), _read_parameters(content))


def write_envelope(
    version: Version, namespace: str, operation: str, parameters: Mapping[str, str], *, qualified: bool = True
) -> bytes:
    """A UTF-8 envelope around one operation.  qualified: whether the parameters are in the operation's namespace too.

    Raises: TranslationError for characters XML can't hold, naming the parameter; ContractError for an impossible name.
    """
    prefix = f"{{{namespace}}}" if namespace else ""
    envelope, body = _empty_envelope(version, {"p": namespace} if namespace else {})
    wrapper = _child(body, prefix + operation)
    for name, value in parameters.items():
        _set_text(_child(wrapper, prefix + name if qualified else name), value, name)
    return write_xml(envelope)


def write_reply(asked: SoapMessage, results: Mapping[str, str], *, qualified: bool = True) -> bytes:
    """The answer to ``asked`` in its own version and namespace: ``<operation>Response`` around ``results``.

    A service of one string answers ``{"return": text}``.  Raises: as write_envelope.
    """
    name = f"{asked.operation}Response"
    return write_envelope(asked.version, asked.namespace, name, results, qualified=qualified)


def write_fault(version: Version, code: str, text: str) -> bytes:
    """A UTF-8 envelope with a fault.  code: ``Client`` or ``Server``, written ``Sender`` or ``Receiver`` in SOAP 1.2.

    Raises: as write_envelope.
    """
    envelope, body = _empty_envelope(version, {})
    space = f"{{{ENVELOPES[version]}}}"
    fault = _child(body, f"{space}Fault")
    if version == "1.1":
        _set_text(_child(fault, "faultcode"), f"soapenv:{code}", "faultcode")
        _set_text(_child(fault, "faultstring"), text, "faultstring")
        return write_xml(envelope)
    value = _child(_child(fault, f"{space}Code"), f"{space}Value")
    _set_text(value, f"soapenv:{_CODES_1_2.get(code, code)}", "Code.Value")
    reason = _child(_child(fault, f"{space}Reason"), f"{space}Text")
    reason.set("{http://www.w3.org/XML/1998/namespace}lang", "zh")
    _set_text(reason, text, "Reason.Text")
    return write_xml(envelope)


def content_type(version: Version) -> str:
    """The HTTP Content-Type of an envelope of that version, as we write them."""
    return "text/xml; charset=utf-8" if version == "1.1" else "application/soap+xml; charset=utf-8"


def inner_xml(text: str) -> etree._Element:
    """The root element of XML text carried as a parameter's value.

    The value may have been escaped or in CDATA, which the envelope's reader has undone, or escaped once more.  Its own
    encoding declaration means nothing here.  Raises: TranslationError as read_xml.
    """
    if text.lstrip().startswith("&lt;"):
        text = unescape(text, {"&quot;": '"', "&apos;": "'"})
    return read_xml(text)


def wsdl_at(wsdl: bytes, address: str) -> bytes:
    """A WSDL of ours with ``address`` at each of its ports, as served to a HIS.  Raises: as read_xml."""
    root = read_xml(wsdl)
    for tag in _WSDL_ADDRESSES:
        for place in root.iter(tag):
            place.set("location", address)
    return write_xml(root)


class SoapClient:
    """Renders requests to one SOAP service and reads its replies, through zeep; nothing is ever sent from here.

    wsdl: the WSDL's bytes, from a package; it may not import anything.  Build it once, at start (about 20 ms).
    Raises: ContractError for a WSDL zeep can't use or one without a binding of that version.
    """

    def __init__(self, wsdl: bytes, version: Version = "1.1") -> None:
        # zeep and what it drags in take about 0.3 s to import; a site without a SOAP centre never pays for it.
        import zeep
        from zeep.wsdl.bindings import Soap11Binding, Soap12Binding

        self._client: Any
        self._binding: Any
        settings = zeep.Settings(
            strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True, xml_huge_tree=False
        )
        self._version = version
        try:
            self._client = zeep.Client(  # type: ignore[no-untyped-call]
                io.BytesIO(wsdl), transport=_NoNetwork(), settings=settings
            )
        except Exception as error:  # zeep raises a dozen unrelated kinds for a bad WSDL
            raise ContractError(f"WSDL not usable: {type(error).__name__}") from None
        kind = Soap11Binding if version == "1.1" else Soap12Binding
        bindings = [binding for binding in self._client.wsdl.bindings.values() if isinstance(binding, kind)]
        if len(bindings) != 1:
            raise ContractError(f"the WSDL needs exactly one binding for SOAP {version}, it has {len(bindings)}")
        self._binding = bindings[0]
        # zeep wants an address to build a service; the core knows where to send.
        self._service = self._client.create_service(self._binding.name.text, "http://address.invalid/")

    def render(self, operation: str, **parameters: str) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """The HTTP headers and UTF-8 body of one request.

        Raises: TranslationError for characters XML can't hold; ContractError for an operation or parameter that the
        WSDL doesn't have, or one it requires and that is missing.
        """
        import zeep.exceptions

        action = self._operation(operation).soapaction or ""
        try:
            envelope = self._client.create_message(self._service, operation, **parameters)
        except (TypeError, zeep.exceptions.Error) as error:
            raise ContractError(f"{operation}: parameters don't fit the WSDL ({type(error).__name__})") from None
        except ValueError:
            raise _bad(operation, "characters XML can hold", "a control character or half a character") from None
        kind = content_type(self._version)
        if self._version == "1.1":
            return (("Content-Type", kind), ("SOAPAction", f'"{action}"')), write_xml(envelope)
        return (("Content-Type", f'{kind}; action="{action}"'),), write_xml(envelope)

    def parse(self, operation: str, body: bytes) -> str | dict[str, Any] | SoapFault:
        """What the service answered: its text where it returns one value, a dict for several, or its fault.

        Raises: TranslationError for a body that isn't a safe reply to this operation in this client's version.
        """
        from zeep.helpers import serialize_object

        # Our reader first: zeep's lets other charsets and instructions through, quotes the message in its errors, and
        # takes any element in the body, or none, for an answer.
        message = read_envelope(body)
        if message.fault is not None:
            return message.fault
        bound = self._operation(operation)
        answer = f"{{{message.namespace}}}{message.operation}"
        if answer != bound.output.body.qname.text or not message.parameters:
            raise _bad("Envelope", f"a SOAP {self._version} reply to {operation} with a value", "something else")
        reply = SimpleNamespace(status_code=200, headers={}, encoding="utf-8", content=write_xml(read_xml(body)))
        try:
            value = self._binding.process_reply(self._client, bound, reply)
        except Exception as error:  # hostile replies make zeep raise TypeError, AttributeError, KeyError …
            raise _bad("Envelope", f"a reply to {operation}", type(error).__name__) from None
        if value is None:
            return ""  # an empty text, in zeep's words
        plain = serialize_object(value, dict)  # type: ignore[no-untyped-call]
        if not isinstance(plain, (str, dict)):
            raise _bad("Envelope", f"a reply to {operation}", f"a {type(plain).__name__}")
        return plain

    def _operation(self, operation: str) -> Any:
        try:
            return self._binding.get(operation)
        except ValueError:
            raise ContractError(f"the WSDL has no operation {operation}") from None


class _NoNetwork:
    """The transport zeep is given: a WSDL that needs the network is refused, and a call through zeep is a bug."""

    def load(self, url: str) -> bytes:
        raise ContractError("a WSDL of the package may not load anything")

    def post(self, *_: object) -> None:
        raise ContractError("zeep never sends; the core does")

    get = post_xml = post


def _bad(path: str, expected: str, got: str) -> TranslationError:
    return TranslationError([Fault(path, expected, got)])


def _empty_envelope(version: Version, prefixes: dict[str, str]) -> tuple[etree._Element, etree._Element]:
    space = ENVELOPES[version]
    envelope = etree.Element(f"{{{space}}}Envelope", nsmap={"soapenv": space, **prefixes})
    return envelope, etree.SubElement(envelope, f"{{{space}}}Body")


def _child(parent: etree._Element, tag: str) -> etree._Element:
    try:
        return etree.SubElement(parent, tag)
    except ValueError:
        raise ContractError(f"{tag!r} is no name XML can have") from None


def _set_text(element: etree._Element, text: str, path: str) -> None:
    try:
        element.text = text
    except ValueError:
        raise _bad(path, "characters XML can hold", "a control character or half a character") from None


def _read_parameters(wrapper: etree._Element) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for child in wrapper:
        name = etree.QName(child).localname
        if name in parameters:
            raise _bad(f"parameter {name[:40]}", "each parameter once", "it twice")
        if len(child):
            raise _bad(f"parameter {name[:40]}", "text", "elements: inner XML must be escaped or in CDATA")
        if child.get(_NIL) not in ("1", "true"):
            parameters[name] = child.text or ""
    return parameters


def _read_fault(fault: etree._Element, version: Version) -> SoapFault:
    if version == "1.1":
        return SoapFault(_local_code(fault.findtext("faultcode") or ""), fault.findtext("faultstring") or "")
    space = f"{{{ENVELOPES[version]}}}"
    code = fault.findtext(f"{space}Code/{space}Value") or ""
    return SoapFault(_local_code(code), fault.findtext(f"{space}Reason/{space}Text") or "")


def _local_code(code: str) -> str:
    local = code.strip().rpartition(":")[2]
    return _CODES_1_1.get(local, local)
