"""One hospital per story: its own institution code, ledger and patient at one shared simulated centre.

Stories therefore run side by side, and everything on the wire and at the centre can be told apart by the code that every
msgid begins with.
"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.ledger.inspection import Reading, export, verify
from adapter_core.ledger.sealing import read_master_key
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import State
from adapter_core.values.money import fen

from .care import JOURNALLED_FIRST, OUTPATIENT, PHARMACY, Care, bill, kind_class, patient
from .mortal import Life
from .nursery import ROOT, Nursery

DEMO_MESSAGES = files("adapter_core.cli.demo") / "messages"
SIGKILLED = -signal.SIGKILL
TOTAL = Decimal("186.50")

CONFIG = """\
[institution]
fixmedins_code = "{code}"
fixmedins_name = "测试医院"
admdvs = "{admdvs}"

[ledger]
master_key_file = "{master_key}"

[gateway]
kind = "{gateway}"
url = "{url}"
plain_http = "模拟中心在本机"
query_after_unknown = "by_visit"

{more}

[timers]
gate = 1.5
money_deadline = 1
late_commit = 1.1
query_lag = 0
second_negative = 0.05
query_steps = [0.01, 0.05, 0.1, 0.2]
query_step_last = 0.3
"""


class SimulatedCentre:
    """The simulator in a process of its own, which knows the invented family as well, and its control side."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.centre"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://{self._process.stdout.readline().split()[-1]}"
        self._rules: list[dict[str, Any]] = []

    def __enter__(self) -> SimulatedCentre:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    async def control(self, what: str, body: Any = None) -> Any:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            method = "GET" if body is None else "POST"
            reply = await client.request(method, f"{self.url}/_sim/{what}", json=body)
            assert reply.status_code == 200, reply.text
            return json.loads(reply.text, parse_float=Decimal)

    async def for_patient(self, psn_no: str, infno: str, actions: Sequence[str]) -> None:
        """What happens to one patient's messages of one number.  The rules of the others stay."""
        self._rules.append({"psn_no": psn_no, "infno": infno, "actions": list(actions)})
        await self.control("rules", self._rules)


@dataclass
class Told:
    """What one life wrote into its diary."""

    passed: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    stored: bytes | None = None
    raised: list[str] = field(default_factory=list)
    error: str = ""

    @classmethod
    def read(cls, diary: Path) -> Told:
        told = cls()
        for line in diary.read_text("ascii").splitlines():
            match json.loads(line):
                case ["passed", point]:
                    told.passed.append(point)
                case ["answer", answer]:
                    told.answers.append(base64.b64decode(answer))
                case ["stored", answer]:
                    told.stored = base64.b64decode(answer)
                case ["raised", text]:
                    told.raised.append(text)
                case ["error", text]:
                    told.error = text
        return told


