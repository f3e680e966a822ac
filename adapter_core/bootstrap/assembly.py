"""The adapter of one process, assembled from its configuration: ledger, wire, pipeline and what keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from adapter_core.bootstrap.machine import SystemClock, SystemIds
from adapter_core.bootstrap.site import (
    current_notices,
    gateway_endpoints,
    gateway_guards,
    plugins,
    site_circumstances,
    site_dialect,
    site_items,
    site_places,
)
from adapter_core.config import Config
from adapter_core.province.dialect import Dialect
from adapter_core.province.host import Plugins
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import Change, Event
from adapter_core.supervisor import heartbeat
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError, ConfigError, LedgerDamaged, TranslationError
from adapter_core.values.moments import iso

if TYPE_CHECKING:
    from adapter_core.centre.breaker import Outage
    from adapter_core.centre.guarded import GuardedWire
    from adapter_core.centre.notices import Notice
    from adapter_core.ledger.postgres import PostgresLedger
    from adapter_core.ledger.sqlite import SqliteLedger
    from adapter_core.ledger.witness import Witness
    from adapter_core.paperwork.office import PaperOffice
    from adapter_core.settlement.pipeline import Pipeline
    from adapter_core.settlement.ports import InHand, ItemCodes, Ledger, Wire

OpenLedger: TypeAlias = "SqliteLedger | PostgresLedger"

Observer: TypeAlias = Callable[[Mapping[str, str]], None]

ANCHOR_EVERY_S = 1.0
"""How often it is looked whether the journal has grown by enough to be anchored."""


class Instruments(Protocol):
    """What watches an adapter: it stands around the two ports and changes nothing that crosses them (`operations.instruments`)."""

    def around_ledger(self, ledger: Ledger) -> Ledger: ...

    def around_wire(self, wire: GuardedWire) -> Wire: ...

    def outage(self, outage: Outage) -> None:
        """A circuit opened, or closed again."""


@dataclass(slots=True)
class Adapter:
    """Everything one process runs on, built from a configuration.  place: of the first institution; others: of the other ones."""

    config: Config
    plugins: Plugins
    place: Place
    ledger: OpenLedger
    pipeline: Pipeline
    outages: Callable[[], Iterable[Outage]] = tuple
    kept: Ledger | None = None
    others: tuple[Place, ...] = ()

    @property
    def every_place(self) -> tuple[Place, ...]:
        """One for each institution."""
        return (self.place, *self.others)

    def places(self, org: str) -> Place | None:
        """The place of an institution, None for one that isn't served here."""
        for place in self.every_place:
            if place.org == org:
                return place
        return None

    def place_named(self, org: str) -> Place:
        """The place of an institution; "" is the only one.  Raises: ConfigError naming those there are."""
        found = self.places(org) if org else self.place if not self.others else None
        if found is None:
            listed = ", ".join(place.org for place in self.every_place)
            raise ConfigError(f"name one of the institutions {listed}", message_zh=f"请指明机构，本机服务于：{listed}")
        return found

    def dialect(self, name: str, org: str = "") -> Dialect:
        return site_dialect(self.config, self.plugins, name, org)

    def notices(self) -> list[Notice]:
        """What cashiers should know now: planned downtime from the site's file, unplanned from the breaker."""
        return current_notices(self.config, self.outages)

    def office(self, place: Place | None = None) -> PaperOffice:
        """Who opens and prints manual-reimbursement papers of an institution served here."""
        from adapter_core.bootstrap.offices import paper_office

        return paper_office(self, place or self.place)

    async def note_refusal(self, dialect: str, error: AdapterError, org: str = "") -> None:
        """A message refused before anything was sent: the journal keeps that it was, and nothing of its content.

        org: the institution it came for, the first one where nobody knows.
        """
        paths = [fault.path for fault in error.faults] if isinstance(error, TranslationError) else []
        data = {"dialect": dialect, "code": error.code, "paths": paths}
        event = Event("REFUSED", iso(SystemClock().wall()), data=data)
        await (self.kept or self.ledger).commit(Change(org or self.place.org, events=(event,)))


def assembled(
    config: Config,
    loaded: Plugins,
    place: Place,
    ledger: OpenLedger,
    wire: Wire,
    clock: SystemClock,
    kept: Ledger | None = None,
    in_hand: InHand | None = None,
    observer: Observer = lambda event: None,
    others: Sequence[Place] = (),
    items: ItemCodes | None = None,
) -> Adapter:
    """An adapter on a given ledger and wire.  Nothing goes on before its pipeline's `resume`.

    kept: the ledger as the pipeline writes it, where something stands in between (a witness).  observer: told every change of a
    case, before the plugins' own are.  items: the mapping of the hospital's own items, where the site fills codes in.
    """
    from adapter_core.bootstrap.offices import watch_of
    from adapter_core.settlement.pipeline import Pipeline

    @cache  # compiling a table takes milliseconds, and every answer asks for its dialect
    def dialect(name: str) -> Dialect | None:
        return site_dialect(config, loaded, name) if name in loaded.dialect_names() else None

    def observe(event: Mapping[str, str]) -> None:
        observer(event)
        loaded.tell(event)

    pipeline = Pipeline(
        kept or ledger,
        wire,
        clock,
        SystemIds(),
        dialect,
        observe,
        exclusive=not config.is_shared,
        lease_s=config.settings.timers.lease,
        in_hand=in_hand,
        items=items,
        watch=watch_of(config, ledger),
    )
    running = Adapter(config, loaded, place, ledger, pipeline, kept=kept)

    def known(one: Place) -> Place:
        endpoints = {way.endpoint for way in one.every_way()}

        def notices() -> list[Notice]:
            return [notice for notice in running.notices() if notice.endpoint in ("", *endpoints)]

        return replace(one, circumstances=site_circumstances(config, loaded, notices))

    running.place, running.others = known(place), tuple(map(known, others))
    return running


