"""JSON, read strictly and written plainly: no duplicate key, no NaN, no float, no surprise in size or depth.

msgspec reads and writes whatever is plain, some ten times faster than the standard library.  What it would let pass is looked for
beside it: a duplicate key shows as more strings in the text than in the tree, a number too long by a run of digits.  Whatever is
not plain goes to the standard library's parser, or to our own writer, which know it exactly and say what is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from decimal import Clamped, Context, Decimal, DecimalException, InvalidOperation, Rounded
from typing import Any, NoReturn

import msgspec

from adapter_core.formats.text import UTF_8_MARK
from adapter_core.values.errors import ContractError, Fault, TranslationError

BYTES_MAX = 8 * 1024 * 1024
DEPTH_MAX = 64
DIGITS_MAX = 40
"""Digits of a number written out without an exponent; the standard's longest field has 20."""

_ESCAPE_PAIR = re.compile(rb"\\.", re.DOTALL)
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b"[]{}"))
_Path = tuple[Any, ...]
"""``(path of the parent, key)``, or empty at the root: spelt out only when a fault needs it."""
_quote = json.encoder.encode_basestring
_PLAIN_NUMBER = re.compile(r"-?[0-9.]+")
_DIGITS_AS_0 = bytes.maketrans(b"123456789.", b"0000000000")
_MANY_DIGITS = b"0" * (DIGITS_MAX - 1)
"""Such a run has every integer of more than 40 digits, and every other number of more than 80 characters, before its E or behind."""
_NUMBERS = Context(prec=DIGITS_MAX, Emin=0, Emax=DIGITS_MAX - 1, clamp=0, traps=[Clamped, InvalidOperation, Rounded])
"""Makes a Decimal as it is written, and refuses what has more than 40 digits written out."""
_READER = msgspec.json.Decoder(float_hook=_NUMBERS.create_decimal)
_WRITER = msgspec.json.Encoder(decimal_format="number")
_LEAVES = frozenset({str, Decimal, int, bool, type(None)})
_SHOWABLE_KEY = re.compile(r"[A-Za-z0-9_.\-]{1,40}")


class _DuplicateKey(Exception):
    """Somewhere an object has one key twice."""


def read_json(raw: bytes | str, max_bytes: int = BYTES_MAX, max_depth: int = DEPTH_MAX) -> Any:
    """The tree of one JSON text in UTF-8: dict, list, str, bool, None, int for integers, Decimal for other numbers.

    A byte-order mark is accepted.  Raises: TranslationError for anything else that RFC 8259 or this project doesn't
    allow: duplicate keys, NaN and infinities, numbers of more than 40 digits written out, lone surrogates, text after
    the value, more than ``max_bytes`` bytes or ``max_depth`` levels.
    """
    body = _utf_8(raw)
    if len(body) > max_bytes:
        raise _bad("JSON", f"at most {max_bytes} bytes", f"{len(body)} bytes")
    tree = _read_plain(body, max_depth)
    return _read_exactly(body, max_depth) if tree is _NOT_PLAIN else tree


_NOT_PLAIN = object()


def _read_plain(body: bytes, max_depth: int) -> Any:
    """The tree of a text without any oddity; ``_NOT_PLAIN`` for every other one, and for no JSON at all."""
    try:
        tree = _READER.decode(body)
        strings = _strings(tree, max_depth)
    except (ValueError, DecimalException, RecursionError):  # msgspec's own among them, for a lone surrogate, too
        return _NOT_PLAIN
    # Two quotes enclose a string; of a key that comes twice the tree has lost one string at least, the key.
    return _NOT_PLAIN if 2 * strings != _quotes(body) or _has_many_digits(body) else tree


def _strings(value: Any, max_depth: int) -> int:
    """How many strings a tree holds, its keys among them.  Raises: RecursionError for more than ``max_depth`` levels."""
    # Most values are strings: all are counted as such, and the others taken off again.
    if type(value) is dict:
        values: Collection[Any] = value.values()
        count = 2 * len(value)
    elif type(value) is list:
        values, count = value, len(value)
    else:
        return int(type(value) is str)
    if not max_depth:
        raise RecursionError
    for inner in values:
        if type(inner) is str:
            continue
        count -= 1
        if type(inner) is dict or type(inner) is list:
            count += _strings(inner, max_depth - 1)
    return count


