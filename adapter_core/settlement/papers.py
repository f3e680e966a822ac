"""The paper case of a visit (零星报销): when papers may be opened, what their states allow, and the writes (`reliability.md` §6).

Papers take the visit's hold through the same unique index a settlement needs, so the two exclude each other by the ledger itself.
First the hold is durable, only then is a set made from what it froze and journalled, and only then may it be shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation
from adapter_core.settlement import answers
from adapter_core.settlement.absorb import content_hash, refuse_faults
from adapter_core.settlement.decisions import move
from adapter_core.settlement.locating import locate
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Conflict, Ledger, Random
from adapter_core.settlement.preadmission import refuse_folded
from adapter_core.settlement.reception import Reception
from adapter_core.settlement.records import Bill, Case, Change, Encounter, Event
from adapter_core.settlement.states import MOVES, PAPER, UNDECIDED, State
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused
from adapter_core.values.moments import china, iso

OPENED, REVISED, SET, REVOKED, SUBMITTED, CLOSED, BATCHED = (
    "PAPER_OPENED", "PAPER_REVISED", "PAPER_SET", "PAPER_REVOKED", "PAPER_SUBMITTED", "PAPER_CLOSED", "PAPER_BATCHED",
)  # fmt: skip
"""Journal events of a paper case.  PAPER_SET holds the whole set: it is what lets something out of the house."""

OPENABLE = frozenset(state for state, after in MOVES.items() if State.MANUAL_OPEN in after)
"""States of a settlement that papers may follow: in each it is proved that nothing stands or may still land."""

SERIAL, BATCH = "paper_serial", "paper_batch"
"""Kinds of the ledger's search by which a case is found again."""

TRIES = 5


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit as the ledger has it.  cases: its settlements, oldest first; bill: the one papers would be about."""

    visit_key: str
    encounter: Encounter
    bill: Bill
    cases: tuple[Case, ...] = ()

    @property
    def holder(self) -> Case | None:
        return next((case for case in self.cases if case.holds_visit), None)


def refuse_unopenable(visit: Visit) -> None:
    """Raises: Refused USE_VOID (settled), USE_CANCEL (quoted), VISIT_HELD (money may have moved, or still may)."""
    refuse_folded(visit.bill)
    holder = visit.holder
    if holder is None or holder.state in PAPER:
        return
    order = answers.work_order(holder)
    if holder.state is State.SETTLED:
        raise Refused("settled", code="USE_VOID", message_zh="该笔已直接结算成功，不能再办手工报销；如需改办，请先退费")
    if holder.state is State.QUOTED:
        raise Refused("quoted", code="USE_CANCEL", message_zh="该笔有一笔未取消的预结算，请先取消再办手工报销材料")
    mark = answers.UNKNOWN_MARK if holder.state in UNDECIDED or holder.state is State.FROZEN else ""
    raise Refused(
        f"held by {holder.case_id} in {holder.state}",
        code="VISIT_HELD",
        message_zh=f"{mark}该笔结算（工单号 {order}）尚未办结，不能出具手工报销材料，只可打印待核查单",
    )


def opened(visit: Visit, case_id: str, serial: str, wish: Mapping[str, Any], at: str) -> Case:
    """The visit's last settlement turned into a paper case, or a new one where it had none, or its papers were revoked."""
    last = next((case for case in reversed(visit.cases) if case.bill_id == visit.bill.bill_id), None)
    paper = {"serial": serial, "version": 0, "opened_at": at, "wish": dict(wish), **_before(last)}
    if last is not None and last.state in OPENABLE:
        return move(last, State.MANUAL_OPEN, at, data={**last.data, "paper": paper}, told={})
    return Case(
        case_id=case_id,
        org=visit.bill.org,
        purpose="settle",
        key=f"paper:{serial}",
        visit_key=visit.visit_key,
        encounter_id=visit.encounter.encounter_id,
        bill_id=visit.bill.bill_id,
        kind=visit.encounter.kind,
        dialect=visit.encounter.dialect,
        state=State.MANUAL_OPEN,
        request_hash=content_hash({"paper": serial}),
        version=1,
        insuplc_admdvs=last.insuplc_admdvs if last else "",
        opened_at=at,
        changed_at=at,
        data={"intent": "paper", "paper": paper},
    )


