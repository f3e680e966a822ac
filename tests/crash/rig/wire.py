"""The wire between replicas and the simulated centre, with its eyes open: who sent what, and where on its way a message is.

Three places are the relay's own (``before read``, ``mid-reply``, ``after reply``), three are the simulator's hooks
(``after read``, ``before commit``, ``after commit``).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from urllib.parse import unquote

from adapter_core.values.moments import iso

from ..care import named

HOOKED: dict[str, tuple[str, ...]] = {
    "after read": ("hook({url})", "rst"),
    "before commit": ("hook({url})",),
    "after commit": ("commit", "hook({url})"),
}
"""Places inside the centre, and the simulator's actions that stop there.  What was read and no more never takes effect."""
OWN_PLACES = ("before read", "mid-reply", "after reply")
PLACES = (*OWN_PLACES, *HOOKED)


@dataclass(frozen=True, slots=True)
class Sent:
    """A whole request as it came from a replica.  person: his number at the centre, of the invented family his certificate's; life:
    who sent it; at: when its last byte was here."""

    msgid: str
    infno: str
    person: str
    sha256: str
    life: str
    at: str


Meet = Callable[[str, Sent], Awaitable[bool]]
"""What happens at a place of a message's way; whether its sender was killed there."""


async def _whole(reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """Head and body of one HTTP message with a length; None at the end of the stream, or when it breaks off."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        return head, await reader.readexactly(int(found[1]) if found else 0)
    except (asyncio.IncompleteReadError, OSError):
        return None


async def _written(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Raises: ConnectionError when the peer is gone."""
    if writer.is_closing():
        raise ConnectionResetError
    writer.write(data)
    await writer.drain()


class Server:
    """Something that listens on a port of its own."""

    port: int
    line_max = 64 * 1024

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._quietly, "127.0.0.1", 0, limit=self.line_max)
        self._serving: set[asyncio.Task[None]] = set()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _quietly(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A peer that is gone is nobody's fault here."""

        async def serve() -> None:
            try:
                with contextlib.suppress(OSError):
                    await self.serve(reader, writer)
            finally:
                writer.close()

        task = asyncio.get_running_loop().create_task(serve())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class Relay(Server):
    """In front of one replica.  life: tells who sends now; meet: called at the relay's own places."""

    def __init__(self, centre_port: int, life: Callable[[], str], meet: Meet) -> None:
        self.log: list[Sent] = []
        self._centre_port = centre_port
        self._life = life
        self._meet = meet

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await _whole(reader)) is not None:
            sent = self._noted(request[1])
            await self._meet("before read", sent)  # whoever was killed here: its message goes on
            reply = await self._forwarded(*request)
            if not reply:
                return
            half = len(reply) // 2
            await _written(writer, reply[:half])
            if await self._meet("mid-reply", sent):
                return
            await _written(writer, reply[half:])
            if await self._meet("after reply", sent):
                return

    def _noted(self, body: bytes) -> Sent:
        said = named(body)
        sent = Sent(
            said.msgid, said.number, said.person, hashlib.sha256(body).hexdigest(), self._life(), iso(datetime.now(UTC))
        )
        self.log.append(sent)
        return sent

    async def _forwarded(self, head: bytes, body: bytes) -> bytes:
        """The centre's reply; nothing where it closed without one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._centre_port)
        try:
            writer.write(head + body)
            reply = await _whole(reader)
            return b"".join(reply) if reply else b""
        finally:
            writer.close()


class HookPost(Server):
    """Where the simulator's hooks are delivered: ``POST /after%20commit`` with ``{"infno", "msgid"}``."""

    def __init__(self, meet: Callable[[str, str], Awaitable[bool]]) -> None:
        self._meet = meet

    def action(self, action: str, place: str) -> str:
        return action.format(url=f"http://127.0.0.1:{self.port}/{place.replace(' ', '%20')}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _whole(reader)
        if request is not None:
            place = unquote(request[0].split(b" ")[1].decode()).removeprefix("/")
            await self._meet(place, json.loads(request[1])["msgid"])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
