"""The simulated bridge keeps the bridge's promises: entered once, answered as stored, closed when never entered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from adapter_core.formats.tables import load_table
from adapter_core.province.bridge import read_results
from adapter_core.province.call_dialect import CallDialect
from adapter_core.simulator.server import Simulator
from adapter_core.values.frames import Frame

TABLE = """
dialect = "library"
[frame]
kind = "call"
charset = "gbk"
code = "function"
[success]
at = "ret"
is = "0"
[failure]
ret = "-1"
"out.Text" = "{text}"
[unknown]
ret = "-1"
"out.Text" = "{text}"
[ref.slip]
theirs = true
binds = "case"
[message.Who]
title = "who"
verb = "identify"
ask = { head = "card" }
tell = { head = "person" }
[message.Pay]
title = "pay"
verb = "settle"
fees_whole = true
ask = { head = "card", rows = "line" }
tell = { head = "paid" }
[message.Commit]
title = "commit"
verb = "confirm"
[message.Rollback]
title = "roll back"
verb = "abort"
[record.card]
rows = [["Card", "card", "person.mdtrt_cert_no"], ["Slip", "slip", "ref.slip"]]
implied = [["person.mdtrt_cert_type", "03"]]
[record.person]
rows = [["Name", "name", "person.psn_name"]]
[record.line]
into = "fees"
at = "lines"
rows = [
  ["code", "code", ["fees.med_list_codg", "fees.medins_list_codg"]],
  ["price", "price", ["fees.pric", "fees.det_item_fee_sumamt"], "yuan"],
  ["count", "count", "fees.cnt", "plain"],
]
[record.paid]
within = ["result.hifp_pay", "result.hifmi_pay", "result.hifob_pay", "result.cvlserv_pay"]
rows = [
  ["Total", "total", "result.medfee_sumamt", "yuan"],
  ["Fund", "fund", "result.fund_pay_sumamt", "yuan"],
  ["Account", "account", "result.acct_pay", "yuan"],
  ["Cash", "cash", "result.psn_cash_pay", "yuan"],
]
"""
CARD = {"Card": "VDAwMDAwMDE=", "Slip": "UzE="}  # T0000001, S1
LINE = {
    "lines[0].code": "WEEwMDAwMDAwMQ==",
    "lines[0].price": "MTg2LjUw",
    "lines[0].count": "MQ==",
}  # XA00000001, 186.50, 1


def step(function: str, **ins: str) -> dict[str, Any]:
    return {"function": function, "ins": ins, "outs": [], "ret": "0"}


def request(*steps: dict[str, Any], session: str = "A") -> dict[str, Any]:
    return {"library": "library", "session": session, "steps": list(steps), "on_stop": [step("Rollback")]}


@pytest.fixture
async def centre() -> AsyncIterator[Simulator]:
    async with Simulator(dialects={"library": CallDialect(load_table(TABLE, "library"))}) as one:
        yield one


@pytest.fixture
async def client(centre: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{centre.url}/bridge/library", trust_env=False) as one:
        yield one


def rets(reply: httpx.Response) -> list[tuple[str, str]]:
    return [(one.function, one.ret) for one in read_results(Frame(body=reply.content, status=reply.status_code))]


def states(centre: Simulator) -> list[str]:
    return [one.state for one in centre.world.settlements.values()]


async def test_a_known_id_is_answered_and_never_entered_again(centre: Simulator, client: httpx.AsyncClient) -> None:
    pay = request(step("Who", **CARD), step("Pay", **CARD, **LINE))
    first = await client.put("/calls/1", json=pay)
    again = await client.put("/calls/1", json=pay)
    assert rets(first) == [("Who", "0"), ("Pay", "0")]
    assert again.content == first.content
    assert states(centre) == ["prepared"]
    assert (await client.post("/calls/1/close")).content == first.content


async def test_what_was_never_entered_stays_out(centre: Simulator, client: httpx.AsyncClient) -> None:
    assert (await client.post("/calls/2/close")).json() == {"entered": False}
    late = await client.put("/calls/2", json=request(step("Pay", **CARD, **LINE)))
    assert (late.status_code, late.json()) == (409, {"entered": False})
    assert states(centre) == []


async def test_a_commit_takes_what_its_own_session_did(centre: Simulator, client: httpx.AsyncClient) -> None:
    await client.put("/calls/1", json=request(step("Pay", **CARD, **LINE)))
    await client.put("/calls/2", json=request(step("Commit"), session="B"))
    assert states(centre) == ["prepared"]
    await client.put("/calls/3", json=request(step("Commit")))
    assert states(centre) == ["settled"]


async def test_a_step_that_fails_ends_the_run(client: httpx.AsyncClient) -> None:
    unknown = {**CARD, "Card": "WA=="}
    reply = await client.put("/calls/1", json=request(step("Who", **unknown), step("Pay", **CARD, **LINE)))
    assert rets(reply) == [("Who", "-1")]
