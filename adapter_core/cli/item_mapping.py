"""``mapping``: the hospital's items by their national codes, as people keep them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.site import catalogue_store
from adapter_core.catalogues.coverage import Coverage, Part, coverage
from adapter_core.catalogues.items import COLUMNS, Item, Items, compared, read_items, sheet
from adapter_core.catalogues.uploading import Plan, Result, Uploading
from adapter_core.cli.app import EXIT
from adapter_core.cli.asking import asking
from adapter_core.cli.progress import bar
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import Config, load_config
from adapter_core.formats.sheets import EXCEL, read_rows, write_csv, write_excel
from adapter_core.values.errors import ConfigError
from adapter_core.values.moments import iso, national_date
from adapter_core.values.money import from_fen

SHOWN_MAX = 200


def import_items(config: Path, file: Path, keep: bool, as_json: bool) -> int:
    """Show what the new list changes; with ``keep`` it becomes the site's.  A faulty list changes nothing."""
    site = load_config(config)
    after = read_items(read_rows(file.read_bytes(), file.name))
    with catalogue_store(site) as store:
        items = Items(store, _org(site))
        before = items.all()
        changes = compared(before, after)
        if keep:
            items.replace(after)
    if as_json:
        shown = [
            {"before": one.before and asdict(one.before), "after": one.after and asdict(one.after)} for one in changes
        ]
        print_json({"lines": len(after), "changes": shown, "kept": keep})
        return EXIT["done"]
    rows = [
        (sign, *one.cells())
        for change in changes[:SHOWN_MAX]
        for sign, one in (("-", change.before), ("+", change.after))
        if one
    ]
    print_table(f"对照表：{len(before)} 行变为 {len(after)} 行，{len(changes)} 处不同", ("", *COLUMNS.values()), rows)
    print("已启用" if keep else "未导入。加 --keep 使用这份对照表")
    return EXIT["done"]


def export_items(config: Path, file: Path) -> int:
    site = load_config(config)
    with catalogue_store(site) as store:
        rows = sheet(Items(store, _org(site)).all())
    excel = file.suffix.lower() in EXCEL
    if file.suffix.lower() == ".xls":
        raise ConfigError("write .xlsx or .csv", message_zh="只能写 .xlsx 或 .csv")
    fresh = file.with_name(file.name + ".new")
    fresh.write_bytes(write_excel(rows, "对照表") if excel else write_csv(rows))
    os.replace(fresh, file)
    print(f"已写入 {file}，{len(rows) - 1} 行")
    return EXIT["done"]


def show_coverage(config: Path, day: str, most: int, as_json: bool) -> int:
    site = load_config(config)
    with catalogue_store(site) as store:
        found = coverage(store, _org(site), day or national_date(SystemClock().wall()))
    if as_json:
        print_json(_coverage_data(found))
        return EXIT["done"]
    rows = [
        (part.title, part.items, part.mapped, _percent(part.share), from_fen(part.fen), _percent(part.money_share))
        for part in (*found.parts, found.whole)
    ]
    heading = ("目录类别", "项目数", "已对照", "占项目", "金额（元）", "占金额")
    print_table(f"{found.day} 对照情况；中心已有 {found.uploaded} 条", heading, rows)
    _print_list("未对照", found.unmapped, most)
    _print_list("对照的编码已停用", found.ended, most)
    _print_list("对照的编码不在已下载的目录中", found.unknown, most)
    return EXIT["done"]


def _print_list(title: str, items: list[Item], most: int) -> None:
    if not items:
        return
    rows = [
        (one.item, one.name, one.med_list_codg, "" if one.amount_fen is None else from_fen(one.amount_fen))
        for one in items[:most]
    ]
    print_table(f"{title}：{len(items)} 项", ("院内编码", "名称", "医疗目录编码", "金额（元）"), rows)


def _coverage_data(found: Coverage) -> dict[str, Any]:
    def part(one: Part) -> dict[str, Any]:
        money = {"amount": from_fen(one.fen), "mapped_amount": from_fen(one.mapped_fen), "money_share": one.money_share}
        return {"title": one.title, "items": one.items, "mapped": one.mapped, "share": one.share, **money}

    def listed(items: Iterable[Item]) -> list[dict[str, Any]]:
        return [{"item": one.item, "name": one.name, "med_list_codg": one.med_list_codg} for one in items]

    lists = {name: listed(getattr(found, name)) for name in ("unmapped", "ended", "unknown")}
    parts = [part(one) for one in found.parts]
    return {"day": found.day, "whole": part(found.whole), "parts": parts, **lists, "uploaded": found.uploaded}


def _percent(share: Any) -> str:
    return "" if share is None else f"{share}%"


async def upload_items(config: Path, send: bool, as_json: bool) -> int:
    """What differs from the centre's, and with ``send`` off it goes."""
    site = load_config(config)
    org = _org(site)
    now = iso(SystemClock().wall())
    with catalogue_store(site) as store:
        async with asking(site) as ask:
            uploading = Uploading(store, ask, org, site.settings.catalogues.upload_rows, now)
            plan = uploading.plan()
            if not send:
                _print_plan(plan, as_json)
                return EXIT["done"]
            whole = len(plan.undo) + len(plan.upload)
            with bar("上传对照", quiet=as_json) as tell:
                result = await uploading.run(plan, lambda done: tell(done, whole, ""))
    _print_result(result, as_json)
    return EXIT["rejected"] if result.refused else EXIT["done"]


def _print_plan(plan: Plan, as_json: bool) -> None:
    if as_json:
        print_json(asdict(plan))
        return
    print(f"要撤销 {len(plan.undo)} 条，要上传 {len(plan.upload)} 条。加 --send 上传")


def _print_result(result: Result, as_json: bool) -> None:
    refused = [
        {"fixmedins_hilist_id": row["fixmedins_hilist_id"], "med_list_codg": row["med_list_codg"], "err_msg": text}
        for row, text in result.refused
    ]
    if as_json:
        print_json({"uploaded": result.uploaded, "undone": result.undone, "refused": refused})
        return
    print(f"已上传 {result.uploaded} 条，已撤销 {result.undone} 条，中心拒绝 {len(refused)} 条")
    if refused:
        print_table("中心拒绝", ("院内编码", "医疗目录编码", "原因"), [tuple(row.values()) for row in refused])


def _org(site: Config) -> str:
    return site.settings.institution.fixmedins_code
