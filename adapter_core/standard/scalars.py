"""Reading and writing one value of one field: compiled once per field into a function.

A reader takes what strict JSON gives and returns the canonical value (``str`` or ``Decimal``), None for an absent one,
or a Departure from the table.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation

from adapter_core.standard.dictionaries import Dictionary, dictionary
from adapter_core.standard.fields import Field

NUMBER_TEXT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
DIGITS_MAX = 40
"""The widest number any table prints has 30 digits; beyond this it isn't a number anybody meant."""

CODE_SHOWN_MAX = 8
NUMBER_SHOWN_MAX = 14

JSON_KINDS: dict[type, str] = {
    bool: "true/false",
    dict: "对象",
    list: "数组",
    int: "数字",
    Decimal: "数字",
    float: "浮点数",
    type(None): "空",
}

# Inexact raises, so that no digit is ever lost in silence.
EXACT = Context(prec=2 * DIGITS_MAX, traps=[InvalidOperation, Inexact])


@dataclass(frozen=True, slots=True)
class Departure:
    """How a value departs from its table.  kept: what is still usable of it, None for nothing.

    soft: a warning even in an input, because the table itself is unsure or nothing is lost.
    """

    expected: str
    got: str
    kept: object = None
    soft: bool = False


Reader = Callable[[object], object]
Writer = Callable[[object], object]


def reader(field: Field) -> Reader:
    """The reader of one field, by its type, length, places and dictionary."""
    if field.type == "number":
        return _number_reader(field)
    if field.type == "string":
        return _text_reader(field)
    return _date_reader(field)


def plain_text_max(field: Field) -> int:
    """How long a text of this field may be to be right without another look; 0 where it is no free text."""
    if field.type != "string" or known_codes(field):
        return 0
    return sys.maxsize if field.length is None else field.length


def known_codes(field: Field) -> frozenset[str]:
    """The texts of a dictionary's field that are right; none of another field, nor where the dictionary's codes aren't known."""
    known = dictionary(field.code) if field.type == "string" and field.dictionary else None
    return frozenset() if known is None else frozenset(known.values) | frozenset(known.local_values)


def number_size(field: Field) -> tuple[Decimal | None, int]:
    """The last place of a field's numbers, None where no source says, and how many digits may stand before the point."""
    quantum = None if field.places is None else Decimal(1).scaleb(-field.places)
    return quantum, DIGITS_MAX if field.length is None else field.length - (field.places or 0)


def writer(field: Field) -> Writer:
    """The writer of one field: a Decimal with the field's places or a text, None when absent, or a Departure."""
    is_text = field.type != "number"
    read = _as_text if is_text else _number_reader(field)
    free_form = field.free_form

    def write(value: object) -> object:
        if is_text and type(value) is str:
            return None if not value or value.isspace() else value
        if free_form and isinstance(value, (dict, list)):
            return value
        written = read(value)
        # Numbers in a text field are written as text without a word: the reader has told it already.
        return written.kept if isinstance(written, Departure) and written.soft else written

    return write


def is_blank(value: object) -> bool:
    """Absent in any of its forms: null, an empty text, or nothing but white space."""
    return value is None or (isinstance(value, str) and (not value or value.isspace()))


def shape(value: object) -> str:
    """What a value looks like without telling it: digits as 0, letters as x, cut short."""
    if isinstance(value, str):
        masked = re.sub(r"[^\W\d_]", "x", re.sub(r"\d", "0", value[:24]))
        return f"“{masked}{'…' if len(value) > 24 else ''}”"
    return JSON_KINDS.get(type(value), type(value).__name__)


def _text_reader(field: Field) -> Reader:
    limit = sys.maxsize if field.length is None else field.length
    slow = _slow_text(field, limit, dictionary(field.code) if field.dictionary else None)
    accepted = known_codes(field)

    def read_text(value: object) -> object:
        if type(value) is str and len(value) <= limit and value and not value.isspace():
            return value
        return slow(value)

    def read_code(value: object) -> object:
        return value if type(value) is str and value in accepted else slow(value)

    return read_code if accepted else read_text


