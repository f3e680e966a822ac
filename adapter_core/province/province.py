"""What a plugin registers: one Province, typed, pure data and factories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from adapter_core.province.dialect import Dialect
from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.policy import Policy

CONTRACT = 1
"""Version of this contract.  A plugin says which one it was written for; the host refuses any other in a clear line."""

Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Province:
    """Dialects, gateways and a policy, and nothing else.

    name: short, e.g. ``jiangxi``.  regions: admdvs prefixes it answers for, e.g. ``("36",)``; empty for a vendor's
    package that only adds dialects.  dialects: dialect name → factory of (site options).  gateways: gateway name → factory
    of (site).  evidence: gateway name → the mark of what it is known from (E read in a public source, E2 in two, D deduced,
    N nothing public), then what is not known; a dialect's marks are its messages' own.  not_supported: what is known to exist
    and is not built, in words, for listings.
    """

    name: str
    title: str
    version: str
    contract: int
    regions: tuple[str, ...] = ()
    dialects: Mapping[str, Callable[[Options], Dialect]] = field(default_factory=dict)
    gateways: Mapping[str, Callable[[Site], Gateway]] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    evidence: Mapping[str, str] = field(default_factory=dict)
    not_supported: tuple[str, ...] = ()
