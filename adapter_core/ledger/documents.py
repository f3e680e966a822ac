"""Documents: what a sealed field says, as JSON whose numbers keep their exact digits and scale."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_LEAVES = frozenset({str, Decimal, int, bool, type(None)})
_STRICT = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)
_QUICK = msgspec.json.Decoder(float_hook=Decimal)
_MINUS_ZERO = re.compile(rb"-0(?<=[:,\[\s]-0)")
"""Where a number that begins so may stand: an integer would lose its sign.  Dates hold ``-0``, too, behind a digit."""


def encode(document: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON in the document's own key order; ``Decimal("1.00")`` becomes ``1.00``, bytes become base64
    text.

    Raises: TypeError for a float or a value JSON has no form for, ValueError for NaN or infinity.
    """
    plain = document if type(document) is dict else dict(document)
    _refuse_floats(plain.values())
    text = _ENCODER.encode(plain)
    # One letter is looked for ten times faster than a word, and most documents lack it; a name may well hold the words.
    if (b"N" in text and b"NaN" in text) or (b"I" in text and b"Infinity" in text):
        _refuse_endless(plain.values())
    return text


def decode(text: bytes) -> dict[str, Any]:
    """The document again; every number is a Decimal with the scale it was written with.  Raises: ValueError."""
    document = _decoded(text)
    if not isinstance(document, dict):
        raise ValueError("a document is a JSON object")
    return document


def _decoded(text: bytes) -> Any:
    try:
        document = _QUICK.decode(text)
    except ValueError:  # what it doesn't read, the strict reader may
        pass
    else:
        if not (type(document) is dict and _make_decimal(document) and _MINUS_ZERO.search(text)):
            return document
    return _STRICT.decode(text.decode())


def _make_decimal(place: Any) -> bool:
    """Integers, in place; everything else is as the strict reader has it.  Returns whether there was a zero among them."""
    zero = False
    for key, value in place.items() if type(place) is dict else enumerate(place):
        kind = type(value)
        if kind is str or kind is Decimal:
            continue
        if kind is dict or kind is list:
            if _make_decimal(value):
                zero = True
        elif kind is int:
            place[key] = Decimal(value)
            if not value:
                zero = True
    return zero


class _Person(msgspec.Struct):
    psn_no: str = ""


class _Content(msgspec.Struct):
    person: _Person = msgspec.field(default_factory=_Person)


class _Encounter(msgspec.Struct):
    content: _Content


_PERSON = msgspec.json.Decoder(_Encounter)


def psn_no(encounter: bytes) -> str:
    """Of an encounter's document nothing but the person's number, "" for none: a day has fifty thousand.  Raises: ValueError."""
    return _PERSON.decode(encounter).content.person.psn_no


def _refuse_floats(values: Iterable[Any]) -> None:
    """msgspec would write floats without a word, so they are looked for first."""
    for value in values:
        kind = type(value)
        if kind is str or kind is Decimal:
            continue
        if kind is dict:
            _refuse_floats(value.values())
        elif kind in _LEAVES:
            continue
        elif kind is list or kind is tuple:
            _refuse_floats(value)
        elif isinstance(value, Mapping):
            _refuse_floats(value.values())
        elif isinstance(value, float):
            raise TypeError("a ledger document holds a float: amounts are Decimal")


def _refuse_endless(values: Iterable[Any]) -> None:
    """It would write NaN and infinity, too."""
    for value in values:
        if isinstance(value, Decimal) and not value.is_finite():
            raise ValueError("a ledger document holds a number that is not finite")
        if isinstance(value, Mapping):
            _refuse_endless(value.values())
        elif isinstance(value, (list, tuple)):
            _refuse_endless(value)
