"""Jiangxi's two legacy dialects: Neusoft's ``^ | $`` text and Fuzhou's ``SSSS|…;``.  The tables say nearly everything."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from adapter_core.formats.tables import load_table
from adapter_core.province.province import Options
from adapter_core.province.table_dialect import Hooks, TableDialect
from adapter_core.values.content import Content


@cache
def table_text(name: str) -> str:
    """The TOML of ``neusoft`` or ``fuzhou``."""
    return (files("his_adapter_jiangxi") / "tables" / f"{name}.toml").read_text("utf-8")


def neusoft(options: Options) -> TableDialect:
    """The Neusoft dialect for one site.

    Options: those of the table's ``[options]``, ``codes.med_type.<local>``, ``layout.pay``.  Raises: ConfigError.
    """
    table = load_table(table_text("neusoft"), "neusoft.toml", options)
    return TableDialect(table, _elsewhere_hooks(table.spec.options["admdvs"]))


def fuzhou(options: Options) -> TableDialect:
    """The Fuzhou dialect for one site.  Options: as the table's ``[options]``.  Raises: ConfigError."""
    return TableDialect(load_table(table_text("fuzhou"), "fuzhou.toml", options))


def _elsewhere_hooks(admdvs: str) -> Hooks:
    """Whether the person is insured elsewhere isn't a field but a comparison with the site's own region (its city, four digits).

    The HIS chooses 2610 or 2420 by the flag of 2100's reply, and writes 0000 for its own region in requests.
    """

    def after_decode(message: str, side: str, sections: Content) -> Content:
        return sections

    def before_encode(message: str, side: str, sections: Content) -> Content:
        person = sections.get("person", {})
        insured = person.get("insuplc_admdvs", "")
        if not (admdvs and insured):
            return sections
        elsewhere = insured[:4] != admdvs[:4]
        if message == "2100" and side == "tell":
            sections.setdefault("x", {}).setdefault("elsewhere", "1" if elsewhere else "0")
        elif side == "ask" and not elsewhere:
            del person["insuplc_admdvs"]
        return sections

    return Hooks(after_decode, before_encode)
