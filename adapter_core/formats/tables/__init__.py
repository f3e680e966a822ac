"""Field tables: a local interface's messages as data, compiled once at load into functions both ways."""

from __future__ import annotations

from adapter_core.formats.tables.loader import build_spec, parse_table
from adapter_core.formats.tables.table import FieldTable, load_table

__all__ = ["FieldTable", "build_spec", "load_table", "parse_table"]
