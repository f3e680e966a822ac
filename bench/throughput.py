"""Messages a second, waiting time, CPU and memory: this adapter beside two hand-written ones and Node-RED, in one run.

``make bench`` runs it.  The load generator and Node-RED come from npm into a folder of their own; without npm this part is
skipped, and says so.  Nothing is asserted: read ratios, both cores are shared with the generator and the centre.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.load import messages, subjects
from bench.load.subjects import Subject

HERE = Path(__file__).resolve().parent
JSON_TYPE = {"content-type": "application/json; charset=utf-8"}
XML_TYPE = {"content-type": "text/xml; charset=utf-8", "soapaction": '""'}
console = Console(width=150, record=True)


@dataclass(frozen=True)
class Figures:
    """One workload on one subject."""

    workload: str
    subject: str
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    rss_mb: float
    bad: int


@dataclass(frozen=True)
class Workload:
    """What is sent to one address.

    good: a text in every answer that says it was done; an answer without it is counted as bad.  before: what the HIS sent earlier
    of the same visits, to us only, not measured: the hand-written ones keep no visits.
    """

    name: str
    path: str
    headers: dict[str, str]
    good: str
    bodies: Callable[[], Iterable[str]]
    connections: int
    warm: int
    before: Callable[[], Iterable[str]] | None = None
    ours_only: bool = False


def workloads(share: float) -> list[Workload]:
    def count(whole: int) -> int:
        return max(20, int(whole * share))

    many, few, soap, uploads, visits = count(6000), count(400), count(1500), count(600), count(1500)
    warm = count(200) // 2
    return [
        Workload(
            "(a) settlement, 32 at once", "/fsi/api", JSON_TYPE, "setl_id",
            lambda: messages.settlements(many), 32, warm, lambda: messages.settlements(many, 0, "2206"),
        ),
        Workload(
            "(a) settlement, 1 at once", "/fsi/api", JSON_TYPE, "setl_id",
            lambda: messages.settlements(few, 500_000), 1, warm, lambda: messages.settlements(few, 500_000, "2206"),
        ),
        Workload(
            "(b) the same as SOAP, 32 at once", "/his/guangdong-soap", XML_TYPE, "errorcode&gt;0&lt;",
            lambda: messages.soap("0304", soap), 32, warm, lambda: messages.soap("0303", soap),
        ),
        Workload(
            "(c) 300 fee lines, 8 at once", "/fsi/api", JSON_TYPE, "med_chrgitm_type", lambda: messages.uploads(uploads), 8, warm // 4,
        ),
        Workload(
            "(d) whole visit, six calls, 32 at once", "/v1/settlements", JSON_TYPE, '"SETTLED"',
            lambda: messages.composites(visits), 32, warm, ours_only=True,
        ),
    ]  # fmt: skip


def fire(subject: Subject, workload: Workload, folder: Path, modules: Path) -> Figures:
    listed = list(workload.bodies())
    (folder / "bodies.ndjson").write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in listed), "utf-8")
    plan = {
        "url": subject.url + workload.path, "headers": {**workload.headers, **subject.headers}, "good": workload.good,
        "connections": workload.connections, "warm": workload.warm, "bodies": str(folder / "bodies.ndjson"),
        "modules": str(modules.parent),
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(plan))
    generator = subprocess.Popen(
        ["node", str(HERE / "load" / "generator.mjs"), str(folder / "plan.json")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert generator.stdin is not None
    assert generator.stdout is not None
    generator.stdout.readline()  # warmed up
    before = subject.cpu_s()
    with peak_of(subject) as peak:
        generator.stdin.write("go\n")
        generator.stdin.flush()
        result = json.loads(generator.stdout.readline())
    generator.wait()
    sent = result["sent"]
    bad = sent - result["good"]
    cpu_ms = (subject.cpu_s() - before) * 1000 / sent
    return Figures(
        workload.name, subject.name, sent / result["seconds"], result["p50_ms"], result["p99_ms"], cpu_ms, peak[0], bad
    )


@contextmanager
def peak_of(subject: Subject) -> Iterator[list[float]]:
    """The highest memory seen while the block runs."""
    peak, done = [subject.rss_mb()], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            peak[0] = max(peak[0], subject.rss_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def sent_before(subject: Subject, workload: Workload, folder: Path, modules: Path) -> None:
    """The HIS's earlier messages of the same visits, not measured."""
    if workload.before is not None:
        fire(
            subject,
            replace(workload, bodies=workload.before, connections=max(16, workload.connections), warm=0),
            folder,
            modules,
        )


Start = Callable[[str, Path], AbstractContextManager[Subject]]


def compared(modules: Path | None) -> dict[str, Start]:
    starts: dict[str, Start] = {"his-adapter": subjects.ours, "flask": subjects.flask, "fastapi": subjects.fastapi}
    if modules and (modules / "node-red").is_dir() and (modules / "node-red-node-sqlite").is_dir():
        starts["node-red"] = lambda url, folder: subjects.node_red(url, folder, modules)
    else:
        console.print("Node-RED or its sqlite node is not installed: its rows are left out", style="yellow")
    return starts


def measure(share: float, only: str, modules: Path) -> tuple[list[Figures], dict[str, float]]:
    rows: list[Figures] = []
    facts: dict[str, float] = {}

    with tempfile.TemporaryDirectory() as home, subjects.centre() as url:
        for name, start in compared(modules).items():
            if only and name not in only.split(","):
                continue
            folder = Path(home) / name
            folder.mkdir()
            if name == "his-adapter":
                with start(url, folder):
                    pass  # the first start compiles, as an installation does
            with start(url, folder) as subject:
                if name == "his-adapter":
                    facts["start to ready, s"] = subject.ready_s
                    facts["memory at rest, MB"] = subject.rss_mb()
                for one in workloads(share):
                    if name == "his-adapter":
                        sent_before(subject, one, folder, modules)
                    if name == "his-adapter" or not one.ours_only:
                        console.print(f"{name}: {one.name} …", style="dim")
                        rows.append(fire(subject, one, folder, modules))
    return rows, facts


