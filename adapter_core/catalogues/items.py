"""The hospital's own items and the national codes they stand for (目录对照): kept as a whole list, with dates.

One row says what an item means from a day on; an item without a national code is listed too, so that the share that is mapped can
be told.  ``金额`` is what the item brought in over any period the hospital likes: it weighs the shares and goes nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from adapter_core.catalogues.store import CatalogueStore
from adapter_core.standard.transactions import transaction
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.money import MoneyError, fen, from_fen, yuan

UPLOAD, UNDO = "3301", "3302"
AMOUNT = "amount"
COLUMNS: Mapping[str, str] = {
    **{one.code: one.name for node in transaction(UPLOAD).input for one in node.fields},
    AMOUNT: "金额",
}
"""Column → heading: the fields of 3301 in its own order, and the amount."""
OWN = ("fixmedins_hilist_id", "fixmedins_hilist_name", "list_type", "med_list_codg", "begndate", "enddate", AMOUNT)
ALWAYS, NEVER = "0001-01-01", "9999-12-31"
FAULTS_MAX = 200


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the list.  begndate, enddate: yyyy-MM-dd or ""; med_list_codg: "" while nobody mapped it; more: what else 3301 asks
    for, as far as it is said; amount_fen: None where nobody said."""

    item: str
    name: str
    list_type: str
    med_list_codg: str
    begndate: str
    enddate: str
    more: Mapping[str, str] = field(default_factory=dict)
    amount_fen: int | None = None

    def holds_on(self, day: str) -> bool:
        return (self.begndate or ALWAYS) <= day <= (self.enddate or NEVER)

    def cells(self) -> list[str]:
        amount = "" if self.amount_fen is None else format(from_fen(self.amount_fen), "f")
        own = (self.item, self.name, self.list_type, self.med_list_codg, self.begndate, self.enddate, amount)
        named = {**self.more, **dict(zip(OWN, own, strict=True))}
        return [named.get(column, "") for column in COLUMNS]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a new list changes in one row of the old one."""

    before: Item | None
    after: Item | None


def sheet(items: Iterable[Item]) -> list[list[str]]:
    """The list as rows of a sheet, headings first."""
    return [list(COLUMNS.values()), *(item.cells() for item in items)]


def read_items(rows: Sequence[Sequence[str]]) -> list[Item]:
    """A sheet's rows, the first being headings (Chinese, or the field codes).  Raises: TranslationError with every fault, up to 200."""
    if not rows:
        raise TranslationError([Fault("row 1", "表头", "空文件")])
    columns = _columns(rows[0])
    faults: list[Fault] = []
    items: list[Item] = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        named = {columns[place]: cell.strip() for place, cell in enumerate(row) if place in columns}
        before = len(faults)
        item = _item(named, number, faults)
        if len(faults) == before:
            items.append(item)
        if len(faults) >= FAULTS_MAX:
            break
    faults += _overlaps(items)
    if faults:
        raise TranslationError(faults[:FAULTS_MAX], message_zh="对照表有误，未导入，请更正后重试")
    return items


def _columns(heading: Sequence[str]) -> dict[int, str]:
    by_title = {**{title: code for code, title in COLUMNS.items()}, **{code: code for code in COLUMNS}}
    found = {place: by_title[cell.strip()] for place, cell in enumerate(heading) if cell.strip() in by_title}
    faults = [
        Fault("row 1", f"列 {COLUMNS[code]}", "没有") for code in OWN[:4] if code not in found.values()
    ]  # fmt: skip
    unknown = [cell for cell in heading if cell.strip() and cell.strip() not in by_title]
    faults += [Fault("row 1", "已知的列名：" + "、".join(COLUMNS.values()), cell[:30]) for cell in unknown]
    if faults:
        raise TranslationError(faults, message_zh="对照表的表头不对，未导入")
    return found


