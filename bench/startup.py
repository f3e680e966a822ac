"""How long a person waits for the command line: whole processes, wall time, against a running simulated centre.

``make bench`` runs it and prints the table; nothing is asserted.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

RUNS = 10
MESSAGES = Path(__file__).parents[1] / "adapter_core" / "cli" / "demo" / "messages"
CONFIG = """\
[institution]
fixmedins_code = "H36000000001"
fixmedins_name = "测试医院"
admdvs = "360100"
[gateway]
kind = "jiangxi"
url = "http://{address}"
plain_http = "bench"
query_after_unknown = "by_visit"
[gateway.secret_files]
ak = "ak"
sk = "sk"
"""


def run(*arguments: str, folder: Path) -> float:
    """Seconds of one whole process."""
    began = time.perf_counter()
    command = [sys.executable, "-c", "from adapter_core.cli import main; main()", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def settle(folder: Path, number: int) -> float:
    """One 2620 message of a visit of its own."""
    template = (MESSAGES / "neusoft-jiangsu" / "2620.request.txt").read_bytes()
    name = f"{number}.2620.request.txt"
    (folder / name).write_bytes(
        template.replace(b"MZ0000001", b"MZ%07d" % number).replace(b"DJ000001", b"DJ%06d" % number)
    )
    return run("settle", "--dialect", "jiangxi-neusoft", name, folder=folder)


def main() -> None:
    rows: list[tuple[str, list[float]]] = []
    centre = subprocess.Popen(
        [sys.executable, "-m", "adapter_core.simulator", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert centre.stdout is not None
        address = centre.stdout.readline().strip().rsplit(" ", 1)[-1]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "his-adapter.toml").write_text(CONFIG.format(address=address), "utf-8")
            for secret in ("ak", "sk"):
                path = folder / secret
                path.touch(0o600)
                path.write_text(f"{secret}-test-0001", "utf-8")
            rows.append(("his-adapter --help", [run("--help", folder=folder) for _ in track(range(RUNS), "--help")]))
            rows.append(("settle one file, new ledger", [settle(folder, 1)]))
            times = [settle(folder, number) for number in track(range(2, 2 + RUNS), "settle")]
            rows.append(("settle one file, six calls", times))
    finally:
        centre.terminate()
        centre.wait()
    table = Table(title="Whole processes, seconds")
    for column in ("what", "runs", "min", "median", "max"):
        table.add_column(column)
    for what, times in rows:
        table.add_row(
            what, str(len(times)), *(f"{figure:.2f}" for figure in (min(times), statistics.median(times), max(times)))
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
