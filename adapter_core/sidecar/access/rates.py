"""How many calls a client may make: a bucket of tokens for each, filled at a steady rate."""

from __future__ import annotations

from adapter_core.sidecar.access.refusals import TooMany
from adapter_core.values.moments import Clock


class Rates:
    """per_s: calls per second in the long run; burst: calls at once after a pause.  Holds one entry per known client."""

    def __init__(self, clock: Clock, per_s: float, burst: float) -> None:
        self._clock = clock
        self._per_s = per_s
        self._burst = burst
        self._filled: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> None:
        """Raises: TooMany."""
        now = self._clock.mono()
        level, since = self._filled.get(name, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._per_s)
        if level < 1:
            self._filled[name] = (level, now)
            raise TooMany(f"client {name} calls too often", retry_after_s=(1 - level) / self._per_s)
        self._filled[name] = (level - 1, now)
