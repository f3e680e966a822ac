"""From a table's TOML to a checked TableSpec.  A faulty table never loads: every fault is told, with message and row."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from adapter_core.formats.tables.calls import value_faults
from adapter_core.formats.tables.fields import FieldTypes, national_fields
from adapter_core.formats.tables.rows import LISTS, Faulty, RowParser, listed
from adapter_core.formats.tables.spec import (
    Form,
    FrameSpec,
    Message,
    MessageSide,
    Record,
    RefSpec,
    Row,
    Side,
    Success,
    TableSpec,
)
from adapter_core.values.copies import replace
from adapter_core.values.errors import ConfigError, ContractError

_TOP = {
    "dialect",
    "title",
    "blank",
    "frame",
    "success",
    "failure",
    "unknown",
    "ref",
    "codes",
    "names",
    "options",
    "record",
    "message",
    "unsupported",
    "kind",
}
_RECORD = {
    "into",
    "cells",
    "least",
    "closed",
    "rest",
    "at",
    "implied",
    "derived",
    "within",
    "widths",
    "rows",
    "layout",
    "like",
}
_MESSAGE = {
    "title",
    "verb",
    "evidence",
    "code",
    "match",
    "otherwise",
    "keys",
    "key_repeats",
    "fees_whole",
    "settle_with",
    "ask",
    "tell",
}
_SIDE = {"head", "rows", "rows_least", "any"}
_EMPTY: Mapping[str, Any] = {}


def parse_table(text: str, name: str) -> dict[str, Any]:
    """The TOML tree of a table.  Raises: ContractError naming the file and the line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"{name}: {error}") from None


def build_spec(
    raw: Mapping[str, Any], name: str, options: Mapping[str, str] | None = None, fields: FieldTypes | None = None
) -> TableSpec:
    """The checked spec of one table for one site.

    options: the site's: ``codes.<table>.<local>`` and ``names.<table>.<code>`` add entries, ``layout.<record>`` chooses a
    layout, any other must stand in the table's ``[options]``.  fields: the national fields, the standard's by default.

    Raises: ContractError with every fault of the table; ConfigError for an option the table doesn't have.
    """
    builder = _Builder(raw, name, options or {}, national_fields() if fields is None else fields)
    spec = builder.build()
    if builder.faults:
        raise ContractError(f"{name}: " + "; ".join(builder.faults))
    assert spec is not None
    return spec


SITE_FACTS = frozenset({"admdvs"})
"""Options every site has; a table that doesn't name one in its ``[options]`` has no use for it."""


