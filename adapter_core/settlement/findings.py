"""The checks of eligibility, in their order: downtime, identity, insurance, region and institution, filing, qualification, drugs,
benefits.  Each looks at facts and says what it found; none sends anything.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapter_core.province.diseases import CHRONIC, EMERGENCY, cross_province_diseases, is_cross_province_disease
from adapter_core.province.filing_channels import files_inside
from adapter_core.province.schemes import Scheme, Trip, serving
from adapter_core.settlement.eligibility import (
    CATCH_ALL,
    NO_FILING_KNOWN,
    ZERO_FUND,
    Answer,
    Facts,
    Finding,
    Read,
    Verdict,
    answer,
)
from adapter_core.settlement.filing import INSURED
from adapter_core.settlement.filing_state import (
    ACTIVE,
    FILING_REASONS,
    NOT_NEEDED,
    REFUSED_BY_TEXT,
    STATED_BY_PATIENT,
    Filing,
    transferred,
)
from adapter_core.settlement.judge import CENTRE_AWAY
from adapter_core.standard.regions import region
from adapter_core.values.copies import replace

SOCIAL_CARD = "03"
RESIDENTS = ("390", "391")
POOLS = ("3101", "3901")
"""Beginnings of ``fund_pay_type`` of the pools (统筹基金) of 职工 and 居民: 310100, 390100; 310101 is seen too."""
TUMOUR = "恶性肿瘤门诊治疗"
WONT, UNKNOWN, IN_PART, WORKS = Verdict.WONT, Verdict.UNKNOWN, Verdict.IN_PART, Verdict.WORKS


def judged(facts: Facts) -> Answer:
    """The answer to a question, by all that is known."""
    scheme, open_here = _opened(facts)
    filing, filed = _filed(facts)
    findings = [
        *_downtime(facts),
        *_identified(facts),
        *_insured(facts),
        *open_here,
        *filed,
        *_qualified(facts),
        *_drugs(facts),
        *_benefits(facts),
        *_troubles(facts),
    ]
    return answer(facts, findings, filing, scheme)


# -- the line


def _downtime(facts: Facts) -> list[Finding]:
    notice = facts.around.planned(facts.question.care, facts.insured)
    if notice is not None:
        until = f"，预计 {notice.until} 恢复" if notice.until else ""
        return [Finding("downtime", WONT, "planned_downtime", "notice", f"{notice.text}{until}")]
    outage = facts.around.interrupted()
    return [Finding("downtime", WONT, "network_unreachable", "breaker", outage.text)] if outage else []


def _troubles(facts: Facts) -> list[Finding]:
    """What a query that brought no trusted reply says of the way to the centre."""
    asked = (facts.identity, facts.benefits, facts.qualifications, facts.chosen, facts.transfers)
    failed = next((one for one in asked if one is not None and one.trouble), None)
    if failed is None or facts.around.interrupted():
        return []
    says = f"交易 {failed.call} 没有得到可信应答"
    return [Finding("line", UNKNOWN, trouble_reason(failed, facts.is_away), failed.call, says)]


def trouble_reason(read: Read, is_away: bool) -> str:
    """The reason of a query without a trusted reply: by how far its bytes came."""
    if not read.sent:
        return "network_unreachable"
    return "remote_province_down" if read.trouble == CENTRE_AWAY and is_away else "timeout_before_settle"


def by_text(check: str, read: Read) -> Finding:
    """What the centre's refusal says: the reason its text is known for, else the text whole and unknown."""
    if read.reason is None:
        return Finding(check, UNKNOWN, CATCH_ALL, read.call, "", read.text)
    verdict = WONT if read.reason.pipeline == "refused" else UNKNOWN
    return Finding(check, verdict, read.reason.code, read.call, "", read.text)


# -- who, and where insured


def _identified(facts: Facts) -> list[Finding]:
    person = facts.question.person
    if person.get("mdtrt_cert_type") == SOCIAL_CARD and not person.get("card_sn"):
        return [Finding("identity", WONT, "card_sn_missing", "card_sn", "社会保障卡须同时传卡识别码")]
    if facts.identity is None:
        return [] if person.get("psn_no") else [Finding("identity", UNKNOWN, source="1101", says="没有查询参保信息")]
    return [by_text("identity", facts.identity)] if facts.identity.is_refused else []


