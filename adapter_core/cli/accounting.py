"""``reconcile``, ``dayend`` and ``accounts …``: the insurance office's orders, to the running service or straight to the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import accounts_of
from adapter_core.cli.app import EXIT
from adapter_core.cli.remote import Service, listens
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import load_config
from adapter_core.formats.sheets import read_rows
from adapter_core.operations.account_files import account_file
from adapter_core.values.moments import national_time

PLAIN_EXIT = {
    "unknown": EXIT["pending"], "PENDING": EXIT["pending"], "VOIDING": EXIT["pending"], "FROZEN": EXIT["pending"],
    "refused": EXIT["rejected"], "REJECTED": EXIT["rejected"], "NOT_SENT": EXIT["not_sent"],
}  # fmt: skip
"""Of an application and a refund, by how they stand; all else is done."""
LEVEL_ZH = {"none": "未设额度", "ok": "正常", "yellow": "黄色预警（70%）", "red": "红色预警（90%），可申请紧急调增"}


async def ordered(config: Path, institution: str, name: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """One order's answer; a service that holds the ledger is asked over HTTP.  institution: "" for the only one."""
    loaded = load_config(config)
    if listens(loaded):
        named = {**order, **({"fixmedins_code": institution} if institution else {})}
        async with Service(loaded) as service:
            return await service.accounts(name, named)
    async with adapter(loaded) as running:
        done = await accounts_of(running, running.place_named(institution)).do(name, order)
        await running.pipeline.settled_down()  # what the files proved is acted on before this process ends
        return done


async def reconcile(config: Path, institution: str, day: str, detail: bool, as_json: bool) -> int:
    """0 balanced; 6 differences stand, or no usable answer came."""
    told = await ordered(config, institution, "reconcile", {"date": day, "detail": detail})
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


async def day_end(config: Path, institution: str, day: str, opter: str, out: Path | None, as_json: bool) -> int:
    """7 where its sum is not the ledger's."""
    told = await ordered(config, institution, "dayend", {"date": day, "opter": opter})
    if out is not None:
        write_file(config, out, "dayend", told)
    table = told.pop("table")
    if as_json:
        print_json(told)
        return EXIT["done"] if told["agrees"] else EXIT["damaged"]
    print_table(f"{day} 日结", table[0], table[1:])
    if told["unknown"]:
        print(f"交班时结果未知 {len(told['unknown'])} 笔：{'、'.join(told['unknown'][:10])}")
    print("合计与账本一致" if told["agrees"] else "合计与账本不一致，请运行 his-adapter ledger verify")
    return EXIT["done"] if told["agrees"] else EXIT["damaged"]


async def receivable(config: Path, institution: str, month: str, out: Path | None, as_json: bool) -> int:
    told = await ordered(config, institution, "receivables", {"month": month})
    if out is not None:
        write_file(config, out, "receivables", told)
    table = told.pop("table")
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


async def listing(config: Path, institution: str, name: str, order: Mapping[str, Any], as_json: bool) -> int:
    """Orders that are answered by items: differences, flags, watch, his."""
    told = await ordered(config, institution, name, order)
    if as_json:
        print_json(told)
    else:
        [(title, items)] = told.items()
        show_items({"differences": "差异", "flags": "监管提示"}[title], items)
    return EXIT["done"]


async def plain(config: Path, institution: str, name: str, order: Mapping[str, Any], as_json: bool) -> int:
    """Any other order: one line for each fact."""
    told = await ordered(config, institution, name, order)
    code = PLAIN_EXIT.get(told.get("state", ""), EXIT["done"])
    if as_json:
        print_json(told)
        return code
    for key, value in told.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print_table("", tuple(value[0]), [tuple(row.values()) for row in value])
        else:
            print(f"{key}：{value}")
    return code


async def imported(
    config: Path, institution: str, name: str, file: Path, order: Mapping[str, Any], as_json: bool
) -> int:
    """Orders with a table: bank lines, the HIS's bookings."""
    rows = read_rows(file.read_bytes(), file.name)
    run = listing if name == "his" else plain
    return await run(config, institution, name, {**order, "rows": rows}, as_json)


async def inquired(config: Path, institution: str, month: str, out: Path | None, as_json: bool) -> int:
    told = await ordered(config, institution, "inquiries", {"month": month})
    if out is not None:
        write_file(config, out, "inquiries", told)
    table = told.pop("table")
    if as_json:
        print_json(told)
        return EXIT["done"]
    print_table(f"{month} 费用协查", table[0], table[1:])
    return EXIT["done"]


async def report(config: Path, institution: str, since: str, until: str, out: Path | None, as_json: bool) -> int:
    told = await ordered(config, institution, "report", {"from": since, "to": until})
    if out is not None:
        write_file(config, out, "report", told)
    if as_json:
        print_json(told)
        return EXIT["done"]
    for one in told["sheets"]:
        print_table(one["title"], one["rows"][0], one["rows"][1:])
    return EXIT["done"]


def write_file(config: Path, out: Path, name: str, told: Mapping[str, Any]) -> None:
    """An answer as a file of the form its name ends in.  Raises: TranslationError, ConfigError."""
    at = national_time(SystemClock().wall())
    out.write_bytes(account_file(load_config(config), name, told, out.suffix.lower().removeprefix("."), at))
