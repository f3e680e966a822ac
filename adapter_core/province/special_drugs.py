"""Drugs that a place of insurance pays only for a special disease (特药、靶向药): the hospital's own list, because none is public."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapter_core.values.errors import Fault, TranslationError


@dataclass(frozen=True, slots=True)
class SpecialDrug:
    """insured: prefix of the place of insurance, ``*`` = every one; med_list_codg: exact; begins, ends: yyyy-MM-dd, "" = open."""

    insured: str
    med_list_codg: str
    begins: str = ""
    ends: str = ""

    def covers(self, med_list_codg: str, insured: str, day: str) -> bool:
        there = self.insured == "*" or (insured != "" and insured.startswith(self.insured.removesuffix("00")))
        return (
            there
            and med_list_codg == self.med_list_codg
            and (not self.begins or self.begins <= day)
            and (not self.ends or day <= self.ends)
        )


COLUMNS = {"insured": "参保地", "med_list_codg": "医保目录编码", "begins": "开始日期", "ends": "结束日期"}


def read_special_drugs(rows: Sequence[Sequence[str]]) -> tuple[SpecialDrug, ...]:
    """The list from a table with a heading row.  Raises: TranslationError with every fault, each with its row."""
    heading = [cell.strip() for cell in rows[0]] if rows else []
    missing = [word for name, word in COLUMNS.items() if word not in heading and name in ("insured", "med_list_codg")]
    if missing:
        raise TranslationError([Fault("row 1", f"列 {word}", "缺") for word in missing])
    at = {name: heading.index(word) for name, word in COLUMNS.items() if word in heading}
    faults: list[Fault] = []
    found = []
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = {name: row[place].strip() if place < len(row) else "" for name, place in at.items()}
        if not (cells["insured"] == "*" or (cells["insured"].isdigit() and len(cells["insured"]) in (2, 4, 6))):
            faults.append(Fault(f"row {number} 参保地", "2、4 或 6 位区划代码，或 *", cells["insured"][:20]))
        if not cells["med_list_codg"]:
            faults.append(Fault(f"row {number} 医保目录编码", "一个编码", "空"))
        found.append(SpecialDrug(**cells))
    if faults:
        raise TranslationError(faults, code="BAD_SPECIAL_DRUGS", message_zh="特药清单有误，未使用")
    return tuple(found)
