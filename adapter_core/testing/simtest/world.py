"""What every simulated part shares: time, faults, counters, the nodes' life and death."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from adapter_core.testing.simtest.faults import Faults
from adapter_core.testing.simtest.loop import Node, SimLoop


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that didn't hold; at: seconds of virtual time."""

    invariant: str
    text: str
    at: float


class World:
    """One case's outside.  ``later`` runs callbacks that outlive every node."""

    def __init__(self, seed: int, faults: Faults, began: datetime, *, traced: bool = False) -> None:
        self.loop = SimLoop(seed)  # type: ignore[abstract]  # what it lacks raises, as it should
        self.faults = faults
        self.random = Random(seed ^ 0x776F726C64)
        self.began = began
        self.counts: Counter[str] = Counter()
        self.violation: Violation | None = None
        self.pause_max = 60.0
        self.on_death: Callable[[Node], None] = lambda node: None
        self.trace: list[str] | None = [] if traced else None
        self.outside = contextvars.copy_context()

    @property
    def now(self) -> float:
        return self.loop.time()

    def wall(self) -> datetime:
        """True time, as the centre's own clock shows it."""
        return self.began + timedelta(seconds=self.loop.time())

    def later(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        self.loop.call_later(delay, callback, *args, context=self.outside)

    def spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        """A task of the world's own: a HIS, never a node."""
        return self.loop.create_task(coroutine, context=self.outside)

    async def pause(self, seconds: float) -> None:
        """Waits in the caller's own context."""
        done = self.loop.create_future()
        self.later(seconds, _wake, done)
        await done

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def note(self, text: Callable[[], str]) -> None:
        """One line of the trace; the text is made only when somebody reads it."""
        if self.trace is not None:
            self.trace.append(f"{self.loop.time():12.4f} {text()}")

    def violate(self, invariant: str, text: str) -> None:
        """The first violation ends the case: what follows from it proves nothing."""
        if self.violation is None:
            self.violation = Violation(invariant, text, self.loop.time())
            self.note(lambda: f"VIOLATION {invariant} {text}")
            self.loop.stop()

    # -- life and death

    def kill(self, node: Node) -> None:
        """SIGKILL, now: nothing of this node runs again."""
        if not node.dead:
            node.dead = True
            self.count("node killed")
            self.note(lambda: f"{node.name} killed")
            self.later(0.0, self.on_death, node)

    async def crashed(self, node: Node) -> None:
        """Kills the node whose own code is running; never returns."""
        self.kill(node)
        await self.loop.create_future()

    def freeze(self, node: Node, seconds: float) -> None:
        """SIGSTOP for so long: time goes on without it."""
        node.paused_until = max(node.paused_until, self.loop.time() + seconds)
        self.count("node paused")
        self.note(lambda: f"{node.name} paused {seconds:.1f} s")


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