def _insured(facts: Facts) -> list[Finding]:
    if facts.insurances is None:
        return []
    if not facts.insurances:
        return [Finding("insurance", WONT, "not_insured", "1101 insuinfo", "没有参保记录")]
    row = facts.insurance
    if row is None:
        listed = "；".join(f"{one.get('insutype')} 参保地 {place_name(one)}" for one in facts.insurances)
        return [Finding("insurance", WONT, "multiple_insurance", "1101 insuinfo", listed)]
    return [found] if (found := standing_fault(row, facts.question.day)) else []


def standing_fault(row: Mapping[str, Any], day: str) -> Finding | None:
    """What is wrong with one row of ``insuinfo`` on a day; None where it stands.

    Only ``psn_insu_stas`` 1 has a known meaning; that it is suspended is a fact where the day of it is told as well.
    """
    state, since = str(row.get("psn_insu_stas") or ""), str(row.get("paus_insu_date") or "")[:10]
    if since and since <= day and state != INSURED:
        return Finding("insurance", WONT, "insurance_suspended", "1101 psn_insu_stas", f"自 {since} 起暂停")
    if state not in ("", INSURED):
        return Finding("insurance", UNKNOWN, source="1101 psn_insu_stas", says=f"参保状态 {state}，含义没有公开字典")
    return None


def place_name(row: Mapping[str, Any]) -> str:
    """The place of insurance of a row, in words."""
    code = str(row.get("insuplc_admdvs") or "")
    found = region(code)
    return f"{found.name}（{code}）" if found else code or "未知"


# -- where to


def trip_of(facts: Facts) -> Trip | None:
    """The trip across provinces, None at home or while the place of insurance is not known."""
    if not facts.is_away:
        return None
    asked = facts.question
    return Trip(facts.insured, asked.care, asked.kind, asked.day, asked.fixmedins_code)


def _opened(facts: Facts) -> tuple[Scheme | None, list[Finding]]:
    trip = trip_of(facts)
    if trip is None:
        return None, []
    found = serving(trip, facts.around.openings)
    if found.scheme is not None:
        return found.scheme, []
    return None, [Finding("opening", WONT, closed_reason(facts, trip, found.reason), "openings", _closed_zh(trip))]


def closed_reason(facts: Facts, trip: Trip, reason: str) -> str:
    """Why no arrangement serves a trip, in the catalogue's words."""
    if not facts.around.opens(trip):
        return "non_designated_institution"
    chronic = facts.question.med_type == CHRONIC
    if reason == "institution_not_open":
        return "chronic_institution_not_open" if chronic else "business_not_opened"
    return "ordinary_outpatient_not_open" if trip.kind == "outpatient" and not chronic else "business_not_opened"


def _closed_zh(trip: Trip) -> str:
    kinds = {"outpatient": "门诊", "inpatient": "住院", "pharmacy": "药店购药"}
    return f"开通清单：参保地 {place_name({'insuplc_admdvs': trip.insured})} 到本院的{kinds[trip.kind]}，{trip.day}"


# -- filing


def _filed(facts: Facts) -> tuple[Filing, list[Finding]]:
    """What is known of the filing, and what it means for this visit."""
    asked = facts.question
    if not needs_filing(facts):
        return Filing(NOT_NEEDED, "region"), []
    known = _known_filing(facts)
    refusal = _filing_refusal(facts)
    misfit = known.misfit(asked.care, asked.day) if known else ""
    if refusal is not None and refusal.reason is not None:
        return _refused_filing(facts, refusal, known, misfit)
    if known is None:
        return NO_FILING_KNOWN, _unfiled(facts)
    if misfit and known.state == ACTIVE:  # one transfer is over; there may be another filing
        says = f"转诊备案至 {known.ends}" if misfit == "filing_expired" else f"转诊备案自 {known.begins} 起"
        return replace(NO_FILING_KNOWN, source="5304", ends=known.ends), [
            Finding("filing", UNKNOWN, "", "5304", says, decides=False),
            *_unfiled(facts),
        ]
    if misfit:
        return known, [Finding("filing", WONT, misfit, known.source, _misfit_zh(known))]
    return known, [Finding("filing", WORKS, "", known.source, "备案有效", decides=False)]


def needs_filing(facts: Facts) -> bool:
    """Whether this visit needs a filing: across provinces, or across cities of a province that wants one; an emergency that is
    flagged counts as filed."""
    asked = facts.question
    if not facts.insured or asked.flagged:
        return not asked.flagged
    if facts.is_away:
        return True
    same_city = asked.care[:4] == facts.insured[:4]
    return not same_city and files_inside(asked.care, facts.insured, asked.day)


