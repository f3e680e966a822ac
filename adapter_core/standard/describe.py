"""What people ask the standard: a transaction's tables, whether a saved message keeps to them, its JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from adapter_core.standard.codec import Reading, codec
from adapter_core.standard.dictionaries import dictionary
from adapter_core.standard.envelope import read_envelope, read_response
from adapter_core.standard.fields import Field, Node
from adapter_core.standard.scalars import shape
from adapter_core.standard.spellings import spellings_of
from adapter_core.standard.transactions import Side, Transaction, endpoint, transaction
from adapter_core.values.errors import Fault, TranslationError

CLASS_WORDS = {
    "R": "查询下载",
    "P": "试算",
    "U": "有键上传与撤销",
    "C": "新建",
    "N": "动钱",
    "X": "冲正",
    "session": "签到签退",
}
CONFIDENCE_WORDS = {
    "cross-checked": "多源核对",
    "single-source": "单一来源",
    "base-table": "借用别的交易的表",
}
SIDES: tuple[Side, Side] = ("input", "output")


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field as a line of text cells; ``spellings`` are the others that are read as well."""

    code: str
    name: str
    type: str
    length: str
    required: str
    dictionary: str
    spellings: str
    note: str


@dataclass(frozen=True, slots=True)
class NodePage:
    """One node of one side with its fields."""

    side: Side
    node: str
    repeat: bool
    fields: tuple[FieldLine, ...]


@dataclass(frozen=True, slots=True)
class TransactionPage:
    """All that ``standard show`` prints.  facts: pairs of a Chinese label and a text; an empty text isn't listed."""

    infno: str
    name: str
    facts: tuple[tuple[str, str], ...]
    nodes: tuple[NodePage, ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """What a saved message was taken for, and how it departs from the standard."""

    infno: str
    kind: Literal["request", "response", "input", "unreadable"]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


def describe(infno: str) -> TransactionPage:
    """One transaction for a person to read.  Raises: TranslationError (``UNKNOWN_INFNO``)."""
    found = transaction(infno)
    facts = (
        ("类别", found.category),
        ("归类", f"{found.kind_class} {CLASS_WORDS[found.kind_class]}"),
        ("可信度", f"{found.confidence} {CONFIDENCE_WORDS[found.confidence]}"),
        ("字段表取自", found.base),
        ("路径", endpoint(infno) or ""),
        ("说明", found.note),
        ("来源", "、".join(found.sources)),
    )
    nodes = tuple(
        NodePage(side, node.name, node.repeat, tuple(map(_field_line, node.fields)))
        for side in SIDES
        for node in found.nodes(side)
    )
    return TransactionPage(infno, found.name, tuple(fact for fact in facts if fact[1]), nodes)


def validate_file(tree: object, infno: str = "") -> Validation:
    """A saved message checked by the standard.

    tree: a request or response envelope, or ``{"infno": …, "input": {…}}``, or the input alone.  infno: needed where
    the message doesn't carry it, which a response never does; an unknown one is a fault.
    """
    if not isinstance(tree, dict):
        return Validation(infno, "unreadable", (Fault("", "对象", shape(tree)),), ())
    if "infcode" in tree:
        return _validate_response(tree, infno)
    if "infno" in tree and not tree.keys() <= {"infno", "input"}:
        return _validate_request(tree)
    named = tree.get("infno", infno)
    inner = tree.get("input") if tree.keys() == {"infno", "input"} or tree.keys() == {"input"} else tree
    return _checked(str(named), "input", lambda number: codec(number).read_input(inner))


def json_schema(infno: str, side: Side = "input") -> dict[str, Any]:
    """The JSON Schema (2020-12) of one side, as the tables print it.  Raises: TranslationError (``UNKNOWN_INFNO``).

    Further fields are allowed, since provinces add their own; ``required`` leaves out what the sources dispute.
    """
    found = transaction(infno)
    top = [node for node in found.nodes(side) if "." not in node.name]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"confidence: {found.confidence}" + (f"; tables of {found.base}" if found.base else ""),
        "title": f"{infno} {found.name} {side}",
        "type": "object",
        "properties": {node.name: _node_schema(node, found, side) for node in top},
    }


def _field_line(field: Field) -> FieldLine:
    length = "" if field.length is None else str(field.length)
    if field.places:
        length += f",{field.places}"
    known = dictionary(field.code) if field.dictionary else None
    coded = f"{known.code} ({len(known.values)})" if known else "有代码标识，无字典" if field.dictionary else ""
    others = [spelling for spelling in spellings_of(field.code) if spelling != field.code]
    return FieldLine(
        code=field.code,
        name=field.name,
        type=field.type,
        length=length,
        required="Y" if field.required else "",
        dictionary=coded,
        spellings=" ".join(others),
        note=field.note,
    )


def _validate_request(tree: dict[str, Any]) -> Validation:
    _, inner, found = read_envelope(tree)
    number = tree["infno"] if isinstance(tree["infno"], str) else str(tree["infno"])
    checked = _checked(number, "request", lambda known: codec(known).read_input(inner))
    # An input that couldn't be opened is told once, by the envelope.
    faults = checked.faults if inner is not None else tuple(row for row in checked.faults if row.path == "infno")
    return Validation(number, "request", (*found.faults, *faults), (*found.warnings, *checked.warnings))


def _validate_response(tree: dict[str, Any], infno: str) -> Validation:
    response = read_response(tree)
    if not response.infcode:
        return Validation(infno, "response", (Fault("response.infcode", "0 或 -1", "缺少或不可读", "交易状态码"),), ())
    if response.infcode != "0":
        return Validation(infno, "response", (), ())
    return _checked(infno, "response", lambda known: codec(known).read_output(response.output))


def _checked(infno: str, kind: Literal["request", "response", "input"], read: Callable[[str], Reading]) -> Validation:
    try:
        reading = read(infno)
    except TranslationError as unknown:
        return Validation(infno, kind, unknown.faults, ())
    return Validation(infno, kind, reading.faults, reading.warnings)


def _node_schema(node: Node, found: Transaction, side: Side) -> dict[str, Any]:
    properties = {field.code: _field_schema(field) for field in node.fields}
    for child in found.nodes(side):
        if child.name.startswith(node.name + "."):
            properties[child.name.partition(".")[2]] = _node_schema(child, found, side)
    required = [field.code for field in node.fields if field.required and not field.required_disputed]
    record: dict[str, Any] = {"type": "object", "properties": properties}
    if required and side == "input":
        record["required"] = required
    return {"type": "array", "items": record} if node.repeat else record


def _field_schema(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"title": field.name}
    if field.note:
        schema["description"] = field.note
    if field.type == "number":
        schema["type"] = "number"
        if field.places == 0:
            schema["multipleOf"] = 1
        elif field.places:
            # multipleOf 0.01 would be a binary fraction to most validators, and refuse right amounts.
            schema["$comment"] = f"{field.places} places"
        if field.length is not None:
            schema["exclusiveMaximum"] = 10 ** (field.length - (field.places or 0))
            schema["exclusiveMinimum"] = -schema["exclusiveMaximum"]
        return schema
    if not field.free_form:
        schema["type"] = "string"
    if field.type == "string" and field.length is not None:
        schema["maxLength"] = field.length
    if field.type in ("date", "datetime"):
        schema["pattern"] = r"^\d{4}-\d{2}-\d{2}$" if field.type == "date" else r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"
    known = dictionary(field.code) if field.dictionary else None
    if known and known.confidence == "cross-checked" and not known.extended_locally:
        schema["enum"] = sorted({*known.values, *known.local_values})
    return schema
