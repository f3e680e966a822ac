"""Late filing (补备案): stays of people insured elsewhere whose filing is missing, or not known of, while they are still in.

Filed before the discharge is settled, the hospital settles directly; after a discharge paid by the patient it is the paper route
(`schemas/policy`: 苏医保发〔2022〕75号 第18、25条).  Every stay is noted when it is first heard of; whether it belongs on the list is
asked of the ledger each time, and of the centre when somebody wants to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from adapter_core.province.messages import Operation
from adapter_core.settlement.calls import Context
from adapter_core.settlement.eligibility import Answer, Facts, Verdict
from adapter_core.settlement.enquiring import Enquiring, Enquiry
from adapter_core.settlement.filing_state import (
    ACTIVE,
    FILING_REASONS,
    NOT_NEEDED,
    REFUSED_BY_TEXT,
    STATED_BY_PATIENT,
    UNKNOWN,
    Filing,
)
from adapter_core.settlement.findings import needs_filing
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Conflict
from adapter_core.settlement.records import AccountItem, Bill, Case, Encounter
from adapter_core.settlement.states import PAPER, State
from adapter_core.settlement.stopping import question_of
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused
from adapter_core.values.moments import iso, national_date

TOPIC = "stay"
OPEN, ENDED = "open", "ended"
NOT_REFUSED = "not_refused"
"""A centre that refused for want of a filing refuses no more: nobody says what was filed, but something was."""
FILED = frozenset({ACTIVE, STATED_BY_PATIENT, NOT_NEEDED, NOT_REFUSED})
MID_STAY = "1"
DISCHARGE = "discharge"
FORGOTTEN = timedelta(days=60)
"""A stay that was never admitted at the centre is looked at no longer."""
OVER = timedelta(days=7)
"""Nor is one whose settlement stood for so long: a refund comes sooner, or not here."""
LOOKED_AT_MAX = 5_000
TRIES = 3
DUE_ZH = "出院结算前"
TODO_ZH = "出院结算前补办备案，办妥后重新查询再结算；自费出院后再补备案的，只能回参保地手工报销"


def item_id(encounter_id: str) -> str:
    return f"{TOPIC}/{encounter_id}"


def noted(encounter: Encounter, at: datetime) -> tuple[AccountItem, ...]:
    """What is stored with a new encounter: one item, if it is a stay."""
    if encounter.kind != "inpatient":
        return ()
    now = iso(at)
    name = item_id(encounter.encounter_id)
    day = national_date(at)
    return (AccountItem(name, encounter.org, TOPIC, encounter.encounter_id, day, OPEN, opened_at=now, changed_at=now),)


@dataclass(frozen=True, slots=True)
class Unfiled:
    """One stay on the list.

    state: of the filing, as `filing_state` names it; reason: of the catalogue, "" while nobody refused; says: why, in Chinese, and
    text: the centre's own words; asked_at: RFC 3339, "" for never; is_discharged: the patient is leaving.
    """

    encounter: Encounter
    insured: str
    admitted: str
    state: str = UNKNOWN
    reason: str = "not_filed"
    says: str = ""
    text: str = ""
    asked_at: str = ""
    is_discharged: bool = False


class Stays(Protocol):
    """What is read of the ledger."""

    async def account_item(self, item_id: str) -> AccountItem | None: ...

    async def account_items(
        self, org: str, topic: str, states: Iterable[str] = (), day: str = "", limit: int = 100_000
    ) -> list[AccountItem]: ...

    async def encounter(self, encounter_id: str) -> Encounter | None: ...

    async def encounter_by_key(self, org: str, encounter_key: str) -> Encounter | None: ...

    async def bills_of(self, encounter_id: str) -> list[Bill]: ...

    async def cases_of_bill(self, bill_id: str) -> list[Case]: ...


class Notes(Protocol):
    """Where items are written: `FromFiles`."""

    async def noted(self, *items: AccountItem) -> None: ...


class LateFilings:
    def __init__(self, ledger: Stays, enquiring: Enquiring, notes: Notes, clock: Clock) -> None:
        self._ledger = ledger
        self._enquiring = enquiring
        self._notes = notes
        self._clock = clock

    async def listed(self, place: Place) -> list[Unfiled]:
        """Who leaves first comes first, then who came first.  What is over is forgotten on the way."""
        found = []
        for item in await self._ledger.account_items(place.org, TOPIC, (OPEN,), limit=LOOKED_AT_MAX):
            one = await self._looked_at(place, item)
            if one is not None:
                found.append(one)
        return sorted(found, key=lambda one: (not one.is_discharged, one.admitted, one.encounter.encounter_key))

    async def one(self, place: Place, encounter_key: str) -> Unfiled | None:
        """One stay as it is on the list; None where it isn't."""
        encounter = await self._ledger.encounter_by_key(place.org, encounter_key)
        item = await self._ledger.account_item(item_id(encounter.encounter_id)) if encounter is not None else None
        return await self._looked_at(place, item) if item is not None and item.state == OPEN else None

    async def _looked_at(self, place: Place, item: AccountItem) -> Unfiled | None:
        encounter = await self._ledger.encounter(item.subject)
        if encounter is None:
            return None
        bills = await self._ledger.bills_of(encounter.encounter_id)
        cases = [case for bill in bills for case in await self._ledger.cases_of_bill(bill.bill_id)]
        if not self._is_over(item, encounter, bills, cases):
            return self._unfiled(place, item, encounter, bills, cases)
        await self._ended(item)
        return None

    async def asked(self, place: Place, encounter_key: str, stated: Filing | None = None) -> Answer:
        """Ask the centre again, and keep what it says with the stay.

        stated: what somebody reads off the patient's app, or heard at the counter.  Raises: Refused NO_SUCH_ENCOUNTER; as
        `Enquiring.ask`.
        """
        operation = Operation("identify", "identify", "national", "inpatient")
        answer = await self._enquiring.ask(place, Enquiry(operation, stated, encounter_key))
        await self.keep(place, encounter_key, answer)
        return answer

    async def keep(self, place: Place, encounter_key: str, answer: Answer) -> None:
        """What an enquiry about a stay found; nothing where it is about no stay."""
        encounter = await self._ledger.encounter_by_key(place.org, encounter_key)
        if encounter is None or encounter.kind != "inpatient":
            return
        for _ in range(TRIES):
            item = await self._ledger.account_item(item_id(encounter.encounter_id))
            now = self._clock.wall()
            base = item or replace(noted(encounter, now)[0], version=0)
            facts = kept_facts(place, encounter, answer, base.facts, iso(now))
            try:
                await self._notes.noted(replace(base, version=base.version + 1, changed_at=iso(now), facts=facts))
            except Conflict:
                continue
            return

    def _is_over(self, item: AccountItem, encounter: Encounter, bills: Sequence[Bill], cases: Sequence[Case]) -> bool:
        now = self._clock.wall()
        final = [case for case in cases if case.purpose == "settle" and _is_final(case, bills)]
        if any(case.state is State.MANUAL_CLOSED for case in final):
            return True
        if any(case.state is State.SETTLED and _older(case.changed_at, now, OVER) for case in final):
            return True
        return not encounter.mdtrt_id and not encounter.standing and _older(item.opened_at, now, FORGOTTEN)

    async def _ended(self, item: AccountItem) -> None:
        ended = replace(item, state=ENDED, version=item.version + 1, changed_at=iso(self._clock.wall()))
        try:
            await self._notes.noted(ended)
        except Conflict:
            return  # somebody else just wrote to it

    def _unfiled(
        self, place: Place, item: AccountItem, encounter: Encounter, bills: Sequence[Bill], cases: Sequence[Case]
    ) -> Unfiled | None:
        if not encounter.mdtrt_id or not bills:
            return None
        settlements = [case for case in cases if case.purpose == "settle" and _is_final(case, bills)]
        if any(case.state in PAPER or case.state in (State.SETTLED, State.VOIDING) for case in settlements):
            return None
        question = question_of(Context(place, encounter, bills[-1]))
        insured = str(encounter.content.get("person", {}).get("insuplc_admdvs") or "")
        if not insured or not needs_filing(Facts(question)):
            return None
        known: Mapping[str, Any] = item.facts.get("filing", {})
        refusal = _refused_since(settlements, str(known.get("asked_at", "")))
        if refusal is None and known.get("state") in FILED:
            return None
        row = Unfiled(encounter, insured, question.day, is_discharged=DISCHARGE in encounter.standing)
        if refusal is not None:
            code = str(refusal.told.get("code", "")).lower()
            said = str(refusal.told.get("message_zh", ""))
            return replace(row, state=REFUSED_BY_TEXT, reason=code, text=said, asked_at=refusal.changed_at)
        if not known:
            return row
        kept: dict[str, str] = {name: str(known[name]) for name in ("state", "reason", "says", "text", "asked_at")}
        return Unfiled(encounter, insured, question.day, is_discharged=row.is_discharged, **kept)


