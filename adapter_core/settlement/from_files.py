"""What the centre's reconciliation files say of a case: evidence E4, and the cases they contradict (`reliability.md` §5, §10).

The small port by which the accounts reach the money state.  Nothing here sends money: a filed row is put into the case, and
whoever drives the case acts on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapter_core.province.messages import Call
from adapter_core.settlement import answers
from adapter_core.settlement.amounts import amounts
from adapter_core.settlement.calls import Caller, Context
from adapter_core.settlement.contexts import homeless_context
from adapter_core.settlement.decisions import Finding, finding
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Conflict, Ledger
from adapter_core.settlement.records import AccountItem, Case, Change, Event
from adapter_core.settlement.retracing import Retracing
from adapter_core.settlement.second_phase import money_step
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import OWNED, PAPER, State
from adapter_core.settlement.telling import Teller
from adapter_core.settlement.unfiled import Doubted, doubted, unfiled
from adapter_core.settlement.ways import ONLY, GatewayGone, way_of
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSupported
from adapter_core.values.money import fen, from_fen

FILED = "filed"
"""In a case's data: the row of the centre's file that names its money call."""
IN_DOUBT = frozenset({State.SENDING, State.CONFIRMING, State.RESOLVING, State.REVERSING})
TRIES = 5


@dataclass(frozen=True, slots=True)
class FiledRow:
    """One row of a result file that names our msgid.  day: the file's; amounts in fen, as the file writes their size."""

    msgid: str
    setl_id: str
    day: str
    refunded: bool
    total_fen: int
    fund_fen: int
    account_fen: int


def filed_row(case: Case, msgid: str) -> FiledRow | None:
    """The row the case was found by, if it names this message."""
    row = case.data.get(FILED)
    if not row or row["msgid"] != msgid:
        return None
    fens = {name: int(row[name]) for name in ("total_fen", "fund_fen", "account_fen")}
    return FiledRow(row["msgid"], row["setl_id"], row["day"], bool(row["refunded"]), **fens)


def filed_at(case: Case) -> str:
    """When the newest row was put into the case; "" for none."""
    return str(case.data.get(FILED, {}).get("at", ""))


def from_file(case: Case, trial: Mapping[str, Any], row: FiledRow) -> Content | None:
    """The result a row proves by itself; None where the file says too little.

    A file has no cash amount and no fund rows: only where its amounts are those of the trial is the trial's split the settlement's.
    """
    told = amounts(trial)
    account = told.account + told.shared_account
    same = (row.total_fen, row.fund_fen) == (abs(fen(told.total)), abs(fen(told.fund)))
    if not same or row.account_fen not in (abs(fen(told.account)), abs(fen(account))) or row.refunded:
        return None
    names = (
        "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "acct_mulaid_pay", "psn_cash_pay", "psn_part_amt", "hosp_part_amt",
        "insutype", "clr_type", "clr_way", "clr_optins", "med_type",
    )  # fmt: skip
    kept = {name: trial[name] for name in names if trial.get(name) is not None}
    return {**kept, "setl_id": row.setl_id, "medins_setl_id": row.msgid}


