"""Applications (备案): a chronic disease, a chosen institution, a transfer, registered for a person or taken back (25xx).

They create something at the centre and move no money: an application without an answer is asked for before it is sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from adapter_core.province.messages import Operation, Outcome
from adapter_core.province.plan import Step
from adapter_core.settlement import answers
from adapter_core.settlement.absorb import absorb, content_hash
from adapter_core.settlement.calls import Context
from adapter_core.settlement.chain import Chain
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Ledger, Random
from adapter_core.settlement.records import Bill, Change, Encounter
from adapter_core.settlement.standing import doubt
from adapter_core.settlement.states import Result
from adapter_core.settlement.stopping import StepStopped
from adapter_core.settlement.ways import way_section
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, NotSupported, TranslationError
from adapter_core.values.moments import national_time

KINDS = ("chronic", "chosen", "transfer")
SAME = {
    "chronic": ("qualifications", "opsp_dise_code"),
    "chosen": ("chosen", "fixmedins_code"),
    "transfer": ("transfers", "reflin_medins_no"),
}
"""Where the asking step files its rows, and by which field an application is found among them."""
NUMBER = "trt_dcla_detl_sn"


class Applications:
    def __init__(self, ledger: Ledger, chain: Chain, clock: Clock, random: Random) -> None:
        self._ledger = ledger
        self._chain = chain
        self._clock = clock
        self._random = random

    async def run(
        self, place: Place, operation: Operation, signed_in: Callable[[Context], Awaitable[Context]]
    ) -> Outcome:
        """``file`` or ``unfile``.  Raises: TranslationError, NotSupported; StepStopped where nothing of it is in doubt."""
        kind = str(operation.content.get("filing", {}).get("kind", ""))
        if kind not in KINDS:
            raise TranslationError([Fault("filing.kind", " | ".join(KINDS), kind[:20])])
        known = await self._ledger.encounter_by_key(place.org, _key(operation, kind))
        place = place.of(known) if known else place
        step = place.gateway.route.steps.get(f"{operation.verb}_{kind}")
        if step is None:
            raise NotSupported(f"no {operation.verb} of {kind} here", message_zh="该线路不支持此备案，未发送")
        context = await self._context(place, operation, kind)
        filed = place.gateway.route.steps[f"file_{kind}"]
        try:
            context = await signed_in(context)
            who = place.gateway.route.steps["who"]
            context = await self._chain.run(context, [who], who)
            if operation.verb == "unfile":
                return await self._unfiled(context, step, filed)
            return await self._filed(context, step, kind)
        except StepStopped:
            known = await self._ledger.encounter(context.encounter.encounter_id)
            if known is None or doubt(step) not in known.standing:
                raise
            return _unknown(step)

    async def _context(self, place: Place, operation: Operation, kind: str) -> Context:
        """The application's own record: it outlives the process, and is met again by the same words."""
        key = _key(operation, kind)
        encounter = await self._ledger.encounter_by_key(place.org, key)
        way = way_section(place.way)
        new = Encounter(self._random.token(), place.org, key, "outpatient", operation.dialect, content=way)
        bill = Bill("", place.org, "", "", "")
        now = national_time(self._clock.wall())
        encounter, bill = absorb(encounter or new, bill, operation, place.defaults, now)
        before = encounter.content.get("filing", {})
        filing = {**before, **operation.content["filing"]}
        encounter = replace(encounter, content={**encounter.content, "filing": filing}, version=encounter.version + 1)
        bill = replace(bill, bill_id=f"{encounter.encounter_id}-0", encounter_id=encounter.encounter_id, visit_key=key)
        known = await self._ledger.bill(bill.bill_id)
        bill = replace(bill, version=(known.version if known else 0) + 1)
        await self._ledger.commit(Change(place.org, encounter=encounter, bills=(bill,)))
        return Context(place, encounter, bill)

    async def _filed(self, context: Context, step: Step, kind: str) -> Outcome:
        standing = context.encounter.standing
        if step.name in standing:
            return _done("备案已办理", standing[step.name])
        if doubt(step) in standing and await self._is_there(context, step, kind):
            return await self._keep(context, step, {})
        context, called = await self._chain.sent(context, step)
        verdict = called.verdict
        if verdict.result is Result.APPLIED:
            return await self._keep(context, step, verdict.content.get("filing", {}))
        if verdict.result is Result.UNKNOWN and await self._is_there(context, step, kind):
            return await self._keep(context, step, {})
        return _not_done(verdict, step, context)

    async def _unfiled(self, context: Context, step: Step, filed: Step) -> Outcome:
        known = context.encounter.standing.get(filed.name) or {}
        number = context.encounter.content["filing"].get(NUMBER) or known.get(NUMBER)
        if not number:
            raise TranslationError([Fault(f"filing.{NUMBER}", "the number of the application", "nothing")])
        filing = {**context.encounter.content["filing"], NUMBER: number}
        content = {**context.encounter.content, "filing": filing}
        context = replace(context, encounter=replace(context.encounter, content=content))
        context, called = await self._chain.sent(context, step)
        if called.verdict.result is not Result.APPLIED:
            return _not_done(called.verdict, step, context)
        gone = {name: row for name, row in context.encounter.standing.items() if name not in (filed.name, doubt(filed))}
        encounter = replace(context.encounter, standing=gone, version=context.encounter.version + 1)
        await self._ledger.commit(Change(context.place.org, encounter=encounter))
        return answers.plain("DONE", "OK", "备案已撤销")

    async def _is_there(self, context: Context, step: Step, kind: str) -> bool:
        """Raises: StepStopped when the question was not answered either."""
        if not step.ask:
            return False
        called = await self._chain.looked_up(context, step)
        section, field = SAME[kind]
        wanted = context.encounter.content["filing"].get(field)
        return any(row.get(field) == wanted for row in called.verdict.content.get(section, []))

    async def _keep(self, context: Context, step: Step, told: Content) -> Outcome:
        kept = {NUMBER: str(told.get(NUMBER, ""))}
        standing = {name: row for name, row in context.encounter.standing.items() if name != doubt(step)}
        encounter = replace(
            context.encounter, standing={**standing, step.name: kept}, version=context.encounter.version + 1
        )
        await self._ledger.commit(Change(context.place.org, encounter=encounter))
        return _done("备案成功", kept)


