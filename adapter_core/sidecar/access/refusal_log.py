"""The security log of refused calls: who was turned away and why, without what they sent, and without a line for each of a flood."""

from __future__ import annotations

import logging

from adapter_core.values.moments import Clock

QUIET_S = 10.0
CALLERS_MAX = 1000
_log = logging.getLogger(__name__)


class RefusalLog:
    """One line for the first refusal of a kind from an address; the further ones of the next 10 s are counted into the next line."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[float, int]] = {}

    def note(self, code: str, address: str, place: str = "") -> None:
        """place: the first part of the path; more of it may be a number of the hospital's own."""
        now = self._clock.mono()
        quiet_until, more = self._kept.get((code, address), (now, 0))
        if now < quiet_until:
            self._kept[code, address] = (quiet_until, more + 1)
            return
        if len(self._kept) >= CALLERS_MAX:
            self._kept.clear()
        self._kept[code, address] = (now + QUIET_S, 0)
        _log.warning(
            "call refused: %s from %s to %s, %d more since the last line", code, address or "-", place or "-", more
        )