class FromFiles:
    """What the accounts may do to a case, each in one transaction with the item that records it."""

    def __init__(self, ledger: Ledger, caller: Caller, teller: Teller) -> None:
        self._ledger = ledger
        self._caller = caller
        self._teller = teller
        self._retracing = Retracing(ledger)

    async def found(self, case: Case, row: FiledRow, item: AccountItem) -> None:
        """E4: the file names a money call in doubt.  Its driver asks once more by ``setl_id`` and adopts or reverses.

        Raises: Conflict when the case moved meanwhile.
        """
        now = self._teller.stamp()
        facts = {
            "msgid": row.msgid,
            "setl_id": row.setl_id,
            "day": row.day,
            "refunded": row.refunded,
            "total_fen": Decimal(row.total_fen),
            "fund_fen": Decimal(row.fund_fen),
            "account_fen": Decimal(row.account_fen),
            "at": now,
        }
        noted = replace(case, version=case.version + 1, changed_at=now, data={**case.data, FILED: facts})
        event = Event("FILED", now, case.case_id, case.encounter_id, {"evidence": "E4", **facts})
        await self._teller.commit(Change(case.org, events=(event,), cases=(noted,), items=(item,)))

    async def frozen(self, place: Place, case: Case, why: str, item: AccountItem) -> bool:
        """The centre's files contradict what the case says: a person decides.

        False where it must stay as it is: papers or another case hold its visit, or somebody drives it.  Raises: Conflict.
        """
        if case.state in PAPER or case.state in OWNED or case.state in (State.FROZEN, State.VOIDING):
            return False
        holder = await self._ledger.holder(case.org, case.visit_key)
        if holder is not None and holder.case_id != case.case_id:
            return False
        now = self._teller.stamp()
        data = {**case.data, "frozen_because": why, "frozen_from": str(case.state)}
        frozen = replace(
            case, state=State.FROZEN, version=case.version + 1, changed_at=now, owner="", told={}, data=data
        )
        facts = {"why": why, "state": str(case.state)}
        event = Event("CONTRADICTED", now, case.case_id, case.encounter_id, facts)
        context = await homeless_context(self._ledger, place, frozen)
        change = Change(case.org, events=(event,), items=(item,))
        await self._teller.tell(context, frozen, answers.standing_outcome(frozen), change)
        return True

    async def noted(self, *items: AccountItem, event: str = "", **facts: str) -> None:
        """Items; with an event's kind also what was found or said of the first, in its case's journal.  Raises: Conflict."""
        about = {"item_id": items[0].item_id, **facts}
        events = (Event(event, self._teller.stamp(), items[0].case_id, "", about),) if event else ()
        await self._teller.commit(Change(items[0].org, events=events, items=items))

    async def reported(self, case: Case, what: str, by: str, item: AccountItem) -> None:
        """A security event of a case, with its item.  Raises: Conflict."""
        event = Event("SECURITY", self._teller.stamp(), case.case_id, case.encounter_id, {"what": what, "operator": by})
        await self._teller.commit(Change(case.org, events=(event,), items=(item,)))

    async def ask(self, place: Place, case: Case, setl_id: str) -> Finding:
        """5203 by the settlement's own number; ``silent`` where this gateway can't be asked."""
        context = await homeless_context(self._ledger, place, case)
        place = place.of(context.encounter)
        context = replace(context, place=place)
        step = place.gateway.route.steps[money_step(context).name]
        last = await self._retracing.last_call(case, step.name)
        if not step.ask or last is None or place.gateway.capabilities.query_after_unknown == "none":
            return Finding("silent", {}, [], "this gateway can't be asked")
        call = last[0]
        return await ask_by_setl_id(self._caller, context, call, view(context.encounter, context.bill), setl_id)

    async def lines_of(self, case: Case) -> tuple[str, list[Content]]:
        """The person's ``psn_no`` and the fee lines the case settled, as they were uploaded."""
        encounter, bill = await self._ledger.encounter(case.encounter_id), await self._ledger.bill(case.bill_id)
        assert encounter is not None and bill is not None
        return str(encounter.content.get("person", {}).get("psn_no", "")), list(bill.content.get("fees", []))

    async def doubts(self, place: Place, case_ids: Iterable[str]) -> list[Doubted]:
        """The newest money call of each of these cases that is in doubt; where none was intended, none is doubted."""
        found = []
        for case_id in case_ids:
            case = await self._ledger.case(case_id)
            if case is None or case.state not in IN_DOUBT | {State.FROZEN}:
                continue
            context = await homeless_context(self._ledger, place, case)
            way = way_of(context.encounter) or ONLY
            try:
                context = replace(context, place=place.of(context.encounter))
            except (GatewayGone, NotSupported):
                continue  # nobody can be asked about it
            step = money_step(context).name
            calls = [one for one in await self._ledger.calls_of_case(case_id) if one.step == step]
            if calls:
                found.append(doubted(context, calls[-1], way))
        return found

    async def absent(self, doubt: Doubted, day: str) -> None:
        """E4: the file of that day, which holds everything of the case's group, does not name its money call."""
        for _ in range(TRIES):
            case = await self._ledger.case(doubt.case_id)
            if case is None or case.state not in IN_DOUBT | {State.FROZEN} or filed_row(case, doubt.msgid) is not None:
                return
            change = unfiled(case, doubt, day, self._teller.stamp())
            if change is None:
                return
            try:
                await self._teller.commit(change)
            except Conflict:
                continue  # whoever drives it wrote first
            return

    async def way_of(self, case_id: str) -> str:
        """The name of the gateway a case went by."""
        case = await self._ledger.case(case_id)
        encounter = await self._ledger.encounter(case.encounter_id) if case else None
        return (way_of(encounter) if encounter else None) or ONLY

    def stamp(self) -> str:
        return self._teller.stamp()


async def ask_by_setl_id(caller: Caller, context: Context, call: Call, content: Content, setl_id: str) -> Finding:
    """What the centre says of the settlement of that number, read as evidence about the call."""
    assert context.case is not None
    gateway = context.place.gateway
    ask = gateway.route.steps[gateway.route.steps[call.step].ask]
    named = {**content, **call.content, "settled": {**content.get("settled", {}), "setl_id": setl_id}}
    named["original"] = {"omsgid": call.msgid, "oinfno": call.message}
    called = await caller.read(ask, context, named, resolving=True)
    outside = gateway.capabilities.shared_account_outside
    return finding(context.case, call.msgid, call.content, called.verdict, gateway.policy, outside)


def in_words(row: FiledRow) -> str:
    """A row for the insurance office."""
    return f"{row.day} 对账文件：总额 {from_fen(row.total_fen)}，基金 {from_fen(row.fund_fen)}，个人账户 {from_fen(row.account_fen)}"
