"""When days are reconciled: T+0 in the evening, T+1 in the morning, each a due row in the ledger, so that downtime skips no day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from croniter import croniter

from adapter_core.accounts.acting import ItemLedger
from adapter_core.accounts.differences import made_id
from adapter_core.accounts.reconciling import FAILED, Report
from adapter_core.settlement.ports import Conflict
from adapter_core.settlement.records import AccountItem
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError
from adapter_core.values.moments import Clock, china, iso, national_date

DUE = "due"
TO_DO, UNDER_WAY, DONE = "due", "running", "done"
CATCH_UP_DAYS = 60
LOST_AFTER = timedelta(minutes=30)
"""A row under way for so long belongs to a process that is gone."""
LOOK_EVERY_S = 60.0
_log = logging.getLogger(__name__)


class Notes(Protocol):
    async def noted(self, *items: AccountItem) -> None: ...


Run = Callable[[str, str], Awaitable[Report]]
"""``(day, phase)``: reconcile."""


@dataclass(frozen=True, slots=True)
class Times:
    """Cron lines, China time.  evening: of T+0, for its own day; morning: of T+1, for the day before."""

    evening: str = "30 22 * * *"
    morning: str = "30 7 * * *"


class Rounds:
    """One institution's schedule."""

    def __init__(self, org: str, ledger: ItemLedger, notes: Notes, run: Run, clock: Clock, times: Times) -> None:
        self._org = org
        self._ledger = ledger
        self._notes = notes
        self._run = run
        self._clock = clock
        self._times = times

    async def keep(self) -> None:
        """For ever."""
        while True:
            try:
                await self.look()
            except AdapterError as error:
                _log.error("the round of reconciliations stopped: %s", error.code)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> list[Report]:
        """Make the rows that fell due, then run what is due, oldest first.  A run without an answer stays due."""
        known = await self._ledger.account_items(self._org, DUE)
        await self._make_due(known)
        reports = []
        for row in await self._ledger.account_items(self._org, DUE, (TO_DO, UNDER_WAY)):
            if row.state == UNDER_WAY and not self._is_lost(row):
                continue
            try:
                await self._notes.noted(self._moved(row, UNDER_WAY))
            except Conflict:
                continue  # another replica took it
            report = await self._run(row.day, row.subject)
            after = TO_DO if report.state == FAILED else DONE
            await self._notes.noted(replace(self._moved(row, after), version=row.version + 2))
            reports.append(report)
        return reports

    def _moved(self, row: AccountItem, state: str) -> AccountItem:
        return replace(row, state=state, version=row.version + 1, changed_at=iso(self._clock.wall()))

    def _is_lost(self, row: AccountItem) -> bool:
        return self._clock.wall() - datetime.fromisoformat(row.changed_at) > LOST_AFTER

    async def _make_due(self, known: list[AccountItem]) -> None:
        there = {row.item_id for row in known}
        now = china(self._clock.wall())
        last = max((row.due_at for row in known), default="")
        if not last:  # the first start ever: what falls due from now on is made up for
            await self._make(made_id(self._org, DUE, "start"), national_date(now), "start", now, DONE)
            return
        since = max(china(datetime.fromisoformat(last)), now - timedelta(days=CATCH_UP_DAYS))
        for phase, line, back in (("T+0", self._times.evening, 0), ("T+1", self._times.morning, 1)):
            fires = croniter(line, since)
            while (at := fires.get_next(datetime)) <= now:
                day = (at.date() - timedelta(days=back)).isoformat()
                number = made_id(self._org, DUE, day, phase)
                if number not in there:
                    await self._make(number, day, phase, at, TO_DO)

    async def _make(self, number: str, day: str, phase: str, at: datetime, state: str) -> None:
        stamp = iso(self._clock.wall())
        row = AccountItem(number, self._org, DUE, phase, day, state, due_at=iso(at), opened_at=stamp, changed_at=stamp)
        try:
            await self._notes.noted(row)
        except Conflict:
            return