def kept_facts(
    place: Place, encounter: Encounter, answer: Answer, before: Mapping[str, Any], at: str
) -> dict[str, Any]:
    """The facts of a stay's item after an enquiry."""
    filing = answer.filing
    known: Mapping[str, Any] = before.get("filing", {})
    state = filing.state if filing.state not in FILED or _fits(answer) else REFUSED_BY_TEXT
    if state == REFUSED_BY_TEXT and filing.source != "2001" and _is_filed_since(place, encounter, filing):
        state = ACTIVE
    if (
        state == UNKNOWN
        and known.get("state") == REFUSED_BY_TEXT
        and known.get("source") == "2001"
        and _answered(answer)
    ):
        state = NOT_REFUSED
    if not _answered(answer) and known.get("state") in FILED:
        return {**before}  # a line that is down takes nothing back
    found = next((one for one in answer.findings if one.check == "filing" and one.verdict is not Verdict.WORKS), None)
    facts = {
        "state": state,
        "source": filing.source,
        "reason": found.reason if found is not None and found.reason else "not_filed",
        "says": found.says if found is not None else "",
        "text": filing.text or next((one.text for one in answer.findings if one.text), ""),
        "ends": filing.ends,
        "asked_at": at,
    }
    return {**before, "filing": facts}


def _fits(answer: Answer) -> bool:
    return all(one.verdict is Verdict.WORKS or not one.decides for one in answer.findings if one.check == "filing")


