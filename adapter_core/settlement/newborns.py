"""Newborns without a number of their own: admitted with the mother's number and their birth order, or under a number of the house,
and identified later.  Pure.

The encounter is one all the while.  What the centre was told under the mother's number is taken back before the child's own
admission; what was only gathered here goes up then for the first time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapter_core.province.messages import Operation
from adapter_core.province.plan import Route
from adapter_core.settlement.calls import Context
from adapter_core.settlement.records import Bill, Encounter
from adapter_core.settlement.standing import doubt
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, Refused, TranslationError

SECTION = "newborn"
"""The section of a message, and of an encounter's content, that says it."""
MOTHER, TEMPORARY, OWN = "mother", "temporary", "own"
"""``newborn.by``: whose number the stay goes by: the mother's, the hospital's own until there is one, the child's own."""
BECOMES = "becomes"
"""In an encounter's section: the child's own person, said by the HIS, while the mother's registration is being taken back."""
GONE = "gone"
"""In an encounter's section: the admission was taken back."""
ALIAS = "newborn"
MED_TYPE = "newborn_med_type"
"""Gateway option: ``visit.med_type`` of a newborn admitted with its mother (新生儿随母住院) where the HIS says none.  The national
table of 2401 names that kind of care; no public dictionary has its code."""
BIRTH = "birctrl_matn_date"
"""2401: of a newborn admitted with its mother, the day it was born.  Source: `schemas/national/transactions/2401.json`."""
WAITS_ZH = "新生儿尚无参保身份，已按临时号登记在本机，没有送医保中心；参保后请用同一就诊号补登身份，费用不必重传"
FIELDS = ("by", "temporary_no", "birth_order", "brdy", "mother_psn_no", "mother_certno", "mother_name")
LONGEST = 50
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
ADMITTING = ("admit", "register")


def refuse_misfit(operation: Operation) -> None:
    """What is wrong with a message's section.  Raises: TranslationError with every fault."""
    said: Mapping[str, Any] = operation.content.get(SECTION, {})
    if not said:
        return
    faults = [
        Fault(f"{SECTION}.{name[:40]}", f"one of {', '.join(FIELDS)}", name[:40]) for name in said if name not in FIELDS
    ]
    faults += [
        Fault(f"{SECTION}.{name}", f"at most {LONGEST} characters", f"{len(str(value))} characters")
        for name, value in said.items()
        if len(str(value)) > LONGEST
    ]
    by = str(said.get("by", ""))
    if by not in (MOTHER, TEMPORARY, OWN):
        faults.append(Fault(f"{SECTION}.by", f"{MOTHER} | {TEMPORARY} | {OWN}", by[:20]))
    if operation.kind != "inpatient" or operation.verb not in ADMITTING:
        faults.append(Fault(SECTION, "said when a stay is admitted", f"{operation.verb} of {operation.kind}"))
    faults += _birth_faults(said, by)
    if by != TEMPORARY and not operation.content.get("person"):
        faults.append(Fault("person", "the mother's, or with own the child's", "nothing"))
    if faults:
        raise TranslationError(faults)


def _birth_faults(said: Mapping[str, Any], by: str) -> list[Fault]:
    faults = []
    if by == TEMPORARY and not said.get("temporary_no"):
        faults.append(Fault(f"{SECTION}.temporary_no", "the hospital's own number of the child", "nothing"))
    if by != OWN and not DAY.fullmatch(str(said.get("brdy", ""))):
        faults.append(Fault(f"{SECTION}.brdy", "yyyy-MM-dd", str(said.get("brdy", "nothing"))[:20], "出生日期"))
    if not str(said.get("birth_order", "1")).isdigit():
        faults.append(Fault(f"{SECTION}.birth_order", "1, of twins 1 or 2 …", str(said["birth_order"])[:20]))
    return faults


def child_of(encounter: Encounter | None) -> Mapping[str, Any]:
    """What is known of the newborn an encounter is about; empty where it is about none."""
    return encounter.content.get(SECTION, {}) if encounter is not None else {}


def waits(encounter: Encounter) -> bool:
    """Whether nobody can be named to a centre yet."""
    return child_of(encounter).get("by") == TEMPORARY


def identifies(encounter: Encounter | None, operation: Operation) -> bool:
    """Whether a message gives the child of this encounter its own person."""
    said = operation.content.get(SECTION, {})
    return said.get("by") == OWN and child_of(encounter).get("by") in (MOTHER, TEMPORARY)


def alias_of(operation: Operation) -> str:
    """What one child is recognised by, whatever encounter it is said for; "" where the message names none."""
    said, person = operation.content.get(SECTION, {}), operation.content.get("person", {})
    if said.get("by") == TEMPORARY:
        return f"{TEMPORARY}/{said['temporary_no']}"
    number = person.get("certno") or person.get("psn_no") or person.get("mdtrt_cert_no")
    return f"{MOTHER}/{number}/{said['brdy']}/{said.get('birth_order', '1')}" if said.get("by") == MOTHER else ""


def refuse_known(known: Encounter | None, encounter: Encounter | None) -> None:
    """The child was admitted already, under another key.  Raises: Refused NEWBORN_KNOWN."""
    if known is None or (encounter is not None and known.encounter_id == encounter.encounter_id):
        return
    if child_of(known).get(GONE):
        return
    raise Refused(
        f"that child's stay is {known.encounter_key}",
        code="NEWBORN_KNOWN",
        message_zh=f"该新生儿已按就诊号 {known.encounter_key} 登记，未重复登记，请继续使用该就诊号",
    )


