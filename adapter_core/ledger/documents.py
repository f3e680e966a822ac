"""Documents: what a sealed field says, as JSON whose numbers keep their exact digits and scale."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)


def encode(document: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON in the document's own key order; ``Decimal("1.00")`` becomes ``1.00``, bytes become base64
    text.

    Raises: TypeError for a float or a value JSON has no form for, ValueError for NaN or infinity.
    """
    plain = dict(document)
    _refuse_inexact(plain.values())
    return _ENCODER.encode(plain)


def decode(text: bytes) -> dict[str, Any]:
    """The document again; every number is a Decimal with the scale it was written with.  Raises: ValueError."""
    document = _DECODER.decode(text.decode())
    if not isinstance(document, dict):
        raise ValueError("a document is a JSON object")
    return document


def _refuse_inexact(values: Iterable[Any]) -> None:
    """msgspec would write floats and NaN without a word, so they are looked for first."""
    for value in values:
        kind = type(value)
        if kind is str:
            continue
        if kind is dict:
            _refuse_inexact(value.values())
        elif kind is list or kind is tuple:
            _refuse_inexact(value)
        elif isinstance(value, Decimal):
            if not value.is_finite():
                raise ValueError("a ledger document holds a number that is not finite")
        elif isinstance(value, Mapping):
            _refuse_inexact(value.values())
        elif isinstance(value, float):
            raise TypeError("a ledger document holds a float: amounts are Decimal")
