"""A hospital beside a simulated centre, as the flow tests play it: real adapter, real SQLite, real sockets."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import Adapter
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.ledger.inspection import Reading, export, verify
from adapter_core.ledger.sealing import read_master_key
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Outcome
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.settlement.records import Case
from adapter_core.simulator.faults import Action, RuleBook, read_rules
from adapter_core.simulator.performance import WireEntry
from adapter_core.simulator.server import Simulator
from adapter_core.simulator.truth import truth_of
from adapter_core.values.errors import AdapterError
from adapter_core.values.frames import Frame

ORG = "H36010000001"
CREATING = frozenset({"2201", "2401"})
MONEY = frozenset({"2102", "2103", "2207", "2208", "2304", "2305"})
REVERSING = frozenset({"2601"})

CONFIG = """
environment = "test"
[institution]
fixmedins_code = "{org}"
fixmedins_name = "测试医院"
admdvs = "360100"
[institution.defaults]
"visit.caty" = "A03"
[ledger]
url = "sqlite:///ledger.db"
master_key_file = "master.key"
[gateway]
kind = "national"
url = "{url}/fsi/api"
plain_http = "flow tests"
query_after_unknown = "{query}"
[timers]
sync_wait = 5.0
gate = 1.0
money_deadline = 10.0
late_commit = 11.0
query_lag = 0.1
second_negative = 0.05
query_steps = [0.05, 0.1]
query_step_last = 0.1
"""


def config_text(url: str, query: str = "by_visit") -> str:
    return CONFIG.format(org=ORG, url=url, query=query)


def line(number: str | None, amount: str, item: str = "XA00000001") -> dict[str, Any]:
    """One fee line of one piece."""
    row = {
        "med_list_codg": item, "medins_list_codg": "Y001", "det_item_fee_sumamt": amount, "cnt": "1", "pric": amount,
        "fee_ocur_time": "2026-11-21 09:05:00", "bilg_dept_codg": "D01", "bilg_dept_name": "内科",
        "bilg_dr_codg": "D36010000001", "bilg_dr_name": "测试医师",
    }  # fmt: skip
    return row if number is None else {**row, "feedetl_sn": number}


def message(intent: str = "settle", settle_key: str = "K1", visit_key: str = "V1", **changes: Any) -> dict[str, Any]:
    """A national settlement of one visit of 测试甲; ``changes`` replace whole sections, None removes one."""
    tree: dict[str, Any] = {
        "intent": intent, "kind": "outpatient", "settle_key": settle_key, "visit_key": visit_key,
        "operator": {"opter": "001", "opter_name": "测试收费员", "opter_type": "1", "mac": "00-00-00-00-00-00",
                     "ip": "127.0.0.1"},
        "person": {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000", "psn_name": "测试甲"},
        "visit": {"atddr_no": "D36010000001", "dr_name": "测试医师", "dept_code": "D01", "dept_name": "内科",
                  "begntime": "2026-11-21 09:00:00"},
        "diagnoses": [{"diag_type": "1", "maindiag_flag": "1", "diag_srt_no": "1", "diag_code": "J06.900", "diag_name": "急性上呼吸道感染",
                       "diag_dept": "内科", "dise_dor_no": "D36010000001", "dise_dor_name": "测试医师",
                       "diag_time": "2026-11-21 09:01:00"}],
        "fees": [line("F1", "186.50"), line("F2", "13.50")],
        "settle": {"med_type": "11", "psn_setlway": "01", "acct_used_flag": "1"},
    }  # fmt: skip
    tree.update(changes)
    return {name: value for name, value in tree.items() if value is not None}


def void(void_key: str = "R1", settle_key: str = "K1") -> dict[str, Any]:
    return {"intent": "void", "void_key": void_key, "settle_key": settle_key}


@dataclass(frozen=True, slots=True)
class Told:
    """What the HIS heard: the outcome, and the same in its own form."""

    outcome: Outcome
    answer: dict[str, Any]

    @property
    def state(self) -> str:
        return self.outcome.state

    @property
    def code(self) -> str:
        return self.outcome.code

    @property
    def text(self) -> str:
        return self.outcome.message_zh


class Announcing(RuleBook):
    """The centre's faults, and who came: a test waits for an arrival instead of for a time."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        super().__init__(read_rules(rows).rules)
        self._arrived: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._counts: Counter[str] = Counter()

    def for_request(self, infno: str, psn_no: str) -> tuple[Action, ...]:
        self._counts[infno] += 1
        self._arrived[infno].set()
        self._arrived[f"{infno}#{self._counts[infno]}"].set()
        return super().for_request(infno, psn_no)

    async def arrivals(self, infno: str, count: int) -> None:
        """Wait for so many such requests since these rules stand."""
        await self._arrived[f"{infno}#{count}"].wait()

    async def arrival(self, infno: str) -> None:
        """Wait for the first such request since these rules stand."""
        await self._arrived[infno].wait()


