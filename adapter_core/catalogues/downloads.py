"""Downloads: one catalogue's news from the centre, kept step by step so that whatever killed the last try costs nothing twice.

A file catalogue (1301 …) is asked for with our greatest version, fetched whole by 9102 and read; a paged one (1304, 1312, 1316–1319)
is read page by page since our latest ``updt_time``.  What came is staged first; the catalogue itself changes in one transaction at
the end, together with the list of what was added, changed and ended.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from adapter_core.catalogues.asking import Ask, answered, is_paged, output_of, paged_node, pages, rows_of
from adapter_core.catalogues.layouts import END, VALID, VERSION, Layout
from adapter_core.catalogues.store import CatalogueStore
from adapter_core.standard.transactions import transaction
from adapter_core.values.content import Content
from adapter_core.values.errors import Fault, NotSupported, Refused, Rejected, TranslationError

FILE_CALL, FILE_NODE, FILE_MARK = "9102", "fsDownloadIn", "plc"
"""The mark that two code bases send for a catalogue's file.  Source: `schemas/national/transactions/9102.json`, notes."""
UPDATED = "updt_time"
ALL_READ = "read"
"""In place of a ticket: every page is here."""
CHUNK = 1000
ENDED = "0"
"""``vali_flag`` of a row that no longer holds (dictionary vali_flag)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the site sets.  first_version: asked with while we have none; since: the same for paged ones (yyyy-MM-dd);
    page_rows: rows asked for at once; layouts: by infno; marked: the field of 9102 that says ``plc``."""

    first_version: str = "0"
    since: str = "2000-01-01"
    page_rows: int = 100
    marked: str = "fixmedins_code"
    layouts: Mapping[str, Layout] | None = None

    def layout(self, infno: str) -> Layout:
        return (self.layouts or {}).get(infno, Layout())


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a download is.  phase: ``asking`` | ``fetching`` | ``reading`` | ``comparing``; total: 0 where nobody knows."""

    phase: str
    rows: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """What a download brought.  rows: how many came; holds: entries of the catalogue that hold now."""

    download: int
    infno: str
    from_version: str
    version: str
    rows: int
    added: int
    changed: int
    ended: int
    holds: int


Tell = Callable[[Progress], None]


def can_download(infno: str) -> bool:
    """Whether it is a catalogue: 1301 to 1319."""
    return infno.startswith("13") and transaction(infno).kind_class == "R"


class Downloads:
    """today: yyyy-MM-dd in China; now: a moment as text, for the record."""

    def __init__(self, store: CatalogueStore, ask: Ask, rules: Rules, org: str, today: str, now: str) -> None:
        self._store = store
        self._ask = ask
        self._rules = rules
        self._org = org
        self._today = today
        self._now = now

    async def run(
        self, infno: str, given: Content | None = None, whole: bool = False, tell: Tell = lambda progress: None
    ) -> Done:
        """Go on with the open download of a catalogue, or begin one.  A download asked otherwise than the open one replaces it.

        given: further input fields of a paged catalogue; whole: everything anew, from the first version.
        Raises: Rejected, NotSent, OutcomeUnknown: the next call goes on where this one stopped; TranslationError for a file that
        can't be used: it is forgotten.
        """
        if not can_download(infno):
            raise NotSupported(f"{infno} is no catalogue", message_zh=f"{infno} 不是目录下载交易（1301–1319）")
        download = self._opened(infno, given or {}, whole)
        if is_paged(infno):
            await self._read_pages(infno, download, tell)
        else:
            await self._read_file(infno, download, tell)
        [count] = self._store.one("SELECT read_rows FROM downloads WHERE download = ?", download)
        tell(Progress("comparing", count, count))
        return self._merged(infno, download)

    # -- beginning

    def _opened(self, infno: str, given: Content, whole: bool) -> int:
        asked = json.dumps(given, ensure_ascii=False, sort_keys=True, default=str)
        version = "" if whole else self._version(infno)
        known = self._store.one(
            "SELECT download, given, from_version FROM downloads WHERE infno = ? AND state = 'open'", infno
        )
        if known and (known[1], known[2]) == (asked, version):
            return int(known[0])
        with self._store.change():
            self._give_up(infno)
            return self._store.inserted(
                "INSERT INTO downloads (infno, state, given, from_version, is_whole, started_at) VALUES (?, 'open', ?, ?, ?, ?)",
                infno, asked, version, int(not version and not given), self._now,
            )  # fmt: skip

    def _give_up(self, infno: str) -> None:
        """The open download of a catalogue is forgotten with all that it staged."""
        run = self._store.run
        open_ones = "(SELECT download FROM downloads WHERE infno = ? AND state = 'open')"
        run(f"DELETE FROM staged WHERE download IN {open_ones}", infno)
        run("UPDATE downloads SET state = 'given_up', file = NULL WHERE infno = ? AND state = 'open'", infno)

    def _version(self, infno: str) -> str:
        done = "SELECT version FROM downloads WHERE infno = ? AND state = 'done' ORDER BY download DESC LIMIT 1"
        found = self._store.one(done, infno)
        return str(found[0]) if found else ""

    # -- files

    async def _read_file(self, infno: str, download: int, tell: Tell) -> None:
        raw, expected = await self._file(infno, download, tell)
        try:
            self._stage_file(infno, download, raw, expected, tell)
        except TranslationError:
            with self._store.change():
                self._give_up(infno)
            raise

    async def _file(self, infno: str, download: int, tell: Tell) -> tuple[bytes, int]:
        """The file's bytes and the rows it should have (0 where nobody said); what is here isn't fetched again."""
        ticket, file = self._store.one("SELECT ticket, file FROM downloads WHERE download = ?", download)
        known = json.loads(ticket) if ticket else {}
        if file is None:
            if not known or _is_over(known, self._today):
                known = await self._ticket(infno, download, tell)
            tell(Progress("fetching", 0, _count(known)))
            try:
                file = await self._fetched(known)
            except Rejected:
                # a centre may have forgotten a ticket of days ago: with a new one the next try begins
                self._store.run("UPDATE downloads SET ticket = '' WHERE download = ?", download)
                raise
            self._store.run("UPDATE downloads SET file = ? WHERE download = ?", file, download)
        return bytes(file), _count(known)

    async def _ticket(self, infno: str, download: int, tell: Tell) -> dict[str, Any]:
        tell(Progress("asking"))
        [asked] = self._store.one("SELECT from_version FROM downloads WHERE download = ?", download)
        version = asked or self._rules.first_version
        rows = rows_of(infno, output_of(await answered(self._ask, infno, {"data": {"ver": version}})))
        if not rows or not rows[0].get("file_qury_no"):
            raise TranslationError(
                [Fault("output.data.file_qury_no", "文件查询号", "无")],
                code="BAD_REPLY",
                message_zh=f"医保中心没有给出 {infno} 的文件查询号",
            )
        known = {name: str(value) for name, value in rows[0].items() if value is not None}
        self._store.run("UPDATE downloads SET ticket = ? WHERE download = ?", json.dumps(known), download)
        return known

    async def _fetched(self, ticket: Mapping[str, Any]) -> bytes:
        names = {
            "file_qury_no": ticket["file_qury_no"],
            "filename": ticket.get("filename", ""),
            "fixmedins_code": self._org,
        }
        asked = {FILE_NODE: {**names, self._rules.marked: FILE_MARK}}
        outcome = await answered(self._ask, FILE_CALL, asked)
        raw = outcome.content.get("file")
        if not isinstance(raw, bytes) or not raw:
            raise Refused("9102 gave no file", code="BAD_REPLY", message_zh="医保中心没有返回文件内容")
        return raw

    def _stage_file(self, infno: str, download: int, raw: bytes, expected: int, tell: Tell) -> None:
        """All rows of the file, staged together or not at all."""
        layout = self._rules.layout(infno)
        count = 0
        seen: dict[str, bytes] = {}
        with self._store.change():
            self._store.run("DELETE FROM staged WHERE download = ?", download)
            chunk: list[tuple[Any, ...]] = []
            for row in layout.rows(raw, infno):
                count += 1
                staged = _staged(download, layout.key_of(row), row, self._today)
                if not _is_new(seen, staged, count):
                    continue
                chunk.append(staged)
                if len(chunk) == CHUNK:
                    self._stage(chunk)
                    tell(Progress("reading", count, expected))
                    chunk = []
            self._stage(chunk)
            if expected and layout.count and count != expected:
                raise TranslationError(
                    [Fault(f"{infno} file", f"{expected} 行（data_cnt）", f"{count} 行")],
                    code="WRONG_COUNT",
                    message_zh="目录文件的行数与医保中心所报不符，未采用",
                )
            self._store.run("UPDATE downloads SET read_rows = ? WHERE download = ?", count, download)
        tell(Progress("reading", count, expected))

    def _stage(self, chunk: Iterable[tuple[Any, ...]]) -> None:
        self._store.run_many("INSERT OR REPLACE INTO staged VALUES (?, ?, ?, ?, ?, ?)", chunk)

    # -- pages

    async def _read_pages(self, infno: str, download: int, tell: Tell) -> None:
        node = paged_node(infno)
        given, asked, page, count, ticket = self._store.one(
            "SELECT given, from_version, page, read_rows, ticket FROM downloads WHERE download = ?", download
        )
        if ticket == ALL_READ:
            return
        record = {UPDATED: asked or self._rules.since, **json.loads(given)}
        tell(Progress("reading", count))
        async for one in pages(self._ask, infno, {node: record}, self._rules.page_rows, page + 1):
            count += len(one.rows)
            with self._store.change():
                self._stage(_staged(download, _row_key(row), _texts(row), self._today) for row in one.rows)
                self._store.run(
                    "UPDATE downloads SET page = ?, read_rows = ?, ticket = ? WHERE download = ?",
                    one.number, count, ALL_READ if one.is_last else "", download,
                )  # fmt: skip
            tell(Progress("reading", count))
        self._store.run("UPDATE downloads SET ticket = ? WHERE download = ?", ALL_READ, download)

    # -- the end

    def _merged(self, infno: str, download: int) -> Done:
        """The catalogue with what was staged in it, and the list of what that changed."""
        store = self._store
        from_version, is_whole, count = store.one(
            "SELECT from_version, is_whole, read_rows FROM downloads WHERE download = ?", download
        )
        with store.change():
            version = self._greatest(infno, download) or from_version
            store.run(_ADDED_OR_CHANGED, infno, download)
            if is_whole and not is_paged(infno):
                store.run(_GONE, download, infno, download)
                store.run(_END_GONE, download, infno, download)
            store.run(_TAKE_OVER, infno, download)
            kinds = dict(store.rows("SELECT kind, count(*) FROM changes WHERE download = ? GROUP BY kind", download))
            added, changed, ended = (kinds.get(kind, 0) for kind in ("added", "changed", "ended"))
            store.run("DELETE FROM staged WHERE download = ?", download)
            store.run(
                "UPDATE downloads SET state = 'done', file = NULL, version = ?, added = ?, changed = ?, ended = ?, ended_at = ?"
                " WHERE download = ?",
                version, added, changed, ended, self._now, download,
            )  # fmt: skip
        [holds] = store.one("SELECT count(*) FROM entries WHERE infno = ? AND NOT is_ended", infno)
        return Done(download, infno, from_version, version, count, added, changed, ended, holds)

    def _greatest(self, infno: str, download: int) -> str:
        name = UPDATED if is_paged(infno) else VERSION
        found = self._store.rows(
            f"SELECT DISTINCT json_extract(content, '$.{name}') FROM staged WHERE download = ?", download
        )
        return max((str(one) for (one,) in found if one), key=_version_order, default="")


_ADDED_OR_CHANGED = """
INSERT INTO changes
SELECT s.download, s.key,
  CASE WHEN e.key IS NULL THEN 'added' WHEN s.is_ended AND NOT e.is_ended THEN 'ended' ELSE 'changed' END, e.content, s.content
