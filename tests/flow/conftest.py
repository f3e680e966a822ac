"""A running adapter before a running simulated centre; after each story the invariants of `reliability.md` §12 are checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from adapter_core.bootstrap.assembly import adapter
from adapter_core.centre.client import Centre
from adapter_core.config import load_config
from adapter_core.ledger.sealing import create_master_key
from adapter_core.simulator.server import Simulator
from adapter_core.values.frames import Frame
from tests.flow.hospital import Hospital, IntentFirst, assert_invariants, config_text
from tests.flow.national_his import NationalHis
from tests.flow.served import Served, configure, served

Opening = Callable[..., Awaitable[Hospital]]
Window = tuple[Served, NationalHis]
ONLY_HERE = '["127.0.0.1/32"]'


@pytest.fixture
async def centre() -> AsyncIterator[Simulator]:
    async with Simulator() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path, centre: Simulator) -> Path:
    """A configured site: configuration, key, no ledger yet."""
    create_master_key(tmp_path / "master.key")
    (tmp_path / "his-adapter.toml").write_text(config_text(centre.url), "utf-8")
    return tmp_path


@pytest.fixture
def intents(folder: Path, monkeypatch: pytest.MonkeyPatch) -> IntentFirst:
    """Watches every frame on its way out."""
    watch = IntentFirst(folder / "ledger.db")
    exchange = Centre.exchange

    async def watched(self: Centre, endpoint: str, frame: Frame, **more: Any) -> Frame:
        watch.check(frame.body, sha256(frame.body).hexdigest())
        return await exchange(self, endpoint, frame, **more)

    monkeypatch.setattr(Centre, "exchange", watched)
    return watch


@asynccontextmanager
async def opened(centre: Simulator, folder: Path) -> AsyncIterator[Hospital]:
    """One life of the adapter in this folder."""
    async with adapter(load_config(folder / "his-adapter.toml")) as running:
        hospital = Hospital(centre, running, folder)
        # A configuration may not wait shorter for late commits than for a reply; a test may, where no reply is late.
        hospital.can(late_commit_s=0.2)
        yield hospital


@pytest.fixture
async def hospital(centre: Simulator, folder: Path, intents: IntentFirst) -> AsyncIterator[Hospital]:
    """The usual site: a centre that can be asked by visit."""
    async with opened(centre, folder) as one:
        yield one
    assert intents.missing == []
    assert_invariants(centre, folder)


@pytest.fixture
async def lives(centre: Simulator, folder: Path, intents: IntentFirst) -> AsyncIterator[Opening]:
    """For stories with restarts: ``await lives()`` stops the adapter that runs and starts it anew."""
    async with AsyncExitStack() as stack:

        async def start() -> Hospital:
            await stack.aclose()
            return await stack.enter_async_context(opened(centre, folder))

        yield start
    assert intents.missing == []
    assert_invariants(centre, folder)


@pytest.fixture
async def windows(centre: Simulator, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Window]]]:
    """``await windows(hold_s=…)``: a service bound to this machine's address, and a HIS that knows its URL only."""
    create_master_key(tmp_path / "master.key")
    async with AsyncExitStack() as stack:

        async def open_window(**settings: Any) -> Window:
            config = configure(tmp_path, centre.url, addresses=ONLY_HERE, **settings)
            service = await stack.enter_async_context(served(centre, config, token=""))
            return service, await stack.enter_async_context(NationalHis(f"{service.url}/fsi/api"))

        yield open_window
    assert_invariants(centre, tmp_path)
