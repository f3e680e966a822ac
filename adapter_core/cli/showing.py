"""How results look on a terminal: Chinese tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from adapter_core.values.errors import AdapterError, TranslationError

STATE_ZH = {
    "DONE": "已受理", "PREPARING": "准备中", "READY": "待发送", "QUOTED": "已预结算", "SENDING": "已发送", "CONFIRMING": "确认中",
    "RESOLVING": "核实中", "REVERSING": "冲正中", "SETTLED": "已结算", "VOIDING": "退费中", "VOIDED": "已退费", "REJECTED": "中心拒绝",
    "NOT_SENT": "未送达", "NOT_APPLIED": "未发生", "REVERSED": "已冲正", "CANCELLED": "已取消", "FROZEN": "待人工核定",
    "PENDING": "结果未知，核实中", "MANUAL_OPEN": "已出具手工报销材料", "MANUAL_SUBMITTED": "手工报销材料已交件",
    "MANUAL_CLOSED": "手工报销已办结", "MANUAL_REVOKED": "手工报销材料已作废",
}  # fmt: skip


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
