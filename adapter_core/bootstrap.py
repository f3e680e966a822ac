"""The one composition root: the only file that names a concrete class on both sides of a port."""

from __future__ import annotations

import asyncio
import os
import secrets
import string
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from random import SystemRandom
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from adapter_core.config import Config
from adapter_core.province.dialect import Dialect
from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.host import Plugins, load_plugins
from adapter_core.province.province import CONTRACT, Province
from adapter_core.settlement.place import Place, Timers
from adapter_core.settlement.records import Change, Event
from adapter_core.supervisor import heartbeat
from adapter_core.values.errors import AdapterError, ConfigError, LedgerDamaged, TranslationError
from adapter_core.values.moments import iso

if TYPE_CHECKING:
    from adapter_core.centre.breaker import Outage
    from adapter_core.centre.client import Endpoint
    from adapter_core.centre.guarded import GuardedWire
    from adapter_core.centre.notices import Notice
    from adapter_core.ledger.postgres import PostgresLedger
    from adapter_core.ledger.sqlite import SqliteLedger
    from adapter_core.ledger.witness import Witness
    from adapter_core.paperwork.office import PaperOffice
    from adapter_core.paperwork.seals import SealKey
    from adapter_core.settlement.pipeline import Pipeline
    from adapter_core.settlement.ports import InHand, Ledger, Wire

OpenLedger: TypeAlias = "SqliteLedger | PostgresLedger"
Observer: TypeAlias = Callable[[Mapping[str, str]], None]

GATEWAY = "gateway"
"""The wire's name for the one configured address."""

PLAIN_DEFAULTS = {
    "env.opter": "HIS",
    "env.opter_name": "HIS接口",
    "env.mac": "00-00-00-00-00-00",
    "env.ip": "127.0.0.1",
    "visit.caty": "0",
    "settle.psn_setlway": "01",
    "settle.acct_used_flag": "1",
    "settle.mid_setl_flag": "0",
    "fees[].rx_circ_flag": "0",
    "fees[].hosp_appr_flag": "1",
    "diagnoses[].vali_flag": "1",
}
"""What a HIS may leave out.  ``visit.caty`` is a placeholder: no public dictionary lists 科别 codes, so the hospital sets its
own under ``[institution.defaults]``; `doctor` says so while it is unset."""


ANCHOR_EVERY_S = 1.0
"""How often it is looked whether the journal has grown by enough to be anchored."""

TIMED = {
    "late_commit": "late_commit_s",
    "query_lag": "query_lag_s",
    "second_negative": "second_negative_s",
    "money_deadline": "money_deadline_s",
    "inpatient_deadline": "inpatient_deadline_s",
    "read_deadline": "read_deadline_s",
}
"""Timers of the configuration that override what a gateway declares."""


class SystemClock:
    """The machine's clocks.  CLOCK_BOOTTIME counts through a suspend, where the system has it."""

    def mono(self) -> float:
        if sys.platform == "linux":
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()

    def wall(self) -> datetime:
        return datetime.now(UTC)


class SystemIds:
    """Ids from the system's random source."""

    _letters = string.ascii_lowercase + string.digits

    def __init__(self) -> None:
        self._jitter = SystemRandom()

    def token(self) -> str:
        return "".join(secrets.choice(self._letters) for _ in range(20))

    def uniform(self, low: float, high: float) -> float:
        return self._jitter.uniform(low, high)


def builtin_province() -> Province:
    """What works without any plugin: national JSON in, the plain national gateway out."""
    from adapter_core.province.national import national
    from adapter_core.province.national_dialect import NationalDialect

    return Province(
        name="national",
        title="国家标准",
        version="0",
        contract=CONTRACT,
        dialects={"national": lambda options: NationalDialect()},
        gateways={"national": national},
        evidence={"national": "E2：国家接口规范的公开实现；签名各省不同，这里没有"},
    )


def plugins(enabled: list[str] | None = None) -> Plugins:
    """The loaded plugins and the built-in national forms."""
    return load_plugins(enabled, [builtin_province()])


