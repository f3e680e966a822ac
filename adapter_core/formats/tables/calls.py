"""Call frames of field tables: a function with named values both ways, carried by a library call or by SOAP RPC.

The values together are one tree: a plain value is a leaf under its own name.  What a table says of single values
(``[frame.values.<name>]``) makes the others:

| kind | the value | in the tree |
|---|---|---|
| ``cells`` | ``|a|b|c|``: cells of a positional record whose ``at`` is the value's name | the text |
| ``xml`` | a whole XML text; ``numbered = "Row"``: its rows are ``<Row1>``, ``<Row2>`` … beside ``<RowCount>`` | a subtree |
| ``rows`` | a result set, its values named ``list01[0].aka060`` | a list |

A buffer filled up with NULs ends at the first one after its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from lxml import etree

from adapter_core.formats import soap
from adapter_core.formats.delimited import join_cells
from adapter_core.formats.tables.frames import Envelope, cells_of
from adapter_core.formats.tables.spec import FrameSpec, Record, Side
from adapter_core.formats.tables.trees import TreeBuilding, TreeOpened, child_at
from adapter_core.formats.text import decode_text, encode_text
from adapter_core.formats.xml import read_tree, read_xml, tree_text, write_xml
from adapter_core.values.copies import replace
from adapter_core.values.errors import ContractError, Fault, TranslationError
from adapter_core.values.frames import Frame

_ROW_VALUE = re.compile(r"([A-Za-z0-9_]+)\[(\d{1,5})\]\.([A-Za-z0-9_]+)")
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_NAMESPACES = {"xsi": "http://www.w3.org/2001/XMLSchema-instance", "xsd": "http://www.w3.org/2001/XMLSchema"}
ROW_COUNT = "RowCount"
_ENVELOPE = re.compile(rb"<[A-Za-z_][A-Za-z0-9_\-]*:Envelope(?= )")
_SAID_SPACES = rb"\g<0>" + b"".join(f' xmlns:{name}="{space}"'.encode() for name, space in _NAMESPACES.items())
_PART = re.compile(rb"<([A-Za-z_][A-Za-z0-9_.\-]*)>")
_PART_END = re.compile(rb"</([A-Za-z_][A-Za-z0-9_.\-]*)>")
_PART_ODD = re.compile(rb"<!|<[A-Za-z_][A-Za-z0-9_.\-]*[ /]")


VALUE_KEYS = {
    "cells": {"kind", "cell", "leading", "limit"},
    "xml": {"kind", "root", "numbered", "declaration", "limit"},
    "rows": {"kind", "limit"},
}


def value_faults(frame: FrameSpec) -> Iterable[tuple[str, str]]:
    """What is wrong with a frame's ``values``, by name."""
    for name, rule in frame.values.items():
        keys = VALUE_KEYS.get(rule.get("kind", ""))
        needed = {"cells": "cell", "xml": "root"}.get(rule.get("kind", ""), "kind")
        if keys is None or frame.kind != "call":
            yield name, "kind is one of cells, xml, rows, of a call"
        elif set(rule) - keys or needed not in rule:
            yield name, f"needs {needed} and has only {', '.join(sorted(keys))}"


def trimmed(frame: Frame) -> Frame:
    """The frame without the NULs that fill its buffers up."""
    if b"\x00" not in b"".join((*frame.ins.values(), *frame.outs.values())):
        return frame
    ins = {name: raw.rstrip(b"\x00") for name, raw in frame.ins.items()}
    outs = {name: raw.rstrip(b"\x00") for name, raw in frame.outs.items()}
    return replace(frame, ins=ins, outs=outs)


def _texts(values: Mapping[str, bytes], charset: str) -> dict[str, str]:
    """All values decoded, in one go where no value has a line break.  Raises: TranslationError naming the value."""
    joined = b"\n".join(values.values())
    if joined.count(b"\n") == len(values) - 1:
        try:
            return dict(zip(values, decode_text(joined, charset)[0].split("\n"), strict=True))
        except TranslationError:
            pass  # which value it is, is worth the second look
    texts = {}
    for name, raw in values.items():
        try:
            texts[name] = decode_text(raw, charset)[0]
        except TranslationError as error:
            raise TranslationError([replace(fault, path=name) for fault in error.faults]) from None
    return texts


def _encoded(texts: Mapping[str, str], charset: str, faults: list[Fault]) -> dict[str, bytes]:
    """All values encoded, in one go where no value has a line break; a fault for each that the charset can't say."""
    joined = "\n".join(texts.values())
    if joined.count("\n") == len(texts) - 1:
        try:
            return dict(zip(texts, encode_text(joined, charset).split(b"\n"), strict=True))
        except TranslationError:
            pass
    values = {}
    for name, text in texts.items():
        try:
            values[name] = encode_text(text, charset)
        except TranslationError as error:
            faults.extend(Fault(name, fault.expected, fault.got) for fault in error.faults)
    return values


