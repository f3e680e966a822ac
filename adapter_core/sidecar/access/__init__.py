"""Who may call, and what they may do: `Access.admit` knows a caller by the bytes as sent, before any of them is parsed."""

from __future__ import annotations

from adapter_core.sidecar.access.admission import Access
from adapter_core.sidecar.access.clients import Client, Peer, Right
from adapter_core.sidecar.access.refusals import Forbidden, TooMany, Unauthenticated

__all__ = ["Access", "Client", "Forbidden", "Peer", "Right", "TooMany", "Unauthenticated"]
