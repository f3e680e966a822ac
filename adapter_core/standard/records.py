"""Reading and writing the records of one node, compiled once per node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from adapter_core.standard.columns import Column, columns_of, rows_of
from adapter_core.standard.fields import Node
from adapter_core.standard.rules import Rule
from adapter_core.standard.scalars import Departure, is_blank, shape
from adapter_core.standard.spellings import spellings_of
from adapter_core.values.errors import Fault

Record = dict[str, Any]
Spelling = str | Mapping[str, str]
Names = Mapping[str, tuple[str, ...]]
"""Canonical code → what is written for it."""
ROWS_MIN = 10
"""Fewer rows are read as quickly one by one."""


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


class RecordCodec:
    """Records of one node: canonical spellings inside, every departure told with its path."""

    def __init__(self, node: Node, children: Mapping[str, RecordCodec], *, rows_may_come: bool = False) -> None:
        """rows_may_come: a list is read where the table prints one object, and the other way round.

        ``demands``: a field is required beyond dispute, so that the node itself can't be left out.
        """
        self.node = node
        self.children = dict(children)
        self.rows_may_come = rows_may_come
        self._rules: dict[str, Rule] = {}
        self._printed: dict[str, tuple[str, ...]] = {}
        for printed in node.fields:
            rule = Rule(printed)
            self._rules.update(dict.fromkeys(spellings_of(printed.code), rule))
            self._printed[rule.code] = (*self._printed.get(rule.code, ()), printed.code)
        self._groups = tuple(group for code in self._printed if len(group := spellings_of(code)) > 1)
        self._alternates = frozenset(code for group in self._groups for code in group[1:])
        self.demands = any(printed.required and not printed.required_disputed for printed in node.fields)
        self._required = frozenset(printed.canonical for printed in node.fields if printed.required)

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
        read = self._read_columns(rows)
        if read is not None:
            return read
        read = []
        for number, row in enumerate(rows):
            if isinstance(row, dict):
                read.append(self._read_record(row, f"{path}[{number}]", found))
            else:
                found.refuse(f"{path}[{number}]", "对象", shape(row))
        return read

    def _read_columns(self, rows: list[Any]) -> list[Record] | None:
        """The same for rows of one shape that depart in nothing: field by field.  None for others, which are read one by one."""
        columns = columns_of(rows) if len(rows) >= ROWS_MIN else None
        if columns is None or not self.children.keys().isdisjoint(columns):
            return None
        read: dict[str, Column] = {}
        for code, column in columns.items():
            rule = self._rules.get(code)
            taken = Column(column, as_it_came=True) if rule is None else rule.read_column(column)
            if taken is None:
                return None
            read[rule.code if rule else code] = taken
        if len(read) < len(columns) or not all(code in read and read[code].full for code in self._required):
            return None
        return rows_of(rows, read)

    def _read_record(self, record: Record, path: str, found: Findings) -> Record:
        """One record.  Written for speed: a rightly filled field costs one look-up."""
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
            if kind is str and len(value) <= rule.limit and value and not value.isspace():
                kept[rule.code] = value
                continue
            if kind is Decimal and rule.has_places(value) and value.adjusted() < rule.whole:
                kept[rule.code] = value or rule.zero
                continue
            if kind is str or kind is int:
                read = rule.known.get(value)
                if read is None:
                    read = rule.learn(value)
            else:
                read = rule.read(value)
            if type(read) is Departure:
                found.add(f"{path}.{code}", rule.field.name, read.expected, read.got, soft=read.soft)
                unusable.add(rule.code)
                read = read.kept
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

    def _write_record(self, record: object, path: str, names: Names, spelling: Spelling, faults: list[Fault]) -> Record:
        written: Record = {}
        if not isinstance(record, dict):
            faults.append(Fault(path, "对象", shape(record)))
            return written
        rules = self._rules
        for code, value in record.items():
            rule = rules.get(code)
            if rule is None:
                child = self.children.get(code)
                if child is None:
                    written[code] = exact(value, f"{path}.{code}", faults)
                elif value is not None:
                    written[code] = child.write(value, f"{path}.{code}", spelling, faults)
                continue
            kind = type(value)
            if kind is str and rule.is_text:
                ready = None if not value or value.isspace() else value
            elif kind is Decimal and rule.has_places(value) and value.adjusted() < rule.whole:
                ready = value or rule.zero
            else:
                ready = rule.write(value)
                if type(ready) is Departure:
                    faults.append(Fault(f"{path}.{code}", ready.expected, ready.got, rule.field.name))
                    continue
            if ready is not None:
                for name in names[rule.code]:
                    written[name] = ready
        return written

    def _names(self, spelling: Spelling) -> Names:
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
