"""The clock of tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class HandClock:
    """Stands until a test moves it.  now: the wall's; seconds: the monotonic one's."""

    now: datetime = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
    seconds: float = 0.0

    def mono(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds
