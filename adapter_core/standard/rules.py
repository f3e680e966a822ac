"""A field as its node knows it, ready to read and write single values and whole columns of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, Inexact, InvalidOperation
from operator import is_
from typing import Any

from adapter_core.standard.columns import Column
from adapter_core.standard.fields import Field
from adapter_core.standard.scalars import (
    EXACT,
    Departure,
    Reader,
    known_codes,
    number_size,
    plain_text_max,
    reader,
    writer,
)

KNOWN_MAX = 1024
"""Values met before that are remembered for one field."""
_TEXT = frozenset({str})
_NUMBERS = frozenset({Decimal})
_ALIKE = frozenset({str, int, type(None)})
"""Types whose equal values are the same value; a Decimal has its places as well, and is slow to hash."""


class Rule:
    """One field of a node.

    limit: a text of no more characters is right as it is; 0 where its reader must look.  known: what is read of a dictionary's
    codes, and of number texts, integers and days met before; learn: the reader that adds to it.  A number that has_places, and
    less than ``whole`` digits before the point, is right as it is, but for a zero's sign.
    """

    __slots__ = (
        "code", "field", "has_places", "is_text", "known", "learn", "limit", "quantum", "read", "whole", "write", "zero",
    )  # fmt: skip

    def __init__(self, printed: Field) -> None:
        self.field = printed
        self.code = printed.canonical
        self.is_text = printed.type != "number"
        self.limit = plain_text_max(printed)
        self.known: dict[object, object] = {code: code for code in known_codes(printed)}
        self.quantum, self.whole = (None, 0) if self.is_text else number_size(printed)
        self.has_places = _has_not if self.quantum is None else self.quantum.same_quantum
        self.zero = Decimal(0) if self.quantum is None else Decimal(0).quantize(self.quantum)
        self.read = reader(printed)
        self.learn = self.read if printed.type in ("string", "datetime") else _learner(self.read, self.known)
        self.write = writer(printed)

    def read_column(self, column: Sequence[Any]) -> Column | None:
        """The values of many rows in canonical form; none where one of them departs from the table."""
        kinds = set(map(type, column))
        if kinds == _NUMBERS and self.quantum is not None:
            return self._read_numbers(column, self.quantum)
        if not kinds <= _ALIKE:
            return _column(list(map(self.read, column)))
        values = set(column)
        if kinds == _TEXT and self.is_text:
            fresh = values.difference(self.known)
            if not fresh or (max(map(len, fresh)) <= self.limit and all(map(str.strip, fresh))):
                return Column(column, as_it_came=True)
        read = {value: self.known.get(value) or self.learn(value) for value in values}
        if None not in read and all(map(is_, read, read.values())):
            return Column(column, as_it_came=True)
        return _column([read[value] for value in column])

    def _read_numbers(self, numbers: Sequence[Decimal], quantum: Decimal) -> Column | None:
        """Numbers of known places: those that have them already are looked at, not computed."""
        as_it_came = all(map(self.has_places, numbers))
        if not as_it_came:
            try:
                numbers = [EXACT.quantize(number, quantum) for number in numbers]
            except (InvalidOperation, Inexact):
                return None
            if not all(map(Decimal.is_finite, numbers)):
                return None
        if max(map(Decimal.adjusted, numbers)) >= self.whole:
            return None
        if any(map(Decimal.is_signed, numbers)):
            return Column([number or self.zero for number in numbers])
        return Column(numbers, as_it_came=as_it_came)


def _has_not(number: Decimal) -> bool:
    return False


def _column(values: list[object]) -> Column | None:
    kinds = set(map(type, values))
    if Departure in kinds:
        return None
    return Column(values, full=type(None) not in kinds)


def _learner(read: Reader, known: dict[object, object]) -> Reader:
    """A reader of texts and integers that remembers what it read of those that depart in nothing."""

    def learn(value: object) -> object:
        canonical = read(value)
        if canonical is not None and type(canonical) is not Departure and len(known) < KNOWN_MAX:
            known[value] = canonical
        return canonical

    return learn
