"""Regions (医保区划): names for display, and whether care and insurance lie in two provinces."""

from __future__ import annotations

import re
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
    """

    code: str
    name: str
    province: str
    confidence: str
    kind: str = ""
    note: str = ""


@cache
def all_regions() -> dict[str, Region]:
    """Every listed region by its code."""
    data = load_json("national", "regions.json")
    provinces = {row["code"][:2]: row["name"] for row in data["provinces"]}
    rows = [(row, "省") for row in data["provinces"]] + [(row, "市") for row in data["cities"]]
    rows += [(row, row["kind"]) for row in data["special"]]
    return {
        row["code"]: Region(
            row["code"], row["name"], provinces[row["code"][:2]], row["confidence"], kind, row.get("note", "")
        )
        for row, kind in rows
    }


def region(code: str) -> Region | None:
    """The listed region of a code, else the city, else the province around it; None when the province is unknown."""
    if not ADMDVS.fullmatch(code):
        return None
    listed = all_regions()
    return listed.get(code) or listed.get(code[:4] + "00") or listed.get(code[:2] + "0000")


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
