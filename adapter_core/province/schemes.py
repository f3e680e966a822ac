"""Arrangements (方案): which of them may serve a person insured in one region who is treated in another, on a day.

Membership is dated data (`schemas/policy/schemes.toml`); what is really open, for whom and since when, is the site's openings
list.  Every pair of regions has a direction: insured → care.  The unit is the 统筹区, 省本级 (``PP9900``) included.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache

from adapter_core.standard.source import schema_file
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, TranslationError

ANY = "*"


@dataclass(frozen=True, slots=True)
class Scheme:
    """One arrangement.  care, insured: region codes or prefixes, ``*`` for any; begins, ends: yyyy-MM-dd, "" = unknown or open.

    listed_only: only institutions of the openings list take part.  pays: ``monthly`` clearing or a ``reserve`` (备用金).
    """

    name: str
    title: str
    care: tuple[str, ...]
    insured: tuple[str, ...]
    kinds: tuple[str, ...]
    pays: str
    begins: str = ""
    ends: str = ""
    credentials: tuple[str, ...] = ()
    listed_only: bool = False
    basis: str = ""
    evidence: str = ""
    source: str = ""

    def may_serve(self, trip: Trip) -> bool:
        """Whether the arrangement's own terms cover this trip; what is open is the openings list's to say."""
        among = _member(self.care, trip.care) and _member(self.insured, trip.insured)
        between = self.name == NATIONAL or trip.care[:4] != trip.insured[:4]
        return among and between and trip.kind in self.kinds and _runs(self.begins, self.ends, trip.day)


NATIONAL = "national"
LOCAL = "local"
"""What stands for an arrangement where somebody insured in the province of care is treated."""
UNLISTED = "unlisted"
"""What stands for one where none is known to serve."""


@dataclass(frozen=True, slots=True)
class Trip:
    """Who goes where: region codes (``insuplc_admdvs``, ``mdtrtarea_admvs``), flow, day (yyyy-MM-dd), institution."""

    insured: str
    care: str
    kind: str
    day: str
    fixmedins_code: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """One line of an openings list (开通清单).  insured, care: 统筹区 codes or prefixes; fixmedins_code "" = every institution."""

    scheme: str
    insured: str
    care: str
    kind: str
    begins: str
    ends: str = ""
    fixmedins_code: str = ""

    @property
    def what(self) -> tuple[str, ...]:
        """The opening without its dates: two lists differ in it, or in when."""
        return (self.scheme, self.insured, self.care, self.kind, self.fixmedins_code)

    def covers(self, scheme: Scheme, trip: Trip) -> bool:
        return (
            self.scheme == scheme.name
            and _member((self.insured,), trip.insured)
            and _member((self.care,), trip.care)
            and self.kind in (ANY, trip.kind)
            and self.fixmedins_code in ("", trip.fixmedins_code)
            and _runs(self.begins, self.ends, trip.day)
        )


@dataclass(frozen=True, slots=True)
class Serving:
    """Which arrangement serves a trip; without one, why none does: ``not_open`` or ``institution_not_open``."""

    scheme: Scheme | None
    reason: str = ""


@cache
def schemes() -> tuple[Scheme, ...]:
    """The arrangements we know, regional ones before the national one."""
    rows = tomllib.loads(schema_file("policy", "schemes.toml").read_text("utf-8"))["scheme"]
    found = [_scheme(row) for row in rows]
    return tuple(sorted(found, key=lambda one: one.name == NATIONAL))


def _scheme(row: dict[str, object]) -> Scheme:
    fields: dict[str, object] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
    }
    fields["begins"], fields["ends"] = fields.pop("from", ""), fields.pop("to", "")
    return Scheme(**fields)  # type: ignore[arg-type]


def serving(trip: Trip, openings: Sequence[Opening] = (), known: Iterable[Scheme] | None = None) -> Serving:
    """The first arrangement that serves the trip.

    openings: the site's list; an arrangement that it names is open only as it says.  An arrangement the list doesn't name is open as
    far as its own terms go, unless only listed institutions take part in it.
    """
    if not openings and known is None:
        return _serving_unlisted(trip)
    return _serving(trip, openings, schemes() if known is None else known)


@lru_cache(maxsize=4096)
def _serving_unlisted(trip: Trip) -> Serving:
    """By the arrangements' own terms: the same few trips each day."""
    return _serving(trip, (), schemes())


