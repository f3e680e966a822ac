"""Retries for reads.  A call that moves money is driven by the ledger, one attempt at a time, and never comes here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import random
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, stop_before_delay

from ..values.errors import NotSent, OutcomeUnknown

T = TypeVar("T")

RETRIES_MAX = 2
WAIT_BASE_S = 0.2
WAIT_MAX_S = 5.0
TOTAL_S_MAX = 10.0
"""No wait is begun that would end later than this after the first attempt's start."""


async def read_with_retries(
    send: Callable[[], Awaitable[T]],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    random: Callable[[], float] = random,
) -> T:
    """Call ``send`` until it returns, at most 2 times more, with full jitter between.

    Args: sleep: waits that many seconds; random: a number in [0, 1).
    Raises: the last NotSent or OutcomeUnknown; any other exception at once.
    """

    def full_jitter(state: RetryCallState) -> float:
        return random() * float(min(WAIT_MAX_S, WAIT_BASE_S * 2 ** (state.attempt_number - 1)))

    async def attempt() -> T:  # tenacity awaits only what it sees to be a coroutine function, which a lambda is not
        return await send()

    retrying = AsyncRetrying(
        retry=retry_if_exception_type((NotSent, OutcomeUnknown)),
        stop=stop_after_attempt(1 + RETRIES_MAX) | stop_before_delay(TOTAL_S_MAX),
        wait=full_jitter,
        sleep=sleep,
        reraise=True,
    )
    return await retrying(attempt)
