"""A field table ready for use: frames in, sections out, and back.

Sections are those of ``values.content`` plus ``ref`` (references by kind), ``echo`` (what an answer repeats) and, for
writing a reply, ``asked`` (the content that was asked).  List elements keep their own ``x``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapter_core.formats.tables.calls import CallBuilding, CallOpened
from adapter_core.formats.tables.elements import ElementsBuilding, ElementsOpened
from adapter_core.formats.tables.fields import FieldTypes
from adapter_core.formats.tables.frames import Building, DelimitedBuilding, DelimitedOpened, Opened
from adapter_core.formats.tables.loader import build_spec, parse_table
from adapter_core.formats.tables.reading import Gathered, RecordReader, read_side
from adapter_core.formats.tables.spec import Form, Message, Side, Success, TableSpec
from adapter_core.formats.tables.trees import TreeBuilding, TreeOpened
from adapter_core.formats.tables.writing import RecordWriter, refuse_untold, untold_amounts, write_side
from adapter_core.values.errors import Fault, NotSupported, TranslationError
from adapter_core.values.frames import Frame

TEXT_MAX = 200
"""Characters of a text told to a cashier."""


class FieldTable:
    """One table, compiled for one site."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        blank = spec.blank[0]
        records = {
            record.name: record
            for message in spec.messages.values()
            for side in (message.ask, message.tell)
            for record in side.records
        }
        told = {place for form in (spec.failure, spec.unknown) for place in form.places}
        told |= {place for message in spec.messages.values() for place in message.match}
        named = {spec.success.at, *spec.success.also, spec.frame.code, *told}
        skip = frozenset(re.sub(r"^(tree|in|out|soap)\.", "", place) for place in named)
        self._readers = {name: RecordReader(record, skip) for name, record in records.items()}
        self._writers = {name: RecordWriter(record, blank) for name, record in records.items()}
        self._envelope_readers = {side: EnvelopeReader(record) for side, record in spec.envelope.items()}
        self._envelope_writers = {side: RecordWriter(record, blank) for side, record in spec.envelope.items()}
        sides: tuple[Side, Side] = ("ask", "tell")
        self._untold = {
            (message.id, side): untold_amounts(message.side(side), self._writers)
            for message in spec.messages.values()
            for side in sides
        }
        self._by_code: dict[str, list[Message]] = {}
        for message in spec.messages.values():
            self._by_code.setdefault(message.code, []).append(message)
        for candidates in self._by_code.values():
            candidates.sort(key=lambda message: not message.match)

    def open(self, frame: Frame, side: Side) -> Opened:
        """A frame taken apart.  Raises: TranslationError for bytes that aren't this family's frame."""
        if self.spec.frame.kind == "delimited":
            return DelimitedOpened(self.spec.frame, side, frame)
        if self.spec.frame.kind == "elements":
            return ElementsOpened(self.spec.frame, side, frame)
        if self.spec.frame.kind == "call":
            return CallOpened(self.spec.frame, side, frame)
        return TreeOpened(self.spec.frame, side, frame)

    def message_of(self, opened: Opened) -> Message:
        """The message of a request.  Raises: NotSupported for one without an evidenced layout, TranslationError."""
        code = opened.value(self.spec.frame.code).strip()
        candidates = self._by_code.get(code, [])
        for message in candidates:
            if all(opened.value(place).strip() in wanted for place, wanted in message.match.items()):
                return message
        if candidates or code in self.spec.unsupported:
            title = self.spec.unsupported.get(code, candidates[0].title if candidates else "")
            known = "、".join(f"{key} {message.title}" for key, message in self.spec.messages.items())
            raise NotSupported(
                f"{self.spec.dialect}: message {code} has no evidenced layout",
                message_zh=f"业务 {code}（{title}）尚不支持；支持：{known}",
            )
        codes = "、".join(self._by_code)
        raise TranslationError(
            [Fault(self.spec.frame.code, f"业务编号 {codes}", f"“{code[:12]}”" if code else "空", "业务编号")]
        )

    def read(self, opened: Opened, message: Message, side: Side) -> dict[str, Any]:
        """The sections of one message.  Raises: TranslationError with every fault."""
        gathered = Gathered()
        self._envelope_readers[side].read(opened.envelope, gathered)
        read_side(message.side(side), self._readers, opened, gathered)
        if gathered.faults:
            raise TranslationError(gathered.faults)
        return gathered.content()

    def write(self, message: Message, side: Side, sections: Mapping[str, Any]) -> Frame:
        """The frame that says these sections; a reply in the success form.  Raises: TranslationError."""
        building = self._building(side, sections)
        faults: list[Fault] = []
        places = self._envelope_writers[side].write(sections, None, faults, "")
        building.envelope.update({place: text for place, text in places.items() if text})
        if side == "ask":
            building.envelope[self.spec.frame.code] = message.code
            sections = _with_match(message, sections)
        else:
            building.envelope["function"] = message.code
            building.envelope.update({**self.spec.success.also, self.spec.success.at: self.spec.success.write})
        write_side(message.side(side), self._writers, sections, building, faults)
        refuse_untold(self._untold[message.id, side], sections, faults)
        frame = building.build(faults)
        if faults:
            raise TranslationError(faults)
        return frame

    def write_form(self, form: Form, text: str, sections: Mapping[str, Any], message: Message | None = None) -> Frame:
        """A reply that tells a text and nothing else.  Never raises for the text: a character the charset lacks is
        told as ？, since a cashier must get an answer.  message: what is answered, where that is known."""
        building = self._building("tell", sections)
        words = tellable(text, self.spec.frame.charset)
        building.envelope["function"] = message.code if message is not None else ""
        nameless = self.spec.frame.kind == "call" and self.spec.frame.soap and message is None
        if "fault" in form.places or nameless:
            return building.build_fault(form.places.get("fault", "{text}").replace("{text}", words))
        for place, pattern in form.places.items():
            building.envelope[place] = pattern.replace("{text}", words)
        return building.build([])

    def _building(self, side: Side, sections: Mapping[str, Any]) -> Building:
        if self.spec.frame.kind == "delimited":
            return DelimitedBuilding(self.spec.frame, side)
        if self.spec.frame.kind == "elements":
            return ElementsBuilding(self.spec.frame, side)
        tree = CallBuilding if self.spec.frame.kind == "call" else TreeBuilding
        building = tree(self.spec.frame, side)
        version = sections.get("echo", {}).get("soap.version")
        if version:
            building.envelope["soap.version"] = version
        return building