@lru_cache(4096)
def _row_place(name: str) -> tuple[str, int, str] | None:
    """``list01[0].aka060`` as result set, row and column; None for a plain value."""
    found = _ROW_VALUE.fullmatch(name)
    return (found[1], int(found[2]), found[3]) if found else None


class CallOpened(TreeOpened):
    """A call's named values as a tree.  Places: ``function``, ``ret``, ``in.x``, ``out.x``, ``soap.x``, ``tree.x``."""

    def __init__(self, spec: FrameSpec, side: Side, frame: Frame) -> None:
        self.far_fault: tuple[str, str] | None = None
        self.envelope = Envelope(frame, spec.charset)
        self._spec = spec
        self._side = side
        self._taken: frozenset[str] = frozenset()
        self._tree: Any = {}
        named = self._soap_values(frame) if spec.soap else self._call_values(frame)
        sets: dict[str, dict[int, dict[str, str]]] = {}
        for name, text in named.items():
            place = _row_place(name) if "[" in name else None
            if place is not None:
                sets.setdefault(place[0], {}).setdefault(place[1], {})[place[2]] = text
                continue
            rule = spec.values.get(name)
            self._tree[name] = _subtree(name, text, rule) if rule and rule["kind"] == "xml" else text
        for name, rows in sets.items():
            if name in self._tree or sorted(rows) != list(range(len(rows))):
                raise TranslationError([Fault(name, "从 0 起连续编号的行", "其他编号")])
            self._tree[name] = [rows[number] for number in range(len(rows))]

    def _call_values(self, frame: Frame) -> dict[str, str]:
        return _texts(frame.ins if self._side == "ask" else frame.outs, self._spec.charset)

    def _soap_values(self, frame: Frame) -> dict[str, str]:
        message = soap.read_envelope(frame.body)
        self.envelope["soap.version"] = message.version
        if message.fault is not None:
            self.far_fault = (message.fault.code, message.fault.text)
            return {}
        if message.namespace != self._spec.soap["namespace"]:
            raise TranslationError([Fault("Body", self._spec.soap["namespace"], "另一个命名空间")])
        name = message.operation
        if self._side == "tell":
            if not name.endswith("Response"):
                raise TranslationError([Fault("Body", "…Response", "另一个操作")])
            name = name.removesuffix("Response")
        self.envelope["function"] = name
        self.envelope.update({f"soap.{part}": text for part, text in message.parameters.items()})
        return message.parameters

    def head(self, record: Record, faults: list[Fault]) -> tuple[Any, str]:
        if not record.positional:
            return super().head(record, faults)
        rule, text = self._spec.values[record.at], child_at(self._tree, record.at) or ""
        if rule.get("leading") and not text.startswith(rule["cell"]):
            faults.append(Fault(record.at, f"以 {rule['cell']} 开头", "空" if not text else "其他内容"))
            return None, record.at
        found = cells_of(text.rstrip("\r\n").split(rule["cell"]), record, record.at, rule["cell"], faults)
        return found, record.at

    def leaves(self) -> dict[str, str]:
        texts = super().leaves()
        for name, rule in self._spec.values.items():
            text = texts.pop(f".{name}", None) if rule.get("kind") == "cells" else None
            if text is not None:
                texts.update({f".{name}.{number}": cell for number, cell in enumerate(text.split(rule["cell"]))})
        return texts


