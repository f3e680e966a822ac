"""What keeps one endpoint's trouble to itself: slots with a short queue, and a budget for sending again."""

from __future__ import annotations

import asyncio
from collections import deque

ENTERED = ""


class Lane:
    """Slots, and a queue in front of them, first come first served.  Belongs to one event loop.

    taken: slots in use; a slot that is left goes straight to the longest waiting call.
    """

    def __init__(self, slots: int, queue_max: int) -> None:
        self.taken = 0
        self._slots = slots
        self._queue_max = queue_max
        self._queue: deque[tuple[str, asyncio.Future[str]]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def enter(self, group: str, deadline: float) -> str:
        """Take a slot, waiting for one until ``deadline`` on the event loop's clock.

        Returns: ``ENTERED`` and the slot must be left with `leave`; else why not: ``QUEUE_FULL`` at once, ``NO_SLOT`` at
        the deadline, or the word that `dismiss` gave.
        """
        if self.taken < self._slots:
            self.taken += 1
            return ENTERED
        if len(self._queue) >= self._queue_max:
            return "QUEUE_FULL"
        turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        place = (group, turn)
        self._queue.append(place)
        has_slot = False
        try:
            async with asyncio.timeout_at(deadline):
                word = await turn
            has_slot = word == ENTERED
            return word
        except TimeoutError:
            return "NO_SLOT"
        finally:
            if place in self._queue:
                self._queue.remove(place)
            elif not has_slot and not turn.cancelled() and turn.result() == ENTERED:
                self.leave()  # the slot was handed over in the same turn of the loop as the caller gave up

    def leave(self) -> None:
        """Give a slot back."""
        while self._queue:
            _, turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(ENTERED)
                return
        self.taken -= 1

    def dismiss(self, group: str, word: str) -> None:
        """Send the waiting calls of a group away."""
        leaving = [place for place in self._queue if place[0] == group]
        for place in leaving:
            self._queue.remove(place)
            if not place[1].done():
                place[1].set_result(word)


class RetryBudget:
    """Retries as a share of traffic: ten calls earn one, and ten retries at most are saved up.

    Counted in calls and not by a clock: an endpoint without traffic needs no retries.
    """

    CALLS_PER_RETRY = 10
    SAVED_MAX = 10

    def __init__(self) -> None:
        self._credit = self.SAVED_MAX * self.CALLS_PER_RETRY

    @property
    def left(self) -> int:
        return self._credit // self.CALLS_PER_RETRY

    def earn(self) -> None:
        """One call went out."""
        self._credit = min(self._credit + 1, self.SAVED_MAX * self.CALLS_PER_RETRY)

    def take(self) -> bool:
        """Whether one retry may go out; it is then spent."""
        if self._credit < self.CALLS_PER_RETRY:
            return False
        self._credit -= self.CALLS_PER_RETRY
        return True
