"""``serve``: a parent that keeps one worker alive, and the worker: the adapter and its listeners in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn

from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import rounds_of
from adapter_core.config import ClientSettings, Config
from adapter_core.ledger.key_files import forbid_core_dumps
from adapter_core.operations.duty import fitted, on_duty
from adapter_core.operations.instruments import Instruments
from adapter_core.operations.quiet_hours import keep_quiet_hours
from adapter_core.settlement.states import State
from adapter_core.sidecar.access import Access
from adapter_core.sidecar.access.certificates import server_tls
from adapter_core.sidecar.changes import Changes
from adapter_core.sidecar.console.service import console
from adapter_core.sidecar.desk import Desk
from adapter_core.sidecar.limits import App, Caps
from adapter_core.sidecar.listening import guarded
from adapter_core.sidecar.service import Offering
from adapter_core.values.errors import ConfigError, NotSupported

BACKLOG = 1024
LOCAL_CLIENT = "this-machine"
"""The name of this machine's own commands in the log."""
COLLECT_AFTER = (50_000, 20, 50)
"""Objects made before a collection: a message makes thousands that no cycle holds."""
GOES_ON_S = 0.05
"""How often a drain looks whether calls are still on the wire."""
ON_THE_WIRE = (State.PREPARING, State.READY, State.SENDING, State.CONFIRMING)
Report = Callable[[str], None]
_log = logging.getLogger(__name__)


class Listener(uvicorn.Server):
    """One bound address.  Signals are the worker's, not its own."""

    def __init__(self, app: App, bound: socket.socket, caps: Caps, drain_s: float, tls: dict[str, Any]) -> None:
        self.bound = bound
        config = uvicorn.Config(
            app,
            loop="none",
            http=guarded(caps),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(drain_s)),
            backlog=BACKLOG,
            **tls,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @property
    def address(self) -> str:
        host, port = self.bound.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def run_until_told(self) -> None:
        await self.serve(sockets=[self.bound])


def bind(address: str) -> socket.socket:
    """A listening socket.  Raises: ConfigError when the address is taken or not ours."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named: without, each answer on a kept connection waits 40 ms
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, int(port)))
    except OSError as error:
        bound.close()
        raise ConfigError(f"can't listen on {address}: {error.strerror}") from error
    bound.set_inheritable(False)
    return bound


def with_operator(config: Config) -> Config:
    """The configuration with this machine's own commands as a client; their credential is made at the first start, for the owner
    only."""
    path = config.path(config.settings.http.operator_token_file)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    local = ClientSettings(name=LOCAL_CLIENT, roles=["cashier", "operator"], token_file=path)
    clients = [*config.settings.clients, local]
    return Config(config.settings.model_copy(update={"clients": clients}), config.folder)


async def work(config: Config, report: Report = print) -> None:
    """The worker: serve until SIGTERM or SIGINT, then let what runs come to its end.

    report: told each address once it is served.  Raises: ConfigError, LedgerDamaged, LedgerUnavailable.
    """
    stop = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C cancels instead
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(config, report, fitted(config, sys.stderr.buffer)):
        gc.freeze()  # what was loaded stays for good: no collection walks through it again
        gc.set_threshold(*COLLECT_AFTER)
        await stop.wait()


@dataclass(frozen=True, slots=True)
class Serving:
    """A service that runs."""

    desk: Desk
    listeners: Sequence[Listener]


@contextlib.asynccontextmanager
async def serving(
    config: Config, report: Report = lambda line: None, instruments: Instruments | None = None
) -> AsyncIterator[Serving]:
    """The whole service while the block runs; leaving it drains.

    instruments: what watches it; with them comes the second listener.  Raises: ConfigError, LedgerDamaged, LedgerUnavailable.
    """
    config = with_operator(config)
    http = config.settings.http
    tls = server_tls(config)
    async with contextlib.AsyncExitStack() as parts:
        # before the ledger is opened: a second start fails on either, and this is quicker
        bound = _bound(config, parts)
        watched = _console_socket(config, parts) if instruments else None
        changes = Changes()
        running = await parts.enter_async_context(adapter(config, observer=changes.changed, instruments=instruments))
        desk = Desk(running, changes)
        access = Access.of(config, SystemClock(), running.ledger)
        parts.callback(access.close)
        offering = Offering(desk, access, Caps.of(http), instruments)
        listeners = [Listener(offering.to_his(address), one, offering.caps, http.drain, tls) for address, one in bound]
        if instruments and watched:
            duty = await parts.enter_async_context(on_duty(running, instruments))
            desk.duty = duty
            pages = await parts.enter_async_context(console(desk, instruments))
            watching = offering.to_watch(http.console, duty.metrics, pages)
            listeners.append(Listener(watching, watched, offering.caps, http.drain, tls))
        _keep_accounts(desk, parts)
        _keep_quiet_hours(desk, parts)
        tasks = [asyncio.create_task(one.run_until_told()) for one in listeners]
        try:
            await _all_started(listeners, tasks)
            for one in listeners:
                report(f"his-adapter serves {'https' if tls else 'http'}://{one.address}")
            yield Serving(desk, listeners)
        finally:
            desk.draining = True
            await _drained(desk, listeners, tasks, http.drain)


def _bound(config: Config, parts: contextlib.AsyncExitStack) -> list[tuple[str, socket.socket]]:
    """The main listener and one for each client that has its own."""
    own = [one.listen for one in config.settings.clients if one.listen]
    addresses = dict.fromkeys([config.settings.http.listen, *own])
    return [(address, parts.enter_context(contextlib.closing(bind(address)))) for address in addresses]


def _console_socket(config: Config, parts: contextlib.AsyncExitStack) -> socket.socket | None:
    """A console address that nobody configured may be another service's on this machine: then there is none."""
    http = config.settings.http
    try:
        return parts.enter_context(contextlib.closing(bind(http.console)))
    except ConfigError:
        if "console" in http.model_fields_set:
            raise
        _log.warning("no metrics: %s is taken; set http.console", http.console)
        return None


