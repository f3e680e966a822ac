"""The simulated centre as a server: start it in a process of its own (`serve`) or inside a test (`Simulator`)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import TracebackType

from adapter_core.province.dialect import Dialect
from adapter_core.province.host import load_plugins
from adapter_core.simulator.bridge import PREFIX as BRIDGE
from adapter_core.simulator.bridge import BridgeDoor, NationalBridgeDoor
from adapter_core.simulator.control import PREFIX, control
from adapter_core.simulator.doors import (
    CsbDoor,
    Door,
    Inquiry,
    KeyDoor,
    Keys,
    NationalDoor,
    OneCsbDoor,
    TifDoor,
    Turned,
    XcaDoor,
)
from adapter_core.simulator.faults import RuleBook
from adapter_core.simulator.legacy import SOAP_PATH, LegacyDoor, wsdl_reply
from adapter_core.simulator.performance import LOOPBACK, Performance, WireEntry
from adapter_core.simulator.wire import Connection, HttpReply, HttpRequest
from adapter_core.simulator.world import World
from adapter_core.values.moments import iso

ENTRIES_KEPT = 100_000
BACKLOG = 1024
SOAP_DIALECT = "guangdong"
"""The SOAP path serves the first loaded dialect whose name begins so."""

log = logging.getLogger(__name__)


class CentreClock:
    """The machine's clock, whose wall time may be set still for repeatable demonstrations."""

    def __init__(self) -> None:
        self.still: datetime | None = None

    def mono(self) -> float:
        return time.monotonic()

    def wall(self) -> datetime:
        return self.still or datetime.now(UTC)


