"""The demonstration's evening: each hospital's day is reconciled with the centre, then what each region owes is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import accounts_of
from adapter_core.cli.showing import print_table
from adapter_core.config import load_config
from adapter_core.values.errors import NotSupported
from adapter_core.values.moments import national_date

RUN_COLUMNS = ("医院", "笔数", "总额", "基金", "个人账户", "与中心对账")


async def closed_day(config: Path) -> dict[str, Any] | None:
    """The run and the dues of one hospital; None where its way out can't be reconciled by itself."""
    loaded = load_config(config)
    async with adapter(loaded) as running:
        office = accounts_of(running, running.place)
        try:
            run = await office.do("reconcile", {"date": national_date(SystemClock().wall())})
        except NotSupported:
            return None
        await running.pipeline.settled_down()
        dues = await office.do("receivables", {})
    return {"title": running.place.site.fixmedins_name, "run": run, "dues": dues}


def show_closing(days: list[dict[str, Any]]) -> None:
    rows = []
    for day in days:
        sums, found = day["run"]["sums"], day["run"]["differences"]
        told = day["run"]["state_zh"] + (f"（{len(found)} 项）" if found else "")
        rows.append((day["title"], *(sums.get(name, "0") for name in ("count", "total", "fund", "account")), told))
    print_table("当日对账", RUN_COLUMNS, rows)
    tables = [day["dues"]["table"] for day in days]
    if tables:
        rows = [(day["title"], *row) for day, table in zip(days, tables, strict=True) for row in table[1:]]
        print_table("各参保地应收", ("医院", *tables[0][0]), rows)