class CallBuilding(TreeBuilding):
    """A call's values written in the order of the table's records."""

    def __init__(self, spec: FrameSpec, side: Side) -> None:
        super().__init__(spec, side)
        self._faults: list[Fault] = []

    def add_head(self, record: Record, places: Any) -> None:
        if not record.positional:
            super().add_head(record, places)
            return
        rule = self._spec.values[record.at]
        try:
            self._tree[record.at] = join_cells(places, rule["cell"], place=record.at, terminated=record.closed)
        except TranslationError as error:
            self._faults.extend(error.faults)

    def build_fault(self, text: str) -> Frame:
        if self._spec.soap:
            return super().build_fault(text)
        raise ContractError("a library call has no fault of its own: its table names the places")

    def build(self, faults: list[Fault]) -> Frame:
        faults.extend(self._faults)
        self._graft()
        texts: dict[str, str] = {}
        try:
            for name, value in self._tree.items():
                if type(value) is str:
                    texts[name] = value
                else:
                    texts.update(self._rendered(name, value))
        except TranslationError as error:
            faults.extend(error.faults)
            return Frame()
        return self._soap_frame(texts) if self._spec.soap else self._call_frame(texts, faults)

    def _rendered(self, name: str, value: Any) -> Iterable[tuple[str, str]]:
        rule = self._spec.values.get(name, {})
        if rule.get("kind") == "xml" and isinstance(value, dict):
            tree = _numbered(value, rule["numbered"]) if "numbered" in rule else value
            yield name, tree_text(rule["root"], tree, rule.get("declaration"))
        elif isinstance(value, list):
            for number, row in enumerate(value):
                place = f"{name}[{number}]."
                yield from [(place + column, text) for column, text in row.items()]
        else:
            yield name, value

    def _call_frame(self, texts: Mapping[str, str], faults: list[Fault]) -> Frame:
        spec, envelope = self._spec, self.envelope
        named = dict(texts)
        group = "in." if self._side == "ask" else "out."
        named.update({place[len(group) :]: text for place, text in envelope.items() if place.startswith(group)})
        values = _encoded(named, spec.charset, faults)
        if spec.limit or any("limit" in rule for rule in spec.values.values()):
            for name, raw in values.items():
                limit = spec.values.get(name, {}).get("limit", spec.limit)
                if limit and len(raw) > limit:
                    faults.append(Fault(name, f"至多 {limit} 字节", f"{len(raw)} 字节"))
        return Frame(
            function=envelope.get("function", "") if self._side == "ask" else "",
            ins=values if self._side == "ask" else {},
            ret=envelope.get("ret", ""),
            outs=values if self._side == "tell" else {},
            side=self._beside(),
        )

    def _soap_frame(self, texts: Mapping[str, str]) -> Frame:
        named = {place[5:]: text for place, text in self.envelope.items() if place.startswith("soap.")}
        if self._side == "tell":  # RPC replies have their parts in the service's order, each of them
            texts = {**dict.fromkeys(self._spec.values, ""), **texts}
        version = named.pop("version", "1.1")
        operation = self.envelope.get("function", "") + ("Response" if self._side == "tell" else "")
        body = soap.write_envelope(
            self._version(), self._spec.soap["namespace"], operation, {**texts, **named}, qualified=False
        )
        if version == "1.1":
            body = typed(body, self._spec.soap.get("number", ""))
        status = None if self._side == "ask" else 200
        return Frame(body=body, headers=self._headers(), status=status, side=self._beside())


def typed(body: bytes, number: str = "") -> bytes:
    """An RPC envelope with the type of each parameter said, as SOAP toolkits of that time do; ``number`` is the int."""
    usual = _typed_text(body, number.encode())
    if usual is not None:
        return usual
    envelope = read_xml(body)
    root = etree.Element(
        envelope.tag, nsmap={name: space for name, space in envelope.nsmap.items() if name} | _NAMESPACES
    )
    root.extend(envelope)
    operation = root[-1][0]
    for part in operation:
        part.set(_TYPE, "xsd:int" if part.tag == number else "xsd:string")
    return write_xml(root)


def _typed_text(body: bytes, number: bytes) -> bytes | None:
    """An envelope as zeep and our own writer make them, typed as text: only its parameters have no prefix.  None for any other."""
    opened, closed = _PART.findall(body), _PART_END.findall(body)
    if opened != closed or b"xmlns:xs" in body or _PART_ODD.search(body):
        return None

    def with_type(found: re.Match[bytes]) -> bytes:
        return b'<%b xsi:type="xsd:%b">' % (found[1], b"int" if found[1] == number else b"string")

    return _ENVELOPE.sub(_SAID_SPACES, _PART.sub(with_type, body), count=1)


def _subtree(name: str, text: str, rule: Mapping[str, Any]) -> Any:
    if not text.strip():
        return {}
    root, tree = read_tree(text)
    if root != rule["root"]:
        raise TranslationError([Fault(name, f"<{rule['root']}>", "另一个根元素")])
    tree = tree or {}
    return _unnumbered(name, tree, rule["numbered"]) if "numbered" in rule else tree


def _unnumbered(name: str, tree: Any, stem: str) -> dict[str, Any]:
    """``Row1``, ``Row2`` … as a list ``Row``; as many as ``RowCount`` says, or the text was cut or is another's."""
    rest = {key: value for key, value in tree.items() if not re.fullmatch(f"{stem}[0-9]+", key)}
    count = len(tree) - len(rest)
    rows = [tree.get(f"{stem}{number}") for number in range(1, count + 1)]
    said = rest.pop(ROW_COUNT, None)
    if any(row is None for row in rows) or (said is not None and str(said).strip() != str(count)):
        raise TranslationError([Fault(f"{name}.{ROW_COUNT}", f"{stem}1 起连续编号的 {count} 行", "行数或编号不符")])
    return {**rest, **({stem: rows[0] if count == 1 else rows} if rows else {})}


def _numbered(tree: Any, stem: str) -> dict[str, Any]:
    found = tree.get(stem, [])
    rows = found if isinstance(found, list) else [found]
    rest = {key: value for key, value in tree.items() if key != stem}
    return {ROW_COUNT: str(len(rows)), **rest, **{f"{stem}{number}": row for number, row in enumerate(rows, 1)}}