FROM staged s LEFT JOIN entries e ON e.infno = ? AND e.key = s.key
WHERE s.download = ? AND (e.key IS NULL OR e.content <> s.content OR e.is_ended <> s.is_ended)"""
_ABSENT = """
FROM entries e WHERE e.infno = ? AND NOT e.is_ended
  AND NOT EXISTS (SELECT 1 FROM staged s WHERE s.download = ? AND s.key = e.key)"""
_GONE = f"INSERT INTO changes SELECT ?, e.key, 'ended', e.content, NULL {_ABSENT}"
_END_GONE = f"UPDATE entries SET is_ended = 1, download = ? WHERE (infno, key) IN (SELECT e.infno, e.key {_ABSENT})"
_TAKE_OVER = """
INSERT OR REPLACE INTO entries
SELECT c.infno, s.key, s.code, s.name, s.is_ended, s.content, s.download
FROM staged s JOIN (SELECT ? AS infno) c JOIN changes d ON d.download = s.download AND d.key = s.key WHERE s.download = ?"""


def _staged(download: int, key: str, row: Mapping[str, str], today: str) -> tuple[Any, ...]:
    content = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    ended = row.get(VALID) == ENDED or "" < row.get(END, "")[:10] < today
    return (download, key, _code(row), _name(row), int(ended), content)


def _is_new(seen: dict[str, bytes], staged: tuple[Any, ...], number: int) -> bool:
    """Whether a row of this key is the first; a second must be the same, else the key tells too little.

    Raises: TranslationError.
    """
    key, content = staged[1], blake2b(staged[5].encode(), digest_size=16).digest()
    if not key.strip("\x1f"):
        raise TranslationError([Fault(f"row {number}", "主键不为空", "空")], code="BAD_FILE")
    known = seen.setdefault(key, content)
    if known is not content and known != content:
        text = "目录文件中有主键相同而内容不同的行，请在目录文件布局中配置主键列（key）"
        raise TranslationError([Fault(f"row {number}", "不重复的主键", key[:60])], code="BAD_FILE", message_zh=text)
    return known is content


def _row_key(row: Mapping[str, Any]) -> str:
    """A paged catalogue's row by its ``rid`` (唯一记录号), which all of them print as always there."""
    if not row.get("rid"):
        raise TranslationError([Fault("output.data.rid", "唯一记录号", "无")], code="BAD_REPLY")
    return str(row["rid"])


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in row.items() if value is not None}


def _code(row: Mapping[str, str]) -> str:
    named = (value for name, value in row.items() if name.endswith(("_codg", "_code")) and value)
    return next(named, next(iter(row.values()), ""))


def _name(row: Mapping[str, str]) -> str:
    return next((value for name, value in row.items() if name.endswith("name") and value), "")


def _version_order(version: str) -> list[tuple[int, int, str]]:
    """Numbers within a version count as numbers: V9 comes before V10."""
    parts = re.findall(r"\d+|\D+", version)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def _is_over(ticket: Mapping[str, Any], today: str) -> bool:
    until = str(ticket.get("dld_end_time", ""))[:10]
    return bool(until) and until < today


def _count(ticket: Mapping[str, Any]) -> int:
    said = str(ticket.get("data_cnt", ""))
    return int(said) if said.isdecimal() else 0
