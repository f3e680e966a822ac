"""What crosses the service's own paths, as types: the OpenAPI document is made from these and from the national tables."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Amount = Annotated[str, Meta(pattern=r"^-?\d+\.\d{2}$", description="yuan, two places")]
Key = Annotated[str, Meta(min_length=1, max_length=64)]
StateText = Annotated[str, Meta(description="reliability.md §8")]


class FaultRow(Struct):
    """One fault of a message."""

    path: str
    title: str
    expected: str
    got: str


class Problem(Struct):
    """Any refusal.  ``code`` is stable for machines, ``message_zh`` is for the cashier."""

    title: str
    status: int
    code: str
    detail: str
    message_zh: str
    next: list[str]
    type: str = "about:blank"
    faults: list[FaultRow] = field(default_factory=list)


class SettlementAnswer(Struct):
    """What a settlement or a refund is told."""

    settle_key: str
    visit_key: str
    encounter_key: str
    case_id: str
    state: StateText
    code: str
    message_zh: str
    next: list[str]
    setl_id: str
    mdtrt_id: str
    psn_no: str
    changed_from_quote: bool
    amounts: dict[str, Amount]
    setlinfo: dict[str, Any]
    setldetail: list[dict[str, Any]]
    closed_by: str | None = None
    paper: dict[str, Any] | None = None
    void_key: str = ""
    queue_position: int | None = None


class Reason(Struct):
    reason: Annotated[str, Meta(min_length=1, max_length=200)] = "-"


class VoidOrder(Struct):
    void_key: Key
    reason: Annotated[str, Meta(min_length=1, max_length=200)] = "-"


class Booking(Struct):
    """Numbers of the invoice and of the fiscal e-bill."""

    invono: Annotated[str, Meta(min_length=1, max_length=50)] = "-"
    ebill_no: Annotated[str, Meta(min_length=1, max_length=50)] = "-"


class Decision(Struct):
    """E5.  ``result``: for ``settled``: setl_id, medfee_sumamt, fund_pay_sumamt, acct_pay, psn_cash_pay."""

    outcome: Literal["settled", "not_applied", "reversed", "recheck"]
    operator: Annotated[str, Meta(min_length=1, max_length=200)]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    proof: Annotated[str, Meta(min_length=1, max_length=200, description="name and digest of the attached file")]
    second_operator: Annotated[str, Meta(min_length=1, max_length=64)] = "-"
    result: dict[str, str] = field(default_factory=dict)


class CaseRow(Struct):
    """One case in a list."""

    case_id: str
    work_order: str
    purpose: Literal["settle", "void"]
    visit_key: str
    kind: str
    state: StateText
    setl_id: str
    opened_at: str
    changed_at: str
    why: str
    amounts: dict[str, Amount]
    settle_key: str = ""
    void_key: str = ""


class CaseList(Struct):
    settlements: list[CaseRow]


class UnfiledStay(Struct):
    """A stay of somebody insured elsewhere whose filing is missing (``refused_by_text``) or not known of."""

    encounter_key: str
    mdtrt_id: str
    ipt_no: str
    adm_dept_name: str
    adm_bed: str
    admitted: str
    is_discharged: bool
    insuplc_admdvs: str
    insuplc_name: str | None
    filing: str
    reason: str
    message_zh: str
    text: str | None
    asked_at: str | None
    due: str
    due_zh: str
    todo_zh: str
    basis: str
    next: list[str]
    next_zh: list[str]
    channels: list[dict[str, Any]]
    file_call: str
    recheck: str


class Worklist(Struct):
    kind: str
    cases: list[CaseRow]
    differences: list[dict[str, Any]] = field(default_factory=list)
    unfiled: list[UnfiledStay] = field(default_factory=list)


class FeedRow(Struct):
    """What was told, when."""

    seq: int
    at: str
    case_id: str
    visit_key: str
    state: StateText
    code: str = ""
    message_zh: str = ""
    settle_key: str = ""
    void_key: str = ""


class Feed(Struct):
    """Ask on with ``after=last``."""

    events: list[FeedRow]
    last: int


class Timeline(Struct):
    case_id: str
    settle_key: str
    events: list[dict[str, Any]]


class BillLine(Struct):
    feedetl_sn: str
    det_item_fee_sumamt: Amount
    held_by_centre: bool


class FoldedVisit(Struct):
    """An outpatient visit whose lines are in this stay (``in``), or on their way into it or out of it."""

    lines: list[str]
    state: Literal["coming", "in", "going"]


class VisitName(Struct):
    """An outpatient visit; without ``visit_key`` every bill of it."""

    encounter_key: Key
    visit_key: Key = "-"


class FoldOrder(Struct):
    """The visits, each by one key for both or by name.  Left out, where lines are given back: all of them."""

    visits: list[Key | VisitName] = field(default_factory=list)


class Newborn(Struct):
    """Of a stay whose child has no number of its own yet, or got it here."""

    by: Literal["mother", "temporary", "own"]
    temporary_no: Annotated[str, Meta(min_length=1, max_length=50)] = "-"
    birth_order: Annotated[str, Meta(pattern=r"^\d{1,2}$")] = "1"
    brdy: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] = "2026-01-01"
    mother_psn_no: Annotated[str, Meta(min_length=1, max_length=50)] = "-"
    mother_certno: Annotated[str, Meta(min_length=1, max_length=50)] = "-"
    mother_name: Annotated[str, Meta(min_length=1, max_length=50)] = "-"


class BillData(Struct):
    visit_key: str
    chrg_bchno: str
    is_open: bool
    lines: list[BillLine]
    medfee_sumamt: Amount
    held_by_centre_sumamt: Amount
    settlements: list[str]
    folded_into: str | None
    folded_in: dict[str, FoldedVisit]


class EncounterData(Struct):
    encounter_key: str
    kind: str
    mdtrt_id: str
    psn_no: str
    standing: list[str]
    in_doubt: list[str]
    newborn: dict[str, str] | None
    bills: list[BillData]


class EncounterAnswer(Struct):
    encounter_key: str
    state: StateText
    code: str
    message_zh: str
    next: list[str]
    encounter: EncounterData | None = None
    queue_position: int | None = None


class ListOrder(Struct):
    """The medical record, in the nodes of 4101 or 4101A; amounts and identities are the ledger's and may be left out."""

    setlinfo: dict[str, Any]
    opspdiseinfo: list[dict[str, Any]] = field(default_factory=list)
    diseinfo: list[dict[str, Any]] = field(default_factory=list)
    iteminfo: list[dict[str, Any]] = field(default_factory=list)
    oprninfo: list[dict[str, Any]] = field(default_factory=list)
    icuinfo: list[dict[str, Any]] = field(default_factory=list)
    bldinfo: list[dict[str, Any]] = field(default_factory=list)


