"""``rehearse``: a recorded day over another gateway, and what came out otherwise."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.cli.app import EXIT
from adapter_core.cli.showing import STATE_ZH, print_json, print_table
from adapter_core.config import load_config
from adapter_core.operations.recorded_day import Told
from adapter_core.operations.rehearsal import Rehearsal, Row, Wanted, rehearsed
from adapter_core.operations.rehearsal_notes import keep
from adapter_core.values.moments import iso
from adapter_core.values.money import from_fen

FIELD_ZH = {
    "state": "状态", "code": "代码", "total_fen": "总额", "fund_fen": "基金", "account_fen": "账户", "cash_fen": "现金",
}  # fmt: skip


async def rehearse(
    config: Path, day: str, gateway: str, institution: str, against: str, path: str | None, as_json: bool
) -> int:
    """0 when nothing came out otherwise, else 3.  Raises: ConfigError; ValueError for no day."""
    wanted = Wanted(date.fromisoformat(day), gateway, institution, against, path)
    loaded, clock = load_config(config), SystemClock()
    came = await rehearsed(loaded, wanted, clock)
    keep(loaded, came, iso(clock.wall()))
    if as_json:
        print_json(_data(came))
    else:
        _print(came)
    return EXIT["bad_input"] if came.different else EXIT["done"]


def _print(came: Rehearsal) -> None:
    print_table(
        f"演练 {came.wanted.day}：{came.wanted.gateway}",
        ("工单号", "业务", "当日记录", "原线路", "新线路", "不同之处"),
        [
            (
                row.message.number,
                f"{row.message.operation.kind} {row.message.operation.verb}",
                _words(row.message.told),
                _words(row.before) if row.before else "",
                _words(row.after),
                "、".join(FIELD_ZH[name] for name in row.differs) or "无",
            )
            for row in came.rows
        ],
    )
    for number, why in came.skipped.items():
        print(f"未演练 {number}：{why}")
    print(f"共 {len(came.rows)} 笔，不同 {len(came.different)} 笔，未演练 {len(came.skipped)} 笔")


def _words(told: Told) -> str:
    state = STATE_ZH.get(told.state, told.state)
    if told.code not in (told.state, ""):
        state = f"{state} {told.code}"
    return " ".join([state, *(f"{FIELD_ZH[name]}{from_fen(fen)}" for name, fen in told.amounts.items())])


def _data(came: Rehearsal) -> dict[str, Any]:
    return {
        "day": came.wanted.day.isoformat(),
        "gateway": came.wanted.gateway,
        "against": came.wanted.against or "simulated",
        "messages": [_row(row) for row in came.rows],
        "skipped": [{"work_order": number, "why": why} for number, why in came.skipped.items()],
        "different": len(came.different),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "work_order": row.message.number,
        "kind": row.message.operation.kind,
        "verb": row.message.operation.verb,
        "gateway": row.message.way,
        "recorded": _told(row.message.told),
        "before": _told(row.before) if row.before else None,
        "after": _told(row.after),
        "differs": list(row.differs),
    }


def _told(told: Told) -> dict[str, Any]:
    amounts = {name.removesuffix("_fen"): str(from_fen(fen)) for name, fen in told.amounts.items()}
    return {"state": told.state, "code": told.code, "amounts": amounts}
