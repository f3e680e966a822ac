"""Reading and writing the records of one node, compiled once per node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from adapter_core.standard.fields import Field, Node
from adapter_core.standard.scalars import (
    Departure,
    Reader,
    Writer,
    is_blank,
    known_codes,
    plain_text_max,
    reader,
    shape,
    writer,
)
from adapter_core.standard.spellings import spellings_of
from adapter_core.values.errors import Fault

Record = dict[str, Any]
Spelling = str | Mapping[str, str]
KNOWN_MAX = 1024
"""Amounts that are remembered for one field."""


@dataclass(slots=True)
class Findings:
    """All that one message departs from its table in.  strict: an input, whose departures are faults."""

    strict: bool
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    def add(self, path: str, title: str, expected: str, got: str, *, soft: bool = False) -> None:
        target = self.faults if self.strict and not soft else self.warnings
        target.append(Fault(path, expected, got, title))

    def refuse(self, path: str, expected: str, got: str) -> None:
        """A fault on either side: the tree can't be read there."""
        self.faults.append(Fault(path, expected, got))


@dataclass(frozen=True, slots=True)
class _Rule:
    """A field as this node knows it."""

    code: str
    field: Field
    read: Reader
    write: Writer
    limit: int
    """A text of no more characters is right as it is; 0 where its reader must look."""
    known: dict[object, object]
    """What is read of a dictionary's codes, and of amounts met before."""


