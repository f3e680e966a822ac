"""The hand-over sheet (交接单) of the papers that one employer takes along for several people.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapter_core.paperwork.capitals import in_capitals
from adapter_core.paperwork.dossier import House, institution
from adapter_core.paperwork.fee_lists import money
from adapter_core.settlement.records import Case
from adapter_core.values.money import yuan


def batch_sheet(house: House, batch: str, sets: Sequence[tuple[Case, Mapping[str, Any]]]) -> dict[str, Any]:
    """What the sheet says.  sets: each case with the version that was handed over."""
    handed = sets[0][0].data["paper"]["handed"]
    rows = [
        {
            "serial": document["serial"],
            "version": document["version"],
            "psn_name": document["patient"]["psn_name"],
            "region": document["insured"]["region"],
            "case_type_zh": document["visit"]["case_type_zh"],
            "total": document["total"],
        }
        for _, document in sets
    ]
    total = money(sum((Decimal(row["total"]) for row in rows), Decimal(0)))
    return {
        "form": "batch",
        "environment": house.environment,
        "institution": institution(house),
        "batch": batch,
        **{name: str(handed.get(name, "")) for name in ("employer", "handed_to", "at")},
        "rows": rows,
        "total": total,
        "total_capitals": in_capitals(yuan(total)),
    }
