"""The simulated centre's people: who they are, where they are insured, what filings they have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from adapter_core.standard.regions import is_cross_province
from adapter_core.values.moments import parse_national_date
from adapter_core.values.money import yuan


@dataclass(slots=True)
class Insurance:
    """One insurance of a person.  ``balc`` is the personal account's balance and moves with each settlement."""

    insutype: str
    psn_type: str
    insuplc_admdvs: str
    balc: Decimal
    psn_insu_stas: str = "1"
    psn_insu_date: str = ""
    paus_insu_date: str = ""
    cvlserv_flag: str = "0"
    emp_name: str = ""

    @property
    def active(self) -> bool:
        return self.psn_insu_stas == "1"

    @property
    def retired(self) -> bool:
        return self.psn_type.startswith("12")


@dataclass(frozen=True, slots=True)
class Filing:
    """One 异地就医备案.  region: the longest admdvs prefix it covers.  enddate "" = open end."""

    kind: str
    region: str
    begndate: str
    enddate: str = ""
    state: str = "active"

    def covers(self, admdvs: str, day: date) -> bool:
        """Whether the filing stands at this place on this day."""
        return self.state == "active" and admdvs.startswith(self.region) and self._runs_on(day)

    def _runs_on(self, day: date) -> bool:
        begun = parse_national_date(self.begndate) <= day
        return begun and (not self.enddate or day <= parse_national_date(self.enddate))


@dataclass(slots=True)
class Person:
    """One insured person."""

    psn_no: str
    psn_name: str
    certno: str
    card_no: str
    ectoken: str
    gend: str
    brdy: str
    insurances: list[Insurance]
    filings: list[Filing] = field(default_factory=list)
    flags: frozenset[str] = frozenset()
    chronic: list[dict[str, str]] = field(default_factory=list)
    chosen: list[dict[str, str]] = field(default_factory=list)
    transfers: list[dict[str, str]] = field(default_factory=list)
    psn_cert_type: str = "01"
    naty: str = "01"

    def insurance(self, insutype: str) -> Insurance | None:
        """The active insurance of that type, else a suspended one, else None."""
        rows = [row for row in self.insurances if row.insutype == insutype]
        return next((row for row in rows if row.active), rows[0] if rows else None)

    def has_disease(self, code: str) -> bool:
        """Whether the person is qualified for a chronic or special disease."""
        return any(row.get("opsp_dise_code") == code for row in self.chronic)

    def pays_special_only(self, med_type: str) -> bool:
        """Whether an ordinary outpatient visit is not settled, because the person is registered for a special treatment."""
        return "special_only" in self.flags and med_type in ("11", "12")

    def age(self, day: date) -> Decimal:
        born = parse_national_date(self.brdy)
        had_birthday = (day.month, day.day) >= (born.month, born.day)
        return Decimal(day.year - born.year - (not had_birthday)).quantize(Decimal("0.1"))

    def filing_fault(self, insuplc_admdvs: str, care: str, day: date) -> str:
        """ "" when the person may settle there: at home, or filed; else the key of the refusal's text."""
        away = bool(care) and is_cross_province(care, insuplc_admdvs)
        filings = [*self.filings, *(_transfer(row) for row in self.transfers if row.get("mdtrtarea_admdvs"))]
        if not away or any(one.covers(care, day) for one in filings):
            return ""
        return "filing_over" if any(care.startswith(one.region) for one in filings) else "not_filed"


def _transfer(row: Mapping[str, str]) -> Filing:
    """A transfer (2501) as a filing: to the region of the hospital, from its own first day or the day it was made."""
    return Filing("transfer", row["mdtrtarea_admdvs"], row.get("begndate") or row["refl_date"], row.get("enddate", ""))


class People:
    """All people, found by any of the four credentials."""

    def __init__(self, people: Iterable[Person]) -> None:
        self._found: dict[str, Person] = {}
        self._all: dict[str, Person] = {}
        for person in people:
            self.put(person)

    def put(self, person: Person) -> None:
        """Add a person, or replace the one with this psn_no."""
        before = self._all.get(person.psn_no)
        if before is not None:
            self._found = {key: one for key, one in self._found.items() if one is not before}
        self._all[person.psn_no] = person
        for credential in (person.psn_no, person.certno, person.card_no, person.ectoken):
            if credential:
                self._found[credential] = person

    def by_number(self, psn_no: str) -> Person | None:
        return self._all.get(psn_no)

    def by_credential(self, credential: str) -> Person | None:
        return self._found.get(credential)

    def __iter__(self) -> Any:
        return iter(self._all.values())


def person_from(row: Mapping[str, Any]) -> Person:
    """A person from a row of ``data/people.toml`` or ``/_sim/people``.  Raises: ValueError, KeyError, TypeError."""
    fields = {
        key: value for key, value in row.items() if key not in ("insurance", "filing", "flags", "chronic", "chosen")
    }
    insurances = [Insurance(**{**one, "balc": yuan(str(one.get("balc", "0")))}) for one in row["insurance"]]
    filings = [Filing(**one) for one in row.get("filing", ())]
    chronic, chosen = ([dict(one) for one in row.get(name, ())] for name in ("chronic", "chosen"))
    flags = frozenset(row.get("flags", ()))
    person = Person(**fields, insurances=insurances, filings=filings, flags=flags, chronic=chronic, chosen=chosen)
    parse_national_date(person.brdy)
    return person
