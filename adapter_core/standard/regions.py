"""Regions (医保区划): names for display, and whether care and insurance lie in two provinces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from adapter_core.standard.source import load_json
from adapter_core.values.errors import Fault, TranslationError

ADMDVS = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class Region:
    """One listed region.

    code: for a county that is the city or province around it, since counties are not listed.
    province: the name of its province.  confidence: A seen in use, B GB/T 2260, C built by pattern.
    begins, ends: yyyy-MM-dd, the first and the last day of the code, "" = unknown or open; successor: the code that took its place.
    """

    code: str
    name: str
    province: str
    confidence: str
    kind: str = ""
    note: str = ""
    begins: str = ""
    ends: str = ""
    successor: str = ""


@cache
def all_regions() -> dict[str, Region]:
    """Every listed region by its code."""
    data = load_json("national", "regions.json")
    provinces = {row["code"][:2]: row["name"] for row in data["provinces"]}
    rows = [(row, "省") for row in data["provinces"]] + [(row, "市") for row in data["cities"]]
    rows += [(row, row["kind"]) for row in data["special"]]
    return {
        row["code"]: Region(
            row["code"],
            row["name"],
            provinces[row["code"][:2]],
            row["confidence"],
            kind,
            row.get("note", ""),
            row.get("from", ""),
            row.get("to", ""),
            row.get("successor", ""),
        )
        for row, kind in rows
    }


def region(code: str) -> Region | None:
    """The listed region of a code, else the city, else the province around it; None when the province is unknown."""
    if not ADMDVS.fullmatch(code):
        return None
    listed = all_regions()
    return listed.get(code) or listed.get(code[:4] + "00") or listed.get(code[:2] + "0000")


def in_force(code: str, day: str, known: Mapping[str, Region] | None = None) -> str:
    """The code that stands for a region on a day: its own, or its successor's once it ended.

    For choices about something new only: what was settled under a code is refunded under it.  day: yyyy-MM-dd.
    """
    regions = all_regions() if known is None else known
    seen = [code]
    while (listed := regions.get(seen[-1])) and listed.ends and listed.ends < day and listed.successor:
        if listed.successor in seen:
            break
        seen.append(listed.successor)
    return seen[-1]


def same_province(first: str, second: str) -> bool:
    """Whether two regions share their province: the first two digits.  Raises: TranslationError for no six digits."""
    faults = [
        Fault("admdvs", "六位数字的医保区划", f"{len(code)} 个字符", "医保区划")
        for code in (first, second)
        if not ADMDVS.fullmatch(code)
    ]
    if faults:
        raise TranslationError(faults)
    return first[:2] == second[:2]


def is_cross_province(place_of_care: str, place_of_insurance: str) -> bool:
    """Whether a visit is settled across provinces (跨省异地就医): mdtrtarea_admvs against insuplc_admdvs."""
    return not same_province(place_of_care, place_of_insurance)
