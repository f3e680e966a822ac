"""What crosses the paths of reconciliation and the accounts, as types."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class ReconciliationOrder(Struct):
    """detail: fetch the centre's file even where the sums agree."""

    date: Day
    detail: bool = False
    fixmedins_code: str | None = None


class AccountItemRow(Struct):
    """One difference, flag or alarm; amounts in yuan, "" where there is none."""

    item_id: str
    topic: str
    title_zh: str
    advice_zh: str
    date: str
    state: str
    work_order: str
    amount: str
    setl_id: str
    ours_total: str
    centre_total: str
    text: str
    opened_at: str
    changed_at: str


class Reconciliation(Struct):
    """state: balanced, differs, refused (the centre's file was none) or failed (no answer)."""

    date: str
    state: str
    state_zh: str
    sums: dict[str, str]
    groups: list[dict[str, Any]]
    rows_here: str
    rows_there: str
    found: dict[str, str]
    closed: str
    text: str
    differences: list[AccountItemRow]
    at: str = ""


class AccountsOrder(Struct):
    """As the order needs: ``date`` or ``month``, ``rows`` of a table with its heading, ``item_id``, ``operator``, ``reason`` …

    opter: of dayend, one operator's part; key: of wrong_person, settle_key or case; anyway: of apply, why while differences stand.
    """

    date: str | None = None
    month: str | None = None
    since: str | None = field(default=None, name="from")
    to: str | None = None
    rows: list[list[str]] = field(default_factory=list)
    item_id: str | None = None
    key: str | None = None
    operator: str | None = None
    reason: str | None = None
    opter: str | None = None
    amount: str | None = None
    insuplc_admdvs: str | None = None
    clr_type: str | None = None
    anyway: str | None = None
    confirm: bool = False
    all: bool = False
    fixmedins_code: str | None = None
