"""The envelope around every transaction: request, response, and the msgid rule.  Source: ``envelope.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple, NoReturn

from adapter_core.standard.fields import Field, Node, field_from
from adapter_core.standard.records import Findings, RecordCodec
from adapter_core.standard.scalars import is_blank, shape
from adapter_core.standard.source import load_json
from adapter_core.values.errors import ConfigError, Fault, TranslationError
from adapter_core.values.moments import national_time

MSGID_CODE_MAX = 12
MSGID_SEQUENCE_MAX = 9999
PAYLOAD = frozenset({"input", "output"})


class Request(NamedTuple):
    """A request taken apart.  fields: its envelope, single provinces' additions too; input: the tree, if readable."""

    fields: dict[str, Any]
    input: object
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Response:
    """A response taken apart.

    infcode: as text, ``0`` = success, "" when missing or unreadable (never taken for success).
    output: an object or a list; None when absent; a text when it is no JSON (some provinces encrypt it).
    extra: every further field as it came (warn_msg, cainfo, signtype, a province's own).
    """

    infcode: str
    err_msg: str
    inf_refmsgid: str
    refmsg_time: str
    respond_time: str
    output: object
    extra: Mapping[str, Any] = field(default_factory=dict)


@cache
def envelope_fields(part: str) -> tuple[Field, ...]:
    """The fields of ``request``, ``request_local``, ``response`` or ``response_local``."""
    return tuple(map(field_from, load_json("national", "envelope.json")[part]))


def request_envelope(fields: Mapping[str, object], input: object) -> dict[str, Any]:
    """A whole request tree: the envelope's fields in the table's order, further ones after them, ``input`` last.

    fields: by envelope code (``infno``, ``msgid`` …); an absent optional field is written as "", as the samples do.
    Raises: TranslationError with every fault of the envelope.
    """
    request = {**_blank_request(), **fields, "input": input}
    taken_apart = read_request(request)
    if taken_apart.faults:
        raise TranslationError(taken_apart.faults)
    return request


def read_request(tree: object) -> Request:
    """A request tree taken apart and its envelope checked, all faults at once.  ``input`` may be JSON inside a text."""
    fields, inner, found = read_envelope(tree)
    return Request(fields, inner, tuple(found.faults))


def read_envelope(tree: object) -> tuple[dict[str, Any], object, Findings]:
    """As ``read_request``, with the warnings as well."""
    found = Findings(strict=True)
    if not isinstance(tree, dict):
        found.refuse("request", "对象", shape(tree))
        return {}, None, found
    outer = {code: value for code, value in tree.items() if code != "input"}
    fields = _request_codec().read(outer, "request", found)
    assert isinstance(fields, dict)
    inner = _opened(tree.get("input"))
    if isinstance(inner, str):
        found.refuse("request.input", "JSON 对象", shape(inner))
        inner = None
    elif not isinstance(inner, dict):
        found.refuse("request.input", "对象", shape(inner))
        inner = None
    elif _names_person(inner) and "insuplc_admdvs" not in fields:
        found.add("request.insuplc_admdvs", "参保地医保区划", "交易输入含 psn_no 时必填", "缺少或为空")
    return fields, inner, found


def read_response(tree: object) -> Response:
    """A response tree taken apart.  Raises: TranslationError when it is no object."""
    if not isinstance(tree, dict):
        raise TranslationError([Fault("response", "对象", shape(tree))])
    known = ("infcode", "err_msg", "inf_refmsgid", "refmsg_time", "respond_time")
    texts = {code: _text(tree.get(code)) for code in known}
    extra = {code: value for code, value in tree.items() if code not in known and code != "output"}
    return Response(**texts, output=_opened(tree.get("output")), extra=extra)


def national_msgid(fixmedins_code: str, moment: datetime, sequence: int) -> str:
    """The sender's msgid: fixmedins_code (12) + yyyyMMddHHmmss in China time (14) + sequence (4).

    Raises: ConfigError for a code that is empty, longer than 12 or not ASCII letters and digits;
    ValueError for a sequence beyond 0-9999 or a naive moment.
    """
    if not (fixmedins_code.isascii() and fixmedins_code.isalnum() and len(fixmedins_code) <= MSGID_CODE_MAX):
        raise ConfigError(
            f"fixmedins_code takes {MSGID_CODE_MAX} characters of a msgid, this one doesn't fit: {fixmedins_code!r}",
            message_zh="定点医药机构编号不能用于报文 ID：应为不超过 12 位的字母和数字",
        )
    if not 0 <= sequence <= MSGID_SEQUENCE_MAX:
        raise ValueError(f"a msgid's sequence has four digits, not {sequence}")
    at = national_time(moment)
    return f"{fixmedins_code}{at[:4]}{at[5:7]}{at[8:10]}{at[11:13]}{at[14:16]}{at[17:]}{sequence:04d}"


@cache
def _blank_request() -> Mapping[str, str]:
    return {row.code: "" for row in envelope_fields("request") if row.code not in PAYLOAD}


@cache
def _request_codec() -> RecordCodec:
    fields = tuple(row for row in envelope_fields("request") if row.code not in PAYLOAD)
    return RecordCodec(Node("request", False, (*fields, *envelope_fields("request_local"))), {})


def _names_person(inner: dict[str, Any]) -> bool:
    for node in inner.values():
        for record in node if isinstance(node, list) else [node]:
            if isinstance(record, dict) and not is_blank(record.get("psn_no")):
                return True
    return False


def _text(value: object) -> str:
    """A text or the digits of a number; a whole number loses its ``.0``.  Anything else reads as nothing."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return ""
    if isinstance(value, Decimal):
        whole = value.is_finite() and abs(value.adjusted()) < 40 and value == value.to_integral_value()
        return str(int(value)) if whole else str(value)
    return str(value).strip()


def _opened(value: object) -> object:
    """A payload: JSON inside a text is opened; blank is None; a text that is no JSON object or list stays a text."""
    if is_blank(value):
        return None
    if not isinstance(value, str):
        return value
    try:
        inner = json.loads(
            value, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique_members
        )
    except (ValueError, RecursionError):
        return value
    return inner if isinstance(inner, (dict, list)) else value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members
