"""Today: what stands where, what is unknown and for how long, the way to the centre, how often direct settlement works."""

from __future__ import annotations

import asyncio
from collections import Counter as Counts
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from adapter_core.accounts.reports import DIRECT, FAILED, failure_code
from adapter_core.ledger.listing import Standing
from adapter_core.operations.duty import Duty
from adapter_core.operations.outlook import OpenCase
from adapter_core.province.policy import reasons
from adapter_core.settlement.place import Place
from adapter_core.settlement.states import State
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.console.counter import HOME, Asked, Counter, counter_of, looked, page, visitor
from adapter_core.sidecar.desk import json_response
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode
from adapter_core.values.moments import CHINA, china, iso

FRESH_S = {"day": 3.0, "week": 20.0, "month": 60.0}
"""A board is made anew at most so often, however many look at it."""
UNKNOWN_ROWS = 20
FAILED_MAX = 1000
"""So many of the newest failures are counted by their reasons."""
READ_AT_ONCE, CODES_KEPT = 50, 20_000
"""Cases read before others have their turn; reasons remembered."""
GROUPS: tuple[tuple[str, tuple[State, ...]], ...] = (
    ("已结算", (State.SETTLED,)),
    ("已预结算", (State.QUOTED,)),
    ("办理中", (State.PREPARING, State.READY, State.SENDING, State.CONFIRMING)),
    ("结果未知", (State.RESOLVING, State.REVERSING)),
    ("待人工核定", (State.FROZEN,)),
    ("退费", (State.VOIDING, State.VOIDED)),
    ("未成功", (State.REJECTED, State.NOT_SENT, State.NOT_APPLIED, State.REVERSED)),
    ("手工报销", (State.MANUAL_OPEN, State.MANUAL_SUBMITTED, State.MANUAL_CLOSED)),
    ("已取消", (State.CANCELLED, State.MANUAL_REVOKED)),
)
"""Columns of the board."""
SPANS = {"day": 1, "week": 7, "month": 30}


@dataclass(frozen=True, slots=True)
class Board:
    """What the page shows.  rows: place of insurance (two digits) → settlements by column of GROUPS; rate: of those that ended,
    the part settled directly, None while none has ended."""

    span: str
    at: str
    rows: Sequence[tuple[str, Sequence[int]]]
    sums: Sequence[int]
    rate: float | None
    direct: int
    ended: int
    failures: Sequence[tuple[str, str, int]]
    failures_read: int
    unknown: Sequence[OpenCase]
    unknown_count: int
    frozen_count: int
    ways: Sequence[dict[str, Any]]
    notices: Sequence[Any]
    trouble: str


@get([HOME, f"{HOME}/today/{{span:str}}"])
async def today(request: Asked, span: FromPath[str] = "day") -> Response[bytes]:
    who = visitor(request, Right.WATCH)
    await looked(request, "today")
    seen = await board(counter_of(request), who.place, span)
    return page(request, "today.html", board=seen, spans=SPANS, groups=GROUPS)


@get(f"{HOME}/live/today/{{span:str}}")
async def live(request: Asked, span: FromPath[str]) -> Response[bytes]:
    """The board alone, for a page that refreshes itself."""
    who = visitor(request, Right.WATCH)
    return page(request, "board.html", board=await board(counter_of(request), who.place, span), groups=GROUPS)


@get(f"{HOME}/live/trend.json")
async def trend(request: Asked) -> HttpAnswer:
    """Columns for the plots: unix seconds, per minute, seconds."""
    visitor(request, Right.WATCH)
    samples = list(counter_of(request).trend.samples)
    names = ("at", "calls", "settled", "failed", "p50", "p95")
    return json_response(encode({name: [getattr(one, name) for one in samples] for name in names}))


