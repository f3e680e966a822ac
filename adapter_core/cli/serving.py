"""``serve``: the parent that keeps the service's worker alive, or under a parent, the worker."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from adapter_core import supervisor
from adapter_core.cli.app import EXIT
from adapter_core.cli.resolving import WORKER
from adapter_core.config import load_config

FINAL = frozenset({EXIT[name] for name in ("done", "usage", "bad_input", "damaged")})
"""Exit codes of a worker that meant to end.  Any other one, or none, starts it anew."""


def serve_config(config: Path) -> int:
    """The parent where there can be one; under a parent, or on Windows, the worker."""
    if supervisor.is_supervised() or not supervisor.POSSIBLE:
        from adapter_core.sidecar.serving import run_worker

        run_worker(load_config(config))
        return EXIT["done"]
    patience = supervisor.Patience(silence_s=load_config(config).settings.timers.heartbeat)
    command = [sys.executable, "-c", WORKER, "serve", "--config", str(config)]
    code = asyncio.run(supervisor.supervise(command, patience, FINAL))
    return code if code >= 0 else EXIT["pending"]
