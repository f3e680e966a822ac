"""Taking back: a settlement by a refund of its own, what moved no money yet by a cancel, a doubt by the wish for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement import answers
from adapter_core.settlement.absorb import asked_hash, content_hash, operation_data
from adapter_core.settlement.decisions import move
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Ledger, Random
from adapter_core.settlement.records import Alias, Case, Change, case_event
from adapter_core.settlement.states import ENDED_WITHOUT_MONEY, PAPER, UNDECIDED, State
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSupported, Refused
from adapter_core.values.moments import iso


class TakingBack:
    """owner: this process's own name; commit: writes a change and tells the observers."""

    def __init__(
        self, ledger: Ledger, clock: Clock, random: Random, owner: str, commit: Callable[[Change], Awaitable[int]]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._owner = owner
        self._commit = commit

    async def open_void(self, place: Place, dialect: Dialect, operation: Operation, target: Case) -> Case:
        """A refund is a case of its own; the settlement shows VOIDING meanwhile.

        Raises: Refused USE_CANCEL, KEY_REUSED, NOT_SUPPORTED.
        """
        key, own = await self._void_key(place, operation, target)
        if own is not None:
            if own.target_case_id != target.case_id:
                raise key_reused(own)
            return await self._void_again(own, target)
        if target.state is State.VOIDED:
            return await self._void_of(target)
        if target.state is not State.SETTLED:
            code = "VISIT_HELD" if target.state in (State.VOIDING, *UNDECIDED) else "USE_CANCEL"
            state = answers.told_state(target)
            raise Refused(f"state {state}", code=code, message_zh=f"该笔结算当前为 {state}，不能退费，未发送")
        if place.gateway.route.back(target.kind, "void") is None:
            raise NotSupported("this route can't void", message_zh="该线路不支持退费，未发送")
        at = iso(self._clock.wall())
        void = replace(
            target,
            case_id=self._random.token(),
            purpose="void",
            key=key,
            state=State.READY,
            owner=self._owner,
            epoch=1,
            request_hash=content_hash({"void": target.case_id}),
            version=1,
            setl_id="",
            total_fen=None,
            fund_fen=None,
            account_fen=None,
            cash_fen=None,
            target_case_id=target.case_id,
            opened_at=at,
            changed_at=at,
            told={},
            data={"intent": "void", "message": operation.message, "asked": asked_hash(operation)},
        )
        accepted = case_event("ACCEPTED", void, at, {"operation": operation_data(operation)})
        aliases = tuple(
            Alias(place.org, dialect.name, kind, value, void.encounter_id, void.bill_id, void.case_id)
            for kind, value in operation.refs.items()
            if value == operation.keys.get("void")
        )
        change = Change(place.org, events=(accepted,), cases=(void, move(target, State.VOIDING, at)), aliases=aliases)
        await self._commit(change)
        return void

    async def _void_key(self, place: Place, operation: Operation, target: Case) -> tuple[str, Case | None]:
        """The key and the case that has it; without a key of the HIS's own, a refused refund may be asked for again."""
        if operation.keys.get("void"):
            return operation.keys["void"], await self._ledger.case_by_key(place.org, "void", operation.keys["void"])
        number = 1
        while True:
            key = f"void:{target.case_id}:{number}"
            own = await self._ledger.case_by_key(place.org, "void", key)
            if own is None or own.state not in (State.REJECTED, State.NOT_APPLIED, State.CANCELLED):
                return key, own
            number += 1

    async def _void_again(self, void: Case, target: Case) -> Case:
        """A refund that never reached the centre is taken up again under its key; any other answers as it stands."""
        if void.state is not State.NOT_SENT or target.state is not State.SETTLED:
            return void
        at = iso(self._clock.wall())
        again = move(void, State.READY, at, owner=self._owner, epoch=void.epoch + 1)
        events = (case_event("RETRIED", again, at),)
        await self._commit(Change(void.org, events=events, cases=(again, move(target, State.VOIDING, at))))
        return again

    async def _void_of(self, target: Case) -> Case:
        for case in reversed(await self._ledger.cases_of_bill(target.bill_id)):
            if case.purpose == "void" and case.target_case_id == target.case_id and case.state is State.VOIDED:
                return case
        return target


def cancelled(case: Case, at: str) -> tuple[Outcome, Change | None]:
    """Cancel before anything was sent; in doubt only the wish is noted; settled is a refund's business.  at: now, RFC 3339."""
    if case.state is State.CANCELLED:
        return answers.standing_outcome(case), None
    if case.state in (State.SETTLED, State.VOIDING):
        raise Refused("settled", code="USE_VOID", message_zh="该笔已结算成功，请走退费，不能取消")
    if case.state in UNDECIDED or case.state is State.FROZEN:
        unwanted = replace(case, wanted=False, version=case.version + 1, changed_at=at)
        events = (case_event("CANCEL_ASKED", unwanted, at),)
        return answers.standing_outcome(unwanted), Change(case.org, events=events, cases=(unwanted,))
    if case.state in ENDED_WITHOUT_MONEY or case.state in PAPER:
        return answers.standing_outcome(case), None
    ended = move(case, State.CANCELLED, at, wanted=False, told={})
    return answers.standing_outcome(ended), Change(
        case.org, events=(case_event("CANCELLED", ended, at),), cases=(ended,)
    )


def key_reused(case: Case) -> Refused:
    """What is raised where a key comes again with other content."""
    return Refused(
        f"key of case {case.case_id} came with other content",
        code="KEY_REUSED",
        message_zh="同一业务号的内容与之前不同，未发送，请更换业务号或核对内容",
    )
