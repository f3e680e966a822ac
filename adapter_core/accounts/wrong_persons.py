"""A settlement made under somebody else's card: what it moved is taken back, a security event is noted, and the right person is
settled anew.  Asked again, it goes on where it stopped and does nothing twice."""

from __future__ import annotations

from typing import Any, Protocol

from adapter_core.accounts.acting import ItemLedger
from adapter_core.accounts.centre_desk import Passing
from adapter_core.accounts.differences import OPEN, made_id
from adapter_core.accounts.watching import TOPIC
from adapter_core.province.messages import Operation
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import AccountItem, Case, Encounter
from adapter_core.settlement.states import RELEASED
from adapter_core.values.errors import NotSupported, Refused

RULE = "wrong_person"
ANEW_ZH = "请为本人另建就诊（新的就诊号和业务号，supersedes 填原业务号），用本人证件重新结算"
FIRST_ZH = "原结算尚未撤销完成，核实前请勿为本人结算、勿退现金，稍后用同一命令再查"


class CaseLedger(ItemLedger, Protocol):
    async def encounter(self, encounter_id: str) -> Encounter | None: ...

    async def case_by_key(self, org: str, purpose: str, key: str) -> Case | None: ...


class WrongPersons:
    def __init__(self, pipeline: Passing, ledger: CaseLedger, notes: FromFiles, place: Place) -> None:
        self._pipeline = pipeline
        self._ledger = ledger
        self._notes = notes
        self._place = place
        self._dialect = NationalDialect()

    async def take_back(self, key: str, operator: str, reason: str, day: str) -> dict[str, Any]:
        """A settled case is refunded, one in doubt is reversed, one that has not been sent is cancelled; an outpatient's
        registration under the wrong person goes, too.

        key: settle_key or case_id.  Returns item_id, state, code, message_zh, and registration: ``undone``, ``stands`` or "".
        Raises: Refused NO_SUCH_CASE, and whatever the refund is refused with.
        """
        org = self._place.org
        case = await self._ledger.case_by_key(org, "settle", key) or await self._ledger.case(key)
        if case is None or case.org != org or case.purpose != "settle":
            raise Refused("no such case", code="NO_SUCH_CASE", message_zh="没有找到该业务，请核对业务号")
        number = await self._reported(case, operator, reason, day)
        keys = {"settle": case.key, "void": f"wrong-person-{case.case_id}"}
        said = {"x": {"reason": reason}}
        void = Operation("void", "void", self._dialect.name, case.kind, "cancel", said, keys=keys)
        outcome = await self._pipeline.handle(self._place, self._dialect, void)
        after = await self._ledger.case(case.case_id)
        is_over = after is not None and after.state in RELEASED
        registration = await self._unregistered(case) if is_over else ""
        stands = "；原就诊登记仍在，请另行撤销" if registration == "stands" else ""
        return {
            "item_id": number,
            "state": outcome.state,
            "code": outcome.code,
            "registration": registration,
            "message_zh": f"{outcome.message_zh}{stands}。{ANEW_ZH if is_over else FIRST_ZH}",
        }

    async def _reported(self, case: Case, operator: str, reason: str, day: str) -> str:
        """The flag's id; with the flag goes the security event, once."""
        number = made_id(case.org, TOPIC, RULE, case.case_id)
        if await self._ledger.account_item(number) is None:
            now = self._notes.stamp()
            facts = {"what": reason, "operator": operator, "count": "1"}
            item = AccountItem(
                number, case.org, TOPIC, RULE, day, OPEN, case.case_id, case.total_fen,
                opened_at=now, changed_at=now, facts=facts,
            )  # fmt: skip
            await self._notes.reported(case, RULE, operator, item)
        return number

    async def _unregistered(self, case: Case) -> str:
        encounter = await self._ledger.encounter(case.encounter_id)
        if case.kind == "pharmacy":
            return ""  # a sale is registered with its settlement, and ended with it
        if encounter is None or case.kind != "outpatient":
            return "stands"  # a stay has a discharge and days of its own: whoever admitted decides
        keys = {"encounter": encounter.encounter_key}
        asked = Operation("unregister", "unregister", self._dialect.name, case.kind, keys=keys)
        try:
            done = await self._pipeline.handle(self._place, self._dialect, asked)
        except (Refused, NotSupported):  # other bills of it are settled, or this way can't
            return "stands"
        return "undone" if done.state == "DONE" else "stands"
