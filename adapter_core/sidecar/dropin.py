"""The national drop-in: a HIS that speaks the national JSON changes its base URL, and nothing else (`contracts.md` §5).

Reads, trials and uploads pass through; creates and money are cases.  The HIS reads every ``infcode`` but 0 as "failed, take cash", so
a result that isn't known has words of its own, held back as long as the client may wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from litestar import post

from adapter_core.accounts.his_applications import HisApplications
from adapter_core.province import relay
from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement.answers import UNKNOWN_MARK, standing_outcome, work_order
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import Alias, Case, Change
from adapter_core.settlement.states import UNDECIDED, State
from adapter_core.sidecar import national_replies as replies
from adapter_core.sidecar.access import Client, Right
from adapter_core.sidecar.creates import QUERY_OF, Creates
from adapter_core.sidecar.desk import Caller, Desk, body_of, caller, desk_of, json_response
from adapter_core.sidecar.frames import REFUSALS, refusal_text
from adapter_core.sidecar.local import hold_s
from adapter_core.sidecar.problems import BadBody
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.sales import ASKED_ABOUT, KIND, Sales, alike
from adapter_core.values.errors import LedgerUnavailable, Refused, TranslationError

IN_DOUBT = frozenset({*UNDECIDED, State.PREPARING, State.READY, State.FROZEN, State.VOIDING})
STANDS = frozenset({State.SETTLED, State.VOIDING})
TAKEN_BACK = frozenset({"CANCELLED", "REVERSED", "NOT_APPLIED", "REJECTED", "NOT_SENT", "VOIDED"})
"""Nothing of it stands at the centre: a reversal of the HIS's own may hear success."""
TOUCHING = frozenset({"2202", "2204", "2205", "2301", "2302", "2402", "2404", "2405"})
"""They change what a settlement rests on: none of them while one of the same visit is in doubt."""
DIALECT = relay.RelayDialect()


@post("/fsi/api/{service:str}/{method:str}", operation_id="national", status_code=200)
async def national(request: Caller) -> HttpAnswer:
    """One national call; the infno of the body counts, not the path."""
    return await _answered(request)


@post("/fsi/api", operation_id="national_plain", status_code=200)
async def national_plain(request: Caller) -> HttpAnswer:
    """One national call of a HIS that names no service."""
    return await _answered(request)


async def _answered(request: Caller) -> HttpAnswer:
    desk = desk_of(request)
    client = caller(request, Right.SETTLE)
    try:
        asked = relay.read_asked(body_of(request))
    except TranslationError as error:
        if error.code == "UNKNOWN_INFNO":
            return json_response(replies.refusal(refusal_text(error)))
        raise BadBody(error.faults) from None
    place = desk.place(client, str(asked.fields.get("fixmedins_code") or "") or None)
    reply, is_unknown = await _Exchange(desk, client, place, asked).answer()
    if isinstance(reply, replies.Verbatim):
        return HttpAnswer(reply.body, media_type=reply.media_type)
    settings = desk.client_settings(client.name)
    as_504 = is_unknown and settings is not None and settings.unknown_as_504
    return json_response(replies.encode(reply), 504 if as_504 else 200)


