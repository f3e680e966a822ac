"""Clearing: monthly applications (3203, 3204) and the cross-province lists (3260) with their confirmation (3261).

An application is a create: it goes out once; an answer that never came is never sent again blindly.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from adapter_core.accounts.acting import ItemLedger
from adapter_core.accounts.books import Books, Working
from adapter_core.accounts.centre_desk import CentreDesk, NoAnswer
from adapter_core.accounts.differences import FROZEN, OPEN, TOPIC, WAITING, made_id
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import AccountItem
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused
from adapter_core.values.money import MoneyError, fen, from_fen, yuan

APPLICATION, LISTED = "application", "list"
SENDING, APPLIED, REFUSED, UNKNOWN, WITHDRAWN = "sending", "applied", "refused", "unknown", "withdrawn"
ROWS_AT_ONCE = 100
PAGES_MAX = 10_000
CONFIRMED, RETURNED = "1", "0"
"""``cnfm_flag``: no public dictionary shows its values, so these are plain defaults."""

SUMS = (
    "SELECT COALESCE(SUM(CASE WHEN entry = 'void' THEN -1 ELSE 1 END), 0), COALESCE(SUM(total_fen), 0), "
    "COALESCE(SUM(fund_fen), 0), COALESCE(SUM(cash_fen), 0), COALESCE(SUM(acct_pay_fen), 0), COALESCE(MAX(clr_way), '') "
    "FROM {ledger}entries WHERE org = ? AND stands AND clr_type = ? AND business_day BETWEEN ? AND ?"
)
CLEARED = (
    "CREATE TEMP TABLE cleared (setl_sn TEXT, mdtrt_id TEXT, total BIGINT, paid BIGINT, place BIGINT, agrees INTEGER)"
)
AGREE = (
    "UPDATE cleared SET agrees = 1 WHERE EXISTS (SELECT 1 FROM {ledger}entries AS entries WHERE entries.org = ? "
    "AND entries.setl_id = cleared.setl_sn AND entries.entry = 'settle' AND entries.stands "
    "AND entries.total_fen = cleared.total AND entries.fund_fen + entries.acct_pay_fen = cleared.paid)"
)
CLASSED = (
    "SELECT CASE WHEN agrees = 1 THEN 'agrees' WHEN EXISTS (SELECT 1 FROM {ledger}entries AS entries WHERE entries.org = ? "
    "AND entries.setl_id = cleared.setl_sn) THEN 'amount_differs' ELSE 'list_only' END, setl_sn, place FROM cleared ORDER BY place"
)
NOT_LISTED = (
    "SELECT setl_id FROM {ledger}entries AS entries WHERE org = ? AND stands AND entry = 'settle' AND business_day BETWEEN ? AND ? "
    "AND SUBSTR(insuplc_admdvs, 1, 4) <> ? AND insuplc_admdvs <> '' "
    "AND NOT EXISTS (SELECT 1 FROM {ledger}entries AS back WHERE back.org = entries.org AND back.stands "
    "AND back.original_setl_id = entries.setl_id) "
    "AND NOT EXISTS (SELECT 1 FROM cleared WHERE cleared.setl_sn = entries.setl_id) ORDER BY setl_id"
)


@dataclass(frozen=True, slots=True)
class MonthlyList:
    """The centre's list of a month against ours.  found: counts by ``agrees`` ``amount_differs`` ``list_only`` ``not_listed``."""

    month: str
    rows: int
    found: Mapping[str, int]
    not_listed: tuple[str, ...]
    returned: tuple[str, ...]
    confirmed: bool

    def data(self) -> dict[str, Any]:
        return {
            "month": self.month,
            "rows": self.rows,
            **dict(self.found),
            "not_listed_ids": list(self.not_listed[:100]),
            "returned_ids": list(self.returned[:100]),
            "confirmed": self.confirmed,
        }


