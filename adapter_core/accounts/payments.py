"""Payments received: bank lines, matched to what is owed by amount and by what their text names, else by a person; and deductions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from adapter_core.accounts.acting import ItemLedger
from adapter_core.accounts.books import Books, Working
from adapter_core.accounts.differences import made_id
from adapter_core.accounts.receivables import BANK, DEDUCTION, MATCHED, UNMATCHED, WITHDRAWN, Due, columns_of
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.records import AccountItem
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, Refused, TranslationError
from adapter_core.values.money import MoneyError, fen, from_fen, yuan

BOOKED = "booked"
"""State of a deduction that counts."""
DUES = "CREATE TEMP TABLE dues (month TEXT, region TEXT, scheme TEXT, clr_type TEXT, owed BIGINT)"
CAME = "CREATE TEMP TABLE came (line_id TEXT, month TEXT, region TEXT, amount BIGINT)"
CANDIDATES = (
    "SELECT came.line_id, groups.month, groups.region FROM came JOIN ("
    "SELECT month, region, SUM(owed) AS owed FROM dues GROUP BY month, region "
    "UNION ALL SELECT month, '', SUM(owed) FROM dues GROUP BY month HAVING COUNT(DISTINCT region) > 1) AS groups ON groups.owed = came.amount "
    "AND (came.month = '' OR came.month = groups.month) AND (came.region = '' OR came.region = groups.region) "
    "ORDER BY came.line_id, groups.month, groups.region"
)


Place = tuple[str, str]
"""Month and region; "" for every region of the month."""


@dataclass(frozen=True, slots=True)
class BankLine:
    """One received payment.  reference: the bank's own number; note: what its text says.  Fen."""

    day: str
    amount: int
    payer: str
    reference: str
    note: str

    def item_id(self, org: str) -> str:
        return made_id(org, BANK, self.day, str(self.amount), self.reference, self.payer)


BANK_COLUMNS: Mapping[str, tuple[str, ...]] = {"day": ("日期", "date"), "amount": ("金额", "amount"), "payer": ("付款方", "payer"), "reference": ("流水号", "reference"), "note": ("摘要", "note")}  # fmt: skip


def read_bank_lines(rows: Sequence[Sequence[str]]) -> list[BankLine]:
    """Bank lines from a table with a heading (Chinese or English).  Raises: TranslationError with every fault."""
    cells = columns_of(rows, BANK_COLUMNS, ("day", "amount", "reference"))
    faults: list[Fault] = []
    found = []
    for number, row in cells:
        try:
            day = date.fromisoformat(row["day"][:10]).isoformat()
            found.append(BankLine(day, fen(yuan(row["amount"])), row["payer"], row["reference"], row["note"]))
        except (ValueError, MoneyError):
            faults.append(Fault(f"row {number}", "日期 yyyy-MM-dd 和两位小数的金额", "其他"))
    if faults:
        raise TranslationError(faults, message_zh="银行到账明细有误，未导入")
    return found


Lines = Sequence[tuple[str, BankLine]]
"""With their ids."""


