"""SOAP 1.1 and 1.2, document/literal wrapped: serving a HIS with lxml, calling a centre with zeep.

Serving: ``read_envelope`` and ``write_envelope`` know operations and flat text parameters, which is all that the
insurance services carry; what matters is XML text inside a parameter (``inner_xml``).
Calling: ``SoapClient`` lets zeep render and read from a WSDL of our package.  It opens no connection: the core sends.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Literal
from xml.sax.saxutils import unescape

from lxml import etree

from adapter_core.formats.text import encode_text
from adapter_core.formats.xml import plain_content, read_tree, read_xml, write_xml
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
_INT = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_QUOTES = {"&quot;": '"', "&apos;": "'"}
_SCHEMA = "http://www.w3.org/2001/XMLSchema"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
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
    return _message(*_opened(read_xml(raw)))


def _opened(envelope: etree._Element) -> tuple[Version, etree._Element]:
    """An envelope's version and the one element of its body."""
    space, _, name = str(envelope.tag)[1:].rpartition("}")
    version = _VERSIONS.get(space)
    if name != "Envelope" or version is None:
        raise _bad("Envelope", "a SOAP 1.1 or 1.2 envelope", "another root element")
    contents: list[etree._Element] = []
    for part in envelope:
        if part.tag == f"{{{space}}}Body":
            contents.extend(part)
        elif part.tag == f"{{{space}}}Header" and any(
            header.get(f"{{{space}}}mustUnderstand") in ("1", "true") for header in part
        ):
            raise _bad("Envelope.Header", "no header that must be understood", "one")
    if len(contents) != 1:
        raise _bad("Envelope.Body", "exactly one element", f"{len(contents)} elements")
    return version, contents[0]


def _message(version: Version, content: etree._Element) -> SoapMessage:
    space, _, name = str(content.tag).removeprefix("{").rpartition("}")
    if name == "Fault" and space == ENVELOPES[version]:
        return SoapMessage(version, fault=_read_fault(content, version))
    return SoapMessage(version, name, space, _read_parameters(content))


def write_envelope(
    version: Version, namespace: str, operation: str, parameters: Mapping[str, str], *, qualified: bool = True
) -> bytes:
    """A UTF-8 envelope around one operation.  qualified: whether the parameters are in the operation's namespace too.

    Raises: TranslationError for characters XML can't hold, naming the parameter; ContractError for an impossible name.
    """
    form = _envelope_form(version, namespace, operation, tuple(parameters), qualified)
    body = form.filled(parameters) if form is not None else None
    return _envelope(version, namespace, operation, parameters, qualified) if body is None else body


def _envelope(
    version: Version, namespace: str, operation: str, parameters: Mapping[str, str], qualified: bool
) -> bytes:
    prefix = f"{{{namespace}}}" if namespace else ""
    envelope, body = _empty_envelope(version, {"p": namespace} if namespace else {})
    wrapper = _child(body, prefix + operation)
    for name, value in parameters.items():
        _set_text(_child(wrapper, prefix + name if qualified else name), value, name)
    return write_xml(envelope)


@lru_cache(256)
def _envelope_form(
    version: Version, namespace: str, operation: str, names: tuple[str, ...], qualified: bool
) -> _Form | None:
    """What is written around any values of these parameters; None for names that XML can't have."""
    marks = {name: f"@{number}@" for number, name in enumerate(names)}
    try:
        return _Form(_envelope(version, namespace, operation, marks, qualified).decode("utf-8"), names)
    except ContractError:
        return None


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


def inner_tree(text: str) -> dict[str, Any] | str:
    """The neutral tree of XML text carried as a parameter's value.

    The value may have been escaped or in CDATA, which the envelope's reader has undone, or escaped once more.  Its own
    encoding declaration means nothing here.  Raises: TranslationError as read_tree.
    """
    if text.lstrip().startswith("&lt;"):
        text = unescape(text, _QUOTES)
    return read_tree(text)[1]


def wsdl_at(wsdl: bytes, address: str) -> bytes:
    """A WSDL of ours with ``address`` at each of its ports, as served to a HIS.  Raises: as read_xml."""
    root = read_xml(wsdl)
    for tag in _WSDL_ADDRESSES:
        for place in root.iter(tag):
            place.set("location", address)
    return write_xml(root)


