"""门诊慢特病: which diseases may be settled directly across provinces, by exact code and day.  Data, not code."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache

from adapter_core.standard.source import schema_file

CHRONIC = "14"
"""``med_type`` of a visit for a chronic or special disease."""
EMERGENCY = "13"
CODE = re.compile(r"M\d{5}")
"""How every published 门慢特 code looks."""


@dataclass(frozen=True, slots=True)
class Disease:
    """since: the first day, ``yyyy-MM-dd``."""

    name: str
    codes: tuple[str, ...]
    since: str


@cache
def cross_province_diseases() -> tuple[Disease, ...]:
    """The shipped list."""
    rows = tomllib.loads(schema_file("policy", "chronic-diseases.toml").read_text("utf-8"))["disease"]
    return tuple(Disease(row["name"], tuple(row["codes"]), row["from"]) for row in rows)


def is_cross_province_disease(code: str, day: str, own_codes: str = "") -> bool:
    """Whether a disease may be settled directly for a person insured in another province.

    day: ``yyyy-MM-dd``; own_codes: the site's own list, separated by blanks, instead of the shipped one ("" = shipped).
    """
    if own_codes:
        return code in own_codes.split()
    return any(code in disease.codes and disease.since <= day for disease in cross_province_diseases())
