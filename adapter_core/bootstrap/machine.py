"""What an adapter takes from the machine: its clocks and its random source."""

from __future__ import annotations

import secrets
import sys
import time
from base64 import b32encode
from datetime import UTC, datetime
from random import SystemRandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


class SystemClock:
    """The machine's clocks.  CLOCK_BOOTTIME counts through a suspend, where the system has it."""

    def mono(self) -> float:
        if sys.platform == "linux":
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()

    def wall(self) -> datetime:
        return datetime.now(UTC)


TOKENS = 64
"""Made from one draw: a multiple of two, so that they are whole bytes."""


class SystemIds:
    """Ids from the system's random source, many from one draw."""

    def __init__(self) -> None:
        self._jitter = SystemRandom()
        self._drawn: list[str] = []

    def token(self) -> str:
        """20 letters and digits of base 32: 100 bits."""
        try:
            return self._drawn.pop()
        except IndexError:
            letters = b32encode(secrets.token_bytes(TOKENS * 100 // 8)).decode().lower()
            fresh = [letters[start : start + 20] for start in range(0, 20 * TOKENS, 20)]
            token = fresh.pop()
            self._drawn.extend(fresh)
            return token

    def uniform(self, low: float, high: float) -> float:
        return self._jitter.uniform(low, high)