def _keep_accounts(desk: Desk, parts: contextlib.AsyncExitStack) -> None:
    """Reconcile every day in its time, as long as this serves."""
    running = desk.running
    if not running.config.settings.accounts.reconcile:
        return
    for institution in running.config.settings.every_institution:
        place = running.places(institution.fixmedins_code)
        try:
            keeper = asyncio.create_task(rounds_of(running, place or running.place).keep())
        except NotSupported as error:
            _log.warning("no reconciliation by itself: %s", error)
            continue
        parts.callback(keeper.cancel)


def _keep_quiet_hours(desk: Desk, parts: contextlib.AsyncExitStack) -> None:
    running = desk.running
    if not running.config.settings.sweep.registrations_after_h:
        return
    for place in running.every_place:
        parts.callback(asyncio.create_task(keep_quiet_hours(running, place, SystemClock())).cancel)


async def _all_started(listeners: list[Listener], tasks: list[asyncio.Task[None]]) -> None:
    while not all(one.started for one in listeners):
        done, _ = await asyncio.wait(tasks, timeout=GOES_ON_S / 10, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _drained(desk: Desk, listeners: list[Listener], tasks: list[asyncio.Task[None]], limit_s: float) -> None:
    """No new connection; requests under way are answered; no money call is left on the wire if it ends in time.

    What is then still in doubt goes on at the next start, from the journal.
    """
    for one in listeners:
        one.should_exit = True
    loop = asyncio.get_running_loop()
    until = loop.time() + limit_s
    await asyncio.wait(tasks, timeout=limit_s + 1)
    for task in tasks:
        task.cancel()
    while loop.time() < until and await desk.running.ledger.cases_in(ON_THE_WIRE):  # noqa: ASYNC110 - a ledger tells nobody
        await asyncio.sleep(GOES_ON_S)


def run_worker(config: Config) -> None:
    """The worker's own process: its loop is uvloop where there is one."""
    forbid_core_dumps()
    if sys.platform == "win32":
        asyncio.run(work(config))
        return
    import uvloop

    uvloop.run(work(config))
