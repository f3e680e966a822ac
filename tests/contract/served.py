"""The real service in processes of its own, before a simulated centre in another; spoken to over raw sockets."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import IO, Any

ORG = "H36010000001"
TOKEN = "token-not-real-his-0001"
HMAC_KEY = "hmac-key-not-real-0001"
CONFIG = """
environment = "test"
[institution]
fixmedins_code = "{org}"
fixmedins_name = "测试医院"
admdvs = "360100"
[institution.defaults]
"visit.caty" = "A03"
[ledger]
witness_file = "witness"
[http]
listen = "127.0.0.1:0"
console = "127.0.0.1:0"
head_deadline = 0.6
body_deadline = 0.8
connections = 40
drain = 2.0
[[clients]]
name = "his"
token_file = "keys/his.token"
hmac_key_files = {{ "his-2026" = "keys/his.hmac" }}
roles = ["his", "operator"]
[gateway]
kind = "national"
url = "{url}/fsi/api"
plain_http = "contract tests"
query_after_unknown = "by_visit"
[timers]
sync_wait = 5.0
"""
SERVES = r"serves http://127\.0\.0\.1:(\d+)"
RUN = "from adapter_core.cli import main; main()"


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"].startswith("application/problem+json"), self.body
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Process:
    """A process whose output is read line by line into ``said``."""

    arguments: list[str]
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.running = subprocess.Popen(
            [sys.executable, *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self._heard = threading.Condition()
        assert self.running.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.running.stdout,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            with self._heard:
                self.said.append(line)
                self._heard.notify_all()
        with self._heard:
            self.said.append("")
            self._heard.notify_all()

    def heard(self, pattern: str, times: int = 1) -> re.Match[str]:
        """The line that has the pattern, the last of so many; fails when the process ends, or after 20 s without it."""
        with self._heard:
            self._heard.wait_for(lambda: len(self._search(pattern)) >= times or "" in self.said, timeout=20)
        found = self._search(pattern)
        assert len(found) >= times, "".join(self.said)
        return found[times - 1]

    def _search(self, pattern: str) -> list[re.Match[str]]:
        return [found for line in self.said if (found := re.search(pattern, line))]

    def stop(self) -> None:
        self.running.terminate()
        try:
            self.running.wait(15)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
        self._reader.join(5)
        assert self.running.stdout is not None
        self.running.stdout.close()


@dataclass
class Served:
    """One service.  ``address``, ``console``: host and port of its listeners; ``centre``: of the simulated centre."""

    folder: Path
    process: Process
    address: tuple[str, int]
    console: tuple[str, int]
    centre: tuple[str, int]

    @property
    def worker(self) -> int:
        """The process id of the worker under its parent; the parent's own where there is none."""
        parent = self.process.running.pid
        children = Path(f"/proc/{parent}/task/{parent}/children")
        listed = children.read_text().split() if children.exists() else []
        return int(listed[0]) if listed else parent

    @property
    def peak_rss_mb(self) -> float:
        status = Path(f"/proc/{self.worker}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (("Content-Type", "application/json"),),
        token: str | None = TOKEN,
        address: tuple[str, int] | None = None,
    ) -> Answer:
        connection = HTTPConnection(*(address or self.address), timeout=20)
        sent = dict(headers)
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, body or None, sent)
            return answer_of(connection.getresponse())
        finally:
            connection.close()

    def post(self, path: str, tree: Any, **more: Any) -> Answer:
        return self.call("POST", path, json.dumps(tree).encode(), **more)

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(self.address, timeout=20) as connection:
            yield connection

    @contextmanager
    def crowd(self, count: int) -> Iterator[list[socket.socket]]:
        """Many connections at once."""
        with ExitStack() as all_of_them:
            yield [all_of_them.enter_context(self.connected()) for _ in range(count)]

    def rules(self, *rules: dict[str, Any]) -> None:
        connection = HTTPConnection(*self.centre, timeout=20)
        connection.request("POST", "/_sim/rules", json.dumps({"rules": rules}))
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        connection.close()


def answer_of(response: HTTPResponse) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def whole_reply(connection: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def answer_on(connection: socket.socket) -> Answer:
    response = HTTPResponse(connection)
    response.begin()
    return answer_of(response)


def write_key(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """A service in ``folder``, drained at the end."""
    centre = Process(["-m", "adapter_core.simulator", "--port", "0"])
    try:
        port = int(centre.heard(r"listening on 127\.0\.0\.1:(\d+)")[1])
        write_key(folder / "keys" / "his.token", TOKEN)
        write_key(folder / "keys" / "his.hmac", HMAC_KEY)
        (folder / "his-adapter.toml").write_text(CONFIG.format(org=ORG, url=f"http://127.0.0.1:{port}"), "utf-8")
        process = Process(["-c", RUN, "serve", "--config", str(folder / "his-adapter.toml")])
        try:
            process.heard(SERVES, times=2)
            own, console = (int(found[1]) for line in process.said if (found := re.search(SERVES, line)))
            yield Served(folder, process, ("127.0.0.1", own), ("127.0.0.1", console), ("127.0.0.1", port))
        finally:
            process.stop()
    finally:
        centre.stop()
