"""``read``: one query of the national standard, every page of it where it has pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.site import catalogue_store
from adapter_core.catalogues import local_names
from adapter_core.catalogues.asking import answered, is_paged, output_of, paged_node, pages
from adapter_core.cli.app import EXIT
from adapter_core.cli.asking import asking, pairs, placed
from adapter_core.cli.progress import bar
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import load_config
from adapter_core.formats.json import read_json
from adapter_core.standard.fields import Node
from adapter_core.standard.transactions import transaction
from adapter_core.values.content import Content
from adapter_core.values.errors import ConfigError, Fault, NotSupported, Rejected, TranslationError

COLUMNS_MAX = 12


async def read_transaction(
    config: Path,
    infno: str,
    given: Sequence[str],
    file: Path | None,
    insured: str,
    whole: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Ask once, or page by page.  Raises: NotSupported for anything that is no query."""
    described = transaction(infno)
    if described.kind_class != "R":
        text = f"{infno} 不是查询类交易，不能这样发送"
        raise NotSupported(f"{infno} is class {described.kind_class}", message_zh=text)
    asked = _input(infno, given, file)
    site = load_config(config)
    async with asking(site, insured) as ask:
        try:
            if whole and is_paged(infno):
                output = await _every_page(ask, infno, asked, as_json)
            else:
                outcome = await answered(ask, infno, asked)
                raw = outcome.content.get("file")
                if isinstance(raw, bytes):
                    return _written(raw, out)
                output = dict(output_of(outcome))
        except Rejected as refusal:
            return _refused(refusal, as_json)
    if as_json:
        print_json({"state": "DONE", "output": output})
        return EXIT["done"]
    with catalogue_store(site) as store:
        admdvs = site.settings.institution.admdvs

        def named(code: str, value: Any) -> str:
            text = "" if value is None else str(value)
            name = local_names.label(store, admdvs, code, text)
            return text if name == text else f"{text} {name}"

        _print(infno, output, named)
    return EXIT["done"]


def _input(infno: str, given: Sequence[str], file: Path | None) -> Content:
    """The input of a file, with the fields of the command line in it."""
    tree = read_json(file.read_bytes()) if file else {}
    if isinstance(tree, dict) and isinstance(tree.get("input"), dict):
        tree = tree["input"]
    if not isinstance(tree, dict):
        raise TranslationError([Fault("--input", "一个 JSON 对象", type(tree).__name__)])
    for name, node in placed(infno, pairs(given)).items():
        before = tree.get(name)
        tree[name] = {**before, **node} if isinstance(before, dict) and isinstance(node, dict) else node
    if is_paged(infno):
        node = paged_node(infno)
        tree[node] = {"page_num": 1, "page_size": 100, **tree.get(node, {})}
    return tree


async def _every_page(ask: Any, infno: str, asked: Content, as_json: bool) -> dict[str, Any]:
    size = int(asked[paged_node(infno)].get("page_size", 100))
    rows: list[Mapping[str, Any]] = []
    with bar(f"{infno} 逐页查询", quiet=as_json) as tell:
        async for page in pages(ask, infno, asked, size):
            rows += page.rows
            tell(len(rows), 0, f"第 {page.number} 页")
    described = transaction(infno).output
    return {described[0].name if described else "data": rows}


def _written(raw: bytes, out: Path | None) -> int:
    if out is None:
        raise ConfigError(
            "the answer is a file: say where with --out", message_zh="返回的是文件，请用 --out 指定写到哪里"
        )
    out.write_bytes(raw)
    print(f"已写入 {out}，{len(raw)} 字节")
    return EXIT["done"]


def _refused(refusal: Rejected, as_json: bool) -> int:
    if as_json:
        print_json({"state": "REJECTED", "infcode": refusal.infcode, "err_msg": refusal.err_msg})
    else:
        print(f"医保中心拒绝：{refusal.err_msg}（{refusal.infcode}）")
    return EXIT["rejected"]


def _print(infno: str, output: Mapping[str, Any], named: Callable[[str, Any], str]) -> None:
    """named: a field's value with the name of its code."""
    described = {node.name: node for node in transaction(infno).output}
    if not output:
        print("没有查到记录")
    for node, value in output.items():
        rows = [row for row in (value if isinstance(value, list) else [value]) if isinstance(row, Mapping)]
        if len(rows) == 1:
            [row] = rows
            titles = _titles(described.get(node), row)
            print_table(node, ("字段", "名称", "值"), [(code, titles[code], named(code, row[code])) for code in row])
            continue
        columns = list(dict.fromkeys(code for row in rows for code in row if row[code] not in (None, "")))[:COLUMNS_MAX]
        titles = _titles(described.get(node), dict.fromkeys(columns))
        heading = [titles[code] or code for code in columns]
        print_table(
            f"{node}：{len(rows)} 行", heading, [[named(code, row.get(code)) for code in columns] for row in rows]
        )


def _titles(node: Node | None, row: Mapping[str, Any]) -> dict[str, str]:
    known = {one.code: one.name for one in node.fields} if node else {}
    return {code: known.get(code, "") for code in row}
