"""What the configuration makes of a site: its plugins, places, gateways, addresses, notices and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import Config, Institution
from adapter_core.province.dialect import Dialect
from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.host import Plugins, load_plugins
from adapter_core.province.province import CONTRACT, Province
from adapter_core.settlement.place import Place, Timers
from adapter_core.settlement.ways import Cutover, Rule, Way, Ways
from adapter_core.values.copies import replace
from adapter_core.values.errors import ConfigError

if TYPE_CHECKING:
    from adapter_core.catalogues.store import CatalogueStore
    from adapter_core.centre.breaker import Outage
    from adapter_core.centre.client import Endpoint
    from adapter_core.centre.guarded import GuardSettings
    from adapter_core.centre.notices import Notice
    from adapter_core.settlement.circumstances import Circumstances
    from adapter_core.settlement.ports import ItemCodes

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

TIMED = {
    "late_commit": "late_commit_s",
    "query_lag": "query_lag_s",
    "second_negative": "second_negative_s",
    "money_deadline": "money_deadline_s",
    "inpatient_deadline": "inpatient_deadline_s",
    "read_deadline": "read_deadline_s",
}
"""Timers of the configuration that override what a gateway declares."""


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
        reconciles=settings.accounts.reconcile,
    )


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


def gateway_guards(config: Config) -> dict[str, GuardSettings]:
    """How many calls each gateway takes at once, and how many wait for it."""
    from adapter_core.centre.guarded import GuardSettings

    gateways = config.settings.every_gateway.items()
    return {name: GuardSettings(slots=one.connections, queue=one.queue) for name, one in gateways}


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
