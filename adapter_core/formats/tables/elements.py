"""Frames of counted elements: ``$$cell~cell~a%%b%%c~…$$``, where a cell may hold a structure or a list.

A record with ``at`` reads one cell: split by the element mark, or cut by bytes where it has ``widths``.  Rows of a list have
no border of their own, so their elements are counted and none may remain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapter_core.formats.delimited import join_cells, join_elements, open_frame, split_elements
from adapter_core.formats.tables.frames import Cells, Envelope, call_frame
from adapter_core.formats.tables.spec import FrameSpec, MessageSide, Record, Side
from adapter_core.formats.text import decode_text, encode_text
from adapter_core.values.errors import ContractError, Fault, TranslationError
from adapter_core.values.frames import Frame

PADDING = b"\x00 \r\n"
"""What a fixed buffer leaves around a text."""


class ElementsOpened:
    """The cells between the marks; ``head.N`` names the N-th."""

    def __init__(self, spec: FrameSpec, side: Side, frame: Frame) -> None:
        self._spec = spec
        self.far_fault: tuple[str, str] | None = None
        self.envelope = Envelope(frame, spec.charset)
        group, _, name = spec.text_place(side).partition(".")
        raw = frame.body if group == "body" else (frame.ins if group == "in" else frame.outs).get(name, b"")
        text = decode_text(raw.strip(PADDING), spec.charset)[0]
        self._cells = open_frame(text, spec.start, spec.end).split(spec.cell)
        self._taken: frozenset[int] = frozenset()

    def value(self, place: str) -> str:
        group, _, number = place.partition(".")
        return self._at(int(number)) if group == "head" else self.envelope[place]

    def leaves(self) -> dict[str, str]:
        texts = dict(self.envelope)
        for number, cell in enumerate(self._cells):
            texts.update({f"{number}.{index}": text for index, text in enumerate(cell.split(self._spec.element))})
        return texts

    def begin(self, side: MessageSide) -> None:
        self._taken = frozenset(int(record.at) for record in side.records if record.at)

    def head(self, record: Record, faults: list[Fault]) -> tuple[Cells | None, str]:
        if record.at:
            prefix = f"cell [{record.at}]"
            return self._counted(self._structure(record, faults), record, prefix, faults), prefix
        cells = ["" if number in self._taken else text for number, text in enumerate(self._cells)]
        return self._counted(cells, record, "", faults), ""

    def rows(self, record: Record, after_head: bool, faults: list[Fault]) -> Iterable[tuple[Cells, str]]:
        try:
            listed = split_elements(self._at(int(record.at)), self._spec.element, record.cells)
        except TranslationError as error:
            faults.extend(Fault(f"cell [{record.at}]", fault.expected, fault.got) for fault in error.faults)
            return
        for number, elements in enumerate(listed, 1):
            yield Cells(elements, len(elements)), f"cell [{record.at}] row {number}"

    def finish(self, side: MessageSide, faults: list[Fault]) -> None:
        """Every cell is some record's, or the head record has told that there are too many."""

    def _at(self, number: int) -> str:
        return self._cells[number] if number < len(self._cells) else ""

    def _structure(self, record: Record, faults: list[Fault]) -> list[str]:
        text = self._at(int(record.at))
        if not text:
            return []
        return self._cut(text, record, faults) if record.widths else text.split(self._spec.element)

    def _cut(self, text: str, record: Record, faults: list[Fault]) -> list[str]:
        raw, start = encode_text(text, self._spec.charset), 0
        pieces = []
        for number, width in enumerate(record.widths):
            piece = raw[start : start + abs(width)]
            start += abs(width)
            if len(piece) < abs(width):
                break
            try:
                pieces.append(decode_text(piece, self._spec.charset)[0])
            except TranslationError:
                faults.append(Fault(f"cell [{record.at}] cell [{number}]", "整个汉字", "字符被截断"))
                pieces.append("")
        if len(raw) > start and record.keep_rest:
            pieces.append(decode_text(raw[start:], self._spec.charset)[0])
        elif len(raw) > start:
            faults.append(Fault(f"cell [{record.at}]", f"{start} 字节", f"{len(raw)} 字节"))
        return pieces

    def _counted(self, cells: Sequence[str], record: Record, prefix: str, faults: list[Fault]) -> Cells | None:
        count, full = len(cells), record.cells
        if not count and not record.least:
            return Cells([""] * full, full)  # a structure that may be left out
        if count < record.least or (count > full and not record.keep_rest):
            wanted = f"{full} 项" if record.least == full else f"{record.least} 至 {full} 项"
            faults.append(Fault(prefix or "cells", wanted, f"{count} 项"))
            return None
        return Cells([*cells, *[""] * (full - count)], count)


