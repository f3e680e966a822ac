"""The centre's own dictionary (1901): codes and their names where the hospital is, kept here and used before the national ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adapter_core.catalogues.asking import Ask, answered, output_of, rows_of
from adapter_core.catalogues.store import CatalogueStore
from adapter_core.standard.dictionaries import dictionary
from adapter_core.values.errors import Rejected

CALL = "1901"
IN_FORCE = "1"


@dataclass(frozen=True, slots=True)
class Loaded:
    """One dictionary's turn.  refusal: what the centre said instead; the names we had then stay."""

    type: str
    values: int
    added: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    refusal: str = ""


async def load(store: CatalogueStore, ask: Ask, type_: str, admdvs: str, today: str, parent: str = "") -> Loaded:
    """Ask for one dictionary and put it in place of what was here.  Raises: NotSent, OutcomeUnknown.

    parent: the value it hangs from (``parentValue``), for dictionaries that have levels.
    """
    record = {"type": type_, "parentValue": parent, "admdvs": admdvs, "date": today, "valiFlag": IN_FORCE}
    try:
        rows = rows_of(CALL, output_of(await answered(ask, CALL, {"data": record})))
    except Rejected as refusal:
        return Loaded(type_, 0, refusal=refusal.err_msg or refusal.infcode)
    fresh = {}
    for row in rows:
        above = row.get("parentValue", row.get("parent_value"))  # both spellings are seen
        valid = str(row.get("valiFlag", row.get("vali_flag", IN_FORCE)) or IN_FORCE)
        named = (
            str(row.get("label", "")),
            str(row.get("sort", "") or ""),
            int(valid == IN_FORCE),
            str(row.get("version", "") or ""),
        )
        if row.get("value") not in (None, ""):
            fresh[(str(row["value"]), str(above or ""))] = named
    return _replaced(store, type_, admdvs, parent, fresh) if fresh else Loaded(type_, 0)


def _replaced(
    store: CatalogueStore, type_: str, admdvs: str, parent: str, fresh: dict[tuple[str, str], tuple[str, str, int, str]]
) -> Loaded:
    below = "admdvs = ? AND type = ? AND (? = '' OR parent = ?)"
    with store.change():
        known = {
            (value, above): label
            for value, above, label in store.rows(
                f"SELECT value, parent, label FROM dictionary WHERE {below}", admdvs, type_, parent, parent
            )
        }
        store.run(f"DELETE FROM dictionary WHERE {below}", admdvs, type_, parent, parent)
        store.run_many(
            "INSERT INTO dictionary VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ((admdvs, type_, value, above, *named) for (value, above), named in fresh.items()),
        )
    renamed = [key for key in fresh if key in known and known[key] != fresh[key][0]]
    return Loaded(
        type_, len(fresh), _values(fresh.keys() - known.keys()), _values(renamed), _values(known.keys() - fresh.keys())
    )


def _values(keys: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted(value for value, _ in keys))


def label(store: CatalogueStore, admdvs: str, type_: str, value: str) -> str:
    """The name of a code: the centre's own, else the national one, else the code itself."""
    found = store.one(
        "SELECT label FROM dictionary WHERE admdvs = ? AND type = ? AND value = ? ORDER BY is_valid DESC LIMIT 1",
        admdvs, type_, value,
    )  # fmt: skip
    if found and found[0]:
        return str(found[0])
    known = dictionary(type_)
    return (known.label(value) if known else None) or value


def values(store: CatalogueStore, admdvs: str, type_: str) -> list[tuple[str, str, str, bool]]:
    """``(value, label, parent, in force)`` of one dictionary, in its own order."""
    rows = store.rows(
        "SELECT value, label, parent, is_valid FROM dictionary WHERE admdvs = ? AND type = ? ORDER BY CAST(sort AS INTEGER), value",
        admdvs, type_,
    )  # fmt: skip
    return [(value, text, above, bool(valid)) for value, text, above, valid in rows]
