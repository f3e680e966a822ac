"""One life of the adapter's process, built through `bootstrap` on a ledger and a wire that can kill it at a named point.

Every point that is passed is written down as it is passed, so the parent sees where a life ended and which points there are:
``before X``, ``after X`` around each commit; ``gate N`` on the standing connection, before the first byte of transaction N;
``sent N`` when its bytes left and no reply was read; ``told n`` when the n-th message's answer was handed out.  A point met
again gets ``#2`` behind it, and so on.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import Adapter, assembled
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.site import gateway_endpoint, plugins, site_place
from adapter_core.centre.client import Centre
from adapter_core.centre.guarded import GuardedWire
from adapter_core.cli.playing import play_message
from adapter_core.config import Config, load_config
from adapter_core.ledger.sealing import read_master_key
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.province.dialect import Dialect
from adapter_core.settlement.answers import in_their_form, outcome_from
from adapter_core.settlement.records import Change
from adapter_core.settlement.states import TERMINAL
from adapter_core.values.frames import Frame
from adapter_core.values.moments import iso

from .care import named, with_invented_family

LONG_S = 25.0


@dataclass(frozen=True, slots=True)
class Life:
    """folder: holds the configuration and the ledger; diary: where passed points and answers are written;
    messages: files, played in order, none for a start alone; dies_at: the point of the end, "" for a life that ends by itself."""

    folder: str
    diary: str
    dialect: str
    messages: tuple[str, ...]
    dies_at: str = ""


class Diary:
    """Lines that outlive the process.  `passes` is where it dies."""

    def __init__(self, path: str, dies_at: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._dies_at = dies_at
        self._met: Counter[str] = Counter()

    def note(self, kind: str, value: Any) -> None:
        os.write(self._file, json.dumps([kind, value]).encode() + b"\n")

    def passes(self, point: str) -> None:
        self._met[point] += 1
        name = point if self._met[point] == 1 else f"{point} #{self._met[point]}"
        self.note("passed", name)
        if name == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalLedger:
    """A ledger whose process may die right before or right after any of its commits."""

    def __init__(self, ledger: Any, diary: Diary) -> None:
        self._ledger = ledger
        self._diary = diary
        self._numbers: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def commit(self, change: Change) -> int:
        step = self._step(change)
        self._diary.passes(f"before {step}")
        try:
            last = await self._ledger.commit(change)
        except Exception as error:
            self._diary.note("raised", repr(error))
            raise
        self._diary.passes(f"after {step}")
        return last

    def _step(self, change: Change) -> str:
        """What is committed, in the journal's words: ``INTENT 2207``, ``OUTCOME 2207 + TOLD SETTLED``."""
        words = []
        for event in change.events:
            msgid, number = event.data.get("msgid", ""), event.data.get("message", "")
            if msgid and number:
                self._numbers[msgid] = number
            words.append(f"{event.kind} {self._numbers.get(msgid) or event.data.get('state', '')}".strip())
        return " + ".join(words) or "records"


class MortalWire:
    """A wire whose process may die in the send gate, or when the bytes are out and no reply is in."""

    def __init__(self, wire: GuardedWire, diary: Diary) -> None:
        self._wire = wire
        self._diary = diary

    async def exchange(
        self, endpoint: str, frame: Frame, *, deadline_s: float, gate: Callable[[], None], money: bool, **more: Any
    ) -> Frame:
        said = named(frame.body)
        number = said.number

        def mortal_gate() -> None:
            self._diary.passes(f"gate {number}")
            gate()
            self._diary.note("out", [said.msgid, iso(datetime.now(UTC))])
            # Behind the gate the bytes are written without an await, so the loop's next turn finds them gone.
            asyncio.get_running_loop().call_soon(self._diary.passes, f"sent {number}")

        return await self._wire.exchange(endpoint, frame, deadline_s=deadline_s, gate=mortal_gate, money=money, **more)

    def may_retry(self, endpoint: str) -> bool:
        return self._wire.may_retry(endpoint)


@asynccontextmanager
async def mortal_adapter(config: Config, diary: Diary) -> AsyncIterator[Adapter]:
    """As `assembly.adapter`, without the ballast file."""
    loaded = plugins(config.settings.plugins)
    place = site_place(config, loaded)
    clock = SystemClock()
    master = read_master_key(config.master_key_path)
    centre = Centre([gateway_endpoint(config)])
    with SqliteLedger.open(
        config.ledger_path, master, environment=config.settings.environment, clock=clock, ballast_bytes=0
    ) as ledger:
        running = assembled(
            config, loaded, place, MortalLedger(ledger, diary), MortalWire(GuardedWire(centre, clock), diary), clock
        )
        try:
            yield running
        finally:
            await running.pipeline.close()
            await centre.aclose()


async def _stored_answer(running: Adapter, dialect: Dialect, name: str, raw: bytes) -> bytes | None:
    """The final answer to this message that the ledger, which knows one patient only, already holds."""
    operation = dialect.decode_request(dialect.read_frame_file(raw, name))
    purpose = "void" if operation.verb == "void" else "settle"
    told = [case.told for case in await running.ledger.cases_in(TERMINAL) if case.purpose == purpose and case.told]
    return dialect.write_frame_file(in_their_form(dialect, operation, outcome_from(told[-1]))) if told else None


async def _live(life: Life, diary: Diary) -> None:
    async with mortal_adapter(load_config(Path(life.folder) / "his-adapter.toml"), diary) as running:
        dialect = running.dialect(life.dialect)
        messages = [(Path(name).name, Path(name).read_bytes()) for name in life.messages]
        stored = await _stored_answer(running, dialect, *messages[-1]) if messages else None
        if stored is not None:
            diary.note("stored", base64.b64encode(stored).decode())
        await running.pipeline.resume(lambda org: running.place if org == running.place.org else None)
        for number, (name, raw) in enumerate(messages, 1):
            played = await play_message(running, dialect, name, raw, LONG_S)
            if played.error is not None:
                raise played.error
            assert played.answer is not None
            diary.note("answer", base64.b64encode(dialect.write_frame_file(played.answer)).decode())
            diary.passes(f"told {number}")
        await running.pipeline.settled_down()


def live(life: Life) -> int:
    """The exit status of a life that ended by itself."""
    diary = Diary(life.diary, life.dies_at)
    try:
        with_invented_family(life.folder)
        asyncio.run(_live(life, diary))
    except BaseException:
        diary.note("error", traceback.format_exc())
        return 1
    return 0
