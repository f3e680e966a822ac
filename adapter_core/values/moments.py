"""Time: aware UTC inside, China time (Asia/Shanghai) in the standard's text forms at the edges."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

CHINA = ZoneInfo("Asia/Shanghai")
NATIONAL_DATE = "%Y-%m-%d"
NATIONAL_TIME = "%Y-%m-%d %H:%M:%S"


class Clock(Protocol):
    """Where the core reads time.  Durations use ``mono`` only: wall clocks jump."""

    def mono(self) -> float:
        """Seconds that never run backwards; the origin means nothing."""

    def wall(self) -> datetime:
        """Now, aware, UTC."""


def china(moment: datetime) -> datetime:
    """The same moment on a Chinese wall clock.  Raises: ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment.astimezone(CHINA)


def national_time(moment: datetime) -> str:
    """``yyyy-MM-dd HH:mm:ss`` China time, the standard's datetime form."""
    return china(moment).isoformat(sep=" ", timespec="seconds")[:19]


def national_date(moment: datetime) -> str:
    """``yyyy-MM-dd`` China time: the business day of a moment."""
    return china(moment).isoformat()[:10]


def parse_national_time(text: str) -> datetime:
    """An aware UTC moment from ``yyyy-MM-dd HH:mm:ss`` China time.  Raises: ValueError."""
    if len(text) == 19 and (text[4], text[7], text[10], text[13], text[16]) == ("-", "-", " ", ":", ":"):
        return datetime.fromisoformat(text).replace(tzinfo=CHINA).astimezone(UTC)  # many times as fast
    return datetime.strptime(text, NATIONAL_TIME).replace(tzinfo=CHINA).astimezone(UTC)


def parse_national_date(text: str) -> date:
    """A day from ``yyyy-MM-dd``.  Raises: ValueError."""
    return datetime.strptime(text, NATIONAL_DATE).replace(tzinfo=CHINA).date()


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC, for the journal and our own messages."""
    at = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return at.isoformat()[: -len("+00:00")] + "Z"
