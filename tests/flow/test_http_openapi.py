"""The OpenAPI document is what the service does: schemathesis asks everything in it, with what it says and with what it doesn't."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from adapter_core.ledger.sealing import create_master_key
from adapter_core.sidecar.openapi import PAGE, document_bytes
from adapter_core.simulator.server import Simulator
from tests.flow.served import TOKEN, configure, served

EXAMPLES = 5
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class Running(threading.Thread):
    """A centre and a service in a loop of their own: schemathesis is no coroutine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.url = ""
        self.is_up = threading.Event()
        self._folder = folder
        self._ended = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with Simulator() as centre, served(centre, configure(self._folder, centre.url, hold_s=2.0)) as service:
            self.url = service.url
            self.is_up.set()
            await self._ended.wait()

    def end(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._ended.set)
        self.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("site")
    create_master_key(folder / "master.key")
    thread = Running(folder)
    thread.start()
    assert thread.is_up.wait(30)
    yield thread
    thread.end()


def test_no_surprise_anywhere(running: Running) -> None:
    """No 5xx, no undocumented status, no answer of another shape, whatever is asked."""
    document = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    asked = set()
    for found in document.get_all_operations():
        operation = found.ok()
        asked.add(operation.label)

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        )
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(
                base_url=running.url, headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS, timeout=30
            )

        ask()
    assert {"POST /v1/settlements", "POST /his/{dialect}", "POST /fsi/api", "GET /v1/events"} <= asked


def test_the_kept_document_is_fresh() -> None:
    assert PAGE.read_bytes().replace(b"\r\n", b"\n") == document_bytes(), "python -m adapter_core.sidecar.openapi"


def test_the_document_is_served_to_anybody(running: Running) -> None:
    response = httpx.get(f"{running.url}/openapi.json", trust_env=False)
    assert (response.status_code, response.json()["openapi"]) == (200, "3.1.0")
