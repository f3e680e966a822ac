"""Commands that only look: plugins, standard, translate, ledger, keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.site import plugins
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import load_config
from adapter_core.formats.json import read_json
from adapter_core.province.dialect import Dialect
from adapter_core.province.gateway import Gateway, Site
from adapter_core.values.errors import ConfigError
from adapter_core.values.secrets import Secret


class _AnyKey(dict[str, Secret]):
    """Stands for keys that nobody has yet: a listing signs nothing."""

    def __missing__(self, name: str) -> Secret:
        return Secret("listing")

    def __contains__(self, name: object) -> bool:
        return True


_LISTING = Site("H00000000000", "", "000000", {}, _AnyKey())


def _declared(make: Callable[[Site], Gateway]) -> dict[str, Any]:
    """A gateway's capabilities, or what it must be told before it can be built."""
    try:
        return {"capabilities": asdict(make(_LISTING).capabilities)}
    except ConfigError as error:
        return {"capabilities": None, "needs": str(error)}


def list_plugins(config: Path, as_json: bool) -> int:
    """Loaded plugins with dialects, messages and gateways, and the broken ones with their reason."""
    loaded = plugins(load_config(config).settings.plugins if config.is_file() else None)
    rows: list[dict[str, Any]] = []
    for province in loaded.provinces:
        dialects = {name: make({}) for name, make in province.dialects.items()}
        rows.append(
            {
                "name": province.name,
                "title": province.title,
                "version": province.version,
                "contract": province.contract,
                "regions": list(province.regions),
                "dialects": {
                    name: [
                        {"message": one.message, "verb": one.verb, "title": one.title, "evidence": one.evidence}
                        for one in dialect.messages
                    ]
                    for name, dialect in dialects.items()
                },
                "gateways": {
                    name: {"evidence": province.evidence.get(name, ""), **_declared(make)}
                    for name, make in sorted(province.gateways.items())
                },
                "local_rules": [
                    {"code": rule.code, "title": rule.title, "says": rule.says, "check": list(rule.check)}
                    for rule in province.policy.local_rules
                ],
                "not_supported": list(province.not_supported),
            }
        )
    broken = [{"name": one.name, "reason": one.reason} for one in loaded.broken]
    if as_json:
        print_json({"plugins": rows, "broken": broken})
        return 0
    print_table(
        "插件",
        ("名称", "省份", "版本", "区划前缀", "本地接口（报文）", "网关"),
        [
            (
                row["name"],
                row["title"],
                row["version"],
                "、".join(row["regions"]),
                "\n".join(
                    f"{name}（{'、'.join(one['message'] for one in listed)}）"
                    for name, listed in row["dialects"].items()
                ),
                "、".join(row["gateways"]),
            )
            for row in rows
        ],
    )
    for row in rows:
        for gap in row["not_supported"]:
            print(f"{row['name']} 不支持：{gap}")
    for one in broken:
        print(f"未能加载 {one['name']}：{one['reason']}", file=sys.stderr)
    return 0


def translate_file(file: Path, source: str, target: str, as_json: bool) -> int:
    """One request from one dialect into another, without a network or a ledger."""
    loaded = plugins()
    read_by: Dialect = loaded.dialect(source)
    written_by: Dialect = loaded.dialect(target)
    operation = read_by.decode_request(read_by.read_frame_file(file.read_bytes(), file.name))
    if as_json:
        print_json(
            {
                "verb": operation.verb,
                "kind": operation.kind,
                "message": operation.message,
                "keys": dict(operation.keys),
                "refs": dict(operation.refs),
                "content": operation.content,
            }
        )
        return 0
    sys.stdout.write(
        written_by.write_frame_file(written_by.encode_request(operation)).decode(_python_charset(written_by)) + "\n"
    )
    return 0


def _python_charset(dialect: Dialect) -> str:
    return "gb18030" if dialect.charset.startswith("gb") else dialect.charset


