"""Enquiring: the reads that eligibility rests on, made one after the other as far as they are needed.  Nothing but reads is sent.

What a route can't ask, or what got no trusted answer, is not known: never an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from adapter_core.province.diseases import CHRONIC
from adapter_core.province.messages import Call, Operation
from adapter_core.province.plan import Step
from adapter_core.settlement.absorb import ELECTRONIC, absorb
from adapter_core.settlement.calls import Called, Caller, Context
from adapter_core.settlement.eligibility import Answer, Facts, Read
from adapter_core.settlement.filing import choose_insurance
from adapter_core.settlement.filing_state import Filing
from adapter_core.settlement.findings import POOLS, judged
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Ledger
from adapter_core.settlement.records import Bill, Encounter
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.standing import missing, view
from adapter_core.settlement.states import Result, State
from adapter_core.settlement.stopping import StepStopped, question_of
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused
from adapter_core.values.moments import national_time

TRANSFERS_SINCE = timedelta(days=366)
"""How far back transfers are asked for: a transfer is valid for at least six months, so a year shows every one in force."""


@dataclass(frozen=True, slots=True)
class Enquiry:
    """operation: person, visit, settle, fees and operator as far as the HIS says them; stated: what the cashier reads off the
    patient's app; encounter_key: of a visit that is known here: what it holds needn't be said again."""

    operation: Operation
    stated: Filing | None = None
    encounter_key: str = ""


class Enquiring:
    def __init__(self, ledger: Ledger, caller: Caller, sessions: Sessions, clock: Clock) -> None:
        self._ledger = ledger
        self._caller = caller
        self._sessions = sessions
        self._clock = clock

    async def ask(self, place: Place, enquiry: Enquiry) -> Answer:
        """The answer by all that can be known now.

        Raises: Refused NO_SUCH_ENCOUNTER; TranslationError where the person's credential can't be sent at all.
        """
        context, last_refusal = await self._context(place, enquiry)
        facts = Facts(question_of(context), place.circumstances(), stated=enquiry.stated, last_refusal=last_refusal)
        if facts.around.planned(place.site.admdvs, facts.insured):
            return judged(facts)  # a centre that is announced to be down is not asked
        context, facts = await self._identified(context, facts, enquiry)
        if facts.insurance is not None:
            facts = await self._asked_on(context, facts)
        return judged(facts)

    async def _context(self, place: Place, enquiry: Enquiry) -> tuple[Context, Read | None]:
        """What was said, on top of what the encounter holds; it is stored nowhere."""
        operation = enquiry.operation
        encounter = Encounter("", place.org, "", operation.kind, operation.dialect)
        bill = Bill("", place.org, "", "", "")
        last: Read | None = None
        if enquiry.encounter_key:
            known = await self._ledger.encounter_by_key(place.org, enquiry.encounter_key)
            if known is None:
                text = f"没有找到就诊 {enquiry.encounter_key[:64]}，请核对"
                raise Refused("no such encounter", code="NO_SUCH_ENCOUNTER", message_zh=text)
            encounter = known
            bills = await self._ledger.bills_of(known.encounter_id)
            bill = bills[-1] if bills else bill
            last = await self._last_refusal(place, encounter, bill)
        now = national_time(self._clock.wall())
        encounter, bill = absorb(encounter, bill, replace(operation, kind=encounter.kind), place.defaults, now)
        way = place.of(encounter)
        if not encounter.encounter_id:
            way = way.chosen(view(encounter, bill), encounter.kind, self._clock.wall())
        return Context(way, encounter, bill), last

    async def _last_refusal(self, place: Place, encounter: Encounter, bill: Bill) -> Read | None:
        """What the centre said when it refused this bill the last time."""
        cases = await self._ledger.cases_of_bill(bill.bill_id) if bill.bill_id else []
        if not cases or cases[-1].state is not State.REJECTED:
            return None
        events = await self._ledger.events_of_case(cases[-1].case_id)
        said = [one.data for one in events if one.kind == "OUTCOME" and one.data.get("result") == Result.REJECTED]
        if not said:
            return None
        text = str(said[-1].get("text", ""))
        insured = str(encounter.content.get("person", {}).get("insuplc_admdvs", ""))
        return Read(str(said[-1]["message"]), None, text, self._reason(place, text, insured))

    # -- the reads

    async def _identified(self, context: Context, facts: Facts, enquiry: Enquiry) -> tuple[Context, Facts]:
        step = context.place.gateway.route.goal(context.encounter.kind, "identify")
        if step is None or missing(step, view(context.encounter, context.bill)) or _is_spent(context, enquiry):
            return context, self._known_insurance(context, facts)
        read, called = await self._read(context, facts, step, view(context.encounter, context.bill))
        facts = replace(facts, identity=read)
        if called is None or called.verdict.result is not Result.APPLIED:
            return context, facts
        content = called.verdict.content
        person = {**context.encounter.content.get("person", {}), **_known(content.get("person", {}))}
        rows = tuple(content.get("insurances", ()))
        told = {"person": person, "insurances": rows}
        context = replace(context, encounter=replace(context.encounter, content={**context.encounter.content, **told}))
        return context, self._known_insurance(context, facts)

    def _known_insurance(self, context: Context, facts: Facts) -> Facts:
        """The rows of insurance and the one the visit is settled on; a route that tells none leaves what the HIS says."""
        person = context.encounter.content.get("person", {})
        asked = replace(facts.question, person=person)
        if "insurances" not in context.encounter.content:
            said = {**person, "insuplc_admdvs": facts.insured, "insutype": asked.insutype}
            row = {name: said[name] for name in ("insuplc_admdvs", "insutype", "balc") if said.get(name)}
            return replace(facts, question=asked, insurance=row if "insutype" in row else None)
        rows = tuple(context.encounter.content["insurances"])
        return replace(facts, question=asked, insurances=rows, insurance=_chosen_row(rows, asked.insutype))

    async def _asked_on(self, context: Context, facts: Facts) -> Facts:
        """Benefits, qualification, chosen institution, transfers: each where its answer can matter."""
        asked, content = facts.question, self._content(context, facts)
        benefits, _ = await self._query(context, facts, "2001", content)
        facts = replace(facts, benefits=benefits)
        ordinary = asked.kind == "outpatient" and asked.med_type != CHRONIC
        if asked.med_type == CHRONIC or (ordinary and _pool_refuses(benefits)):
            read, _ = await self._query(context, facts, "5301", content)
            facts = replace(facts, qualifications=read)
        if asked.med_type == CHRONIC and content["settle"].get("biz_appy_type"):
            read, _ = await self._query(context, facts, "5302", content)
            facts = replace(facts, chosen=read)
        if facts.is_away:
            now = self._clock.wall()
            window = {"begntime": national_time(now - TRANSFERS_SINCE), "endtime": national_time(now)}
            read, _ = await self._query(context, facts, "5304", {**content, "visit": window, "env": content["env"]})
            facts = replace(facts, transfers=read)
        return facts

    def _content(self, context: Context, facts: Facts) -> Content:
        """What the queries are built from: the person, the visit, and the institution itself."""
        content = view(context.encounter, context.bill)
        insurance = facts.insurance or {}
        person = {**content.get("person", {}), "insuplc_admdvs": facts.insured or context.place.site.admdvs}
        settle = {**content["settle"], "insutype": insurance.get("insutype", ""), "med_type": facts.question.med_type}
        return {
            "person": person,
            "visit": content.get("visit", {}),
            "settle": settle,
            "env": content.get("env", {}),
            "filing": {"fixmedins_code": context.place.org},
        }

    async def _query(
        self, context: Context, facts: Facts, infno: str, content: Content
    ) -> tuple[Read | None, Called | None]:
        """A query by its national number; None where this route has none."""
        steps = context.place.gateway.route.steps.values()
        step = next((one for one in steps if one.call[:4] == infno and one.kind_class == "R"), None)
        if step is None or not content["person"].get("psn_no"):
            return None, None
        return await self._read(context, facts, step, content)

    async def _read(
        self, context: Context, facts: Facts, step: Step, content: Content
    ) -> tuple[Read | None, Called | None]:
        call = Call(step.name, step.call, step.kind_class, content, "0" * 30)
        if step.name != "who" and context.place.gateway.faults(call):
            return None, None  # this gateway wants more than anybody knows yet
        try:
            context = await self._sessions.signed_in(context)
        except StepStopped as stopped:
            return self._outcome(context, facts, stopped.step, stopped.verdict), None
        content = {**content, "env": {**content.get("env", {}), **context.encounter.content.get("env", {})}}
        called = await self._caller.read(step, context, content)
        return self._outcome(context, facts, step, called.verdict), called

    def _outcome(self, context: Context, facts: Facts, step: Step, verdict: Verdict) -> Read:
        match verdict.result:
            case Result.APPLIED:
                return Read(step.call, tuple(_rows(verdict.content)))
            case Result.REJECTED:
                reason = self._reason(context.place, verdict.text, facts.insured)
                return Read(step.call, None, verdict.text, reason)
            case Result.NOT_SENT:
                return Read(step.call, trouble=verdict.code, sent=False)
            case _:
                return Read(step.call, trouble=verdict.code or "NO_REPLY")

    def _reason(self, place: Place, text: str, insured: str) -> Any:
        return place.circumstances().reason_of(text, insured, place.gateway.policy)


def _is_spent(context: Context, enquiry: Enquiry) -> bool:
    """The encounter's credential is a code that was shown once, and what it told is known: it can't be asked by again."""
    person = context.encounter.content.get("person", {})
    shown_once = person.get("mdtrt_cert_type") == ELECTRONIC and not enquiry.operation.content.get("person")
    return shown_once and "insurances" in context.encounter.content


def _chosen_row(rows: Sequence[Mapping[str, Any]], insutype: str) -> Mapping[str, Any] | None:
    """The row a settlement would be made on; None where a person has to choose."""
    try:
        return choose_insurance(rows, insutype or None)
    except Refused:
        return None


def _known(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value not in (None, "")}


def _rows(content: Content) -> list[Mapping[str, Any]]:
    """The rows of a query's answer, wherever its route files them."""
    for name in ("benefits", "qualifications", "chosen", "transfers", "insurances"):
        if name in content:
            found: list[Mapping[str, Any]] = content[name]
            return found
    return []


def _pool_refuses(read: Read | None) -> bool:
    rows = [row for row in (read.rows or ()) if str(row.get("fund_pay_type") or "").startswith(POOLS)] if read else []
    return bool(rows) and all(row.get("trt_enjymnt_flag") == "0" for row in rows)
