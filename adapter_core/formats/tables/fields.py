"""Which national fields exist and of what type, from the standard's own tables."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from adapter_core.standard.envelope import envelope_fields
from adapter_core.standard.spellings import canonical_code
from adapter_core.standard.transactions import all_infnos, transaction

FieldTypes = Mapping[str, frozenset[str]]
"""Field code → every type that a table of the standard gives it (``string``, ``number``, ``date``, ``datetime``)."""


@cache
def national_fields() -> FieldTypes:
    """Every field code of the standard with its types."""
    types: dict[str, set[str]] = {}
    for infno in all_infnos():
        entry = transaction(infno)
        for node in (*entry.input, *entry.output):
            for field in node.fields:
                types.setdefault(canonical_code(field.code), set()).add(field.type)
    for field in (*envelope_fields("request"), *envelope_fields("request_local")):
        types.setdefault(canonical_code(field.code), set()).add(field.type)
    return {code: frozenset(found) for code, found in types.items()}