class _Exchange:
    """One request of a HIS."""

    def __init__(self, desk: Desk, client: Client, place: Place, asked: relay.Asked) -> None:
        self._desk = desk
        self._ledger = desk.running.ledger
        self._place = desk.relays.of(place, asked.infno, asked.input)
        self._asked = asked
        self._hold_s = hold_s(desk, client)
        self._sales = Sales(self._ledger, place.org)
        self._visit = ""

    async def answer(self) -> tuple[replies.Reply | replies.Verbatim, bool]:
        """The reply, and whether it says that the result isn't known."""
        try:
            match self._asked.infno:
                case "2601":
                    return await self._reversed()
                case "5203":
                    return await self._queried()
                case _:
                    return await self._asked_for()
        except REFUSALS as error:
            return await self._refused(error)
        except LedgerUnavailable:
            return replies.refused("账本不可用，没有送出，没有产生结算，请稍后重试"), False

    # -- the HIS's own calls

    async def _asked_for(self) -> tuple[replies.Reply | replies.Verbatim, bool]:
        operation = relay.operation_of(self._asked)
        self._visit = operation.keys.get("visit", "")
        if self._asked.infno in TOUCHING:
            await self._refuse_in_doubt()
        if operation.verb in ("settle", "void"):
            return await self._money(operation)
        if operation.verb == "relay" and self._asked.kind_class == "C":
            return await self._creates().once(self._asked, lambda: self._handled(operation))
        outcome = await self._handled(operation)
        if outcome.state == "DONE" and self._asked.infno in QUERY_OF.values():
            await self._creates().looked(self._asked)
        if outcome.state == "DONE" and operation.verb in ("register", "admit"):
            return await self._created(operation, outcome), False
        if outcome.state == "DONE" and self._asked.infno in ("2202", "2404"):
            await self._forgotten()
        if replies.is_unknown(self._asked, outcome):
            return replies.unknown(outcome.message_zh), True
        return replies.passed_on(self._asked, outcome), False

    def _handled(self, operation: Operation) -> Awaitable[Outcome]:
        return self._desk.running.pipeline.handle(self._place, DIALECT, operation, self._hold_s)

    def _creates(self) -> Creates:
        applications = HisApplications(self._ledger, self._desk.running.pipeline.from_files, self._place.org)
        return Creates(self._ledger, applications, self._desk.creating, self._place.org)

    async def _created(self, operation: Operation, outcome: Outcome) -> replies.Reply:
        """The visit's number finds the encounter from now on."""
        visit = outcome.content.get("visit", {})
        encounter = await self._ledger.encounter_by_key(self._place.org, operation.keys["encounter"])
        assert encounter is not None
        if visit.get("mdtrt_id"):
            alias = Alias(self._place.org, relay.NAME, "mdtrt_id", visit["mdtrt_id"], encounter.encounter_id)
            await self._ledger.commit(Change(self._place.org, aliases=(alias,)))
        return replies.created(self._asked, outcome)

    async def _forgotten(self) -> None:
        """The HIS took its registration back: the same visit registered again is a new one."""
        alias = await self._ledger.alias(self._place.org, relay.NAME, "mdtrt_id", self._asked.said("mdtrt_id"))
        encounter = await self._ledger.encounter(alias.encounter_id) if alias else None
        if encounter is not None:
            await self._ledger.commit(Change(self._place.org, encounter=replies.unregistered(encounter)))

    async def _money(self, operation: Operation) -> tuple[replies.Reply, bool]:
        if operation.verb == "void":
            target = await self._case_of_visit(self._asked.said("mdtrt_id"), self._asked.said("setl_id"))
            if target is None:
                text = "本系统没有这笔结算的记录（可能是切换前办理的），未发送，请从原渠道退费"
                raise Refused("no settlement of that setl_id", code="NO_SUCH_CASE", message_zh=text)
            operation = relay.naming(operation, target.key)
            outcome = await self._handled(operation)
        else:
            if operation.kind == KIND:
                await self._sales.refuse_alike(self._asked, self._visit)
            outcome = await self._settled(await self._noted(operation))
        case_id = outcome.content.get("case", {}).get("case_id", "")
        case = await self._ledger.case(case_id)
        if case is not None:
            await self._note(case)
        return replies.told(self._asked, outcome, case)

    async def _settled(self, operation: Operation) -> Outcome:
        """A case that never reached the centre makes room for the same bill with other content."""
        try:
            return await self._handled(operation)
        except Refused as error:
            case = await self._ledger.case_by_key(self._place.org, "settle", operation.keys["settle"])
            if error.code != "KEY_REUSED" or case is None or case.state is not State.NOT_SENT:
                raise
        await self._handled(Operation("cancel", "cancel", relay.NAME, case.kind, keys={"settle": case.key}))
        return await self._handled(operation)

    async def _noted(self, operation: Operation) -> Operation:
        """The operation with the caller's msgid, as long as that names nothing else: by it the HIS may take the call back."""
        msgid = self._asked.msgid
        known = await self._ledger.alias(self._place.org, relay.NAME, "msgid", msgid)
        return operation if known is not None else relay.with_msgid(operation, msgid)

    async def _note(self, case: Case) -> None:
        if case.told.get("refs", {}).get("msgid") == self._asked.msgid:
            return  # it opened the case, so it is known already
        known = await self._ledger.alias(case.org, relay.NAME, "msgid", self._asked.msgid)
        if known is None or known.case_id != case.case_id:
            alias = Alias(
                case.org, relay.NAME, "msgid", self._asked.msgid, case.encounter_id, case.bill_id, case.case_id
            )
            await self._ledger.commit(Change(case.org, aliases=(alias,)))

    # -- what the HIS asks about its own calls: answered from the case

    async def _reversed(self) -> tuple[replies.Reply, bool]:
        """2601: no longer wanted.  Success only when nothing stands."""
        named = await self._ledger.alias(self._place.org, relay.NAME, "msgid", self._asked.said("omsgid"))
        case = await self._ledger.case(named.case_id) if named is not None and named.case_id else None
        if case is None:
            text = "没有找到要冲正的原交易，未发送冲正，请核对原报文 msgid"
            raise Refused("no case of that omsgid", code="NO_SUCH_CASE", message_zh=text)
        if case.purpose == "settle" and case.state not in STANDS:
            await self._handled(Operation("cancel", "cancel", relay.NAME, case.kind, keys={"settle": case.key}))
        case = await self._decided(case)
        outcome = standing_outcome(case)
        if outcome.state in TAKEN_BACK and not (case.purpose == "void" and outcome.state == "VOIDED"):
            return replies.done(self._asked, case), False
        if case.state in IN_DOUBT:
            return replies.unknown(outcome.message_zh, case), True
        text = "该笔已结算成功，不能冲正，请走退费" if case.purpose == "settle" else "该笔退费已成功，不能冲正"
        return replies.refused(f"{text}（工单号 {work_order(case)}）"), False

    async def _queried(self) -> tuple[replies.Reply | replies.Verbatim, bool]:
        """5203: from the case where there is one; of what we never settled, the centre is asked."""
        case = await self._case_of_visit(self._asked.said("mdtrt_id"), self._asked.said("setl_id"))
        if case is not None and case.state in IN_DOUBT - {State.VOIDING}:
            return replies.unknown(standing_outcome(case).message_zh, case), True
        if case is not None and (case.state in STANDS or case.state is State.VOIDED):
            bill = await self._ledger.bill(case.bill_id)
            assert bill is not None
            return replies.settlement(self._asked, case, bill, await self._first_msgid(case)), False
        return replies.passed_on(self._asked, await self._handled(relay.operation_of(self._asked))), False

    async def _first_msgid(self, case: Case) -> str:
        """The msgid under which the HIS asked for this settlement first."""
        events = await self._ledger.events_of_case(case.case_id)
        accepted = next((event.data for event in events if event.kind == "ACCEPTED"), {})
        return str(accepted.get("operation", {}).get("refs", {}).get("msgid", ""))

    async def _decided(self, case: Case) -> Case:
        """The case once nothing of it is in doubt any more, or as it stands when the hold is over."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._hold_s
        while case.state in UNDECIDED and clock() < until and not self._desk.draining:
            await self._desk.changes.wait(min(until - clock(), 1.0))
            case = await self._ledger.case(case.case_id) or case
        return case

    # -- finding

    async def _case_of_visit(self, mdtrt_id: str, setl_id: str = "") -> Case | None:
        """The settlement of a visit by its number; without one, the case in doubt or else the newest that stands."""
        cases = [case for case in await self._cases(mdtrt_id) if case.purpose == "settle"]
        if not cases and self._asked.infno in ASKED_ABOUT:
            cases = await self._sales.named(self._asked.said("psn_no"), mdtrt_id, setl_id)
        if setl_id:
            named = [case for case in cases if case.setl_id == setl_id]
            if named:
                return named[-1]
        doubtful = [case for case in cases if case.state in UNDECIDED or case.state is State.FROZEN]
        if setl_id:
            return doubtful[-1] if doubtful else None
        standing = [case for case in cases if case.state in STANDS or case.state is State.VOIDED]
        found = doubtful or standing
        return found[-1] if found else None

    async def _cases(self, mdtrt_id: str) -> list[Case]:
        if not mdtrt_id:
            return []
        org = self._place.org
        alias = await self._ledger.alias(org, relay.NAME, "mdtrt_id", mdtrt_id)
        encounter_id = alias.encounter_id if alias else ""
        if not encounter_id:
            encounter = await self._ledger.encounter_by_key(org, relay.encounter_key(mdtrt_id))
            encounter_id = encounter.encounter_id if encounter else ""
        bills = await self._ledger.bills_of(encounter_id) if encounter_id else []
        return [case for bill in bills for case in await self._ledger.cases_of_bill(bill.bill_id)]

    async def _refuse_in_doubt(self) -> None:
        """Raises: Refused VISIT_HELD while a settlement of the same visit isn't decided."""
        batch = self._asked.said("chrg_bchno")
        for case in await self._cases(self._asked.said("mdtrt_id")):
            if case.state not in UNDECIDED and case.state is not State.FROZEN:
                continue
            bill = await self._ledger.bill(case.bill_id)
            if not batch or bill is None or bill.content.get("bill", {}).get("chrg_bchno") == batch:
                raise Refused(
                    "a settlement is in doubt", code="VISIT_HELD", message_zh=standing_outcome(case).message_zh
                )

    # -- refusals

    async def _refused(self, error: Exception) -> tuple[replies.Reply, bool]:
        """Refused by us, nothing sent.  Where a case of the same bill stands or may stand, the words say so."""
        assert isinstance(error, REFUSALS)
        await self._desk.running.note_refusal(relay.NAME, error)
        if error.code not in ("VISIT_HELD", "KEY_REUSED", "REF_CONFLICT"):
            return replies.refused(refusal_text(error)), False
        if self._visit:
            holder = await self._ledger.holder(self._place.org, self._visit)
        else:
            holder = await self._case_of_visit(self._asked.said("mdtrt_id"))
        if holder is not None and holder.state in STANDS and holder.kind == KIND:
            return replies.refused(alike(holder)), False
        if holder is not None and holder.state in STANDS:
            text = f"【请勿改自费】该就诊已有一笔结算成功（工单号 {work_order(holder)}），本次内容与之前不同，请核对后走退费"
            return replies.refused(text), False
        if holder is not None and holder.state in IN_DOUBT:
            return replies.unknown(standing_outcome(holder).message_zh, holder), True
        return replies.refused(refusal_text(error)), error.code == "VISIT_HELD" and UNKNOWN_MARK in refusal_text(error)


ROUTES = [national, national_plain]
