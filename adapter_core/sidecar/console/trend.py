"""The last day in figures: how the metrics' counters moved from one look to the next.  In memory only; a restart begins anew."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapter_core.operations.metrics import Metrics
from adapter_core.values.moments import Clock

EVERY_S = 30.0
KEPT = 2880
"""A day at one sample every 30 s."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One stretch of time.  at: its end, unix seconds; per minute: calls, settled; seconds: p50, p95 of all calls (None: none)."""

    at: int
    calls: float
    settled: float
    failed: float
    p50: float | None
    p95: float | None


@dataclass(slots=True)
class _Read:
    at: float
    calls: float = 0.0
    failed: float = 0.0
    settled: float = 0.0
    signed_in: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)


class Trend:
    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._last = self._read()
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self.last_sign_in: datetime | None = None
        """When it was seen that somebody had signed in at the centre; None since the start."""

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self.look()

    def look(self) -> None:
        """One sample: what came since the look before."""
        before, now = self._last, self._read()
        self._last = now
        if now.signed_in > before.signed_in:
            self.last_sign_in = self._clock.wall()
        minutes = max(now.at - before.at, 0.001) / 60
        counts = {bound: count - before.buckets.get(bound, 0.0) for bound, count in sorted(now.buckets.items())}
        self.samples.append(
            Sample(
                int(self._clock.wall().timestamp()),
                (now.calls - before.calls) / minutes,
                (now.settled - before.settled) / minutes,
                (now.failed - before.failed) / minutes,
                quantile(counts, 0.5),
                quantile(counts, 0.95),
            )
        )

    def latencies(self) -> dict[str, tuple[int, float | None, float | None]]:
        """Class of call → how many since the start, and their p50 and p95 in seconds."""
        found: dict[str, dict[float, float]] = {}
        for sample in _samples(self._metrics.call_seconds, "_bucket"):
            bounds = found.setdefault(sample.labels["class"], {})
            bound = float(sample.labels["le"])
            bounds[bound] = bounds.get(bound, 0.0) + sample.value
        return {
            name: (int(max(bounds.values())), quantile(bounds, 0.5), quantile(bounds, 0.95))
            for name, bounds in sorted(found.items())
        }

    def _read(self) -> _Read:
        read = _Read(self._clock.mono())
        for sample in _samples(self._metrics.calls, "_total"):
            read.calls += sample.value
            if sample.labels["result"] in ("UNKNOWN", "NOT_SENT"):
                read.failed += sample.value
            if sample.labels["class"] == "session" and sample.labels["result"] == "APPLIED":
                read.signed_in += sample.value
        for sample in _samples(self._metrics.cases, "_total"):
            if sample.labels["state"] == "SETTLED":
                read.settled += sample.value
        for sample in _samples(self._metrics.call_seconds, "_bucket"):
            bound = float(sample.labels["le"])
            read.buckets[bound] = read.buckets.get(bound, 0.0) + sample.value
        return read


def quantile(counts: dict[float, float], share: float) -> float | None:
    """Where that share of the calls lies, by cumulative counts per upper bound, straight within a bucket; None for no calls."""
    bounds = sorted(counts.items())
    total = bounds[-1][1] if bounds else 0.0
    if total <= 0:
        return None
    wanted = share * total
    lower, below = 0.0, 0.0
    for bound, count in bounds:
        if count >= wanted:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return lower


def _samples(metric: Any, ending: str) -> Iterable[Any]:
    return [sample for family in metric.collect() for sample in family.samples if sample.name.endswith(ending)]
