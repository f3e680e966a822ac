"""Eligibility: will direct settlement work for this person, here, today, and if not why and what to do.  Pure: facts → answer.

Reasons are reached by facts wherever a fact exists; a text counts only where the catalogue, or a province's table, knows it.
What nobody knows is said to be unknown, and then the trial is proposed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from adapter_core.province.filing_channels import Channel, channels_for
from adapter_core.province.policy import Reason, reasons
from adapter_core.province.schemes import Scheme
from adapter_core.settlement.circumstances import NOTHING_KNOWN, Circumstances, Downtime
from adapter_core.settlement.filing_state import UNKNOWN, Filing
from adapter_core.standard.regions import is_cross_province

TRY_ZH = "没有发现不能直接结算的原因；备案等情况无从查得，请先预结算，以医保中心返回为准"
WORKS_ZH = "可以直接结算"
CATCH_ALL = "unknown_remote_error"
"""The reason of a text that no table knows."""
ZERO_FUND = "zero_fund_payment"
"""A success with an explanation."""


class Verdict(StrEnum):
    """Whether direct settlement will work."""

    WORKS = "works"
    IN_PART = "in_part"
    WONT = "wont"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Read:
    """What one query of the centre came to.  rows: None where it gave none; text, reason: of its refusal; trouble: the code of an
    exchange that brought no trusted reply; sent: whether a byte of it may have left."""

    call: str
    rows: tuple[Mapping[str, Any], ...] | None = None
    text: str = ""
    reason: Reason | None = None
    trouble: str = ""
    sent: bool = True

    @property
    def is_refused(self) -> bool:
        return self.rows is None and not self.trouble


@dataclass(frozen=True, slots=True)
class Question:
    """Who, where and for what.

    care: the institution's region; kind: outpatient, inpatient, pharmacy; day: of the visit or the admission, yyyy-MM-dd;
    items: ``med_list_codg`` of what is to be charged; flagged: an emergency flag is said.
    """

    care: str
    fixmedins_code: str
    kind: str
    med_type: str
    day: str
    person: Mapping[str, Any] = field(default_factory=dict)
    insutype: str = ""
    insured: str = ""
    dise_codg: str = ""
    items: tuple[str, ...] = ()
    flagged: bool = False
    own_codes: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything known about one question.  A read that was not made is None; insurance: the row the visit is settled on."""

    question: Question
    around: Circumstances = NOTHING_KNOWN
    identity: Read | None = None
    insurances: tuple[Mapping[str, Any], ...] | None = None
    insurance: Mapping[str, Any] | None = None
    benefits: Read | None = None
    qualifications: Read | None = None
    chosen: Read | None = None
    transfers: Read | None = None
    stated: Filing | None = None
    last_refusal: Read | None = None

    @property
    def insured(self) -> str:
        """The place of insurance, "" while nobody knows."""
        return str((self.insurance or {}).get("insuplc_admdvs") or self.question.insured or "")

    @property
    def is_away(self) -> bool:
        """Across provinces, as far as the place of insurance is known."""
        return bool(self.insured) and is_cross_province(self.question.care, self.insured)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    check: which check found it; source: whose word it is (a call's number, ``openings`` …); says: in Chinese; text: the centre's
    own words, whole; decides: False where it is only worth knowing.
    """

    check: str
    verdict: Verdict
    reason: str = ""
    source: str = ""
    says: str = ""
    text: str = ""
    decides: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """reason: of the catalogue, None where no fact names one.  next: codes of what to do now."""

    verdict: Verdict
    reason: Reason | None
    cashier_zh: str
    patient_zh: str
    next: tuple[str, ...]
    findings: tuple[Finding, ...]
    filing: Filing
    channels: tuple[Channel, ...] = ()
    scheme: Scheme | None = None
    downtimes: tuple[Downtime, ...] = ()
    insurances: tuple[Mapping[str, Any], ...] = ()
    insurance: Mapping[str, Any] | None = None
    qualifications: tuple[Mapping[str, Any], ...] = ()


def answer(facts: Facts, findings: Sequence[Finding], filing: Filing, scheme: Scheme | None = None) -> Answer:
    """The findings as one answer: the first one, in the order of the checks, that decides it worst."""
    deciding = [one for one in findings if one.decides]
    verdict = _worst(deciding)
    leading = next((one for one in deciding if one.verdict is verdict and one.reason), None)
    reason = reasons()[leading.reason] if leading else None
    says = next((one.says for one in deciding if one.verdict is verdict and one.says), "")
    return Answer(
        verdict,
        reason,
        _cashier(verdict, reason, says),
        _patient(verdict, reason),
        next_steps(verdict, reason),
        tuple(findings),
        filing,
        channels_for(reason.code, facts.insured) if reason else (),
        scheme,
        facts.around.downtimes,
        facts.insurances or (),
        facts.insurance,
        (facts.qualifications.rows or ()) if facts.qualifications else (),
    )


def _worst(deciding: Sequence[Finding]) -> Verdict:
    """What is known to go in part only says more than that nobody knows of a filing."""
    told = [one for one in deciding if one.reason or one.says or one.verdict is not Verdict.UNKNOWN]
    for found in (told, deciding):
        for one in (Verdict.WONT, Verdict.UNKNOWN, Verdict.IN_PART):
            if any(each.verdict is one for each in found):
                return one
    return Verdict.WORKS


def _cashier(verdict: Verdict, reason: Reason | None, says: str) -> str:
    if reason is not None and reason.code == ZERO_FUND:
        return f"{WORKS_ZH}，{says}"  # the catalogue's words are for a settlement that stands
    if reason is not None:
        return f"{reason.cashier_zh}（{says}）" if says else reason.cashier_zh
    return says or (TRY_ZH if verdict is Verdict.UNKNOWN else WORKS_ZH)


def _patient(verdict: Verdict, reason: Reason | None) -> str:
    if reason is not None:
        return reason.patient_zh
    return "请稍候，先试算一次，以医保返回为准" if verdict is Verdict.UNKNOWN else "您可以直接结算"


def next_steps(verdict: Verdict, reason: Reason | None) -> tuple[str, ...]:
    """What may be done now; while nobody knows what stands in the way the trial is proposed, which moves no money."""
    if reason is None:
        return ("quote", "recheck") if verdict is Verdict.UNKNOWN else ("quote", "settle")
    if reason.code == ZERO_FUND:
        return ("quote", "settle", *reason.next)
    if verdict is Verdict.UNKNOWN and reason.code == CATCH_ALL:
        return ("show_reason", "quote", "ask_centre", "recheck")  # nothing is settled yet that could be queried
    return reason.next


NO_FILING_KNOWN = Filing(UNKNOWN)
