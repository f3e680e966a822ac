"""Lanes: one at a time per key, in order of arrival; a key nobody uses is forgotten."""

from __future__ import annotations

import asyncio


class Lanes:
    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}

    def lane(self, key: str) -> Turn:
        """Entered with ``async with``."""
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = Turn(self._turns, key)
        turn.users += 1
        return turn


class Turn:
    """The turn of one key.  users: who has it or waits for it."""

    __slots__ = ("_key", "_lock", "_turns", "users")

    def __init__(self, turns: dict[str, Turn], key: str) -> None:
        self._turns = turns
        self._key = key
        self._lock = asyncio.Lock()
        self.users = 0

    async def __aenter__(self) -> None:
        has_turn = False
        try:
            has_turn = await self._lock.acquire()
        finally:
            if not has_turn:  # cancelled while it waited
                self._leave()

    async def __aexit__(self, *error: object) -> None:
        self._lock.release()
        self._leave()

    def _leave(self) -> None:
        self.users -= 1
        if not self.users:
            del self._turns[self._key]
