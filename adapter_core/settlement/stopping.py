"""Stopping a settlement before it is sent, where a step came to nothing or a certain fact says that it can't work; and saying by
facts why a centre refused.

Only what the site itself knows and what 1101 told counts: nothing is asked for it, and what is unknown stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from adapter_core.province.plan import Route, Step
from adapter_core.province.policy import reasons
from adapter_core.settlement.calls import SAFE_TO_REPEAT, Context
from adapter_core.settlement.circumstances import NOTHING_KNOWN
from adapter_core.settlement.diseases import OWN_CODES, options_of
from adapter_core.settlement.eligibility import Facts, Question
from adapter_core.settlement.findings import explained, standing_fault, stop
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.records import Bill, Encounter
from adapter_core.settlement.standing import doubt, view
from adapter_core.settlement.states import Result
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused

USUAL_TYPE = {"outpatient": "11", "inpatient": "21", "pharmacy": "41"}
EMERGENCY_FLAGS = ("otp_er_refl_flag", "er_flag")
"""Fields seen for the emergency flag; no national table has them, so each site says which one its gateway takes."""


class StepStopped(Exception):
    """A step before the money ended without being applied."""

    def __init__(self, step: Step, verdict: Verdict) -> None:
        super().__init__(f"{step.call}: {verdict.result}")
        self.step = step
        self.verdict = verdict

    @property
    def is_harmless(self) -> bool:
        """It only asked: whatever became of it, it changed nothing."""
        return self.step.kind_class in SAFE_TO_REPEAT

    @property
    def is_unknown(self) -> bool:
        """It was sent, and whether it took effect is not known."""
        return self.verdict.result is Result.UNKNOWN and not self.is_harmless


def doubted(route: Route, steps: Iterable[Step], encounter: Encounter, bill: Bill | None) -> Step | None:
    """What was sent last for one of ``steps`` and had no answer: nobody knows whether it took effect."""
    standing = {**encounter.standing, **(bill.standing if bill is not None else {})}
    marks = ((step, standing.get(doubt(step))) for step in steps)
    return next((route.steps[mark.get("sent", step.name)] for step, mark in marks if mark is not None), None)


def question_of(context: Context) -> Question:
    """What is asked about a visit: of its own content, as far as the HIS said it."""
    content = view(context.encounter, context.bill)
    visit, settle, person = content.get("visit", {}), content.get("settle", {}), content.get("person", {})
    kind = context.encounter.kind
    items = [str(row["med_list_codg"]) for row in content.get("fees", []) if row.get("med_list_codg")]
    return Question(
        care=context.place.site.admdvs,
        fixmedins_code=context.place.org,
        kind=kind,
        med_type=str(settle.get("med_type") or visit.get("med_type") or USUAL_TYPE[kind]),
        day=str(visit.get("begntime") or "")[:10],
        person=person,
        insutype=str(settle.get("insutype") or ""),
        insured=str(person.get("insuplc_admdvs") or ""),
        dise_codg=str(visit.get("dise_codg") or ""),
        items=tuple(dict.fromkeys(items)),
        flagged=any(str(visit.get(name) or settle.get(name) or "0") == "1" for name in EMERGENCY_FLAGS),
        own_codes=options_of(context.place).get(OWN_CODES, ""),
    )


def facts_of(context: Context) -> Facts:
    """What a pipeline knows of a visit without asking anybody: the site's own lists, and what 1101 brought."""
    around = context.place.circumstances()
    question = question_of(context)
    if around is NOTHING_KNOWN and "insurances" not in context.encounter.content:
        return Facts(question)
    rows = tuple(context.encounter.content.get("insurances", ()))
    insutype = question.insutype
    named = [row for row in rows if insutype in ("", row.get("insutype"))]
    if len(named) > 1 and question.insured:
        named = [row for row in named if row.get("insuplc_admdvs") == question.insured]
    return Facts(question, around, insurances=rows or None, insurance=named[0] if len(named) == 1 else None)


def refuse_ineligible(context: Context, facts: Facts | None = None) -> None:
    """Asked before anything is sent, and again after every read.  facts: of this context, where they are known.

    Raises: Refused with the reason's own code, in capitals.
    """
    found = stop(facts or facts_of(context))
    if found is not None:
        reason = reasons()[found.reason]
        text = f"{reason.cashier_zh}（{found.says}），未发送"
        raise Refused(f"{found.reason}: {found.source}", code=found.reason.upper(), message_zh=text)


def with_fresh_insurance(context: Context, facts: Facts) -> Context:
    """The context in which 1101 is asked again where its last answer would stop the visit: it may have been put right since."""
    if facts.insurance is None or standing_fault(facts.insurance, facts.question.day) is None:
        return context
    standing = {name: row for name, row in context.encounter.standing.items() if name != "who"}
    content = {name: part for name, part in context.encounter.content.items() if name != "insurances"}
    return replace(context, encounter=replace(context.encounter, standing=standing, content=content))


def with_reason(context: Context, step: Step, verdict: Verdict) -> Verdict:
    """A centre's refusal with the reason that facts name; its own words stay."""
    code = explained(facts_of(context), verdict.reason.code if verdict.reason else "", step.kind_class == "P")
    return replace(verdict, reason=reasons()[code]) if code else verdict
