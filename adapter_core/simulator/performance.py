"""One request, performed: the actions of its rule in order, then the true answer if none of them ended it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from adapter_core.simulator.doors import Door, Inquiry
from adapter_core.simulator.faults import Action
from adapter_core.simulator.records import Answer
from adapter_core.simulator.wire import Connection, HttpReply, HttpRequest
from adapter_core.simulator.world import World

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
BOMB_SIZE = 50 * 1024 * 1024
GARBAGE = bytes(range(255, 127, -1)) + b'{"infcode":0,"output":'
HTML = "<!DOCTYPE html><html><head><title>502</title></head><body><h1>网关繁忙，请稍后再试</h1></body></html>"


@dataclass(slots=True)
class WireEntry:
    """One line of ``GET /_sim/wire``.  committed: whether this request changed the centre, also later."""

    at: str
    connection: int
    path: str
    size: int
    sha256: str
    infno: str = ""
    msgid: str = ""
    psn_no: str = ""
    infcode: str = ""
    actions: list[str] = field(default_factory=list)
    committed: bool = False


class Stage(Protocol):
    """What a performance may do to the whole centre."""

    world: World

    @property
    def url(self) -> str: ...

    def refuse_connections(self, seconds: float) -> None: ...

    def restart(self, *, forget: bool, spare: Connection) -> None: ...

    def later(self, seconds: float, performance: Performance) -> asyncio.Task[None]: ...


class Performance:
    """Runs once.  ``told`` is the centre's answer as soon as the request took effect."""

    def __init__(
        self, stage: Stage, connection: Connection, request: HttpRequest, door: Door, inquiry: Inquiry, entry: WireEntry
    ) -> None:
        self._stage = stage
        self._connection = connection
        self._request = request
        self._door = door
        self._inquiry = inquiry
        self._entry = entry
        self._told: Answer | None = None
        self._late: asyncio.Task[None] | None = None
        self._form: Action | None = None
        self._ended = False
        self._keep = request.keep_alive

    async def run(self, actions: tuple[Action, ...]) -> bool:
        """Whether the connection may carry another request."""
        self._entry.actions = [action.name for action in actions]
        for action in actions:
            await getattr(self, f"_{action.name}")(**action.arguments)
            if self._ended:
                return self._keep
        if self._late is not None:
            await self._late
        await self._say(self._door.write(self._inquiry, self.commit(), self._stage.world))
        return self._keep

    def commit(self) -> Answer:
        """Let the request take effect, once."""
        if self._told is None:
            self._told = self._door.act(self._inquiry, self._stage.world)
            self._entry.committed = self._told.committed
            self._entry.infcode = self._told.infcode
        return self._told

    async def _say(self, reply: HttpReply) -> None:
        """Send a reply in the wanted form.  The end."""
        self._ended = True
        form = self._form.name if self._form else ""
        arguments: Mapping[str, Any] = self._form.arguments if self._form else {}
        whole = reply.head(keep_alive=self._keep) + reply.body
        if form == "truncate":
            await self._connection.send_bytes(reply.head(keep_alive=False) + reply.body[: arguments["n"]])
            self._keep = False
        elif form == "drip":
            await self._connection.drip(whole, arguments["bytes_per_s"])
        else:
            await self._connection.send_bytes(whole * (2 if form == "dup_reply" else 1))

    def _close(self) -> None:
        self._ended, self._keep = True, False

    # effects

    async def _commit(self) -> None:
        self.commit()

    async def _commit_after(self, s: float) -> None:
        self._late = self._stage.later(s, self)

    async def _delay(self, s: float) -> None:
        await asyncio.sleep(s)

    async def _hook(self, url: str) -> None:
        if urlsplit(url).hostname not in LOOPBACK:
            return
        seen = {"infno": self._inquiry.infno, "msgid": self._inquiry.msgid, "committed": self._entry.committed}
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            try:
                await client.post(url, json=seen)
            except httpx.HTTPError:
                return

    async def _restart(self, forget: str) -> None:
        self._connection.reset()
        self._stage.restart(forget=bool(forget), spare=self._connection)
        self._close()

    # ends

    async def _refuse(self, s: float) -> None:
        """From now on nobody gets in.  Alone it drops this request too; after a commit the answer still goes out."""
        self._stage.refuse_connections(s)
        if self._told is None and self._late is None:
            await self._rst()

    async def _rst(self) -> None:
        self._connection.reset()
        self._close()

    # Here the request is read already: closing at accept can only be had by a rule that names none.
    _accept_close = _rst

    async def _drop(self) -> None:
        self._close()

    _read_close = _drop

    async def _hang(self, s: float | None) -> None:
        await self._connection.gone(s)
        self._close()

    async def _reply(self, status: int, headers: Mapping[str, str] | None, body: Any) -> None:
        pairs = tuple((str(name), str(value)) for name, value in (headers or {}).items())
        plain = (("Content-Type", "application/json;charset=utf-8"),)
        await self._say(HttpReply(str(body).encode(), status, pairs or plain))

    async def _garbage(self) -> None:
        await self._say(HttpReply(GARBAGE))

    async def _html(self) -> None:
        await self._say(HttpReply(HTML.encode(), headers=(("Content-Type", "text/html; charset=utf-8"),)))

    async def _gzipbomb(self) -> None:
        headers = (("Content-Type", "application/json;charset=utf-8"), ("Content-Encoding", "gzip"))
        await self._say(HttpReply(gzip_bomb(), headers=headers))

    async def _redirect(self) -> None:
        await self._say(HttpReply(status=302, headers=(("Location", f"{self._stage.url}{self._request.path}"),)))

    async def _other_reply(self, msgid: str) -> None:
        _, other = self._stage.world.answers.get(msgid, ("", None))
        if other is not None:
            await self._say(self._door.write(self._inquiry, other, self._stage.world))

    async def _error(self, infcode: Any, text: Any) -> None:
        self._entry.infcode = str(infcode)
        await self._say(self._door.write(self._inquiry, Answer(str(infcode), str(text)), self._stage.world))

    # forms

    async def _truncate(self, n: int) -> None:
        self._form = Action("truncate", {"n": n})

    async def _drip(self, bytes_per_s: float) -> None:
        self._form = Action("drip", {"bytes_per_s": bytes_per_s})

    async def _dup_reply(self) -> None:
        self._form = Action("dup_reply")


@cache
def gzip_bomb() -> bytes:
    """About 48 KB of gzip that become 50 MB."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * (1024 * 1024)
    parts = [packer.compress(block) for _ in range(BOMB_SIZE // len(block))]
    return b"".join(parts) + packer.flush()
