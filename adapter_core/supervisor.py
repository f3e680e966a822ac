"""A small parent and its one worker: a worker whose event loop stands still is killed and started anew.

A plugin that hangs can't be stopped from within its own process, so a hung plugin is a crashed worker, and what became of each
case is decided by the next one from the ledger.  The parent opens no ledger and no socket.

The worker's event loop writes a byte every second into a pipe it inherits (`heartbeat`).  On Windows the service manager is the
parent: it restarts what ends, and `supervise` isn't for there; the module can be imported all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

PIPE = "HIS_ADAPTER_HEARTBEAT"
"""Environment variable: the number of the descriptor that the worker's heartbeats are written to."""
BEAT_S = 1.0
POSSIBLE = sys.platform != "win32"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds.  silence_s: after the first heartbeat, a worker silent for so long is killed; start_s: as long may it take to the
    first one (a large ledger is checked before); pause_s: before the first restart, doubling up to pause_max_s; a worker that
    lived longer than pause_max_s begins with the short pause again."""

    silence_s: float = 10.0
    start_s: float = 600.0
    pause_s: float = 1.0
    pause_max_s: float = 60.0


def is_supervised() -> bool:
    """Whether a parent counts this process's heartbeats."""
    return PIPE in os.environ


@contextlib.asynccontextmanager
async def heartbeat() -> AsyncIterator[None]:
    """Beats while the block runs, when a parent listens.  A parent that is gone is as good as its SIGTERM."""
    pipe = os.environ.get(PIPE)
    if pipe is None:
        yield
        return
    beating = asyncio.create_task(_beat(int(pipe)))
    try:
        yield
    finally:
        beating.cancel()


async def _beat(pipe: int) -> None:
    os.set_inheritable(pipe, False)
    if sys.platform != "win32":  # there is no parent there, and before Python 3.12 no such call
        os.set_blocking(pipe, False)
    while True:
        try:
            os.write(pipe, b".")
        except BlockingIOError:
            pass  # the parent reads late, it is not gone
        except OSError:
            signal.raise_signal(signal.SIGTERM)
            return
        await asyncio.sleep(BEAT_S)


async def supervise(command: Sequence[str], patience: Patience, final: Collection[int] = (0,)) -> int:
    """Keep one worker alive until it ends by itself.

    SIGTERM and SIGINT are passed on; the worker may then take its time to drain, as long as it beats.
    final: exit codes that mean it meant to end.  Returns: the worker's exit code; minus the signal for one that had to be killed
    while it was told to stop.
    """
    told: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.put_nowait, number)
    pause_s = patience.pause_s
    try:
        while True:
            began = loop.time()
            worker = await _Worker.start(command)
            code = await worker.watch(patience, told)
            if code in final or worker.was_told:
                return code
            if loop.time() - began > patience.pause_max_s:
                pause_s = patience.pause_s
            _log.error("the worker ended with %s; it starts anew in %s s", code, pause_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await told.get()
                return code
            pause_s = min(2 * pause_s, patience.pause_max_s)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class _Worker:
    """One life of the worker."""

    def __init__(
        self, process: asyncio.subprocess.Process, beats: asyncio.StreamReader, pipe: asyncio.ReadTransport
    ) -> None:
        self.was_told = False
        self._process = process
        self._beats = beats
        self._pipe = pipe

    @classmethod
    async def start(cls, command: Sequence[str]) -> _Worker:
        ours, theirs = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                pass_fds=(theirs,),
                env={**os.environ, PIPE: str(theirs)},
                start_new_session=True,  # or a terminal's Ctrl-C reaches it twice: from the terminal and from here
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        beats = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(beats), os.fdopen(ours, "rb", 0)
        )
        return cls(process, beats, pipe)

    async def watch(self, patience: Patience, told: asyncio.Queue[signal.Signals]) -> int:
        """Until it ended, by itself or by our hand; its exit code."""
        passing_on = asyncio.create_task(self._pass_on(told))
        try:
            await self._listen(patience)
            async with asyncio.timeout(patience.silence_s):  # it closed its end of the pipe: it is ending
                return await self._process.wait()
        except TimeoutError:
            _log.error("no heartbeat of worker %s for too long: killed", self._process.pid)
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            return await self._process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            raise
        finally:
            passing_on.cancel()
            self._pipe.close()

    async def _listen(self, patience: Patience) -> None:
        """Until its end of the pipe is closed.  Raises: TimeoutError when it missed its beats."""
        patience_s = patience.start_s
        while True:
            async with asyncio.timeout(patience_s):
                if not await self._beats.read(1024):
                    return
            patience_s = patience.silence_s

    async def _pass_on(self, told: asyncio.Queue[signal.Signals]) -> None:
        while True:
            number = await told.get()
            self.was_told = True
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
