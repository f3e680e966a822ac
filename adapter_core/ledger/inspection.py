"""Looking into a ledger from outside: check the file and its chains, or list the journal, also while the service
writes.
"""

from __future__ import annotations

import base64
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from adapter_core.ledger import binding, sqlite_file
from adapter_core.ledger import projections as sql
from adapter_core.ledger.anchors import Anchored, AnchorVerdict
from adapter_core.ledger.chain import Link, Verdict
from adapter_core.ledger.sealing import DataKeys, MasterKey, bound_to
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.ledger.transaction import unpack_event
from adapter_core.settlement.records import Change, Event
from adapter_core.values.errors import ConfigError, LedgerDamaged, LedgerUnavailable
from adapter_core.values.moments import Clock, iso

PAGE_ROWS = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inspection:
    """``file``: what SQLite says of the file's pages, "" when they are whole; ``chains``: one verdict per org; ``anchors``: one per
    file of anchors."""

    file: str
    chains: tuple[Verdict, ...]
    anchors: tuple[AnchorVerdict, ...] = ()

    @property
    def is_whole(self) -> bool:
        anchored = not any(one.faults for one in self.anchors)
        return not self.file and anchored and all(chain.is_whole for chain in self.chains)


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads unsealed events, and with what.  Journalled as a READ event where the ledger can be written."""

    keys: MasterKey
    reader: str
    clock: Clock


def verify(path: Path, keys: MasterKey | None = None, anchored: Anchored | None = None) -> Inspection:
    """Check the file and every chain; with the master key also that the chains' heads were written under it, with anchors that
    nothing was cut off.

    Raises: ConfigError when there is no such ledger, a newer one, or another key's.
    """
    connection = sqlite_file.connect_reader(path)
    try:
        meta = sqlite_file.read_meta(connection)
        binding.check_current(meta)
        if keys is not None:
            binding.check_key(meta, keys)

        def link_of(org: str, seq: int) -> bytes | None:
            row = connection.execute(sql.SELECT_LINK, (org, seq)).fetchone()
            return row[0] if row else None

        chains = tuple(sqlite_file.verify_chains(connection, keys))
        return Inspection(sqlite_file.quick_check(connection), chains, anchored.check(link_of) if anchored else ())
    except LedgerDamaged as exc:
        return Inspection(str(exc), ())
    except sqlite3.DatabaseError as exc:
        return Inspection(str(exc), ())
    finally:
        connection.close()


def export(path: Path, reading: Reading | None = None) -> Iterator[dict[str, Any]]:
    """The journal as rows for JSON, org by org in order: ``org seq at kind case_id encounter_id hash``.

    With ``reading`` also ``data`` (numbers as exact text) and ``raw`` (base64), after the reading itself was
    journalled.
    Raises: ConfigError, LedgerDamaged (a row that doesn't unseal).
    """
    connection = sqlite_file.connect_reader(path)
    try:
        meta = sqlite_file.read_meta(connection)
        binding.check_current(meta)
        keys = None
        if reading is not None:
            binding.check_key(meta, reading.keys)
            _journal_reading(path, meta["environment"], sorted(sqlite_file.read_heads(connection)), reading)
            keys = sqlite_file.data_keys(connection, reading.keys)
        for org in sorted(sqlite_file.read_heads(connection)):
            for link in _pages(connection, org):
                yield exported_row(org, link, keys)
    finally:
        connection.close()


def _pages(connection: sqlite3.Connection, org: str) -> Iterator[Link]:
    """In short reads: a long one would keep the writer from reusing its log."""
    last = 0
    while rows := connection.execute(
        sql.SELECT_LINKS + "WHERE org = ? AND seq > ? ORDER BY seq LIMIT ?", (org, last, PAGE_ROWS)
    ).fetchall():
        yield from map(Link._make, rows)
        last = rows[-1][0]


def exported_row(org: str, link: Link, keys: DataKeys | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "org": org,
        "seq": link.seq,
        "at": link.at,
        "kind": link.kind,
        "case_id": link.case_id,
        "encounter_id": link.encounter_id,
        "hash": link.hash.hex(),
    }
    if keys is not None:
        data, raw = unpack_event(keys.of(link.key_id).unseal(link.sealed, bound_to(org, "journal", link.seq)))
        row["data"] = _numbers_as_text(data)
        row["raw"] = base64.b64encode(raw).decode()
    return row


def _numbers_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers_as_text(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


def _journal_reading(path: Path, environment: str, orgs: list[str], reading: Reading) -> None:
    """A service that has the ledger open keeps us from writing: then the log alone says who read."""
    event = Event("READ", iso(reading.clock.wall()), data={"reader": reading.reader, "what": "export of the journal"})
    try:
        with SqliteLedger.open(
            path, reading.keys, environment=environment, clock=reading.clock, ballast_bytes=0
        ) as ledger:
            for org in orgs:
                ledger.commit_now(Change(org, events=(event,)))
    except (ConfigError, LedgerDamaged, LedgerUnavailable) as exc:
        _log.warning("%s reads the journal unsealed, which can't be journalled: %s", reading.reader, exc)
