"""What the ledger keeps: journal events and the projections written in the same transaction.

All records are frozen; a change is a new record with ``version`` one higher.  Fields marked *sealed* reach the disk only
encrypted; the others carry no personal data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from adapter_core.settlement.states import RELEASED, Result, State
from adapter_core.values.content import Content


class Event(Struct, frozen=True):
    """One line of the journal.

    kind: ACCEPTED PREPARED INTENT REPLY OUTCOME TOLD … (`reliability.md` §4); at: RFC 3339 UTC; data: *sealed*, JSON-able with
    Decimal for numbers (they come back as Decimal) and text; raw bytes of the wire go in ``raw`` (*sealed* too).
    """

    kind: str
    at: str
    case_id: str = ""
    encounter_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes = b""


class Encounter(Struct, frozen=True):
    """One 就诊.  ``content`` (*sealed*): person, visit, insurances, env.  ``standing`` (*sealed* with it): step → what it
    stands on."""

    encounter_id: str
    org: str
    encounter_key: str
    kind: str
    dialect: str
    version: int = 0
    mdtrt_id: str = ""
    content: Content = field(default_factory=dict)
    standing: Mapping[str, Any] = field(default_factory=dict)


class Bill(Struct, frozen=True):
    """One bill of an encounter.  ``content`` (*sealed*): fees, diagnoses, settle, trial, settled, lines, funds."""

    bill_id: str
    org: str
    encounter_id: str
    visit_key: str
    chrg_bchno: str
    version: int = 0
    is_open: bool = True
    content: Content = field(default_factory=dict)
    standing: Mapping[str, Any] = field(default_factory=dict)


class Case(Struct, frozen=True):
    """One attempt to settle a bill (purpose ``settle``) or to take a settlement back (purpose ``void``).

    key: settle_key or void_key.  request_hash: of the business content, never of credentials.  wanted: the HIS still wants it.
    amounts in fen of what was settled (None until then).  told (*sealed*): the Outcome told last.  data (*sealed*): whatever else
    the decision needs: the quoted amounts, what phase one of a two-phase trade prepared, the evidence, the HIS's booking (``acked``).
    target_case_id: what a void takes back.  due_at: RFC 3339, when the resolver looks again.
    """

    case_id: str
    org: str
    purpose: str
    key: str
    visit_key: str
    encounter_id: str
    bill_id: str
    kind: str
    dialect: str
    state: State
    request_hash: str
    version: int = 0
    epoch: int = 0
    owner: str = ""
    wanted: bool = True
    target_case_id: str = ""
    setl_id: str = ""
    insuplc_admdvs: str = ""
    total_fen: int | None = None
    fund_fen: int | None = None
    account_fen: int | None = None
    cash_fen: int | None = None
    opened_at: str = ""
    changed_at: str = ""
    due_at: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds_visit(self) -> bool:
        """Held: no second case for this visit may exist.  A void holds nothing; its settlement still does."""
        return self.purpose == "settle" and self.state not in RELEASED

    @property
    def is_booked(self) -> bool:
        """Whether the HIS said that it booked what it was told (J8)."""
        return "acked" in self.data


def case_event(kind: str, case: Case, at: str, data: dict[str, object] | None = None) -> Event:
    """A line of the journal about a case, with its state and key.  at: RFC 3339 UTC."""
    facts = {"state": str(case.state), "key": case.key, **(data or {})}
    return Event(kind, at, case.case_id, case.encounter_id, facts)


class CallRecord(Struct, frozen=True):
    """One remote call.  ``msgid`` is unique per institution for ever.  result: "" while nothing is known.

    body_hash: SHA-256 hex of the bytes sent.  not_after: RFC 3339, no byte leaves later.  burnt: a reversal names it.
    """

    call_id: str
    org: str
    msgid: str
    step: str
    message: str
    kind_class: str
    case_id: str = ""
    encounter_id: str = ""
    bill_id: str = ""
    body_hash: str = ""
    not_after: str = ""
    result: Result | str = ""
    replied: bool = False
    burnt: bool = False
    version: int = 0


class Alias(Struct, frozen=True):
    """Any reference value ever seen or minted: ``(org, dialect, kind, value)`` → encounter, bill, case.

    ``value`` may be a person's number, so it is stored as a keyed hash (blind index); it is never read back.
    """

    org: str
    dialect: str
    kind: str
    value: str
    encounter_id: str = ""
    bill_id: str = ""
    case_id: str = ""
    note: str = ""


class Entry(Struct, frozen=True):
    """What one settlement, or one refund, put into the books: a line of the accounts, without any person's number.

    entry: ``settle`` | ``void``; stands: False once a decision took it out of the books again.
    setl_id: the row's own at the centre; original_setl_id: of a refund, what it gives back.  msgid: of the money call.
    business_day: yyyy-MM-dd, and setl_time: ``yyyy-MM-dd HH:mm:ss``, China time, the centre's where it told it, else ours.
    Amounts in fen; a refund's are negative; acct_pay_fen: ``acct_pay`` alone, which statements compare, account_fen with 共济.
    scheme: the arrangement that served it, or ``local``.  way: the gateway's configured name; "" in lines from before it was kept.
    """

    entry_id: str
    org: str
    case_id: str
    entry: str
    business_day: str
    setl_time: str
    booked_at: str
    setl_id: str
    msgid: str
    kind: str
    total_fen: int
    fund_fen: int
    account_fen: int
    acct_pay_fen: int
    cash_fen: int
    stands: bool = True
    original_setl_id: str = ""
    mdtrt_id: str = ""
    insutype: str = ""
    clr_type: str = ""
    clr_way: str = ""
    clr_optins: str = ""
    med_type: str = ""
    insuplc_admdvs: str = ""
    scheme: str = ""
    operator: str = ""
    terminal: str = ""
    version: int = 1
    way: str = ""


class AccountItem(Struct, frozen=True):
    """One thing of the accounts with a life of its own: a day's run, a difference, a flag, an application, a bank line.

    item_id: made of what it is about, so that a second finding of the same thing meets it.  topic: which of those; subject: its
    class within the topic.  day: yyyy-MM-dd or yyyy-MM.  amount_fen: what it is about, where it is an amount.
    due_at: RFC 3339 or a day, "" for none.  facts: *sealed*.
    """

    item_id: str
    org: str
    topic: str
    subject: str
    day: str
    state: str
    case_id: str = ""
    amount_fen: int | None = None
    due_at: str = ""
    opened_at: str = ""
    changed_at: str = ""
    version: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)


class Change(Struct, frozen=True):
    """One ledger transaction: everything in it becomes durable together or not at all.

    A record with version 1 is inserted, one with a higher version replaces exactly the version before it.
    search: (kind, value, case_id) triples for the blind indexes: psn_no, certno, certno_tail, psn_name, tel, invono.
    """

    org: str
    events: tuple[Event, ...] = ()
    encounter: Encounter | None = None
    bills: tuple[Bill, ...] = ()
    cases: tuple[Case, ...] = ()
    calls: tuple[CallRecord, ...] = ()
    aliases: tuple[Alias, ...] = ()
    search: tuple[tuple[str, str, str], ...] = ()
    entries: tuple[Entry, ...] = ()
    items: tuple[AccountItem, ...] = ()


Record = Encounter | Bill | Case | CallRecord | Entry | AccountItem
"""Whatever is stored version by version."""
