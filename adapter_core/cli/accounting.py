"""``reconcile``, ``dayend`` and ``accounts …``: the insurance office's orders, to the running service or straight to the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapter_core.accounts.reports import Sheet, workbook
from adapter_core.bootstrap import accounts_of, adapter
from adapter_core.cli.app import EXIT
from adapter_core.cli.remote import Service, listens
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import load_config
from adapter_core.formats.sheets import read_rows, write_csv, write_excel

LEVEL_ZH = {"none": "未设额度", "ok": "正常", "yellow": "黄色预警（70%）", "red": "红色预警（90%），可申请紧急调增"}


async def ordered(config: Path, name: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """One order's answer; a service that holds the ledger is asked over HTTP."""
    loaded = load_config(config)
    if listens(loaded):
        async with Service(loaded) as service:
            return await service.accounts(name, order)
    async with adapter(loaded) as running:
        done = await accounts_of(running, running.place).do(name, order)
        await running.pipeline.settled_down()  # what the files proved is acted on before this process ends
        return done


async def reconcile(config: Path, day: str, detail: bool, as_json: bool) -> int:
    """0 balanced; 6 differences stand, or no usable answer came."""
    told = await ordered(config, "reconcile", {"date": day, "detail": detail})
    if as_json:
        print_json(told)
    else:
        show_run(told)
    return EXIT["done"] if told["state"] == "balanced" else EXIT["pending"]


def show_run(told: Mapping[str, Any]) -> None:
    """A run for people: its groups, then its differences."""
    rows = [
        (one["insutype"], one["clr_type"], one["setl_optins"], one["kind"], one["count"], one["total"], one["fund"],
         "平" if one["agrees"] else "不平", one["centre"])
        for one in told["groups"]
    ]  # fmt: skip
    title = f"{told['date']} 对账：{told['state_zh']}"
    print_table(title, ("险种", "清算类别", "经办机构", "类型", "笔数", "总额", "基金", "结果", "中心说明"), rows)
    if told["text"]:
        print(told["text"])
    if told["differences"]:
        show_items("差异", told["differences"])


def show_items(title: str, items: Sequence[Mapping[str, Any]]) -> None:
    columns = ("编号", "日期", "类别", "状态", "金额", "工单", "说明")
    rows = [
        (one["item_id"], one["date"], one["title_zh"], one["state"], one["amount"], one["work_order"],
         one["text"] or one["advice_zh"])
        for one in items
    ]  # fmt: skip
    print_table(f"{title}：{len(rows)} 项", columns, rows)


async def day_end(config: Path, day: str, out: Path | None, as_json: bool) -> int:
    told = await ordered(config, "dayend", {"date": day})
    table = told.pop("table")
    if out is not None:
        write_tables(out, [("日结", table)])
    if as_json:
        print_json(told)
        return EXIT["done"]
    print_table(f"{day} 日结", table[0], table[1:])
    if told["unknown"]:
        print(f"交班时结果未知 {len(told['unknown'])} 笔：{'、'.join(told['unknown'][:10])}")
    print("合计与账本一致" if told["agrees"] else "合计与账本不一致，请运行 his-adapter ledger verify")
    return EXIT["done"] if told["agrees"] else EXIT["damaged"]


async def receivable(config: Path, month: str, out: Path | None, as_json: bool) -> int:
    told = await ordered(config, "receivables", {"month": month})
    table = told.pop("table")
    if out is not None:
        write_tables(out, [("应收", table)])
    if as_json:
        print_json(told)
        return EXIT["done"]
    print_table("各参保地应收", table[0], table[1:])
    level = told["prepayment"]
    if level["level"] != "none":
        print(
            f"预付金：已用 {level['used']} 元，额度 {level['quota']} 元，{level['percent']}%，{LEVEL_ZH[level['level']]}"
        )
    return EXIT["done"]


async def listing(config: Path, name: str, order: Mapping[str, Any], as_json: bool) -> int:
    """Orders that are answered by items: differences, flags, watch, his."""
    told = await ordered(config, name, order)
    if as_json:
        print_json(told)
    else:
        [(title, items)] = told.items()
        show_items({"differences": "差异", "flags": "监管提示"}[title], items)
    return EXIT["done"]


async def plain(config: Path, name: str, order: Mapping[str, Any], as_json: bool) -> int:
    """Any other order: one line for each fact."""
    told = await ordered(config, name, order)
    if as_json:
        print_json(told)
        return EXIT["done"]
    for key, value in told.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print_table("", tuple(value[0]), [tuple(row.values()) for row in value])
        else:
            print(f"{key}：{value}")
    return EXIT["done"]


async def imported(config: Path, name: str, file: Path, order: Mapping[str, Any], as_json: bool) -> int:
    """Orders with a table: bank lines, the HIS's bookings."""
    rows = read_rows(file.read_bytes(), file.name)
    run = listing if name == "his" else plain
    return await run(config, name, {**order, "rows": rows}, as_json)


async def report(config: Path, since: str, until: str, out: Path | None, as_json: bool) -> int:
    told = await ordered(config, "report", {"from": since, "to": until})
    if out is not None:
        if out.suffix.lower() == ".xlsx":
            sheets = [Sheet(one["title"], one["rows"], int(one["plotted"])) for one in told["sheets"]]
            out.write_bytes(workbook(sheets))
        else:
            write_tables(out, [(one["title"], one["rows"]) for one in told["sheets"]])
    if as_json:
        print_json(told)
        return EXIT["done"]
    for one in told["sheets"]:
        print_table(one["title"], one["rows"][0], one["rows"][1:])
    return EXIT["done"]


def write_tables(out: Path, tables: Sequence[tuple[str, Sequence[Sequence[str]]]]) -> None:
    """One table as Excel by the file's ending; else all of them as CSV, one below the other."""
    if out.suffix.lower() == ".xlsx" and len(tables) == 1:
        out.write_bytes(write_excel(tables[0][1], tables[0][0]))
        return
    rows = [row for title, table in tables for row in ([title], *table, [])]
    out.write_bytes(write_csv(rows if len(tables) > 1 else tables[0][1]))
