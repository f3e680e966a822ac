"""Creates of a HIS's own that no case stands behind: filings (25xx), the monthly list's confirmation (3261), clearing
applications (3203).  Each goes out once; one whose answer never came is not sent again before the HIS has looked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from adapter_core.accounts.his_applications import NUMBER, HisApplications
from adapter_core.province import relay
from adapter_core.province.messages import Outcome
from adapter_core.settlement.absorb import content_hash
from adapter_core.settlement.applications import SAME
from adapter_core.settlement.lanes import Lanes
from adapter_core.settlement.ports import Conflict, Ledger
from adapter_core.settlement.records import Alias, Change
from adapter_core.sidecar import national_replies as replies
from adapter_core.values.errors import AdapterError, Refused

APPLY, WITHDRAW = "3203", "3204"
QUERY_OF: Mapping[str, str] = {"2501": "5304", "2503": "5301", "2505": "5302", "3261": "3260"}
"""What shows whether a create came about.  The withdrawals (2502, 2504, 2506, 3204) name a number: repeated, they take nothing back
twice."""
ABOUT: Mapping[str, tuple[str, ...]] = {
    "2501": ("psn_no",),
    "2503": ("psn_no",),
    "2505": ("psn_no",),
    "3261": ("trt_year", "trt_month"),
}
"""What a create and its query both say."""
WHAT: Mapping[str, str] = {"2501": SAME["transfer"][1], "2503": SAME["chronic"][1], "2505": SAME["chosen"][1]}
"""What makes it the same create; of a list's confirmation all of it."""
OPEN = "unanswered"
"""The kind of the alias that remembers them; its note lists what is open."""
UNKNOWN_ZH = "【结果未知】没有得到医保中心的可信应答，"

Answer = tuple[replies.Reply | replies.Verbatim, bool]


class Creates:
    def __init__(self, ledger: Ledger, applications: HisApplications, lanes: Lanes, org: str) -> None:
        self._ledger = ledger
        self._applications = applications
        self._lanes = lanes
        self._org = org

    async def once(self, asked: relay.Asked, handled: Callable[[], Awaitable[Outcome]]) -> Answer:
        """The reply, and whether it says that the result isn't known.  Raises: Refused; whatever ``handled`` raises."""
        same = _value(asked.infno, asked) if asked.infno in ABOUT else f"{asked.infno}/{content_hash(asked.input)}"
        async with self._lanes.lane(f"{self._org}/{same}"):
            if asked.infno == APPLY:
                return await self._applied(asked, handled)
            outcome = await (self._guarded(asked, handled) if asked.infno in QUERY_OF else handled())
            if asked.infno == WITHDRAW and outcome.state == "DONE":
                await self._applications.withdrawn(asked.said(NUMBER))
            return _told(asked, outcome)

    async def looked(self, asked: relay.Asked) -> None:
        """The HIS has asked the centre what there is, and was answered: what was open may be sent again."""
        for infno, query in QUERY_OF.items():
            if query == asked.infno and await self._open(infno, asked):
                await self._keep(infno, asked, ())

    async def _guarded(self, asked: relay.Asked, handled: Callable[[], Awaitable[Outcome]]) -> Outcome:
        infno, before = asked.infno, await self._open(asked.infno, asked)
        said = asked.said(WHAT[infno]) if infno in WHAT else dict(asked.input)
        mark = content_hash([infno, said])[:16]
        if mark in before:
            text = f"{UNKNOWN_ZH}上次发送的结果尚未查明，本次未重发，请先用 {QUERY_OF[infno]} 查询，确认没有办理后再发"
            raise Refused(f"{infno} was never answered", code="UNANSWERED", message_zh=text)
        await self._keep(infno, asked, (*before, mark))  # before it leaves: a restart must not forget it
        try:
            outcome = await handled()
        except AdapterError:  # nothing was sent
            await self._keep(infno, asked, before)
            raise
        if outcome.state != "UNKNOWN":
            await self._keep(infno, asked, before)
        return outcome

    async def _applied(self, asked: relay.Asked, handled: Callable[[], Awaitable[Outcome]]) -> Answer:
        try:
            item, was_taken = await self._applications.begun(asked.input)
        except Conflict:
            text = "该月清算申报正在另一处办理，未发送，请稍后查询"
            raise Refused("another applies now", code="APPLIED_ALREADY", message_zh=text) from None
        if was_taken:
            return replies.reply(0, None, {"result": {NUMBER: item.facts.get(NUMBER, "")}}), False
        try:
            outcome = await handled()
        except AdapterError as error:
            await self._applications.not_sent(item, error.message_zh)
            raise
        await self._applications.answered(item, outcome)
        return _told(asked, outcome)

    async def _open(self, infno: str, asked: relay.Asked) -> tuple[str, ...]:
        alias = await self._ledger.alias(self._org, relay.NAME, OPEN, _value(infno, asked))
        return tuple(alias.note.split()) if alias is not None else ()

    async def _keep(self, infno: str, asked: relay.Asked, marks: tuple[str, ...]) -> None:
        alias = Alias(self._org, relay.NAME, OPEN, _value(infno, asked), note=" ".join(marks))
        await self._ledger.commit(Change(self._org, aliases=(alias,)))


def _value(infno: str, asked: relay.Asked) -> str:
    return "/".join((infno, *(asked.said(name) for name in ABOUT[infno])))


def _told(asked: relay.Asked, outcome: Outcome) -> Answer:
    if outcome.state != "UNKNOWN":
        return replies.passed_on(asked, outcome), False
    query = QUERY_OF.get(asked.infno)
    what = f"请先用 {query} 查询，确认没有办理后再发" if query else "请向经办机构核实"
    return replies.refused(f"{UNKNOWN_ZH}{what}"), True
