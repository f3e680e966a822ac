"""The HIS of one visit: settles, repeats, polls, cancels in doubt, takes back, tries again; sometimes rudely."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, Protocol

from adapter_core.province.messages import Operation
from adapter_core.testing.simtest.world import World

POLLS_AFTER_FAULTS = 60
PAPER_TURNS = 12
REVOKES = 0.3
GONE = "?"
"""No answer: the node was dead, the ledger away, the reply lost."""


class Desk(Protocol):
    """Where a HIS asks: any replica, chosen by the case."""

    async def ask(self, operation: Operation, wait_s: float) -> str:
        """The state told, a refusal's code, or ``GONE``."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What this cashier does: chances per turn."""

    kind: str = "outpatient"
    admits: bool = False
    quotes_first: bool = False
    twice_at_once: float = 0.0
    repeats: float = 0.2
    cancels: float = 0.1
    voids: float = 0.2
    rude: float = 0.1
    changes: float = 0.05
    haste: float = 0.2
    keys: int = 2
    turns: int = 12
    papers: float = 0.0


@dataclass(slots=True)
class Cashier:
    world: World
    desk: Desk
    random: Random
    habits: Habits
    visit_key: str
    encounter_key: str
    psn_no: str
    amount: Decimal
    key_number: int = 0
    void_number: int = 0
    last: dict[str, str] = field(default_factory=dict)

    async def serve(self) -> None:
        """The visit from its first message to rest.  Ends only when every key has an answer that lasts."""
        if self.habits.papers:
            self.world.spawn(self._papers())
        while self.key_number < self.habits.keys:
            self.key_number += 1
            key = f"K{self.visit_key}{self.key_number}"
            if self.habits.quotes_first and await self._ask("quote", key) == "CANCELLED":
                continue
            state = await self._settled(key)
            if state == "SETTLED" and self.random.random() < self.habits.voids:
                state = await self._taken_back(key)
            if state in ("SETTLED", "FROZEN", "VOIDING"):
                break

    async def _papers(self) -> None:
        """Another window asks for manual-reimbursement papers at any moment, and takes some back."""
        random = Random(f"papers {self.visit_key} {self.amount}")
        for _ in range(PAPER_TURNS):
            await self.world.pause(random.choice((0.1, 1.0, 10.0, 90.0)) * random.random())
            if random.random() < self.habits.papers:
                verb = "paper_revoke" if random.random() < REVOKES else "paper_open"
                keys = {"visit": self.visit_key}
                await self.desk.ask(Operation(verb, verb, "national", self.habits.kind, keys=keys), 2.0)

    async def _settled(self, key: str) -> str:
        """One key until it is decided."""
        state = await self._first(key)
        late_turns = 0
        for turn in range(1000):
            self.last[key] = state
            patient = turn < self.habits.turns and self.world.faults.live
            late_turns += not self.world.faults.live
            if late_turns > POLLS_AFTER_FAULTS:
                break  # whether the core took too long is the checker's business
            match state:
                case "SETTLED" | "REJECTED" | "NOT_APPLIED" | "REVERSED" | "CANCELLED" | "VOIDED" | "FROZEN":
                    if patient and self._chance(self.habits.repeats):
                        await self._ask("settle", key)
                    return state
                case "VISIT_HELD" | "KEY_REUSED" | "QUOTE_EXPIRED" | "MANUAL_OPEN" | "MANUAL_REVOKED":
                    return state
                case "NOT_SENT":
                    if not patient:
                        return state
                    await self._pause(1.0, 30.0)
                    verb = "cancel" if self._chance(self.habits.cancels) else "settle"
                    state = await self._ask(verb, key)
                case "QUOTED":
                    state = await self._ask("cancel" if self._chance(self.habits.cancels) else "settle", key)
                case _:
                    await self._waits(patient)
                    state = await (self._in_doubt(key) if patient else self._ask("query", key))
                    if state == "NO_SUCH_CASE":
                        state = await self._ask("settle", key)
        return state

    async def _first(self, key: str) -> str:
        if self._chance(self.habits.cancels * 0.4):
            self.world.spawn(self._cancels_soon(key))
        if not self._chance(self.habits.twice_at_once):
            return await self._ask("settle", key)
        twin = self.world.spawn(self._ask("settle", key))
        state = await self._ask("settle", key)
        return state if state != GONE else str(await twin)

    async def _cancels_soon(self, key: str) -> None:
        """The patient walks away while the settlement is under way."""
        await self._pause(0.0, 0.4)
        await self._ask("cancel", key)

    async def _in_doubt(self, key: str) -> str:
        """PENDING, or no answer at all: what hospitals do then, sensible or not."""
        if self._chance(self.habits.rude):
            return await self._rudely(key)
        if self._chance(self.habits.cancels):
            return await self._ask("cancel", key)
        return await self._ask("settle" if self._chance(self.habits.repeats) else "query", key)

    async def _rudely(self, key: str) -> str:
        """A new key, or other content under the old one, while the first is not decided."""
        if self._chance(0.5):
            told = await self._ask("settle", f"{key}x")
            if told not in ("VISIT_HELD", GONE):
                await self._settled(f"{key}x") if not key.endswith("x") else None
        elif self.last.get(key) in ("PENDING", "NOT_SENT") and self._chance(self.habits.changes * 10):
            told = await self._ask("settle", key, other=True)
            if told not in ("KEY_REUSED", "VISIT_HELD", "TOTAL_DIFFERS", GONE):
                self.world.violate("I8", f"other content under {key} was answered {told}")
        return await self._ask("query", key)

    async def _taken_back(self, key: str) -> str:
        self.void_number += 1
        void_key = f"R{self.visit_key}{self.void_number}"
        for turn in range(1000):
            told = await self._ask("void", key, void_key=void_key)
            if told in ("VOIDED", "REJECTED", "NOT_APPLIED", "FROZEN", "CANCELLED", "USE_CANCEL", "VISIT_HELD"):
                return told if told in ("VOIDED", "FROZEN") else "SETTLED"
            if told == "NOT_SENT" and turn >= self.habits.turns:
                return "SETTLED"
            await self._pause(2.0, 40.0) if self.world.faults.live else await self._pause(60.0, 300.0)
        return "VOIDING"

    async def last_answers(self) -> None:
        """Every key once more, so that answers are compared over every crash."""
        for key in sorted(self.last):
            await self._ask("query", key)

    # -- asking

    async def _ask(self, verb: str, key: str, *, void_key: str = "", other: bool = False) -> str:
        operation = self._operation(verb, key, void_key, other)
        waits = (0.0, 0.05, 2.0, 8.0, 25.0) if self.world.faults.live else (0.05,)
        return await self.desk.ask(operation, self.random.choice(waits))

    def _operation(self, verb: str, key: str, void_key: str, other: bool) -> Operation:
        keys = {"settle": key, **({"void": void_key} if void_key else {})}
        if verb in ("quote", "settle"):
            keys |= {"visit": self.visit_key, "encounter": self.encounter_key}
        content = self._content(other) if verb in ("quote", "settle") else {}
        return Operation(verb, verb, "national", self.habits.kind, content=content, keys=keys, fees_whole=True)

    def _content(self, other: bool) -> dict[str, Any]:
        amount = self.amount + (1 if other else 0)
        half = (amount / 2).quantize(Decimal("0.01"))
        content: dict[str, Any] = {
            "person": {**PERSON, **({"psn_no": self.psn_no} if self.psn_no else {})},
            "visit": {**VISIT, **self._stay()},
            "settle": dict(SETTLE),
            "env": {"opter": "001", "opter_name": "测试收费员", "opter_type": "1"},
        }
        if self.habits.kind == "inpatient":
            content["settle"] |= {"medfee_sumamt": amount, "med_type": "21", "mid_setl_flag": "0"}
            if not self.habits.admits:
                return content
        content["diagnoses"] = [dict(DIAGNOSIS)]
        content["fees"] = [
            {**FEE, "feedetl_sn": f"{self.visit_key}{number}", "det_item_fee_sumamt": part, "pric": part}
            for number, part in enumerate((half, amount - half), start=1)
        ]
        return content

    def _stay(self) -> dict[str, Any]:
        """Admitted by somebody else, or through the adapter, which then discharges as well."""
        if self.habits.kind != "inpatient":
            return {}
        if not self.habits.admits:
            return {"mdtrt_id": f"S{self.encounter_key}"}
        return {"ipt_no": self.encounter_key, "endtime": "2026-11-21 10:00:00", "dscg_way": "1"}

    def _chance(self, of: float) -> bool:
        return self.random.random() < of

    async def _waits(self, patient: bool) -> None:
        """Between two questions: a hasty cashier asks again at once."""
        if not patient:
            await self._pause(60.0, 300.0)
        elif self._chance(self.habits.haste):
            await self._pause(0.001, 0.2)
        else:
            await self._pause(2.0, 40.0)

    async def _pause(self, low: float, high: float) -> None:
        await self.world.pause(self.random.uniform(low, high))


PERSON = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000", "psn_name": "测试甲"}
VISIT = {
    "atddr_no": "D36010000001", "dr_name": "测试医师", "dept_code": "D01", "dept_name": "内科", "caty": "A03",
    "begntime": "2026-11-21 09:00:00",
}  # fmt: skip
SETTLE = {"med_type": "11", "psn_setlway": "01", "acct_used_flag": "1", "insutype": "310"}
DIAGNOSIS = {
    "diag_type": "1", "maindiag_flag": "1", "diag_srt_no": Decimal(1), "diag_code": "J06.900", "diag_name": "急性上呼吸道感染",
    "diag_dept": "内科", "dise_dor_no": "D36010000001", "dise_dor_name": "测试医师", "diag_time": "2026-11-21 09:01:00",
    "vali_flag": "1",
}  # fmt: skip
FEE = {
    "med_list_codg": "XA00000001", "medins_list_codg": "Y001", "cnt": Decimal(1), "fee_ocur_time": "2026-11-21 09:05:00",
    "bilg_dept_codg": "D01", "bilg_dept_name": "内科", "bilg_dr_codg": "D36010000001", "bilg_dr_name": "测试医师",
    "rx_circ_flag": "0", "hosp_appr_flag": "0",
}  # fmt: skip
