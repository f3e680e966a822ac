"""The place of care a case runs at, and the timers it runs by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.national import NationalGateway
from adapter_core.settlement.circumstances import NOTHING_KNOWN, Circumstances
from adapter_core.settlement.records import Encounter
from adapter_core.settlement.ways import ONLY, Ways, trip_of, way_of
from adapter_core.values.content import Content
from adapter_core.values.copies import replace


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds, fractions allowed (`contracts.md` §7)."""

    sync_wait: float = 8.0
    gate: float = 5.0
    query_steps: tuple[float, ...] = (2.0, 5.0, 15.0, 30.0, 60.0)
    query_step_last: float = 300.0
    reversal_retry: float = 60.0
    lease: float = 45.0
    quote_ttl: float = 1800.0
    requote_after: float = 300.0
    credential_ttl: float = 240.0


@dataclass(frozen=True, slots=True)
class Place:
    """One institution and its way out.

    endpoint: the wire's name for the gateway's address.  defaults: what a HIS may leave out, by path
    (``settle.psn_setlway``, ``fees[].hosp_appr_flag``), from the configuration.
    on_unknown: ``adopt`` what is found after an unknown outcome, or ``reverse`` it.  four_eyes_fen: above this sum a second
    operator signs a decision about a frozen case.  circumstances: what the site knows beside the centre, now.
    way: the gateway's configured name; ways: all gateways of the institution, this one among them, and the choice.
    reconciles: its days are reconciled by themselves.
    """

    site: Site
    gateway: Gateway
    endpoint: str = "gateway"
    timers: Timers = field(default_factory=Timers)
    defaults: Mapping[str, str] = field(default_factory=dict)
    on_unknown: str = "adopt"
    four_eyes_fen: int = 500_000
    circumstances: Callable[[], Circumstances] = lambda: NOTHING_KNOWN
    way: str = ONLY
    ways: Ways = field(default_factory=Ways)
    reconciles: bool = False

    @property
    def org(self) -> str:
        return self.site.fixmedins_code

    @property
    def sessions(self) -> str:
        """Whose sign-ins these are: two gateways of one kind have sessions of their own."""
        return self.gateway.name if self.way == ONLY else self.way

    @property
    def awaits_files(self) -> bool:
        """Whether reconciliation files of this gateway's centre are to be expected."""
        return self.reconciles and isinstance(self.gateway, NationalGateway)

    def via(self, way: str) -> Place:
        """The place with another of its gateways.  Raises: GatewayGone, NotSupported."""
        if way == self.way and way not in self.ways.unfit:
            return self
        found = self.ways.named_way(way)
        return replace(self, gateway=found.gateway, endpoint=found.endpoint, way=way)

    def of(self, encounter: Encounter) -> Place:
        """The place with the gateway the encounter was opened with; as it is while none is chosen.

        Raises: GatewayGone, NotSupported.
        """
        way = way_of(encounter)
        return self if way is None else self.via(way)

    def chosen(self, content: Content, kind: str, at: datetime) -> Place:
        """The place with the gateway for a new encounter, by what its content says.  Raises: NotSupported."""
        if not self.ways.is_choice:
            return self
        trip = trip_of(content, self.site.admdvs, self.org, kind, at)
        return self.via(self.ways.choose(trip, at, self.circumstances().openings))

    def alone(self) -> Place:
        """The place with this gateway and no choice."""
        return replace(self, ways=Ways(self.way))

    def every_way(self) -> tuple[Place, ...]:
        """The place once with each of its gateways."""
        return tuple(self.via(name) for name in self.ways.named) or (self,)

    def follows_up(self, kind: str) -> bool:
        """Whether any of its gateways has steps after the settlement."""
        return any(one.gateway.route.after_money(kind) for one in self.every_way())
