"""Reception: which encounter, bill and case a message means; what it opens, repeats, continues or is refused for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from adapter_core.province.dialect import Dialect, RefKind
from adapter_core.province.messages import Operation
from adapter_core.settlement import answers, late_filing
from adapter_core.settlement.absorb import absorb, asked_hash, operation_data, refuse_faults, request_hash
from adapter_core.settlement.calls import Context
from adapter_core.settlement.chain import plan_faults
from adapter_core.settlement.credentials import credential_of, noted_credential
from adapter_core.settlement.decisions import move
from adapter_core.settlement.diseases import options_of
from adapter_core.settlement.filing import undo_step
from adapter_core.settlement.hospital_items import refuse_unmapped, with_codes
from adapter_core.settlement.locating import Found, locate, own_name
from adapter_core.settlement.newborns import ALIAS, alias_of, noted, refuse_unready
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, ItemCodes, Ledger, Random
from adapter_core.settlement.preadmission import carried, folded_in, refuse_folded
from adapter_core.settlement.records import Alias, Bill, Case, Change, Encounter, case_event
from adapter_core.settlement.reopening import reopened
from adapter_core.settlement.standing import stands
from adapter_core.settlement.states import ENDED_WITHOUT_MONEY, State
from adapter_core.settlement.taking_back import cancelled, key_reused
from adapter_core.settlement.ways import way_section
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSupported, Refused
from adapter_core.values.moments import china, iso, national_time


@dataclass(frozen=True, slots=True)
class Opened:
    """The case a message means.  context, accepted: of a new case, or of a quote that is to be settled now: its records as they are to
    be stored, and J1 without the case itself; whoever takes it on stores it, alone or together with what follows at once."""

    case: Case
    context: Context | None = None
    accepted: Change | None = None


class Reception:
    """owner: this process's own name; commit: writes a change and tells the observers; items: the mapping of the hospital's own
    items, None where the site keeps none."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        random: Random,
        owner: str,
        commit: Callable[[Change], Awaitable[int]],
        items: ItemCodes | None = None,
    ) -> None:
        self.items = items
        self._owner = owner
        self._commit = commit
        self._ledger = ledger
        self._clock = clock
        self._random = random

    # -- admitting content

    def admitted(
        self, place: Place, dialect: Dialect, operation: Operation, found: Found, case_id: str = ""
    ) -> tuple[Context, Change]:
        """The context with the message absorbed, and the change that stores it (new aliases included)."""
        refuse_unready(found.encounter, operation)
        refuse_folded(found.bill)
        encounter = found.encounter or self._new_encounter(place, operation)
        bill, others = found.bill, list[Bill]()
        if bill is None or not bill.is_open:
            bill = self._new_bill(place, encounter, operation)
            if found.bill is not None and folded_in(found.bill):
                bill, closed = carried(found.bill, bill)
                others.append(closed)
            if found.bill is not None:
                bill = reopened(place.gateway.route, encounter.kind, found.bill, bill)
        encounter, bill = self._absorbed(place, encounter, bill, operation)
        encounter = noted(encounter, operation, options_of(place))
        encounter = replace(encounter, version=encounter.version + 1)
        bill = replace(bill, version=bill.version + 1)
        aliases = tuple(
            Alias(place.org, dialect.name, kind, value, encounter.encounter_id, *self._bound(spec, bill, case_id))
            for kind, value, spec in (
                (kind, value, dialect.refs.get(kind) or RefKind(kind, theirs=True))
                for kind, value in operation.refs.items()
            )
            if spec.theirs and not spec.names
        )
        if child := alias_of(operation):
            aliases += (Alias(place.org, ALIAS, ALIAS, child, encounter.encounter_id),)
        items = late_filing.noted(encounter, self._clock.wall()) if encounter.version == 1 else ()
        change = Change(place.org, encounter=encounter, bills=(bill, *others), aliases=aliases, items=items)
        return Context(place, encounter, bill), change

    def _bound(self, spec: RefKind, bill: Bill, case_id: str) -> tuple[str, str]:
        return (bill.bill_id if spec.binds != "encounter" else "", case_id if spec.binds == "case" else "")

    def _new_encounter(self, place: Place, operation: Operation) -> Encounter:
        encounter_id = self._random.token()
        key = (
            operation.keys.get("encounter")
            or operation.keys.get("visit")
            or operation.keys.get("settle")
            or encounter_id
        )
        way = way_section("" if place.ways.is_choice else place.way)
        return Encounter(encounter_id, place.org, key, operation.kind, operation.dialect, content=way)

    def _new_bill(self, place: Place, encounter: Encounter, operation: Operation) -> Bill:
        number = self._ledger.sequence(place.org)
        day = china(self._clock.wall()).strftime("%y%m%d")
        charge_batch = operation.content.get("bill", {}).get("chrg_bchno") or f"{day}{number:08}"
        visit_key = operation.keys.get("visit") or own_name(encounter, charge_batch)
        return Bill(self._random.token(), place.org, encounter.encounter_id, visit_key, charge_batch)

    # -- opening cases

    async def open_case(self, place: Place, dialect: Dialect, operation: Operation) -> Opened:
        """The case a quote or settle means: its own, the one it repeats, the quote it settles, or a new one, not stored yet.

        Raises: Refused KEY_REUSED, VISIT_HELD, UNKNOWN_REF …; TranslationError with every fault of the whole plan.
        """
        goal = place.gateway.route.goal(operation.kind, operation.verb)
        if goal is None:
            raise NotSupported(
                f"no {operation.verb} for {operation.kind} here", message_zh="该线路不支持此业务，未发送"
            )
        key, own = await self._free_key(place, operation)
        if own is not None:
            if operation.keys.get("visit") not in (None, own.visit_key):
                raise key_reused(own)
            return await self._continued(place, dialect, operation, own)
        found = await locate(self._ledger, place, dialect, operation)
        if found.case is not None and found.case.state not in ENDED_WITHOUT_MONEY:
            return await self._continued(place, dialect, operation, found.case)
        twin = await self._twin(found, operation)
        if twin is not None:
            return await self._continued(place, dialect, operation, twin)
        quoted = await self._quoted(place, operation, found)
        if quoted is not None:
            return await self._continued(place, dialect, operation, quoted)
        return await self._new_case(place, dialect, operation, found, key)

    async def _free_key(self, place: Place, operation: Operation) -> tuple[str, Case | None]:
        """The settle key and the case that has it; where a protocol's key is no serial number, the next free repetition of it."""
        base = operation.keys.get("settle", "")
        if not base:
            return base, None
        key, number = base, 1
        while True:
            case = await self._ledger.case_by_key(place.org, "settle", key)
            if case is None or not operation.key_repeats or case.state not in ENDED_WITHOUT_MONEY:
                return key, case
            number += 1
            key = f"{base}#{number}"

    async def _twin(self, found: Found, operation: Operation) -> Case | None:
        """A case of this encounter that stands or may stand, asked for in the same words under another number.

        A HIS that names its bills is taken at its word: two bills may well have the same lines.
        """
        if found.encounter is None or operation.verb != "settle" or operation.keys.get("visit"):
            return None
        asked = asked_hash(operation)
        for bill in reversed(await self._ledger.bills_of(found.encounter.encounter_id)):
            for case in reversed(await self._ledger.cases_of_bill(bill.bill_id)):
                if case.purpose == "settle" and case.holds_visit and case.data.get("asked") == asked:
                    return case
        return None

    async def _quoted(self, place: Place, operation: Operation, found: Found) -> Case | None:
        """The open quote a settle message means that can't name it: protocols without bill keys."""
        if found.bill is None or operation.verb != "settle" or operation.keys.get("visit"):
            return None
        holder = await self._ledger.holder(place.org, found.bill.visit_key)
        return holder if holder is not None and holder.state is State.QUOTED else None

    async def _continued(self, place: Place, dialect: Dialect, operation: Operation, case: Case) -> Opened:
        """An existing case met again: told again, taken up again, or the quote it was now settled."""
        if case.state is State.QUOTED:
            return await self._quote_continued(place, dialect, operation, case)
        if case.data.get("asked") != asked_hash(operation):
            raise key_reused(case)
        if case.state is State.NOT_SENT:
            return Opened(await self._taken_up_again(place, operation, case))
        return Opened(case)

    async def _taken_up_again(self, place: Place, operation: Operation, case: Case) -> Case:
        """A case that never reached the centre, asked for again: with a new trial, which also shows that the centre is back."""
        self.refuse_cut_over(place, begins=False)
        encounter, bill = await self._records(case)
        goal = place.gateway.route.goal(case.kind, "quote")
        assert goal is not None
        _, bill = undo_step(goal, encounter, bill)
        again = move(case, State.PREPARING, iso(self._clock.wall()), owner=self._owner, epoch=case.epoch + 1)
        change = Change(
            place.org,
            encounter=self._with_credential(encounter, operation),
            bills=(replace(bill, version=bill.version + 1),),
            cases=(again,),
            events=(case_event("RETRIED", again, iso(self._clock.wall())),),
        )
        await self._commit(change)
        return again

    def _with_credential(self, encounter: Encounter, operation: Operation) -> Encounter | None:
        """The encounter with a repeat's fresh credential, which is no content of its own; None where none came."""
        person = encounter.content.get("person", {})
        said = credential_of(operation.content.get("person", {}))
        if not said:
            return None
        noted = noted_credential(encounter, said, iso(self._clock.wall()))
        content = {**noted.content, "person": {**person, **said}}
        return replace(noted, content=content, version=encounter.version + 1)

    def refuse_cut_over(self, place: Place, *, begins: bool) -> None:
        """Raises: Refused SYSTEM_CUTOVER, START_ANEW."""
        if place.ways.cutovers:
            place.ways.refuse_cut_over(place.way, self._clock.wall(), begins=begins)

    def _absorbed(self, place: Place, encounter: Encounter, bill: Bill, operation: Operation) -> tuple[Encounter, Bill]:
        """Both records with the message's content in them, and since when its credential is known."""
        said = credential_of({**encounter.content.get("person", {}), **operation.content.get("person", {})})
        if operation.content.get("person"):
            encounter = noted_credential(encounter, said, iso(self._clock.wall()))
        now = national_time(self._clock.wall())
        return absorb(encounter, bill, with_codes(operation, self.items, place.org, now), place.defaults, now)

    async def _quote_continued(self, place: Place, dialect: Dialect, operation: Operation, case: Case) -> Opened:
        encounter, bill = await self._records(case)
        goal = place.gateway.route.goal(operation.kind, "quote")
        assert goal is not None
        encounter, bill = self._absorbed(place, encounter, bill, operation)
        refuse_faults(operation, bill, ())
        unchanged = stands(goal, encounter, bill)
        age_s = self._age_s(case)
        if age_s > place.timers.quote_ttl:
            _, change = cancelled(case, iso(self._clock.wall()))
            assert change is not None
            await self._commit(change)
            raise Refused(
                f"quoted {age_s:.0f} s ago",
                code="QUOTE_EXPIRED",
                message_zh="预结算已过有效期，已作废，请重新预结算后再结算",
            )
        if operation.verb == "quote" and unchanged:
            return Opened(case)
        if operation.verb == "quote" and operation.key_repeats:
            _, change = cancelled(case, iso(self._clock.wall()))
            assert change is not None
            await self._commit(change)
            return await self.open_case(place, dialect, operation)
        if operation.verb == "quote" or not unchanged:
            raise Refused(
                "the quoted bill differs from what came",
                code="VISIT_HELD",
                message_zh="费用内容与上次预结算不一致，未结算，请先取消原预结算再重新预结算",
            )
        self.refuse_cut_over(place, begins=False)
        at = iso(self._clock.wall())
        old = age_s > place.timers.requote_after
        data = {**case.data, "intent": "settle", "asked": asked_hash(operation)}
        state = State.PREPARING if old else State.READY
        wanted = move(case, state, at, data=data, owner=self._owner, epoch=case.epoch + 1)
        if old:
            _, bill = undo_step(goal, encounter, bill)
        encounter = replace(encounter, version=encounter.version + 1)
        bill = replace(bill, version=bill.version + 1)
        asked = Change(
            place.org,
            encounter=encounter,
            bills=(bill,),
            aliases=self._case_aliases(place, operation, wanted),
            events=(case_event("SETTLE_ASKED", wanted, at, {"keys": dict(operation.keys)}),),
        )
        return Opened(wanted, Context(place, encounter, bill, wanted), asked)

    def _case_aliases(self, place: Place, operation: Operation, case: Case) -> tuple[Alias, ...]:
        """A quote's case answers to the settle message's own number as well."""
        return tuple(
            Alias(place.org, operation.dialect, kind, value, case.encounter_id, case.bill_id, case.case_id)
            for kind, value in operation.refs.items()
            if value == operation.keys.get("settle")
        )

    async def _new_case(self, place: Place, dialect: Dialect, operation: Operation, found: Found, key: str) -> Opened:
        self.refuse_cut_over(place, begins=True)
        case_id = self._random.token()
        found = await self._unheld(place, operation, found)
        context, change = self.admitted(place, dialect, operation, found, case_id)
        route = place.gateway.route
        goal = route.goal(operation.kind, operation.verb)
        assert goal is not None
        refuse_unmapped(context.bill, self.items)
        refuse_faults(operation, context.bill, plan_faults(context, route.path(operation.kind, goal)))
        at = iso(self._clock.wall())
        hashed = request_hash(operation)
        case = Case(
            case_id=case_id,
            org=place.org,
            purpose="settle",
            key=key or case_id,
            visit_key=context.bill.visit_key,
            encounter_id=context.encounter.encounter_id,
            bill_id=context.bill.bill_id,
            kind=operation.kind,
            dialect=operation.dialect,
            state=State.PREPARING,
            owner=self._owner,
            epoch=1,
            request_hash=hashed,
            version=1,
            opened_at=at,
            changed_at=at,
            data={
                "intent": operation.verb,
                "asked": asked_hash(operation, hashed),
                "message": operation.message,
                "on_unknown": operation.content.get("x", {}).get("on_unknown", ""),
            },
        )
        accepted = case_event("ACCEPTED", case, at, {"operation": operation_data(operation)})
        search = (("visit_key", case.visit_key, case_id),)
        return Opened(case, replace(context, case=case), replace(change, events=(accepted,), search=search))

    async def _unheld(self, place: Place, operation: Operation, found: Found) -> Found:
        """The bill free for a new case.  A quote may follow a quote, and an expired one
        holds nothing: the older one is cancelled, no money was at stake."""
        if found.bill is None:
            return found
        holder = await self._ledger.holder(place.org, found.bill.visit_key)
        if holder is None:
            return found
        replaced = operation.verb == "quote" and not operation.keys.get("visit")
        expired = self._age_s(holder) > place.timers.quote_ttl
        named = operation.keys.get("supersedes") == holder.key
        if holder.state is State.QUOTED and (replaced or expired or named):
            outcome, change = cancelled(holder, iso(self._clock.wall()))
            assert change is not None and outcome.state == "CANCELLED"
            await self._commit(change)
            return found
        raise _visit_held(holder)

    async def refuse_held(self, place: Place, found: Found) -> None:
        """A bill that a case works on takes no more lines; a quoted one may: its quote no longer fits then.

        Raises: Refused VISIT_HELD.
        """
        if found.bill is None or not found.bill.is_open:
            return
        holder = await self._ledger.holder(place.org, found.bill.visit_key)
        if holder is not None and holder.state is not State.QUOTED:
            raise _visit_held(holder)

    # -- records

    async def _records(self, case: Case) -> tuple[Encounter, Bill]:
        encounter = await self._ledger.encounter(case.encounter_id)
        bill = await self._ledger.bill(case.bill_id)
        assert encounter is not None and bill is not None
        return encounter, bill

    def _age_s(self, case: Case) -> float:
        return (self._clock.wall() - datetime.fromisoformat(case.changed_at)).total_seconds()


def _visit_held(holder: Case) -> Refused:
    return Refused(
        f"held by {holder.case_id}",
        code="VISIT_HELD",
        message_zh=f"该笔费用已有一笔结算（工单号 {answers.work_order(holder)}，{answers.told_state(holder)}），请先处理该笔",
    )
