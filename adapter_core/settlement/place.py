"""The place of care a case runs at, and the timers it runs by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter_core.province.gateway import Gateway, Site


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


@dataclass(frozen=True, slots=True)
class Place:
    """One institution and its way out.

    endpoint: the wire's name for the gateway's address.  defaults: what a HIS may leave out, by path
    (``settle.psn_setlway``, ``fees[].hosp_appr_flag``), from the configuration.
    on_unknown: ``adopt`` what is found after an unknown outcome, or ``reverse`` it.  four_eyes_fen: above this sum a second
    operator signs a decision about a frozen case.
    """

    site: Site
    gateway: Gateway
    endpoint: str = "gateway"
    timers: Timers = field(default_factory=Timers)
    defaults: Mapping[str, str] = field(default_factory=dict)
    on_unknown: str = "adopt"
    four_eyes_fen: int = 500_000

    @property
    def org(self) -> str:
        return self.site.fixmedins_code
