"""What a site knows beside the centre: openings, downtime, interrupted interfaces, drugs of special diseases, other provinces' texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter_core.province.policy import Policy, Reason, innermost
from adapter_core.province.schemes import Opening, Trip
from adapter_core.province.special_drugs import SpecialDrug


@dataclass(frozen=True, slots=True)
class Downtime:
    """A notice that holds now.  admdvs: prefix of the regions it is about, "" = all; planned: announced, else an interface that
    answers no more; until: ``yyyy-MM-dd HH:mm:ss`` China time, "" while nobody knows."""

    text: str
    admdvs: str = ""
    planned: bool = True
    until: str = ""
    source: str = ""
    advice: str = ""

    def is_about(self, *regions: str) -> bool:
        return any(region.startswith(self.admdvs) for region in regions if region) or not self.admdvs


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All of it, at one moment.  policies: prefix of a region → the texts of its own centre."""

    openings: tuple[Opening, ...] = ()
    downtimes: tuple[Downtime, ...] = ()
    special_drugs: tuple[SpecialDrug, ...] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict)

    def planned(self, *regions: str) -> Downtime | None:
        """The planned downtime of one of the regions."""
        return next((one for one in self.downtimes if one.planned and one.is_about(*regions)), None)

    def interrupted(self) -> Downtime | None:
        """The interface's own interruption."""
        return next((one for one in self.downtimes if not one.planned), None)

    def opens(self, trip: Trip) -> bool:
        """Whether the site's list names any opening for this institution at all."""
        return any(one.fixmedins_code in ("", trip.fixmedins_code) for one in self.openings)

    def special(self, items: tuple[str, ...], insured: str, day: str) -> tuple[str, ...]:
        """Which of the items the place of insurance pays only as a special disease."""
        return tuple(code for code in items if any(one.covers(code, insured, day) for one in self.special_drugs))

    def reason_of(self, text: str, insured: str, here: Policy) -> Reason | None:
        """The reason a text names: what the place of insurance said inside is read by its own table first."""
        inner = innermost(text)
        for prefix, policy in self.policies.items():
            if insured.startswith(prefix) and (named := policy.reason_of(inner)) is not None:
                return named
        return here.reason_of(text)


NOTHING_KNOWN = Circumstances()
