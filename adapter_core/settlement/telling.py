"""Telling the HIS: the answer is durable before it is given, with the references it names (J7, `reliability.md` §4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement import answers
from adapter_core.settlement.calls import Context
from adapter_core.settlement.decisions import move
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Clock, Ledger
from adapter_core.settlement.records import Alias, Case, Change, Event
from adapter_core.settlement.standing import view
from adapter_core.settlement.states import RELEASED, State
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.moments import china, iso

MONEY = "settled"
"""The section a settlement's result is filed under."""


class Teller:
    """dialects: name → dialect, for the references its answers mint; observer: told every change of a case."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        dialects: Callable[[str], Dialect | None],
        observer: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._dialects = dialects
        self._observer = observer

    async def tell_amounts(
        self,
        context: Context,
        case: Case,
        state: str,
        content: Content,
        operation: Operation | None,
        change: Change | None = None,
    ) -> None:
        dialect = self._dialects(case.dialect)
        verb = {"QUOTED": "quote", "SETTLED": "settle", "VOIDED": "void"}[state]
        base = change or Change(case.org)
        refs: dict[str, str] = {}
        if dialect:
            refs, aliases = self._minted(context.place, dialect, verb, replace(context, case=case))
            base = replace(base, aliases=(*base.aliases, *aliases))
        kept = {**(operation.refs if operation and operation.verb != "query" else {}), **refs}
        await self.tell(context, case, answers.amounts_outcome(state, content, kept), base)

    async def tell(self, context: Context, case: Case, outcome: Outcome, change: Change | None = None) -> None:
        """J7: what the HIS is about to be answered is durable before it is answered."""
        base = change or Change(case.org)
        outcome = replace(outcome, content={**outcome.content, "case": answers.case_facts(case)})
        told = replace(case, told=answers.outcome_data(outcome))
        event = self.event(
            "TOLD", context, {"state": outcome.state, "code": outcome.code, "message_zh": outcome.message_zh}
        )
        cases = (*base.cases, told)
        if case.purpose == "void" and case.state in RELEASED and case.state is not State.VOIDED:
            target = await self._ledger.case(case.target_case_id)
            assert target is not None
            cases = (*cases, move(target, State.SETTLED, self.stamp()))
        await self.commit(replace(base, events=(*base.events, event), cases=cases))

    async def minted(self, place: Place, dialect: Dialect, verb: str, context: Context | None) -> dict[str, str]:
        """New references this verb's answer makes, stored as aliases before they are told."""
        refs, aliases = self._minted(place, dialect, verb, context)
        if aliases:
            await self._ledger.commit(Change(place.org, aliases=aliases))
        return refs

    def _minted(
        self, place: Place, dialect: Dialect, verb: str, context: Context | None
    ) -> tuple[dict[str, str], tuple[Alias, ...]]:
        """New references, and the aliases to store before they are told."""
        kinds = {kind: spec for kind, spec in dialect.refs.items() if verb in spec.mint}
        if not kinds:
            return {}, ()
        moment = china(self._clock.wall())
        refs = {
            kind: spec.pattern.format(n=self._ledger.sequence(place.org), time=moment, admdvs=place.site.admdvs)
            for kind, spec in kinds.items()
        }
        ids = ("", "", "")
        if context is not None:
            ids = (context.encounter.encounter_id, context.bill.bill_id, context.case.case_id if context.case else "")
        return refs, tuple(Alias(place.org, dialect.name, kind, value, *ids) for kind, value in refs.items())

    def told_content(self, context: Context, result: Mapping[str, Any], funds: Any = None) -> Content:
        shown = view(context.encounter, context.bill)
        names = ("person", "visit", "settle", "bill", "lines", MONEY)
        told: Content = {name: shown[name] for name in names if name in shown}
        told["result"] = dict(result)
        told["funds"] = shown.get("funds", []) if funds is None else funds
        return told

    async def commit(self, change: Change) -> int:
        """Returns the journal's last sequence number."""
        last = await self._ledger.commit(change)
        for case in change.cases:
            if case.purpose not in ("settle", "void"):
                continue  # an outbox item is no business of the HIS's
            self._observer(
                {
                    "case_id": case.case_id,
                    "visit_key": case.visit_key,
                    "settle_key": case.key,
                    "state": str(case.state),
                    "at": case.changed_at,
                }
            )
        return last

    def event(self, kind: str, context: Context, data: Mapping[str, Any]) -> Event:
        assert context.case is not None
        return Event(kind, self.stamp(), context.case.case_id, context.encounter.encounter_id, data)

    def wall(self) -> datetime:
        """Now, aware."""
        return self._clock.wall()

    def stamp(self) -> str:
        """Now, as the journal writes it."""
        return iso(self._clock.wall())
