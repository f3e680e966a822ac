"""``resolve``: a worker that keeps asking about every case in doubt, under a parent that starts it anew when it hangs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from adapter_core import supervisor
from adapter_core.bootstrap.assembly import Adapter, adapter
from adapter_core.cli.app import EXIT
from adapter_core.cli.showing import STATE_ZH
from adapter_core.config import load_config
from adapter_core.operations.machine import on_stop
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import OWNED, State

RESCAN_S = 30.0
FINAL = frozenset({EXIT[name] for name in ("done", "usage", "bad_input", "pending", "damaged")})
"""Exit codes of a worker that meant to end.  Any other one, or none, starts it anew."""
WORKER = "from adapter_core.cli import main; main()"


async def resolve_cases(config: Path, forever: bool, as_json: bool) -> int:
    """The parent where there can be one; under a parent, or on Windows, the worker."""
    if supervisor.is_supervised() or not supervisor.POSSIBLE:
        return await _work(config, forever, as_json)
    patience = supervisor.Patience(silence_s=load_config(config).settings.timers.heartbeat)
    options = [*(["--forever"] if forever else []), *(["--json"] if as_json else [])]
    command = [sys.executable, "-c", WORKER, "resolve", "--config", str(config), *options]
    code = await supervisor.supervise(command, patience, FINAL)
    return code if code >= 0 else EXIT["pending"]


async def _work(config: Path, forever: bool, as_json: bool) -> int:
    stop = asyncio.Event()
    on_stop(stop.set)
    report = Report(as_json)
    async with adapter(load_config(config), observer=report.changed) as running:
        tried: set[str] = set()
        while True:
            left = await open_cases(running)
            report.progress(left)
            undecided = {case.case_id for case in left if case.state in OWNED}
            if stop.is_set() or not (forever or undecided):
                break
            await _stopped(stop, RESCAN_S, running.pipeline.settled_down())
            undecided &= {case.case_id for case in await open_cases(running) if case.state in OWNED}
            if undecided <= tried if undecided else forever:  # a driver that failed is not tried again at once
                await _stopped(stop, RESCAN_S)
            if not stop.is_set():
                tried = set(await running.pipeline.resume(running.places))
    return EXIT["pending"] if left else EXIT["done"]


async def open_cases(running: Adapter) -> list[Case]:
    """What is not decided at the institutions served here: in doubt, or waiting for a person."""
    found = await running.ledger.cases_in(sorted({*OWNED, State.FROZEN}))
    return [case for case in found if running.places(case.org) is not None]


async def _stopped(stop: asyncio.Event, limit_s: float, *sooner: Coroutine[Any, Any, None]) -> None:
    """Wait until told to stop, or for so long, or until something else is done."""
    waiting = [asyncio.create_task(one) for one in (stop.wait(), *sooner)]
    await asyncio.wait(waiting, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    for one in waiting:
        one.cancel()


class Report:
    """One line per change, and how many are left whenever that changed.  Names cases by their work order only."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._told: dict[str, str] = {}
        self._counts: Counter[str] | None = None

    def changed(self, event: Mapping[str, str]) -> None:
        case_id, state = event["case_id"], event["state"]
        if self._told.get(case_id) == state:
            return
        self._told[case_id] = state
        row = {"case_id": case_id, "state": state, "at": event["at"]}
        self._say(row, f"工单 {case_id[:10].upper()}：{STATE_ZH.get(state, state)}")

    def progress(self, left: list[Case]) -> None:
        counts = Counter(str(case.state) for case in left)
        if counts == self._counts:
            return
        self._counts = counts
        listed = "，".join(f"{STATE_ZH.get(state, state)} {count} 笔" for state, count in sorted(counts.items()))
        self._say({"left": dict(counts)}, f"尚余：{listed}" if listed else "没有未决业务")

    def _say(self, row: Mapping[str, object], text: str) -> None:
        with contextlib.suppress(OSError):  # whoever read along has gone; the cases go on
            print(json.dumps(row, ensure_ascii=False) if self._as_json else text, flush=True)