class _Builder:
    def __init__(self, raw: Mapping[str, Any], name: str, options: Mapping[str, str], fields: FieldTypes) -> None:
        self.raw = raw
        self.name = name
        self.faults: list[str] = []
        self._codes = _copied(raw.get("codes", {}))
        self._names = _copied(raw.get("names", {}))
        self._layouts: dict[str, str] = {}
        self._options = {key: str(value) for key, value in raw.get("options", {}).items()}
        self._take_options(options)
        blank = tuple(str(value) for value in raw.get("blank", [""]))
        self._blank = blank
        self._refs = self._build_refs()
        self._rows = RowParser(fields, self._refs, self._codes, self._names, self._options, blank)
        self._records: dict[str, Record] = {}

    def build(self) -> TableSpec | None:
        self._unknown_keys("table", self.raw, _TOP)
        frame = self._frame()
        if frame is None:
            return None
        for name in self.raw.get("record", {}):
            self._record(name)
        messages = {str(key): self._message(str(key), entry) for key, entry in self.raw.get("message", {}).items()}
        self._check_messages(messages)
        kind_at, kinds = self._kinds()
        success = self._success()
        if self.faults or success is None:
            return None
        return TableSpec(
            dialect=self.raw.get("dialect", ""),
            title=self.raw.get("title", ""),
            blank=self._blank,
            frame=frame,
            envelope={"ask": self._envelope("ask"), "tell": self._envelope("tell")},
            success=success,
            failure=self._form("failure"),
            unknown=self._form("unknown"),
            refs=self._refs,
            messages=messages,
            unsupported=dict(self.raw.get("unsupported", {})),
            kind_at=kind_at,
            kinds=kinds,
            options=self._options,
        )

    def _take_options(self, options: Mapping[str, str]) -> None:
        unknown = []
        for key, value in options.items():
            group, _, rest = key.partition(".")
            table, _, entry = rest.partition(".")
            if group == "codes" and table in self._codes and entry:
                self._codes[table][entry] = value
            elif group == "names" and table and entry:
                self._names.setdefault(table, {})[entry] = value
            elif group == "layout" and value in self.raw.get("record", {}).get(rest, {}).get("layout", {}):
                self._layouts[rest] = value
            elif key in self._options:
                self._options[key] = value
            elif key in SITE_FACTS:
                continue
            else:
                unknown.append(f"{key} = {value}")
        if unknown:
            raise ConfigError(f"{self.name}: no such option: {', '.join(unknown)}")

    def _build_refs(self) -> dict[str, RefSpec]:
        refs = {}
        for name, entry in self.raw.get("ref", {}).items():
            try:
                refs[name] = RefSpec(name=name, **{**entry, "mint": tuple(entry.get("mint", ()))})
            except TypeError as error:
                self.faults.append(f"ref.{name}: {error}")
            else:
                if refs[name].names and refs[name].names not in self.raw["ref"]:
                    self.faults.append(f"ref.{name}: names {refs[name].names!r}, which is no ref")
        return refs

    def _frame(self) -> FrameSpec | None:
        entry = dict(self.raw.get("frame", {}))
        entry.pop("ask", None)
        entry.pop("tell", None)
        try:
            frame = FrameSpec(**entry)
        except TypeError as error:
            self.faults.append(f"frame: {error}")
            return None
        if frame.kind not in ("delimited", "elements", "xml", "json", "call"):
            self.faults.append(f"frame: kind {frame.kind!r}")
        if frame.kind != "call" and not (frame.ask_text and frame.tell_text):
            self.faults.append("frame: ask_text and tell_text say where the text is")
        self.faults.extend(f"frame.values.{name}: {fault}" for name, fault in value_faults(frame))
        if frame.kind == "delimited" and not (frame.row and frame.cell):
            self.faults.append("frame: a delimited frame has row and cell separators")
        if frame.kind == "elements" and not (frame.start and frame.end and frame.cell and frame.element):
            self.faults.append("frame: a frame of elements has start, end, cell and element marks")
        return frame

    def _envelope(self, side: Side) -> Record:
        name, raw = f"frame.{side}", self.raw.get("frame", {}).get(side, {})
        self._unknown_keys(name, raw, {"rows", "implied"})
        rows = self._parse_rows(name, raw.get("rows", []), "", False)
        implied = self._each(name, raw.get("implied", []), "", self._rows.implied)
        return Record(name, rows, implied=tuple(found for found in implied if found))

    def _success(self) -> Success | None:
        entry = self.raw.get("success", {})
        tests = {"equal": "is", "not_equal": "not", "least": "min", "above": "above"}
        given = {ours: entry[theirs] for ours, theirs in tests.items() if theirs in entry}
        if len(given) != 1 or "at" not in entry:
            self.faults.append("success: needs at and exactly one of is, not, min, above")
            return None
        if entry.get("words") and given.keys() <= {"equal", "not_equal"}:
            self.faults.append("success: words goes with min or above")
        write = str(entry.get("write", entry.get("is", "")))
        if not write:
            self.faults.append("success: needs write, the value that we tell")
        for test in ("least", "above"):
            if test in given:
                given[test] = int(given[test])
        also = {str(place): str(text) for place, text in entry.get("also", {}).items()}
        warning, words = entry.get("warning", ""), bool(entry.get("words", False))
        return Success(at=entry["at"], write=write, also=also, warning=warning, words=words, **given)

    def _form(self, name: str) -> Form:
        entry = self.raw.get(name, {})
        if not entry:
            self.faults.append(f"{name}: how is it told?")
        return Form({str(place): str(text) for place, text in entry.items()})

    def _kinds(self) -> tuple[tuple[str, str], dict[str, str]]:
        entry = dict(self.raw.get("kind", {}))
        section, _, field = str(entry.pop("at", ".")).partition(".")
        return (section, field), {str(value): kind for kind, values in entry.items() for value in values}

    def _record(self, name: str) -> Record:
        if name in self._records:
            return self._records[name]
        entry = self.raw["record"][name]
        self._unknown_keys(f"record {name}", entry, _RECORD)
        like = entry.get("like", name)
        if like not in self.raw["record"]:
            self.faults.append(f"record {name}: no record {like!r} to be like")
            like = name
        entry = {**self.raw["record"][like], **entry}
        layout: Mapping[str, Any] = entry.get("layout", {}).get(self._layouts.get(like, ""), _EMPTY)
        resized = "cells" in layout or "widths" in layout
        entry = {key: value for key, value in entry.items() if key != "least" or not resized}
        entry |= {key: value for key, value in layout.items() if key in ("cells", "widths", "least", "rest")}
        into, widths = entry.get("into", ""), tuple(entry.get("widths", ()))
        cells = len(widths) or entry.get("cells", 0)
        if into and into not in LISTS:
            self.faults.append(f"record {name}: into {into!r} is no list section")
        own = name if "rows" in self.raw["record"][name] else like
        rows = self._with_layout(name, self._expanded(own), layout, into, cells)
        self._check_places(name, rows, cells)
        implied = self._each(f"record {name}, implied", entry.get("implied", []), into, self._rows.implied)
        record = Record(
            name=name,
            rows=rows,
            into=into,
            cells=cells,
            least=entry.get("least", cells),
            closed=entry.get("closed", False),
            keep_rest=entry.get("rest", "") == "keep",
            at=entry.get("at", ""),
            implied=tuple(found for found in implied if found),
            derived=tuple(self._each(f"record {name}, derived", entry.get("derived", []), into, self._rows.derived)),
            within=frozenset(str(path) for path in entry.get("within", [])),
            widths=widths,
        )
        self._records[name] = record
        return record

    def _expanded(self, name: str) -> list[Any]:
        """A record's rows with the rows of the records it names in their place."""
        rows: list[Any] = []
        for row in self.raw["record"][name].get("rows", []):
            if not isinstance(row, str):
                rows.append(row)
            elif row == name or row not in self.raw["record"]:
                self.faults.append(f"record {name}: no record {row!r} to take rows from")
            else:
                rows.extend(self._expanded(row))
        return rows

    def _with_layout(
        self, name: str, raw: list[Any], layout: Mapping[str, Any], into: str, cells: int
    ) -> tuple[Row, ...]:
        """A layout's rows take the places of the rows they touch, or of all rows (``only``)."""
        rows = () if layout.get("only") else self._parse_rows(f"record {name}", raw, into, cells > 0)
        changed = self._parse_rows(f"record {name}, layout", layout.get("rows", []), into, cells > 0)
        taken = {place for row in changed for place in row.places}
        kept = tuple(row for row in rows if taken.isdisjoint(row.places))
        return kept + tuple(replace(row, number=len(rows) + row.number) for row in changed)

    def _parse_rows(self, where: str, raw: list[Any], into: str, positional: bool) -> tuple[Row, ...]:
        rows = []
        for number, entry in enumerate(raw, 1):
            try:
                rows.append(self._rows.row(number, entry, into, positional))
            except Faulty as fault:
                self.faults.append(f"{where}, row {number} {_shown(entry)}: {fault}")
        return tuple(rows)

    def _each(self, where: str, entries: list[Any], into: str, parse: Any) -> list[Any]:
        found = []
        for number, entry in enumerate(entries, 1):
            try:
                found.append(parse(entry, into))
            except Faulty as fault:
                self.faults.append(f"{where} {number} {_shown(entry)}: {fault}")
        return found

    def _check_places(self, name: str, rows: tuple[Row, ...], cells: int) -> None:
        seen: dict[Any, Row] = {}
        for row in rows:
            for place in row.places:
                if isinstance(place, int) and place >= cells:
                    self.faults.append(f"record {name}, row {row.number}（{row.title}）: cell {place} of {cells}")
                first = seen.setdefault(place, row)
                if first is not row and not (first.when and row.when):
                    self.faults.append(
                        f"record {name}, row {row.number}（{row.title}）: place {place} is row {first.number}'s already"
                    )
            earlier = {place for other in rows if other.number < row.number for place in other.places}
            for place, _ in row.when:
                if place not in earlier:
                    self.faults.append(f"record {name}, row {row.number}: when needs {place}, which no row above holds")

    def _message(self, key: str, entry: Mapping[str, Any]) -> Message:
        self._unknown_keys(f"message {key}", entry, _MESSAGE)
        return Message(
            id=key,
            code=str(entry.get("code", key)),
            title=entry.get("title", ""),
            verb=entry.get("verb", ""),
            ask=self._side(key, "ask", entry.get("ask", {})),
            tell=self._side(key, "tell", entry.get("tell", {})),
            evidence=entry.get("evidence", ""),
            otherwise=entry.get("otherwise", ""),
            match={place: tuple(listed(values)) for place, values in entry.get("match", {}).items()},
            keys={
                name: tuple([value] if isinstance(value, str) else value)
                for name, value in entry.get("keys", {}).items()
            },
            key_repeats=entry.get("key_repeats", False),
            fees_whole=entry.get("fees_whole", False),
            settle_with=entry.get("settle_with", ""),
        )

    def _side(self, key: str, side: Side, entry: Mapping[str, Any]) -> MessageSide:
        self._unknown_keys(f"message {key}.{side}", entry, _SIDE)
        records: dict[str, tuple[Record, ...]] = {}
        for part in ("head", "rows"):
            named = entry.get(part, [])
            names = [named] if isinstance(named, str) else named
            missing = [name for name in names if name not in self.raw.get("record", {})]
            self.faults.extend(f"message {key}.{side}: no record {name!r}" for name in missing)
            records[part] = tuple(self._record(name) for name in names if name not in missing)
        for record in records["head"] + records["rows"]:
            if bool(record.into) != (record in records["rows"]):
                self.faults.append(
                    f"message {key}.{side}: record {record.name} with into belongs in rows, others in head"
                )
            if side == "ask" and any(target.section == "asked" for row in record.rows for target in row.targets):
                self.faults.append(f"message {key}: a request repeats nothing that was asked ({record.name})")
        return MessageSide(records["head"], records["rows"], int(entry.get("rows_least", 0)), entry.get("any", False))

    def _check_messages(self, messages: Mapping[str, Message]) -> None:
        for message in messages.values():
            if message.settle_with and message.settle_with not in messages:
                self.faults.append(f"message {message.id}: settle_with {message.settle_with!r} is no message")
            twins = [
                other.id for other in messages.values() if other.code == message.code and other.match == message.match
            ]
            if twins[0] != message.id:
                self.faults.append(f"message {message.id}: nothing tells it from {twins[0]}")
            for name in message.keys:
                if name not in ("encounter", "visit", "settle", "void"):
                    self.faults.append(f"message {message.id}: no key {name!r}")

    def _unknown_keys(self, where: str, entry: Mapping[str, Any], known: set[str]) -> None:
        self.faults.extend(f"{where}: unknown entry {key!r}" for key in entry if key not in known)


def _copied(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    return {name: {str(key): str(value) for key, value in table.items()} for name, table in tables.items()}


def _shown(entry: Any) -> str:
    return f"（{entry[1]}）" if isinstance(entry, list) and len(entry) > 1 else f"{entry!r}"[:40]
