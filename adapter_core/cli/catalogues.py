"""``catalogue``: downloads with a bar, what they changed, and what is here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.site import catalogue_store
from adapter_core.catalogues import local_names, looking
from adapter_core.catalogues.asking import Ask
from adapter_core.catalogues.downloads import Done, Downloads, Progress, Rules, can_download
from adapter_core.catalogues.layouts import read_layouts
from adapter_core.catalogues.local_names import Loaded
from adapter_core.catalogues.store import CatalogueStore
from adapter_core.cli.app import EXIT
from adapter_core.cli.asking import asking, pairs
from adapter_core.cli.progress import bar
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import Config, load_config
from adapter_core.standard.dictionaries import dictionary_codes
from adapter_core.standard.transactions import transaction
from adapter_core.values.errors import NotSupported, Rejected
from adapter_core.values.moments import iso, national_date

PHASE_ZH = {"asking": "请求", "fetching": "下载文件", "reading": "读入", "comparing": "比较"}
KIND_ZH = {"added": "新增", "changed": "变更", "ended": "停用"}


async def download(config: Path, numbers: Sequence[str], whole: bool, given: Sequence[str], as_json: bool) -> int:
    """One catalogue after the other; what the centre refuses doesn't stop the next."""
    site = load_config(config)
    for infno in numbers:
        if infno != local_names.CALL and not can_download(infno):
            text = f"{infno} 不是目录下载交易（1301–1319、1901）"
            raise NotSupported(f"{infno} is no catalogue", message_zh=text)
    told: list[dict[str, Any]] = []
    refused = 0
    with catalogue_store(site) as store:
        async with asking(site) as ask:
            for infno in numbers:
                try:
                    if infno == local_names.CALL:
                        told += [asdict(one) for one in await _dictionaries(site, store, ask, as_json)]
                    else:
                        told.append(asdict(await _catalogue(site, store, ask, infno, whole, given, as_json)))
                except Rejected as refusal:
                    refused += 1
                    told.append({"infno": infno, "infcode": refusal.infcode, "err_msg": refusal.err_msg})
                    if not as_json:
                        print(f"{infno}：医保中心拒绝，{refusal.err_msg}")
    if as_json:
        print_json(told)
    return EXIT["rejected"] if refused else EXIT["done"]


async def _catalogue(
    site: Config, store: CatalogueStore, ask: Ask, infno: str, whole: bool, given: Sequence[str], as_json: bool
) -> Done:
    now = SystemClock().wall()
    org = site.settings.institution.fixmedins_code
    downloads = Downloads(store, ask, _rules(site), org, national_date(now), iso(now))
    title = f"{infno} {transaction(infno).name}"
    with bar(title, quiet=as_json) as tell:

        def progress(one: Progress) -> None:
            tell(one.rows, one.total, PHASE_ZH[one.phase])

        done = await downloads.run(infno, pairs(given), whole, progress)
    if not as_json:
        print(
            f"{title}：版本 {done.from_version or '无'} → {done.version or '未知'}，收到 {done.rows} 行，"
            f"新增 {done.added}，变更 {done.changed}，停用 {done.ended}，现有有效 {done.holds} 行"
        )
    return done


def _rules(site: Config) -> Rules:
    settings = site.settings.catalogues
    file = settings.layouts_file
    layouts = read_layouts(site.path(file).read_text("utf-8"), file.name) if file else {}
    return Rules(settings.first_version, settings.since, settings.page_rows, settings.file_mark, layouts)


async def _dictionaries(site: Config, store: CatalogueStore, ask: Ask, as_json: bool) -> list[Loaded]:
    today = national_date(SystemClock().wall())
    admdvs = site.settings.institution.admdvs
    types = site.settings.catalogues.dictionaries or list(dictionary_codes())
    loaded = []
    with bar("1901 字典表", "个字典", quiet=as_json) as tell:
        for number, type_ in enumerate(types, start=1):
            loaded.append(await local_names.load(store, ask, type_, admdvs, today))
            tell(number, len(types), type_)
    if not as_json:
        rows = [(one.type, one.values, len(one.added), len(one.renamed), len(one.gone), one.refusal) for one in loaded]
        print_table("本地字典", ("类型", "值", "新增", "改名", "消失", "中心拒绝"), rows)
    return loaded


def show_diff(config: Path, infno: str, number: int, most: int, as_json: bool) -> int:
    with catalogue_store(load_config(config)) as store:
        found = looking.compared(store, infno, number, most)
    if as_json:
        print_json(asdict(found))
        return EXIT["done"]
    counted = "，".join(f"{KIND_ZH[kind]} {found.counts.get(kind, 0)}" for kind in KIND_ZH)
    title = f"{infno} 第 {found.download} 次下载（版本 {found.from_version or '无'} → {found.version or '未知'}）：{counted}"
    rows = [(KIND_ZH[one.kind], one.key.replace("\x1f", " "), _what(one)) for one in found.changes]
    print_table(title, ("", "主键", "内容"), rows)
    return EXIT["done"]


def _what(change: looking.Change) -> str:
    """What of a row differs; of a new row, its first columns."""
    before, after = change.before or {}, change.after or {}
    if change.kind == "changed":
        return "；".join(f"{name}：{before.get(name, '')} → {after.get(name, '')}" for name in change.differing())
    return " ".join(list((after or before).values())[:6])


def show_catalogues(config: Path, code: str, infno: str, as_json: bool) -> int:
    site = load_config(config)
    with catalogue_store(site) as store:
        if code:
            found = looking.entries(store, code, infno)
            rows = [{**asdict(one), "columns": _named(store, site, one.columns)} for one in found]
            if as_json:
                print_json(rows)
            for row in () if as_json else rows:
                title = f"{row['infno']} {row['code']} {row['name']}{'（已停用）' if row['is_ended'] else ''}"
                print_table(title, ("列", "内容"), row["columns"].items())
            return EXIT["done"] if found else EXIT["bad_input"]
        listed = looking.held(store)
    if as_json:
        print_json([asdict(one) for one in listed])
        return EXIT["done"]
    cells = [
        (
            one.infno,
            one.title,
            one.version,
            one.holds,
            one.downloaded_at,
            f"已有 {one.open} 行" if one.open >= 0 else "",
        )
        for one in listed
    ]
    print_table("已下载的目录", ("编号", "名称", "版本", "有效行", "下载时间", "未完成的下载"), cells)
    return EXIT["done"]


def _named(store: CatalogueStore, site: Config, columns: Any) -> dict[str, str]:
    """The columns with the names of their codes beside them, the centre's own where it has them."""
    admdvs = site.settings.institution.admdvs
    shown = {}
    for column, value in columns.items():
        name = local_names.label(store, admdvs, column, value)
        shown[column] = value if name == value else f"{value} {name}"
    return shown
