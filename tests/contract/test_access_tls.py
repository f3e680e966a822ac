"""Certificates of callers over real TLS: known by their fingerprint, and only when our own authority issued them."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import Config, load_config
from adapter_core.sidecar.access import Access
from adapter_core.sidecar.access.certificates import server_tls
from adapter_core.sidecar.door import Door
from adapter_core.sidecar.limits import Caps, Limits, Receive, Scope, Send
from adapter_core.sidecar.serving import Listener, bind
from adapter_core.values.errors import ConfigError

from .hostile import Authority

CONFIG = """
[institution]
fixmedins_code = "H36010000001"
fixmedins_name = "测试医院"
admdvs = "360100"
[gateway]
url = "http://127.0.0.1:9"
plain_http = "contract test"
[http]
tls_certificate_file = "{certificate}"
tls_key_file = "{key}"
client_ca_file = "{authority}"
[[clients]]
name = "old-his"
roles = ["his"]
certificate_sha256 = ["{fingerprint}"]
"""


async def whoami(scope: Scope, receive: Receive, send: Send) -> None:
    caller = scope["state"]["caller"]
    body = json.dumps([caller.name, caller.proved_by]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Site:
    """An authority of ours and a foreign one, a configured service, and two callers it issued certificates to."""

    def __init__(self, folder: Path) -> None:
        for name in ("ours", "foreign"):
            (folder / name).mkdir()
        self.ours, self.foreign = Authority(folder / "ours", "ours"), Authority(folder / "foreign", "foreign")
        self.certificate, self.key = self.ours.issue("service")
        self.key.chmod(0o600)
        self.known, self.unknown = self.ours.issue("old-his"), self.ours.issue("somebody")
        der = ssl.PEM_cert_to_DER_cert(self.known[0].read_text())
        (folder / "his-adapter.toml").write_text(
            CONFIG.format(
                certificate=self.certificate,
                key=self.key,
                authority=self.ours.file,
                fingerprint=sha256(der).hexdigest(),
            ),
            "utf-8",
        )
        self.config: Config = load_config(folder / "his-adapter.toml")

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        bound = bind("127.0.0.1:0")
        access = Access.of(self.config, SystemClock())
        app = Limits(Door(whoami, access, "127.0.0.1:0"), Caps())
        listener = Listener(app, bound, Caps(), 1.0, server_tls(self.config))
        task = asyncio.create_task(listener.run_until_told())
        while not listener.started:
            await asyncio.sleep(0)
        try:
            yield bound.getsockname()[1]
        finally:
            listener.should_exit = True
            await task
            bound.close()

    async def ask(self, port: int, papers: tuple[Path, Path] | None) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=str(self.ours.file))
        if papers is not None:
            context.load_cert_chain(*papers)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"GET /v1/settlements HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        reply = await reader.read()
        writer.close()
        head, _, body = reply.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_a_certificate_is_known_by_its_fingerprint(site: Site) -> None:
    async with site.listening() as port:
        assert await site.ask(port, site.known) == (200, ["old-his", "certificate"])
        for papers in (site.unknown, None):
            status, told = await site.ask(port, papers)
            assert (status, told["code"]) == (401, "CREDENTIAL_MISSING")
        with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
            await site.ask(port, site.foreign.issue("old-his"))


def test_a_key_that_others_can_read_or_half_a_configuration_stops_the_start(site: Site) -> None:
    assert server_tls(site.config)["ssl_cert_reqs"] is ssl.CERT_OPTIONAL
    site.key.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read it"):
        server_tls(site.config)
    text = (site.config.folder / "his-adapter.toml").read_text("utf-8")
    half = "\n".join(line for line in text.splitlines() if not line.startswith("tls_key_file"))
    (site.config.folder / "half.toml").write_text(half, "utf-8")
    with pytest.raises(ConfigError, match="belong together"):
        server_tls(load_config(site.config.folder / "half.toml"))
