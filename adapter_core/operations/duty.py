"""On duty beside a running service: looks every half minute, keeps the gauges, calls somebody, verifies the chain at night.

`fitted` makes the instruments before the adapter is opened, `on_duty` runs beside it:

    instruments = fitted(config, sys.stderr.buffer)
    async with adapter(config, instruments=instruments) as running, on_duty(running, instruments) as duty:
        ...  # mount duty.metrics at /metrics; ask duty.unready() for /readyz
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cached_property
from importlib import metadata
from typing import Any, BinaryIO

from croniter import croniter

from adapter_core.accounts.deadlines import REMINDERS
from adapter_core.bootstrap.assembly import Adapter
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import Config
from adapter_core.ledger.sealing import read_master_key
from adapter_core.operations.alarms import NAMES, AlarmBook, Call, standing_alarms
from adapter_core.operations.chain_check import complaint, inspected
from adapter_core.operations.channels import Channel, channels_of
from adapter_core.operations.instruments import Instruments
from adapter_core.operations.logs import event_log, take_over_logging
from adapter_core.operations.metrics import CONTENT_TYPE, Metrics, Standing
from adapter_core.operations.outlook import OpenCases, Outlook, account_alarms, disk_free, opened_cases
from adapter_core.operations.tracing import traces_to
from adapter_core.values.errors import AdapterError, ConfigError
from adapter_core.values.moments import Clock, china

UNSENT_MAX = 100
"""Calls kept for a channel that is away; the oldest go first."""
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
_log = logging.getLogger(__name__)


def version() -> str:
    return metadata.version("his-adapter")


def fitted(config: Config, stream: BinaryIO, clock: Clock | None = None) -> Instruments:
    """Instruments as the configuration asks for them; from now on `logging` writes to ``stream`` too.  Raises: ConfigError."""
    clock = clock or SystemClock()
    settings = config.settings
    log = event_log(stream, clock, environment=settings.environment, version=version())
    take_over_logging(log)
    endpoint = settings.tracing.endpoint
    return Instruments(
        Metrics(version(), settings.environment),
        clock,
        settings.gateway.kind,
        _Pseudonyms(config),
        log,
        traces_to(endpoint, version(), settings.environment) if endpoint else None,
    )


class _Pseudonyms:
    """psn_no → 16 hex digits of a keyed hash: the same person's lines can be put side by side, and nothing leads back."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @cached_property
    def _master(self) -> Any:
        return read_master_key(self._config.master_key_path)  # made with a new ledger, so not read before it is needed

    def __call__(self, psn_no: str) -> str:
        keyed: bytes = self._master.blind("log", psn_no)
        return keyed.hex()[:16]


