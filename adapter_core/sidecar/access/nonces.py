"""Nonces of signed calls, each remembered for 600 s: as long as the timestamp signed with it is believed, and longer."""

from __future__ import annotations

from typing import Protocol

from adapter_core.ledger.nonces import REMEMBERED_S
from adapter_core.values.moments import Clock


class Nonces(Protocol):
    async def is_new(self, key_id: str, nonce: str) -> bool:
        """Remember the nonce of a key.  False when it was remembered already."""
        ...

    def close(self) -> None: ...


class NonceMemory:
    """In this process alone, and gone with it: where no client signs its calls."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str], float] = {}

    async def is_new(self, key_id: str, nonce: str) -> bool:
        now = self._clock.mono()
        while self._until:  # oldest first: all are remembered for the same time
            oldest = next(iter(self._until))
            if self._until[oldest] > now:
                break
            del self._until[oldest]
        if (key_id, nonce) in self._until:
            return False
        self._until[key_id, nonce] = now + REMEMBERED_S
        return True

    def close(self) -> None:
        self._until.clear()