class Instruments(Protocol):
    """What watches an adapter: it stands around the two ports and changes nothing that crosses them (`operations.instruments`)."""

    def around_ledger(self, ledger: Ledger) -> Ledger: ...

    def around_wire(self, wire: GuardedWire) -> Wire: ...

    def outage(self, outage: Outage) -> None:
        """A circuit opened, or closed again."""


@dataclass(slots=True)
class Adapter:
    """Everything one process runs on, built from a configuration."""

    config: Config
    plugins: Plugins
    place: Place
    ledger: OpenLedger
    pipeline: Pipeline
    outages: Callable[[], Iterable[Outage]] = tuple
    kept: Ledger | None = None

    def places(self, org: str) -> Place | None:
        """The place of an institution, None for one that isn't served here."""
        return self.place if org == self.place.org else None

    def dialect(self, name: str) -> Dialect:
        return site_dialect(self.config, self.plugins, name)

    def notices(self) -> list[Notice]:
        """What cashiers should know now: planned downtime from the site's file, unplanned from the breaker."""
        return current_notices(self.config, self.outages)

    def office(self, place: Place | None = None) -> PaperOffice:
        """Who opens and prints manual-reimbursement papers of an institution served here."""
        return paper_office(self, place or self.place)

    async def note_refusal(self, dialect: str, error: AdapterError) -> None:
        """A message refused before anything was sent: the journal keeps that it was, and nothing of its content."""
        paths = [fault.path for fault in error.faults] if isinstance(error, TranslationError) else []
        data = {"dialect": dialect, "code": error.code, "paths": paths}
        event = Event("REFUSED", iso(SystemClock().wall()), data=data)
        await (self.kept or self.ledger).commit(Change(self.place.org, events=(event,)))


def paper_office(running: Adapter, place: Place) -> PaperOffice:
    """The office of one institution.  Its signing key is made when it is first needed."""
    from adapter_core.paperwork.dossier import House
    from adapter_core.paperwork.office import OfficeRules, PaperOffice
    from adapter_core.province.messages import Operation
    from adapter_core.province.national_dialect import NationalDialect
    from adapter_core.settlement.papers import Visit

    settings = running.config.settings
    notice_file = settings.papers.chronic_notice_file
    notice = running.config.path(notice_file).read_text("utf-8").strip() if notice_file else ""

    async def upload(visit: Visit) -> bool:
        keys = {"encounter": visit.encounter.encounter_key, "visit": visit.visit_key}
        wanted = Operation("upload_fees", "upload_fees", "national", visit.encounter.kind, keys=keys)
        return (await running.pipeline.handle(place, NationalDialect(), wanted)).state == "DONE"

    return PaperOffice(
        running.pipeline.papers,
        running.kept or running.ledger,
        place,
        House(place.org, place.site.fixmedins_name, place.site.admdvs, settings.environment, settings.papers.phone),
        lambda: papers_key(running.config),
        OfficeRules(settings.papers.basis, notice),
        upload if place.gateway.capabilities.details_stay else None,
    )


PAPERS_KEY_BYTES_MAX = 1024


def papers_key(config: Config) -> SealKey:
    """The key papers are sealed with, made on the first call; its public half lies beside it as ``….public``.

    Raises: ConfigError when others can read it, or it is no key.
    """
    from adapter_core.ledger.key_files import read_key_file
    from adapter_core.paperwork.seals import new_key, read_key

    path = config.path(config.settings.papers.signing_key_file)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = new_key()
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(made.text() + "\n")
        except FileExistsError:
            pass  # another process made it in the same moment
    key = read_key(read_key_file(path, PAPERS_KEY_BYTES_MAX).decode("ascii"))
    public = path.with_name(path.name + ".public")
    if not public.exists() or public.read_text("ascii") != key.public.text() + "\n":
        public.write_text(key.public.text() + "\n", "ascii")
    return key


def current_notices(config: Config, outages: Callable[[], Iterable[Outage]] = tuple) -> list[Notice]:
    """The downtime notices that hold now.  Raises: ConfigError with every fault of the file."""
    from adapter_core.centre.notices import Notices, load_planned

    file = config.settings.notices_file
    planned = load_planned(config.path(file)) if file else ()
    return Notices(planned, outages).current(SystemClock().wall())


