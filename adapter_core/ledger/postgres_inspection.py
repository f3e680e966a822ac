"""Looking into a ledger on PostgreSQL: `inspection` for the other database.  Blocking; call outside of an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from adapter_core.ledger import binding, postgres_setup
from adapter_core.ledger import projections as sql
from adapter_core.ledger.anchors import Anchored
from adapter_core.ledger.inspection import Inspection, Reading, exported_row
from adapter_core.ledger.postgres import PostgresLedger
from adapter_core.ledger.postgres_session import PATIENCE_S, connection_settings, native, unavailable
from adapter_core.ledger.sealing import DataKeys, MasterKey
from adapter_core.settlement.records import Change, Event
from adapter_core.values.moments import iso


def verify(url: str, keys: MasterKey | None = None, anchored: Anchored | None = None) -> Inspection:
    """Check every chain; with the master key also that the chains' heads were written under it, with anchors that nothing was cut
    off.

    Raises: ConfigError when there is no such ledger, one of another version, or another key's; LedgerUnavailable.
    """
    with _connected(url) as connection:
        meta = postgres_setup.existing_meta(connection)
        if keys is not None:
            binding.check_key(meta, keys)

        def link_of(org: str, seq: int) -> bytes | None:
            row = connection.execute(native(sql.SELECT_LINK), (org, seq)).fetchone()
            return row[0] if row else None

        chains = tuple(postgres_setup.verify_chains(connection, keys))
        return Inspection("", chains, anchored.check(link_of) if anchored else ())


def export(url: str, reading: Reading | None = None) -> Iterator[dict[str, Any]]:
    """The journal as rows for JSON, as `inspection.export` gives them.  Replicas may be writing: an unsealed export is
    always journalled first, or refused.

    Raises: ConfigError, LedgerDamaged, LedgerUnavailable.
    """
    with _connected(url) as connection:
        meta = postgres_setup.existing_meta(connection)
        orgs = sorted(row[0] for row in connection.execute(sql.SELECT_HEADS))
        keys = None
        if reading is not None:
            binding.check_key(meta, reading.keys)
            asyncio.run(_journal_reading(url, meta["environment"], orgs, reading))
            keys = _data_keys(connection, reading.keys)
        for org in orgs:
            with connection.transaction():
                for link in postgres_setup.links(connection, org):
                    yield exported_row(org, link, keys)


@contextmanager
def _connected(url: str) -> Iterator[postgres_setup.Connection]:
    try:
        with psycopg.connect(**connection_settings(url, PATIENCE_S, read_only=True)) as connection:
            yield connection
    except psycopg.Error as exc:
        raise unavailable(exc) from exc


def _data_keys(connection: postgres_setup.Connection, master: MasterKey) -> DataKeys:
    def load(key_id: int) -> tuple[str, bytes] | None:
        found: tuple[str, bytes] | None = connection.execute(native(sql.SELECT_DATA_KEY), (key_id,)).fetchone()
        return found

    return DataKeys(master, load)


async def _journal_reading(url: str, environment: str, orgs: list[str], reading: Reading) -> None:
    event = Event("READ", iso(reading.clock.wall()), data={"reader": reading.reader, "what": "export of the journal"})
    async with await PostgresLedger.open(url, reading.keys, environment=environment, clock=reading.clock) as ledger:
        for org in orgs:
            await ledger.commit(Change(org, events=(event,)))