def _before(last: Case | None) -> dict[str, Any]:
    """How the last attempt ended: its state and what was told of it.  Revoked papers pass on what they knew."""
    if last is None:
        return {"after": "", "told": {}}
    if last.state is State.MANUAL_REVOKED:
        return {name: last.data["paper"][name] for name in ("after", "told")}
    return {
        "after": str(last.state),
        "told": {name: last.told.get(name, "") for name in ("state", "code", "message_zh")},
    }


def with_paper(case: Case, **facts: Any) -> Case:
    """The case one version on, with these facts of its papers."""
    return replace(case, version=case.version + 1, data={**case.data, "paper": {**case.data["paper"], **facts}})


def revoked(case: Case, red_invoice: str, reason: str, withdrawal: str, at: str) -> Case:
    """The papers void, the visit free for direct settlement again.

    red_invoice: number of the red invoice that takes back the self-pay one.  withdrawal: the agency's written withdrawal, needed
    once the papers were handed in.  Raises: Refused.
    """
    if case.state is State.MANUAL_CLOSED:
        raise Refused("closed", code="PAPER_CLOSED", message_zh="手工报销已办结，不能撤销")
    if case.state not in (State.MANUAL_OPEN, State.MANUAL_SUBMITTED):
        raise Refused(f"state {case.state}", code="NO_PAPER", message_zh="该就诊没有有效的手工报销材料")
    if not red_invoice.strip() or not reason.strip():
        raise Refused(
            "no red invoice or reason", code="RED_INVOICE_NEEDED", message_zh="须收回材料原件并填写红冲发票号和原因"
        )
    if case.state is State.MANUAL_SUBMITTED and not withdrawal.strip():
        raise Refused(
            "handed in",
            code="WITHDRAWAL_NEEDED",
            message_zh="材料已交参保地经办机构，须凭其书面撤回证明方可撤销",
        )
    facts = {"red_invoice": red_invoice, "revoke_reason": reason, "withdrawal": withdrawal, "revoked_at": at}
    return _stepped(case, State.MANUAL_REVOKED, at, facts)


def submitted(case: Case, to: str, at: str) -> Case:
    """The papers handed in at the agency of the place of insurance.  Raises: Refused."""
    if case.state is not State.MANUAL_OPEN or not case.data["paper"]["version"]:
        raise Refused(f"state {case.state}", code="NO_PAPER", message_zh="没有可交件的手工报销材料")
    return _stepped(case, State.MANUAL_SUBMITTED, at, {"submitted_to": to, "submitted_at": at})


def closed(case: Case, result: str, at: str) -> Case:
    """The agency has decided; the visit stays held for ever.  Raises: Refused."""
    if case.state is not State.MANUAL_SUBMITTED:
        raise Refused(
            f"state {case.state}", code="NOT_SUBMITTED", message_zh="材料尚未登记交件，不能办结；请先登记交件"
        )
    return _stepped(case, State.MANUAL_CLOSED, at, {"result": result, "closed_at": at})


def _stepped(case: Case, state: State, at: str, facts: Mapping[str, Any]) -> Case:
    return move(case, state, at, data={**case.data, "paper": {**case.data["paper"], **facts}}, told={})


