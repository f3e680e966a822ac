"""What is done about each difference, once, in the transaction that records it; found again, it adds nothing (I23)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Protocol

from adapter_core.accounts.centre_desk import CentreDesk
from adapter_core.accounts.differences import (
    CLASSES,
    FROZEN,
    OPEN,
    TOPIC,
    WAITING,
    Act,
    Difference,
)
from adapter_core.accounts.lines import Lines
from adapter_core.settlement.from_files import FiledRow, FromFiles
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Conflict
from adapter_core.settlement.records import AccountItem, Case
from adapter_core.settlement.states import State
from adapter_core.values.copies import replace
from adapter_core.values.money import from_fen

TRIES = 5


class ItemLedger(Protocol):
    """What the accounts read of the ledger beside the books."""

    async def case(self, case_id: str) -> Case | None: ...

    async def account_item(self, item_id: str) -> AccountItem | None: ...

    async def account_items(
        self, org: str, topic: str, states: Any = (), day: str = "", limit: int = 100_000
    ) -> list[AccountItem]: ...


class Acting:
    def __init__(self, ledger: ItemLedger, files: FromFiles, desk: CentreDesk, place: Place) -> None:
        self._ledger = ledger
        self._files = files
        self._lines = Lines(files, desk, place)
        self._place = place

    async def act(self, found: Difference) -> AccountItem:
        """The one record of this difference, after what its class asks was done.

        Whoever writes the case meanwhile goes first: it is read anew.
        """
        same = await self._of_next_day(found)
        if same is not None:
            return same
        for _ in range(TRIES):
            known = await self._ledger.account_item(found.item_id(self._place.org))
            if known is not None and not self._is_due(known, found):
                return known
            try:
                return await self._acted(found, known)
            except Conflict:
                continue
        return await self._noted(found, None)

    async def _of_next_day(self, found: Difference) -> AccountItem | None:
        """A settlement that the centre has on the day before or after is that day's difference already."""
        if found.code != "ours_only":
            return None
        day = date.fromisoformat(found.day)
        for other in (day - timedelta(days=1), day + timedelta(days=1)):
            there = replace(found, code="other_day", day=other.isoformat(), entry_id="")
            known = await self._ledger.account_item(there.item_id(self._place.org))
            if known is not None:
                return known
        return None

    def _is_due(self, known: AccountItem, found: Difference) -> bool:
        """A difference that came back, or one that waits for another try."""
        again = found.code == "found_reversing" and known.state == WAITING
        return (
            known.state == "closed" or again or (known.state == OPEN and CLASSES[found.code].act is Act.ASK_THEN_FREEZE)
        )

    async def _acted(self, found: Difference, known: AccountItem | None) -> AccountItem:
        kind = CLASSES[found.code]
        case = await self._ledger.case(found.case_id) if found.case_id else None
        match kind.act:
            case Act.EVIDENCE if case is not None:
                state = OPEN if case.state is State.FROZEN else WAITING
                item = self._item(found, known, state)
                await self._files.found(case, _row(found), item)
                return item
            case Act.FREEZE if case is not None:
                facts = await self._lines.beside(case, found) if found.code == "total_differs" else {}
                return await self._frozen(found, known, case, **facts)
            case Act.ASK_THEN_FREEZE if case is not None:
                return await self._asked(found, known, case)
        return await self._noted(found, known)

    async def _asked(self, found: Difference, known: AccountItem | None, case: Case) -> AccountItem:
        """5203 before anything is frozen: a file may lack what the centre has."""
        told = await self._files.ask(self._place, case, case.setl_id)
        facts = {"query": told.kind, "query_text": told.text[:200]}
        can_ask = self._place.gateway.capabilities.query_after_unknown != "none"
        if told.kind == "found" and found.code == "ours_only":
            return await self._noted(found, known, **facts)
        if told.kind == "silent" and can_ask:
            return await self._noted(found, known, **facts)
        return await self._frozen(found, known, case, **facts)

    async def _frozen(self, found: Difference, known: AccountItem | None, case: Case, **facts: Any) -> AccountItem:
        item = self._item(found, known, FROZEN, **facts)
        why = f"对账 {found.day}：{CLASSES[found.code].title}"
        if await self._files.frozen(self._place, case, why, item):
            return item
        return await self._noted(found, known, not_frozen=str(case.state), **facts)

    async def _noted(self, found: Difference, known: AccountItem | None, **facts: Any) -> AccountItem:
        item = self._item(found, known, OPEN, **facts)
        if known is not None and known.state == OPEN and dict(known.facts) == item.facts:
            return known
        await self._files.noted(item)
        return item

    def _item(self, found: Difference, known: AccountItem | None, state: str, **facts: Any) -> AccountItem:
        now = self._files.stamp()
        seen = {name: Decimal(fen) for name, fen in _amounts(found).items() if fen is not None}
        told = {
            "msgid": found.msgid,
            "setl_id": found.setl_id,
            "mdtrt_id": found.mdtrt_id,
            "refunded": found.refunded,
            "state": found.state,
            "memo": found.memo,
            **({"way": found.way} if found.way else {}),
            **seen,
            **facts,
        }
        item = AccountItem(
            item_id=found.item_id(self._place.org),
            org=self._place.org,
            topic=TOPIC,
            subject=found.code,
            day=found.day,
            state=state,
            case_id=found.case_id,
            amount_fen=found.total if found.total is not None else found.ours_total,
            opened_at=now,
            changed_at=now,
            facts=told,
        )
        return item if known is None else replace(item, version=known.version + 1, opened_at=known.opened_at)


def _amounts(found: Difference) -> dict[str, int | None]:
    return {
        "ours_total": found.ours_total,
        "ours_fund": found.ours_fund,
        "ours_account": found.ours_account,
        "centre_total": found.total,
        "centre_fund": found.fund,
        "centre_account": found.account,
    }


def _row(found: Difference) -> FiledRow:
    assert found.total is not None and found.fund is not None and found.account is not None
    return FiledRow(found.msgid, found.setl_id, found.day, found.refunded, found.total, found.fund, found.account)


def yuan_of(item: AccountItem, name: str) -> str:
    """An amount of an item's facts, in yuan; "" where it has none."""
    value = item.facts.get(name)
    return "" if value is None else f"{from_fen(int(value)):.2f}"
