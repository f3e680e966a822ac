"""``his-adapter serve`` as a process: start, the machine's own commands, drain, a killed worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapter_core import supervisor
from adapter_core.ledger.sealing import create_master_key
from adapter_core.simulator.faults import read_rules
from adapter_core.simulator.server import Simulator
from adapter_core.simulator.truth import truth_of
from tests.flow.hospital import message
from tests.flow.served import TOKEN, configure

CLI = [sys.executable, "-c", "from adapter_core.cli import main; main()"]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
PATIENCE_S = 30.0

pytestmark = pytest.mark.skipif(not supervisor.POSSIBLE, reason="on Windows the service manager is the parent")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A served site: parent and worker."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        port, console = free_port(), free_port()
        path = configure(folder, url)
        text = path.read_text("utf-8")
        text = text.replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{port}"')
        text = text.replace('console = "127.0.0.1:0"', f'console = "127.0.0.1:{console}"').replace(
            "drain = 0.2", "drain = 15"
        )
        path.write_text(text, "utf-8")
        self.url, self.console = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{console}"
        self.parent = subprocess.Popen(
            [*CLI, "serve"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_until(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not holds():
            assert self.parent.poll() is None, self.parent.stderr.read() if self.parent.stderr else ""
            assert time.monotonic() < until
            time.sleep(0.02)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def worker(self) -> int:
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.parent.pid)], capture_output=True, text=True, check=True
        )
        return int(listed.stdout.split()[0])

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*CLI, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60)


@contextmanager
def process(folder: Path, url: str) -> Iterator[Process]:
    create_master_key(folder / "master.key")
    one = Process(folder, url)
    try:
        one.wait_until(one.is_ready)
        yield one
    finally:
        one.parent.terminate()
        one.parent.communicate(timeout=PATIENCE_S)


async def test_the_machines_own_commands_go_through_the_service(centre: Simulator, tmp_path: Path) -> None:
    def story() -> None:
        with process(tmp_path, centre.url) as service:
            (tmp_path / "visit.json").write_text(json.dumps(message()), "utf-8")
            settled = service.command("settle", "visit.json", "--json")
            assert settled.returncode == 0, settled.stderr
            assert json.loads(settled.stdout)["state"] == "SETTLED"
            (tmp_path / "other.json").write_text(json.dumps(message(settle_key="K2")), "utf-8")
            held = service.command("settle", "other.json")
            assert held.returncode == 3
            assert "VISIT_HELD" in held.stderr
            assert service.command("show", "K1").returncode == 0
            voided = service.command("void", "K1", "--reason", "开错药")
            assert (voided.returncode, "已退费" in voided.stdout) == (0, True), voided.stderr
            assert (tmp_path / "operator.token").stat().st_mode & 0o077 == 0
            metrics = httpx.get(f"{service.console}/metrics", headers=HEADERS, trust_env=False)
            assert 'his_adapter_cases_total{province="national",purpose="settle",state="SETTLED"} 1.0' in metrics.text
            assert "测试甲" not in metrics.text
            assert httpx.get(f"{service.console}/metrics", trust_env=False).status_code == 401
            assert httpx.get(f"{service.url}/metrics", headers=HEADERS, trust_env=False).status_code == 404

    await asyncio.to_thread(story)
    assert [one["state"] for one in truth_of(centre.world)["settlements"]] == ["refunded"]


async def test_a_killed_worker_comes_back_and_a_stop_lets_the_call_under_way_end(
    centre: Simulator, tmp_path: Path
) -> None:
    def ask(service: Process, tree: dict[str, Any]) -> httpx.Response:
        return httpx.post(f"{service.url}/v1/settlements", json=tree, headers=HEADERS, trust_env=False, timeout=60)

    def story() -> None:
        with process(tmp_path, centre.url) as service:
            first = ask(service, message())
            worker = service.worker()
            os.kill(worker, signal.SIGKILL)
            service.wait_until(lambda: service.is_ready() and service.worker() != worker)
            assert ask(service, message()).content == first.content

            centre.set_rules(read_rules([{"infno": "2207", "actions": ["delay(1)"]}]))
            seen = len(centre.entries)
            with ThreadPoolExecutor(1) as cashier:
                asking = cashier.submit(ask, service, message(settle_key="K2", visit_key="V2"))
                service.wait_until(lambda: any(entry.infno == "2207" for entry in centre.entries[seen:]))
                service.parent.terminate()
                second = asking.result()
            assert (second.status_code, second.json()["state"]) == (200, "SETTLED")
            assert service.parent.wait(PATIENCE_S) == 0

    await asyncio.to_thread(story)
    assert [one["state"] for one in truth_of(centre.world)["settlements"]] == ["settled", "settled"]
