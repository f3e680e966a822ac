"""The contract of a gateway: one call into wire bytes and wire bytes into a reply, purely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from adapter_core.province.capabilities import Capabilities
from adapter_core.province.messages import Call, Reply
from adapter_core.province.plan import Route
from adapter_core.province.policy import Policy
from adapter_core.values.errors import Fault
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret


@dataclass(frozen=True, slots=True)
class Site:
    """The institution a call is made for, and what its gateway needs to know of it.

    secrets: by name, only this gateway's own (``ak``, ``sk``, ``paasid``, ``token`` …); never logged.
    options: the gateway's own settings from the configuration.
    """

    fixmedins_code: str
    fixmedins_name: str
    admdvs: str
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)


@runtime_checkable
class Gateway(Protocol):
    """Built once per site.  It opens no socket and reads no clock: the core hands in site and moment, and sends."""

    name: str
    route: Route
    policy: Policy
    capabilities: Capabilities

    def msgid(self, moment: datetime, sequence: int) -> str:
        """The id of one call as this wire knows it.  ``sequence`` counts up; the ledger's unique index decides."""

    def encode(self, call: Call, moment: datetime) -> Frame:
        """Bytes to send.  Raises: TranslationError with every fault when the content can't be said."""

    def decode(self, call: Call, frame: Frame) -> Reply:
        """A reply read by this gateway's own success rule.  Never raises for bytes from outside: Mark.UNREADABLE."""

    def echo_faults(self, call: Call, reply: Reply) -> tuple[str, ...]:
        """Which of the echoes this gateway declares contradict the call.  An absent or empty echo is no contradiction."""

    def faults(self, call: Call) -> tuple[Fault, ...]:
        """Everything that `encode` would refuse, all at once; asked for every step of a plan before the first one is sent."""
