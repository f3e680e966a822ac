"""The hooks.  Few on purpose: discover with a hook, work through a typed object."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pluggy

from adapter_core.province.province import Province

PROJECT = "adapter_core"
"""pluggy project name and entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_province(register: Callable[[Province], None]) -> None:
    """Offer provinces.

    Fires once at start.  ``register`` takes a Province; two for one region prefix, or two dialects or gateways of one name,
    stop the start with both named.  An exception switches this plugin off, the others run.  (since 0.1)
    """


@hookspec
def settlement_changed(event: Mapping[str, str]) -> None:
    """A case changed state.

    ``event``: case_id, visit_key, settle_key, state, at (RFC 3339); no personal data.  Each observer is called in a guard of
    its own after the change is durable: raising is recorded and stops nothing.  (since 0.1)
    """
