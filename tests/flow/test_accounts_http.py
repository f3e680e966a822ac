"""Reconciliation and the accounts over a real socket: who may ask, what is told, the worklist."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter_core.ledger.sealing import create_master_key
from adapter_core.simulator.server import Simulator
from adapter_core.values.moments import national_date
from tests.flow.hospital import message
from tests.flow.served import Served, configure, served

TODAY = national_date(datetime.now(UTC))


@pytest.fixture
async def service(centre: Simulator, tmp_path: Path) -> AsyncIterator[Served]:
    create_master_key(tmp_path / "master.key")
    async with served(centre, configure(tmp_path, centre.url)) as one:
        yield one


async def test_a_day_is_reconciled_shown_and_its_differences_wait_in_the_worklist(service: Served) -> None:
    assert (await service.get(f"/v1/reconciliations/{TODAY}")).json()["code"] == "NO_SUCH_RUN"
    told = await service.post("/v1/settlements", message())
    assert told.json()["state"] == "SETTLED"
    run = (await service.post("/v1/reconciliations", {"date": TODAY})).json()
    assert (run["state"], run["sums"]["total"], run["differences"]) == ("balanced", "200.00", [])
    world = service.hospital.centre.world
    world.reverse(next(iter(world.settlements.values())))
    run = (await service.post("/v1/reconciliations", {"date": TODAY})).json()
    assert (run["state"], run["found"]) == ("differs", {"ours_only": "1"})
    shown = (await service.get(f"/v1/reconciliations/{TODAY}")).json()
    assert [one["class"] for one in shown["differences"]] == ["ours_only"]
    waiting = (await service.get("/v1/worklist?kind=difference")).json()["differences"]
    assert [one["work_order"] for one in waiting] == [told.json()["case_id"][:10].upper()]
    assert (await service.get("/v1/settlements/K1")).json()["state"] == "FROZEN"
    closed = await service.post(
        "/v1/accounts/close", {"item_id": waiting[0]["item_id"], "operator": "测试主任", "reason": "已向中心核实"}
    )
    assert closed.json()["state"] == "explained"
    assert (await service.get("/v1/worklist?kind=difference")).json()["differences"] == []


async def test_an_order_that_cannot_be_read_is_refused_with_its_faults(service: Served) -> None:
    refused = await service.post("/v1/reconciliations", {"date": "21.11.2026"})
    assert (refused.status_code, [one["path"] for one in refused.json()["faults"]]) == (422, ["date"])
    refused = await service.post("/v1/accounts/nothing", {})
    assert refused.json()["faults"][0]["path"] == "order"
    assert (await service.post("/v1/accounts/dayend", {"date": TODAY})).json()["count"] == 0
