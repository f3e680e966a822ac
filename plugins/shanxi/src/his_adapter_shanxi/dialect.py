"""Shanxi's legacy dialect: Neusoft's DBLIB functions.  The table says nearly everything."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from adapter_core.formats.tables import load_table
from adapter_core.province.call_dialect import CallDialect
from adapter_core.province.province import Options
from adapter_core.province.table_dialect import Hooks
from adapter_core.values.content import Content

INSURED = "1"


@cache
def table_text(name: str) -> str:
    """The TOML of ``dblib``, ``dblib_route`` or ``overlay``."""
    return (files("his_adapter_shanxi") / "tables" / f"{name}.toml").read_text("utf-8")


def dblib(options: Options) -> CallDialect:
    """The DBLIB dialect for one site.

    Options: ``codes.med_type.<local>``, ``codes.psn_type.<local>``, ``blocked_type``.  Raises: ConfigError.
    """
    table = load_table(table_text("dblib"), "dblib.toml", options)
    return CallDialect(table, _block_hooks(table.spec.options["blocked_type"]))


def _block_hooks(blocked_type: str) -> Hooks:
    """Whether a person is blocked isn't a field but follows from the insurance's state."""

    def after_decode(message: str, side: str, sections: Content) -> Content:
        return sections

    def before_encode(message: str, side: str, sections: Content) -> Content:
        state = sections.get("person", {}).get("psn_insu_stas", INSURED)
        if message == "CheckMTQ" and side == "tell" and state != INSURED:
            sections.setdefault("x", {}).setdefault("block", blocked_type)
        return sections

    return Hooks(after_decode, before_encode)