class EnvelopeReader(RecordReader):
    """Reads the envelope's own rows; its other places are the frame's business and are not kept."""

    def __init__(self, record: Any) -> None:
        super().__init__(record)
        self._places = tuple(dict.fromkeys(place for row in record.rows for place in row.places))

    def read(self, envelope: Mapping[str, str], gathered: Gathered) -> None:  # type: ignore[override]
        """Add what the envelope says."""
        super().read({place: envelope[place] for place in self._places}, gathered, None, "")
        if envelope.get("soap.version", "1.1") != "1.1":
            gathered.sections["echo"]["soap.version"] = envelope["soap.version"]


def _with_match(message: Message, sections: Mapping[str, Any]) -> Mapping[str, Any]:
    """A place by which messages of one code are told apart, and which no field fills, is written with its constant."""
    constants = {}
    for place, wanted in message.match.items():
        group, _, path = place.partition(".")
        for record in message.ask.head:
            at = f"{record.at}." if record.at else ""
            if group in ("head", "tree") and path.startswith(at):
                constants[f"{record.name}.{path[len(at) :]}"] = wanted[0]
    return {**sections, "x": {**constants, **sections.get("x", {})}} if constants else sections


def tellable(text: str, charset: str) -> str:
    """A text for the cashier: one line, at most 200 characters, every character one that ``charset`` has."""
    codec = "gbk" if charset.lower() in ("gbk", "gb2312", "cp936") else charset
    letters = []
    for letter in text[:TEXT_MAX]:
        try:
            letter.encode(codec)
        except UnicodeEncodeError:
            letter = "？"
        letters.append(letter if letter.isprintable() else " ")
    return "".join(letters)


def succeeded(success: Success, code: str) -> bool | None:
    """Whether a reply's code says so by the family's rule; None when there is no readable code."""
    code = code.strip()
    if not code:
        return None
    if success.equal is not None:
        return code == success.equal
    digits = code.removeprefix("-")
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= 18
    if success.not_equal is not None:
        # Where the failure is a number ("not 0"), a word says neither.
        if not success.not_equal.lstrip("-").isdigit():
            return code != success.not_equal
        return int(code) != int(success.not_equal) if is_number else None
    if not is_number:
        return False if success.words else None
    return int(code) >= success.least if success.least is not None else int(code) > int(success.above or 0)


def load_table(
    text: str, name: str, options: Mapping[str, str] | None = None, fields: FieldTypes | None = None
) -> FieldTable:
    """A table from its TOML text.  name: the file, for faults; options and fields: as ``loader.build_spec``.

    Raises: ContractError with every fault of the table; ConfigError for an option it doesn't have.
    """
    return FieldTable(build_spec(parse_table(text, name), name, options, fields))
