"""Content: what a message says, under the national field codes, whatever bytes it came in.

A plain dict of sections.  Record sections (``person``, ``visit``, ``settle``, ``result``, ``env``) map a field code to its
value; list sections (``diagnoses``, ``fees``, ``lines``, ``people``) hold such records; ``x`` keeps local values that have no
national home, and ``ref`` and ``echo`` exist only between a field table and its dialect.

Values: ``str`` for text, codes, dates (``yyyy-MM-dd``) and times (``yyyy-MM-dd HH:mm:ss``, China time: the standard's
own forms), ``Decimal`` for every number.  An absent field is an absent key, never None or "".

What the HIS claims (``settle``) and what a centre tells (``result``, ``lines``) never share a section.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

RECORD_SECTIONS = ("person", "visit", "settle", "result", "env", "x")
LIST_SECTIONS = ("diagnoses", "fees", "lines", "people")
SECTIONS = RECORD_SECTIONS + LIST_SECTIONS

Value = str | Decimal
Record = dict[str, Any]
Content = dict[str, Any]


def canonical(value: object) -> object:
    """The same content with sorted keys and decimals as plain text: equal content gives equal bytes."""
    if type(value) is str:
        return value
    if isinstance(value, dict):
        return {key: item if type(item := value[key]) is str else canonical(item) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    return plain_number(value) if isinstance(value, Decimal) else value


def with_plain_numbers(value: object) -> object:
    """As `canonical`, for an encoder that sorts the keys itself: what has no decimal in it is passed on as it is."""
    kind = type(value)
    if kind is dict:
        record: dict[str, object] = value  # type: ignore[assignment]
        if _WITHOUT_NUMBERS.issuperset(map(type, record.values())):
            return record
        return {key: item if type(item) is str else with_plain_numbers(item) for key, item in record.items()}
    if kind is list or kind is tuple:
        return [with_plain_numbers(item) for item in value]  # type: ignore[attr-defined]
    return plain_number(value) if isinstance(value, Decimal) else value


_WITHOUT_NUMBERS = frozenset({str, int, bool, type(None)})


@lru_cache(maxsize=4096)
def plain_number(number: Decimal) -> str:
    """Its digits, without an exponent and without zeros at the end: the same for equal numbers."""
    text = format(number.normalize(), "f")
    return "0" if text == "-0" else text
