"""What a field table says once it is read and checked: rows, records, messages, forms, frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapter_core.formats.tables.converters import Converter

Side = Literal["ask", "tell"]
Key = int | str
"""A local place inside a record: the cell's number from 0, or a path of element names (``a.b``)."""


@dataclass(frozen=True, slots=True)
class Target:
    """A national place.

    section ``""`` is the record's own list element; spread: ``fees[*].x``, the same value in every element; index:
    ``diagnoses[0].x``, one element by number.  Section ``asked`` repeats what was asked, by its path.
    """

    section: str
    field: str
    spread: bool = False
    index: int | None = None

    def __str__(self) -> str:
        place = "[*]" if self.spread else "" if self.index is None else f"[{self.index}]"
        return f"{self.section}{place}.{self.field}" if self.section else self.field


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: local places ↔ national targets.

    meaning: ``one`` (one place, one target), ``sum`` (one place holds the sum of the targets; the first is solved for),
    ``parts`` (the target is the sum of the places; ``rest`` takes what the others leave), ``joined`` (the places' texts
    together are one value), ``all`` (the targets are equal), ``constant``, ``kept`` (no national home: kept in ``x``).
    """

    number: int
    places: tuple[Key, ...]
    title: str
    meaning: Literal["one", "sum", "parts", "joined", "all", "constant", "kept"]
    targets: tuple[Target, ...]
    how: Converter
    constant: str = ""
    rest: Key | None = None
    write: str | None = None
    absent: frozenset[str] = frozenset()
    must: bool = False
    drop: str = ""
    when: tuple[tuple[Key, frozenset[str]], ...] = ()


@dataclass(frozen=True, slots=True)
class Implied:
    """A national constant that a record implies: added on reading, any other value refused on writing."""

    target: Target
    value: str
    needs: Target | None = None


@dataclass(frozen=True, slots=True)
class Derived:
    """A national amount the record doesn't carry: computed on reading, and on writing it has to hold."""

    target: Target
    title: str
    terms: tuple[tuple[int, Target], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """An ordered set of places that are read together: a row of cells, or the children of one element.

    into: the list section of which each such record is one element ("" = none).  cells / least: how many cells it has,
    and at least must have; closed: a cell mark after the last one.  keep_rest: cells beyond are kept.  at: its element.
    within: amounts that have no place of their own because another told amount contains them.  widths: cells cut by bytes,
    not by a mark (below 0: filled with zeros on the left instead of spaces on the right).
    """

    name: str
    rows: tuple[Row, ...]
    into: str = ""
    cells: int = 0
    least: int = 0
    closed: bool = False
    keep_rest: bool = False
    at: str = ""
    implied: tuple[Implied, ...] = ()
    derived: tuple[Derived, ...] = ()
    within: frozenset[str] = frozenset()
    widths: tuple[int, ...] = ()

    @property
    def positional(self) -> bool:
        return self.cells > 0


@dataclass(frozen=True, slots=True)
class MessageSide:
    """The records of one direction of a message: fixed ones, then repeated ones.

    any: rows that no record takes are accepted and dropped, where the family's own are not evidenced.
    """

    head: tuple[Record, ...] = ()
    rows: tuple[Record, ...] = ()
    rows_least: int = 0
    any: bool = False

    @property
    def records(self) -> tuple[Record, ...]:
        return self.head + self.rows


@dataclass(frozen=True, slots=True)
class Message:
    """One message: ``code`` on the wire, ``match`` constants where several share it, verb and what the core needs."""

    id: str
    code: str
    title: str
    verb: str
    ask: MessageSide
    tell: MessageSide
    evidence: str = ""
    otherwise: str = ""
    match: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    key_repeats: bool = False
    fees_whole: bool = False
    settle_with: str = ""

    def side(self, side: Side) -> MessageSide:
        return self.ask if side == "ask" else self.tell


@dataclass(frozen=True, slots=True)
class Success:
    """The family's own success rule on one place.  Exactly one of the tests is set; ``write`` is what we write.

    also: further places that must hold these very texts before anything is a success.  warning: the place whose text,
    beside a success, is a warning.  words: a code that is no number is an error's own text (with a numeric test only;
    elsewhere such a reply can't be read).
    """

    at: str
    write: str
    equal: str | None = None
    not_equal: str | None = None
    least: int | None = None
    above: int | None = None
    also: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""
    words: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """How something other than success is told: place → text, in which ``{text}`` stands for the words."""

    places: Mapping[str, str]

    @property
    def text_place(self) -> str:
        return next((place for place, text in self.places.items() if "{text}" in text), "")


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """The frame all messages of a dialect share.

    kind: ``delimited``, ``elements``, ``xml``, ``json`` or ``call``.  code: the place that names the message.  ask_text, tell_text: where
    the text is (``in.in``, ``out.out``, ``body``); a call has none, its named values are the message.  Delimited: separators,
    number of parts (0 = none) and which of them holds the rows, marker (first cell of the first row), row_closed.
    file_ret: the return value that a file leaves out.  values: what single values of a call are (`calls`).  Elements: one
    row of cells between the marks start and end (`elements`).  numbers: JSON numbers instead of texts for amounts, on both
    sides (true) or on one (``ask``, ``tell``).
    """

    kind: str
    charset: str
    code: str
    ask_text: str = ""
    tell_text: str = ""
    function: str = ""
    limit: int = 0
    file_ret: str = ""
    part: str = ""
    row: str = ""
    cell: str = ""
    row_closed: bool = False
    ask_parts: int = 0
    ask_data: int = 0
    ask_marker: str = ""
    tell_parts: int = 0
    tell_data: int = 0
    tell_marker: str = ""
    replace: Mapping[str, str] = field(default_factory=dict)
    ask_root: str = ""
    tell_root: str = ""
    declaration: str = ""
    soap: Mapping[str, str] = field(default_factory=dict)
    numbers: bool | str = False
    start: str = ""
    end: str = ""
    element: str = ""
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def marker(self, side: Side) -> str:
        return self.ask_marker if side == "ask" else self.tell_marker

    def text_place(self, side: Side) -> str:
        return self.ask_text if side == "ask" else self.tell_text


@dataclass(frozen=True, slots=True)
class RefSpec:
    """A kind of reference, as the contract of dialects has it (`province/dialect.py`)."""

    name: str
    theirs: bool = False
    mint: tuple[str, ...] = ()
    pattern: str = ""
    names: str = ""
    binds: str = "encounter"


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A whole table, checked."""

    dialect: str
    title: str
    blank: tuple[str, ...]
    frame: FrameSpec
    envelope: Mapping[Side, Record]
    success: Success
    failure: Form
    unknown: Form
    refs: Mapping[str, RefSpec]
    messages: Mapping[str, Message]
    unsupported: Mapping[str, str]
    kind_at: tuple[str, str]
    kinds: Mapping[str, str]
    options: Mapping[str, str]
