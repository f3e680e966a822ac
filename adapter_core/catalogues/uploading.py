"""Uploading the mapping: 3301 for what is new or changed, 3302 for what no longer holds; what stands at the centre is kept.

Both are keyed by their rows, so a batch whose answer was lost goes again.  A batch that is refused is halved until the rows that
the centre won't take stand alone: the others go up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapter_core.catalogues.asking import Ask, answered
from adapter_core.catalogues.items import UNDO, UPLOAD, Item, Items
from adapter_core.catalogues.store import CatalogueStore
from adapter_core.standard.codec import codec
from adapter_core.values.errors import Fault, Rejected, TranslationError

NODE = "data"
Key = tuple[str, str, str]
Row = Mapping[str, Any]
FAULTS_MAX = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: rows to take back (3302), then rows to upload (3301)."""

    undo: list[dict[str, str]]
    upload: list[dict[str, str]]


@dataclass(slots=True)
class Result:
    """What became of it.  refused: (row, the centre's text)."""

    uploaded: int = 0
    undone: int = 0
    refused: list[tuple[Row, str]] = field(default_factory=list)


class Uploading:
    """rows_max: rows for one call."""

    def __init__(self, store: CatalogueStore, ask: Ask, org: str, rows_max: int, now: str) -> None:
        self._store = store
        self._ask = ask
        self._org = org
        self._rows_max = rows_max
        self._now = now

    def plan(self) -> Plan:
        """What differs between the list and what stands at the centre."""
        wanted = {_key(row): row for row in map(_row, Items(self._store, self._org).all()) if row["med_list_codg"]}
        stands = {
            (item, kind, code): content
            for item, kind, code, content in self._store.rows(
                "SELECT item, list_type, med_list_codg, content FROM at_centre WHERE org = ?", self._org
            )
        }
        upload = [row for key, row in wanted.items() if stands.get(key) != _content(row)]
        return Plan([self._undoing(key) for key in stands if key not in wanted], upload)

    async def run(self, plan: Plan, tell: Callable[[int], None] = lambda done: None) -> Result:
        """tell: hears how many rows are behind us.  Raises: TranslationError with every fault of the list, before anything is
        sent; NotSent, OutcomeUnknown: the next run goes on with what is left."""
        _refuse_faulty(plan.upload)
        result = Result()
        for infno, rows in ((UNDO, plan.undo), (UPLOAD, plan.upload)):
            for start in range(0, len(rows), self._rows_max):
                await self._send(infno, rows[start : start + self._rows_max], result)
                tell(result.uploaded + result.undone + len(result.refused))
        return result

    async def _send(self, infno: str, rows: Sequence[Row], result: Result) -> None:
        try:
            await answered(self._ask, infno, {NODE: [dict(row) for row in rows]})
        except Rejected as refusal:
            if len(rows) == 1:
                result.refused.append((rows[0], refusal.err_msg or refusal.infcode))
                return
            half = len(rows) // 2
            await self._send(infno, rows[:half], result)
            await self._send(infno, rows[half:], result)
            return
        self._keep(infno, rows)
        if infno == UPLOAD:
            result.uploaded += len(rows)
        else:
            result.undone += len(rows)

    def _keep(self, infno: str, rows: Sequence[Row]) -> None:
        with self._store.change():
            if infno == UPLOAD:
                self._store.run_many(
                    "INSERT OR REPLACE INTO at_centre VALUES (?, ?, ?, ?, ?, ?)",
                    ((self._org, *_key(row), _content(row), self._now) for row in rows),
                )
            else:
                self._store.run_many(
                    "DELETE FROM at_centre WHERE org = ? AND item = ? AND list_type = ? AND med_list_codg = ?",
                    ((self._org, *_key(row)) for row in rows),
                )

    def _undoing(self, key: Key) -> dict[str, str]:
        item, kind, code = key
        return {"fixmedins_hilist_id": item, "fixmedins_code": self._org, "list_type": kind, "med_list_codg": code}


def _row(item: Item) -> dict[str, str]:
    named = {
        "fixmedins_hilist_id": item.item,
        "fixmedins_hilist_name": item.name,
        "list_type": item.list_type,
        "med_list_codg": item.med_list_codg,
        "begndate": item.begndate,
        "enddate": item.enddate,
    }
    return {**{name: value for name, value in named.items() if value or name == "med_list_codg"}, **item.more}


def _key(row: Row) -> Key:
    return (row["fixmedins_hilist_id"], row.get("list_type", ""), row["med_list_codg"])


def _content(row: Row) -> str:
    return json.dumps(dict(row), ensure_ascii=False, sort_keys=True)


def _refuse_faulty(rows: Sequence[Row]) -> None:
    """Every row by the standard's own table.  Raises: TranslationError."""
    faults: list[Fault] = []
    for row in rows:
        for one in codec(UPLOAD).read_input({NODE: [dict(row)]}).faults:
            place = one.path.rpartition(".")[2]
            faults.append(Fault(f"项目 {row['fixmedins_hilist_id'][:30]} {place}", one.expected, one.got, one.title))
        if len(faults) >= FAULTS_MAX:
            break
    if faults:
        raise TranslationError(faults[:FAULTS_MAX], message_zh="对照表中有项目不合国家标准的字段要求，未上传")
