"""Rows of one shape as columns, and back: a hundred rows take hardly more calls than one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Column(NamedTuple):
    """One field in every row.  values: None where it is absent.  full: it is nowhere absent.  as_it_came: not one changed."""

    values: Sequence[object]
    full: bool = True
    as_it_came: bool = False


def columns_of(rows: Sequence[Any]) -> dict[str, tuple[Any, ...]] | None:
    """The columns by their code; None for rows that aren't all objects with the same members in the same order."""
    if set(map(type, rows)) != {dict}:
        return None
    codes = tuple(rows[0])
    if list(map(tuple, rows)).count(codes) < len(rows):
        return None
    return dict(zip(codes, zip(*map(dict.values, rows), strict=True), strict=True))


def rows_of(rows: Sequence[dict[str, Any]], columns: Mapping[str, Column]) -> list[dict[str, Any]]:
    """New rows: the same members under the columns' names, in the same order, with what became of them."""
    if list(columns) == list(rows[0]):
        made = list(map(dict.copy, rows))
    else:
        made = [dict(zip(columns, row.values(), strict=True)) for row in rows]
    for code, column in columns.items():
        if not column.as_it_came:
            for row, value in zip(made, column.values, strict=True):
                if value is None:
                    del row[code]
                else:
                    row[code] = value
    return made
