"""The fee list of a bill: what the HIS charged, with what the centre returned of each line, and its sums by charge type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapter_core.standard.dictionaries import dictionary
from adapter_core.values.money import CENT

NOT_RETURNED = "未返回类别"
"""Classes are the centre's to give: where it returned none, none is guessed."""

NAMES = ("medins_list_name", "hilist_name", "item_name")
"""Fields in which a HIS may name an item; the standard's upload has codes alone."""

SHARES = {"preselfpay_amt": "preselfpay", "fulamt_ownpay_amt": "ownpay", "overlmt_amt": "overlimit"}
"""Returned amounts of a line → our names."""


def fee_rows(content: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row a line, in the HIS's order; every value is text, an amount with two places, and "" where nobody said it.

    Keys: n date code own_code name class level price count amount preselfpay ownpay overlimit.
    """
    returned = {str(line.get("feedetl_sn", "")): line for line in content.get("lines", [])}
    return [
        _row(number, row, returned.get(str(row.get("feedetl_sn", "")), {}))
        for number, row in enumerate(content.get("fees", []), 1)
    ]


def _row(number: int, row: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, str]:
    return {
        "n": str(number),
        "date": str(row.get("fee_ocur_time", ""))[:10],
        "code": str(row.get("med_list_codg", "")),
        "own_code": str(row.get("medins_list_codg", "")),
        "name": next((str(row[name]) for name in NAMES if row.get(name)), ""),
        "class": _label("med_chrgitm_type", line, row),
        "level": _label("chrgitm_lv", line, row),
        "price": _plain(row.get("pric"), 2),
        "count": _plain(row.get("cnt")),
        "amount": money(row.get("det_item_fee_sumamt", 0)),
        **{ours: money(line[name]) if line.get(name) is not None else "" for name, ours in SHARES.items()},
    }


def _label(code: str, line: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    value = str(line.get(code) or row.get(code) or "")
    known = dictionary(code)
    return (known.label(value) if known and value else None) or value


def charge_types(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Sums by charge type (医疗收费项目类别), in the order the types first occur."""
    groups: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(row["class"] or NOT_RETURNED, []).append(row)
    return [
        {
            "class": name,
            "count": str(len(members)),
            **{column: total(members, column) for column in ("amount", *SHARES.values())},
        }
        for name, members in groups.items()
    ]


def total(rows: Sequence[Mapping[str, str]], column: str = "amount") -> str:
    """The sum of a column as text; "" where no row has a value there."""
    values = [Decimal(row[column]) for row in rows if row[column]]
    return money(sum(values, Decimal(0))) if values else ""


def money(value: Any) -> str:
    """An amount as text with two places."""
    return format(Decimal(value).quantize(CENT), "f")


def _plain(value: Any, places_least: int = 0) -> str:
    """A price or a quantity in its own scale, without more padding zeros than its form has."""
    if value is None:
        return ""
    whole, _, places = format(Decimal(value), "f").partition(".")
    places = places.rstrip("0").ljust(places_least, "0")
    return f"{whole}.{places}" if places else whole
