"""Guangdong (440000): the national JSON over x-tif, and the STYDJY SOAP interface in both directions."""

from __future__ import annotations

from collections.abc import Callable

from adapter_core.province.hookspecs import hookimpl
from adapter_core.province.province import Province
from his_adapter_guangdong.province import GUANGDONG

__all__ = ["GUANGDONG", "register_province"]


@hookimpl
def register_province(register: Callable[[Province], None]) -> None:
    register(GUANGDONG)
