"""How long a paper set takes to print, first and again, in a process of its own; ``--pictures`` draws the pages shown in the docs.

python -m bench.papers [--lines 300] [--pictures docs/how-to/pictures]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from adapter_core.paperwork import rendering
from tests.unit.paperwork_samples import document, printable

PAGES = {0: "paper-cover.png", 1: "paper-fee-list.png", -1: "paper-statement.png"}
"""Pages of a set of 40 lines → the pictures' names."""


def measured(lines: int) -> None:
    made = printable(document(count=lines))
    for second, name in enumerate(("first", "again")):
        # another time of issue, so that typst's own cache answers as little as in real life
        started, worked = time.perf_counter(), time.process_time()
        size = len(rendering.pdf("paper_set", {**made, "issued_at": f"2026-11-21 10:00:0{second}"}))
        wall, processor = time.perf_counter() - started, time.process_time() - worked
        print(f"{lines} lines, {name}: {wall:.2f} s (processor {processor:.2f} s), {size // 1024} KB", flush=True)


def draw(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pages = rendering.pictures("paper_set", printable(document("330100", count=40)), 58)
    for at, name in PAGES.items():
        (folder / name).write_bytes(pages[at])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=0)
    arguments.add_argument("--pictures", type=Path)
    asked = arguments.parse_args()
    if asked.pictures:
        draw(asked.pictures)
    elif asked.lines:
        measured(asked.lines)
    else:
        for lines in (3, 30, 300):
            subprocess.run([sys.executable, "-m", "bench.papers", "--lines", str(lines)], check=True)


if __name__ == "__main__":
    main()