class Hospital:
    """One institution and its patient."""

    def __init__(
        self,
        number: int,
        folder: Path,
        centre: SimulatedCentre,
        nursery: Nursery,
        master_key: Path,
        care: Care = OUTPATIENT,
    ) -> None:
        self.care = care
        self.code = f"H3100{number:07}"
        self.psn_no = f"TK{number:010}"
        self.certno = f"22010219991333{number:03}1"  # no such month, so no such number
        self.dialect = "national"
        self.centre = centre
        self._folder = folder / self.code
        self._folder.mkdir()
        self._nursery = nursery
        self._master_key = master_key
        self._lives = 0

    @property
    def ledger_path(self) -> Path:
        return self._folder / "ledger.db"

    async def open(self) -> None:
        """The patient becomes known at the centre; configuration and messages are laid out."""
        await self.centre.control("people", [patient(self.psn_no, self.certno)])
        if self.care.two_phase:
            self.configure(self.care.name, "310000", f"{self.centre.url}/legacy/{self.care.name}")
        else:
            self.configure(
                "national", "310000", self.centre.url + "/fsi/api", '[gateway.options]\n"path.5201" = "/visits"'
            )
        who = {"settle_key": "S1", "visit_key": "V1", "operator": {"opter": "T001", "opter_name": "测试操作员"}}
        self._write("settle", {"intent": "settle", **who, **bill(self.care, self.code, self.certno)})
        self._write("void", {"intent": "void", "void_key": "R1", **who})

    def configure(self, gateway: str, admdvs: str, url: str, more: str = "") -> None:
        config = CONFIG.format(
            code=self.code, admdvs=admdvs, gateway=gateway, url=url, more=more, master_key=self._master_key
        )
        (self._folder / "his-adapter.toml").write_text(config, "utf-8")

    def move_to_jiangxi(self) -> tuple[str, ...]:
        """A Neusoft till behind the CSB gateway, with the demonstration's patient; returns its quote and its settlement."""
        self.dialect = "jiangxi-neusoft"
        for name in ("ak", "sk"):
            secret = self._folder / name
            secret.touch(0o600)
            secret.write_text(f"{name}-test-0001")
        self.configure("jiangxi", "360100", self.centre.url, '[gateway.secret_files]\nak = "ak"\nsk = "sk"')
        messages = ("2610.request.txt", "2620.request.txt")
        for name in messages:
            (self._folder / name).write_bytes((DEMO_MESSAGES / "neusoft-jiangsu" / name).read_bytes())
        return messages

    def _write(self, name: str, message: dict[str, Any]) -> None:
        (self._folder / name).write_text(json.dumps(message, ensure_ascii=False), "utf-8")

    # lives

    async def live(self, *messages: str, dies_at: str = "") -> Told:
        """One life of its adapter.  One that should die at a point, and doesn't, fails the test."""
        self._lives += 1
        diary = self._folder / f"life{self._lives}"
        played = tuple(str(self._folder / message) for message in messages)
        ended = await self._nursery.live(Life(str(self._folder), str(diary), self.dialect, played, dies_at))
        told = Told.read(diary)
        assert not told.error, told.error
        if dies_at:
            assert (ended, told.passed[-1]) == (SIGKILLED, dies_at), f"never came to {dies_at!r}: {told.passed}"
        else:
            assert ended == 0
        return told

    async def resumed(self, message: str) -> bytes:
        """The message's answer from a new process that first recovers, and the same bytes from the one after it."""
        first = await self.live(message)
        again = await self.live(message)
        assert again.answers == first.answers == [again.stored], (first, again)
        assert first.stored in (None, *first.answers)
        return first.answers[0]

    # what there is afterwards

    async def cases(self) -> dict[str, Case]:
        """By purpose: ``settle``, ``void``."""
        master, clock = read_master_key(self._master_key), SystemClock()
        with SqliteLedger.open(self.ledger_path, master, environment="test", clock=clock, read_only=True) as ledger:
            return {case.purpose: case for case in await ledger.cases_in(State)}

    def journal(self) -> list[dict[str, Any]]:
        """The whole journal, unsealed; the ledger verified on the way."""
        master = read_master_key(self._master_key)
        assert verify(self.ledger_path, master).is_whole
        return list(export(self.ledger_path, Reading(master, "crash test", SystemClock())))

    def assert_agrees(self, cases: dict[str, Case], truth: dict[str, Any], wire: list[dict[str, Any]]) -> None:
        """What holds whatever was killed when: I1–I4 of `reliability.md` §12, and no orphans left behind."""
        sent = [entry for entry in wire if entry["msgid"].startswith(self.code) or entry["psn_no"] == self.psn_no]
        ours = [
            one for one in truth["settlements"] if one["msgid"].startswith(self.code) or one["psn_no"] == self.psn_no
        ]
        settlements = [one for one in ours if one["state"] != "undone"]
        settle, void = cases["settle"], cases.get("void")
        self._assert_one_settlement(settle, settlements)
        assert (settle.state is State.VOIDED) == (void is not None and void.state is State.VOIDED)
        self._assert_one_visit(truth)
        self._assert_sent_as_journalled(sent)

    def _assert_one_visit(self, truth: dict[str, Any]) -> None:
        """Registered once, with its lines once.  A sale's visit comes and goes with its settlement; the invented family tells none."""
        if self.care is PHARMACY or self.care.two_phase:
            return
        visits = [one for one in truth["visits"] if one["fixmedins_code"] == self.code and not one["cancelled"]]
        assert len(visits) == 1
        assert sum(Decimal(line["det_item_fee_sumamt"]) for line in visits[0]["lines"]) == TOTAL

    def _assert_one_settlement(self, case: Case, settlements: list[dict[str, Any]]) -> None:
        """Effective at the centre ⇔ SETTLED here, refunded ⇔ VOIDED, to the fen."""
        states = {State.SETTLED: ["settled"], State.VOIDED: ["refunded"]}
        assert [one["state"] for one in settlements] == states.get(case.state, [])
        for one in settlements:
            ours = (case.setl_id, case.total_fen, case.fund_fen, case.account_fen, case.cash_fen)
            amounts = [
                fen(Decimal(one["amounts"][name]))
                for name in ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay")
            ]
            assert ours == (one["setl_id"], *amounts)

    def _assert_sent_as_journalled(self, sent: list[dict[str, Any]]) -> None:
        """No money message twice on the wire; every create and every money call has its intent, byte for byte."""
        classes = {entry["infno"]: kind_class(entry["infno"]) for entry in sent}
        met = Counter(entry["sha256"] for entry in sent)
        assert [entry for entry in sent if classes[entry["infno"]] in "NK" and met[entry["sha256"]] > 1] == []
        intents = {row["data"]["body_hash"] for row in self.journal() if row["kind"] == "INTENT"}
        asked = {entry["sha256"] for entry in sent if classes[entry["infno"]] in JOURNALLED_FIRST}
        assert asked <= intents
