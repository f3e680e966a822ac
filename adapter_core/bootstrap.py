"""The one composition root: the only file that names a concrete class on both sides of a port."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from base64 import b32encode
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from random import SystemRandom
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from adapter_core.config import Config, Institution
from adapter_core.province.dialect import Dialect
from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.host import Plugins, load_plugins
from adapter_core.province.province import CONTRACT, Province
from adapter_core.settlement.place import Place, Timers
from adapter_core.settlement.records import Change, Event
from adapter_core.settlement.ways import Cutover, Rule, Way, Ways
from adapter_core.supervisor import heartbeat
from adapter_core.values.errors import AdapterError, ConfigError, LedgerDamaged, TranslationError
from adapter_core.values.moments import iso

if TYPE_CHECKING:
    from adapter_core.accounts.books import Books
    from adapter_core.accounts.office import AccountsOffice
    from adapter_core.accounts.reconciling import Reconciling, Report
    from adapter_core.accounts.rounds import Rounds
    from adapter_core.catalogues.store import CatalogueStore
    from adapter_core.centre.breaker import Outage
    from adapter_core.centre.client import Endpoint
    from adapter_core.centre.guarded import GuardedWire, GuardSettings
    from adapter_core.centre.notices import Notice
    from adapter_core.ledger.postgres import PostgresLedger
    from adapter_core.ledger.sqlite import SqliteLedger
    from adapter_core.ledger.witness import Witness
    from adapter_core.paperwork.office import PaperOffice
    from adapter_core.paperwork.seals import SealKey
    from adapter_core.province.messages import Outcome
    from adapter_core.settlement.circumstances import Circumstances
    from adapter_core.settlement.pipeline import Pipeline
    from adapter_core.settlement.ports import InHand, ItemCodes, Ledger, Wire
    from adapter_core.settlement.records import Case

OpenLedger: TypeAlias = "SqliteLedger | PostgresLedger"
Observer: TypeAlias = Callable[[Mapping[str, str]], None]

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

    def __init__(self) -> None:
        self._jitter = SystemRandom()

    def token(self) -> str:
        """20 letters and digits of base 32: 100 bits from one draw."""
        return b32encode(secrets.token_bytes(13)).decode()[:20].lower()

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
        return next((place for place in self.every_place if place.org == org), None)

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
        return paper_office(self, place or self.place)

    async def note_refusal(self, dialect: str, error: AdapterError, org: str = "") -> None:
        """A message refused before anything was sent: the journal keeps that it was, and nothing of its content.

        org: the institution it came for, the first one where nobody knows.
        """
        paths = [fault.path for fault in error.faults] if isinstance(error, TranslationError) else []
        data = {"dialect": dialect, "code": error.code, "paths": paths}
        event = Event("REFUSED", iso(SystemClock().wall()), data=data)
        await (self.kept or self.ledger).commit(Change(org or self.place.org, events=(event,)))


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
        if not place.of(visit.encounter).gateway.capabilities.details_stay:
            return False
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
        upload if any(one.gateway.capabilities.details_stay for one in place.every_way()) else None,
    )


def books_of(config: Config) -> Books:
    """The ledger as the accounts read it."""
    from adapter_core.accounts.books import PostgresBooks, SqliteBooks

    return PostgresBooks(config.settings.ledger.url) if config.is_shared else SqliteBooks(config.ledger_path)


def reconciling_of(running: Adapter, place: Place) -> Reconciling:
    """Who reconciles an institution served here.  Raises: NotSupported where its way out is no national gateway."""
    from adapter_core.accounts.centre_desk import CentreDesk
    from adapter_core.accounts.reconciling import Reconciling
    from adapter_core.accounts.statement_form import StatementForm

    form = StatementForm(**running.config.settings.accounts.statement.model_dump())
    desk = CentreDesk(running.pipeline, place, form)
    return Reconciling(books_of(running.config), running.ledger, running.pipeline.from_files, desk, place, form)


def accounts_of(running: Adapter, place: Place) -> AccountsOffice:
    """The accounts of an institution served here.  Raises: ConfigError for faulty watching rules."""
    from adapter_core.accounts.centre_desk import CentreDesk
    from adapter_core.accounts.clearing import Clearing
    from adapter_core.accounts.office import AccountsOffice
    from adapter_core.accounts.statement_form import StatementForm
    from adapter_core.accounts.watching import read_rules

    settings = running.config.settings.accounts
    books, notes = books_of(running.config), running.pipeline.from_files

    def clearing() -> Clearing:
        desk = CentreDesk(running.pipeline, place, StatementForm())
        return Clearing(books, running.ledger, notes, desk, place)

    async def take_back(case: Case, void_key: str, reason: str) -> Outcome:
        from adapter_core.province.messages import Operation
        from adapter_core.province.national_dialect import NationalDialect

        dialect, keys = NationalDialect(), {"settle": case.key, "void": void_key}
        content = {"x": {"reason": reason}}
        operation = Operation("void", "void", dialect.name, case.kind, content=content, keys=keys)
        return await running.pipeline.handle(place, dialect, operation)

    return AccountsOffice(
        place,
        books,
        running.ledger,
        notes,
        SystemClock(),
        lambda: reconciling_of(running, place),
        clearing,
        read_rules(running.config.path(settings.rules_file) if settings.rules_file else None),
        take_back,
        settings.shifts,
        settings.prepaid_yuan * 100,
    )


def rounds_of(running: Adapter, place: Place) -> Rounds:
    """The schedule of an institution's reconciliations.  Raises: as `reconciling_of`."""
    from adapter_core.accounts.rounds import Rounds, Times

    settings = running.config.settings.accounts
    times = Times(settings.evening, settings.morning)
    reconciling, office = reconciling_of(running, place), accounts_of(running, place)

    async def run(day: str, phase: str) -> Report:
        report = await reconciling.run(day, phase)
        if phase == "T+1":
            await office.do("watch", {"date": day})
        return report

    return Rounds(place.org, running.ledger, running.pipeline.from_files, run, SystemClock(), times)


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


