"""What a business day holds before the centres are asked: its gateways, the sums of each group, the money calls in doubt."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from adapter_core.accounts.books import Working
from adapter_core.accounts.centre_desk import Totals
from adapter_core.settlement.records import AccountItem
from adapter_core.settlement.unfiled import Doubted

SEEN_DAYS = 31
"""Groups that had settlements within so many days are asked for even when today has none: the centre may have some."""

OLD_WAYS = "CREATE TEMP TABLE old_ways (entry_id TEXT PRIMARY KEY, way TEXT)"
"""The gateways of entries from before each said its own."""
UNNAMED = "SELECT entry_id, case_id FROM {ledger}entries WHERE org = ? AND business_day = ? AND stands AND way = ''"
WENT_BY = "COALESCE(NULLIF(entries.way, ''), (SELECT way FROM old_ways WHERE old_ways.entry_id = entries.entry_id), '')"
GROUPS = (
    "SELECT went_by, insutype, clr_type, clr_optins, refunded, COUNT(*), SUM(total_fen), SUM(fund_fen), SUM(acct_pay_fen) FROM ("
    f"SELECT {WENT_BY} AS went_by, insutype, clr_type, clr_optins, CASE WHEN entry = 'void' THEN 1 ELSE 0 END AS refunded, "
    "total_fen, fund_fen, acct_pay_fen FROM {ledger}entries AS entries WHERE org = ? AND stands AND business_day = ?) AS today "
    "GROUP BY went_by, insutype, clr_type, clr_optins, refunded "
    "ORDER BY went_by, insutype, clr_type, clr_optins, refunded"
)
EARLIER = (
    "SELECT DISTINCT way, insutype, clr_type, clr_optins, CASE WHEN entry = 'void' THEN 1 ELSE 0 END FROM {ledger}entries "
    "WHERE org = ? AND stands AND business_day BETWEEN ? AND ? ORDER BY 1, 2, 3, 4, 5"
)
DOUBTS = (
    "SELECT case_id FROM {ledger}cases AS cases WHERE org = ? AND state IN "
    "('SENDING', 'CONFIRMING', 'RESOLVING', 'REVERSING', 'FROZEN') AND purpose IN ('settle', 'void') ORDER BY case_id"
)


def groups_of(working: Working, org: str, day: str, home: str) -> list[tuple[str, Totals]]:
    """The day's standing entries by gateway and group, as finely as any gateway is asked."""
    rows = working.rows(GROUPS.format(ledger=working.ledger), org, day)
    return [
        (
            way,
            Totals(insutype, clr_type, optins or home, bool(refunded), int(count), int(total), int(fund), int(account)),
        )
        for way, insutype, clr_type, optins, refunded, count, total, fund, account in rows
    ]


def days_before(day: str) -> list[str]:
    """The days whose groups are asked for again."""
    last = date.fromisoformat(day)
    return [(last - timedelta(days=number)).isoformat() for number in range(1, SEEN_DAYS + 1)]


def earlier_groups(working: Working, org: str, day: str, home: str) -> list[tuple[str, Totals]]:
    """The groups of the days before, empty: for an institution that was never reconciled."""
    last, *_, first = days_before(day)
    rows = working.rows(EARLIER.format(ledger=working.ledger), org, first, last)
    return [
        (way, empty(insutype, clr_type, optins or home, bool(back))) for way, insutype, clr_type, optins, back in rows
    ]


def groups_in(runs: Iterable[AccountItem]) -> list[tuple[str, Totals]]:
    """The groups that earlier runs found settlements in, empty."""
    kinds = {"结算": False, "退费": True}
    return [
        (str(row.get("way", "")), empty(row["insutype"], row["clr_type"], row["setl_optins"], kinds.get(row["kind"])))
        for run in runs
        for row in run.facts.get("groups", [])
        if row["count"] != "0"
    ]


def empty(insutype: str, clr_type: str, optins: str, refunded: bool | None) -> Totals:
    return Totals(insutype, clr_type, optins, refunded, 0, 0, 0, 0)


def group_of(doubt: Doubted, home: str) -> Totals:
    """The group a doubted call would stand in."""
    return empty(doubt.insutype, doubt.clr_type, doubt.optins or home, doubt.refunded)


def key_of(group: Totals, grouping: Iterable[str]) -> tuple[str, str, str, bool | None]:
    """What tells a group from the others where this gateway is asked by these columns."""
    wanted = frozenset(grouping)
    return (
        group.insutype if "insutype" in wanted else "",
        group.clr_type if "clr_type" in wanted else "",
        group.optins,
        group.refunded if "refd_setl_flag" in wanted else None,
    )


def grouped(found: Iterable[Totals], grouping: Iterable[str]) -> list[Totals]:
    """The groups as this gateway is asked: what the grouping leaves out is summed up."""
    grouping = tuple(grouping)
    sums: dict[tuple[str, str, str, bool | None], list[int]] = {}
    for one in found:
        row = sums.setdefault(key_of(one, grouping), [0, 0, 0, 0])
        for place, value in enumerate((one.count, one.total_fen, one.fund_fen, one.account_fen)):
            row[place] += value
    return [Totals(*key, *row) for key, row in sums.items()]


def columns(row: Any) -> dict[str, int]:
    """The sums of groups, by name."""
    named = list(row)
    return {
        "count": sum(one.count for one in named),
        "total": sum(one.total_fen for one in named),
        "fund": sum(one.fund_fen for one in named),
        "account": sum(one.account_fen for one in named),
    }