class SoapClient:
    """Renders requests to one SOAP service and reads its replies, through zeep; nothing is ever sent from here.

    What zeep renders of one set of parameters it renders of any other values of theirs, so it is asked once for each set; a
    reply whose parts are the WSDL's own, all plain texts, is what zeep would read, so it is asked about the others only.

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
        self._forms: dict[tuple[str, ...], _Form | None] = {}
        self._replies: dict[str, dict[str, str] | None] = {}

    def render(self, operation: str, **parameters: str) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """The HTTP headers and UTF-8 body of one request.

        Raises: TranslationError for characters XML can't hold; ContractError for an operation or parameter that the
        WSDL doesn't have, or one it requires and that is missing.
        """
        kind = content_type(self._version)
        action = self._operation(operation).soapaction or ""
        headers: tuple[tuple[str, str], ...] = (("Content-Type", kind), ("SOAPAction", f'"{action}"'))
        if self._version != "1.1":
            headers = (("Content-Type", f'{kind}; action="{action}"'),)
        key = (operation, *parameters)
        if key not in self._forms:
            body = self._rendered(operation, parameters)
            self._forms[key] = self._form(operation, parameters, body)
            return headers, body
        form = self._forms[key]
        filled = form.filled(parameters) if form is not None else None
        return headers, self._rendered(operation, parameters) if filled is None else filled

    def _rendered(self, operation: str, parameters: Mapping[str, str]) -> bytes:
        import zeep.exceptions

        try:
            return write_xml(self._client.create_message(self._service, operation, **parameters))
        except (TypeError, zeep.exceptions.Error) as error:
            raise ContractError(f"{operation}: parameters don't fit the WSDL ({type(error).__name__})") from None
        except ValueError:
            raise _bad(operation, "characters XML can hold", "a control character or half a character") from None

    def _form(self, operation: str, parameters: Mapping[str, str], body: bytes) -> _Form | None:
        """What zeep renders around these parameters' values; None where it does more with them than write them."""
        marks = {name: f"@{number}@" for number, name in enumerate(parameters)}
        try:
            form = _Form(self._rendered(operation, marks).decode("utf-8"), tuple(parameters))
        except (ContractError, TranslationError):
            return None
        return form if form.filled(parameters) in (None, body) else None

    def parse(self, operation: str, body: bytes) -> str | dict[str, Any] | SoapFault:
        """What the service answered: its text where it returns one value, a dict for several, or its fault.

        Raises: TranslationError for a body that isn't a safe reply to this operation in this client's version.
        """
        # Our reader first: zeep's lets other charsets and instructions through, quotes the message in its errors, and
        # takes any element in the body, or none, for an answer.
        version, content = _opened(read_xml(body))
        message = _message(version, content)
        if message.fault is not None:
            return message.fault
        bound = self._operation(operation)
        if content.tag != bound.output.body.qname.text or not message.parameters:
            raise _bad("Envelope", f"a SOAP {self._version} reply to {operation} with a value", "something else")
        if operation not in self._replies:
            self._replies[operation] = _simple_parts(bound.output.body)
        values = _simple_values(content, self._replies[operation]) if version == self._version else None
        if values is None:
            return self._read_by_zeep(operation, body)
        return values if len(values) > 1 else next(iter(values.values())) or ""

    def _read_by_zeep(self, operation: str, body: bytes) -> str | dict[str, Any]:
        from zeep.helpers import serialize_object

        bound = self._operation(operation)
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


class _Form:
    """What is written around the values of one set of parameters: ``text`` has ``@n@`` for the n-th of them.

    Raises: ContractError where one of these marks isn't there, or is twice.
    """

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        pieces = re.split("@([0-9]+)@", text)
        numbers = [int(number) for number in pieces[1::2]]
        if sorted(numbers) != list(range(len(names))):
            raise ContractError("another text is written than was given")
        self._names = [names[number] for number in numbers]
        self._pieces = pieces[0::2]

    def filled(self, parameters: Mapping[str, str]) -> bytes | None:
        """The request with these values; None where XML would write one of them otherwise."""
        texts = [self._pieces[0]]
        for name, after in zip(self._names, self._pieces[1:], strict=True):
            value = parameters[name]
            content = plain_content(value) if type(value) is str else None
            if content is None:
                return None
            texts += (content, after)
        return encode_text("".join(texts), "UTF-8")


def _simple_parts(body: Any) -> dict[str, str] | None:
    """The parts of a reply by their tags, ``string`` or ``int``; None where zeep's schema has any other."""
    from zeep.xsd.types.builtins import Int, String

    kinds: dict[Any, str] = {String: "string", Int: "int"}
    parts = {}
    for _, part in body.type.elements:
        kind = kinds.get(type(getattr(part, "type", None)))
        if kind is None or part.max_occurs != 1:
            return None
        parts[str(part.qname.text)] = kind
    return parts


def _simple_values(content: etree._Element, parts: Mapping[str, str] | None) -> dict[str, Any] | None:
    """The values of a reply that has just the WSDL's parts, in its order, each of its own type; None for any other."""
    if parts is None or [child.tag for child in content] != list(parts):
        return None
    values: dict[str, Any] = {}
    for child, kind in zip(content, parts.values(), strict=True):
        if child.attrib and not _is_said_type(child, kind):
            return None
        text = child.text
        if kind == "int":
            if text is None or not _INT.fullmatch(text):
                return None
            values[etree.QName(child).localname] = int(text)
        else:
            values[etree.QName(child).localname] = text
    return values


def _is_said_type(part: etree._Element, kind: str) -> bool:
    """Whether all that a part's attributes say is the very type that the WSDL gives it."""
    prefix, _, name = (part.get(_TYPE) or "").rpartition(":")
    return list(part.attrib) == [_TYPE] and name == kind and part.nsmap.get(prefix or None) == _SCHEMA


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
        name = str(child.tag).rpartition("}")[2]
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