def site_dialect(config: Config, loaded: Plugins, name: str) -> Dialect:
    """A dialect with the site's own options; its region is among them.  Raises: ConfigError."""
    settings = config.settings
    return loaded.dialect(name, {"admdvs": settings.institution.admdvs, **settings.dialect_options.get(name, {})})


def site_gateway(config: Config, loaded: Plugins) -> Gateway:
    """The configured gateway with the site's own capabilities.  Raises: ConfigError."""
    settings = config.settings
    institution = settings.institution
    site = Site(
        fixmedins_code=institution.fixmedins_code,
        fixmedins_name=institution.fixmedins_name,
        admdvs=institution.admdvs,
        options=settings.gateway.options,
        secrets=config.secrets,
    )
    gateway = loaded.gateway(settings.gateway.kind, site)
    timers = settings.timers
    gateway.capabilities = replace(
        gateway.capabilities,
        # a timer the site leaves alone is the gateway's own: its quiet periods are declared with evidence
        **{TIMED[name]: getattr(timers, name) for name in TIMED if name in timers.model_fields_set},
        **settings.gateway.capabilities(),
    )
    if gateway.capabilities.late_commit_s <= gateway.capabilities.money_deadline_s:
        raise ConfigError("timers.late_commit must exceed timers.money_deadline")
    return gateway


def site_place(config: Config, loaded: Plugins) -> Place:
    settings = config.settings
    timers = settings.timers
    gateway = site_gateway(config, loaded)
    return Place(
        site=Site(
            settings.institution.fixmedins_code, settings.institution.fixmedins_name, settings.institution.admdvs
        ),
        gateway=gateway,
        endpoint=GATEWAY,
        timers=Timers(
            sync_wait=timers.sync_wait,
            gate=timers.gate,
            query_steps=tuple(timers.query_steps),
            query_step_last=timers.query_step_last,
            quote_ttl=timers.quote_ttl,
            requote_after=timers.requote_after,
            reversal_retry=timers.reversal_retry,
            lease=timers.lease,
        ),
        defaults={**PLAIN_DEFAULTS, **settings.institution.defaults},
        on_unknown=settings.on_unknown,
        four_eyes_fen=settings.four_eyes_yuan * 100,
    )


def gateway_endpoint(config: Config) -> Endpoint:
    """The configured address of the gateway.  Raises: ConfigError."""
    from adapter_core.centre.client import Endpoint

    gateway = config.settings.gateway
    certificate = (
        (config.path(gateway.client_cert_file), config.path(gateway.client_key_file))
        if gateway.client_cert_file and gateway.client_key_file
        else None
    )
    return Endpoint(
        GATEWAY,
        gateway.url,
        plain_http_reason=gateway.plain_http,
        ca_file=config.path(gateway.ca_file) if gateway.ca_file else None,
        client_cert=certificate,
    )


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
) -> Adapter:
    """An adapter on a given ledger and wire.  Nothing goes on before its pipeline's `resume`.

    kept: the ledger as the pipeline writes it, where something stands in between (a witness).  observer: told every change of a
    case, before the plugins' own are.
    """
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
    )
    return Adapter(config, loaded, place, ledger, pipeline, kept=kept)


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
    place = site_place(config, loaded)
    clock = SystemClock()
    async with AsyncExitStack() as parts:
        ledger = await opened_ledger(config, clock, parts, read_only)
        centre = Centre([gateway_endpoint(config)])
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
        guarded = GuardedWire(centre, clock, observe=instruments.outage if instruments else None)
        wire: Wire = guarded
        if instruments is not None:
            kept, wire = instruments.around_ledger(kept), instruments.around_wire(guarded)
        in_hand = None if read_only else _noted_in_hand(config, parts)
        running = assembled(config, loaded, place, ledger, wire, clock, kept, in_hand, observer)
        running.outages = guarded.outages
        if not read_only:
            await parts.enter_async_context(heartbeat())
        parts.push_async_callback(running.pipeline.close)
        if not read_only:
            await running.pipeline.resume(running.places)
            scan = asyncio.create_task(running.pipeline.keep_scanning(running.places, config.settings.timers.lease / 3))
            parts.callback(scan.cancel)
        yield running