def _done(text: str, kept: Content) -> Outcome:
    return answers.plain("DONE", "OK", text, {"filing": {NUMBER: kept.get(NUMBER, "")}})


def _not_done(verdict: Verdict, step: Step, context: Context) -> Outcome:
    """context: as it is stored since."""
    if verdict.result is Result.REJECTED:
        return answers.plain("REJECTED", "CENTRE_REFUSED", f"医保中心拒绝备案：{verdict.text or '无说明'}")
    if verdict.result is Result.NOT_SENT and doubt(step) not in context.encounter.standing:
        return answers.plain("NOT_SENT", verdict.code, "未能送达医保中心，备案没有办理，请稍后重试")
    return _unknown(step)


def _unknown(step: Step) -> Outcome:
    text = "备案结果未知，请稍后用同一内容重试，系统会先核实再发送"
    if not step.ask:
        text = "备案撤销结果未知，请稍后用同一内容重试，重复撤销不会撤销两次"
    return Outcome("PENDING", "FILING_UNKNOWN", text, {}, {}, answers.REPEAT)


def _key(operation: Operation, kind: str) -> str:
    """Of an application's own record: the person and what it is for, hashed."""
    said, person = operation.content["filing"], operation.content.get("person", {})
    who = person.get("psn_no") or person.get("certno") or person.get("mdtrt_cert_no")
    return f"filing/{kind}/{content_hash([who, said.get(SAME[kind][1])])[:32]}"
