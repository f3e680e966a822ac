"""An asyncio event loop on virtual time: seeded order, and nodes that can be killed or paused at any await.

Stock ``asyncio.Task``, ``sleep``, ``timeout``, ``Event``, ``Lock`` and ``wait`` run on it unchanged.  There are no executors,
threads, sockets or signals: asking for one raises, so a core that needs one can't be simulated by mistake.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from asyncio import events
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

STEPS_MAX = 400_000
NODE: contextvars.ContextVar[Node | None] = contextvars.ContextVar("node", default=None)
"""The node whose code runs; None for the world outside: centre, network, disk controller, HIS."""


class Node:
    """What can die as one: every handle created from its context carries it.  scanned: its start-up scan has ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.scanned = False
        self.paused_until = 0.0
        self.context = contextvars.copy_context()
        self.context.run(NODE.set, self)


class Handle:
    """One callback to run; satisfies what asyncio asks of a ``Handle`` and a ``TimerHandle``."""

    __slots__ = ("args", "callback", "context", "gone", "moment")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context, moment: float
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.moment = moment
        self.gone = False

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self.moment


class SimLoop(asyncio.AbstractEventLoop):
    """``steps`` counts the callbacks run; ``tasks`` keeps every task, so that none is collected at a random moment."""

    def __init__(self, seed: int) -> None:
        self.steps = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.complaints: list[str] = []
        self._now = 0.0
        self._order = Random(seed).random
        self._ready: list[Handle] = []
        self._timers: list[tuple[float, int, Handle]] = []
        self._timer_count = 0
        self._stopped = False
        self._closed = False

    # -- running

    def run(self) -> None:
        """Until `stop` or until nothing is left to run.  Raises: RuntimeError after ``STEPS_MAX`` steps."""
        events._set_running_loop(self)
        try:
            while not self._stopped and (self._ready or self._jump()):
                self._step(self._popped())
                if self.steps > STEPS_MAX:
                    raise RuntimeError(f"no end after {STEPS_MAX} steps, at {self._now:.1f} s")
        finally:
            events._set_running_loop(None)

    def _step(self, handle: Handle) -> None:
        if handle.gone:
            return
        node = handle.context.get(NODE)
        if node is not None:
            if node.dead:
                return  # as with SIGKILL: no except, no finally
            if node.paused_until > self._now:
                self._push(node.paused_until, handle)
                return
        self.steps += 1
        handle.context.run(handle.callback, *handle.args)

    def _popped(self) -> Handle:
        ready = self._ready
        index = int(self._order() * len(ready))
        ready[index], ready[-1] = ready[-1], ready[index]
        return ready.pop()

    def _jump(self) -> bool:
        """Time goes on to the next timer; False when there is none."""
        timers = self._timers
        if not timers:
            return False
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(timers)[2])
        return True

    def _push(self, moment: float, handle: Handle) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (moment, self._timer_count, handle))

    def stop(self) -> None:
        self._stopped = True

    def bury(self) -> None:
        """Closes what was left waiting, after every check: a killed task's ``finally`` must not have run before."""
        self._closed = True
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine = task.get_coro()
                assert coroutine is not None
                try:
                    coroutine.close()
                except RuntimeError:  # a coroutine that awaits while it is closed: the case is over, nobody listens
                    self.complaints.append("a coroutine awaited while it was closed")
        self.tasks.clear()
        self._ready.clear()
        self._timers.clear()

    # -- what asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, context or contextvars.copy_context(), self._now)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, context or contextvars.copy_context(), when)
        if not self._closed:
            self._push(when, handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, context: contextvars.Context | None = None, **named: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, context=context, **named)
        self.tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._stopped

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed:
            self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")