class Hospital:
    """One HIS in front of one running adapter, with the simulated centre and the ledger open to look into."""

    def __init__(self, centre: Simulator, running: Adapter, folder: Path) -> None:
        self.centre = centre
        self.running = running
        self.folder = folder
        self.dialect: Dialect = NationalDialect()
        self.awaits_files(False)

    # talking

    async def say(self, tree: Mapping[str, Any], wait_s: float | None = None) -> Told:
        """Raises: whatever the adapter refuses a message with."""
        asked = self.dialect.decode_request(Frame(body=json.dumps(tree, ensure_ascii=False).encode()))
        outcome = await self.running.pipeline.handle(self.running.place, self.dialect, asked, wait_s)
        return Told(outcome, json.loads(self.dialect.encode_reply(asked, outcome).body))

    async def refusal(self, tree: Mapping[str, Any]) -> AdapterError:
        """The refusal of a message that must be refused."""
        try:
            told = await self.say(tree)
        except AdapterError as error:
            return error
        raise AssertionError(f"not refused but told {told.state} {told.code}")

    async def decided(self, settle_key: str = "K1") -> Told:
        """Wait until nothing runs any more; then what the key is told, from the ledger alone."""
        await self.running.pipeline.settled_down()
        return await self.say({"intent": "query", "settle_key": settle_key})

    def rule(self, infno: str | None, *actions: Any, nth: int | None = None) -> None:
        """One fault; replaces those before."""
        self.rules([{"infno": infno, "nth": nth, "actions": list(actions)}])

    def rules(self, rows: list[dict[str, Any]]) -> None:
        self.centre.set_rules(Announcing(rows))

    async def arrival(self, infno: str) -> None:
        """Wait until such a request has reached the centre since the rules were set."""
        assert isinstance(self.centre.rules, Announcing)
        await self.centre.rules.arrival(infno)

    def can(self, **capabilities: Any) -> None:
        """Change what this site's gateway is declared to do."""
        gateway = self.running.place.gateway
        gateway.capabilities = replace(gateway.capabilities, **capabilities)

    def awaits_files(self, wanted: bool) -> None:
        """Whether a doubt that nothing else can end waits for the day's reconciliation files."""
        object.__setattr__(self.running.place, "reconciles", wanted)

    def temper(self, **changes: Any) -> None:
        self.centre.world.temperament = self.centre.world.temperament.changed(changes)

    # looking

    @property
    def calls(self) -> list[str]:
        """Transaction numbers on the wire, in order."""
        return [entry.infno for entry in self.centre.entries]

    def sent(self, infno: str) -> list[WireEntry]:
        return [entry for entry in self.centre.entries if entry.infno == infno]

    @property
    def truth(self) -> dict[str, Any]:
        return truth_of(self.centre.world)

    @property
    def settlements(self) -> list[str]:
        """States of the settlements at the centre, oldest first."""
        return [one["state"] for one in self.truth["settlements"]]

    async def case(self, key: str = "K1", purpose: str = "settle") -> Case:
        found = await self.running.ledger.case_by_key(ORG, purpose, key)
        assert found is not None
        return found

    async def kinds(self, key: str = "K1", purpose: str = "settle") -> list[str]:
        """Kinds of the case's events, oldest first."""
        case = await self.case(key, purpose)
        return [event.kind for event in await self.running.ledger.events_of_case(case.case_id)]


class IntentFirst:
    """Stands in front of the wire: when bytes of a call that changes something leave, its intent is already in the file."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self.missing: list[str] = []

    def check(self, body: bytes, body_hash: str) -> None:
        tree = json.loads(body)
        if tree["infno"] not in CREATING | MONEY | REVERSING:
            return
        with sqlite3.connect(f"file:{self._ledger}?mode=ro", uri=True) as reader:
            rows = reader.execute("SELECT body_hash FROM calls WHERE msgid = ?", (tree["msgid"],)).fetchall()
        reader.close()
        if rows != [(body_hash,)]:
            self.missing.append(f"{tree['infno']} {tree['msgid']}")


def assert_invariants(centre: Simulator, folder: Path) -> None:
    """What holds after every story: I1, I2 (but for frozen and undecided cases), I3, I4, I14, money to the fen."""
    master = read_master_key(folder / "master.key")
    ledger = folder / "ledger.db"
    assert verify(ledger, master).is_whole
    events = list(export(ledger, Reading(master, "flow tests", SystemClock())))
    intents = {
        event["data"]["msgid"]: (event["data"]["body_hash"], event["at"])
        for event in events
        if event["kind"] == "INTENT"
    }
    changing = [entry for entry in centre.entries if entry.infno in CREATING | MONEY | REVERSING]
    for entry in changing:
        body_hash, at = intents[entry.msgid]
        assert body_hash == entry.sha256, f"{entry.infno}: other bytes than journalled"
        assert datetime.fromisoformat(at).astimezone(UTC) <= datetime.fromisoformat(entry.at)
    msgids = Counter(entry.msgid for entry in centre.entries if entry.infno in MONEY)
    assert max(msgids.values(), default=1) == 1, "a money msgid was sent twice"
    same_truth(centre, ledger)


def same_truth(centre: Simulator, ledger: Path) -> None:
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as reader:
        cases = reader.execute(
            "SELECT state, setl_id, total_fen, cash_fen FROM cases WHERE purpose = 'settle'"
        ).fetchall()
        msgids = {row[0] for row in reader.execute("SELECT msgid FROM calls")}
    reader.close()
    standing = {one["setl_id"]: one for one in truth_of(centre.world)["settlements"] if one["state"] == "settled"}
    # a stay has no charge batches; each of its lines names the one settlement that took it
    batches = Counter((one["mdtrt_id"], one["chrg_bchno"]) for one in standing.values() if one["chrg_bchno"])
    assert max(batches.values(), default=1) == 1, "a bill is settled twice"
    settled = {setl_id: (total, cash) for state, setl_id, total, cash in cases if state == "SETTLED"}
    undecided = any(state in ("SENDING", "RESOLVING", "FROZEN", "VOIDING") for state, *_ in cases)
    for setl_id, (total, cash) in settled.items():
        amounts = standing[setl_id]["amounts"]
        assert (f"{total / 100:.2f}", f"{cash / 100:.2f}") == (amounts["medfee_sumamt"], amounts["psn_cash_pay"])
    ours = {setl_id for setl_id, one in standing.items() if one["msgid"] in msgids}
    assert undecided or ours == settled.keys(), "the centre holds settlements that the ledger doesn't say"
