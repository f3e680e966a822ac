"""A small share of `make crash`: real processes killed on both ledgers, and the books agree afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.contract.postgres_server import postgres_server

from .care import NATIONAL, TWO_PHASE
from .rig.rounds import play

SEED = 20261121
KILLS = 10
CARES = {"sqlite": NATIONAL, "two-phase on sqlite": (TWO_PHASE,), "postgresql": NATIONAL}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL, SIGSTOP and fork")


@pytest.mark.parametrize("ledger", CARES)
async def test_kills_lose_double_and_mistell_nothing(ledger: str, tmp_path: Path) -> None:
    kills = KILLS if ledger == "postgresql" else KILLS // 2
    server = postgres_server() if ledger == "postgresql" else None
    found = await play(tmp_path / "rig", kills, SEED, server, cares=CARES[ledger])
    if server is not None:
        server.drop_databases()
    assert {name: texts for name, texts in found.faults.items() if texts} == {}
    assert found.counts["SIGKILL"] >= kills
    assert found.counts["visits"] > 0
    assert found.counts["intents checked"] > 0
