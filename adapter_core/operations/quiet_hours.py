"""Quiet hours: what is done at night beside a running service, when no window waits: abandoned registrations are swept."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from croniter import croniter

from adapter_core.bootstrap.assembly import Adapter
from adapter_core.config import SweepSettings
from adapter_core.settlement.place import Place
from adapter_core.settlement.sweeping import SweepRules
from adapter_core.values.errors import AdapterError
from adapter_core.values.moments import Clock, china

LOOK_EVERY_S = 60.0
_log = logging.getLogger(__name__)


def rules_of(settings: SweepSettings) -> SweepRules:
    return SweepRules(
        after=timedelta(hours=settings.registrations_after_h),
        stays_after=timedelta(days=settings.stays_after_d),
    )


async def keep_quiet_hours(running: Adapter, place: Place, clock: Clock) -> None:
    """Sweeps one institution's registrations every night, for ever.  A night that was slept through is not made up for."""
    settings = running.config.settings.sweep
    due = croniter(settings.at, china(clock.wall())).get_next(datetime)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if china(clock.wall()) < due:
            continue
        due = croniter(settings.at, china(clock.wall())).get_next(datetime)
        try:
            swept = await running.pipeline.sweeping.sweep(place, rules_of(settings))
        except AdapterError as error:
            _log.error("the sweep of registrations stopped: %s", error.code)
            continue
        _log.info(
            "registrations swept: %d cancelled, %d of them second ones, %d kept, %d unanswered",
            swept.cancelled + swept.extra,
            swept.extra,
            swept.spared,
            swept.unanswered,
        )
