"""Frames of field tables: a Frame taken apart into an envelope and records, and put together again.

``Opened`` and ``Building`` are what reading and writing see; the delimited family is here, trees are in ``trees.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from adapter_core.formats.delimited import join_cells, join_parts, join_rows, split_parts, split_rows
from adapter_core.formats.tables.spec import FrameSpec, MessageSide, Record, Side
from adapter_core.formats.text import decode_text, encode_text
from adapter_core.values.errors import ContractError, Fault, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret


class Envelope(dict[str, str]):
    """What is around the records, by place: ``part.3``, ``ret``, ``function``, ``in.code``, ``out.retMsg``, ``side.x``.

    A missing place reads as "".
    """

    def __init__(self, frame: Frame, charset: str) -> None:
        super().__init__(ret=frame.ret, function=frame.function)
        self._frame = frame
        self._charset = charset

    def __missing__(self, place: str) -> str:
        group, _, name = place.partition(".")
        if group == "side":
            value = self._frame.side.get(name, "")
            return value.reveal() if isinstance(value, Secret) else str(value)
        if group in ("in", "out"):
            raw = (self._frame.ins if group == "in" else self._frame.outs).get(name, b"")
            return decode_text(raw, self._charset)[0]
        return ""


class Cells(list[str]):
    """The cells of one row, filled up to the table's number; ``found`` is how many there were."""

    __slots__ = ("found",)

    def __init__(self, cells: Iterable[str], found: int) -> None:
        super().__init__(cells)
        self.found = found


class Opened(Protocol):
    """A frame taken apart.  far_fault: code and text where the frame is a fault of the far side and nothing else."""

    envelope: Envelope
    far_fault: tuple[str, str] | None

    def begin(self, side: MessageSide) -> None:
        """Called once the message is known, before its records are asked for."""

    def head(self, record: Record, faults: list[Fault]) -> tuple[Any, str]:
        """The fixed record's source (None when its place is faulty) and how faults name it."""

    def rows(self, record: Record, after_head: bool, faults: list[Fault]) -> Iterable[tuple[Any, str]]:
        """Each repeated record's source and name."""

    def finish(self, side: MessageSide, faults: list[Fault]) -> None:
        """Faults for what no record took."""

    def value(self, place: str) -> str:
        """The text at one place of the envelope or the records, for codes, matches and success rules."""

    def leaves(self) -> dict[str, str]:
        """Every text of the frame by its place, for comparing two frames."""


class Building(Protocol):
    """A frame being put together."""

    envelope: dict[str, str]

    def prefix(self, record: Record, number: int) -> str:
        """How faults name the ``number``-th record."""

    def add_head(self, record: Record, places: Any) -> None: ...

    def add_rows(self, record: Record, elements: list[Any]) -> None: ...

    def build_fault(self, text: str) -> Frame:
        """A frame that says only that something went wrong on our side, where the family has such a form."""

    def build(self, faults: list[Fault]) -> Frame:
        """The frame; faults of the whole (separators in values, charset, size) are added."""


