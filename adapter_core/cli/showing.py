"""How results look on a terminal: Chinese tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from adapter_core.settlement.states import STATE_ZH as STATE_ZH
from adapter_core.values.errors import AdapterError, TranslationError


def print_json(value: object) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=_plain)
    sys.stdout.write("\n")


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 160, soft_wrap=False).print(table)


def error_data(error: AdapterError) -> dict[str, Any]:
    data: dict[str, Any] = {"code": error.code, "message_zh": error.message_zh, "detail": str(error)}
    if isinstance(error, TranslationError):
        data["detail"] = f"{len(error.faults)} fault(s)"
        data["faults"] = [
            {"path": fault.path, "title": fault.title, "expected": fault.expected, "got": fault.got}
            for fault in error.faults
        ]
    return data


def error_lines(error: AdapterError) -> list[str]:
    lines = [error.message_zh] if error.message_zh else []
    if isinstance(error, TranslationError):
        return [
            *lines,
            f"[{error.code}] 共 {len(error.faults)} 处问题，未发送：",
            *(_fault_line(fault) for fault in error.faults),
        ]
    return [*lines, f"[{error.code}] {error}"]


def _fault_line(fault: Any) -> str:
    title = f"（{fault.title}）" if fault.title else ""
    return f"  - {fault.path}{title}：应为 {fault.expected}，实为 {fault.got}"
