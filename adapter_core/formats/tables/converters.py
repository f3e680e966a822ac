"""Converters: the ``how`` of a field table's row, one local text into one national value and back.

| how | local | national |
|---|---|---|
| ``text`` | as it stands | the same text |
| ``yuan``, ``yuan:4`` | an exact amount; written with 2 (4) places | Decimal, two places |
| ``decimal:n`` | at most n places, written with n | Decimal |
| ``plain`` | any decimal, written without trailing zeros | Decimal |
| ``number`` | a whole number | Decimal |
| ``date:yyyyMMdd`` | that pattern | ``yyyy-MM-dd`` |
| ``time:yyyyMMddHHmmss`` | that pattern; what it lacks is 00 | ``yyyy-MM-dd HH:mm:ss`` |
| ``code:name`` | a key of ``codes.name`` | its value; written back with the first key of that value |
| ``pair:name`` | ``code-printed name`` | the code, through ``codes.name`` where there is one |

Numbers are exact: nothing is rounded, digits are ASCII, no exponent, no thousands mark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from adapter_core.values.money import CENT, MoneyError, number, yuan

DIGITS_MAX = 20
_DECIMAL = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TOKENS = {
    "yyyy": (0, 4),
    "MM": (5, 7),
    "dd": (8, 10),
    "HH": (11, 13),
    "mm": (14, 16),
    "ss": (17, 19),
}
_TOKEN = re.compile("yyyy|MM|dd|HH|mm|ss")


class Unfit(Exception):
    """A value that a converter can't take; ``expected`` says what it takes, in words."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Converter:
    """Both directions of one ``how``.

    kind: its first word; fits: types of national fields it serves.  read and write raise Unfit.  grain: a value as it
    comes back after writing and reading (a time without its seconds).  codes: local → national of code and pair;
    names: national code → printed name of pair.
    """

    how: str
    kind: str
    fits: frozenset[str]
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    grain: Callable[[Any], Any]
    codes: Mapping[str, str] | None = None
    names: Mapping[str, str] | None = None
    places: int = 0
    pattern: str = ""


_STRING = frozenset({"string"})
_NUMBER = frozenset({"number"})


def converter(how: str, codes: Mapping[str, Mapping[str, str]], names: Mapping[str, Mapping[str, str]]) -> Converter:
    """The converter a row names.  Raises: ValueError saying what is wrong with ``how``."""
    kind, _, argument = how.partition(":")
    if kind in ("code", "pair"):
        if kind == "code" and argument not in codes:
            raise ValueError(f"no [codes.{argument}]")
        table = codes.get(argument)
        return _code(how, table or {}) if kind == "code" else _pair(how, table, names.get(argument, {}))
    if kind in ("date", "time"):
        return _moment(how, kind, argument)
    if kind == "decimal" and argument.isdigit():
        return _decimal(how, int(argument))
    if kind == "yuan" and (not argument or argument.isdigit()):
        return _yuan(how, int(argument or 2))
    simple = {"text": _text, "plain": _plain, "number": _whole}.get(how)
    if simple is None:
        raise ValueError(f"no converter {how!r}")
    return simple(how)


def _same(value: Any) -> Any:
    return value


def _text(how: str) -> Converter:
    def write(value: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            return str(value)
        raise Unfit("文字")

    return Converter(how, "text", _STRING, _same, write, _same)


def _exact(text: str) -> str:
    if not _DECIMAL.fullmatch(text):
        raise Unfit("数字")
    return text


def _usual(places: int) -> re.Pattern[str]:
    """What nearly every number looks like: it needs none of the checks of `number`."""
    return re.compile(rf"-?[0-9]{{1,12}}(?:\.[0-9]{{0,{places}}})?", re.ASCII)


_SMALLEST = Decimal("1E-8")
USUAL_DIGITS = 12
"""Up to so many digits before the point a number needs none of the checks of `number`, and real messages have no more."""


def _scaled(value: Any, step: Decimal) -> Decimal | None:
    """A usual Decimal with exactly the step's places; None for whatever needs a closer look."""
    if type(value) is not Decimal or not value.is_finite() or value.adjusted() >= USUAL_DIGITS:
        return None
    scaled = value.quantize(step)
    return scaled if scaled == value else None


def _yuan(how: str, places: int) -> Converter:
    expected = "金额，至多两位小数"
    form = f"%.{places}f"
    usual, exactly = _usual(2).fullmatch, re.compile(r"-?[0-9]{1,12}\.[0-9]{2}", re.ASCII).fullmatch

    def read(text: str) -> Decimal:
        if exactly(text):
            return Decimal(text)
        if usual(text):
            return Decimal(text).quantize(CENT)
        try:
            return yuan(_exact(text))
        except MoneyError:
            raise Unfit(expected) from None

    def write(value: Any) -> str:
        if places == 2 and type(value) is Decimal and exactly(text := str(value)):
            return text
        exact = _scaled(value, CENT)
        if exact is None:
            try:
                exact = yuan(value)
            except MoneyError:
                raise Unfit(expected) from None
        return str(exact) if places == 2 else format(exact, form[1:])

    if places < 2:
        raise ValueError("an amount has at least two places")
    return Converter(how, "yuan", _NUMBER, read, write, _same, places=2)


def _decimal(how: str, places: int) -> Converter:
    expected = f"数字，至多 {places} 位小数"

    def exact(value: Any) -> Decimal:
        try:
            return number(value, DIGITS_MAX, places)
        except MoneyError:
            raise Unfit(expected) from None

    usual, step = _usual(places).fullmatch, Decimal(1).scaleb(-places)

    def read(text: str) -> Decimal:
        return Decimal(text).quantize(step) if usual(text) and places <= 8 else exact(_exact(text))

    def write(value: Any) -> str:
        scaled = _scaled(value, step) if places <= 6 else None
        return format(exact(value), "f") if scaled is None else str(scaled)

    return Converter(how, "decimal", _NUMBER, read, write, _same, places=places)


def _plain(how: str) -> Converter:
    def exact(value: Any) -> Decimal:
        try:
            return number(value, DIGITS_MAX, 8)
        except MoneyError:
            raise Unfit("数字，至多 8 位小数") from None

    usual = _usual(8).fullmatch

    def read(text: str) -> Decimal:
        return (Decimal(text) if usual(text) else exact(_exact(text))).normalize() + 0

    def write(value: Any) -> str:
        scaled = _scaled(value, _SMALLEST)
        return format((exact(value) if scaled is None else value).normalize() + 0, "f")

    return Converter(how, "plain", _NUMBER, read, write, _same, places=8)


def _whole(how: str) -> Converter:
    def read(text: str) -> Decimal:
        if not _WHOLE.fullmatch(text):
            raise Unfit("整数")
        return Decimal(text)

    def write(value: Any) -> str:
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool) and value == int(value):
            return str(int(value))
        raise Unfit("整数")

    return Converter(how, "number", _NUMBER, read, write, _same)