def _known_filing(facts: Facts) -> Filing | None:
    rows = facts.transfers.rows if facts.transfers else None
    transfer = transferred(rows, facts.question.fixmedins_code, facts.question.day) if rows else None
    if transfer is not None and not transfer.misfit("", facts.question.day):
        return transfer
    return facts.stated or transfer


def _filing_refusal(facts: Facts) -> Read | None:
    """The centre's own word that there is no filing: of 2001, else of the last try of this visit."""
    for read in (facts.benefits, facts.last_refusal):
        if read is not None and read.is_refused and read.reason is not None and read.reason.code in FILING_REASONS:
            return read
    return None


def _refused_filing(facts: Facts, refusal: Read, known: Filing | None, misfit: str) -> tuple[Filing, list[Finding]]:
    """The centre refuses for want of a filing.  What the patient's app shows may say why; an emergency may want its flag."""
    assert refusal.reason is not None
    base = known or NO_FILING_KNOWN
    filing = replace(base, state=REFUSED_BY_TEXT, source=refusal.call, text=refusal.text)
    if facts.question.med_type == EMERGENCY:
        says = "本次是急诊，没有急诊标志"
        return filing, [Finding("filing", WONT, "emergency_flag_missing", "flag", says, refusal.text)]
    if misfit:
        return filing, [Finding("filing", WONT, misfit, base.source, _misfit_zh(base), refusal.text)]
    return filing, [Finding("filing", WONT, refusal.reason.code, refusal.call, "", refusal.text)]


def _unfiled(facts: Facts) -> list[Finding]:
    if not facts.insured or facts.last_refusal is not None:
        return []
    if facts.question.med_type == EMERGENCY:
        says = "急诊须有急诊标志才视同已备案"
        return [Finding("filing", UNKNOWN, "emergency_flag_missing", "flag", says)]
    return [Finding("filing", UNKNOWN, source="", says="")]


def _misfit_zh(filing: Filing) -> str:
    where = "、".join(place_name({"insuplc_admdvs": one.ljust(6, "0")}) for one in filing.regions)
    parts = [
        "患者 APP 显示" if filing.state == STATED_BY_PATIENT else "中心记录",
        f"备案到 {where}" if where else "",
        f"有效期 {filing.begins or '不详'} 至 {filing.ends or '长期'}" if filing.begins or filing.ends else "",
        f"在“{filing.tab}”栏" if filing.tab else "",
    ]
    return "，".join(part for part in parts if part)


# -- chronic and special diseases


def _qualified(facts: Facts) -> list[Finding]:
    asked = facts.question
    if asked.kind != "outpatient" or asked.med_type != CHRONIC:
        return []
    if not asked.dise_codg:
        return [Finding("chronic", UNKNOWN, source="dise_codg", says="门诊慢特病须写明病种编码")]
    if facts.is_away and not is_cross_province_disease(asked.dise_codg, asked.day, asked.own_codes):
        says = f"病种 {asked.dise_codg}"
        return [Finding("chronic", WONT, "chronic_disease_not_cross_province", "chronic-diseases", says)]
    read = facts.qualifications
    if read is None:
        return [Finding("chronic", UNKNOWN, source="5301", says="没有查询慢特病资格")]
    if read.rows is None:
        return [] if read.trouble else [by_text("chronic", read)]
    standing = [row for row in read.rows if _in_force(row, asked.day)]
    if not any(row.get("opsp_dise_code") == asked.dise_codg for row in standing):
        held = "、".join(f"{row.get('opsp_dise_name')} {row.get('opsp_dise_code')}" for row in standing)
        return [Finding("chronic", WONT, "chronic_not_qualified", "5301", f"现有资格：{held or '无'}")]
    return _chosen(facts)


def _chosen(facts: Facts) -> list[Finding]:
    """5302: an institution was chosen, and it is another."""
    rows = [row for row in (facts.chosen.rows or () if facts.chosen else ()) if _in_force(row, facts.question.day)]
    if not rows or any(row.get("fixmedins_code") == facts.question.fixmedins_code for row in rows):
        return []
    named = "、".join(str(row.get("fixmedins_name") or row.get("fixmedins_code")) for row in rows)
    return [Finding("chronic", WONT, "chronic_not_selected_hospital", "5302", f"选定：{named}")]


def _in_force(row: Mapping[str, Any], day: str) -> bool:
    begins, ends = str(row.get("begndate") or "")[:10], str(row.get("enddate") or "")[:10]
    return begins <= day and (not ends or day <= ends)


