"""Coverage: what share of the hospital's items, and of their money, is mapped to national codes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from adapter_core.catalogues.items import Item, Items
from adapter_core.catalogues.store import CatalogueStore

SHARE = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Part:
    """Items of one kind.  Amounts in fen; items without an amount weigh nothing."""

    title: str
    items: int = 0
    mapped: int = 0
    fen: int = 0
    mapped_fen: int = 0

    @property
    def share(self) -> Decimal | None:
        """Percent of the items, two places; None of none."""
        return _percent(self.mapped, self.items)

    @property
    def money_share(self) -> Decimal | None:
        return _percent(self.mapped_fen, self.fen)


@dataclass(frozen=True, slots=True)
class Coverage:
    """day: for which it holds.  unmapped, ended, unknown: items without a code, with one that a downloaded catalogue has ended, and
    with one that no downloaded catalogue has (empty where none was downloaded); dearest first.  uploaded: rows that stand at the
    centre, of the mapped ones."""

    day: str
    whole: Part
    parts: list[Part]
    unmapped: list[Item]
    ended: list[Item]
    unknown: list[Item]
    uploaded: int


def coverage(store: CatalogueStore, org: str, day: str) -> Coverage:
    """As the list stands on that day (yyyy-MM-dd): an item with rows before or after it only counts as unmapped."""
    items = _on(Items(store, org).all(), day)
    parts: dict[str, list[Item]] = {}
    for item in items:
        parts.setdefault(item.list_type, []).append(item)
    known, ended = _codes(store)
    uploaded = store.one("SELECT count(*) FROM at_centre WHERE org = ?", org)[0]
    mapped = [item for item in items if item.med_list_codg]
    return Coverage(
        day,
        _part("合计", items),
        [_part(kind or "未说明类别", parts[kind]) for kind in sorted(parts)],
        _dearest(item for item in items if not item.med_list_codg),
        _dearest(item for item in mapped if item.med_list_codg in ended),
        _dearest(item for item in mapped if known and item.med_list_codg not in known),
        uploaded,
    )


def _on(items: Iterable[Item], day: str) -> list[Item]:
    """One row for each item: the one that holds, else its latest without a code."""
    chosen: dict[str, Item] = {}
    for item in items:
        before = chosen.get(item.item)
        if before is None or not before.holds_on(day):
            chosen[item.item] = item
    return [
        item
        if item.holds_on(day)
        else Item(item.item, item.name, item.list_type, "", item.begndate, item.enddate, item.more, item.amount_fen)
        for item in chosen.values()
    ]


def _codes(store: CatalogueStore) -> tuple[set[str], set[str]]:
    """Every code of the downloaded catalogues, and those that have ended in all of them."""
    rows = store.rows("SELECT code, min(is_ended) FROM entries GROUP BY code")
    return {code for code, _ in rows}, {code for code, ended in rows if ended}


def _part(title: str, items: list[Item]) -> Part:
    mapped = [item for item in items if item.med_list_codg]
    return Part(title, len(items), len(mapped), _sum(items), _sum(mapped))


def _sum(items: Iterable[Item]) -> int:
    return sum(item.amount_fen or 0 for item in items)


def _dearest(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: (-(item.amount_fen or 0), item.item))


def _percent(part: int, whole: int) -> Decimal | None:
    return (Decimal(part) * 100 / Decimal(whole)).quantize(SHARE) if whole else None
