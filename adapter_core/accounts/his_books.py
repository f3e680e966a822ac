"""The third side: what the hospital's own cashiers booked, from CSV, Excel or the API, against the ledger and the last run.

With the centre's side known from the day's run, each 单边账 is named by which of the three sides lacks it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter_core.accounts.acting import ItemLedger
from adapter_core.accounts.books import Books
from adapter_core.accounts.differences import CLASSES, OPEN, STANDING, made_id
from adapter_core.accounts.receivables import columns_of
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.records import AccountItem
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.money import MoneyError, fen, from_fen, yuan

TOPIC = "his"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "key": ("业务号", "key"),
    "setl_id": ("结算编号", "setl_id"),
    "kind": ("类型", "kind"),
    "total": ("总额", "total"),
    "fund": ("基金", "fund"),
    "account": ("个人账户", "account"),
    "cash": ("现金", "cash"),
}
REFUND_WORDS = frozenset({"退费", "void", "refund", "1"})
TITLES = {
    "his_missing": "账本有、HIS 未入账",
    "his_only": "HIS 有、账本无",
    "his_amount": "HIS 与账本金额不符",
    "his_unsettled": "HIS 已入账、账本为未结算或未知",
    "his_twice": "HIS 重复入账",
}

TABLE = (
    "CREATE TEMP TABLE his (line BIGINT, number TEXT, setl_id TEXT, refunded INTEGER, total BIGINT, fund BIGINT, account BIGINT, "
    "cash BIGINT)"
)
COMPARED = (
    "SELECT code, number, setl_id, case_id, ours, theirs FROM ("
    "SELECT CASE WHEN cases.case_id IS NULL THEN 'his_only' WHEN entries.entry_id IS NULL THEN 'his_unsettled' "
    "WHEN his.line > (SELECT MIN(line) FROM his AS first WHERE first.number = his.number AND first.setl_id = his.setl_id "
    "AND first.refunded = his.refunded) THEN 'his_twice' "
    "WHEN his.total <> ABS(entries.total_fen) OR his.fund <> ABS(entries.fund_fen) OR his.account <> ABS(entries.account_fen) "
    "OR his.cash <> ABS(entries.cash_fen) THEN 'his_amount' ELSE '' END AS code, his.number, his.setl_id, "
    "COALESCE(cases.case_id, '') AS case_id, ABS(entries.total_fen) AS ours, his.total AS theirs, his.line FROM his "
    "LEFT JOIN {ledger}entries AS named ON his.setl_id <> '' AND named.org = ? AND named.setl_id = his.setl_id AND named.stands "
    "LEFT JOIN {ledger}cases AS cases ON cases.org = ? AND (cases.case_id = named.case_id OR "
    "(named.case_id IS NULL AND cases.key = his.number AND cases.purpose = CASE WHEN his.refunded = 1 THEN 'void' ELSE 'settle' END)) "
    "LEFT JOIN {ledger}entries AS entries ON entries.case_id = cases.case_id AND entries.stands) AS compared "
    "WHERE code <> '' ORDER BY line"
)
MISSING = (
    "SELECT 'his_missing', cases.key, entries.setl_id, entries.case_id, ABS(entries.total_fen), NULL "
    "FROM {ledger}entries AS entries JOIN {ledger}cases AS cases ON cases.case_id = entries.case_id "
    "WHERE entries.org = ? AND entries.business_day = ? AND entries.stands AND NOT EXISTS (SELECT 1 FROM his "
    "WHERE (his.setl_id = entries.setl_id AND his.setl_id <> '') OR "
    "(his.number = cases.key AND his.refunded = CASE WHEN entries.entry = 'void' THEN 1 ELSE 0 END)) ORDER BY entries.ordinal"
)
INDEXES = ("CREATE INDEX his_number ON his (number)", "CREATE INDEX his_setl_id ON his (setl_id)")


@dataclass(frozen=True, slots=True)
class Booking:
    """One line of the HIS's books.  Fen, by their size."""

    number: str
    setl_id: str
    refunded: bool
    total: int
    fund: int
    account: int
    cash: int


