"""Settlement lists on their way: each version an outbox item of its own, purpose ``list``; the newest one counts.

No transaction takes a list back from the centre (4102 changes a state whose values are the centre's own), so the list of a settlement
that was taken back is marked for people, and one that waits goes out no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter_core.province.national import NationalGateway
from adapter_core.province.plan import Step
from adapter_core.province.relay import RelayGateway
from adapter_core.settlement.absorb import content_hash
from adapter_core.settlement.calls import Called, Caller, Context
from adapter_core.settlement.decisions import move
from adapter_core.settlement.outbox import LIST, TAKEN_BACK, item_of
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import Case, Change, Event
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.settlement_list import build_list
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import Result, State
from adapter_core.settlement.telling import Teller
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSupported, Refused

STEP = "settlement_list"
UPLOADS = ("4101", "4101A")
VOIDED_AT = "voided_at"
"""In an item's data: when its settlement was taken back."""


def list_call(place: Place) -> str:
    """The number this way speaks: option ``settlement_list`` of the gateway, 4101 by default.  Raises: NotSupported."""
    if not isinstance(place.gateway, NationalGateway):
        text = "本机构的医保线路不是国家接口，不能上传结算清单"
        raise NotSupported("the gateway speaks no national JSON", message_zh=text)
    infno = place.gateway.site.options.get("settlement_list", UPLOADS[0])
    if infno not in UPLOADS:
        raise NotSupported(f"settlement_list is one of {', '.join(UPLOADS)}")
    return infno


class ListItems:
    def __init__(self, ledger: Ledger, caller: Caller, sessions: Sessions, teller: Teller) -> None:
        self._ledger = ledger
        self._caller = caller
        self._sessions = sessions
        self._teller = teller

    async def hand_in(self, place: Place, settled: Case, said: Mapping[str, Any]) -> Case:
        """The item that carries this list: the newest one where it says the same and wasn't refused, else a new one, nobody's as yet.

        Raises: TranslationError with every fault; Refused NOT_SETTLED; ledger conflicts.
        """
        if settled.purpose != "settle" or settled.state is not State.SETTLED:
            text = "该业务没有有效的结算，不能上传结算清单"
            raise Refused(f"state {settled.state}", code="NOT_SETTLED", message_zh=text)
        encounter = await self._ledger.encounter(settled.encounter_id)
        bill = await self._ledger.bill(settled.bill_id)
        assert encounter is not None and bill is not None
        infno = list_call(place)
        nodes = build_list(infno, place.site, settled, encounter, bill, said)
        digest = content_hash({"infno": infno, "nodes": nodes})
        newest, number = await newest_list(self._ledger, settled)
        if newest is not None and newest.data.get("digest") == digest and newest.state is not State.REJECTED:
            return newest
        at = self._teller.stamp()
        item = replace(
            item_of(settled, at),
            case_id=f"{settled.case_id}-list-{number + 1}",
            purpose=LIST,
            key=_key(settled, number + 1),
            data={"infno": infno, "nodes": nodes, "digest": digest},
        )
        event = Event("LIST_HANDED_IN", at, item.case_id, item.encounter_id, {"number": number + 1})
        replaced: tuple[Case, ...] = ()
        if newest is not None and newest.state is State.READY:
            why = {**newest.data, "why": "a newer version was handed in"}
            replaced = (move(newest, State.CANCELLED, at, data=why),)
        await self._ledger.commit(Change(settled.org, events=(event,), cases=(*replaced, item)))
        return item

    async def send(self, context: Context) -> tuple[Result, str, Mapping[str, Any]]:
        """One try of an item's upload, journalled: what became of it, the centre's text, what it told.

        Raises: NotSupported, StepStopped, TranslationError, ledger conflicts: then nothing was sent, or all of it is journalled."""
        item = context.case
        assert item is not None
        infno = str(item.data["infno"])
        gateway = context.place.gateway
        assert isinstance(gateway, NationalGateway)
        signed = await self._sessions.signed_in(replace(context, case=None))
        seen = view(context.encounter, context.bill)
        content = {
            "env": seen.get("env", {}),
            "person": {name: value for name, value in seen.get("person", {}).items() if name == "insuplc_admdvs"},
            "relay": {"envelope": {}, infno: dict(item.data["nodes"])},
        }
        way = replace(signed.place, gateway=RelayGateway(gateway, infno))
        sending = replace(signed, place=way, case=item)
        # its own next version goes with the intent: who took the settlement, or this list, back in between sends nothing
        still = Change(item.org, cases=(replace(item, version=item.version + 1),))
        called = await self._caller.send(Step(STEP, infno, "U"), sending, content, still)
        record, event = self._caller.outcome(sending, called)
        await self._ledger.commit(Change(item.org, events=(event,), calls=(record,)))
        return called.verdict.result, called.verdict.text, _told(called)


async def newest_list(ledger: Ledger, settled: Case) -> tuple[Case | None, int]:
    """The newest version of a settlement's list, and its number; None and 0 where none was ever handed in."""
    newest: Case | None = None
    number = 0
    while True:
        found = await ledger.case_by_key(settled.org, LIST, _key(settled, number + 1))
        if found is None:
            return newest, number
        newest, number = found, number + 1


async def lists_taken_back(ledger: Ledger, settled: Case, at: str) -> tuple[Case, ...]:
    """The settlement's newest list with the mark that its settlement was taken back ``at``; CANCELLED where it hadn't gone out."""
    newest, _ = await newest_list(ledger, settled)
    if newest is None:
        return ()
    data = {**newest.data, VOIDED_AT: at}
    if newest.state is State.READY:
        return (move(newest, State.CANCELLED, at, data={**data, "why": TAKEN_BACK}),)
    return (replace(newest, data=data, changed_at=at, version=newest.version + 1),)


def is_stranded(item: Case) -> bool:
    """Whether the centre has this list though its settlement was taken back: for people to settle with the centre."""
    return VOIDED_AT in item.data and (item.state is State.DONE or "setl_list_id" in item.data)


def _told(called: Called) -> dict[str, Any]:
    """What the centre says of a list it took."""
    if called.verdict.result is not Result.APPLIED:
        return {}
    output = called.verdict.content.get("reply", {}).get("output") or {}
    data = output.get("data") if isinstance(output, Mapping) else None
    row = data[0] if isinstance(data, list) and data else data
    number = row.get("setl_list_id") if isinstance(row, Mapping) else None
    return {"setl_list_id": str(number)} if number else {}


def _key(settled: Case, number: int) -> str:
    return f"{settled.key}/list/{number}"
