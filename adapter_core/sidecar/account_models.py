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
    """As the order needs: ``date`` or ``month``, ``rows`` of a table with its heading, ``item_id``, ``operator``, ``reason`` …"""

    date: str | None = None
    month: str | None = None
    rows: list[list[str]] = field(default_factory=list)
    item_id: str | None = None
    operator: str | None = None
    reason: str | None = None
    clr_type: str | None = None
    fixmedins_code: str | None = None
