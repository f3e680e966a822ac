"""The simulated centre's catalogue: class, price ceiling and own share of an item; a fee line divided by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from adapter_core.values.money import CENT

ZERO = Decimal("0.00")
CLASS_A, CLASS_B, CLASS_C = "01", "02", "03"
"""甲类, 乙类, 丙类 of dictionary ``chrgitm_lv``."""


def half_up(amount: Decimal) -> Decimal:
    """Rounded half up to the fen."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Item:
    """One catalogue item, or all items of one prefix.  ``pric_uplmt_amt`` 0 = no ceiling; special_in: places of insurance that
    pay it only for a special disease."""

    prefix: str
    name: str
    chrgitm_lv: str
    selfpay_prop: Decimal
    med_chrgitm_type: str
    list_type: str
    pric_uplmt_amt: Decimal
    special_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shares:
    """One line's amount, divided: the four parts add up to ``det_item_fee_sumamt`` exactly."""

    item: Item
    det_item_fee_sumamt: Decimal
    fulamt_ownpay_amt: Decimal
    overlmt_amt: Decimal
    preselfpay_amt: Decimal
    inscp_scp_amt: Decimal


class Catalogue:
    """Items by prefix; the longest match decides."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        items = [_item(row) for row in table["item"]]
        self._items = {item.prefix: item for item in items}
        self._lengths = sorted({len(item.prefix) for item in items}, reverse=True)
        self._unknown = _item({"prefix": "", **table["unknown"]})

    def item(self, med_list_codg: str) -> Item:
        for length in self._lengths:
            found = self._items.get(med_list_codg[:length])
            if found is not None:
                return found
        return self._unknown

    def shares(self, med_list_codg: str, amount: Decimal, count: Decimal, price: Decimal) -> Shares:
        """A line's division.  Negative amounts (returned goods) divide like positive ones."""
        item = self.item(med_list_codg)
        if item.chrgitm_lv == CLASS_C:
            return Shares(item, amount, amount, ZERO, ZERO, ZERO)
        over = ZERO
        if item.pric_uplmt_amt and price > item.pric_uplmt_amt:
            excess = half_up((price - item.pric_uplmt_amt) * abs(count))
            over = min(excess, abs(amount)).copy_sign(amount)
        first = half_up((amount - over) * item.selfpay_prop)
        return Shares(item, amount, ZERO, over, first, amount - over - first)


def _item(row: Mapping[str, Any]) -> Item:
    return Item(
        prefix=row["prefix"],
        name=row["name"],
        chrgitm_lv=row["chrgitm_lv"],
        selfpay_prop=Decimal(row["selfpay_prop"]),
        med_chrgitm_type=row["med_chrgitm_type"],
        list_type=row.get("list_type", ""),
        pric_uplmt_amt=Decimal(row.get("pric_uplmt_amt", "0")),
        special_in=tuple(row.get("special_in", ())),
    )