def _is_filed_since(place: Place, encounter: Encounter, filing: Filing) -> bool:
    """The refusal is of the last try to settle; a filing that fits was found, or told, after it."""
    day = str(encounter.content.get("visit", {}).get("begntime") or "")[:10]
    return filing.status == "active" and not filing.misfit(place.site.admdvs, day)


def _answered(answer: Answer) -> bool:
    return all(one.check not in ("line", "downtime", "identity") for one in answer.findings)


def _is_final(case: Case, bills: Sequence[Bill]) -> bool:
    """Of the stay, not of its middle."""
    bill = next((one for one in bills if one.bill_id == case.bill_id), None)
    return bill is None or str(bill.content.get("settle", {}).get("mid_setl_flag", "0")) != MID_STAY


def _refused_since(settlements: Sequence[Case], asked_at: str) -> Case | None:
    """The newest try that the centre refused for want of a filing, after the last enquiry."""
    last = max(settlements, key=lambda case: case.changed_at, default=None)
    if last is None or last.state is not State.REJECTED or last.changed_at <= asked_at:
        return None
    return last if str(last.told.get("code", "")).lower() in FILING_REASONS else None


def _older(moment: str, now: datetime, than: timedelta) -> bool:
    return bool(moment) and now - datetime.fromisoformat(moment) > than


def refuse_unknown(encounter: Encounter | None, encounter_key: str) -> None:
    """Raises: Refused NO_SUCH_ENCOUNTER for what is no stay here."""
    if encounter is None or encounter.kind != "inpatient":
        text = f"没有找到住院就诊 {encounter_key[:64]}，请核对"
        raise Refused("no such stay", code="NO_SUCH_ENCOUNTER", message_zh=text)
