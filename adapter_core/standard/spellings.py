"""One field, two spellings: which one is used inside, and which ones are met on the wire (``spellings.json``)."""

from __future__ import annotations

from functools import cache

from adapter_core.standard.source import load_json


@cache
def spellings() -> dict[str, tuple[str, ...]]:
    """Canonical code → all its spellings, the canonical one first."""
    rows = load_json("national", "spellings.json")["fields"]
    return {row["canonical"]: (row["canonical"], *row["spellings"]) for row in rows}


@cache
def _canonical_codes() -> dict[str, str]:
    return {spelling: canonical for canonical, known in spellings().items() for spelling in known}


def canonical_code(code: str) -> str:
    """The spelling used inside, e.g. ``expContent`` → ``exp_content``; any other code is its own."""
    return _canonical_codes().get(code, code)


def spellings_of(code: str) -> tuple[str, ...]:
    """Every spelling of a field, the canonical one first."""
    canonical = canonical_code(code)
    return spellings().get(canonical, (canonical,))
