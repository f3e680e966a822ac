"""``python -m tests.crash.rig``: kills real processes until enough are dead, and counts what became of the money."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from tests.contract.postgres_server import TestServer, postgres_server

from .audit import FAULTS, Findings
from .rounds import play

KILLS = 200
SHOWN_MAX = 20
KILLS_A_LINE = 20


def server_or_reason() -> TestServer | str:
    try:
        return postgres_server()
    except pytest.skip.Exception as skipped:
        return str(skipped)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help="SIGKILLs for each kind of ledger")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--ledger", choices=("sqlite", "postgresql", "both"), default="both")
    return parser.parse_args()


def main() -> int:
    logging.disable(logging.WARNING)  # or every audit says how old SQLite is
    chosen = _arguments()
    console = Console()
    console.print(f"seed {chosen.seed}")
    kinds = ["sqlite", "postgresql"] if chosen.ledger == "both" else [chosen.ledger]
    totals: dict[str, Findings] = {}
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        for kind in kinds:
            server = server_or_reason() if kind == "postgresql" else None
            if isinstance(server, str):
                console.print(f"postgresql: skipped: {server}")
                continue
            began = time.monotonic()
            with _counting(console, kind, chosen.kills) as killed:
                totals[kind] = asyncio.run(play(Path(folder) / kind, chosen.kills, chosen.seed, server, killed))
            totals[kind].counts["seconds"] = round(time.monotonic() - began)
            if server is not None:
                server.drop_databases()
    _show(console, totals)
    return int(not totals or any(any(found.faults.values()) for found in totals.values()))


@contextmanager
def _counting(console: Console, kind: str, kills: int) -> Iterator[Callable[[], None]]:
    """To be told of each kill: a bar on a terminal, a line now and then in a log."""
    numbers = itertools.count(1)
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console, transient=True) as progress:
        bar = progress.add_task(f"{kind}: SIGKILLs", total=kills)

        def killed() -> None:
            progress.advance(bar)
            number = next(numbers)
            if not console.is_terminal and number % KILLS_A_LINE == 0:
                console.print(f"{kind}: {number} of {kills} SIGKILLs after {progress.tasks[bar].elapsed or 0:.0f} s")

        yield killed


def _show(console: Console, totals: dict[str, Findings]) -> None:
    table = Table(title="What became of it", show_header=True)
    for heading in ("", *totals):
        table.add_column(heading)
    for name in sorted({name for found in totals.values() for name in found.counts}):
        table.add_row(name, *(str(found.counts[name]) for found in totals.values()))
    table.add_section()
    for name in FAULTS:
        numbers = [len(found.faults.get(name, ())) for found in totals.values()]
        table.add_row(name, *(f"[red]{number}[/]" if number else "0" for number in numbers))
    console.print(table)
    for kind, found in totals.items():
        for name, texts in found.faults.items():
            for text in texts[:SHOWN_MAX]:
                console.print(f"{kind}: {name}: {text}", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