def site_circumstances(
    config: Config, loaded: Plugins, notices: Callable[[], Iterable[Notice]]
) -> Callable[[], Circumstances]:
    """What the site knows beside the centre, at each call: its own lists, notices, and every province's texts."""
    from adapter_core.centre.site_lists import SiteLists

    settings = config.settings
    openings, drugs = (
        config.path(file) if file else None for file in (settings.openings_file, settings.special_drugs_file)
    )
    policies = {region: province.policy for province in loaded.provinces for region in province.regions}
    return SiteLists(openings, drugs, notices, policies)


def site_dialect(config: Config, loaded: Plugins, name: str, org: str = "") -> Dialect:
    """A dialect with the site's own options; the institution's region is among them.  Raises: ConfigError."""
    settings = config.settings
    institution = next((one for one in settings.every_institution if one.fixmedins_code == org), settings.institution)
    return loaded.dialect(name, {"admdvs": institution.admdvs, **settings.dialect_options.get(name, {})})


def site_gateway(config: Config, loaded: Plugins, institution: Institution | None = None, name: str = "") -> Gateway:
    """A configured gateway for an institution (default: its usual one, of the first), with the site's own capabilities.

    Raises: ConfigError.
    """
    settings = config.settings
    institution = institution or settings.institution
    own = settings.every_gateway[name or settings.gateway_of(institution)]
    site = Site(
        fixmedins_code=institution.fixmedins_code,
        fixmedins_name=institution.fixmedins_name,
        admdvs=institution.admdvs,
        options=own.options,
        secrets=config.secrets(own),
    )
    gateway = loaded.gateway(own.kind, site)
    timers = settings.timers
    gateway.capabilities = replace(
        gateway.capabilities,
        # a timer the site leaves alone is the gateway's own: its quiet periods are declared with evidence
        **{TIMED[name]: getattr(timers, name) for name in TIMED if name in timers.model_fields_set},
        **own.capabilities(),
    )
    if gateway.capabilities.late_commit_s <= gateway.capabilities.money_deadline_s:
        raise ConfigError("timers.late_commit must exceed timers.money_deadline")
    return gateway


def site_places(config: Config, loaded: Plugins) -> list[Place]:
    """One place for each institution, in the configuration's order.  Raises: ConfigError."""
    return [site_place(config, loaded, institution) for institution in config.settings.every_institution]


