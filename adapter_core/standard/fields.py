"""Fields and nodes of a transaction, as the tables print them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from adapter_core.standard.spellings import canonical_code

FieldType = Literal["string", "number", "date", "datetime"]

# What the data writes into a note when its sources contradict each other or say nothing.
REQUIRED_DISPUTED = "必填标识来源不一致"
LENGTH_DISPUTED = "长度来源不一致"
TYPE_UNKNOWN = ("来源未载类型", "来源仅给出字段代码", "字节数组", "字段扩展", "JSON 字符串")
PLACES_UNKNOWN = "小数位未载"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a node.

    code: as the table prints it; ``canonical`` is the spelling used inside.  length: characters of a string, all digits
    of a number; None = no source says.  places: digits after the point, None = no source says.  dictionary: the table
    marks it as coded.  required: for an output field, "never empty".
    """

    code: str
    name: str
    type: FieldType
    length: int | None
    places: int | None
    dictionary: bool
    required: bool
    note: str

    @property
    def canonical(self) -> str:
        return canonical_code(self.code)

    @property
    def required_disputed(self) -> bool:
        """The sources disagree about ``required``: its absence is told, not refused."""
        return REQUIRED_DISPUTED in self.note

    @property
    def length_disputed(self) -> bool:
        """The sources disagree about the length: too long is told, not refused."""
        return LENGTH_DISPUTED in self.note

    @property
    def free_form(self) -> bool:
        """A text whose JSON type no source gives, or that some write as JSON inside JSON: any shape is kept."""
        return self.type == "string" and any(mark in self.note or mark in self.name for mark in TYPE_UNKNOWN)


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a transaction's input or output.  A dotted name (``selinfo.drugtracinfo``) lies inside the other."""

    name: str
    repeat: bool
    fields: tuple[Field, ...]

    def field(self, code: str) -> Field | None:
        """The field of that code, in either spelling."""
        wanted = canonical_code(code)
        return next((field for field in self.fields if field.canonical == wanted), None)


def field_from(row: dict[str, Any]) -> Field:
    """A field from its row in the data: ``{code, name, type, length, dict, required, note}``."""
    length, places = _size(row["type"], row["length"], row["note"])
    return Field(
        code=row["code"],
        name=row["name"],
        type=row["type"],
        length=length,
        places=places,
        dictionary=row["dict"],
        required=row["required"],
        note=row["note"],
    )


def node_from(row: dict[str, Any]) -> Node:
    """A node from its row in the data: ``{node, repeat, fields[]}``."""
    return Node(row["node"], row["repeat"], tuple(map(field_from, row["fields"])))


def _size(kind: str, length: str, note: str) -> tuple[int | None, int | None]:
    """``"16,2"`` → (16, 2), ``"30"`` → (30, 0 for a number), ``""`` → unknown.  A date's form is its length."""
    if kind not in ("string", "number") or not length:
        return None, None
    digits, _, places = length.partition(",")
    if kind == "string":
        return int(digits), None
    if not places and PLACES_UNKNOWN in note:
        return int(digits), None
    return int(digits), int(places or 0)