def refuse_unready(encounter: Encounter | None, operation: Operation) -> None:
    """Raises: Refused NEWBORN_UNIDENTIFIED, NEWBORN_IDENTITY_PENDING."""
    child = child_of(encounter)
    if not child:
        return
    if BECOMES in child:
        raise Refused(
            "the child's own identity is being registered",
            code="NEWBORN_IDENTITY_PENDING",
            message_zh="新生儿身份变更尚未办完（原登记正在撤销），未发送，请先用同一报文重试补登身份",
        )
    if operation.verb in ("quote", "settle") and child.get("by") == TEMPORARY:
        raise Refused(
            "the child has no person yet",
            code="NEWBORN_UNIDENTIFIED",
            message_zh="新生儿尚无参保身份，不能直接结算，未发送。请参保后用同一就诊号补登身份再结算，或自费结算后办理手工报销",
        )


def noted(encounter: Encounter, operation: Operation, options: Mapping[str, str]) -> Encounter:
    """The encounter with what a message says of its newborn, and what the national registration wants of one admitted with its
    mother."""
    said = operation.content.get(SECTION)
    if not said:
        return encounter
    known = {name: value for name, value in child_of(encounter).items() if name != GONE}
    content = {**encounter.content, SECTION: {"birth_order": "1", **known, **said}}
    if said["by"] == MOTHER:
        visit = {**content.get("visit", {})}
        visit.setdefault(BIRTH, said["brdy"])
        if options.get(MED_TYPE):
            visit.setdefault("med_type", options[MED_TYPE])
        content["visit"] = visit
    return replace(encounter, content=content)


def has_gathered(context: Context, operation: Operation) -> bool:
    """Whether an admission finds lines of its newborn waiting."""
    return bool(child_of(context.encounter) and operation.verb in ADMITTING and context.bill.content.get("fees"))


NOBODY = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "0", "psn_no": "0"}
"""Stands in for the person there will be."""


def as_if_known(context: Context) -> Context:
    """The context by which everything but the person is checked before a child without one is admitted."""
    if not waits(context.encounter):
        return context
    person = {**NOBODY, **context.encounter.content.get("person", {})}
    return replace(
        context, encounter=replace(context.encounter, content={**context.encounter.content, "person": person})
    )


def becoming(encounter: Encounter, person: Content) -> Encounter:
    """The encounter that is to become the child's own: nothing else may be done with it until it is."""
    child = {**child_of(encounter), BECOMES: dict(person)}
    return replace(encounter, content={**encounter.content, SECTION: child}, version=encounter.version + 1)


def remains(encounter: Encounter | None, operation: Operation) -> bool:
    """Whether a message gives up that the child becomes its own: it says again whose number the stay goes by."""
    return BECOMES in child_of(encounter) and operation.content.get(SECTION, {}).get("by") in (MOTHER, TEMPORARY)


def remaining(encounter: Encounter) -> Encounter:
    """The encounter as it was before."""
    child = {name: value for name, value in child_of(encounter).items() if name != BECOMES}
    return replace(encounter, content={**encounter.content, SECTION: child}, version=encounter.version + 1)


def gone(encounter: Encounter) -> Encounter:
    """The encounter whose newborn's admission was taken back: the child may be admitted under another key."""
    child = {**child_of(encounter), GONE: "1"}
    return replace(encounter, content={**encounter.content, SECTION: child}, version=encounter.version + 1)


MOTHERS = ("insurances", "insurance", "credential", "qualifications", "chosen")
"""Sections of an encounter that are about the person it was registered for."""


def own(encounter: Encounter, route: Route, way: Content) -> Encounter:
    """The encounter under the child's own person, as if nothing had been registered yet.  way: the section of an unchosen gateway."""
    child = {name: value for name, value in child_of(encounter).items() if name != BECOMES}
    content = {name: part for name, part in encounter.content.items() if name not in MOTHERS}
    # the admission's own facts stay; that it went with the mother's is over
    over = ("mdtrt_id", BIRTH, "med_type") if child["by"] == MOTHER else ("mdtrt_id",)
    visit = {name: value for name, value in content.get("visit", {}).items() if name not in over}
    person = dict(child_of(encounter)[BECOMES])
    content = {**content, "person": person, "visit": visit, SECTION: {**child, "by": OWN}, **way}
    made = {name for step in route.steps.values() if step.per == "encounter" for name in (step.name, doubt(step))}
    standing = {name: row for name, row in encounter.standing.items() if name not in made}
    return replace(encounter, content=content, standing=standing, mdtrt_id="", version=encounter.version + 1)


def untried(bill: Bill, route: Route, kind: str) -> Bill:
    """A bill of it without what the centre said of the mother: her insurance, and the trial."""
    goal = route.goal(kind, "quote")
    content = {name: part for name, part in bill.content.items() if goal is None or name not in (goal.into, "funds")}
    settle = {name: value for name, value in content.get("settle", {}).items() if name != "insutype"}
    standing = {name: row for name, row in bill.standing.items() if goal is None or name != goal.name}
    return replace(bill, content={**content, "settle": settle}, standing=standing, version=bill.version + 1)
