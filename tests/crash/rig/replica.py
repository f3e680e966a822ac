"""One replica of the adapter in a process of its own: composed by `bootstrap` as in production, on a ledger it may share, with
the HIS at the other end of one socket.  It can be killed from outside at any moment, and at a named point it kills itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_core.bootstrap import assembly
from adapter_core.bootstrap.assembly import Adapter
from adapter_core.cli.playing import play_message
from adapter_core.config import load_config
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.pipeline import Pipeline
from adapter_core.settlement.records import Change
from adapter_core.values.errors import AdapterError

from ..care import with_invented_family
from ..mortal import Diary, MortalLedger, MortalWire

LINE_MAX = 4 * 1024 * 1024
SMALL_BALLAST, SMALL_FLOOR = 1024 * 1024, 256 * 1024


@dataclass(frozen=True, slots=True)
class Shift:
    """folder: holds the configuration; diary: where passed points are written; his_port: where the HIS waits for the call;
    dies_at: the point of the end, "" for none; small_disk: the ledger's disk has room for a small reserve only."""

    folder: str
    diary: str
    his_port: int
    dies_at: str = ""
    small_disk: bool = False


class Registered(MortalLedger):
    """Also writes down under which name this life owns its cases."""

    async def commit(self, change: Change) -> int:
        for event in change.events:
            if event.kind == "CLAIMED":
                self._diary.note("owner", event.data["owner"])
        return await super().commit(change)


class DiaryHandler(logging.Handler):
    """What the adapter finds worth an alarm goes into the diary."""

    def __init__(self, diary: Diary) -> None:
        super().__init__(logging.ERROR)
        self._diary = diary

    def emit(self, record: logging.LogRecord) -> None:
        self._diary.note("alarm", self.format(record))


@contextlib.contextmanager
def _mortal(diary: Diary, small_disk: bool) -> Iterator[None]:
    """`assembly.adapter` as it is, but for the joint where ledger and wire meet the pipeline: there a life may end."""
    assembled, opened, forget = assembly.assembled, SqliteLedger.open, Pipeline._forget

    def noted(pipeline: Pipeline, case_id: str, done: asyncio.Task[None]) -> None:
        if not done.cancelled() and done.exception() is not None:
            diary.note("alarm", f"case {case_id}'s driver ended by {done.exception()!r}")
        forget(pipeline, case_id, done)

    def mortal(
        config: Any, loaded: Any, place: Any, ledger: Any, wire: Any, clock: Any, kept: Any = None, *more: Any
    ) -> Adapter:
        mortal_ledger: Any = Registered(kept or ledger, diary)
        mortal_wire: Any = MortalWire(wire, diary)
        return assembled(config, loaded, place, ledger, mortal_wire, clock, mortal_ledger, *more)

    def small(*named: Any, **more: Any) -> SqliteLedger:
        return opened(*named, ballast_bytes=SMALL_BALLAST, free_bytes_min=SMALL_FLOOR, **more)

    assembly.assembled = mortal
    Pipeline._forget = noted  # type: ignore[method-assign]
    if small_disk:
        SqliteLedger.open = small  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        assembly.assembled = assembled
        Pipeline._forget = forget  # type: ignore[method-assign]
        SqliteLedger.open = opened  # type: ignore[method-assign]


async def _answer(running: Adapter, asked: dict[str, Any]) -> dict[str, Any]:
    dialect = running.dialect("national")
    try:
        played = await play_message(running, dialect, "message", asked["message"].encode(), asked["wait_s"])
    except AdapterError as error:
        return {"refused": error.code, "why": str(error)}
    except Exception:
        return {"fault": traceback.format_exc()}
    if played.error is not None:
        return {"refused": played.error.code, "why": str(played.error)}
    assert played.answer is not None
    return {"answer": dialect.write_frame_file(played.answer).decode("utf-8")}


async def _work(shift: Shift, diary: Diary) -> None:
    answering: set[asyncio.Task[None]] = set()
    async with assembly.adapter(load_config(Path(shift.folder) / "his-adapter.toml")) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", shift.his_port, limit=LINE_MAX)

        async def answer(asked: dict[str, Any]) -> None:
            writer.write(json.dumps({"id": asked["id"], **await _answer(running, asked)}).encode() + b"\n")

        while line := await reader.readline():
            task = asyncio.create_task(answer(json.loads(line)))
            answering.add(task)
            task.add_done_callback(answering.discard)
        for task in answering:  # the HIS hung up: that ends a life that nothing else ended
            task.cancel()


def work(shift: Shift) -> int:
    """The exit status of a life that ended by itself."""
    logging.disable(logging.NOTSET)
    diary = Diary(shift.diary, shift.dies_at)
    logging.getLogger().handlers = [DiaryHandler(diary)]
    try:
        with_invented_family(shift.folder)
        with _mortal(diary, shift.small_disk):
            asyncio.run(_work(shift, diary))
    except AdapterError as error:
        diary.note("refused", [error.code, str(error)])
        return 3
    except BaseException:
        diary.note("error", traceback.format_exc())
        return 1
    return 0
