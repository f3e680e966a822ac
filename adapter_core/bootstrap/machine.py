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


class SystemIds:
    """Ids from the system's random source."""

    def __init__(self) -> None:
        self._jitter = SystemRandom()

    def token(self) -> str:
        """20 letters and digits of base 32: 100 bits from one draw."""
        return b32encode(secrets.token_bytes(13)).decode()[:20].lower()

    def uniform(self, low: float, high: float) -> float:
        return self._jitter.uniform(low, high)
