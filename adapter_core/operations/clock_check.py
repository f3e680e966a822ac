"""Is our clock right?  The centre's ``respond_time`` says, on every reply; a clock that is far off closes the money sends.

One odd reply proves nothing (a gateway may repeat a stored one), so the difference is the smallest of the last three.  A
difference only counts beyond the time that the call itself took.
"""

from __future__ import annotations

import re
from collections import deque
from datetime import datetime, timedelta

from adapter_core.values.moments import CHINA

WARNS_S = 60.0
CLOSES_S = 300.0
REPLIES = 3
_RESPOND_TIME = re.compile(rb'"respond_time"\s*:\s*"(\d{14})(\d{0,3})"')
_HEAD_BYTES = 4096
"""Where to look, from both ends: the national envelope has it before or behind ``output``, which may be megabytes."""


def respond_time(body: bytes) -> datetime | None:
    """When the centre says it answered; None where the reply says nothing readable (sealed and local families).

    Source: national envelope, ``respond_time`` string(17), yyyyMMddHHmmssSSS, China time.
    """
    found = _RESPOND_TIME.search(body, 0, _HEAD_BYTES) or _RESPOND_TIME.search(body, max(0, len(body) - _HEAD_BYTES))
    if found is None:
        return None
    digits, fraction = found[1].decode(), found[2].decode()
    try:
        told = datetime.fromisoformat(f"{digits[:8]}T{digits[8:]}" + (f".{fraction}" if fraction else ""))
    except ValueError:
        return None
    return told.replace(tzinfo=CHINA)


def skew_s(told: datetime, sent: datetime, received: datetime) -> float:
    """How far the centre's clock is ahead of ours at least, in seconds; 0 when it lies within the call.

    A second is allowed on both sides: many centres tell whole seconds.
    """
    second = timedelta(seconds=1)
    if told > received + second:
        return (told - received - second).total_seconds()
    if told < sent - second:
        return (told - sent + second).total_seconds()
    return 0.0


class ClockCheck:
    """What the last replies of one endpoint say of our clock.  skew: seconds the centre is ahead (minus: behind), None before
    three replies have told."""

    def __init__(self) -> None:
        self.skew: float | None = None
        self._skews: deque[float] = deque(maxlen=REPLIES)

    def heard(self, body: bytes, sent: datetime, received: datetime) -> None:
        told = respond_time(body)
        if told is not None:
            self._skews.append(skew_s(told, sent, received))
            if len(self._skews) == REPLIES:
                self.skew = min(self._skews, key=abs)

    @property
    def warns(self) -> bool:
        return self.skew is not None and abs(self.skew) > WARNS_S

    @property
    def closes_money(self) -> bool:
        return self.skew is not None and abs(self.skew) > CLOSES_S
