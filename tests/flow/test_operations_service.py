"""From nothing to a settled bill: `init`, `doctor`, `serve` as real processes, watched and stopped as a service manager would."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from adapter_core.config import load_config
from adapter_core.operations.chain_check import inspected
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import message

PROGRAM = (sys.executable, "-c", "from adapter_core.cli import main; main()")


async def run(folder: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def fetch(url: str, token: str = "", body: Any = None) -> tuple[int, str]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body, ensure_ascii=False).encode()

    def call() -> tuple[int, str]:
        request = urllib.request.Request(url, data, headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()

    return await asyncio.to_thread(call)


@pytest.mark.skipif(sys.platform == "win32", reason="stops the service with SIGTERM")
async def test_a_site_is_made_found_clean_served_watched_and_stopped(centre: Simulator, tmp_path: Path) -> None:
    code, said = await run(tmp_path, "init", "site", "--gateway", f"{centre.url}/fsi/api", "--code", "H36010000001")
    assert code == 0, said
    site = tmp_path / "site"
    code, said = await run(site, "doctor")
    assert code == 0, said
    environment = {**os.environ, "YB_HTTP__LISTEN": "127.0.0.1:0", "YB_HTTP__CONSOLE": "127.0.0.1:0"}
    with (tmp_path / "log").open("wb") as log:
        service = await asyncio.create_subprocess_exec(
            *PROGRAM, "serve", cwd=site, env=environment, stdout=asyncio.subprocess.PIPE, stderr=log
        )
        assert service.stdout is not None
        addresses = []
        try:
            while len(addresses) < 2:
                line = (await service.stdout.readline()).decode()
                assert line, (tmp_path / "log").read_text("utf-8")
                addresses += re.findall(r"http://\S+", line)
            his, console = addresses
            assert (await fetch(f"{his}/readyz"))[0] == 200
            token = (site / "keys" / "his.token").read_text("ascii").strip()
            tree = message()
            status, told = await fetch(f"{his}/v1/settlements", token, tree)
            assert (status, json.loads(told)["state"]) == (200, "SETTLED")
            _, metrics = await fetch(f"{console}/metrics", token)
            assert 'his_adapter_calls_total{class="N",province="national",result="APPLIED"} 1.0' in metrics
        finally:
            service.send_signal(signal.SIGTERM)
            await service.wait()
    assert service.returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    assert steps[-1]["infno"] == "2207"
    assert re.fullmatch("[0-9a-f]{16}", steps[-1]["patient"])
    assert "测试甲" not in (tmp_path / "log").read_text("utf-8")
    assert inspected(load_config(site / "his-adapter.toml")).is_whole
