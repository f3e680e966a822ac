"""Nonces outlive the process that heard them, in a file of its own or in the database that replicas share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapter_core.ledger.nonces import FORGET_EVERY, REMEMBERED_S, NonceFile, SharedNonces
from adapter_core.ledger.sealing import MasterKey
from adapter_core.values.errors import ConfigError
from tests.clocks import HandClock

from .postgres_server import TestServer, postgres_server

MASTER = MasterKey(bytes(range(32)))


async def test_a_nonce_is_remembered_across_a_restart_and_forgotten_in_time(tmp_path: Path) -> None:
    clock, path = HandClock(), tmp_path / "nonces"
    first = NonceFile(path, clock)
    assert path.stat().st_mode & 0o777 == 0o600
    assert await first.is_new("key", "n1")
    assert not await first.is_new("key", "n1")
    assert await first.is_new("other", "n1")
    first.close()
    clock.now += timedelta(seconds=REMEMBERED_S)
    second = NonceFile(path, clock)
    assert not await second.is_new("key", "n1")
    clock.now += timedelta(seconds=1)
    for n in range(FORGET_EVERY):
        assert await second.is_new("key", f"m{n}")
    assert await second.is_new("key", "n1")
    second.close()


def test_a_file_that_is_no_database_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "nonces").write_text("something else" * 100)
    with pytest.raises(ConfigError, match="can't be used"):
        NonceFile(tmp_path / "nonces", HandClock())


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    found = postgres_server()
    yield found
    found.drop_databases()


async def test_replicas_share_their_nonces(server: TestServer) -> None:
    pytest.importorskip("psycopg_pool", reason="psycopg-pool is not installed")
    from adapter_core.ledger.postgres import PostgresLedger

    clock, url = HandClock(), server.new_database()
    async with (
        await PostgresLedger.open(url, MASTER, environment="test", clock=clock) as one,
        await PostgresLedger.open(url, MASTER, environment="test", clock=clock) as two,
    ):
        nonces = SharedNonces(one, clock), SharedNonces(two, clock)
        heard = await asyncio.gather(*(nonces[n % 2].is_new("key", "n1") for n in range(8)))
        assert sorted(heard) == [False] * 7 + [True]
        clock.now += timedelta(seconds=REMEMBERED_S)
        assert not await nonces[1].is_new("key", "n1")
        clock.now += timedelta(seconds=1)
        assert await nonces[0].is_new("other", "n2")  # forgets what has ended
        assert await nonces[1].is_new("key", "n1")
