"""How long the console's pages take over 50,000 cases: real ledger rows, a real service, real HTTP.

    .venv/bin/python bench/console.py [CASES] [--today]

The cases are written through the ledger's own API, spread over 30 days, or all of today with ``--today`` (the worst day there is).
Prints a table: per page the median and the slowest of 15 requests, in milliseconds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from lxml import html

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import load_config
from adapter_core.ledger.sealing import read_master_key
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.operations.instruments import Instruments
from adapter_core.operations.metrics import Metrics
from adapter_core.operations.site import NewSite, make_site
from adapter_core.settlement.records import Bill, CallRecord, Case, Change, Encounter, Entry, Event
from adapter_core.settlement.states import State
from adapter_core.sidecar.console.passwords import hashed
from adapter_core.sidecar.console.staff import Staff
from adapter_core.sidecar.serving import serving
from adapter_core.values.moments import iso, national_time

ORG = "H36010000001"
PASSWORD = "Rather-long-7-words"
TIMES = 15
AT_ONCE = 256
STATES = (
    [State.SETTLED] * 180 + [State.REJECTED] * 10 + [State.VOIDED] * 4 + [State.MANUAL_OPEN] * 2 + [State.MANUAL_CLOSED] * 2
    + [State.NOT_SENT] + [State.FROZEN]
)  # fmt: skip
PLACES = ("320100", "330100", "340100", "350100", "420100", "430100", "440300", "510100", "110000", "310000")
AMOUNTS = {"total_fen": 20000, "fund_fen": 12000, "account_fen": 6000, "cash_fen": 2000}
ENTERED: dict[str, Any] = {
    **AMOUNTS,
    **{name: 0 for name in Entry.__struct_fields__ if name.endswith("_fen") and name not in AMOUNTS},
}
NAMES = ("测试甲", "测试乙", "测试丙", "测试丁", "测试戊")


def change_of(number: int, opened: datetime) -> Change:
    """One case with what comes with it: encounter, bill, call, three events, search rows, an entry where it settled."""
    state = STATES[number % len(STATES)]
    case_id, at, place = f"c{number:019d}", iso(opened), PLACES[number % len(PLACES)]
    name, certno = NAMES[number % len(NAMES)], f"11010119000101{number % 10000:04d}"
    person = {"psn_no": f"T{number % 20000:011d}", "psn_name": name, "certno": certno, "insuplc_admdvs": place}
    fees = [
        {"feedetl_sn": str(line), "det_item_fee_sumamt": "20.00", "med_list_codg": "XA00000001"} for line in range(10)
    ]
    is_settled = state in (State.SETTLED, State.VOIDED)
    amounts = {name: AMOUNTS[name] for name in ("total_fen", "fund_fen", "account_fen", "cash_fen")}
    paper = {"paper": {"serial": f"LX{number:08d}", "version": 1, "told": {"code": "NOT_FILED"}}}
    told = {"state": str(state), "code": "NOT_FILED" if state is State.REJECTED else str(state), "message_zh": "演示",
            "content": {}, "refs": {}, "next": []}  # fmt: skip
    case = Case(
        case_id, ORG, "settle", f"K{number}", f"V{number}", f"e{number}", f"b{number}", "outpatient", "national", state,
        "0" * 64, version=1, setl_id=f"S{number}" if is_settled else "", insuplc_admdvs=place, opened_at=at, changed_at=at,
        told=told, data={"intent": "settle", "quoted": amounts, **(paper if "MANUAL" in state else {})},
        **(amounts if is_settled else {}),
    )  # fmt: skip
    msgid = f"{ORG}{opened:%Y%m%d%H%M%S}{number % 10000:04d}"
    call = CallRecord(
        f"l{number}", ORG, f"{msgid}-{number}", "pay", "2207", "N", case_id, f"e{number}", not_after=at, version=1
    )
    day = national_time(opened)
    entry = Entry(
        entry_id=case_id, org=ORG, case_id=case_id, entry="settle", business_day=day[:10], setl_time=day, booked_at=at,
        setl_id=f"S{number}", msgid=call.msgid, kind="outpatient", insuplc_admdvs=place, scheme="local", **ENTERED,
    )  # fmt: skip
    events = [
        Event(kind, at, case_id, f"e{number}", {"state": str(state), "msgid": msgid})
        for kind in ("ACCEPTED", "OUTCOME", "TOLD")
    ]
    search = [("visit_key", f"V{number}"), ("psn_name", name), ("certno", certno), ("certno_tail", certno[-4:])]
    return Change(
        ORG,
        events=tuple(events),
        encounter=Encounter(
            f"e{number}", ORG, f"V{number}", "outpatient", "national", 1, f"M{number}", {"person": person}
        ),
        bills=(Bill(f"b{number}", ORG, f"e{number}", f"V{number}", f"B{number}", 1, content={"fees": fees}),),
        cases=(case,),
        calls=(call,),
        search=tuple((kind, value, case_id) for kind, value in search),
        entries=(entry,) if is_settled else (),
    )


async def fill(folder: Path, count: int, days: int) -> float:
    """Write the cases; gives the seconds it took."""
    config = load_config(folder / "his-adapter.toml")
    began = time.perf_counter()
    now = datetime.now(UTC)
    with SqliteLedger.open(
        config.ledger_path, read_master_key(config.master_key_path), environment="test", clock=SystemClock()
    ) as ledger:
        for start in range(0, count, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, count))
            await asyncio.gather(
                *(
                    ledger.commit(change_of(one, now - timedelta(seconds=(count - one) * days * 86400 / count / 3)))
                    for one in numbers
                )
            )
    return time.perf_counter() - began


class Visitor:
    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=60, follow_redirects=True)
        self.token = ""

    async def sign_in(self) -> None:
        await self.http.post("/console/sign-in", data={"name": "bench", "password": PASSWORD})
        page = html.fromstring((await self.http.get("/console/search")).content)
        self.token = page.xpath("//input[@name='csrf']/@value")[0]

    async def measured(
        self, path: str, form: dict[str, Any] | None = None, pause: float = 0.0
    ) -> tuple[float, float, int]:
        """Median and slowest in ms, and bytes.  pause: so that a kept board is made anew each time."""
        times, size = [], 0
        for _ in range(TIMES if not pause else 3):
            await asyncio.sleep(pause)
            began = time.perf_counter()
            answer = await (self.http.post(path, data={**form, "csrf": self.token}) if form else self.http.get(path))
            times.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, (path, answer.status_code)
            size = len(answer.content)
        return statistics.median(times), max(times), size


async def main(count: int, all_today: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_site(folder, NewSite(ORG, "测试医院", "360100", "http://127.0.0.1:9/fsi/api", plain_http="bench"))
        took = await fill(folder, count, 1 if all_today else 90)
        print(
            f"{count} cases written in {took:.0f} s, ledger {(folder / 'ledger.db').stat().st_size / 1e6:.0f} MB",
            flush=True,
        )
        staff = Staff(folder / "console.db", SystemClock())
        staff.add("bench", "测试", ["cashier", "operator"], hashed(PASSWORD), "bench")
        staff.set_password("bench", hashed(PASSWORD), "bench", must_change=False)
        staff.close()
        os.environ["YB_HTTP__LISTEN"] = os.environ["YB_HTTP__CONSOLE"] = "127.0.0.1:0"
        instruments = Instruments(Metrics("0", "test"), SystemClock(), "national", lambda psn_no: "-")
        began = time.perf_counter()
        async with serving(load_config(folder / "his-adapter.toml"), instruments=instruments) as running:
            print(f"service ready after {time.perf_counter() - began:.1f} s", flush=True)
            visitor = Visitor(f"http://{running.listeners[-1].address}")
            await visitor.sign_in()
            await report(visitor, count)
            await visitor.http.aclose()


async def report(visitor: Visitor, count: int) -> None:
    case = f"c{count // 2:019d}"
    deep = {"state": "SETTLED", "before": f"{datetime.now(UTC):%Y-%m-%d}T00:00:00Z~{count // 10}"}
    rows: list[tuple[str, str, dict[str, Any] | None, float]] = [
        ("today, kept board", "/console", None, 0.0),
        ("today, board made anew", "/console", None, 3.2),
        ("7 days, board made anew", "/console/today/week", None, 20.2),
        ("one case", f"/console/cases/{case}", None, 0.0),
        ("worklist frozen, first page", "/console/worklists/frozen", None, 0.0),
        ("worklist frozen, last page", f"/console/worklists/frozen?after={count - 2000}", None, 0.0),
        ("worklist papers", "/console/worklists/papers", None, 0.0),
        ("worklist receivables", "/console/worklists/receivables", None, 0.0),
        ("worklists overview", "/console/worklists", None, 0.0),
        ("search by name (a fifth of all)", "/console/search", {"name": NAMES[0]}, 0.0),
        ("search by visit", "/console/search", {"visit": f"V{count // 2}"}, 0.0),
        ("search by work order", "/console/search", {"key": case[:10]}, 0.0),
        ("search by setl_id", "/console/search", {"setl_id": f"S{count // 2}"}, 0.0),
        ("search by state", "/console/search", {"state": "FROZEN"}, 0.0),
        ("search by state, deep page", "/console/search", deep, 0.0),
        ("search by amount that is nobody's", "/console/search", {"amount": "1.00"}, 0.0),
        ("search by province and ending", "/console/search", {"province": "32", "tail": "0010"}, 0.0),
    ]
    print(f"{'page':38} {'median ms':>10} {'slowest ms':>11} {'bytes':>8}")
    for title, path, form, pause in rows:
        median, slowest, size = await visitor.measured(path, form, pause)
        print(f"{title:38} {median:10.1f} {slowest:11.1f} {size:8d}", flush=True)


if __name__ == "__main__":
    wanted = [int(one) for one in sys.argv[1:] if one.isdigit()]
    asyncio.run(main(wanted[0] if wanted else 50_000, "--today" in sys.argv))
