"""A line to PostgreSQL that breaks exactly at COMMIT: before it arrives, after it, too late, or by falling silent."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

COMMIT = b"COMMIT\x00"  # how it ends in the protocol's simple query


class Line:
    """One client's way to the server.  is_mute: what the server says goes to ``unheard`` instead of the client."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.is_mute = False
        self.unheard: asyncio.Queue[bytes] = asyncio.Queue()

    async def pump(self, reader: asyncio.StreamReader) -> None:
        """Server to client; b"" is put when the server hangs up."""
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                if self.is_mute:
                    self.unheard.put_nowait(chunk)
                else:
                    self.client.write(chunk)
                    await self.client.drain()
        self.unheard.put_nowait(b"")
        self.client.close()


class Proxy:
    """fault: what happens to the next COMMIT, once.

    swallow: it never arrives and the line breaks.  mute: it arrives, the line breaks before the answer.  hold: the
    line breaks, and `release` delivers it later.  silence: it arrives, and nothing ever comes back.
    is_closed: new connections are refused, and those that stand break after the fault.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._upstream = conninfo_to_dict(url)
        self._held: list[tuple[Line, bytes]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = make_conninfo(url, host=str(folder), port=5432, sslmode="disable")
        self.fault = ""
        self.is_closed = False
        self.commits = 0

    async def _open_upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = str(self._upstream.get("host") or "localhost"), int(self._upstream.get("port") or 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.append(writer)
        if not self.is_closed:
            up_reader, up_writer = await self._open_upstream()
            self._writers.append(up_writer)
            line = Line(writer, up_writer)
            self._tasks.add(asyncio.create_task(line.pump(up_reader)))
            with contextlib.suppress(ConnectionError):
                if not await self._forward(reader, line):
                    up_writer.close()
        writer.close()

    async def _forward(self, reader: asyncio.StreamReader, line: Line) -> bool:
        """Client to server until one hangs up.  True when the way to the server is held open."""
        while chunk := await reader.read(65536):
            is_commit = chunk.endswith(COMMIT)
            self.commits += is_commit
            fault, self.fault = (self.fault, "") if is_commit else ("", self.fault)
            if self.is_closed and not (fault or self.fault):
                return False  # a connection the pool kept in hand is no way around
            line.is_mute = line.is_mute or bool(fault)
            if fault == "swallow":
                return False
            if fault == "hold":
                self._held.append((line, chunk))
                return True
            line.server.write(chunk)
            await line.server.drain()
            if fault == "mute":
                await line.unheard.get()
                return False
        return False

    async def release(self) -> list[bytes]:
        """Deliver the held COMMITs; what the server said on those lines until it hung up."""
        answers = []
        for line, chunk in self._held:
            with contextlib.suppress(ConnectionError):
                line.server.write(chunk)
                await line.server.drain()
            answer = b""
            while said := await line.unheard.get():
                answer += said
            answers.append(answer)
        self._held.clear()
        return answers

    async def end(self) -> None:
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


@contextlib.asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[Proxy]:
    with tempfile.TemporaryDirectory(prefix="pgp-") as folder:
        proxy = Proxy(url, Path(folder))
        server = await asyncio.start_unix_server(proxy.serve, f"{folder}/.s.PGSQL.5432")
        try:
            yield proxy
        finally:
            server.close()
            await proxy.end()
