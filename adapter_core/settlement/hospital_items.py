"""The hospital's items on a bill: their national codes filled in from the mapping, and the bill stopped while one has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter_core.province.messages import Operation
from adapter_core.settlement.ports import ItemCodes
from adapter_core.settlement.records import Bill
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, TranslationError

ITEM, NATIONAL, NAME = "medins_list_codg", "med_list_codg", "medins_list_name"
NAMED_MAX = 20
DAY = len("2026-11-21")


def with_codes(operation: Operation, codes: ItemCodes | None, org: str, now: str) -> Operation:
    """The operation with the national code of every line that says only the hospital's own; what the HIS says stays.

    The code is the one of the line's own day.  now: ``yyyy-MM-dd HH:mm:ss``, for lines that name no time.
    """
    lines: Sequence[Content] = operation.content.get("fees", ())
    if codes is None or all(NATIONAL in line or ITEM not in line for line in lines):
        return operation
    begun = str(operation.content.get("visit", {}).get("begntime") or now)
    filled = [_filled(line, codes, org, begun) for line in lines]
    return replace(operation, content={**operation.content, "fees": filled})


def _filled(line: Content, codes: ItemCodes, org: str, begun: str) -> Content:
    if line.get(NATIONAL) or not line.get(ITEM):
        return line
    code = codes.national_code(org, str(line[ITEM]), str(line.get("fee_ocur_time") or begun)[:DAY])
    return {**line, NATIONAL: code} if code else line


def refuse_unmapped(bill: Bill, codes: ItemCodes | None) -> None:
    """Raises: TranslationError UNMAPPED_ITEMS with every item of the bill that nobody mapped, each once."""
    if codes is None:
        return
    faults: dict[str, Fault] = {}
    names = []
    for number, line in enumerate(bill.content.get("fees", [])):
        item = str(line.get(ITEM, ""))
        if not item or line.get(NATIONAL) or item in faults:
            continue
        shown = _shown(line, item)
        faults[item] = Fault(f"fees[{number}].{ITEM}", "已与医保目录对照的项目", shown, "医疗机构目录编码")
        names.append(shown)
    if faults:
        listed = "、".join(names[:NAMED_MAX]) + (" 等" if len(names) > NAMED_MAX else "")
        text = f"以下 {len(names)} 个项目未与医保目录对照，未上传：{listed}。请先完成对照"
        raise TranslationError(faults.values(), code="UNMAPPED_ITEMS", message_zh=text)


def _shown(line: Mapping[str, Any], item: str) -> str:
    name = str(line.get(NAME) or "")
    return f"{item} {name}".strip()[:80]
