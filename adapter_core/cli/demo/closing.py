"""The demonstration's evening: each hospital's day is reconciled with the centre, its day end and what each region owes are
shown, and printed where the extra for it is there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import accounts_of
from adapter_core.cli.showing import print_table
from adapter_core.config import Config, load_config
from adapter_core.operations.account_files import account_file
from adapter_core.values.errors import ConfigError, NotSupported
from adapter_core.values.moments import national_date, national_time

RUN_COLUMNS = ("医院", "笔数", "总额", "基金", "个人账户", "与中心对账")


async def closed_day(config: Path) -> dict[str, Any] | None:
    """The run and the dues of one hospital; None where its way out can't be reconciled by itself."""
    loaded = load_config(config)
    async with adapter(loaded) as running:
        office = accounts_of(running, running.place)
        day = national_date(SystemClock().wall())
        try:
            run = await office.do("reconcile", {"date": day})
        except NotSupported:
            return None
        await running.pipeline.settled_down()
        told = {"dayend": await office.do("dayend", {"date": day}), "receivables": await office.do("receivables", {})}
    files = await asyncio.to_thread(_printed, loaded, config.with_suffix(""), told)
    title = running.place.site.fixmedins_name
    return {"title": title, "run": run, "dayend": told["dayend"], "dues": told["receivables"], "files": files}


def _printed(config: Config, stem: Path, told: dict[str, dict[str, Any]]) -> list[Path]:
    """The day end and the receivable table as PDF, beside the ledger; none without the extra `papers`."""
    at, files = national_time(SystemClock().wall()), []
    for name, answer in told.items():
        try:
            content = account_file(config, name, answer, "pdf", at)
        except ConfigError:
            break
        files.append(stem.with_name(f"{stem.name}-{name}.pdf"))
        files[-1].write_bytes(content)
    return files


def show_closing(days: list[dict[str, Any]]) -> None:
    rows = []
    for day in days:
        sums, found = day["run"]["sums"], day["run"]["differences"]
        told = day["run"]["state_zh"] + (f"（{len(found)} 项）" if found else "")
        rows.append((day["title"], *(sums.get(name, "0") for name in ("count", "total", "fund", "account")), told))
    print_table("当日对账", RUN_COLUMNS, rows)
    for name, title in (("dayend", "日结"), ("dues", "各参保地应收")):
        tables = [day[name]["table"] for day in days]
        if tables:
            rows = [(day["title"], *row) for day, table in zip(days, tables, strict=True) for row in table[1:]]
            print_table(title, ("医院", *tables[0][0]), rows)
    for day in days:
        print(*(f"    {path}" for path in day["files"]), sep="\n")
