"""Every kind of care × what may become of it, all the way: a HIS's HTTP, the service, a real ledger, the centre's sockets.

The table of `docs/explanation/money-safety.md` names these tests by cell.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapter_core.bootstrap import site
from adapter_core.ledger.sealing import create_master_key
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import Hospital, assert_invariants, message, same_truth
from tests.flow.served import Served, configure, served
from tests.flow.test_chronic import DIALYSIS, visit
from tests.flow.test_inpatient import day, final
from tests.flow.test_pharmacy import sale
from tests.flow.two_phase import DIALECT, province

SECOND = 'handle = "ours", shows = "confirmed", silence = "undone"'
NOT_FILED = "没有获取到异地备案信息!"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of care as a HIS says it.

    bill: its settlement under a key; trial, pay, back: what goes on the wire for a quote, a settlement, a refund; lost: the message
    whose reply is lost when the centre has taken the settlement.
    """

    name: str
    bill: Callable[[str], dict[str, Any]]
    trial: str
    pay: str
    back: str
    lost: str = ""

    @property
    def two_phase(self) -> bool:
        return bool(self.lost)


KINDS = (
    Kind("outpatient", lambda key: message(settle_key=key), "2206", "2207", "2208"),
    Kind("inpatient", lambda key: final(key, fees=day(1, "100.00", "20.00")), "2303", "2304", "2305"),
    Kind("pharmacy", lambda key: sale(settle_key=key), "2101", "2102", "2103"),
    Kind("chronic", lambda key: visit(DIALYSIS, settle_key=key), "2206", "2207", "2208"),
    Kind("two_phase", lambda key: message(settle_key=key), "quote", "pay", "back", lost="commit"),
)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
async def centre() -> AsyncIterator[Simulator]:
    async with Simulator(dialects={"two-phase": DIALECT}) as started:
        yield started


@pytest.fixture
async def service(
    kind: Kind, centre: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    create_master_key(tmp_path / "master.key")
    config = configure(tmp_path, centre.url)
    if kind.two_phase:
        text = config.read_text("utf-8").replace("/fsi/api", "/legacy/two-phase")
        text = text.replace('kind = "national"', 'kind = "two-phase"').replace('query_after_unknown = "by_visit"\n', "")
        config.write_text(text, "utf-8")
        made = province(SECOND)
        monkeypatch.setattr(site, "builtin_province", lambda: made)
    async with served(centre, config) as one:
        yield one
        await one.hospital.running.pipeline.settled_down()
    if kind.two_phase:
        same_truth(centre, tmp_path / "ledger.db")  # its messages are no national ones
    else:
        assert_invariants(centre, tmp_path)


async def told(service: Served, tree: dict[str, Any]) -> dict[str, Any]:
    """A message's answer once it is decided; a stay is answered later, as its HIS has it."""
    response = await service.post("/v1/settlements", tree)
    assert response.status_code in (200, 202), response.text
    if response.json()["state"] != "PENDING":
        return dict(response.json())
    return (await decided(service, tree["settle_key"])).json()


async def decided(service: Served, key: str = "K1") -> httpx.Response:
    await service.hospital.running.pipeline.settled_down()
    return await service.get(f"/v1/settlements/{key}")


def stands(hospital: Hospital) -> dict[str, str]:
    """The amounts of the one settlement that stands at the centre."""
    [one] = [one for one in hospital.truth["settlements"] if one["state"] == "settled"]
    return dict(one["amounts"])


async def test_a_quote_moves_no_money(service: Served, kind: Kind) -> None:
    quoted = await told(service, {**kind.bill("K1"), "intent": "quote"})
    assert quoted["state"] == "QUOTED", quoted["message_zh"]
    assert kind.trial in service.hospital.calls
    assert kind.pay not in service.hospital.calls
    settled = await told(service, kind.bill("K1"))
    assert settled["state"] == "SETTLED", settled["message_zh"]
    assert settled["amounts"] == quoted["amounts"]


async def test_a_settlement_is_the_centres_to_the_fen_and_told_again(service: Served, kind: Kind) -> None:
    settled = await told(service, kind.bill("K1"))
    assert settled["state"] == "SETTLED", settled["message_zh"]
    truth = stands(service.hospital)
    assert {name: settled["amounts"][name] for name in ("medfee_sumamt", "psn_cash_pay")} == {
        name: truth[name] for name in ("medfee_sumamt", "psn_cash_pay")
    }
    again = await service.post("/v1/settlements", kind.bill("K1"))
    assert again.json() == settled
    assert service.hospital.calls.count(kind.pay) == 1


async def test_a_refund_leaves_nothing(service: Served, kind: Kind) -> None:
    assert (await told(service, kind.bill("K1")))["state"] == "SETTLED"
    await service.post("/v1/settlements/K1/void", {"void_key": "R1", "reason": "开错药"})
    assert (await decided(service, "R1")).json()["state"] == "VOIDED"
    assert service.hospital.calls.count(kind.back) == 1
    assert service.hospital.settlements == ["refunded"]
    assert (await service.get("/v1/settlements/K1")).json()["state"] == "VOIDED"


async def test_a_lost_reply_is_adopted(service: Served, kind: Kind) -> None:
    service.hospital.rule(kind.lost or kind.pay, "commit", "drop")
    pending = await service.post("/v1/settlements", kind.bill("K1"), headers={"Prefer": "wait=0"})
    assert (pending.status_code, pending.json()["state"]) == (202, "PENDING")
    settled = (await decided(service)).json()
    assert (settled["state"], settled["closed_by"]) == ("SETTLED", "E2"), settled["message_zh"]
    assert settled["amounts"]["medfee_sumamt"] == stands(service.hospital)["medfee_sumamt"]
    assert service.hospital.calls.count(kind.pay) == 1
    assert not {"2601", "rollback"} & set(service.hospital.calls)


@pytest.mark.parametrize("actions", [["drop"], ["commit", "drop"]], ids=["absent", "applied"])
async def test_a_lost_reply_that_nobody_can_be_asked_about_is_reversed(
    service: Served, kind: Kind, actions: list[str]
) -> None:
    gateway = service.desk.running.place.gateway
    gateway.capabilities = replace(gateway.capabilities, query_after_unknown="none")
    service.hospital.rule(kind.pay, *actions, nth=1)
    await service.post("/v1/settlements", kind.bill("K1"), headers={"Prefer": "wait=0"})
    reversed_ = (await decided(service)).json()
    assert (reversed_["state"], reversed_["closed_by"]) == ("REVERSED", "E6"), reversed_["message_zh"]
    assert "settled" not in service.hospital.settlements
    assert (await told(service, kind.bill("K2")))["state"] == "SETTLED"
    assert service.hospital.settlements.count("settled") == 1


async def test_a_refusal_says_why_and_what_to_do(service: Served, kind: Kind) -> None:
    service.hospital.rule(kind.pay, f"error(-1,{NOT_FILED})", nth=1)
    refused = await told(service, kind.bill("K1"))
    assert (refused["state"], refused["code"]) == ("REJECTED", "NOT_FILED"), refused
    assert NOT_FILED in refused["message_zh"]
    assert refused["next"]
    assert service.hospital.settlements == []
    assert (await told(service, kind.bill("K2")))["state"] == "SETTLED"
