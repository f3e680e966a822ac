"""Clearing applications that the HIS sends itself (3203, 3204): noted as the accounts' own are, so that none goes out twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapter_core.accounts.acting import ItemLedger
from adapter_core.accounts.clearing import APPLICATION, APPLIED, REFUSED, SENDING, UNKNOWN, WITHDRAWN
from adapter_core.accounts.differences import made_id
from adapter_core.province.messages import Outcome
from adapter_core.settlement.absorb import content_hash
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.records import AccountItem
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, Refused, TranslationError
from adapter_core.values.money import MoneyError, fen, yuan

NUMBER = "clr_appy_evt_id"
ASKED = "asked"
MONTH = re.compile(r"(\d{4})-?(0[1-9]|1[0-2])")
"""``setlym``: as six digits, or with a dash between them."""


class HisApplications:
    """Of one institution."""

    def __init__(self, ledger: ItemLedger, notes: FromFiles, org: str) -> None:
        self._ledger = ledger
        self._notes = notes
        self._org = org

    async def begun(self, given: Mapping[str, Any]) -> tuple[AccountItem, bool]:
        """The application's item, stored before a byte of it leaves; and whether the same was taken before, so nothing is to be sent.

        Raises: Refused APPLIED_ALREADY; TranslationError without month or type; Conflict where another sent it in this moment.
        """
        record = given.get("data")
        data: Mapping[str, Any] = record if isinstance(record, Mapping) else {}
        month, clr_type = MONTH.fullmatch(str(data.get("setlym", ""))), str(data.get("clr_type", ""))
        if month is None or not clr_type:
            raise TranslationError(
                [Fault("input.data.setlym", "六位年月，并有 clr_type", "缺少或形式不对", "清算年月")]
            )
        day = "-".join(month.groups())
        number = made_id(self._org, APPLICATION, day, clr_type)
        known, asked = await self._ledger.account_item(number), content_hash(data)
        if known is not None and known.state == APPLIED and known.facts.get(ASKED) == asked:
            return known, True
        if known is not None and known.state in (APPLIED, SENDING, UNKNOWN):
            raise Refused(f"state {known.state}", code="APPLIED_ALREADY", message_zh=_standing(known))
        now = self._notes.stamp()
        item = AccountItem(
            number, self._org, APPLICATION, clr_type, day, SENDING, amount_fen=_fund_fen(data), opened_at=now, changed_at=now,
            version=known.version + 1 if known else 1, facts={ASKED: asked, "by": "his"},
        )  # fmt: skip
        await self._notes.noted(item)
        return item, False

    async def answered(self, item: AccountItem, outcome: Outcome) -> None:
        """What became of it."""
        told = ((outcome.content.get("reply") or {}).get("output") or {}).get("result") or {}
        state = {"DONE": APPLIED, "REJECTED": REFUSED, "NOT_SENT": REFUSED}.get(outcome.state, UNKNOWN)
        await self._moved(item, state, {NUMBER: str(told.get(NUMBER) or ""), "text": outcome.message_zh})

    async def not_sent(self, item: AccountItem, text: str) -> None:
        """Refused by us after it was noted."""
        await self._moved(item, REFUSED, {"text": text})

    async def withdrawn(self, number: str) -> None:
        """3204 was taken: the month may be applied for again.  One that was applied for elsewhere has no item."""
        for item in await self._ledger.account_items(self._org, APPLICATION, (APPLIED,)):
            if number and item.facts.get(NUMBER) == number:
                await self._moved(item, WITHDRAWN, {})

    async def _moved(self, item: AccountItem, state: str, facts: Mapping[str, Any]) -> None:
        moved = replace(
            item,
            state=state,
            version=item.version + 1,
            changed_at=self._notes.stamp(),
            facts={**item.facts, **facts},
        )
        await self._notes.noted(moved)


def _standing(item: AccountItem) -> str:
    if item.state == APPLIED:
        return f"{item.day} 该清算类别已申报（清算申请事件编号 {item.facts.get(NUMBER) or '未返回'}），未重复发送；如需重报，请先撤销（3204）"
    return f"{item.day} 该清算类别的申报结果未知，未重复发送，请向经办机构核实"


def _fund_fen(data: Mapping[str, Any]) -> int | None:
    try:
        return fen(yuan(str(data.get("fund_appy_sum"))))
    except MoneyError:
        return None