def show_transaction(infno: str, as_json: bool) -> int:
    """A transaction's tables as the standard has them."""
    from adapter_core.standard.describe import describe
    from adapter_core.standard.transactions import transaction

    one = transaction(infno)
    if as_json:
        print_json(
            {
                "infno": one.infno,
                "name": one.name,
                "class": one.kind_class,
                "confidence": one.confidence,
                "base": one.base,
                "note": one.note,
                "sources": list(one.sources),
                **{
                    side: [
                        {
                            "node": node.name,
                            "repeat": node.repeat,
                            "fields": [
                                {
                                    "code": field.code,
                                    "name": field.name,
                                    "type": field.type,
                                    "length": field.length,
                                    "places": field.places,
                                    "dictionary": field.dictionary,
                                    "required": field.required,
                                    "note": field.note,
                                }
                                for field in node.fields
                            ],
                        }
                        for node in one.nodes(side)
                    ]
                    for side in ("input", "output")
                },
            }
        )
        return 0
    page = describe(infno)
    print(f"{page.infno} {page.name}")
    for label, text in page.facts:
        if text:
            print(f"{label}：{text}")
    for node in page.nodes:
        title = f"{'入参' if node.side == 'input' else '出参'} {node.node}{'（可多行）' if node.repeat else ''}"
        rows = [(f.code, f.name, f.type, f.length, f.required, f.dictionary, f.spellings, f.note) for f in node.fields]
        print_table(title, ("字段", "名称", "类型", "长度", "必填", "字典", "别的写法", "说明"), rows)
    return 0


def validate_message(file: Path, infno: str, as_json: bool) -> int:
    """Every fault of one national message; 0 when there is none, 3 otherwise."""
    from adapter_core.standard.describe import validate_file

    checked = validate_file(read_json(file.read_bytes(), max_bytes=32 * 1024 * 1024), infno)
    if as_json:
        print_json(
            {
                "infno": checked.infno,
                "kind": checked.kind,
                "faults": [_fault(fault) for fault in checked.faults],
                "warnings": [_fault(warning) for warning in checked.warnings],
            }
        )
        return 3 if checked.faults else 0
    print(f"{checked.infno} {checked.kind}：{len(checked.faults)} 处问题，{len(checked.warnings)} 处提示")
    for title, rows in (("问题", checked.faults), ("提示", checked.warnings)):
        if rows:
            print_table(
                title, ("位置", "名称", "应为", "实为"), [(row.path, row.title, row.expected, row.got) for row in rows]
            )
    return 3 if checked.faults else 0


def _fault(fault: Any) -> dict[str, str]:
    return {"path": fault.path, "title": fault.title, "expected": fault.expected, "got": fault.got}


def verify_ledger(config_path: Path, as_json: bool) -> int:
    """The file, every chain and every anchor; 7 when anything is broken."""
    from adapter_core.operations.chain_check import inspected

    inspection = inspected(load_config(config_path))
    if as_json:
        chains = [
            {"org": one.org, "events": one.events, "broken_seq": one.broken_seq, "reason": one.reason}
            for one in inspection.chains
        ]
        anchors = [
            {"file": str(one.path), "anchors": one.anchors, "faults": list(one.faults)} for one in inspection.anchors
        ]
        print_json({"whole": inspection.is_whole, "file": inspection.file, "chains": chains, "anchors": anchors})
        return 0 if inspection.is_whole else 7
    print_table(
        "账本链条",
        ("机构", "事件数", "结论"),
        [
            (one.org, one.events, "完整" if one.is_whole else f"第 {one.broken_seq} 条起断裂：{one.reason}")
            for one in inspection.chains
        ],
    )
    print_table(
        "锚点",
        ("文件", "锚点数", "结论"),
        [
            (one.path, one.anchors, "；".join(one.faults[:3]) or ("相符" if one.anchors else "无锚点"))
            for one in inspection.anchors
        ],
    )
    if inspection.file:
        print(f"数据库文件：{inspection.file}")
    return 0 if inspection.is_whole else 7


def export_ledger(config_path: Path, unsealed: bool) -> int:
    """Every event as one JSON line."""
    from adapter_core.ledger.inspection import Reading, export
    from adapter_core.ledger.sealing import read_master_key

    config = load_config(config_path)
    reading = (
        Reading(read_master_key(config.master_key_path), "his-adapter ledger export", SystemClock())
        if unsealed
        else None
    )
    for row in export(config.ledger_path, reading):
        sys.stdout.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
    return 0


def list_keys(config_path: Path, as_json: bool) -> int:
    """The inventory of keys; 2 when others can read one."""
    from adapter_core.operations.key_inventory import key_inventory

    entries = key_inventory(load_config(config_path))
    if as_json:
        print_json([entry._asdict() for entry in entries])
    else:
        print_table("密钥清单", ("配置项", "用途", "算法", "密钥号", "文件", "状态", "更换日"), entries)
    return 0 if all(entry.state in ("仅属主可读", "尚未建立") for entry in entries) else 2