def slow_centre(share: float, modules: Path) -> Figures:
    """256 callers, a centre that takes 800 ms: the bound is 320 a second."""
    with tempfile.TemporaryDirectory() as home, subjects.centre(800) as url, subjects.ours(url, Path(home)) as subject:
        count = 256 * max(20, int(40 * share))  # whole rounds, or the last one's empty places are counted as slowness
        workload = Workload(
            "256 callers, centre 800 ms",
            "/fsi/api",
            JSON_TYPE,
            "setl_id",
            lambda: messages.settlements(count),
            256,
            256,
            lambda: messages.settlements(count, 0, "2206"),
        )
        sent_before(subject, workload, Path(home), modules)
        return fire(subject, workload, Path(home), modules)


def replicas(share: float, modules: Path) -> list[Figures]:
    """Whole visits on one PostgreSQL: one adapter, then two that share the ledger and the load."""
    from psycopg.conninfo import conninfo_to_dict

    from adapter_core.ledger.sealing import create_master_key
    from tests.contract.postgres_server import _find_server

    server = _find_server()
    if isinstance(server, str):
        console.print(f"PostgreSQL is left out: {server}", style="yellow")
        return []
    rows: list[Figures] = []
    count = max(60, int(1000 * share))
    with tempfile.TemporaryDirectory() as home, subjects.centre() as url, contextlib.ExitStack() as parts:
        parts.callback(server.drop_databases)
        key = Path(home) / "master.key"
        create_master_key(key)
        for number in (1, 2):
            ledger = f"postgresql:///?{urlencode(conninfo_to_dict(server.new_database()))}"
            with contextlib.ExitStack() as running, ThreadPoolExecutor(number) as pool:
                folders = [Path(home) / f"{number}-{one}" for one in range(number)]
                started = [running.enter_context(subjects.ours(url, one, ledger, master_key=key)) for one in folders]
                shares = [_visits_of(one, count // number, 32 // number) for one in range(number)]
                console.print(f"PostgreSQL, {number} of them …", style="dim")
                fired = list(pool.map(fire, started, shares, folders, [modules] * number))
            rows.append(_together(f"{number} on PostgreSQL", fired))
    return rows


def _visits_of(one: int, count: int, connections: int) -> Workload:
    name = "(d) whole visit on PostgreSQL, 32 at once"
    start = one * 1_000_000
    return Workload(
        name,
        "/v1/settlements",
        JSON_TYPE,
        '"SETTLED"',
        lambda: messages.composites(count, start),
        connections,
        count // 10,
    )


def _together(name: str, fired: list[Figures]) -> Figures:
    """The figures of several that ran at the same time."""
    of_all = [
        sum(one.per_second for one in fired),
        *(max(times) for times in zip(*((one.p50_ms, one.p99_ms) for one in fired), strict=True)),
    ]
    cpu_ms = sum(one.cpu_ms for one in fired) / len(fired)
    return Figures(
        fired[0].workload, name, *of_all, cpu_ms, sum(one.rss_mb for one in fired), sum(one.bad for one in fired)
    )


def show(rows: list[Figures], facts: dict[str, float]) -> None:
    for workload in dict.fromkeys(row.workload for row in rows):
        some = [row for row in rows if row.workload == workload]
        best = max(row.per_second for row in some)
        peer = {row.subject: row for row in some}
        table = Table(
            "who",
            "messages/s",
            "",
            "p50 ms",
            "p99 ms",
            "CPU ms",
            "peak MB",
            "bad",
            "× Node-RED",
            "× Flask",
            title=workload,
        )
        for row in some:
            ratios = [
                f"{row.per_second / peer[one].per_second:.2f}" if one in peer else "" for one in ("node-red", "flask")
            ]
            table.add_row(
                row.subject, f"{row.per_second:.0f}", Bar(best, 0, row.per_second, width=24), f"{row.p50_ms:.0f}", f"{row.p99_ms:.0f}",
                f"{row.cpu_ms:.2f}", f"{row.rss_mb:.0f}", str(row.bad), *ratios,
            )  # fmt: skip
        console.print(table)
    for name, value in facts.items():
        console.print(f"{name}: {value:.2f}")


def npm_modules() -> Path | None:
    """The folder of npm's packages: ``BENCH_NODE_MODULES``, or bench/node_modules."""
    named = os.environ.get("BENCH_NODE_MODULES")
    modules = Path(named) if named else HERE / "node_modules"
    return modules if (modules / "autocannon").is_dir() and shutil.which("node") else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of messages")
    parser.add_argument("--only", default="", help="his-adapter, flask, fastapi, node-red; several with commas")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--text", type=Path, help="write the tables there, with their bars")
    arguments = parser.parse_args()
    modules = npm_modules()
    if modules is None:
        sys.stderr.write("skipped: the load generator needs Node.js and npm (npm install --prefix bench)\n")
        return
    rows, facts = measure(arguments.share, arguments.only, modules)
    if not arguments.only or "his-adapter" in arguments.only:
        rows.append(slow_centre(arguments.share, modules))
        rows += replicas(arguments.share, modules)
    console.export_text(clear=True)  # only the tables are kept
    show(rows, facts)
    if arguments.text:
        console.save_text(str(arguments.text))
    if arguments.json:
        kept: dict[str, Any] = {"rows": [row.__dict__ for row in rows], "facts": facts}
        arguments.json.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
