"""A year of the journal in a file of its own, for the shelf: it verifies by itself, and nothing leaves the ledger.

The journal is append-only and an accounting voucher for thirty years, so archiving copies; there is no deleting here.  The file
is lines of JSON, readable without this program: first ``his-adapter-archive`` with one institution's part of the chain, the link
before it, the link it ends with and that link's seal; the data keys it needs, wrapped by the master key; then one line per event.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapter_core.config import Config
from adapter_core.ledger import binding, sqlite_file
from adapter_core.ledger import projections as sql
from adapter_core.ledger.chain import START, Head, Link, Verdict, verify
from adapter_core.ledger.sealing import MasterKey, read_master_key
from adapter_core.values.errors import ConfigError, LedgerDamaged
from adapter_core.values.moments import CHINA, iso

FORMAT = "his-adapter-archive"
PAGE_ROWS = 500


@dataclass(frozen=True, slots=True)
class Archived:
    """One institution's year.  first, last: its events' numbers, both included."""

    path: Path
    org: str
    year: int
    first: int
    last: int

    @property
    def events(self) -> int:
        return self.last - self.first + 1


def archive_year(config: Config, year: int, folder: Path) -> list[Archived]:
    """Write one file for each institution with events in that year (China time).  An existing file is never overwritten.

    Events stand in the order they were written: from the first one of the year to the last one.
    Raises: ConfigError, LedgerDamaged when the journal's own chain doesn't verify.
    """
    if config.is_shared:
        raise ConfigError(
            "the ledger is on PostgreSQL: archive from a restored copy or with the server's own tools, see docs/how-to/backup.md"
        )
    keys = read_master_key(config.master_key_path)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(sqlite_file.connect_reader(config.ledger_path)) as reader:
        binding.check_key(sqlite_file.read_meta(reader), keys)
        broken = [one for one in sqlite_file.verify_chains(reader, keys) if not one.is_whole]
        if broken:
            raise LedgerDamaged(
                f"the journal of {broken[0].org} is damaged at {broken[0].broken_seq}: {broken[0].reason}"
            )
        orgs = sorted(sqlite_file.read_heads(reader))
        return [done for org in orgs if (done := _archive(reader, keys, org, year, folder)) is not None]


def _archive(reader: Any, keys: MasterKey, org: str, year: int, folder: Path) -> Archived | None:
    span = "SELECT min(seq), max(seq) FROM journal WHERE org = ? AND at >= ? AND at < ?"
    first, last = reader.execute(span, (org, _new_year(year), _new_year(year + 1))).fetchone()
    if first is None:
        return None
    path = folder / f"journal-{org}-{year}.jsonl"
    if path.exists():
        raise ConfigError(f"{path} exists: an archive is never overwritten")
    unfinished = path.with_suffix(".part")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.writelines(_lines(reader, keys, org, year, first, last))
        file.flush()
        os.fsync(file.fileno())
    wrong = verify_archive(unfinished, keys)
    if not wrong.is_whole:
        raise LedgerDamaged(f"the archive of {org} doesn't verify: {wrong.reason}")
    unfinished.rename(path)
    return Archived(path, org, year, first, last)


def _lines(reader: Any, keys: MasterKey, org: str, year: int, first: int, last: int) -> Iterator[bytes]:
    before = _hash_at(reader, org, first - 1) if first > 1 else START
    end = _hash_at(reader, org, last)
    yield _line(
        {
            "format": FORMAT,
            "org": org,
            "year": year,
            "master_key": keys.key_id,
            "after": {"seq": first - 1, "hash": before.hex()},
            "until": {"seq": last, "hash": end.hex(), "seal": keys.head_seal(org, last, end).hex()},
        }
    )
    wanted = "SELECT DISTINCT key_id FROM journal WHERE org = ? AND seq BETWEEN ? AND ? ORDER BY key_id"
    for (key_id,) in reader.execute(wanted, (org, first, last)).fetchall():
        day, wrapped = reader.execute(sql.SELECT_DATA_KEY, (key_id,)).fetchone()
        yield _line({"key_id": key_id, "day": day, "wrapped": base64.b64encode(wrapped).decode()})
    for link in _links(reader, org, first, last):
        row = link._asdict() | {"sealed": base64.b64encode(link.sealed).decode(), "hash": link.hash.hex()}
        yield _line(row)


def _links(reader: Any, org: str, first: int, last: int) -> Iterator[Link]:
    """In short reads: a long one would keep the writer from reusing its log."""
    at = first - 1
    page = sql.SELECT_LINKS + "WHERE org = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
    while rows := reader.execute(page, (org, at, last, PAGE_ROWS)).fetchall():
        yield from map(Link._make, rows)
        at = rows[-1][0]


def verify_archive(path: Path, keys: MasterKey | None = None) -> Verdict:
    """Walk an archive's part of the chain; with the master key also the seal of its end.  Needs nothing but the file.

    Raises: ConfigError when it is no archive.
    """
    with path.open("rb") as file:
        rows = map(json.loads, file)
        try:
            head = next(rows)
            if head["format"] != FORMAT:
                raise ConfigError(f"{path.name} is no archive of a journal")
            after = Head(head["after"]["seq"], bytes.fromhex(head["after"]["hash"]))
            until = head["until"]
            end = Head(until["seq"], bytes.fromhex(until["hash"]), bytes.fromhex(until["seal"]))
            return verify(head["org"], _read_links(rows), end, keys.head_seal if keys else None, after)
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            raise ConfigError(f"{path.name} is no whole archive of a journal: {type(error).__name__}") from error


def _read_links(rows: Iterable[Mapping[str, Any]]) -> Iterator[Link]:
    for row in rows:
        if "seq" in row:
            values = {name: row[name] for name in Link._fields}
            values |= {"sealed": base64.b64decode(row["sealed"]), "hash": bytes.fromhex(row["hash"])}
            yield Link(**values)


def _hash_at(reader: Any, org: str, seq: int) -> bytes:
    found: bytes = reader.execute("SELECT hash FROM journal WHERE org = ? AND seq = ?", (org, seq)).fetchone()[0]
    return found


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _new_year(year: int) -> str:
    """The year's first moment in China, as the journal writes moments, but without the Z: fractions of that second are later."""
    return iso(datetime(year, 1, 1, tzinfo=CHINA).astimezone(UTC)).removesuffix("Z")