def _slow_text(field: Field, limit: int, known: Dictionary | None) -> Reader:
    """What a text reader does with everything that isn't plainly right."""

    def read(value: object) -> object:
        if is_blank(value):
            return None
        if isinstance(value, (dict, list)) and field.free_form:
            return Departure("字符串", shape(value), kept=value, soft=True)
        text = _as_text(value)
        if isinstance(text, Departure):
            if text.kept is None:
                return text
            text, told = text.kept, text
        else:
            told = None
        assert isinstance(text, str)
        if len(text) > limit:
            return Departure(f"不超过 {limit} 个字符", f"{len(text)} 个字符", kept=text, soft=field.length_disputed)
        standing = "known" if known is None else known.standing(text)
        if known is not None and standing != "known":
            # A code is short; anything longer may be a person's number that slipped into the wrong field.
            got = text if len(text) <= CODE_SHOWN_MAX else shape(text)
            expected = f"字典 {known.code}（{known.name}）中的代码"
            return Departure(expected, got, kept=text, soft=standing == "unlisted")
        return told or text

    return read


def _as_text(value: object) -> object:
    """A text.  A JSON number is told by its digits: many a HIS sends codes that way, and nothing is lost."""
    if isinstance(value, str):
        return None if is_blank(value) else value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None if value is None else Departure("字符串", shape(value))
    if _plain(Decimal(value)) is None:
        return Departure("字符串", "数字")
    return Departure("字符串", "数字", kept=format(Decimal(value), "f"), soft=True)


def _date_reader(field: Field) -> Reader:
    expected = "日期 yyyy-MM-dd" if field.type == "date" else "日期时间 yyyy-MM-dd HH:mm:ss"
    exists = _is_date if field.type == "date" else _is_datetime

    def read(value: object) -> object:
        if type(value) is str and exists(value):
            return value
        if is_blank(value):
            return None
        text = _as_text(value)
        if isinstance(text, Departure):
            return Departure(expected, text.got, kept=text.kept)
        return Departure(expected, shape(value), kept=text)

    return read


def _is_date(text: str) -> bool:
    # Back and compared: fromisoformat also takes forms the standard doesn't print.
    try:
        return str(date.fromisoformat(text)) == text
    except ValueError:
        return False


def _is_datetime(text: str) -> bool:
    try:
        return len(text) == 19 and str(datetime.fromisoformat(text)) == text
    except ValueError:
        return False


def _number_reader(field: Field) -> Reader:
    quantum, whole = number_size(field)
    expected = _number_form(field)
    disputed = field.length_disputed

    def read(value: object) -> object:
        kind = type(value)
        if kind is Decimal:
            exact: Decimal = value  # type: ignore[assignment]
        elif kind is str:
            text = value.strip()  # type: ignore[attr-defined]
            if not text:
                return None
            if not NUMBER_TEXT.fullmatch(text):
                return Departure(expected, shape(value))
            exact = Decimal(text)
        elif kind is int:
            exact = Decimal(value)  # type: ignore[arg-type]
        else:
            return None if value is None else Departure(expected, shape(value))
        try:
            number = EXACT.quantize(exact, _step(exact) if quantum is None else quantum)
        except (InvalidOperation, Inexact):
            return Departure(expected, _told(exact), kept=_plain(exact))
        if not number.is_finite():
            return Departure(expected, _told(exact))
        if number and number.adjusted() >= whole:
            return Departure(expected, _told(exact), kept=number, soft=disputed)
        return number or number.copy_abs()

    return read


def _number_form(field: Field) -> str:
    if field.length is None:
        return "数字"
    if field.places is None:
        return f"数字，共不超过 {field.length} 位"
    return f"数字，整数不超过 {field.length - field.places} 位、小数不超过 {field.places} 位"


def _step(exact: Decimal) -> Decimal:
    """The last place of a number whose scale no table tells: its own, and never coarser than one."""
    exponent = exact.as_tuple().exponent
    return Decimal(1).scaleb(min(exponent, 0)) if isinstance(exponent, int) and exponent >= -DIGITS_MAX else Decimal(1)


def _plain(exact: Decimal) -> Decimal | None:
    """A number that departs from its table but can still be read; None for NaN, infinity and the absurdly long."""
    if not exact.is_finite() or abs(exact.adjusted()) > DIGITS_MAX:
        return None
    return exact


def _told(exact: Decimal) -> str:
    if _plain(exact) is None:
        return "无法使用的数字"
    text = format(exact, "f")
    # A long number in an amount's place may be somebody's identity number.
    return text if len(text) <= NUMBER_SHOWN_MAX else shape(text)
