"""Ways out: the gateways of one institution, which of them serves whom, and the switch from one to another.  Pure.

An encounter has one way for ever: its registration, its lines, its settlements and their refunds are known to that centre alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapter_core.province.gateway import Gateway
from adapter_core.province.schemes import Opening, Trip, scheme_name
from adapter_core.settlement.records import Encounter
from adapter_core.standard.regions import in_force
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSupported, Refused
from adapter_core.values.moments import national_date, national_time

ONLY = "gateway"
"""The name of the way of an institution that has only one, and of every encounter from before it had several."""
HOME = "@home"
"""In a rule: insured in the institution's own province."""
SECTION = "way"
"""The section of an encounter's content that names its way; the name is "" until it is chosen."""


class GatewayGone(Refused):
    """The gateway an encounter was opened with is no longer configured: nothing of it may go anywhere else."""

    code = "GATEWAY_GONE"

    def __init__(self, name: str) -> None:
        text = f"该业务原走的医保线路 {name} 已不在配置中，未发送，不能改走其他线路；请信息科恢复 [gateways.{name}] 后再办理"
        super().__init__(f"gateway {name} is not configured any more", message_zh=text)
        self.name = name


@dataclass(frozen=True, slots=True)
class Way:
    """One gateway of an institution.  name: as configured; endpoint: the wire's name for its address."""

    name: str
    gateway: Gateway
    endpoint: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the list of routes; what is empty isn't asked for.  Fields as in `config.RouteSettings`."""

    way: str
    schemes: tuple[str, ...] = ()
    insured: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None

    def fits(self, trip: Trip, at: datetime, openings: Sequence[Opening] = ()) -> bool:
        """Whether it holds for this trip at this moment."""
        return (
            (not self.kinds or trip.kind in self.kinds)
            and (self.begins is None or self.begins <= at)
            and (self.ends is None or at < self.ends)
            and (not self.insured or any(_is_insured(trip, region) for region in self.insured))
            and (not self.schemes or scheme_name(trip, openings) in self.schemes)
        )


def _is_insured(trip: Trip, region: str) -> bool:
    """A person whose place of insurance isn't known is insured nowhere, but in "" itself."""
    if not trip.insured or not region:
        return trip.insured == region
    return trip.insured.startswith(trip.care[:2] if region == HOME else region)


@dataclass(frozen=True, slots=True)
class Cutover:
    """A switch from one way to another.  Nothing new is begun in the ``freeze_s`` seconds before ``at``."""

    at: datetime
    source: str
    target: str
    freeze_s: float = 0.0

    def freezes(self, at: datetime) -> bool:
        return self.at - timedelta(seconds=self.freeze_s) <= at < self.at

    def is_over(self, at: datetime) -> bool:
        return self.at <= at


@dataclass(frozen=True, slots=True)
class Ways:
    """All of an institution's.  usual: the one where no rule fits.  unfit: those that can't say what is wanted just now."""

    usual: str = ONLY
    named: Mapping[str, Way] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    cutovers: tuple[Cutover, ...] = ()
    unfit: frozenset[str] = frozenset()

    @property
    def is_choice(self) -> bool:
        """Whether it depends on who comes, or when."""
        return bool(self.rules or self.cutovers)

    def choose(self, trip: Trip, at: datetime, openings: Sequence[Opening] = ()) -> str:
        """The name of the way for a new encounter: the first rule that fits, then the cut-overs that are over."""
        now = replace(trip, insured=in_force(trip.insured, trip.day))
        name = next((rule.way for rule in self.rules if rule.fits(now, at, openings)), self.usual)
        for cutover in sorted(self.cutovers, key=lambda one: one.at):
            if cutover.source == name and cutover.is_over(at):
                name = cutover.target
        return name

    def named_way(self, name: str) -> Way:
        """Raises: GatewayGone, NotSupported."""
        if name in self.unfit:
            text = f"该业务的医保线路 {name} 不能转发这种报文，未发送"
            raise NotSupported(f"gateway {name} can't say that", message_zh=text)
        if name not in self.named:
            raise GatewayGone(name)
        return self.named[name]

    def mapped(self, change: Callable[[Gateway], Gateway | None]) -> Ways:
        """The same with other gateways; those that ``change`` makes nothing of are unfit."""
        found = {name: change(way.gateway) for name, way in self.named.items()}
        named = {
            name: replace(self.named[name], gateway=gateway) for name, gateway in found.items() if gateway is not None
        }
        return replace(self, named=named, unfit=frozenset(found.keys() - named.keys()))

    def refuse_cut_over(self, name: str, at: datetime, *, begins: bool) -> None:
        """Nothing more is done on a way that was switched off, and nothing is begun on one that is about to be.

        begins: a new registration or settlement, no continued one.  Raises: Refused SYSTEM_CUTOVER, START_ANEW.
        """
        for cutover in self.cutovers:
            if cutover.source != name:
                continue
            if cutover.is_over(at):
                raise Refused(
                    f"registered on {name}, which was switched off",
                    code="START_ANEW",
                    message_zh="医保系统已切换，本次就诊登记在旧系统，不能在新系统结算，未发送。请重新登记为新的就诊后再结算；旧系统已结算的可退费",
                )
            if begins and cutover.freezes(at):
                until = national_time(cutover.at)
                raise Refused(
                    f"{name} is switched off at {until}",
                    code="SYSTEM_CUTOVER",
                    message_zh=f"医保系统将于 {until} 切换，切换前暂停新的登记和结算，未发送。请在切换后办理，或按自费办理并告知可手工报销",
                )


def way_of(encounter: Encounter) -> str | None:
    """The name of an encounter's way; None while it isn't chosen."""
    known = encounter.content.get(SECTION)
    if known is None:
        return ONLY if encounter.version else None
    return str(known["gateway"]) or None


def way_section(name: str) -> Content:
    """The content that says so."""
    return {SECTION: {"gateway": name}}


def trip_of(content: Content, care: str, fixmedins_code: str, kind: str, at: datetime) -> Trip:
    """Who goes where, as far as it is known."""
    insured = str(content.get("person", {}).get("insuplc_admdvs") or "")
    return Trip(insured, care, kind, national_date(at), fixmedins_code)
