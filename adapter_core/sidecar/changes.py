"""What wakes a feed that waits: some case changed in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping


class Changes:
    """Told by the pipeline's observer; waited for by feeds."""

    def __init__(self) -> None:
        self._next: asyncio.Event | None = None

    def changed(self, event: Mapping[str, str]) -> None:
        """The pipeline's observer."""
        if self._next is not None:
            self._next.set()
            self._next = None

    async def wait(self, limit_s: float) -> None:
        """Until the next change, or for so long."""
        if self._next is None:
            self._next = asyncio.Event()
        try:
            async with asyncio.timeout(limit_s):
                await self._next.wait()
        except TimeoutError:
            return