async def board(counter: Counter, place: Place, span: str) -> Board:
    """The board of a span, not older than FRESH_S; who comes meanwhile waits for the same one."""
    span = span if span in SPANS else "day"
    lock: asyncio.Lock = counter.kept.setdefault("board lock", asyncio.Lock())
    async with lock:
        made_at, kept = counter.kept.get(f"board {place.org} {span}", (0.0, None))
        if kept is not None and counter.clock.mono() - made_at < FRESH_S[span]:
            assert isinstance(kept, Board)
            return kept
        made = await _made(counter, place, span)
        counter.kept[f"board {place.org} {span}"] = (counter.clock.mono(), made)
        return made


async def _made(counter: Counter, place: Place, span: str) -> Board:
    since = _since(counter, SPANS[span])
    org = place.org
    standings = await counter.lists.standings(org, since)
    duty = counter.desk.duty
    seen = await duty.look() if isinstance(duty, Duty) else None
    unknown = sorted(seen.unknown, key=lambda case: -case.age_s) if seen else []
    failed = await _failed(counter, org, since)
    direct = sum(one.number for one in standings if one.state in DIRECT)
    ended = direct + sum(one.number for one in standings if one.state in FAILED)
    rows = _rows(standings)
    return Board(
        span=span,
        at=counter.now(),
        rows=rows,
        sums=[sum(column) for column in zip(*(cells for _, cells in rows), strict=True)] or [0] * len(GROUPS),
        rate=direct / ended if ended else None,
        direct=direct,
        ended=ended,
        failures=_failures(failed),
        failures_read=len(failed),
        unknown=unknown[:UNKNOWN_ROWS],
        unknown_count=len(unknown),
        frozen_count=len(seen.frozen) if seen else 0,
        ways=_ways(counter, place),
        notices=counter.desk.running.notices(),
        trouble=(seen.ledger_trouble or seen.chain_complaint) if seen else "",
    )


def _since(counter: Counter, days: int) -> str:
    """Midnight in China, so many days ago."""
    now = china(counter.clock.wall())
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=CHINA)
    return iso(midnight - timedelta(days=days - 1))


def _rows(standings: Sequence[Standing]) -> list[tuple[str, list[int]]]:
    column = {state: place for place, (_, states) in enumerate(GROUPS) for state in states}
    rows: dict[str, list[int]] = {}
    for one in standings:
        cells = rows.setdefault(one.province, [0] * len(GROUPS))
        cells[column[one.state]] += one.number
    return sorted(rows.items(), key=lambda row: (-sum(row[1]), row[0]))


async def _failed(counter: Counter, org: str, since: str) -> list[str]:
    """The codes of the newest failures.  A case is read once for each state it failed in: its reason doesn't change without it."""
    marks = await counter.lists.ended_in(org, FAILED, since, FAILED_MAX)
    known: dict[tuple[int, str], str] = counter.kept.setdefault("codes", {})
    if len(known) > CODES_KEPT:
        known.clear()
    unread = [ordinal for ordinal, state in marks if (ordinal, state) not in known]
    for start in range(0, len(unread), READ_AT_ONCE):
        for listed in await counter.lists.at(unread[start : start + READ_AT_ONCE]):
            known[listed.ordinal, str(listed.case.state)] = failure_code(listed.case)
        await asyncio.sleep(0)
    return [known[mark] for mark in marks if mark in known]


def _failures(codes: Sequence[str]) -> list[tuple[str, str, int]]:
    """(code, what it means, how many), the most frequent first."""
    meanings = {code.upper(): one.cashier_zh for code, one in reasons().items()}
    return [(code, meanings.get(code, ""), count) for code, count in Counts(codes).most_common(12)]


def _ways(counter: Counter, place: Place) -> list[dict[str, Any]]:
    """Each way out: its circuits, what waits, how fast it is."""
    wire = counter.instruments.wire
    states = [one for one in (wire.snapshot() if wire else ()) if one.endpoint == place.endpoint]
    return [
        {
            "name": place.gateway.name,
            "circuits": dict(one.circuits),
            "busy": one.busy,
            "waiting": one.waiting,
            "resolving": one.resolving,
        }
        for one in states
    ]


ROUTES = [today, live, trend]
