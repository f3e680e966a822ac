"""Frame: what crosses any wire, either way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Frame:
    """One message as it crosses a wire: an HTTP message or a function call (DLL, COM, handle API).

    HTTP: ``method``, ``path``, ``headers`` (a tuple of pairs), ``body``; a reply also has ``status``.
    Function call: ``function`` (its name), ``ins`` (named in-arguments as bytes), ``ret`` (return value as text),
    ``outs`` (named out-buffers as bytes).
    ``side``: what only the workstation knows: workstation id, session, card or QR data, PIN as Secret.
    """

    body: bytes = b""
    method: str = "POST"
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    status: int | None = None
    function: str = ""
    ins: Mapping[str, bytes] = field(default_factory=dict)
    ret: str = ""
    outs: Mapping[str, bytes] = field(default_factory=dict)
    side: Mapping[str, object] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """The first header of that name, in any case; empty when absent."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")
