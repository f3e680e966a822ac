"""Troubles beside the kills: the database's, and a disk that fills up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.contract.postgres_server import TestServer

from .season import Season

END_BACKENDS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
)
ANSWERS_BETWEEN = 8
DISK_BYTES = 24 * 1024 * 1024
CHUNK = 64 * 1024


def as_url(conninfo: str) -> str:
    """A database's address in the form the configuration takes."""
    from psycopg.conninfo import conninfo_to_dict

    parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None}
    return f"postgresql:///{parts.pop('dbname')}?{urlencode(parts)}"


class Database:
    """The server that the seasons share.  It restarts under load as after a power cut; everybody feels that."""

    def __init__(self, server: TestServer, chance: random.Random) -> None:
        self.seasons: list[Season] = []
        self._server = server
        self._chance = chance
        self._turn = asyncio.Lock()

    async def trouble(self, season: Season) -> AsyncGenerator[None]:
        """Now and then every connection is ended by the server, more seldom the server itself.  In between messages are answered:
        on a busy machine a start takes longer than the pause."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(1.0, 4.0)):
                    await season.enough.wait()
            if await _any_answers(season, ANSWERS_BETWEEN):
                return
            all_troubled = not any(one.enough.is_set() for one in self.seasons)
            if self._server.process is not None and all_troubled and self._chance.random() < 0.3:
                async with self._turn:
                    await self._restart()
                season.findings.counts["database: immediate restart"] += 1
            else:
                await season.cut_connections()
            yield

    def add(self, season: Season) -> None:
        from psycopg.conninfo import conninfo_to_dict

        name = conninfo_to_dict(str(season.ledger_place))["dbname"]

        async def cut() -> None:
            async with self._turn:  # not while it restarts
                ended = await asyncio.to_thread(self._server.execute, END_BACKENDS.format(name=name))
            season.findings.counts["database: connections killed"] += len(ended)

        season.cut_connections = cut
        self.seasons.append(season)

    async def _restart(self) -> None:
        process = self._server.owned()
        restart = [str(process.bin_path / "pg_ctl"), "-w", "-D", str(process.pgdata), "-m", "immediate", "-l",
                   str(process.log), "restart"]  # fmt: skip
        for season in self.seasons:
            season.serving.clear()
        try:
            await asyncio.to_thread(
                subprocess.run, restart, check=True, user=process.system_user, stdout=subprocess.DEVNULL, cwd="/"
            )
        finally:
            for season in self.seasons:
                season.serving.set()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[str]:
    """A disk of its own at the folder; the text says why there is none, "" when there is."""
    if sys.platform != "linux" or os.geteuid():
        yield "only root may mount a tmpfs"
        return
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        yield f"mount says: {done.stderr.strip()}"
        return
    try:
        yield ""
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def disk_trouble(season: Season) -> AsyncGenerator[None]:
    """The disk fills up twice: the first time the ledger gives up its ballast, the second time there is none left."""
    filler = season.folder / "filler"
    try:
        while True:
            for _ in range(2):
                if await _any_answers(season, ANSWERS_BETWEEN):
                    return
                _fill(filler)
                season.findings.counts["disk full"] += 1
            if await _any_answers(season, ANSWERS_BETWEEN):
                return
            filler.unlink()
            season.kill_all("disk was full")  # a ledger that met an I/O error stops, and so must its process
            yield
    finally:
        filler.unlink(missing_ok=True)
        season.kill_all("disk was full")


async def _any_answers(season: Season, number: int) -> bool:
    """Wait for so many more answers of whatever kind; whether there were enough kills meanwhile."""
    until = season.findings.counts["messages"] + number
    while season.findings.counts["messages"] < until and not season.enough.is_set():
        await season.answered()
    return season.enough.is_set()


def _fill(filler: Path) -> None:
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        block: Any = bytes(CHUNK)
        while True:
            file.write(block)