def _serving(trip: Trip, openings: Sequence[Opening], known: Iterable[Scheme]) -> Serving:
    reason = "not_open"
    for scheme in known:
        if not scheme.may_serve(trip):
            continue
        listed = [one for one in openings if one.scheme == scheme.name]
        if not listed and not scheme.listed_only:
            return Serving(scheme)
        if any(one.covers(scheme, trip) for one in listed):
            return Serving(scheme)
        anywhere = [replace(one, fixmedins_code="") for one in listed]
        if any(one.covers(scheme, trip) for one in anywhere):
            reason = "institution_not_open"
    return Serving(None, reason)


def scheme_name(trip: Trip, openings: Sequence[Opening] = ()) -> str:
    """The arrangement that serves a trip, ``local`` within the province of care (or while the place of insurance isn't said),
    ``unlisted`` where none is known to."""
    if not trip.insured or trip.insured[:2] == trip.care[:2]:
        return LOCAL
    scheme = serving(trip, openings).scheme
    return scheme.name if scheme else UNLISTED


@dataclass(frozen=True, slots=True)
class Difference:
    """What a new openings list changes.  before, after: None where there was, or is, no such line."""

    before: Opening | None
    after: Opening | None


def compared(before: Iterable[Opening], after: Iterable[Opening]) -> list[Difference]:
    """What differs between two lists, in their order: added, ended, dates moved."""
    old, new = {one.what: one for one in before}, {one.what: one for one in after}
    return [
        Difference(old.get(what), new.get(what))
        for what in sorted(old.keys() | new.keys())
        if old.get(what) != new.get(what)
    ]


COLUMNS = {
    "scheme": ("方案", "scheme"),
    "insured": ("参保地", "insured"),
    "care": ("就医地", "care"),
    "kind": ("业务", "kind"),
    "begins": ("开始日期", "from"),
    "ends": ("结束日期", "to"),
    "fixmedins_code": ("机构编号", "fixmedins_code"),
}
KIND_WORDS = {"门诊": "outpatient", "住院": "inpatient", "药店": "pharmacy", "全部": ANY, "": ANY}


def read_openings(rows: Sequence[Sequence[str]]) -> list[Opening]:
    """An openings list from the rows of a table with a heading row (Chinese or English names).

    Raises: TranslationError with every fault of the list, each with its row.
    """
    if not rows:
        raise TranslationError([Fault("row 1", "标题行", "空文件")])
    heading = [cell.strip() for cell in rows[0]]
    at = {
        name: next((heading.index(word) for word in words if word in heading), None) for name, words in COLUMNS.items()
    }
    missing = [COLUMNS[name][0] for name in ("scheme", "insured", "care", "begins") if at[name] is None]
    if missing:
        raise TranslationError([Fault("row 1", f"列 {word}", "缺") for word in missing])
    faults: list[Fault] = []
    found: dict[tuple[str, ...], Opening] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = {
            name: row[place].strip() if place is not None and place < len(row) else "" for name, place in at.items()
        }
        opening = _opening(cells, f"row {number}", faults)
        if opening.what in found:
            faults.append(Fault(f"row {number}", "每项一行", "与前面的行重复"))
        found[opening.what] = opening
    if faults:
        raise TranslationError(faults, code="BAD_OPENINGS", message_zh="开通清单有误，未导入")
    return sorted(found.values())


def _opening(cells: dict[str, str], where: str, faults: list[Fault]) -> Opening:
    names = {one.name for one in schemes()}
    if cells["scheme"] not in names:
        faults.append(Fault(f"{where} 方案", "、".join(sorted(names)), cells["scheme"][:20]))
    for name in ("insured", "care"):
        if not (cells[name] == ANY or (cells[name].isdigit() and len(cells[name]) in (2, 4, 6))):
            faults.append(Fault(f"{where} {COLUMNS[name][0]}", "2、4 或 6 位区划代码，或 *", cells[name][:20]))
    kind = KIND_WORDS.get(cells["kind"], cells["kind"])
    if kind not in {ANY, "outpatient", "inpatient", "pharmacy"}:
        faults.append(Fault(f"{where} 业务", "门诊、住院、药店或全部", cells["kind"][:20]))
    for name in ("begins", "ends"):
        if not (cells[name] == "" and name == "ends") and not _is_day(cells[name]):
            faults.append(Fault(f"{where} {COLUMNS[name][0]}", "yyyy-MM-dd", cells[name][:20]))
    return Opening(**{**cells, "kind": kind})


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@lru_cache(maxsize=4096)  # the same few regions, asked for each settlement several times
def _member(codes: tuple[str, ...], region: str) -> bool:
    return any(code == ANY or region.startswith(code.removesuffix("00") if len(code) == 6 else code) for code in codes)


def _runs(begins: str, ends: str, day: str) -> bool:
    return (not begins or begins <= day) and (not ends or day <= ends)