class Simulator:
    """One simulated centre on one port.  ``async with Simulator() as centre: … centre.url``.

    dialects: served under ``/legacy/{name}``; keys: what the signed doors accept.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        port: int = 0,
        host: str = "127.0.0.1",
        dialects: Mapping[str, Dialect] | None = None,
        keys: Keys | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.clock = CentreClock()
        self.world = World(self.clock, seed)
        self.rules = RuleBook()
        self.keys = keys or Keys()
        self.dialects = dict(dialects or {})
        self._doors = self._open_doors()
        self._entries: deque[WireEntry] = deque(maxlen=ENTRIES_KEPT)
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._late: set[asyncio.Task[None]] = set()
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._accepted = 0
        self._reopening: asyncio.TimerHandle | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def listening(self) -> bool:
        """Whether connections are accepted just now."""
        return self._listener is not None

    @property
    def entries(self) -> list[WireEntry]:
        """Every business request so far, oldest first."""
        return list(self._entries)

    # life

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Bind and accept; port 0 becomes the bound one.  Raises: OSError when the port is taken."""
        self._listen()

    async def close(self) -> None:
        """Stop accepting, cut every connection, forget late commits."""
        if self._reopening is not None:
            self._reopening.cancel()
        accepting = self._stop_listening()
        tasks = [*self._connections.values(), *self._late, *([accepting] if accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _listen(self) -> None:
        self._reopening = None
        listener = socket.socket()
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
        except OSError:
            listener.close()
            raise
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._accepting = asyncio.get_running_loop().create_task(self._accept(listener))

    def _stop_listening(self) -> asyncio.Task[None] | None:
        accepting, self._accepting = self._accepting, None
        if accepting is not None:
            accepting.cancel()
        if self._listener is not None:
            # Now, not when the cancelled accept wakes up: by then another socket may have this descriptor.
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        return accepting

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, peer = await loop.sock_accept(listener)
            self._accepted += 1
            connection = Connection(sock, self._accepted, loopback=peer[0] in LOOPBACK)
            task = loop.create_task(self._serve(connection))
            self._connections[connection] = task
            task.add_done_callback(partial(self._leave, connection))

    def _leave(self, connection: Connection, task: asyncio.Task[None]) -> None:
        """Also for a task that was cancelled before it began."""
        self._connections.pop(connection, None)
        connection.close()

    # one connection

    async def _serve(self, connection: Connection) -> None:
        try:
            begun = await self._begin(connection)
            async for request in connection.requests(begun):
                if not await self._exchange(connection, request):
                    return
        except OSError:
            return  # the peer is gone, or a rule cut it off
        except Exception:
            log.exception("simulated centre: a request failed")

    async def _begin(self, connection: Connection) -> bytes:
        """Let rules that name no request act before a byte is answered.  The control side is always let in."""
        if not any(rule.at_connection for rule in self.rules.rules):
            return b""
        begun = await connection.peek(10)
        if begun.split(b" ")[-1].startswith(b"/_si"):
            return begun
        for action in self.rules.for_connection():
            if action.name == "refuse":
                self.refuse_connections(float(action.arguments["s"]))
            connection.reset()
            raise ConnectionAbortedError
        return begun

    async def _exchange(self, connection: Connection, request: HttpRequest) -> bool:
        if request.path.startswith(PREFIX):
            reply = control(self, request) if connection.loopback else HttpReply(status=403)
            await connection.send(reply, keep_alive=request.keep_alive)
            return request.keep_alive
        door = self._door(request.path)
        if door is None or (request.method == "GET" and request.query.lower() == "wsdl"):
            reply = wsdl_reply(self.url + request.path) if door is not None else HttpReply(status=404)
            await connection.send(reply, keep_alive=request.keep_alive)
            return request.keep_alive
        entry = WireEntry(
            at=iso(self.clock.wall()),
            connection=connection.number,
            path=request.path,
            size=len(request.body),
            sha256=hashlib.sha256(request.body).hexdigest(),
        )
        self._entries.append(entry)
        try:
            inquiry = door.read(request, self.world)
        except Turned as turned:
            await connection.send(turned.reply, keep_alive=request.keep_alive)
            return request.keep_alive
        _name(entry, inquiry)
        actions = self.rules.for_request(inquiry.infno, inquiry.psn_no)
        return await Performance(self, connection, request, door, inquiry, entry).run(actions)

    def _open_doors(self) -> dict[str, Door]:
        doors: dict[str, Door] = {
            "/fsi/api": NationalDoor(),
            "/CSB": CsbDoor(self.keys),
            "=/CSB": OneCsbDoor(self.keys, 10, named=False),
            "/isp-api/powercsb": OneCsbDoor(self.keys, 13, named=True),
            "/uif-hsaf-med-api/api/medical/service": KeyDoor(self.keys),
            "/mss/web/api/fsi/callService": NationalDoor(),
            "/ebus": TifDoor(self.keys),
            "/xca": XcaDoor(self.keys),
            "/gjptqzyy-prod": KeyDoor(self.keys),
            "/gjptqzyy-test": KeyDoor(self.keys),
        }
        doors[f"{BRIDGE}/json"] = NationalBridgeDoor()
        for name, dialect in self.dialects.items():
            doors[f"/legacy/{name}"] = legacy = LegacyDoor(dialect)
            doors[f"{BRIDGE}/{name}"] = BridgeDoor(legacy)
        soap = next((name for name in sorted(self.dialects) if name.startswith(SOAP_DIALECT)), None)
        if soap is not None:
            doors[SOAP_PATH] = doors[f"/legacy/{soap}"]
        return doors

    def _door(self, path: str) -> Door | None:
        """The door at this address; one named ``=…`` has nothing below it and goes before all others."""
        whole = path.rstrip("/")
        exact = self._doors.get(f"={whole}")
        below = (door for prefix, door in self._doors.items() if whole == prefix or path.startswith(prefix + "/"))
        return exact or next(below, None)

    # what rules and the control side may do

    def reset(self, seed: int) -> None:
        """A new world from this seed; no rules, no temperament, an empty wire log."""
        self.world = World(self.clock, seed)
        self._doors = self._open_doors()
        self._entries.clear()
        self.set_rules(RuleBook())

    def set_rules(self, rules: RuleBook) -> None:
        """Replace all rules; a refusal of connections that runs ends now."""
        self.rules = rules
        if self._reopening is not None:
            self._reopening.cancel()
            self._listen()
        if rules.closes is not None:
            self.refuse_connections(rules.closes)

    def set_time(self, now: datetime | None) -> None:
        """Stand the wall clock still, or let it run again."""
        self.clock.still = now

    def refuse_connections(self, seconds: float) -> None:
        """Nobody listens for so long: connecting is refused.  Standing connections stay."""
        self._stop_listening()
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = asyncio.get_running_loop().call_later(seconds, self._listen)

    def restart(self, *, forget: bool, spare: Connection) -> None:
        """As if the centre's process had died: every connection is cut, sign-ins and late commits are gone.

        forget: so is everything else since the seed.
        """
        for connection, task in self._connections.items():
            if connection is not spare:
                connection.reset_on_close()
                task.cancel()
        for late in self._late:
            late.cancel()
        self.world.sign_ins.clear()
        if forget:
            temperament = self.world.temperament
            self.world = World(self.clock, self.world.seed)
            self.world.temperament = temperament
            self._doors = self._open_doors()

    def later(self, seconds: float, performance: Performance) -> asyncio.Task[None]:
        """Let a request take effect later, whatever becomes of its connection."""

        async def take_effect() -> None:
            await asyncio.sleep(seconds)
            performance.commit()

        task = asyncio.get_running_loop().create_task(take_effect())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return task


def _name(entry: WireEntry, inquiry: Inquiry) -> None:
    entry.infno, entry.msgid, entry.psn_no = inquiry.infno, inquiry.msgid, inquiry.psn_no


def loaded_dialects() -> dict[str, Dialect]:
    """Every dialect of the installed plugins, with its default options."""
    plugins = load_plugins()
    return {name: plugins.dialect(name) for name in plugins.dialect_names()}


def serve(
    port: int = 9090,
    seed: int = 1,
    ready: Callable[[Simulator], None] | None = None,
    host: str = "127.0.0.1",
) -> None:
    """Serve until interrupted.  ready: called once when bound; without it one line names the address on stdout.

    Raises: OSError when the port is taken.
    """

    async def run() -> None:
        async with Simulator(seed=seed, port=port, host=host, dialects=loaded_dialects()) as centre:
            (ready or _announce)(centre)
            await asyncio.Event().wait()

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return


def _announce(centre: Simulator) -> None:
    print(f"listening on {centre.host}:{centre.port}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m adapter_core.simulator --port 0``."""
    parser = argparse.ArgumentParser(prog="his-adapter simulate", description="模拟医保中心（仅供演练，数据全部虚构）")
    parser.add_argument("--port", type=int, default=9090, help="0 = any free port")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--host", default="127.0.0.1")
    chosen = parser.parse_args(arguments)
    serve(chosen.port, chosen.seed, host=chosen.host)