class RecordCodec:
    """Records of one node: canonical spellings inside, every departure told with its path."""

    def __init__(self, node: Node, children: Mapping[str, RecordCodec], *, rows_may_come: bool = False) -> None:
        """rows_may_come: a list is read where the table prints one object, and the other way round."""
        self.node = node
        self.children = dict(children)
        self.rows_may_come = rows_may_come
        self._rules: dict[str, _Rule] = {}
        self._printed: dict[str, tuple[str, ...]] = {}
        for printed in node.fields:
            known: dict[object, object] = {code: code for code in known_codes(printed)}
            limit = plain_text_max(printed)
            rule = _Rule(printed.canonical, printed, reader(printed), writer(printed), limit, known)
            self._rules.update(dict.fromkeys(spellings_of(printed.code), rule))
            self._printed[rule.code] = (*self._printed.get(rule.code, ()), printed.code)
        self._groups = tuple(group for code in self._printed if len(group := spellings_of(code)) > 1)
        self._alternates = frozenset(code for group in self._groups for code in group[1:])
        self._required = frozenset(printed.canonical for printed in node.fields if printed.required)

    @property
    def demands(self) -> bool:
        """Whether a field is required beyond dispute, so that the node itself can't be left out."""
        return any(printed.required and not printed.required_disputed for printed in self.node.fields)

    def read(self, value: object, path: str, found: Findings) -> Record | list[Record] | None:
        """The node's record or rows in canonical form; None when its JSON type can't be read."""
        repeat = self.node.repeat
        if isinstance(value, dict):
            if not repeat:
                return self._read_record(value, path, found)
            if not found.strict or self.rows_may_come:
                found.add(path, "", "数组", "对象", soft=True)
                return [self._read_record(value, f"{path}[0]", found)]
        elif isinstance(value, list) and (repeat or self.rows_may_come):
            if not repeat:
                found.add(path, "", "对象", "数组", soft=True)
            return self._read_rows(value, path, found)
        found.refuse(path, "数组" if repeat else "对象", shape(value))
        return None

    def _read_rows(self, rows: list[Any], path: str, found: Findings) -> list[Record]:
        read = []
        for number, row in enumerate(rows):
            if isinstance(row, dict):
                read.append(self._read_record(row, f"{path}[{number}]", found))
            else:
                found.refuse(f"{path}[{number}]", "对象", shape(row))
        return read

    def _read_record(self, record: Record, path: str, found: Findings) -> Record:
        """One record.  Written for speed: a rightly filled field costs one look-up and one call."""
        if not self._alternates.isdisjoint(record):
            for group in self._groups:
                if sum(code in record for code in group) > 1:
                    record = self._one_spelling(record, group, path, found)
        rules = self._rules
        kept: Record = {}
        unusable: set[str] = set()
        for code, value in record.items():
            rule = rules.get(code)
            if rule is None:
                self._keep_unknown(code, value, path, kept, found)
                continue
            kind = type(value)
            if kind is str:
                if value in rule.known or (len(value) <= rule.limit and value and not value.isspace()):
                    kept[rule.code] = value
                    continue
            elif kind is Decimal and value in rule.known:
                kept[rule.code] = rule.known[value]
                continue
            read = rule.read(value)
            if type(read) is Departure:
                found.add(f"{path}.{code}", rule.field.name, read.expected, read.got, soft=read.soft)
                unusable.add(rule.code)
                read = read.kept
            elif kind is Decimal and rule.field.places is not None and len(rule.known) < KNOWN_MAX:
                rule.known[value] = read  # the same number with other zeros behind it reads as the same
            if read is not None:
                kept[rule.code] = read
        if not self._required <= kept.keys():
            self._tell_missing(kept.keys() | unusable, path, found)
        return kept

    def _keep_unknown(self, code: str, value: object, path: str, kept: Record, found: Findings) -> None:
        """A node inside this one, or a field no table knows: provinces add their own, so it survives as it came."""
        child = self.children.get(code)
        if child is None:
            kept[code] = value
        elif not is_blank(value):
            read = child.read(value, f"{path}.{code}", found)
            if read is not None:
                kept[code] = read

    def _one_spelling(self, record: Record, group: tuple[str, ...], path: str, found: Findings) -> Record:
        """The record with one spelling of a field left: the first that is filled, the canonical one before others."""
        filled = [code for code in group if not is_blank(record.get(code))]
        dropped = set(group) - set(filled[:1])
        for code in filled[1:]:
            rule = self._rules[code]
            if _value_of(rule.read(record[code])) != _value_of(rule.read(record[filled[0]])):
                found.add(f"{path}.{code}", rule.field.name, f"与 {filled[0]} 相同", "不同的值")
        return {code: value for code, value in record.items() if code not in dropped}

    def _tell_missing(self, present: set[str], path: str, found: Findings) -> None:
        for printed in self.node.fields:
            if printed.required and printed.canonical not in present:
                present.add(printed.canonical)
                found.add(f"{path}.{printed.code}", printed.name, "必填", "缺少或为空", soft=printed.required_disputed)

    def write(self, value: object, path: str, spelling: Spelling, faults: list[Fault]) -> object:
        """The node's record or rows as they go on the wire."""
        names = self._names(spelling)
        if isinstance(value, list) and (self.node.repeat or self.rows_may_come):
            return [
                self._write_record(row, f"{path}[{number}]", names, spelling, faults)
                for number, row in enumerate(value)
            ]
        if not self.node.repeat:
            return self._write_record(value, path, names, spelling, faults)
        faults.append(Fault(path, "数组", shape(value)))
        return None

    def _write_record(
        self, record: object, path: str, names: Mapping[str, tuple[str, ...]], spelling: Spelling, faults: list[Fault]
    ) -> Record:
        written: Record = {}
        if not isinstance(record, dict):
            faults.append(Fault(path, "对象", shape(record)))
            return written
        for code, value in record.items():
            rule = self._rules.get(code)
            if rule is None:
                child = self.children.get(code)
                if child is None:
                    written[code] = exact(value, f"{path}.{code}", faults)
                elif value is not None:
                    written[code] = child.write(value, f"{path}.{code}", spelling, faults)
                continue
            ready = rule.write(value)
            if type(ready) is Departure:
                faults.append(Fault(f"{path}.{code}", ready.expected, ready.got, rule.field.name))
            elif ready is not None:
                for name in names[rule.code]:
                    written[name] = ready
        return written

    def _names(self, spelling: Spelling) -> Mapping[str, tuple[str, ...]]:
        """Canonical code → what is written for it."""
        if spelling == "table":
            return self._printed
        if isinstance(spelling, str):
            return {code: (code,) for code in self._printed}
        return {code: (spelling[code],) if code in spelling else printed for code, printed in self._printed.items()}


def exact(value: object, path: str, faults: list[Fault]) -> object:
    """The same value of a field no table knows; a float anywhere in it is a fault, since it is no exact number."""
    if isinstance(value, float) or (isinstance(value, Decimal) and not value.is_finite()):
        faults.append(Fault(path, "精确的数字", shape(value)))
    elif isinstance(value, dict):
        for key, inner in value.items():
            exact(inner, f"{path}.{key}", faults)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            exact(inner, f"{path}[{number}]", faults)
    return value


def _value_of(read: object) -> object:
    return read.kept if isinstance(read, Departure) else read
