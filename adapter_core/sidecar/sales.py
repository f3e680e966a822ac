"""A pharmacy's sales through the drop-in: found by the person, as no visit number exists before 2102's reply.

Two sales that look alike are never sold twice: whoever asks for the second hears of the first.
"""

from __future__ import annotations

from datetime import timedelta

from adapter_core.province import relay
from adapter_core.settlement.answers import standing_outcome, work_order
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import UNDECIDED, State
from adapter_core.settlement.telling import MONEY
from adapter_core.values.content import Content
from adapter_core.values.errors import Refused

KIND = "pharmacy"
ASKED_ABOUT = frozenset({"2103", "5203"})
"""They may name a sale by its person and ``setl_id`` alone."""
OPEN = frozenset({*UNDECIDED, State.PREPARING, State.READY, State.FROZEN})
STANDS = frozenset({State.SETTLED, State.VOIDING})
NEWEST = 100
"""Sales of one person that are looked through, newest first: older ones are no retry."""
ACROSS_MIDNIGHT = timedelta(hours=1)
"""A sale's key has its day: a retry that draws its moment anew after midnight is still the sale of before."""


class Sales:
    def __init__(self, ledger: Ledger, org: str) -> None:
        self._ledger = ledger
        self._org = org

    async def named(self, psn_no: str, mdtrt_id: str, setl_id: str) -> list[Case]:
        """The sales that a refund or a query may mean, oldest first: the one it names, and any that is still in doubt, which
        has no number that we know."""
        return [
            case
            for case in await self._of(psn_no)
            if case.state in OPEN or await self._is_named(case, mdtrt_id, setl_id)
        ]

    async def _is_named(self, case: Case, mdtrt_id: str, setl_id: str) -> bool:
        if setl_id:
            return case.setl_id == setl_id
        return bool(mdtrt_id) and (await self._content(case)).get(MONEY, {}).get("mdtrt_id") == mdtrt_id

    async def refuse_alike(self, asked: relay.Asked, visit: str) -> None:
        """While a sale of the person is in doubt, none with a line of its goes out; nor the same goods again right after midnight.

        visit: the sale's own key, which the reception looks after.  Raises: Refused VISIT_HELD.
        """
        lines, begun = relay.sold_lines(asked.input), relay.sale_begun(asked.input)
        numbers = {line[0] for line in lines}
        for case in await self._of(asked.said("psn_no")):
            if case.visit_key == visit or case.state not in OPEN | STANDS:
                continue
            given = (await self._content(case)).get("relay", {}).get(relay.SALE_TRIAL, {})
            others, before = relay.sold_lines(given), relay.sale_begun(given)
            if case.state in OPEN and numbers & {line[0] for line in others}:
                raise Refused("a sale is in doubt", code="VISIT_HELD", message_zh=standing_outcome(case).message_zh)
            near = begun is not None and before is not None and abs(begun - before) <= ACROSS_MIDNIGHT
            if case.state in STANDS and near and lines == others:
                raise Refused("the same goods were sold", code="VISIT_HELD", message_zh=alike(case))

    async def _of(self, psn_no: str) -> list[Case]:
        """The person's sales through the drop-in, oldest first."""
        ids = (await self._ledger.find("psn_no", psn_no))[-NEWEST:] if psn_no else []
        cases = [await self._ledger.case(case_id) for case_id in ids]
        return [
            case
            for case in cases
            if case is not None
            and (case.org, case.kind, case.purpose, case.dialect) == (self._org, KIND, "settle", relay.NAME)
        ]

    async def _content(self, case: Case) -> Content:
        bill = await self._ledger.bill(case.bill_id)
        return bill.content if bill else {}


def alike(case: Case) -> str:
    """What is said of a second sale that looks like one that stands."""
    return (
        f"【请勿改自费】该人员当日相同购药明细已有一笔结算成功（工单号 {work_order(case)}，结算编号 {case.setl_id}），本次未发送。"
        "如为重发，请按该笔入账；如确为另一笔，请换用新的明细流水号（feedetl_sn）"
    )