def registered_for_tumour(facts: Facts) -> bool:
    """5301: registered for outpatient chemo- or radiotherapy."""
    codes = {code for one in cross_province_diseases() if one.name == TUMOUR for code in one.codes}
    rows = (facts.qualifications.rows or ()) if facts.qualifications else ()
    return any(row.get("opsp_dise_code") in codes and _in_force(row, facts.question.day) for row in rows)


# -- drugs and benefits


def _drugs(facts: Facts) -> list[Finding]:
    asked = facts.question
    if asked.kind == "inpatient" or asked.med_type == CHRONIC:
        return []
    special = facts.around.special(asked.items, facts.insured, asked.day)
    if not special:
        return []
    others = any(item not in special for item in asked.items)
    says = f"{'、'.join(special)}" + ("；其余费用可分开结算" if others else "")
    return [Finding("drugs", IN_PART if others else WONT, "targeted_drug_needs_special", "special_drugs", says)]


def _benefits(facts: Facts) -> list[Finding]:
    """2001: its refusal, or the flags of the pools."""
    read = facts.benefits
    if read is None or read.trouble:
        return []
    if read.rows is None:
        named = read.reason is not None and read.reason.code in FILING_REASONS
        return [] if named else [by_text("benefits", read)]
    flags = [row for row in read.rows if str(row.get("fund_pay_type") or "").startswith(POOLS)] or list(read.rows)
    if not flags or any(row.get("trt_enjymnt_flag") == "1" for row in flags):
        return []
    if any(row.get("trt_enjymnt_flag") != "0" for row in flags):
        return [Finding("benefits", UNKNOWN, source="2001", says="待遇标志没有公开含义")]
    return [_without_pool(facts, flags)]


def _without_pool(facts: Facts, rows: Sequence[Mapping[str, Any]]) -> Finding:
    """The pool pays nothing for this kind of visit: why, as far as facts say it."""
    said = "；".join(str(row["trt_chk_rslt"]) for row in rows if row.get("trt_chk_rslt"))
    asked, row = facts.question, facts.insurance or {}
    if asked.kind == "inpatient" or asked.med_type == CHRONIC:
        return Finding("benefits", WONT, "treatment_check_failed", "2001 trt_enjymnt_flag", "", said)
    if registered_for_tumour(facts):
        return Finding("benefits", WONT, "special_benefit_switch", "5301", "已有恶性肿瘤门诊治疗资格", said)
    if str(row.get("insutype") or asked.insutype) in RESIDENTS:
        return Finding("benefits", WONT, "resident_no_outpatient_benefit", "2001 trt_enjymnt_flag", "", said)
    balance = row.get("balc")
    if balance is None:
        return Finding("benefits", UNKNOWN, "treatment_check_failed", "2001 trt_enjymnt_flag", "", said)
    if Decimal(balance) > 0:
        says = f"统筹不支付，可用个人账户，余额 {balance} 元"
        return Finding("benefits", IN_PART, ZERO_FUND, "2001 trt_enjymnt_flag", says, said)
    return Finding("benefits", WONT, "account_only_exhausted", "1101 balc", f"余额 {balance} 元", said)


# -- before a pipeline sends anything


CERTAIN: tuple[Callable[[Facts], Sequence[Finding]], ...] = (
    _downtime,
    _insured,
    lambda facts: _opened(facts)[1],
)
"""The checks whose WONT stops a settlement before it is sent: they rest on nothing that a text or a person said."""
STOPS = frozenset({"planned_downtime", "insurance_suspended", "non_designated_institution", "business_not_opened",
                   "ordinary_outpatient_not_open", "chronic_institution_not_open"})  # fmt: skip


def stop(facts: Facts) -> Finding | None:
    """The first certain fact for which direct settlement can't work; what is unknown never stops anything."""
    for check in CERTAIN:
        for found in check(facts):
            if found.verdict is WONT and found.reason in STOPS:
                return found
    return None


def explained(facts: Facts, reason_code: str, is_trial: bool) -> str:
    """The reason of a centre's refusal, by facts where they say more than its text; "" where they say nothing.

    is_trial: the refused call was the trial of a bill.
    """
    if reason_code == "not_filed" and facts.question.med_type == EMERGENCY and not facts.question.flagged:
        return "emergency_flag_missing"
    if reason_code:
        return ""
    if is_trial and (found := _drugs(facts)):
        return found[0].reason
    suspended = standing_fault(facts.insurance, facts.question.day) if facts.insurance else None
    return suspended.reason if suspended else ""