def _item(named: Mapping[str, str], number: int, faults: list[Fault]) -> Item:
    place = f"row {number}"
    for code in OWN[:2]:
        if not named.get(code):
            faults.append(Fault(f"{place} {COLUMNS[code]}", "一个值", "空"))
    if named.get("med_list_codg") and not named.get("list_type"):
        faults.append(Fault(f"{place} {COLUMNS['list_type']}", "一个值（已对照的项目）", "空"))
    days = [_day(named.get(code, ""), f"{place} {COLUMNS[code]}", faults) for code in ("begndate", "enddate")]
    if all(days) and days[0] > days[1]:
        faults.append(Fault(f"{place} {COLUMNS['enddate']}", f"不早于 {days[0]}", days[1]))
    amount = named.get(AMOUNT, "").replace(",", "")
    worth = None
    try:
        worth = fen(yuan(amount)) if amount else None
    except MoneyError:
        faults.append(Fault(f"{place} {COLUMNS[AMOUNT]}", "至多两位小数的金额", amount[:30]))
    _too_long(named, place, faults)
    more = {code: value for code, value in named.items() if code not in OWN and value}
    item, name, list_type, national = (named.get(code, "") for code in OWN[:4])
    return Item(item, name, list_type, national, days[0], days[1], more, worth)


def _too_long(named: Mapping[str, str], place: str, faults: list[Fault]) -> None:
    for node in transaction(UPLOAD).input:
        for one in node.fields:
            value = named.get(one.code, "")
            if one.type == "string" and one.length and len(value) > one.length:
                faults.append(Fault(f"{place} {one.name}", f"至多 {one.length} 字", f"{len(value)} 字"))


def _day(text: str, place: str, faults: list[Fault]) -> str:
    if not text:
        return ""
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        faults.append(Fault(place, "日期 yyyy-MM-dd", text[:20]))
        return ""


def _overlaps(items: Sequence[Item]) -> list[Fault]:
    """An item may stand in several rows, but only one of them on any day."""
    faults = []
    last: dict[str, Item] = {}
    for item in sorted(items, key=lambda one: (one.item, one.begndate or ALWAYS)):
        before = last.get(item.item)
        if before is not None and (item.begndate or ALWAYS) <= (before.enddate or NEVER):
            faults.append(Fault(f"项目 {item.item[:30]}", "每一天只有一行", "有效期重叠的两行"))
        last[item.item] = item
    return faults


def compared(before: Iterable[Item], after: Iterable[Item]) -> list[Difference]:
    """What differs, by item and first day; the amount is no difference."""
    old, new = ({(one.item, one.begndate): one for one in rows} for rows in (before, after))
    return [
        Difference(old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if _meaning(old.get(key)) != _meaning(new.get(key))
    ]


def _meaning(item: Item | None) -> tuple[object, ...] | None:
    if item is None:
        return None
    return (item.name, item.list_type, item.med_list_codg, item.enddate, tuple(sorted(item.more.items())))


class Items:
    """The list of one institution in the catalogues' file."""

    def __init__(self, store: CatalogueStore, org: str) -> None:
        self._store = store
        self._org = org

    def all(self) -> list[Item]:
        rows = self._store.rows(
            "SELECT item, name, list_type, med_list_codg, begndate, enddate, more, amount_fen FROM items WHERE org = ?"
            " ORDER BY item, begndate",
            self._org,
        )
        return [
            Item(item, name, kind, code, begins, ends, json.loads(more), worth)
            for item, name, kind, code, begins, ends, more, worth in rows
        ]

    def replace(self, items: Iterable[Item]) -> None:
        """The new list in place of the old one, whole."""
        with self._store.change():
            self._store.run("DELETE FROM items WHERE org = ?", self._org)
            self._store.run_many(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (self._org, one.item, one.begndate, one.enddate, one.name, one.list_type, one.med_list_codg,
                     json.dumps(one.more, ensure_ascii=False), one.amount_fen)
                    for one in items
                ),
            )  # fmt: skip


class SiteItems:
    """The lists of every institution here, as a settlement asks them: one indexed look for each line.  Satisfies `ItemCodes`."""

    def __init__(self, store: CatalogueStore) -> None:
        self._store = store

    def national_code(self, org: str, item: str, day: str) -> str:
        """The national code an item stands for on that day (yyyy-MM-dd); "" for one that nobody mapped."""
        found = self._store.one(
            "SELECT med_list_codg, enddate FROM items WHERE org = ? AND item = ? AND begndate <= ? ORDER BY begndate DESC LIMIT 1",
            org, item, day,
        )  # fmt: skip
        return str(found[0]) if found and day <= (found[1] or NEVER) else ""