class DelimitedOpened:
    """Text cut into parts, rows and cells."""

    def __init__(self, spec: FrameSpec, side: Side, frame: Frame) -> None:
        self._spec = spec
        self._side = side
        self.far_fault: tuple[str, str] | None = None
        self.envelope = Envelope(frame, spec.charset)
        parts, data = (spec.ask_parts, spec.ask_data) if side == "ask" else (spec.tell_parts, spec.tell_data)
        text = frame_text(frame, spec.text_place(side), spec.charset)
        self._data = data
        self._where = ""
        if spec.part:
            pieces = split_parts(text.rstrip("\r\n"), spec.part, terminated=True)
            if len(pieces) != parts:
                raise TranslationError([Fault("parts", f"{parts} 段", f"{len(pieces)} 段")])
            for number, piece in enumerate(pieces):
                self.envelope[f"part.{number}"] = piece
            text = pieces[data]
            self._where = f"part [{data}] "
        else:
            text = text.rstrip("\r\n")
        self._rows = split_rows(text, spec.row, terminated=spec.row_closed)

    def value(self, place: str) -> str:
        group, _, number = place.partition(".")
        if group != "head":
            return self.envelope[place]
        cells = self._rows[0].split(self._spec.cell) if self._rows else []
        return cells[int(number)] if int(number) < len(cells) else ""

    def leaves(self) -> dict[str, str]:
        texts = dict(self.envelope)
        texts.pop(f"part.{self._data}", None)
        for row, text in enumerate(self._rows):
            texts.update({f"{row}.{number}": cell for number, cell in enumerate(text.split(self._spec.cell))})
        return texts

    def begin(self, side: MessageSide) -> None:
        """Rows need no preparation."""

    def head(self, record: Record, faults: list[Fault]) -> tuple[Cells | None, str]:
        prefix = f"{self._where}row 1"
        if not self._rows:
            faults.append(Fault(prefix, f"{record.cells} 栏", "空"))
            return None, prefix
        return self._cells(self._rows[0], record, prefix, self._spec.marker(self._side), faults), prefix

    def rows(self, record: Record, after_head: bool, faults: list[Fault]) -> Iterable[tuple[Cells, str]]:
        for number, text in enumerate(self._rows[1:] if after_head else self._rows, 2 if after_head else 1):
            prefix = f"{self._where}row {number}"
            cells = self._cells(text, record, prefix, "", faults)
            if cells is not None:
                yield cells, prefix

    def finish(self, side: MessageSide, faults: list[Fault]) -> None:
        if not (side.rows or side.any) and len(self._rows) > len(side.head):
            faults.append(Fault(f"{self._where}rows", f"{len(side.head)} 行", f"{len(self._rows)} 行"))

    def _cells(self, text: str, record: Record, prefix: str, marker: str, faults: list[Fault]) -> Cells | None:
        return cells_of(text.split(self._spec.cell), record, prefix, self._spec.cell, faults, marker)


def cells_of(
    cells: list[str], record: Record, prefix: str, separator: str, faults: list[Fault], marker: str = ""
) -> Cells | None:
    """One row's cells as the record has them; None with a fault when their number, end or marker is another."""
    if record.closed and cells.pop():
        faults.append(Fault(prefix, f"以 {separator} 结尾", "没有结尾：被截断？"))
        return None
    if marker and (not cells or cells[0] != marker):
        faults.append(Fault(f"{prefix} cell [0]", marker, "其他标记"))
        return None
    if marker:
        cells[0] = ""  # no value of anybody's
    count, full = len(cells), record.cells
    if count < record.least or (count > full and not record.keep_rest):
        wanted = f"{full} 栏" if record.least == full else f"{record.least} 至 {full} 栏"
        faults.append(Fault(prefix, wanted, f"{count} 栏"))
        return None
    if count < full:
        cells += [""] * (full - count)
    return Cells(cells, count)


