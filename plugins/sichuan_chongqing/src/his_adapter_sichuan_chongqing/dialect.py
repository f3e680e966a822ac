"""Yinhai's XML by COM: identity and outpatient settlement as far as public, and the two-phase end of every trade."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from adapter_core.formats.tables import load_table
from adapter_core.province.call_dialect import CallDialect
from adapter_core.province.province import Options


@cache
def table_text(name: str) -> str:
    """The TOML of ``yinhai``."""
    return (files("his_adapter_sichuan_chongqing") / "tables" / f"{name}.toml").read_text("utf-8")


def yinhai(options: Options) -> CallDialect:
    """The Yinhai dialect for one site.

    Options: ``codes.med_type.<local>``, ``codes.insutype.<local>``.  Raises: ConfigError.
    """
    return CallDialect(load_table(table_text("yinhai"), "yinhai.toml", options))
