"""Dictionaries: the values of coded fields, as far as a public source prints them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from adapter_core.standard.source import load_json, schema_file
from adapter_core.standard.spellings import canonical_code

Standing = Literal["known", "unlisted", "refused"]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Values of one coded field, code → name.  ``local_values`` were seen in one place only; they are accepted.

    extended_locally: "" no, ``any`` provinces add codes, ``longer`` provinces add codes longer than the national ones.
    """

    code: str
    name: str
    values: Mapping[str, str]
    local_values: Mapping[str, str]
    confidence: str
    extended_locally: str
    note: str
    sources: tuple[str, ...]

    def standing(self, value: str) -> Standing:
        """``known``; ``unlisted``: perhaps right, since the list may be incomplete; ``refused``: no such code."""
        if value in self.values or value in self.local_values:
            return "known"
        if self.confidence != "cross-checked" or self.extended_locally == "any":
            return "unlisted"
        if self.extended_locally == "longer" and len(value) > max(map(len, self.values)):
            return "unlisted"
        return "refused"

    def label(self, value: str) -> str | None:
        """The name of a code, the national one first; None for an unlisted code."""
        return self.values.get(value, self.local_values.get(value))


@cache
def dictionary_codes() -> tuple[str, ...]:
    """The field codes that have a dictionary, sorted."""
    return tuple(sorted(path.stem for path in schema_file("national", "dictionaries").glob("*.json")))


@cache
def dictionary(code: str) -> Dictionary | None:
    """The dictionary of a field code, in either spelling; None when no source prints one."""
    canonical = canonical_code(code)
    if canonical not in dictionary_codes():
        return None
    data = load_json("national", "dictionaries", f"{canonical}.json")
    return Dictionary(
        code=canonical,
        name=data["name"],
        values=data["values"],
        local_values=data.get("local_values", {}),
        confidence=data["confidence"],
        extended_locally=data.get("extended_locally", ""),
        note=data["note"],
        sources=tuple(data["sources"]),
    )
