"""What is known of a patient's filing (异地就医备案), from whom, and whether it fits this visit.  Pure.

No national transaction returns it: 5304 shows transfers, a refusal may name its absence, and the cashier may read it off the
patient's app.  That nobody knows is a normal answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ACTIVE, REFUSED_BY_TEXT, STATED_BY_PATIENT, UNKNOWN = "active", "refused_by_text", "stated_by_patient", "unknown"
NOT_NEEDED = "not_needed"
STATUSES = ("active", "pending", "rejected", "cancelled", "none")
"""What a record of the patient's app may say; ``none``: there is no record in any tab."""
STATUS_REASON = {
    "pending": "filing_pending",
    "rejected": "not_filed",
    "cancelled": "filing_cancelled",
    "none": "not_filed",
}
FILING_REASONS = frozenset({"not_filed", "filing_expired", "filing_not_started", "filing_wrong_region", "filing_pending",
                            "filing_cancelled", "filing_kind_insufficient"})  # fmt: skip
TRANSFER_ZH = "异地转诊"


@dataclass(frozen=True, slots=True)
class Filing:
    """state: ``active`` | ``refused_by_text`` | ``stated_by_patient`` | ``unknown`` | ``not_needed``; source: a call's number,
    ``patient_app``, ``counter`` … (who said so).

    regions: where it is filed to, codes or prefixes; begins, ends: yyyy-MM-dd; kind, basis, tab: in the field's words, as told.
    """

    state: str
    source: str = ""
    status: str = ""
    kind: str = ""
    basis: str = ""
    regions: tuple[str, ...] = ()
    begins: str = ""
    ends: str = ""
    tab: str = ""
    text: str = ""

    def misfit(self, care: str, day: str) -> str:
        """The reason why it doesn't cover care there on that day; "" where it does, as far as it says."""
        if self.status in STATUS_REASON:
            return STATUS_REASON[self.status]
        if self.regions and not any(_within(care, region) for region in self.regions):
            return "filing_wrong_region"
        if self.begins and day < self.begins:
            return "filing_not_started"
        return "filing_expired" if self.ends and self.ends < day else ""


def stated(said: Mapping[str, Any]) -> Filing:
    """What the cashier reads off the patient's app."""
    return Filing(
        STATED_BY_PATIENT,
        str(said.get("source") or "patient_app"),
        str(said.get("status") or "active"),
        str(said.get("kind") or ""),
        str(said.get("basis") or ""),
        tuple(map(str, said.get("regions") or ())),
        str(said.get("begndate") or ""),
        str(said.get("enddate") or ""),
        str(said.get("tab") or ""),
    )


def transferred(rows: Sequence[Mapping[str, Any]], fixmedins_code: str, day: str) -> Filing | None:
    """The transfer (5304) to this institution: the one in force, else the last one; None where there is none."""
    ours = [row for row in rows if str(row.get("reflin_medins_no") or "") == fixmedins_code]
    known = sorted((_transfer(row) for row in ours), key=lambda one: (not one.misfit("", day), one.ends, one.begins))
    return known[-1] if known else None


def _transfer(row: Mapping[str, Any]) -> Filing:
    return Filing(
        ACTIVE,
        "5304",
        "active",
        TRANSFER_ZH,
        str(row.get("refl_rea") or ""),
        (),
        str(row.get("begndate") or "")[:10],
        str(row.get("enddate") or "")[:10],
    )


def _within(care: str, region: str) -> bool:
    """Whether a place of care lies in what was filed to: a city or county, or with ``…0000`` a whole province."""
    prefix = region.removesuffix("00").removesuffix("00") if len(region) == 6 else region
    return care.startswith(prefix)
