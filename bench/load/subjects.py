"""The adapters that are compared, each started as a hospital would run it, and what the processes of one cost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

HERE = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
COMPILED = Path(tempfile.gettempdir()) / "his-adapter-bench-bytecode"
"""Where a run keeps compiled modules; ``pip install`` compiles them, a checkout may forbid it."""
TOKEN = "bench-" + "0" * 58
CONFIG = """\
[institution]
fixmedins_code = "H44000000001"
fixmedins_name = "测试医院"
admdvs = "440800"
[institution.defaults]
"visit.caty" = "A03"
[ledger]
url = "{ledger}"
[http]
listen = "127.0.0.1:{port}"
console = "127.0.0.1:0"
calls_per_s = 100000.0
[[clients]]
name = "his"
token_file = "keys/his.token"
roles = ["his", "operator"]
[gateway]
kind = "national"
url = "{centre}"
plain_http = "bench"
connections = 256
queue = 256
"""


@dataclass
class Subject:
    """A running adapter.  pid: of its first process; its children belong to it."""

    name: str
    url: str
    pid: int
    headers: Mapping[str, str] = field(default_factory=dict)
    ready_s: float = 0.0

    def cpu_s(self) -> float:
        """User and system seconds of all its processes so far."""
        return sum(_cpu_s(pid) for pid in family(self.pid))

    def rss_mb(self) -> float:
        """Memory of all its processes now, shared pages counted once (PSS)."""
        return sum(_pss_kb(pid) for pid in family(self.pid)) / 1024


def family(pid: int) -> list[int]:
    found, fresh = [pid], [pid]
    while fresh:
        children: list[int] = []
        for one in fresh:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{one}/task").iterdir():
                    children += map(int, (task / "children").read_text().split())
        fresh = [one for one in children if one not in found]
        found += fresh
    return found


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _pss_kb(pid: int) -> int:
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(row.split()[1]) for row in rows if row.startswith("Pss:")), 0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def centre(delay_ms: float = 0.0) -> Iterator[str]:
    """The fast centre, in a process of its own; gives its address."""
    command = [sys.executable, str(HERE / "centre.py"), "--delay-ms", str(delay_ms)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        import json

        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.wait()


@contextmanager
def running(
    name: str, command: list[str], url: str, folder: Path, health: str, headers: Mapping[str, str], **environment: str
) -> Iterator[Subject]:
    began = time.perf_counter()
    log = (folder / f"{name}.log").open("wb")
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(COMPILED)}  # as an installation leaves it
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment, **compiled}, stdout=log, stderr=log, start_new_session=True
    )  # fmt: skip
    try:
        try:
            _wait_until_up(url + health, process)
        except RuntimeError as error:
            raise RuntimeError(f"{name} {error}: {Path(log.name).read_text('utf-8')[-2000:]}") from None
        yield Subject(name, url, process.pid, headers, time.perf_counter() - began)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def _wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            raise RuntimeError(f"ended with {process.returncode} before it answered")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2, trust_env=False).status_code in (200, 405):
                return
        time.sleep(0.05)  # outside the measured part
    raise RuntimeError("never answered")


@contextmanager
def ours(
    centre_url: str,
    folder: Path,
    ledger: str = "sqlite:///ledger.db",
    name: str = "his-adapter",
    master_key: Path | None = None,
) -> Iterator[Subject]:
    """`his-adapter serve`: every protection on, one process beside its small parent.  master_key: of a ledger that it shares."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "keys").mkdir(exist_ok=True)
    if master_key is not None:
        shutil.copy2(master_key, folder / "keys" / "master.key")
    token = folder / "keys" / "his.token"
    token.touch(0o600)
    token.write_text(TOKEN)
    port = free_port()
    (folder / "his-adapter.toml").write_text(CONFIG.format(port=port, centre=centre_url, ledger=ledger), "utf-8")
    command = [sys.executable, "-c", "from adapter_core.cli import main; main()", "serve"]
    headers = {"authorization": f"Bearer {TOKEN}"}
    with running(name, command, f"http://127.0.0.1:{port}", folder, "/readyz", headers) as subject:
        yield subject


@contextmanager
def flask(centre_url: str, folder: Path) -> Iterator[Subject]:
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--workers", "2", "--threads", "32", "--keep-alive", "60",
        "--bind", f"127.0.0.1:{port}", "--backlog", "1024", "bench.baselines.flask_adapter:app",
    ]  # fmt: skip
    with _baseline("flask", command, port, centre_url, folder) as subject:
        yield subject


@contextmanager
def fastapi(centre_url: str, folder: Path) -> Iterator[Subject]:
    port = free_port()
    command = [
        sys.executable, "-m", "uvicorn", "--workers", "2", "--port", str(port), "--log-level", "warning", "--no-access-log",
        "bench.baselines.fastapi_adapter:app",
    ]  # fmt: skip
    with _baseline("fastapi", command, port, centre_url, folder) as subject:
        yield subject


@contextmanager
def node_red(centre_url: str, folder: Path, modules: Path) -> Iterator[Subject]:
    home = folder / "node-red"
    shutil.copytree(HERE / "baselines" / "node_red", home, dirs_exist_ok=True)
    (home / "node_modules").symlink_to(modules)
    port = free_port()
    _prepare_journal(folder / "journal.db")
    command = [
        "node",
        str(modules / "node-red" / "red.js"),
        "--userDir",
        str(home),
        "--settings",
        str(home / "settings.js"),
    ]
    with running(
        "node-red", command, f"http://127.0.0.1:{port}", folder, "/readyz", {}, PORT=str(port), BENCH_CENTRE=centre_url,
        BENCH_JOURNAL=str(folder / "journal.db"), NODE_PATH=str(modules),
    ) as subject:  # fmt: skip
        yield subject


@contextmanager
def _baseline(name: str, command: list[str], port: int, centre_url: str, folder: Path) -> Iterator[Subject]:
    folder.mkdir(parents=True, exist_ok=True)
    _prepare_journal(folder / "journal.db")
    environment = {
        "BENCH_CENTRE": centre_url, "BENCH_JOURNAL": str(folder / "journal.db"), "PYTHONPATH": str(HERE.parent),
    }  # fmt: skip
    with running(name, command, f"http://127.0.0.1:{port}", folder, "/fsi/api", {}, **environment) as subject:
        yield subject


def _prepare_journal(path: Path) -> None:
    import sqlite3

    from bench.baselines.journal import SCHEMA

    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(SCHEMA)
        connection.commit()
