"""Where a filing is made, changed or looked up, by place of insurance (`schemas/policy/filing-channels.toml`).  Data, not code."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

from adapter_core.standard.source import schema_file


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to get something done.  region: prefix of the place of insurance, "" = everywhere; kind: app | web | counter | phone;
    does: what can be done there; evidence: A an official text, B secondary, C known only for another business or not verified."""

    region: str
    kind: str
    name: str
    does: tuple[str, ...]
    how: str
    evidence: str
    source: str


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(schema_file("policy", "filing-channels.toml").read_text("utf-8"))


@cache
def channels() -> tuple[Channel, ...]:
    """Every channel, the nearest regions first."""
    found = [Channel(**{**row, "does": tuple(row["does"])}) for row in _table()["channel"]]
    return tuple(sorted(found, key=lambda one: -len(one.region)))


def needs() -> dict[str, str]:
    """What a reason needs done, by its code."""
    found: dict[str, str] = _table()["needs"]
    return found


def channels_for(reason: str, insuplc_admdvs: str) -> tuple[Channel, ...]:
    """Where what a reason needs can be done for a person insured there; none for a reason nobody can file away."""
    need = needs().get(reason)
    return tuple(one for one in channels() if need in one.does and insuplc_admdvs.startswith(one.region))


def files_inside(care: str, insured: str, day: str) -> bool:
    """Whether care in another city of the same province needs a filing, as far as is known."""
    free = [row for row in _table()["inside"] if care.startswith(row["region"]) and insured.startswith(row["region"])]
    return not any(row["from"] <= day for row in free)
