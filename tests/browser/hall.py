"""The console as people meet it: a real service on real sockets before a simulated centre, with users of every role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from lxml import html

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import load_config
from adapter_core.ledger.sealing import create_master_key
from adapter_core.operations.instruments import Instruments
from adapter_core.operations.metrics import Metrics
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import State
from adapter_core.sidecar.console.passwords import hashed
from adapter_core.sidecar.console.staff import Staff
from adapter_core.sidecar.desk import Desk
from adapter_core.sidecar.serving import serving
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import Hospital, line, message
from tests.flow.served import configure

PASSWORD = "Rather-long-7-words"
PEOPLE = {
    "cashier": ("测试收费员", ["cashier"]),
    "first": ("测试主任", ["operator"]),
    "second": ("测试副主任", ["operator"]),
    "chief": ("测试组长", ["cashier", "operator"]),
    "auditor": ("测试审计", ["auditor"]),
    "admin": ("测试管理员", ["admin"]),
}
"""User name → title and roles."""


@cache
def one_hash() -> str:
    """Of PASSWORD, at a low cost: a good hash is slow, and these people come in often."""
    return hashed(PASSWORD, cost=16)


def lay_users(folder: Path) -> None:
    staff = Staff(folder / "console.db", SystemClock())
    for name, (title, roles) in PEOPLE.items():
        staff.add(name, title, roles, one_hash(), "test")
        staff.set_password(name, one_hash(), "test", must_change=False)
    staff.close()


@dataclass
class Hall:
    """One life of the service.  url: of the console's listener."""

    desk: Desk
    hospital: Hospital
    url: str
    folder: Path

    @property
    def staff_file(self) -> Path:
        return self.folder / "console.db"

    async def settled(self, number: int = 1, **changes: Any) -> Case:
        await self.hospital.say(message(settle_key=f"K{number}", visit_key=f"V{number}", **changes))
        return await self.hospital.case(f"K{number}")

    async def refused(self, number: int = 1) -> Case:
        """A settlement the centre refused: papers may follow."""
        self.hospital.rule("2206", "error(-1,没有获取到异地备案信息!)")
        await self.hospital.say(message(settle_key=f"K{number}", visit_key=f"V{number}"))
        self.hospital.rules([])
        return await self.hospital.case(f"K{number}")

    async def frozen(self, number: int = 1, amount: str = "200.00") -> Case:
        """A lost reply at a centre that can neither be asked nor reversed: a person decides."""
        gateway = self.desk.running.place.gateway
        before = gateway.policy, gateway.capabilities
        gateway.policy = replace(gateway.policy, reversible=frozenset())
        gateway.capabilities = replace(gateway.capabilities, query_after_unknown="none")
        self.hospital.rule("2207", "commit", "drop")
        await self.settled(number, fees=[line("F1", amount)])
        await self.hospital.running.pipeline.settled_down()
        self.hospital.rules([])
        gateway.policy, gateway.capabilities = before
        found = await self.hospital.case(f"K{number}")
        assert found.state is State.FROZEN
        return found

    async def unknown(self, number: int = 1) -> Case:
        """A reply that does not come; the centre is asked in vain."""
        self.hospital.temper(query_lag_s=600)
        self.hospital.rule("2207", "commit", "drop")
        await self.hospital.say(message(settle_key=f"K{number}", visit_key=f"V{number}"), 0.0)
        await self.hospital.arrival("5203")
        return await self.hospital.case(f"K{number}")

    async def kinds(self, case: Case) -> list[str]:
        """Kinds of the case's events, oldest first."""
        return [event.kind for event in await self.desk.running.ledger.events_of_case(case.case_id)]


class Browser:
    """A person's browser without a browser: cookies, forms with their hidden fields, redirects."""

    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30, follow_redirects=True)
        self.page: Any = None
        self.last: httpx.Response | None = None

    async def close(self) -> None:
        await self.http.aclose()

    async def open(self, path: str) -> httpx.Response:
        return self._read(await self.http.get(path))

    async def send(self, action: str, files: dict[str, Any] | None = None, **fields: str) -> httpx.Response:
        """Send the page's form with that action, with its hidden fields and these."""
        [form, *_] = self.page.xpath(f"//form[@action='{action}']") or [None]
        assert form is not None, f"no form {action}"
        hidden = {one.get("name"): one.get("value", "") for one in form.xpath(".//input[@type='hidden']")}
        return self._read(await self.http.post(action, data={**hidden, **fields}, files=files))

    async def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        await self.open("/console/sign-in")
        return await self.send("/console/sign-in", name=name, password=password)

    def text(self, xpath: str = "//main") -> str:
        return " ".join(" ".join(one.itertext()) for one in self.page.xpath(xpath))

    def forms(self) -> set[str]:
        """The last part of every form's address on the page."""
        return {one.get("action").rsplit("/", 1)[-1] for one in self.page.xpath("//main//form")}

    def _read(self, answer: httpx.Response) -> httpx.Response:
        self.last = answer
        if answer.headers.get("content-type", "").startswith("text/html") and answer.content:
            self.page = html.fromstring(answer.content)
        return answer


@asynccontextmanager
async def hall(centre: Simulator, folder: Path, users: bool = True, all_plugins: bool = False) -> AsyncIterator[Hall]:
    if not (folder / "master.key").exists():
        create_master_key(folder / "master.key")
    path = configure(folder, centre.url)
    if not all_plugins:  # loading them takes longer than most stories
        path.write_text("plugins = []\n" + path.read_text("utf-8"), "utf-8")
    if users and not (folder / "console.db").exists():
        lay_users(folder)
    instruments = Instruments(Metrics("0", "test"), SystemClock(), "national", lambda psn_no: "-")
    async with serving(load_config(path), instruments=instruments) as running:
        console = running.listeners[-1]
        gateway = running.desk.running.place.gateway
        gateway.capabilities = replace(gateway.capabilities, late_commit_s=0.2)
        hospital = Hospital(centre, running.desk.running, folder)
        yield Hall(running.desk, hospital, f"http://{console.address}", folder)
