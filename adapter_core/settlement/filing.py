"""Filing: where the content of a reply goes in the encounter and the bill.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter_core.province.plan import Step
from adapter_core.settlement.records import Bill, Encounter
from adapter_core.settlement.standing import footing, view
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused

INSURED = "1"
"""``psn_insu_stas`` of a person who is insured now: the one value seen in samples; its dictionary is not public."""


def file_reply(
    step: Step, encounter: Encounter, bill: Bill, content: Content, facts: Mapping[str, Any]
) -> tuple[Encounter, Bill]:
    """Both records with the reply's sections merged and the step marked as standing.

    Raises: Refused CHOOSE_INSURANCE, PERSON_DIFFERS.
    """
    person = _merged_person(encounter.content.get("person", {}), content.get("person", {}))
    visit = {**encounter.content.get("visit", {}), **_known(content.get("visit", {}))}
    encounter_content = {**encounter.content, "person": person, "visit": visit}
    bill_content = dict(bill.content)
    if "insurances" in content:
        encounter_content["insurances"] = content["insurances"]
        chosen = choose_insurance(content["insurances"], bill_content.get("settle", {}).get("insutype"))
        if chosen:
            encounter_content["insurance"] = {"insutype": chosen["insutype"]}
            bill_content["settle"] = {**bill_content.get("settle", {}), "insutype": chosen["insutype"]}
            person.update({name: chosen[name] for name in ("insuplc_admdvs", "psn_type", "balc") if name in chosen})
    encounter_content.update({name: content[name] for name in ("qualifications", "chosen") if name in content})
    if step.into:
        bill_content[step.into] = content.get("result", {})
        bill_content["funds"] = content.get("funds", [])
    if content.get("lines"):
        bill_content["lines"] = [*bill_content.get("lines", []), *content["lines"]]
    encounter = replace(encounter, content=encounter_content, mdtrt_id=str(visit.get("mdtrt_id", "")))
    bill = replace(bill, content=bill_content)
    standing = dict(facts) if "over" in facts else {"over": footing(step, view(encounter, bill)), **facts}
    if step.per == "bill":
        return encounter, replace(bill, standing={**bill.standing, step.name: standing})
    return replace(encounter, standing={**encounter.standing, step.name: standing}), bill


def _known(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value not in (None, "")}


def _merged_person(known: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """What the centre tells of the person wins, but it must be the same person."""
    for field in ("psn_no", "certno"):
        if known.get(field) and told.get(field) and known[field] != told[field]:
            raise Refused(
                f"the centre's {field} is another person's",
                code="PERSON_DIFFERS",
                message_zh="医保中心返回的人员与窗口登记的患者不一致，未继续，请核对证件",
            )
    return {**known, **_known(told)}


def choose_insurance(rows: Sequence[Mapping[str, Any]], insutype: str | None) -> Mapping[str, Any] | None:
    """The insurance a visit is settled on: the one asked for, the only one, or the only one in force.

    Raises: Refused CHOOSE_INSURANCE with the rows when several remain: nobody guesses.
    """
    candidates = [row for row in rows if insutype is None or row.get("insutype") == insutype]
    if len(candidates) > 1:
        candidates = [
            row for row in candidates if row.get("psn_insu_stas") == INSURED and not row.get("paus_insu_date")
        ]
    if len(candidates) == 1:
        return candidates[0]
    if not rows:
        return None
    listed = "；".join(f"{row.get('insutype')} 参保地 {row.get('insuplc_admdvs', '未知')}" for row in rows)
    raise Refused(
        f"choose one of: {listed}",
        code="CHOOSE_INSURANCE",
        message_zh=f"该患者有多个参保记录，请选择险种后重试：{listed}",
    )


def undo_step(step: Step, encounter: Encounter, bill: Bill) -> tuple[Encounter, Bill]:
    """Both records without the step's standing, and without the visit's number where the step brought it."""
    gone = (step.name, f"{step.name}?", step.change)
    content = encounter.content
    if step.given == "visit.mdtrt_id":
        visit = {name: value for name, value in content.get("visit", {}).items() if name != "mdtrt_id"}
        content = {**content, "visit": visit}
    standing = {name: row for name, row in encounter.standing.items() if name not in gone}
    return (
        replace(
            encounter, content=content, standing=standing, mdtrt_id=str(content.get("visit", {}).get("mdtrt_id", ""))
        ),
        replace(bill, standing={name: row for name, row in bill.standing.items() if name not in gone}),
    )
