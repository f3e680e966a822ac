"""``python -m adapter_core.simulator``."""

from adapter_core.simulator.server import main

main()
