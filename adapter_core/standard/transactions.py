"""Transactions of the national standard, one data file each, read when first asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from adapter_core.standard.fields import Field, Node, field_from, node_from
from adapter_core.standard.source import load_json, schema_file
from adapter_core.values.errors import Fault, TranslationError

Side = Literal["input", "output"]
INFNO = re.compile(r"[0-9]{4}[A-Z]?")

# A query that has one of these asks for a page of rows: its answer may be a list where the table prints one object.
PAGE_FIELDS = frozenset({"page_num", "startrow"})


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction.

    kind_class: R read, P trial, U keyed upload, C create, N money, X reversal, ``session`` sign-in and sign-out.
    confidence: ``cross-checked``, ``single-source`` or ``base-table``: then ``base`` is the transaction whose tables
    it takes, since no public source prints its own.
    """

    infno: str
    name: str
    category: str
    kind_class: str
    confidence: str
    sources: tuple[str, ...]
    input: tuple[Node, ...]
    output: tuple[Node, ...]
    base: str = ""
    note: str = ""

    def nodes(self, side: Side) -> tuple[Node, ...]:
        return self.input if side == "input" else self.output

    def node(self, side: Side, name: str) -> Node | None:
        return next((node for node in self.nodes(side) if node.name == name), None)

    @property
    def paged(self) -> bool:
        return any(row.code in PAGE_FIELDS for node in self.input for row in node.fields)


@dataclass(frozen=True, slots=True)
class FileRows:
    """Rows of a file that travels beside a transaction.  None = no source says: configured per gateway."""

    via: str
    separator: str | None
    header: bool | None
    charset: str | None
    archive: str | None
    note: str
    fields: tuple[Field, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class FileLayout:
    """What is uploaded for a transaction and what is downloaded as its result, column by column."""

    infno: str
    name: str
    upload: FileRows
    result: FileRows


@cache
def all_infnos() -> tuple[str, ...]:
    """Every transaction number, sorted; no transaction is read for it."""
    return tuple(sorted(path.stem for path in schema_file("national", "transactions").glob("*.json")))


@cache
def transaction(infno: str) -> Transaction:
    """One transaction with its tables.  Raises: TranslationError (``UNKNOWN_INFNO``)."""
    if not INFNO.fullmatch(infno) or infno not in all_infnos():
        fault = Fault("infno", "国家标准中的交易编号", repr(infno[:12]), "交易编号")
        raise TranslationError([fault], code="UNKNOWN_INFNO", message_zh=f"没有交易 {infno[:12]}")
    data: dict[str, Any] = load_json("national", "transactions", f"{infno}.json")
    base = data.get("base", "")
    tables = transaction(base) if base else None
    return Transaction(
        infno=infno,
        name=data["name"],
        category=data["category"],
        kind_class=data["class"],
        confidence=data["confidence"],
        sources=tuple(data["sources"]),
        input=tables.input if tables else tuple(map(node_from, data["input"])),
        output=tables.output if tables else tuple(map(node_from, data["output"])),
        base=base,
        note=data.get("note", ""),
    )


@cache
def _endpoints() -> dict[str, str]:
    paths: dict[str, str] = load_json("national", "endpoints.json")["values"]
    return paths


def endpoint(infno: str) -> str | None:
    """The HTTP path of a transaction behind the gateway, e.g. ``/fsi/api/…``; None where no source shows one."""
    return _endpoints().get(infno)


@cache
def file_layout(infno: str) -> FileLayout | None:
    """The rows of a transaction's files (3202); None when it has none."""
    if not INFNO.fullmatch(infno) or not schema_file("national", "files", f"{infno}.json").exists():
        return None
    data = load_json("national", "files", f"{infno}.json")
    return FileLayout(infno, data["name"], _file_rows(data["upload"]), _file_rows(data["result"]))


def _file_rows(data: dict[str, Any]) -> FileRows:
    settled = {key: data[key] for key in ("via", "separator", "header", "charset", "archive", "note")}
    return FileRows(**settled, fields=tuple(map(field_from, data["fields"])))
