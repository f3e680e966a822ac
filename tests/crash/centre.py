"""``python -m tests.crash.centre``: the simulated centre of the kills, on any free port; says where on stdout."""

from __future__ import annotations

import asyncio

from adapter_core.simulator.server import Simulator, loaded_dialects
from tests.flow.two_phase import DIALECT

from .care import TWO_PHASE, UNCONFIRMED_S


async def _serve() -> None:
    async with Simulator(port=0, dialects={**loaded_dialects(), TWO_PHASE.name: DIALECT}) as centre:
        centre.world.temperament = centre.world.temperament.changed({"unconfirmed_s": UNCONFIRMED_S})
        print(f"listening on {centre.host}:{centre.port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