class ListAnswer(Struct):
    """The newest version of a settlement list: ``state`` PENDING, DONE, REJECTED or CANCELLED.  ``voided_at``: when the settlement was
    taken back; a list that is DONE lies at the centre all the same, which no transaction undoes."""

    settle_key: str
    settlement_state: str
    version: int
    state: str
    message_zh: str
    reason: str
    setl_list_id: str | None
    voided_at: str | None
    infno: str
    changed_at: str


class ListMark(Struct):
    """``stas_type``: the centre's own value."""

    stas_type: Annotated[str, Meta(min_length=1, max_length=20)]


class ListMarked(Struct):
    settle_key: str
    state: str
    stas_type: str


class TransactionOrder(Struct):
    """``input`` as the standard has it."""

    input: dict[str, Any]
    operator: dict[str, str] = field(default_factory=dict)
    insuplc_admdvs: Annotated[str, Meta(pattern=r"^\d{6}$")] = "000000"
    all_pages: bool = False


class TransactionAnswer(Struct):
    """The centre's answer: ``state`` DONE, REJECTED, NOT_SENT or UNKNOWN."""

    infno: str
    msgid: str
    state: str
    code: str
    message_zh: str
    next: list[str]
    infcode: str | None
    err_msg: str | None
    output: Any


class FilingQuestion(Struct):
    stated: StatedFiling | None = None


class StatedFiling(Struct):
    """What the cashier reads off the patient's app: a filing's record, and in which tab it stands."""

    status: Literal["active", "pending", "rejected", "cancelled", "none"] = "active"
    kind: Annotated[str, Meta(min_length=1, max_length=64)] = "-"
    basis: Annotated[str, Meta(min_length=1, max_length=64)] = "-"
    regions: list[Annotated[str, Meta(pattern=r"^\d{6}$")]] = field(default_factory=list)
    begndate: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] = "2026-01-01"
    enddate: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] = "2026-12-31"
    tab: Annotated[str, Meta(min_length=1, max_length=64)] = "-"
    source: Annotated[str, Meta(min_length=1, max_length=64)] = "patient_app"


class Eligibility(Struct):
    """Whether direct settlement will work, and if not why and what to do.  ``code``: the reason in capitals, OK or UNKNOWN."""

    verdict: Literal["works", "wont", "in_part", "unknown"]
    code: str
    reason: str | None
    message_zh: str
    patient_zh: str
    next: list[str]
    next_zh: list[str]
    filing: dict[str, Any]
    findings: list[dict[str, Any]]
    channels: list[dict[str, str]]
    notices: list[dict[str, Any]]
    scheme: dict[str, str] | None
    insurances: list[dict[str, Any]]
    qualifications: list[dict[str, Any]]
    recheck: dict[str, Any]


class Provinces(Struct):
    provinces: list[dict[str, Any]]
    broken: list[dict[str, str]]
    gateways: list[dict[str, Any]]
    notices: list[dict[str, Any]]


class Health(Struct):
    status: str
    reason: str = ""


class NationalReply(Struct):
    """A national response."""

    infcode: Any
    err_msg: str | None = None
    output: Any = None


class LocalCall(Struct):
    """A function call with base64 buffers."""

    ret: str
    outs: dict[str, str]


class FilingAnswer(Struct):
    """What asking again came to; ``unfiled``: the stay as it is on the list, null where it isn't."""

    encounter_key: str
    unfiled: UnfiledStay | None
    eligibility: Eligibility