class Duty:
    """What runs beside the adapter.  Made by `on_duty`."""

    def __init__(self, running: Adapter, instruments: Instruments, channels: Sequence[Channel], clock: Clock) -> None:
        self.seen = Outlook()
        self._running = running
        self._instruments = instruments
        self._settings = running.config.settings.alarms
        self._clock = clock
        self._cases = OpenCases(running.ledger, clock)
        self._book = AlarmBook(self._settings.repeat)
        self._unsent = [(channel, deque[Call](maxlen=UNSENT_MAX)) for channel in channels]
        self._provinces = {name: one.kind for name, one in running.config.settings.every_gateway.items()}
        self._chain_complaint = ""

    async def look(self) -> Outlook:
        """One look, shown in the gauges."""
        unknown, frozen, unread = await opened_cases(self._cases)
        wire, metrics = self._instruments.wire, self._instruments.metrics
        trouble = str(getattr(self._running.ledger, "trouble", "")) or unread
        alarms, reminders = await self._account_alarms()
        self.seen = Outlook(
            unknown=unknown,
            frozen=frozen,
            outages=wire.outages() if wire else (),
            skew_s=self._instruments.clock_check.skew,
            disk_free_bytes=disk_free(self._running.config.folder),
            ledger_trouble=trouble,
            chain_complaint=self._chain_complaint,
            accounts=alarms,
            reminders=reminders,
        )
        if wire is not None:
            metrics.show_wire(wire.snapshot(), self._provinces)
        standing = Standing(len(unknown), self.seen.oldest_s, len(frozen))
        metrics.show_standing({self._instruments.province: standing})
        metrics.ledger_writable.set(0 if trouble else 1)
        if self.seen.disk_free_bytes is not None:
            metrics.disk_free.set(self.seen.disk_free_bytes)
        return self.seen

    async def _account_alarms(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Of every institution served here, alarms and reminders; where there are several, each text names its own."""
        places = self._running.every_place
        alarms: list[tuple[str, str]] = []
        reminders: list[tuple[str, str]] = []
        for place in places:
            named = f"{place.site.fixmedins_name} " if len(places) > 1 else ""
            for item in await account_alarms(self._running.ledger, place.org):
                kept = reminders if item.subject in REMINDERS else alarms
                kept.append((item.item_id, f"{named}{item.facts.get('text', '')}"))
        return alarms, reminders

    async def call_out(self) -> None:
        """Tell what is new, on every channel; what a channel didn't take is tried again at the next look."""
        standing = standing_alarms(self.seen, self._settings)
        up = {alarm.name: alarm.severity for alarm in standing}
        for name in NAMES:
            for severity in ("warning", "critical"):
                self._instruments.metrics.alarms.labels(name, severity).set(up.get(name) == severity)
        for call in self._book.update(standing, self._clock.mono()):
            level = "info" if call.word == "over" else "error"
            self._instruments.log(
                "alarm", level, alarm=call.alarm.name, severity=call.alarm.severity, state=call.word, text=call.text
            )
            for _, unsent in self._unsent:
                unsent.append(call)
        await asyncio.gather(*(self._deliver(channel, unsent) for channel, unsent in self._unsent))

    async def _deliver(self, channel: Channel, unsent: deque[Call]) -> None:
        while unsent:
            try:
                await asyncio.to_thread(channel.send, unsent[0])
            except OSError as error:
                self._instruments.log(
                    "alarm_not_told", "error", channel=channel.name, error=type(error).__name__, count=len(unsent)
                )
                return
            unsent.popleft()

    async def keep_looking(self) -> None:
        while True:
            try:
                await self.look()
                await self.call_out()
            except Exception:  # the guard of this loop: one look that fails must not end all others
                _log.exception("a look at the service failed")
            await asyncio.sleep(self._settings.every)

    async def check_chain(self) -> None:
        """The whole journal, in a thread of its own."""
        try:
            self._chain_complaint = complaint(await asyncio.to_thread(inspected, self._running.config))
        except AdapterError as error:
            self._instruments.log("chain_not_checked", "error", code=error.code)
            return
        level = "error" if self._chain_complaint else "info"
        self._instruments.log("chain_checked", level, result="damaged" if self._chain_complaint else "whole")

    async def keep_checking(self) -> None:
        while True:
            now = china(self._clock.wall())
            due: datetime = croniter(self._settings.chain_check, now).get_next(datetime)
            await asyncio.sleep(max(1.0, (due - now).total_seconds()))
            await self.check_chain()

    async def metrics(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """An ASGI application: the metrics as text.  Every scrape looks anew."""
        await self.look()
        body = self._instruments.metrics.text()
        headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def unready(self) -> str:
        """Why no new work should be sent here, as a code; "" while it may.  A centre that is away is no reason: polls work."""
        if getattr(self._running.ledger, "trouble", ""):
            return "ledger"
        return "chain" if self._chain_complaint else ""


@asynccontextmanager
async def on_duty(
    running: Adapter, instruments: Instruments, channels: Sequence[Channel] | None = None
) -> AsyncIterator[Duty]:
    """Looks, alarms and the nightly check while the block runs.  channels: the configuration's, unless given."""
    clock = SystemClock()
    if not croniter.is_valid(running.config.settings.alarms.chain_check):
        raise ConfigError("alarms.chain_check is no cron line such as 30 2 * * *")
    duty = Duty(running, instruments, channels_of(running.config, clock) if channels is None else channels, clock)
    tasks = [asyncio.create_task(duty.keep_looking()), asyncio.create_task(duty.keep_checking())]
    try:
        yield duty
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(instruments.traces.close)
