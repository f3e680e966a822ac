"""Registers the province, nothing else."""

from __future__ import annotations

from collections.abc import Callable

from adapter_core.province.hookspecs import hookimpl
from adapter_core.province.province import Province
from his_adapter_neimenggu.province import PROVINCE


@hookimpl
def register_province(register: Callable[[Province], None]) -> None:
    register(PROVINCE)