class Papers:
    """Commits what the decisions above say.  commit: writes a change and tells the observers."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        random: Random,
        reception: Reception,
        commit: Callable[[Change], Awaitable[int]],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._reception = reception
        self._commit = commit

    # -- finding

    async def visit(self, org: str, visit_key: str) -> Visit | None:
        """A visit by its key; None where the ledger knows nothing of it."""
        ids = await self._ledger.find("visit_key", visit_key)
        found = [await self._ledger.case(case_id) for case_id in ids]
        case = next((one for one in reversed(found) if one is not None and one.org == org), None)
        case = case or await self._ledger.holder(org, visit_key)
        if case is not None:
            return await self.visit_of(case)
        encounter = await self._ledger.encounter_by_key(org, visit_key)
        bills = await self._ledger.bills_of(encounter.encounter_id) if encounter else []
        bill = next((one for one in reversed(bills) if one.visit_key == visit_key), None)
        return Visit(visit_key, encounter, bill) if encounter and bill else None

    async def visit_of(self, case: Case) -> Visit:
        """The visit a case belongs to, with every settlement of it."""
        encounter = await self._ledger.encounter(case.encounter_id)
        assert encounter is not None
        bills = [one for one in await self._ledger.bills_of(case.encounter_id) if one.visit_key == case.visit_key]
        cases = [
            one for bill in bills for one in await self._ledger.cases_of_bill(bill.bill_id) if one.purpose == "settle"
        ]
        cases.sort(key=lambda one: one.opened_at)
        return Visit(case.visit_key, encounter, bills[-1], tuple(cases))

    async def admitted(self, place: Place, dialect: Dialect, operation: Operation) -> tuple[Visit, Change]:
        """The visit with a message of the HIS absorbed, and the change that stores it: a bill that was never tried, or whose
        papers change.  Raises: Refused BILL_CLOSED, what reception raises.
        """
        found = await locate(self._ledger, place, dialect, operation)
        if found.bill is not None and not found.bill.is_open:
            raise Refused(
                "that bill was settled", code="BILL_CLOSED", message_zh="该账单已结算过，只能按原费用出具手工报销材料"
            )
        context, change = self._reception.admitted(place, dialect, operation, found)
        refuse_faults(operation, context.bill, ())
        cases = await self._ledger.cases_of_bill(context.bill.bill_id)
        settlements = tuple(case for case in cases if case.purpose == "settle")
        return Visit(context.bill.visit_key, context.encounter, context.bill, settlements), change

    async def by_serial(self, org: str, serial: str) -> Case:
        """The case whose papers have this serial.  Raises: Refused NO_SUCH_PAPER."""
        for case_id in await self._ledger.find(SERIAL, serial):
            case = await self._ledger.case(case_id)
            if case is not None and case.org == org:
                return case
        raise Refused(f"no papers {serial}", code="NO_SUCH_PAPER", message_zh=f"没有编号为 {serial} 的手工报销材料")

    async def by_batch(self, org: str, batch: str) -> list[Case]:
        """The cases handed over together, in the batch's order.  Raises: Refused NO_SUCH_BATCH."""
        found = [await self._ledger.case(case_id) for case_id in await self._ledger.find(BATCH, batch)]
        cases = [one for one in found if one is not None and one.org == org]
        if not cases:
            raise Refused(f"no batch {batch}", code="NO_SUCH_BATCH", message_zh=f"没有编号为 {batch} 的交接单")
        return cases

    # -- writing

    async def hold(self, visit: Visit, wish: Mapping[str, Any], base: Change | None = None) -> tuple[Case, int]:
        """Take the visit's hold for papers; gives the case and the journal's position that they will name.

        base: records to store in the same transaction.  Raises: Refused; VisitHeld, VersionMoved: somebody else was first.
        """
        refuse_unopenable(visit)
        at = self.stamp()
        case = opened(visit, self._random.token(), self._serial(visit.bill.org), wish, at)
        serial = case.data["paper"]["serial"]
        facts = {"serial": serial, "after": case.data["paper"]["after"], "wish": dict(wish)}
        change = base or Change(case.org)
        if all(bill.bill_id != visit.bill.bill_id for bill in change.bills):
            bill = await self._ledger.bill(visit.bill.bill_id)
            assert bill is not None
            refuse_folded(bill)
            # one version on: of papers and a stay that takes the lines in at the same moment, one comes too late
            change = replace(change, bills=(*change.bills, replace(bill, version=bill.version + 1)))
        position = await self._commit(
            replace(
                change,
                cases=(*change.cases, case),
                events=(*change.events, self._event(OPENED, case, facts)),
                search=(*change.search, (SERIAL, serial, case.case_id), ("visit_key", case.visit_key, case.case_id)),
            )
        )
        return case, position

    async def keep_set(self, case: Case, document: Mapping[str, Any], told_zh: str, **facts: Any) -> Case:
        """A made set durable before anybody sees it: the document in the journal, its facts with the case."""
        kept = with_paper(case, **facts)
        paper = kept.data["paper"]
        outcome = answers.plain(str(case.state), str(case.state), told_zh, {"case": answers.case_facts(kept)})
        kept = replace(kept, told=answers.outcome_data(outcome))
        facts = {"serial": paper["serial"], "version": str(paper["version"]), "document": dict(document)}
        await self._commit(Change(case.org, cases=(kept,), events=(self._event(SET, kept, facts),)))
        return kept

    async def document(self, case: Case, version: int) -> dict[str, Any]:
        """A set as it was journalled.  Raises: Refused NO_SUCH_PAPER for a version that was never made."""
        for event in reversed(await self._ledger.events_of_case(case.case_id)):
            if event.kind == SET and event.data["version"] == str(version):
                return dict(event.data["document"])
        raise Refused(f"no version {version}", code="NO_SUCH_PAPER", message_zh="没有该版本的手工报销材料")

    async def step(self, case: Case, kind: str, decide: Callable[[Case, str], Case], facts: Mapping[str, Any]) -> Case:
        """One decision about a case, on its newest version.  Raises: Refused, what ``decide`` raises."""
        for _ in range(TRIES):
            fresh = await self._ledger.case(case.case_id)
            assert fresh is not None
            after = decide(fresh, self.stamp())
            event = self._event(kind, after, {"serial": after.data.get("paper", {}).get("serial", ""), **facts})
            try:
                await self._commit(Change(case.org, cases=(after,), events=(event,)))
            except Conflict:
                continue
            return after
        raise Refused("too many writers", code="VISIT_HELD", message_zh="该就诊正在处理中，请稍后重试")

    async def note(self, case: Case, kind: str, facts: Mapping[str, Any], base: Change | None = None) -> int:
        """Something that changes no case, kept in the journal; gives its position there."""
        change = base or Change(case.org)
        return await self._commit(replace(change, events=(*change.events, self._event(kind, case, facts))))

    async def keep_batch(self, cases: Sequence[Case], batch: str, facts: Mapping[str, str]) -> list[Case]:
        """Several people's papers handed over together, in one transaction.  Raises: Refused, ledger conflicts."""
        for case in cases:
            paper = case.data.get("paper", {})
            if case.state is not State.MANUAL_OPEN or not paper.get("version"):
                raise Refused(
                    f"state {case.state}", code="NO_PAPER", message_zh=f"{paper.get('serial', '')} 不是可交接的材料"
                )
            if paper.get("batch"):
                raise Refused(
                    "handed over", code="BATCHED", message_zh=f"{paper['serial']} 已在交接单 {paper['batch']} 中"
                )
        kept = [
            with_paper(case, batch=batch, batched_version=case.data["paper"]["version"], handed=dict(facts))
            for case in cases
        ]
        events = tuple(self._event(BATCHED, case, {"batch": batch, **facts}) for case in kept)
        search = tuple((BATCH, batch, case.case_id) for case in kept)
        await self._commit(Change(kept[0].org, cases=tuple(kept), events=events, search=search))
        return kept

    # -- small

    def _serial(self, org: str) -> str:
        return f"LX{self.day()}{self._ledger.sequence(org):08}"

    def batch_number(self, org: str) -> str:
        return f"JJ{self.day()}{self._ledger.sequence(org):08}"

    def day(self) -> str:
        return china(self._clock.wall()).strftime("%y%m%d")

    def moment(self) -> datetime:
        return self._clock.wall()

    def stamp(self) -> str:
        return iso(self._clock.wall())

    def _event(self, kind: str, case: Case, data: Mapping[str, Any]) -> Event:
        return Event(kind, self.stamp(), case.case_id, case.encounter_id, {"state": str(case.state), **data})