def _quotes(body: bytes) -> int:
    """How many quotes begin or end a string of a JSON text."""
    if b"\\" in body and b'\\"' in body:
        body = _ESCAPE_PAIR.sub(b"", body)
    return body.count(b'"')


def _has_many_digits(body: bytes) -> bool:
    """Whether some number may be too long."""
    if _MANY_DIGITS not in body.translate(_DIGITS_AS_0):
        return False
    return _MANY_DIGITS in _outside_strings(body).translate(_DIGITS_AS_0)


def _read_exactly(body: bytes, max_depth: int) -> Any:
    _refuse_depth(_outside_strings(body), max_depth)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(f"JSON, byte {error.start}", "UTF-8", f"bytes that are no UTF-8 ({error.reason})") from None
    try:
        tree = json.loads(
            text, object_pairs_hook=_unique, parse_float=_decimal, parse_int=_integer, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise _bad(f"JSON, line {error.lineno}, column {error.colno}", "valid JSON", error.msg) from None
    except RecursionError:
        raise _bad("JSON", f"at most {max_depth} levels", "more than the parser can hold") from None
    except _DuplicateKey:
        raise _twice(text) from None
    if _SURROGATE_ESCAPE.search(body):
        _refuse_lone_surrogates(tree)
    return tree


def write_json(tree: Any) -> bytes:
    """Compact UTF-8 JSON in the tree's own key order; a Decimal is written as a plain number with all its places.

    Raises: ContractError for a float, a non-finite Decimal, a key that is no text or any other type: those are our own
    mistakes.  TranslationError for a lone surrogate or a number of more than 40 digits: those come from the data.
    """
    if _is_plain(tree):
        try:
            written = _WRITER.encode(tree)
        except (ValueError, RecursionError):
            written = b"NaN"
        if not _looks_odd(written):
            return written
    try:
        return _text(tree, ()).encode("utf-8")
    except UnicodeEncodeError:
        raise _bad("JSON", "text that UTF-8 can say", "a lone surrogate") from None


def _looks_odd(written: bytes) -> bool:
    """Whether some number may be none, too long or written with an exponent; a text that looks like one counts, too."""
    # most messages lack the letters themselves, and one letter is looked for ten times faster than a word
    odd = (b"N" in written and b"NaN" in written) or (b"I" in written and b"Infinity" in written)
    odd = odd or (b"E" in written and (b"E+" in written or b"E-" in written))
    return odd or _MANY_DIGITS in written.translate(_DIGITS_AS_0)


def _is_plain(value: Any) -> bool:
    """Whether there is nothing but text keys and the types JSON has, floats aside."""
    if type(value) is dict:
        for key, inner in value.items():
            if type(key) is not str:
                return False
            if type(inner) is not str and type(inner) not in _LEAVES and not _is_plain(inner):
                return False
        return True
    if type(value) is list or type(value) is tuple:
        return all(map(_is_plain, value))
    return type(value) in _LEAVES


def _utf_8(raw: bytes | str) -> bytes:
    if isinstance(raw, bytes):
        return raw.removeprefix(UTF_8_MARK)
    try:
        return raw.encode("utf-8")
    except UnicodeEncodeError:
        raise _bad("JSON", "text that UTF-8 can say", "a lone surrogate") from None


def _bad(path: str, expected: str, got: str) -> TranslationError:
    return TranslationError([Fault(path, expected, got)])


def _outside_strings(body: bytes) -> bytes:
    """What stands outside of the text's strings.  Where the text is no JSON our view of strings may differ from the parser's, but
    only after the point where it stops."""
    if b"\\" in body:
        body = _ESCAPE_PAIR.sub(b"", body)
    return b"".join(body.split(b'"')[::2])


def _refuse_depth(outside: bytes, max_depth: int) -> None:
    """Refuse deep nesting before the parser recurses into it, at the speed of bytes methods: one level of innermost pairs is
    removed per round."""
    left = outside.translate(None, _NOT_STRUCTURE)
    for _ in range(max_depth):
        fewer = left.replace(b"{}", b"").replace(b"[]", b"")
        if len(fewer) == len(left):
            break
        left = fewer
    if left:
        raise _bad("JSON", f"closed brackets, at most {max_depth} levels", "deeper nesting, or an open end")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise _DuplicateKey
    return unique


def _decimal(text: str) -> Decimal:
    if len(text) <= 2 * DIGITS_MAX:
        try:
            return _NUMBERS.create_decimal(text)
        except DecimalException:
            pass
    raise _bad("JSON, a number", f"at most {DIGITS_MAX} digits written out", "more")


def _integer(text: str) -> int:
    # Checked on the text: int() of a long one takes quadratic time.
    if len(text.removeprefix("-")) > DIGITS_MAX:
        raise _bad("JSON, a number", f"at most {DIGITS_MAX} digits written out", "more")
    return int(text)


def _refuse_constant(name: str) -> NoReturn:
    raise _bad("JSON, a number", "a finite number", name)


def _refuse_lone_surrogates(tree: Any) -> None:
    try:
        json.dumps(tree, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:
        raise _bad("JSON, a text", "whole characters", "a lone surrogate") from None


def _twice(text: str) -> TranslationError:
    """A key came twice; what is wrong behind it may be worse."""
    try:
        return _bad(_duplicate_path(text), "each key once", "the key twice")
    except json.JSONDecodeError as error:
        return _bad(f"JSON, line {error.lineno}, column {error.colno}", "valid JSON", error.msg)


def _duplicate_path(text: str) -> str:
    """Where a duplicate key of ``text`` is.  Parses again, keeping pairs: only on the way to a refusal."""
    root = json.loads(text, object_pairs_hook=_Pairs, parse_float=str, parse_int=str, parse_constant=str)
    waiting: list[tuple[_Path, Any]] = [((), root)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _Pairs):
            keys = [key for key, _ in value]
            for index, (key, child) in enumerate(value):
                if key in keys[:index]:
                    return _shown((path, key))
                waiting.append(((path, key), child))
        elif isinstance(value, list):
            waiting.extend(((path, f"[{index}]"), child) for index, child in enumerate(value))
    raise AssertionError("the first parse met a duplicate key")


class _Pairs(list[tuple[str, Any]]):
    """An object's pairs, told apart from an array."""


def _showable(key: str) -> str:
    # A key that doesn't look like a field code may be anything, a person's name included.
    return key if _SHOWABLE_KEY.fullmatch(key) else "?"


def _text(value: Any, path: _Path) -> str:
    kind = type(value)
    if kind is dict:
        if not set(map(type, value)) <= {str}:
            raise ContractError(f"{_shown(path)}: an object's keys must be text")
        members = [
            f"{_quote(key)}:{_quote(item) if type(item) is str else _text(item, (path, key))}"
            for key, item in value.items()
        ]
        return "{" + ",".join(members) + "}"
    if kind is list or kind is tuple:
        return "[" + ",".join([_text(item, (path, f"[{index}]")) for index, item in enumerate(value)]) + "]"
    if kind is str:
        return _quote(value)
    if kind is Decimal or kind is int:
        return _plain_number(value, path)
    if value is None or kind is bool:
        return "null" if value is None else str(value).lower()
    raise ContractError(f"{_shown(path)}: {kind.__name__} can't be written; numbers are Decimal or int")


def _plain_number(value: Decimal | int, path: _Path) -> str:
    text = str(value)
    if len(text) <= DIGITS_MAX and _PLAIN_NUMBER.fullmatch(text):
        return text
    number = Decimal(value)
    if not number.is_finite():
        raise ContractError(f"{_shown(path)}: {number} can't be written")
    try:
        return format(_NUMBERS.create_decimal(number), "f")
    except DecimalException:
        raise _bad(_shown(path), f"at most {DIGITS_MAX} digits written out", "more") from None


def _shown(path: _Path) -> str:
    shown = ""
    while path:
        path, key = path
        shown = f"{key}{shown}" if key.startswith("[") else f".{_showable(key)}{shown}"
    return shown.removeprefix(".") or "JSON"
