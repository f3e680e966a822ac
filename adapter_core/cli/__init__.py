"""``his-adapter``: the command line."""

from adapter_core.cli.app import main

__all__ = ["main"]