class Clearing:
    def __init__(self, books: Books, ledger: ItemLedger, notes: FromFiles, desk: CentreDesk, place: Place) -> None:
        self._books = books
        self._ledger = ledger
        self._notes = notes
        self._desk = desk
        self._place = place

    async def apply(self, month: str, clr_type: str, anyway: str = "") -> AccountItem:
        """3203 for a month.  anyway: the reason to apply while differences of the month stand.

        Raises: Refused APPLIED_ALREADY, DIFFERENCES_STAND.
        """
        number = made_id(self._place.org, APPLICATION, month, clr_type)
        known = await self._ledger.account_item(number)
        if known is not None and known.state in (APPLIED, SENDING, UNKNOWN):
            text = "该月已申报" if known.state == APPLIED else "该月申报结果未知，请向经办机构核实，不能重复申报"
            raise Refused(f"state {known.state}", code="APPLIED_ALREADY", message_zh=text)
        await self._refuse_unbalanced(month, anyway)
        begin, end = month_days(month)
        data, sums = await asyncio.to_thread(self._asked, month, clr_type, begin, end)
        now = self._notes.stamp()
        item = AccountItem(
            number, self._place.org, APPLICATION, clr_type, month, SENDING,
            amount_fen=sums["fund"], opened_at=now, changed_at=now,
            version=known.version + 1 if known else 1, facts={"anyway": anyway},
        )  # fmt: skip
        await self._notes.noted(item)  # before it leaves: after a crash nobody may send it again without asking
        outcome = await self._desk.outcome("3203", {"data": data})
        told = (outcome.content.get("reply", {}).get("output") or {}).get("result") or {}
        state = {"DONE": APPLIED, "REJECTED": REFUSED, "NOT_SENT": REFUSED}.get(outcome.state, UNKNOWN)
        facts = {**item.facts, "clr_appy_evt_id": str(told.get("clr_appy_evt_id") or ""), "text": outcome.message_zh}
        return await self._moved(item, state, facts)

    async def withdraw(self, month: str, clr_type: str) -> AccountItem:
        """3204.  Raises: Refused NOT_APPLIED."""
        item = await self._ledger.account_item(made_id(self._place.org, APPLICATION, month, clr_type))
        if item is None or item.state != APPLIED:
            raise Refused("nothing was applied for", code="NOT_APPLIED", message_zh="没有可撤销的清算申报")
        outcome = await self._desk.outcome("3204", {"data": {"clr_appy_evt_id": item.facts["clr_appy_evt_id"]}})
        facts = {**item.facts, "text": outcome.message_zh}
        return await self._moved(item, WITHDRAWN if outcome.state == "DONE" else item.state, facts)

    async def _moved(self, item: AccountItem, state: str, facts: Mapping[str, Any]) -> AccountItem:
        moved = replace(item, state=state, version=item.version + 1, changed_at=self._notes.stamp(), facts=facts)
        await self._notes.noted(moved)
        return moved

    async def _refuse_unbalanced(self, month: str, anyway: str) -> None:
        standing = await self._ledger.account_items(self._place.org, TOPIC, (OPEN, WAITING, FROZEN))
        days = sorted({item.day for item in standing if item.day.startswith(month)})
        if days and not anyway:
            text = f"{month} 还有未处理的对账差异（{'、'.join(days[:5])}），请先处理，或写明理由后申报"
            raise Refused("differences stand", code="DIFFERENCES_STAND", message_zh=text)

    def _asked(self, month: str, clr_type: str, begin: str, end: str) -> tuple[dict[str, Any], dict[str, int]]:
        with self._books.working() as working:
            parameters = (self._place.org, clr_type, begin, end)
            [(count, total, fund, cash, account, clr_way)] = list(
                working.rows(SUMS.format(ledger=working.ledger), *parameters)
            )
        data = {
            "clr_type": clr_type,
            **({"clr_way": clr_way} if clr_way else {}),
            "setlym": month.replace("-", ""),
            "psntime": int(count),
            "medfee_sumamt": from_fen(int(total)),
            # 医保认可费用总额: the ledger keeps no sum inside the catalogue, so the whole is declared
            "med_sumfee": from_fen(int(total)),
            "fund_appy_sum": from_fen(int(fund)),
            "cash_payamt": from_fen(int(cash)),
            "acct_pay": from_fen(int(account)),
            "begndate": begin,
            "enddate": end,
        }
        return data, {"fund": int(fund)}

    async def monthly_list(self, month: str, confirm: bool = False) -> MonthlyList:
        """3260 page by page against the ledger; with ``confirm`` 3261 confirms what agrees and returns the rest.

        Raises: NoAnswer.
        """
        rows = await self._fetched(month)
        begin, end = month_days(month)
        found, returned, missing = await asyncio.to_thread(self._compared, rows, begin, end)
        sent = False
        if confirm and rows:
            await self._confirm(month, rows, set(returned))
            sent = True
        listed = MonthlyList(month, len(rows), found, tuple(missing), tuple(returned), sent)
        await self._keep(listed)
        return listed

    async def _fetched(self, month: str) -> list[Mapping[str, Any]]:
        """Raises: NoAnswer, also for a list that never ends or repeats itself."""
        year, number = month.split("-")
        rows: list[Mapping[str, Any]] = []
        seen: set[str] = set()
        for _ in range(PAGES_MAX):
            asked = {"data": {"trt_year": year, "trt_month": number, "startrow": len(rows) + 1}}
            page = (await self._desk.call("3260", asked)).get("data") or []
            page = [page] if isinstance(page, Mapping) else list(page)
            numbers = {str(row.get("setl_sn", "")) for row in page}
            if seen & numbers:
                break
            seen |= numbers
            rows += page
            if len(page) < ROWS_AT_ONCE:
                break
        return rows

    def _compared(
        self, rows: list[Mapping[str, Any]], begin: str, end: str
    ) -> tuple[Counter[str], list[str], list[str]]:
        with self._books.working() as working:
            return self._compared_in(working, rows, begin, end)

    def _compared_in(
        self, working: Working, rows: list[Mapping[str, Any]], begin: str, end: str
    ) -> tuple[Counter[str], list[str], list[str]]:
        working.run(CLEARED)
        columns = ("setl_sn", "mdtrt_id", "total", "paid", "place", "agrees")
        working.load("cleared", columns, (_cells(row, place) for place, row in enumerate(rows)))
        org, ledger = self._place.org, working.ledger
        working.run(AGREE.format(ledger=ledger), org)
        classed = [(code, setl_sn) for code, setl_sn, _ in working.rows(CLASSED.format(ledger=ledger), org)]
        care = self._place.site.admdvs[:4]
        missing = [row[0] for row in working.rows(NOT_LISTED.format(ledger=ledger), org, begin, end, care)]
        found = Counter(code for code, _ in classed)
        found["not_listed"] = len(missing)
        return found, [setl_sn for code, setl_sn in classed if code != "agrees"], missing

    async def _confirm(self, month: str, rows: list[Mapping[str, Any]], returned: set[str]) -> None:
        year, number = month.split("-")
        names = ("certno", "mdtrt_id", "mdtrt_setl_time", "setl_sn", "medfee_sumamt", "optins_pay_sumamt")
        detail = [
            {
                **{name: row.get(name) for name in names},
                "cnfm_flag": RETURNED if str(row["setl_sn"]) in returned else CONFIRMED,
            }
            for row in rows
        ]
        data = {"trt_year": year, "trt_month": number, "totalrow": str(len(rows))}
        outcome = await self._desk.outcome("3261", {"data": data, "detail": detail})
        if outcome.state != "DONE":
            raise NoAnswer("3261", outcome)

    async def _keep(self, listed: MonthlyList) -> None:
        number = made_id(self._place.org, LISTED, listed.month)
        known = await self._ledger.account_item(number)
        now = self._notes.stamp()
        facts = {name: str(value) for name, value in listed.data().items() if not isinstance(value, list)}
        await self._notes.noted(
            AccountItem(
                number, self._place.org, LISTED, "3260", listed.month, "confirmed" if listed.confirmed else "compared",
                opened_at=known.opened_at if known else now, changed_at=now,
                version=known.version + 1 if known else 1, facts=facts,
            )
        )  # fmt: skip


def _cells(row: Mapping[str, Any], place: int) -> tuple[str, str, int, int, int, int]:
    try:
        total, paid = fen(yuan(str(row.get("medfee_sumamt")))), fen(yuan(str(row.get("optins_pay_sumamt"))))
    except MoneyError:
        total = paid = -1  # agrees with nothing, so it is returned
    return (str(row.get("setl_sn", "")), str(row.get("mdtrt_id", "")), total, paid, place, 0)


def month_days(month: str) -> tuple[str, str]:
    """The first and the last day of ``yyyy-MM``."""
    first = date.fromisoformat(f"{month}-01")
    last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    return first.isoformat(), last.isoformat()
