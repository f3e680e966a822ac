"""What the simulated centre keeps: visits, fee lines, settlements, refunds; and what is asked and answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from adapter_core.simulator.benefits import Split
from adapter_core.simulator.catalogue import Shares
from adapter_core.values.content import Content
from adapter_core.values.money import MoneyError, number, yuan


class Refusal(Exception):
    """The centre says no.  ``key`` names a text of ``data/texts.toml``, ``values`` fill it."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values


class NoEffect(Exception):
    """The centre says yes although there was nothing to do: 2601 of nothing, or of what is reversed already."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, whatever door it came through.  ``input``: the national input nodes; prepare: a settlement of a two-phase
    family, which takes effect with its confirm."""

    infno: str
    msgid: str
    input: Mapping[str, Any]
    fixmedins_code: str = ""
    fixmedins_name: str = ""
    mdtrtarea_admvs: str = ""
    sign_no: str = ""
    opter: str = ""
    prepare: bool = False

    def record(self, node: str = "data") -> Ask:
        """The record of an input node; where it is absent, the first record there is (Guangzhou says ``mdtrtinfo``)."""
        found = self.input.get(node)
        if not isinstance(found, Mapping):
            found = next((value for value in self.input.values() if isinstance(value, Mapping)), {})
        return Ask(found)

    def rows(self, node: str) -> list[Ask]:
        """The rows of a list node; a single record counts as one row."""
        found = self.input.get(node, ())
        return [Ask(row) for row in ([found] if isinstance(found, Mapping) else found) if isinstance(row, Mapping)]


@dataclass(frozen=True, slots=True)
class Ask:
    """One input record, read strictly."""

    fields: Mapping[str, Any]

    def get(self, code: str) -> str:
        """The field as text; "" when absent, null or blank.  Raises: Refusal for an object or a list."""
        value = self.fields.get(code)
        if isinstance(value, (Mapping, list)):
            raise Refusal("field_bad", code=code)
        return "" if value is None else str(value).strip()

    def need(self, code: str) -> str:
        """As `get`.  Raises: Refusal when blank."""
        value = self.get(code)
        if not value:
            raise Refusal("field_missing", code=code)
        return value

    def money(self, code: str) -> Decimal:
        try:
            return yuan(self.need(code))
        except MoneyError:
            raise Refusal("field_bad", code=code) from None

    def number(self, code: str, digits: int, places: int) -> Decimal:
        try:
            return number(self.need(code), digits, places)
        except MoneyError:
            raise Refusal("field_bad", code=code) from None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the centre answers.  ``output`` None = none.  committed: something changed at the centre."""

    infcode: str
    err_msg: str = ""
    output: Content | None = None
    committed: bool = False


@dataclass(slots=True)
class FeeLine:
    """One uploaded line.  ``fields``: as uploaded; ``setl_id``: the settlement that took it, if any."""

    feedetl_sn: str
    chrg_bchno: str
    fields: Mapping[str, Any]
    shares: Shares
    cnt: Decimal
    pric: Decimal
    setl_id: str = ""


@dataclass(slots=True)
class Visit:
    """One 就诊: an outpatient registration or a stay."""

    mdtrt_id: str
    msgid: str
    psn_no: str
    insutype: str
    kind: str
    med_type: str
    begntime: str
    facts: dict[str, Any]
    fixmedins_code: str
    fixmedins_name: str
    at: datetime
    endtime: str = ""
    cancelled: bool = False
    discharged: bool = False
    diagnoses: list[Mapping[str, Any]] = field(default_factory=list)
    lines: dict[str, FeeLine] = field(default_factory=dict)
    settlements: list[Settlement] = field(default_factory=list, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message came from: whose settlement it is, and where the care was given."""

    fixmedins_code: str
    fixmedins_name: str
    mdtrtarea_admvs: str


@dataclass(slots=True)
class Settlement:
    """One settlement.  state: ``settled`` | ``refunded`` | ``reversed``; of a two-phase family first ``prepared``, then
    ``settled`` or ``undone``.  since: when it took that state, seconds of the monotonic clock."""

    setl_id: str
    infno: str
    msgid: str
    visit: Visit
    chrg_bchno: str
    med_type: str
    insutype: str
    mdtrt_cert_type: str
    invono: str
    split: Split
    at: datetime
    since: float
    place: Place
    lines: tuple[str, ...]
    state: str = "settled"
    refund: Refund | None = None


@dataclass(slots=True)
class Refund:
    """One refund of a settlement.  state: ``refunded`` | ``reversed``; where refunds have two phases first ``prepared``, then
    ``refunded`` or ``undone``."""

    setl_id: str
    infno: str
    msgid: str
    at: datetime
    since: float
    state: str = "refunded"