class Payments:
    """One institution's.  dues: what is owed now, less what came already."""

    def __init__(self, books: Books, ledger: ItemLedger, notes: FromFiles, org: str) -> None:
        self._books = books
        self._ledger = ledger
        self._notes = notes
        self._org = org

    async def items(self) -> list[AccountItem]:
        """Bank lines, then deductions, each oldest first."""
        lines = await self._ledger.account_items(self._org, BANK)
        return [*lines, *await self._ledger.account_items(self._org, DEDUCTION)]

    async def book(
        self, rows: Sequence[Sequence[str]], match: Callable[[Lines], Mapping[str, Place]]
    ) -> dict[str, int]:
        """Bank lines in, each once.  match: which of the new ones pay what.  Raises: TranslationError."""
        lines = read_bank_lines(rows)
        named = [(one.item_id(self._org), one) for one in lines]
        new = [(number, one) for number, one in dict(named).items() if await self._ledger.account_item(number) is None]
        fits = match(new)
        now = self._notes.stamp()
        for number, one in new:
            month, region = fits.get(number, ("", ""))
            facts = {"month": month, "region": region, "payer": one.payer, "reference": one.reference, "note": one.note}
            state = MATCHED if month else UNMATCHED
            await self._notes.noted(
                AccountItem(
                    number, self._org, BANK, "line", one.day, state,
                    amount_fen=one.amount, opened_at=now, changed_at=now, facts=facts,
                )
            )  # fmt: skip
        return {"lines": len(lines), "new": len(new), "matched": len(fits)}

    async def assign(self, item_id: str, month: str, region: str, operator: str, dues: Sequence[Due]) -> AccountItem:
        """A person says what a line pays.  Raises: Refused NO_SUCH_ITEM, MATCHED_ALREADY, MORE_THAN_OWED."""
        item = await self._item(item_id, (BANK,))
        if item.state == MATCHED:
            raise Refused("matched", code="MATCHED_ALREADY", message_zh="该笔到账已核销，请先撤销核销")
        left = sum(max(due.left, 0) for due in dues if due.month == month and region in ("", due.region))
        if (item.amount_fen or 0) > left:
            text = f"到账 {from_fen(item.amount_fen or 0):.2f} 元，多于该月未收的 {from_fen(left):.2f} 元，请核对月份和参保地"
            raise Refused("more than is owed", code="MORE_THAN_OWED", message_zh=text)
        return await self._moved(item, MATCHED, {"month": month, "region": region, "operator": operator})

    async def take_out(self, item_id: str, operator: str, reason: str) -> AccountItem:
        """A match undone, or a deduction taken out of the books.  Raises: Refused NO_SUCH_ITEM, NOT_BOOKED."""
        item = await self._item(item_id, (BANK, DEDUCTION))
        if item.state not in (MATCHED, BOOKED):
            raise Refused(f"state {item.state}", code="NOT_BOOKED", message_zh="该笔没有入账，无需撤销")
        said = {"operator": operator, "reason": reason}
        if item.topic == DEDUCTION:
            return await self._moved(item, WITHDRAWN, said)
        return await self._moved(item, UNMATCHED, {**said, "month": "", "region": ""})

    async def deduct(self, amount: int, facts: Mapping[str, str]) -> AccountItem:
        """A deduction, once.  facts: month, region, reason, operator.  amount: fen."""
        number = made_id(self._org, DEDUCTION, facts["month"], facts["region"], str(amount), facts["reason"])
        known = await self._ledger.account_item(number)
        if known is not None and known.state == BOOKED:
            return known
        now = self._notes.stamp()
        item = AccountItem(
            number, self._org, DEDUCTION, "deduction", facts["month"], BOOKED,
            amount_fen=amount, opened_at=known.opened_at if known else now, changed_at=now,
            version=known.version + 1 if known else 1, facts=facts,
        )  # fmt: skip
        await self._notes.noted(item)
        return item

    async def _item(self, item_id: str, topics: Sequence[str]) -> AccountItem:
        item = await self._ledger.account_item(item_id)
        if item is None or item.org != self._org or item.topic not in topics:
            raise Refused("no such item", code="NO_SUCH_ITEM", message_zh="没有这个事项，请核对编号")
        return item

    async def _moved(self, item: AccountItem, state: str, facts: Mapping[str, str]) -> AccountItem:
        moved = replace(
            item, state=state, version=item.version + 1, changed_at=self._notes.stamp(), facts={**item.facts, **facts}
        )
        await self._notes.noted(moved)
        return moved


def payment_data(item: AccountItem) -> dict[str, str]:
    """A bank line or a deduction as JSON."""
    names = ("month", "payer", "reference", "note", "reason", "operator")
    return {
        "item_id": item.item_id,
        "topic": item.topic,
        "date": item.day,
        "state": item.state,
        "amount": f"{from_fen(item.amount_fen or 0):.2f}",
        "insuplc_admdvs": str(item.facts.get("region", "")),
        **{name: str(item.facts.get(name, "")) for name in names},
    }


def matched(books: Books, dues: Sequence[Due], lines: Sequence[tuple[str, BankLine]]) -> dict[str, tuple[str, str]]:
    """Which month and region each line pays, by its amount and what its text names; only where exactly one fits.

    lines: with their ids.
    """
    with books.working() as working:
        return _matched(working, dues, lines)


def _matched(
    working: Working, dues: Sequence[Due], lines: Sequence[tuple[str, BankLine]]
) -> dict[str, tuple[str, str]]:
    working.run(DUES)
    working.run(CAME)
    left = ((due.month, due.region, due.scheme, due.clr_type, due.left) for due in dues if due.left > 0)
    working.load("dues", ("month", "region", "scheme", "clr_type", "owed"), left)
    named = ((number, *_named(line, dues), line.amount) for number, line in lines)
    working.load("came", ("line_id", "month", "region", "amount"), named)
    found: dict[str, list[tuple[str, str]]] = {}
    for number, month, place in working.rows(CANDIDATES):
        found.setdefault(number, []).append((month, place))
    return {number: places[0] for number, places in found.items() if len(set(places)) == 1}


def _named(line: BankLine, dues: Sequence[Due]) -> tuple[str, str]:
    """The month and the region that a line's text names; "" for neither."""
    text = f"{line.note} {line.payer}"
    months = {due.month for due in dues if due.month in text or due.month.replace("-", "") in text}
    regions = {due.region for due in dues if due.region and due.region in text}
    return (months.pop() if len(months) == 1 else "", regions.pop() if len(regions) == 1 else "")