@asynccontextmanager
async def adapter(
    config: Config,
    read_only: bool = False,
    observer: Observer = lambda event: None,
    instruments: Instruments | None = None,
) -> AsyncIterator[Adapter]:
    """A running adapter: recovery has scanned before it is handed out; nothing is lost when it stops.

    read_only: only looks, also beside a running service: no case goes on.  observer: told every change of a case.
    instruments: stand around the ledger and the wire, nearest to the pipeline.
    """
    from adapter_core.centre.client import Centre
    from adapter_core.centre.guarded import GuardedWire

    loaded = plugins(config.settings.plugins)
    place, *others = site_places(config, loaded)
    clock = SystemClock()
    async with AsyncExitStack() as parts:
        ledger = await opened_ledger(config, clock, parts, read_only)
        centre = Centre(gateway_endpoints(config))
        parts.push_async_callback(centre.aclose)
        kept: Ledger = ledger
        if not read_only:
            await _keep_anchors(config, ledger, clock, parts)
        witness_file = config.settings.ledger.witness_file
        if witness_file is not None and not read_only:
            from adapter_core.ledger.witness import Witness
            from adapter_core.ledger.witnessed import Witnessed

            witness = parts.enter_context(Witness(config.path(witness_file)))
            await _refuse_if_behind(ledger, witness)
            witnessed = Witnessed(ledger, witness)
            await witnessed.compare()
            kept = cast("Ledger", witnessed)
        guarded = GuardedWire(
            centre, clock, observe=instruments.outage if instruments else None, by_endpoint=gateway_guards(config)
        )
        wire: Wire = guarded
        if instruments is not None:
            kept, wire = instruments.around_ledger(kept), instruments.around_wire(guarded)
        in_hand = None if read_only else _noted_in_hand(config, parts)
        items = site_items(config, parts)
        running = assembled(config, loaded, place, ledger, wire, clock, kept, in_hand, observer, others, items)
        running.outages = guarded.outages
        if not read_only:
            await parts.enter_async_context(heartbeat())
        parts.push_async_callback(running.pipeline.close)
        if not read_only:
            await running.pipeline.resume(running.places)
            scan = asyncio.create_task(running.pipeline.keep_scanning(running.places, config.settings.timers.lease / 3))
            parts.callback(scan.cancel)
        yield running


async def opened_ledger(
    config: Config, clock: SystemClock, parts: AsyncExitStack, read_only: bool = False
) -> OpenLedger:
    """The configured ledger, open until ``parts`` are closed.  A new SQLite ledger gets a key of its own; an existing one
    never does."""
    from adapter_core.ledger.sealing import create_master_key, read_master_key

    settings = config.settings
    if not config.is_shared and not config.ledger_path.exists() and not config.master_key_path.exists():
        config.master_key_path.parent.mkdir(parents=True, exist_ok=True)
        create_master_key(config.master_key_path)
    keys = read_master_key(config.master_key_path)
    if config.is_shared:
        from adapter_core.ledger.postgres import PostgresLedger

        shared = await PostgresLedger.open(
            settings.ledger.url, keys, environment=settings.environment, clock=clock, read_only=read_only
        )
        parts.push_async_callback(shared.close)
        return shared
    from adapter_core.ledger.sqlite import SqliteLedger

    own = SqliteLedger.open(
        config.ledger_path, keys, environment=settings.environment, clock=clock, read_only=read_only
    )
    parts.callback(own.close)
    return own


async def _keep_anchors(config: Config, ledger: OpenLedger, clock: SystemClock, parts: AsyncExitStack) -> None:
    """Anchor the journal until ``parts`` are closed; another process that shares the file does it already.

    Raises: ConfigError, LedgerDamaged when the journal lacks what was anchored.
    """
    from adapter_core.ledger.anchor_keys import create_anchor_key, read_anchor_key
    from adapter_core.ledger.anchors import Anchors

    settings = config.settings.ledger
    key_file = config.path(settings.anchor_key_file)
    if not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True)
        create_anchor_key(key_file)
    key = read_anchor_key(key_file)
    copies = [config.path(folder) for folder in settings.anchor_copies]
    try:
        anchors = Anchors(config.anchors_path, copies, key, clock)
    except ConfigError:
        return
    parts.callback(anchors.close)
    await anchors.refuse_cut(ledger)
    keeper = asyncio.create_task(anchors.keep(ledger, ANCHOR_EVERY_S))
    parts.callback(keeper.cancel)


def _noted_in_hand(config: Config, parts: AsyncExitStack) -> InHand | None:
    """The note of the case in hand; None where another process that shares the ledger keeps it already."""
    from adapter_core.ledger.in_hand import InHandFile

    ledger = config.folder / "ledger" if config.is_shared else config.ledger_path
    try:
        note = InHandFile(ledger.with_name(ledger.name + ".in-hand"))
    except ConfigError:
        return None
    parts.callback(note.close)
    return note


async def _refuse_if_behind(ledger: OpenLedger, witness: Witness) -> None:
    """Nothing may leave the house on a ledger that lost its tail.  Raises: LedgerDamaged."""
    from adapter_core.ledger.witness import behind

    lost = await behind(ledger, witness.read())
    await ledger.compared(witness.name, is_whole=not lost)
    if lost:
        raise LedgerDamaged(
            f"the ledger lacks {len(lost)} entries that its witness has, first of case {lost[0].case_id}: it lost its tail",
            message_zh="账本比见证文件旧（可能恢复了旧备份），已停止一切收发，请先与医保中心对账",
        )
