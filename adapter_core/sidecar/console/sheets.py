"""Templates, languages and static files of the console.  Chinese is the templates' own language; English stands in a table."""

from __future__ import annotations

import hashlib
import json
import tomllib
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from adapter_core.settlement.answers import work_order
from adapter_core.settlement.states import STATE_ZH
from adapter_core.sidecar.access import Right
from adapter_core.standard.regions import all_regions, region
from adapter_core.values.moments import china
from adapter_core.values.money import from_fen

FOLDER = files("adapter_core.sidecar.console")
MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
UNKNOWN_REGION = "参保地未知"
CODES_ZH = {
    "outpatient": "门诊", "inpatient": "住院", "pharmacy": "药店", "cashier": "收费员", "operator": "操作员", "auditor": "审计员",
    "admin": "管理员", "read": "查询", "write": "登记上传", "money": "结算", "circuit closed": "正常", "circuit open": "断开",
    "circuit half_open": "试探", "open": "待处理", "waiting": "处理中", "frozen": "已冻结", "not_applied": "没有这笔结算", "reversed": "已冲正", "settled": "结算成立", "recheck": "重新核实",
    "no evidence by the end of day T+1": "到次日日终仍无证据",
    "nothing can be asked, nothing may be reversed": "该线路既不能查询，也不能冲正",
    "a reversal's OK proves nothing here, and nothing can be asked": "该线路冲正成功不说明问题，又不能查询",
    "found at the centre, no longer wanted or already reversed, and no reversal is possible any more":
        "中心有这笔结算，HIS 已不需要或已冲正，且已不能再冲正",
    "the centre's file has it, it is no longer wanted or already reversed, and no reversal is possible any more":
        "对账文件中有这笔结算，HIS 已不需要或已冲正，且已不能再冲正",
    "the centre's file has it with other amounts, and no query shows its split": "对账文件中金额不同，又查不到分担明细",
}  # fmt: skip
"""Codes that stand on pages, for people; in English the code itself is the word."""


class Pages:
    """Renders.  Raises: ModuleNotFoundError without the extra ``console``."""

    def __init__(self) -> None:
        from jinja2 import Environment, PackageLoader, StrictUndefined

        self.static = _static_files()
        self._versions = {name: hashlib.sha256(body).hexdigest()[:12] for name, (_, body) in self.static.items()}
        self._environment = Environment(
            loader=PackageLoader("adapter_core.sidecar.console", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"Right": Right, "static": self._static_path, "work_order": work_order}
        self._environment.filters |= {
            "yuan": in_yuan,
            "moment": moment,
            "age": age,
            "place": place_name,
            "tojson": _as_json,
        }

    def render(self, template: str, *, language: str, **facts: Any) -> bytes:
        def said(text: str, **parts: Any) -> str:
            shown = (english() if language == "en" else CODES_ZH).get(text, text)
            return shown.format(**parts) if parts else shown

        made = self._environment.get_template(template).render(
            _=said, state=lambda name: said(STATE_ZH.get(str(name), str(name))), language=language, **facts
        )
        return made.encode()

    def _static_path(self, name: str) -> str:
        return f"/console/static/{name}?v={self._versions[name]}"


def _static_files() -> dict[str, tuple[str, bytes]]:
    """Name → media type and bytes, read once: no request ever names a path."""
    found = {}
    for file in (FOLDER / "static").iterdir():
        media_type = MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            found[file.name] = (media_type, file.read_bytes())
    return found


@cache
def english() -> dict[str, str]:
    """Chinese text → English text."""
    table = tomllib.loads((FOLDER / "english.toml").read_text("utf-8"))
    return {str(zh): str(en) for zh, en in table["texts"].items()}


def in_yuan(fen: int | None) -> str:
    """``1,234.50``; "" for None."""
    return "" if fen is None else f"{from_fen(fen):,.2f}"


def moment(text: str | datetime | None, seconds: bool = False) -> str:
    """China time of an RFC 3339 text or a moment; "" for none."""
    if not text:
        return ""
    at = datetime.fromisoformat(text) if isinstance(text, str) else text
    return china(at).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%m-%d %H:%M")


def age(seconds: float) -> str:
    """``3 d 4 h``, ``12 min``, ``40 s``."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{whole} s"


def place_name(code: str) -> str:
    """The province, or the province and the region, of a region's code of two or six digits."""
    if not code:
        return UNKNOWN_REGION
    found = region(code.ljust(6, "0"))
    if found is None:
        return code
    return found.name if len(code) == 2 or found.name == found.province else f"{found.province} {found.name}"


def provinces() -> list[tuple[str, str]]:
    """Two digits and name of every province."""
    return [(code[:2], one.name) for code, one in sorted(all_regions().items()) if code.endswith("0000")]


def _as_json(value: object) -> Markup:
    text = json.dumps(
        value, ensure_ascii=False, default=lambda one: format(one, "f") if isinstance(one, Decimal) else str(one)
    )
    return Markup(text.replace("<", "\\u003c"))