class DelimitedBuilding:
    """Parts, rows and cells joined; no value may move a border."""

    def __init__(self, spec: FrameSpec, side: Side) -> None:
        self._spec = spec
        self._side = side
        self.envelope: dict[str, str] = {}
        self._rows: list[str] = []
        self._sources: list[tuple[str, list[str]]] = []
        self._faults: list[Fault] = []
        self._data = spec.ask_data if side == "ask" else spec.tell_data
        self._marks = tuple(mark for mark in (spec.row, spec.part) if mark)
        self._risky = re.compile(
            "[" + re.escape("".join((*self._marks, spec.cell))) + "\x00-\x1f\x7f-\x9f\u2028\u2029]"
        )
        # A mark of several characters may form across a border; join_cells looks at each value then.
        self._single = all(len(mark) == 1 for mark in (*self._marks, spec.cell))

    def prefix(self, record: Record, number: int) -> str:
        return f"part [{self._data}] row {number}" if self._spec.part else f"row {number}"

    def add_head(self, record: Record, places: list[str]) -> None:
        marker = self._spec.marker(self._side)
        if marker:
            places[0] = marker
        self._add(record, places)

    def add_rows(self, record: Record, elements: list[list[str]]) -> None:
        for places in elements:
            self._add(record, places)

    def _add(self, record: Record, places: list[str]) -> None:
        spec = self._spec
        name = self.prefix(record, len(self._rows) + 1)
        self._sources.append((name, places))
        if not self._single or self._risky.search("".join(places)):
            if spec.replace:
                places = ["".join(spec.replace.get(letter, letter) for letter in text) for text in places]
            try:
                row = join_cells(
                    places, spec.cell, place=f"{name} cell", reserved=self._marks, terminated=record.closed
                )
            except TranslationError as error:
                self._faults.extend(error.faults)
                row = ""
        else:
            row = spec.cell.join(places)
            if record.closed:
                row += spec.cell
        self._rows.append(row)

    def build_fault(self, text: str) -> Frame:
        raise ContractError("a delimited family has no fault of its own: its table names the places")

    def build(self, faults: list[Fault]) -> Frame:
        spec = self._spec
        faults.extend(self._faults)
        if self._faults:
            return Frame()
        text = join_rows(self._rows, spec.row, terminated=spec.row_closed and bool(self._rows))
        if spec.part:
            count = spec.ask_parts if self._side == "ask" else spec.tell_parts
            parts = [self.envelope.get(f"part.{number}", "") for number in range(count)]
            try:
                join_parts(parts, spec.part)
            except TranslationError as error:
                faults.extend(error.faults)
                return Frame()
            parts[self._data] = text
            text = spec.part.join(parts) + spec.part
        raw = self._encoded(text, faults)
        if spec.limit and len(raw) > spec.limit:
            faults.append(Fault("text", f"至多 {spec.limit} 字节", f"{len(raw)} 字节"))
        return call_frame(spec, self._side, self.envelope, raw)

    def _encoded(self, text: str, faults: list[Fault]) -> bytes:
        try:
            return encode_text(text, self._spec.charset)
        except TranslationError as error:
            named = [fault for name, cells in self._sources for fault in _unsayable(name, cells, self._spec.charset)]
            faults.extend(named or error.faults)
            return b""


def _unsayable(name: str, cells: list[str], charset: str) -> Iterable[Fault]:
    for number, cell in enumerate(cells):
        try:
            encode_text(cell, charset)
        except TranslationError as error:
            for fault in error.faults:
                yield Fault(f"{name} cell [{number}]", fault.expected, fault.got)


def frame_text(frame: Frame, place: str, charset: str) -> str:
    """The text a frame carries at ``body``, ``in.name`` or ``out.name``.  Raises: TranslationError."""
    group, _, name = place.partition(".")
    raw = frame.body if group == "body" else (frame.ins if group == "in" else frame.outs).get(name, b"")
    return decode_text(raw, charset)[0]


def call_frame(spec: FrameSpec, side: Side, envelope: Mapping[str, str], raw: bytes) -> Frame:
    """A Frame with the text where the family carries it, and what else its envelope says."""
    group, _, name = spec.text_place(side).partition(".")
    ins = {key[3:]: encode_text(text, spec.charset) for key, text in envelope.items() if key.startswith("in.")}
    outs = {key[4:]: encode_text(text, spec.charset) for key, text in envelope.items() if key.startswith("out.")}
    if group == "in":
        ins[name] = raw
    elif group == "out":
        outs.setdefault(name, raw)
    return Frame(
        body=raw if group == "body" else b"",
        function=spec.function if side == "ask" else "",
        ins=ins,
        ret=envelope.get("ret", ""),
        outs=outs,
        side={key[5:]: text for key, text in envelope.items() if key.startswith("side.")},
    )