def read_bookings(rows: Sequence[Sequence[str]]) -> list[Booking]:
    """From a table with a heading (Chinese or English).  Raises: TranslationError with every fault, each with its row."""
    faults: list[Fault] = []
    found = []
    for number, row in columns_of(rows, COLUMNS, ("total", "fund", "account", "cash")):
        if not row["key"] and not row["setl_id"]:
            faults.append(Fault(f"row {number}", "业务号或结算编号", "都为空"))
            continue
        try:
            sizes = [abs(fen(yuan(row[name] or "0"))) for name in ("total", "fund", "account", "cash")]
        except MoneyError as error:
            faults.append(Fault(f"row {number}", "两位小数的金额", str(error)[:60]))
            continue
        refunded = row["kind"].lower() in REFUND_WORDS or row["total"].startswith("-")
        found.append(Booking(row["key"], row["setl_id"], refunded, *sizes))
    if faults:
        raise TranslationError(faults, message_zh="HIS 入账明细有误，未导入")
    return found


class HisBooks:
    def __init__(self, books: Books, ledger: ItemLedger, notes: FromFiles, org: str) -> None:
        self._books = books
        self._ledger = ledger
        self._notes = notes
        self._org = org

    async def compare(self, day: str, bookings: Iterable[Booking]) -> list[AccountItem]:
        """The day's differences between the HIS and the ledger, one item each; those that went are closed."""
        rows = await asyncio.to_thread(self._rows, day, bookings)
        of_centre = {
            item.case_id: item.subject
            for item in await self._ledger.account_items(self._org, "difference", STANDING, day)
            if item.case_id
        }
        items = []
        for code, number, setl_id, case_id, ours, theirs in rows:
            item_id = made_id(self._org, TOPIC, day, code, number, setl_id)
            centre = of_centre.get(case_id, "")
            facts = {"key": number, "setl_id": setl_id, "centre": centre}
            facts["text"] = (
                f"业务号 {number or '—'}，账本 {_yuan(ours)}，HIS {_yuan(theirs)}，中心：{_of_centre(centre, case_id)}"
            )
            items.append(await self._kept(item_id, day, code, case_id, ours if ours is not None else theirs, facts))
        known = {item.item_id for item in items}
        for gone in await self._ledger.account_items(self._org, TOPIC, STANDING, day):
            if gone.item_id not in known:
                closed = replace(gone, state="closed", version=gone.version + 1, changed_at=self._notes.stamp())
                await self._notes.noted(closed)
        return items

    def _rows(self, day: str, bookings: Iterable[Booking]) -> list[Sequence[Any]]:
        columns = ("line", "number", "setl_id", "refunded", "total", "fund", "account", "cash")
        with self._books.working() as working:
            working.run(TABLE)
            lines = (
                (line, one.number, one.setl_id, int(one.refunded), one.total, one.fund, one.account, one.cash)
                for line, one in enumerate(bookings, 1)
            )
            working.load("his", columns, lines)
            for index in INDEXES:
                working.run(index)
            found = list(working.rows(COMPARED.format(ledger=working.ledger), self._org, self._org))
            found += list(working.rows(MISSING.format(ledger=working.ledger), self._org, day))
        return found

    async def _kept(
        self, item_id: str, day: str, code: str, case_id: str, amount: int | None, facts: Mapping[str, Any]
    ) -> AccountItem:
        known = await self._ledger.account_item(item_id)
        if known is not None and known.state != "closed":
            return known
        now = self._notes.stamp()
        item = AccountItem(
            item_id, self._org, TOPIC, code, day, OPEN, case_id, amount, opened_at=now, changed_at=now,
            version=known.version + 1 if known else 1, facts=facts,
        )  # fmt: skip
        await self._notes.noted(item)
        return item


def _yuan(amount: int | None) -> str:
    return "无" if amount is None else f"{from_fen(amount):.2f}"


def _of_centre(difference: str, case_id: str) -> str:
    """What the day's run found of the case: the third side."""
    if not case_id:
        return "无对应业务"
    return CLASSES[difference].title if difference in CLASSES else "未见差异"
