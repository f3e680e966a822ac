"""Looking at what was downloaded: which catalogues are here, what a download changed, single entries.  Read only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_core.catalogues.store import CatalogueStore
from adapter_core.standard.transactions import transaction
from adapter_core.values.errors import Refused

ROWS_MAX = 200


@dataclass(frozen=True, slots=True)
class Held:
    """One catalogue as it is here.  open: a download that something stopped, with the rows it has so far; -1 for none."""

    infno: str
    title: str
    version: str
    holds: int
    downloaded_at: str
    open: int


@dataclass(frozen=True, slots=True)
class Change:
    """One row that a download added, changed or ended; before and after by column, None where there is none."""

    kind: str
    key: str
    before: Mapping[str, str] | None
    after: Mapping[str, str] | None

    def differing(self) -> list[str]:
        """The columns that differ."""
        before, after = self.before or {}, self.after or {}
        return [name for name in {**before, **after} if before.get(name, "") != after.get(name, "")]


@dataclass(frozen=True, slots=True)
class Compared:
    """What one download changed.  counts: by kind; changes: the first of them."""

    download: int
    infno: str
    from_version: str
    version: str
    counts: Mapping[str, int]
    changes: list[Change]


def held(store: CatalogueStore) -> list[Held]:
    """Every catalogue that was ever asked for, by number."""
    found = []
    for (infno,) in store.rows("SELECT DISTINCT infno FROM downloads ORDER BY infno"):
        last = store.one(
            "SELECT version, ended_at FROM downloads WHERE infno = ? AND state = 'done' ORDER BY download DESC LIMIT 1", infno
        )  # fmt: skip
        going = store.one("SELECT read_rows FROM downloads WHERE infno = ? AND state = 'open'", infno)
        [holds] = store.one("SELECT count(*) FROM entries WHERE infno = ? AND NOT is_ended", infno)
        version, at = last or ("", "")
        found.append(Held(infno, transaction(infno).name, version, holds, at, going[0] if going else -1))
    return found


def compared(store: CatalogueStore, infno: str, download: int = 0, most: int = ROWS_MAX) -> Compared:
    """What a catalogue's last finished download changed, or the one of that number.  Raises: Refused NO_SUCH_DOWNLOAD."""
    found = store.one(
        "SELECT download, from_version, version FROM downloads WHERE infno = ? AND state = 'done' AND (download = ? OR ? = 0)"
        " ORDER BY download DESC LIMIT 1",
        infno, download, download,
    )  # fmt: skip
    if found is None:
        text = f"没有已完成的 {infno} 下载"
        raise Refused(f"no finished download of {infno}", code="NO_SUCH_DOWNLOAD", message_zh=text)
    number, from_version, version = found
    counts = dict(store.rows("SELECT kind, count(*) FROM changes WHERE download = ? GROUP BY kind", number))
    rows = store.rows(
        "SELECT kind, key, before, after FROM changes WHERE download = ? ORDER BY kind, key LIMIT ?", number, most
    )
    return Compared(number, infno, from_version, version, counts, [_change(row) for row in rows])


def _change(row: Any) -> Change:
    kind, key, before, after = row
    return Change(kind, key, json.loads(before) if before else None, json.loads(after) if after else None)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a catalogue."""

    infno: str
    code: str
    name: str
    is_ended: bool
    columns: Mapping[str, str]


def entries(store: CatalogueStore, code: str, infno: str = "", most: int = ROWS_MAX) -> list[Entry]:
    """The rows of that code, in every catalogue or in one."""
    rows = store.rows(
        "SELECT infno, code, name, is_ended, content FROM entries WHERE code = ? AND (infno = ? OR ? = '') LIMIT ?",
        code, infno, infno, most,
    )  # fmt: skip
    return [Entry(one, code, name, bool(ended), json.loads(content)) for one, code, name, ended, content in rows]