def site_place(config: Config, loaded: Plugins, institution: Institution | None = None) -> Place:
    """The place of an institution (default: the first) with all its gateways.  Raises: ConfigError."""
    settings = config.settings
    timers = settings.timers
    institution = institution or settings.institution
    ways = site_ways(config, loaded, institution)
    usual = ways.named[ways.usual]
    return Place(
        site=Site(institution.fixmedins_code, institution.fixmedins_name, institution.admdvs),
        gateway=usual.gateway,
        endpoint=usual.endpoint,
        timers=Timers(
            sync_wait=timers.sync_wait,
            gate=timers.gate,
            query_steps=tuple(timers.query_steps),
            query_step_last=timers.query_step_last,
            quote_ttl=timers.quote_ttl,
            requote_after=timers.requote_after,
            credential_ttl=timers.credential_ttl,
            reversal_retry=timers.reversal_retry,
            lease=timers.lease,
        ),
        defaults={**PLAIN_DEFAULTS, **institution.defaults},
        on_unknown=settings.on_unknown,
        four_eyes_fen=settings.four_eyes_yuan * 100,
        way=usual.name,
        ways=ways,
    )


def site_ways(config: Config, loaded: Plugins, institution: Institution) -> Ways:
    """Every gateway, as this institution calls it, and its choice: also one that no route names may once have been
    somebody's.  Raises: ConfigError."""
    settings = config.settings
    code = institution.fixmedins_code
    routes = [one for one in settings.routes if one.institution in (None, code)]
    cutovers = [one for one in settings.cutovers if one.institution in (None, code)]
    return Ways(
        usual=settings.gateway_of(institution),
        named={
            name: Way(name, site_gateway(config, loaded, institution, name), name) for name in settings.every_gateway
        },
        rules=tuple(
            Rule(one.gateway, tuple(one.schemes), tuple(one.insured), tuple(one.kinds), one.begins, one.ends)
            for one in routes
        ),
        cutovers=tuple(Cutover(one.at, one.source, one.target, one.freeze_s) for one in cutovers),
    )


def gateway_endpoints(config: Config) -> list[Endpoint]:
    """The addresses of all configured gateways.  Raises: ConfigError."""
    return [gateway_endpoint(config, name) for name in config.settings.every_gateway]


def gateway_guards(config: Config) -> dict[str, GuardSettings]:
    """How many calls each gateway takes at once, and how many wait for it."""
    from adapter_core.centre.guarded import GuardSettings

    gateways = config.settings.every_gateway.items()
    return {name: GuardSettings(slots=one.connections, queue=one.queue) for name, one in gateways}


def gateway_endpoint(config: Config, name: str = "") -> Endpoint:
    """The configured address of a gateway (default: the first institution's usual one).  Raises: ConfigError."""
    from adapter_core.centre.client import Endpoint

    settings = config.settings
    name = name or settings.gateway_of(settings.institution)
    gateway = settings.every_gateway[name]
    certificate = (
        (config.path(gateway.client_cert_file), config.path(gateway.client_key_file))
        if gateway.client_cert_file and gateway.client_key_file
        else None
    )
    return Endpoint(
        name,
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
    others: Sequence[Place] = (),
    items: ItemCodes | None = None,
) -> Adapter:
    """An adapter on a given ledger and wire.  Nothing goes on before its pipeline's `resume`.

    kept: the ledger as the pipeline writes it, where something stands in between (a witness).  observer: told every change of a
    case, before the plugins' own are.  items: the mapping of the hospital's own items, where the site fills codes in.
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
        items=items,
    )
    running = Adapter(config, loaded, place, ledger, pipeline, kept=kept)

    def known(one: Place) -> Place:
        endpoints = {way.endpoint for way in one.every_way()}

        def notices() -> list[Notice]:
            return [notice for notice in running.notices() if notice.endpoint in ("", *endpoints)]

        return replace(one, circumstances=site_circumstances(config, loaded, notices))

    running.place, running.others = known(place), tuple(map(known, others))
    return running


def catalogue_store(config: Config) -> CatalogueStore:
    """The catalogues' own file.  Raises: ConfigError."""
    from adapter_core.catalogues.store import CatalogueStore

    return CatalogueStore(config.path(config.settings.catalogues.file))


def site_items(config: Config, parts: AsyncExitStack) -> ItemCodes | None:
    """The mapping of the hospital's own items, open until ``parts`` are closed; None where the site fills no codes in."""
    from adapter_core.catalogues.items import SiteItems

    if not config.settings.catalogues.fill:
        return None
    return SiteItems(parts.enter_context(catalogue_store(config)))


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