def _code(how: str, codes: Mapping[str, str]) -> Converter:
    back: dict[str, str] = {}
    for local, national in codes.items():
        back.setdefault(national, local)
    if not codes:
        raise ValueError("an empty code table")
    listed = "代码 " + "、".join(list(codes)[:12]) + ("…" if len(codes) > 12 else "")
    listed_back = "国家代码 " + "、".join(list(back)[:12]) + ("…" if len(back) > 12 else "")

    def read(text: str) -> str:
        try:
            return codes[text]
        except KeyError:
            raise Unfit(listed) from None

    def write(value: Any) -> str:
        try:
            return back[value]
        except (KeyError, TypeError):
            raise Unfit(listed_back) from None

    return Converter(how, "code", _STRING, read, write, _same, codes=codes)


def _pair(how: str, codes: Mapping[str, str] | None, names: Mapping[str, str]) -> Converter:
    through = _code(how, codes) if codes else _text(how)

    def read(text: str) -> Any:
        return through.read(text.partition("-")[0].strip())

    def write(value: Any) -> str:
        code = through.write(value)
        if "-" in code:
            raise Unfit("不含“-”的代码")
        name = names.get(code, "")
        return f"{code}-{name}" if name else code

    return Converter(how, "pair", _STRING, read, write, _same, codes=codes, names=names)


def _moment(how: str, kind: str, pattern: str) -> Converter:
    """Fixed-width patterns only: every legacy family has them, and a place can be cut by length."""
    bare = pattern.replace("&", "")
    tokens = _TOKEN.findall(bare)
    needed = {"yyyy", "MM", "dd"}
    if len(set(tokens)) != len(tokens) or not needed <= set(tokens) or (kind == "date" and set(tokens) != needed):
        raise ValueError(f"pattern {pattern!r} doesn't make a {kind}")
    names = {token: f"t{token}" for token in tokens}
    regex = re.compile(
        "".join(
            f"(?P<{names[piece]}>[0-9]{{{len(piece)}}})" if piece in names else re.escape(piece)
            for piece in re.split(f"({_TOKEN.pattern})", bare)
        ),
        re.ASCII,
    )
    plain = bare == "".join(tokens)
    same = bare == ("yyyy-MM-dd" if kind == "date" else "yyyy-MM-dd HH:mm:ss")
    cut = [_TOKENS[token] for token in tokens]
    length = 10 if kind == "date" else 19
    expected = f"{'日期' if kind == 'date' else '时间'} {pattern.replace('&', ' ')}"

    def national(values: Mapping[str, str]) -> str:
        whole = f"{values.get('yyyy')}-{values.get('MM')}-{values.get('dd')}"
        if kind == "time":
            whole += f" {values.get('HH', '00')}:{values.get('mm', '00')}:{values.get('ss', '00')}"
        return whole

    @lru_cache(4096)
    def read_any(text: str) -> str:
        """The national form, "" for a text of another pattern or no moment of the calendar."""
        found = regex.fullmatch(text)
        if found is None:
            return ""
        whole = national({token: found.group(names[token]) for token in tokens})
        return whole if _is_moment(whole) else ""

    def read(text: str) -> str:
        whole = read_any(text)
        if not whole:
            raise Unfit(expected)
        return whole

    def write(value: Any) -> str:
        if not isinstance(value, str) or len(value) != length:
            raise Unfit("yyyy-MM-dd" if kind == "date" else "yyyy-MM-dd HH:mm:ss")
        _check(value, "yyyy-MM-dd" if kind == "date" else "yyyy-MM-dd HH:mm:ss")
        if plain:
            return "".join([value[start:end] for start, end in cut])
        return value if same else _TOKEN.sub(lambda token: value[slice(*_TOKENS[token.group()])], bare)

    def grain(value: Any) -> Any:
        return national({token: value[slice(*_TOKENS[token])] for token in tokens})

    fits = frozenset({"date"} if kind == "date" else {"datetime"})
    return Converter(how, kind, fits, read, write, grain, pattern=pattern)


def _check(whole: str, expected: str) -> None:
    if not _is_moment(whole):
        raise Unfit(expected)


@lru_cache(4096)
def _is_moment(whole: str) -> bool:
    """Whether a national date or time is one of the calendar; a bill's lines share few of them."""
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError:
        return False
    return moment.isoformat(sep=" ")[: len(whole)] == whole
