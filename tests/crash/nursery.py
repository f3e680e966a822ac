"""Where lives begin: a process that has everything imported, has no thread and no event loop, and forks once per life.

A fresh interpreter costs about a second, a fork some milliseconds: that is the difference between a few kills and all of them.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import socketserver
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from adapter_core.bootstrap.site import plugins
from adapter_core.province.gateway import Site
from adapter_core.province.national import national
from adapter_core.standard.codec import codec

from .mortal import Life, live
from .reckoning import Reckoning, reckon
from .rig.replica import Shift, work

ROOT = Path(__file__).parents[2]
KINDS = {"Life": (Life, live), "Shift": (Shift, work), "Reckoning": (Reckoning, reckon)}
"""What a life is born to, by the name of its description.  Both return the exit status of a life that ended by itself."""


class _Attendant(socketserver.StreamRequestHandler):
    """Starts one life, tells its process id, waits for its end, tells how it ended: the exit status, or minus the signal."""

    def handle(self) -> None:
        kind, described = json.loads(self.rfile.readline())
        description, run = KINDS[kind]
        child = os.fork()
        if not child:
            status = 1
            try:
                status = run(description(**described))
            finally:
                os._exit(status)  # whatever happened, the nursery goes on elsewhere
        self.wfile.write(b"%d\n" % child)
        _, status = os.waitpid(child, 0)
        self.wfile.write(b"%d\n" % os.waitstatus_to_exitcode(status))


class _Server(socketserver.ForkingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    max_children = 128


def serve() -> None:
    logging.disable(logging.WARNING)  # or every one of some hundred lives says how old SQLite is
    _warm_up()
    with _Server(("127.0.0.1", 0), _Attendant) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def _warm_up() -> None:
    """What a process loads once: the pipeline's modules, plugins, the plan, the standard's tables."""
    importlib.import_module("adapter_core.settlement.pipeline")  # `bootstrap` does so only when it builds one
    plugins()
    for step in national(Site("", "", "")).route.steps.values():
        codec(step.call)


@dataclass(frozen=True, slots=True)
class Born:
    """A life under way.  ended: its exit status, or minus the signal that ended it."""

    pid: int
    ended: asyncio.Task[int]


class Nursery:
    """The parent's side of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, "serve"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    async def live(self, life: Life | Reckoning) -> int:
        """Lives it; how it ended."""
        return await (await self.begin(life)).ended

    async def begin(self, life: Life | Shift | Reckoning) -> Born:
        """Begins it, and leaves it to itself."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(json.dumps([type(life).__name__, asdict(life)]).encode() + b"\n")
        pid = int(await reader.readline())

        async def ended() -> int:
            try:
                return int(await reader.readline())
            finally:
                writer.close()

        return Born(pid, asyncio.create_task(ended()))


if __name__ == "__main__":
    serve()
