"""Delimited text, cut and joined without ever letting a value move a border.

Four families of function interfaces use it: parts by ``^``, rows by ``$``, cells by ``|``; a marker ``SSSS|…;…;``; a
frame ``$$…~…%%…$$`` whose rows are counted by elements; cells with a leading ``|``.  What a cell means is a field
table's; here are only the borders.  Places in faults count from 0, like the places of field tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from adapter_core.values.errors import Fault, TranslationError

_LINE_BREAK = re.compile("[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029]")


def open_frame(text: str, start: str, end: str) -> str:
    """What is between the marker ``start`` and the mark ``end``; either may be empty.

    Raises: TranslationError when one is missing: a reply cut short by a buffer must not read as a shorter reply.
    """
    if not text.startswith(start):
        raise _bad("frame", f"{start!r} at its start", "something else")
    if not text.endswith(end) or len(text) < len(start) + len(end):
        raise _bad("frame", f"{end!r} at its end", "something else: cut short?")
    return text[len(start) : len(text) - len(end)]


def split_parts(text: str, separator: str, *, terminated: bool = False) -> list[str]:
    """The parts of a message.  terminated: each part, the last one too, ends with the separator.

    Raises: TranslationError when a terminated text doesn't end so.
    """
    return _split(text, separator, "parts", terminated)


def split_rows(text: str, separator: str, *, terminated: bool = False) -> list[str]:
    """The rows of a part, none for an empty text.  Raises: as split_parts."""
    return _split(text, separator, "rows", terminated) if text else []


def split_cells(text: str, separator: str, *, leading: bool = False, terminated: bool = False) -> list[str]:
    """The cells of a row.  leading: a separator stands before the first cell too.

    Raises: TranslationError when a separator that must stand at either end is missing.
    """
    if leading:
        text = open_frame(text, separator, "")
    return _split(text, separator, "cells", terminated)


def split_elements(text: str, separator: str, size: int) -> list[list[str]]:
    """The rows of a list whose rows have no border: every ``size`` elements are one; none for an empty text.

    Raises: TranslationError when elements remain.
    """
    elements = text.split(separator) if text else []
    if len(elements) % size:
        raise _bad("elements", f"a multiple of {size}", f"{len(elements)}")
    return [elements[start : start + size] for start in range(0, len(elements), size)]


def join_parts(parts: Sequence[str], separator: str, *, terminated: bool = False) -> str:
    """``split_parts`` reversed.  Raises: TranslationError for a part that holds the separator or a line break."""
    return _join(parts, separator, "part", (), terminated)


def join_rows(rows: Sequence[str], separator: str, *, terminated: bool = False) -> str:
    """``split_rows`` reversed.  Raises: TranslationError for a row that holds the separator or a line break."""
    return _join(rows, separator, "row", (), terminated)


def join_cells(
    cells: Sequence[str],
    separator: str,
    *,
    place: str = "cell",
    reserved: Iterable[str] = (),
    leading: bool = False,
    terminated: bool = False,
) -> str:
    """``split_cells`` reversed.

    reserved: the frame's other separators and marks, which no cell may hold either.  place: what a fault calls a cell,
    e.g. ``row 2, cell``.  Raises: TranslationError with a fault for each cell that holds one of them or a line break.
    """
    joined = _join(cells, separator, place, tuple(reserved), terminated)
    return separator + joined if leading else joined


def join_elements(rows: Sequence[Sequence[str]], separator: str, size: int, *, reserved: Iterable[str] = ()) -> str:
    """``split_elements`` reversed.  Raises: TranslationError as join_cells, or for a row of another size."""
    for number, row in enumerate(rows):
        if len(row) != size:
            raise _bad(f"row {number}", f"{size} elements", f"{len(row)}")
    return _join([element for row in rows for element in row], separator, "element", tuple(reserved), False)


def _bad(path: str, expected: str, got: str) -> TranslationError:
    return TranslationError([Fault(path, expected, got)])


def _split(text: str, separator: str, what: str, terminated: bool) -> list[str]:
    if terminated:
        if not text.endswith(separator):
            raise _bad(what, f"{separator!r} after the last one", "something else: cut short?")
        text = text[: -len(separator)]
    return text.split(separator)


def _join(values: Sequence[str], separator: str, place: str, reserved: tuple[str, ...], terminated: bool) -> str:
    # Nearly every message: no value has any letter of any mark, so none can move a border.
    if not _risky((separator, *reserved)).search("".join(values)):
        joined = separator.join(values)
        return joined + separator if terminated and values else joined
    faults = []
    for number, value in enumerate(values):
        for mark in (separator, *reserved):
            # A value that ends like the mark begins would move the border: "50%" before "%%" reads as "50" and "%".
            if (value + mark).find(mark) != len(value):
                faults.append(Fault(f"{place} {number}", f"no {mark!r}, which separates here", "one in the value"))
        if _LINE_BREAK.search(value):
            faults.append(Fault(f"{place} {number}", "no line break or control character", "one in the value"))
    if faults:
        raise TranslationError(faults)
    joined = separator.join(values)
    return joined + separator if terminated and values else joined


@lru_cache(64)
def _risky(marks: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("[" + re.escape("".join(marks)) + "\\x00-\\x1f\\x7f-\\x9f\u2028\u2029]")
