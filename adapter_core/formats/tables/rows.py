"""Rows of a field table: ``[place, title, national, how, options]`` as TOML has them, into checked Row values.

Place: a cell's number, a path, ``4* + 3`` (the parts of one national amount; ``*`` takes the rest on writing) or ``10 & 11``
(texts that are one value together).  National: ``section.field``, ``a.b + c.d`` (the place holds their sum),
``["a.b", "c.d"]`` (the same value in each), ``=text`` (a constant) or ``-`` (no national home).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapter_core.formats.tables.converters import Converter, converter
from adapter_core.formats.tables.fields import FieldTypes
from adapter_core.formats.tables.spec import Derived, Implied, Key, Row, Target
from adapter_core.values.content import LIST_SECTIONS, RECORD_SECTIONS

FREE_SECTIONS = ("x", "ref", "echo", "asked")
LISTS = (*LIST_SECTIONS, "funds")
OPTIONS = {"write", "absent", "must", "when", "drop"}
_TARGET = re.compile(r"([a-z]+)(\[\*\]|\[[0-9]\])?\.([A-Za-z0-9_.]+)")
_PLACE = re.compile(r"[A-Za-z0-9_.:-]+")


class Faulty(Exception):
    """What is wrong with one row, in words for its author."""


class RowParser:
    """Parses the rows of one table.  fields: the national fields; refs: the table's kinds of references."""

    def __init__(
        self,
        fields: FieldTypes,
        refs: Mapping[str, Any],
        codes: Mapping[str, Mapping[str, str]],
        names: Mapping[str, Mapping[str, str]],
        options: Mapping[str, str],
        blank: tuple[str, ...],
    ) -> None:
        self._fields = fields
        self._refs = refs
        self._codes = codes
        self._names = names
        self._options = options
        self._blank = frozenset(blank)

    def row(self, number: int, raw: Any, into: str, positional: bool) -> Row:
        """One row.  Raises: Faulty."""
        if not isinstance(raw, list) or not 3 <= len(raw) <= 5:
            raise Faulty("a row is [place, title, national, how, options]")
        options = raw[-1] if isinstance(raw[-1], dict) else {}
        columns = raw[:-1] if isinstance(raw[-1], dict) else raw
        if len(columns) < 3 or set(options) - OPTIONS:
            raise Faulty(
                f"unknown option {', '.join(sorted(set(options) - OPTIONS))}" if len(columns) > 2 else "too short"
            )
        how = columns[3] if len(columns) > 3 else "text"
        try:
            convert = converter(how, self._codes, self._names)
        except ValueError as error:
            raise Faulty(str(error)) from None
        places, joint, rest = self._places(columns[0], positional)
        meaning, targets, constant = self._targets(columns[2], into)
        if joint != "one":
            if meaning != "one" or (joint == "joined") != ("&" in convert.pattern):
                raise Faulty("several places make one target; joined ones need a pattern with &")
            meaning = joint
        if joint == "parts" and (rest is None or "number" not in convert.fits):
            raise Faulty("a sum of places holds amounts and needs one place with *")
        if meaning == "sum" and "number" not in convert.fits:
            raise Faulty("a sum holds amounts")
        self._check_fit(targets, convert)
        return Row(
            number=number,
            places=places,
            title=str(columns[1]),
            meaning=meaning,
            targets=targets,
            how=convert,
            constant=constant,
            rest=rest,
            write=constant if meaning == "constant" else options.get("write"),
            absent=self._blank | {str(value) for value in listed(options.get("absent", []))},
            must=bool(options.get("must", False)),
            drop=options.get("drop", ""),
            when=tuple(
                (self._key(place, positional), frozenset(listed(values)))
                for place, values in options.get("when", {}).items()
            ),
        )

    def implied(self, raw: Any, into: str) -> Implied | None:
        """``[national, value, needs]``; a value ``@name`` is a site option, and without one nothing is implied."""
        if not isinstance(raw, list) or not 2 <= len(raw) <= 3:
            raise Faulty("implied is [national, value] or [national, value, only where this is said]")
        target = self.target(raw[0], into)
        value = str(raw[1])
        if value.startswith("@"):
            if value[1:] not in self._options:
                raise Faulty(f"no site option {value[1:]!r} in [options]")
            value = self._options[value[1:]]
        if target.spread or target.index is not None:
            raise Faulty("a constant is implied for one field")
        needs = self.target(raw[2], into) if len(raw) == 3 else None
        return Implied(target, value, needs) if value else None

    def derived(self, raw: Any, into: str) -> Derived:
        """``[national, title, "a.b - c.d + e.f"]``."""
        if not isinstance(raw, list) or len(raw) != 3:
            raise Faulty("derived is [national, title, sum of nationals]")
        pieces = re.split(r"\s+([+-])\s+", "+ " + str(raw[2]) if not str(raw[2]).startswith("-") else str(raw[2]))
        first = pieces[0].lstrip("+ ")
        terms = [(1, self.target(first, into))]
        for sign, national in zip(pieces[1::2], pieces[2::2], strict=True):
            terms.append((1 if sign == "+" else -1, self.target(national, into)))
        return Derived(self.target(raw[0], into), str(raw[1]), tuple(terms))

    def target(self, text: str, into: str) -> Target:
        """A national place.  Raises: Faulty for an unknown section, field or reference."""
        found = _TARGET.fullmatch(text)
        if found is None:
            raise Faulty(f"{text!r} is no national place")
        section, bracket, name = found.groups()
        if section == "asked":
            return Target("asked", name)
        if section == "ref" and name not in self._refs:
            raise Faulty(f"no [ref.{name}]")
        if section not in FREE_SECTIONS and name not in self._fields:
            raise Faulty(f"unknown national field {name!r}")
        if bracket:
            if section not in LISTS:
                raise Faulty(f"{section!r} is no list")
            return Target(section, name, spread=bracket == "[*]", index=None if bracket == "[*]" else int(bracket[1]))
        if section in LISTS:
            if section != into:
                raise Faulty(f"a record with into = {section!r} would have this field")
            return Target("", name)
        if section not in (*RECORD_SECTIONS, *FREE_SECTIONS):
            raise Faulty(f"no section {section!r}")
        return Target(section, name)

    def _places(self, raw: Any, positional: bool) -> tuple[tuple[Key, ...], Any, Key | None]:
        text = str(raw)
        if "&" in text:
            return tuple(self._key(piece.strip(), positional) for piece in text.split("&")), "joined", None
        if "+" not in text:
            if "*" in text:
                raise Faulty("* marks the rest of a sum of places")
            return (self._key(text, positional),), "one", None
        pieces = [piece.strip() for piece in text.split("+")]
        keys = tuple(self._key(piece.rstrip("*"), positional) for piece in pieces)
        starred = [key for key, piece in zip(keys, pieces, strict=True) if piece.endswith("*")]
        if len(starred) != 1:
            raise Faulty("a sum of places needs exactly one *")
        return keys, "parts", starred[0]

    @staticmethod
    def _key(text: str, positional: bool) -> Key:
        if positional:
            if not text.isdigit():
                raise Faulty(f"{text!r} is no cell number")
            return int(text)
        if not _PLACE.fullmatch(text):
            raise Faulty(f"{text!r} is no place")
        return text

    def _targets(self, raw: Any, into: str) -> tuple[Any, tuple[Target, ...], str]:
        if isinstance(raw, list):
            if len(raw) < 2:
                raise Faulty("a list of targets has at least two")
            return "all", tuple(self.target(text, into) for text in raw), ""
        text = str(raw)
        if text == "-":
            return "kept", (), ""
        if text.startswith("="):
            return "constant", (), text[1:]
        if "+" in text:
            return "sum", tuple(self.target(piece.strip(), into) for piece in text.split("+")), ""
        return "one", (self.target(text, into),), ""

    def _check_fit(self, targets: tuple[Target, ...], convert: Converter) -> None:
        for target in targets:
            types = self._fields.get(target.field, frozenset())
            if target.section not in FREE_SECTIONS and not types & convert.fits:
                raise Faulty(f"{convert.how} doesn't fit {target.field}, which is {' or '.join(sorted(types))}")


def listed(value: Any) -> list[str]:
    """One value or several, as texts."""
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
