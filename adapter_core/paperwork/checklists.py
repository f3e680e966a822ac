"""Checklists: what a place of insurance asks for when a bill is reimbursed by hand, with how well that is known.

The data is ``schemas/policy/manual-reimbursement.json``.  What it doesn't say is not printed: above all no deadline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from adapter_core.standard.source import load_json

NATIONAL = "national_default"
NATIONAL_BANNER = "以下为国家清单，请以参保地为准"
UNVERIFIED_BANNER = "以下清单未经官方文本核实，请以参保地为准"
CONFIDENCE_ZH = {"A": "官方文本", "B": "公开的二手资料", "C": "未经官方文本核实"}

CASE_TYPES = {
    "outpatient": "门诊",
    "outpatient_chronic": "门诊慢特病",
    "inpatient": "住院",
    "emergency": "急诊",
    "pharmacy": "药店购药",
    "maternity": "生育门诊",
}
BY_MED_TYPE = {"13": "emergency", "14": "outpatient_chronic", "51": "maternity"}
"""First two digits of ``med_type`` (longer ones are provincial additions) → kind of case, where the flow alone doesn't say it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One document.  source: who brings it, ``patient`` | ``hospital`` | ``insurer``.  made: the sheet of the set that is it.
    note: what this region says of it."""

    code: str
    zh: str
    source: str
    made: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wanted besides, in a situation named in words."""

    when: str
    documents: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Checklist:
    """What one place of insurance wants for one kind of case.

    region: its name, "" where it is unknown.  own: it has a list of its own for this kind; else the national one stands.
    offered: given along, never required.  processing: how long it takes, "" where unknown.  confidence: A | B | C.
    """

    region: str
    case_type: str
    own: bool
    required: tuple[Wanted, ...]
    conditional: tuple[Condition, ...]
    offered: tuple[Wanted, ...]
    where: str
    processing: str
    accepted_when: tuple[str, ...]
    basis: str
    confidence: str

    @property
    def banner(self) -> str:
        """What must stand above the list; empty for a list of the region's own that is known well enough."""
        if not self.own:
            return NATIONAL_BANNER
        return UNVERIFIED_BANNER if self.confidence == "C" else ""

    @property
    def situations(self) -> tuple[str, ...]:
        return tuple(condition.when for condition in self.conditional)


def case_type(kind: str, med_type: str) -> str:
    """The kind of case of a flow and its ``med_type``, one of CASE_TYPES."""
    return BY_MED_TYPE.get(med_type[:2], "outpatient") if kind == "outpatient" else kind


def checklist(insuplc_admdvs: str, of_type: str) -> Checklist:
    """The list of a place of insurance (six digits, "" where it is unknown): the city's, else the province's, else the
    national one."""
    data = _data()
    regions = data["regions"]
    national = regions[NATIONAL]
    codes = [insuplc_admdvs, insuplc_admdvs[:4] + "00", insuplc_admdvs[:2] + "0000"]
    listed = next((regions[code] for code in codes if code in regions), None)
    region = listed or national
    own = region["cases"].get(of_type) if listed else None
    row = own or national["cases"].get(of_type) or national["cases"]["outpatient"]
    notes = region.get("notes", {})

    def wanted(names: Sequence[str]) -> tuple[Wanted, ...]:
        return tuple(_wanted(data["documents"], name, notes) for name in names)

    return Checklist(
        region=listed["name"] if listed else "",
        case_type=of_type,
        own=own is not None,
        required=wanted(row["required"]),
        conditional=tuple(
            Condition(when, wanted(names))
            for when, names in _conditions(own, national["cases"].get(of_type, {})).items()
        ),
        offered=wanted([*row.get("attach_when_known", []), *national["offered"]]),
        where=region["where"],
        processing=region.get("processing", ""),
        accepted_when=tuple(region.get("accepted_when", ())),
        basis=row.get("basis") or (region if own else national)["basis"],
        confidence=row["confidence"],
    )


def _conditions(own: Mapping[str, Any] | None, national: Mapping[str, Any]) -> dict[str, list[str]]:
    """Conditions add up: the region's own first, the national ones of other names behind."""
    rows = [*(own or {}).get("conditional", []), *national.get("conditional", [])]
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["when"], row["add"])
    return found


def _wanted(documents: Mapping[str, Any], name: str, notes: Mapping[str, str]) -> Wanted:
    row = documents[name]
    return Wanted(name, row["zh"], row["from"], row.get("made", ""), notes.get(name, ""))


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = load_json("policy", "manual-reimbursement.json")
    return data