class ElementsBuilding:
    """Cells joined; no value may hold a mark: it is replaced by what the table declares, or refused."""

    def __init__(self, spec: FrameSpec, side: Side) -> None:
        self._spec = spec
        self._side = side
        self.envelope: dict[str, str] = {}
        self._cells: list[str] = []
        self._nested: dict[int, str] = {}
        self._faults: list[Fault] = []
        self._replace = str.maketrans(dict(spec.replace))
        # A cell without a record of its own may hold a structure that is kept as it came.
        whole = {letter: other for letter, other in spec.replace.items() if letter not in spec.element}
        self._replace_whole = str.maketrans(whole)
        self._marks = (spec.start, spec.end, spec.cell, spec.element)

    def prefix(self, record: Record, number: int) -> str:
        return f"cell [{record.at}]" if record.at else ""

    def add_head(self, record: Record, places: list[str]) -> None:
        if not record.at:
            self._cells = [text.translate(self._replace_whole) for text in places]
        elif record.widths:
            self._nested[int(record.at)] = self._padded(record, places)
        else:
            left_out = not record.least and not any(places)
            self._nested[int(record.at)] = "" if left_out else self._joined(record, [places], len(places))

    def add_rows(self, record: Record, elements: list[list[str]]) -> None:
        self._nested[int(record.at)] = self._joined(record, elements, record.cells)

    def _joined(self, record: Record, rows: list[list[str]], size: int) -> str:
        replaced = [[text.translate(self._replace) for text in row] for row in rows]
        spec = self._spec
        try:
            return join_elements(replaced, spec.element, size, reserved=(spec.cell, spec.start, spec.end))
        except TranslationError as error:
            self._faults.extend(Fault(f"cell [{record.at}] {one.path}", one.expected, one.got) for one in error.faults)
            return ""

    def _padded(self, record: Record, places: list[str]) -> str:
        if not any(places):
            return ""
        padded = []
        for number, (text, width) in enumerate(zip(places, record.widths, strict=False)):
            size = len(encode_text(text, self._spec.charset))
            if size > abs(width):
                fault = Fault(f"cell [{record.at}] cell [{number}]", f"至多 {abs(width)} 字节", f"{size} 字节")
                self._faults.append(fault)
            fill = abs(width) - size
            padded.append("0" * fill + text if width < 0 and text else text + " " * fill)
        return "".join([*padded, *places[len(record.widths) :]])

    def build_fault(self, text: str) -> Frame:
        raise ContractError("this family has no fault of its own: its table names the places")

    def build(self, faults: list[Fault]) -> Frame:
        faults.extend(self._faults)
        spec = self._spec
        cells = self._cells or self._form()
        top = [text for number, text in enumerate(cells) if number not in self._nested]
        try:
            join_cells(top, spec.cell, reserved=(spec.start, spec.end) if self._cells else ())
            for number, text in self._nested.items():
                if number < len(cells) or text:
                    cells[number] = text
            raw = encode_text(f"{spec.start}{spec.cell.join(cells)}{spec.end}", spec.charset)
        except TranslationError as error:
            faults.extend(error.faults)
            return Frame()
        if spec.limit and len(raw) > spec.limit:
            faults.append(Fault("text", f"至多 {spec.limit} 字节", f"{len(raw)} 字节"))
        return call_frame(spec, self._side, self.envelope, raw)

    def _form(self) -> list[str]:
        """An answer that says only a code and a text."""
        told = {place: text for place, text in self.envelope.items() if place.startswith("head.")}
        cells = [""] * (max((int(place[5:]) for place in told), default=-1) + 2)
        for place, text in told.items():
            # A cashier must get an answer: what would end the frame is taken out of its words.
            for mark in (self._spec.start, self._spec.end, self._spec.cell):
                text = text.replace(mark, " ")
            cells[int(place[5:])] = text
        return cells
