"""The service as a HIS meets it: on a real socket, before a simulated centre."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from adapter_core.config import load_config
from adapter_core.sidecar.desk import Desk
from adapter_core.sidecar.serving import serving
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import Hospital, config_text

TOKEN = "his-token-for-tests-0001"
CLIENTS = """
[http]
listen = "127.0.0.1:0"
console = "127.0.0.1:0"
operator_token_file = "operator.token"
drain = 0.2
[[clients]]
name = "his"
token_file = "his.token"
roles = ["his", "operator"]
hold_s = {hold_s}
unknown_as_504 = {as_504}
addresses = {addresses}
"""


def write_secret(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def clients(hold_s: float = 10.0, as_504: bool = False, addresses: str = "[]") -> str:
    """The part of a configuration that lets one HIS in, and the operators of the console."""
    return CLIENTS.format(hold_s=hold_s, as_504=str(as_504).lower(), addresses=addresses)


def configure(
    folder: Path,
    url: str,
    *,
    hold_s: float = 10.0,
    as_504: bool = False,
    addresses: str = "[]",
    query: str = "by_visit",
) -> Path:
    """A configured site with one client; gives the configuration file."""
    write_secret(folder / "his.token", TOKEN)
    path = folder / "his-adapter.toml"
    path.write_text(config_text(url, query) + clients(hold_s, as_504, addresses), "utf-8")
    return path


@dataclass
class Served:
    """One life of the service, and a HIS's connection to it."""

    desk: Desk
    url: str
    http: httpx.AsyncClient
    hospital: Hospital

    async def post(self, path: str, tree: Mapping[str, Any] | None = None, **more: Any) -> httpx.Response:
        body = b"" if tree is None else json.dumps(tree, ensure_ascii=False).encode()
        return await self.http.post(path, content=body, **more)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(path, **more)


@asynccontextmanager
async def served(centre: Simulator, config: Path, *, token: str = TOKEN) -> AsyncIterator[Served]:
    async with serving(load_config(config)) as running:
        [listener] = running.listeners
        url = f"http://{listener.address}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        hospital = Hospital(centre, running.desk.running, config.parent)
        # A configuration may not wait shorter for late commits than for a reply; a test may, where no reply is late.
        gateway = running.desk.running.place.gateway
        gateway.capabilities = replace(gateway.capabilities, late_commit_s=0.2)
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
            yield Served(running.desk, url, http, hospital)
