"""Retracing: what the journal says of a case's calls, read back after a start, a take-over or a late reply."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from adapter_core.province.messages import Call
from adapter_core.settlement.calls import call_from, frame_from
from adapter_core.settlement.ports import Ledger
from adapter_core.settlement.records import CallRecord, Case
from adapter_core.values.frames import Frame

JOURNALS_AT_ONCE = 4
"""When a centre hangs, all its calls end in the same moment; whoever polls then must not wait for every journal to be read."""


class Retracing:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._journals = asyncio.Semaphore(JOURNALS_AT_ONCE)

    async def last_call(self, case: Case, step: str) -> tuple[Call, Frame | None, CallRecord] | None:
        """The case's last call of a step with its reply, if one was journalled, and its record; None when none was intended."""
        call: Call | None = None
        reply: Frame | None = None
        async with self._journals:
            await asyncio.sleep(0)  # reading awaits nothing where the ledger is a file
            events = await self._ledger.events_of_case(case.case_id)
        for event in events:
            if event.kind == "INTENT" and event.data["step"] == step:
                call, reply = call_from(event.data), None
            elif event.kind == "REPLY" and call is not None and _answers(event.data, call):
                reply = frame_from(event.data, event.raw)
        if call is None:
            return None
        return call, reply, await self.record(case, call)

    async def record(self, case: Case, call: Call) -> CallRecord:
        """The call's record as the ledger has it now."""
        records = await self._ledger.calls_of_case(case.case_id)
        return next(one for one in records if one.msgid == call.msgid and one.step == call.step)

    async def records(self, case: Case, step: str) -> list[CallRecord]:
        """The records of a step's calls, oldest first."""
        return [one for one in await self._ledger.calls_of_case(case.case_id) if one.step == step]


def _answers(reply: Mapping[str, Any], call: Call) -> bool:
    """Whether a journalled reply is this call's: a read of another replica may have shared its msgid within one second."""
    return bool(reply["msgid"] == call.msgid and reply["step"] == call.step)
