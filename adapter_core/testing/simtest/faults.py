"""Faults have addresses: the n-th time a point is passed either fails or doesn't, whatever else happened.

So dropping one fault leaves every other draw as it was, and a failure can be shrunk to the few that matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from zlib import crc32

MASK = (1 << 64) - 1
Address = tuple[str, int]


def mix(seed: int, point: int, number: int) -> float:
    """A draw in [0, 1) that depends on nothing but its three arguments (splitmix64's finaliser)."""
    word = (seed * 0x9E3779B97F4A7C15 + point * 0xD1B54A32D192ED03 + number * 0x8CB92BA72F3D8DD7) & MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return ((word ^ (word >> 31)) >> 11) / float(1 << 53)


class Faults:
    """One case's fault plan.

    rates: point or prefix ending in ``.`` → probability; the longest prefix counts.  only: when given, exactly these happen.
    """

    def __init__(self, seed: int, rates: Mapping[str, float], only: frozenset[Address] | None = None) -> None:
        self.live = True
        self.fired: list[Address] = []
        self._seed = seed
        self._rates = rates
        self._only = only
        self._passed: Counter[str] = Counter()
        self._known: dict[str, tuple[int, float]] = {}

    def hit(self, point: str) -> bool:
        """Whether the fault at this point happens now."""
        self._passed[point] += 1
        if not self.live:
            return False
        number = self._passed[point]
        if self._only is not None:
            happens = (point, number) in self._only
        else:
            crc, rate = self._known.get(point) or self._learn(point)
            happens = rate > 0.0 and mix(self._seed, crc, number) < rate
        if happens:
            self.fired.append((point, number))
        return happens

    def draw(self, point: str, low: float, high: float) -> float:
        """How much of it, e.g. seconds; its own stream, by the fault's address.  A quarter of the draws is ``high`` itself."""
        share = mix(self._seed, crc32(point.encode()) ^ 0x5BD1E995, self._passed[point])
        return high if share >= 0.75 else low + (high - low) * share / 0.75

    def _learn(self, point: str) -> tuple[int, float]:
        rate, name = self._rates.get(point), point
        while rate is None and "." in name:
            name = name.rpartition(".")[0]
            rate = self._rates.get(f"{name}.")
        known = self._known[point] = (crc32(point.encode()), rate or 0.0)
        return known
