"""The HIS of the rig: it plays visits, and repeats every message under the same key until it is decided."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from ..care import Care, bill, patient

FINAL = frozenset({"SETTLED", "VOIDED", "REJECTED", "NOT_APPLIED", "REVERSED", "CANCELLED", "FROZEN"})
STORIES = ("settle", "quote", "void", "again", "cancel")
"""settle; quote, then settle; settle, then refund; and settle once more after it; settle, then cancel while in doubt."""
AGAIN = ("NOT_APPLIED", "REVERSED", "REJECTED", "CANCELLED")
WAIT_S, PAUSE_S = 1.0, 0.1
"""How long one message waits for its answer, and the HIS before it repeats what was not even begun."""
STALLED_AFTER = 3
SETTLEMENTS_MAX = 8
REFUSALS_MAX = 60
PASSING = frozenset({"LEDGER_UNAVAILABLE", "LEDGER_UNDECIDED", "VISIT_HELD", "CONFLICT"})
"""Refusals that pass: the ledger comes back, the other request ends."""

Ask = Callable[[str, float], Awaitable[dict[str, Any]]]
"""A message and how long to wait, to whichever replica lives; its reply."""


class GaveUp(AssertionError):
    """A visit that came to no end."""


@dataclass
class Told:
    """All that the HIS heard of one key: the answers that may never change, in order."""

    states: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)

    def heard(self, state: str, answer: str, void_asked: bool) -> str:
        """What is wrong with it; "" when nothing is."""
        if state not in FINAL:
            return "" if not self.states or (void_asked and state == "VOIDING") else f"{self.states[-1]} -> {state}"
        last = self.states[-1] if self.states else state
        if last not in (state, "FROZEN") and not (void_asked and (last, state) == ("SETTLED", "VOIDED")):
            return f"{last} -> {state}"
        if self.answers.setdefault(state, answer) != answer:
            return f"{state} in other words: {self.answers[state]} -> {answer}"
        if not self.states or last != state:
            self.states.append(state)
        return ""


class Visit:
    """One bill of one patient, who has no other.  changed: answers that were not what they had been; last: what was heard last."""

    def __init__(self, number: int, name: str, kind: str, care: Care, ask: Ask) -> None:
        self.care = care
        self.name = name
        self.kind = kind
        self.psn_no = f"T{name}"
        self.certno = f"22010219991333{number:03}1"  # no such month, so no such number
        self.stalled = asyncio.Event()
        self.told: dict[str, Told] = {}
        self.messages: dict[str, str] = {}
        self.changed: list[str] = []
        self._ask = ask
        self._void_asked = False
        self.last = ""
        self._bill_mark = ""

    @property
    def person(self) -> dict[str, Any]:
        return patient(self.psn_no, self.certno)

    async def play(self) -> None:
        """To its end.  Raises: GaveUp."""
        key = await self._settle("")
        if key and self.kind in ("void", "again"):
            await self._void(key)
            if self.kind == "again":
                self._bill_mark = "B"  # the refunded lines keep their numbers at the centre
                await self._settle(key)

    async def repeat(self) -> None:
        """Every message that was decided, once more."""
        for name, message in list(self.messages.items()):
            await self._decided(name, message)

    async def _settle(self, supersedes: str) -> str:
        """The key that settled; "" when none did, by cancelling or because a person decides now."""
        for _ in range(SETTLEMENTS_MAX):
            key = f"{self.name}-S{sum(name.startswith('settle') for name in self.messages) + 1}"
            if self.kind == "quote":
                state = await self._decided(f"quote {key}", self._message("quote", key, supersedes))
                if state != "QUOTED":
                    supersedes = key
                    continue
            asked = self._message("settle", key, supersedes)
            state = await (
                self._cancelled(key, asked) if self.kind == "cancel" else self._decided(f"settle {key}", asked)
            )
            if state == "SETTLED":
                return key
            if state == "FROZEN" or self.kind == "cancel":
                return ""
            supersedes = key
        raise GaveUp(f"{self.name} ({self.kind}): not settled under {SETTLEMENTS_MAX} keys: {self.last}")

    async def _cancelled(self, key: str, asked: str) -> str:
        """The cashier waits a moment, cancels, and then asks what became of it."""
        await self._heard(f"settle {key}", asked, WAIT_S / 5)
        if await self._decided(f"cancel {key}", self._message("cancel", key), until=("PENDING",)) == "NO_SUCH_CASE":
            return ""  # the settlement was never begun
        return await self._decided(f"settle {key}", asked)

    async def _void(self, key: str) -> None:
        self._void_asked = True
        for number in itertools.count(1):
            name = f"{key}-R{number}"
            state = await self._decided(f"void {name}", self._message("void", key, void_key=name))
            if state in ("VOIDED", "FROZEN"):
                return
            if number == SETTLEMENTS_MAX:
                raise GaveUp(f"{self.name}: not refunded under {number} keys: {state}")

    async def _decided(self, name: str, message: str, until: tuple[str, ...] = ()) -> str:
        """Repeated until it is; the state.  A cancel that comes too late is refused, and that decides it."""
        refusals = 0
        for number in itertools.count(1):
            if number > STALLED_AFTER:
                self.stalled.set()
            state, code = await self._heard(name, message, WAIT_S)
            if state in FINAL or state in until or (state == "QUOTED" and name.startswith("quote")):
                if state != "QUOTED" and name.split()[0] in ("settle", "void"):
                    self.messages[name] = message
                return state
            if state == "REFUSED":
                if code in ("USE_VOID", "NO_SUCH_CASE") and name.startswith("cancel"):
                    return code
                refusals += code not in PASSING
                if refusals > REFUSALS_MAX:
                    raise GaveUp(f"{name}: refused again and again: {code}")
            if state != "PENDING":
                await asyncio.sleep(PAUSE_S)
        raise AssertionError("unreachable")

    async def _heard(self, name: str, message: str, wait_s: float) -> tuple[str, str]:
        reply = await self._ask(message, wait_s)
        if "answer" not in reply:
            return "REFUSED", str(reply.get("refused", "FAULT"))
        answer = json.loads(reply["answer"])
        state = str(answer["state"])
        self.last = f"{state} {answer['code']} {answer['message_zh']}"
        if name.split()[0] in ("settle", "void"):
            wrong = self.told.setdefault(name, Told()).heard(state, reply["answer"], self._void_asked)
            if wrong:
                self.changed.append(f"{name}: {wrong}")
        return state, str(answer["code"])

    def _message(self, intent: str, key: str, supersedes: str = "", void_key: str = "") -> str:
        message: dict[str, Any] = {
            "intent": intent,
            "settle_key": key,
            "visit_key": self.name,
            "operator": {"opter": "T001", "opter_name": "测试操作员"},
        }
        if void_key:
            message["void_key"] = void_key
        if supersedes:
            message["supersedes"] = supersedes
        if intent in ("settle", "quote"):
            message |= bill(self.care, self.name, self.certno, self._bill_mark)
        return json.dumps(message, ensure_ascii=False)
