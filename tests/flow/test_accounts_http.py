"""Reconciliation and the accounts over a real socket: who may ask, what is told, the worklist."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader
from python_calamine import CalamineWorkbook

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


async def test_the_day_end_the_report_and_the_dues_come_as_files(service: Served) -> None:
    await service.post("/v1/settlements", message())
    told = (await service.post("/v1/accounts/dayend", {"date": TODAY})).json()
    pdf = await service.get(f"/v1/accounts/dayend.pdf?date={TODAY}")
    assert (pdf.status_code, pdf.headers["content-type"]) == (200, "application/pdf")
    text = "\n".join(page.extract_text() for page in PdfReader(BytesIO(pdf.content)).pages)
    for name in ("total", "fund", "account", "cash"):
        assert told[name] in text
    slip = await service.get(f"/v1/accounts/dayend.pdf?date={TODAY}&opter=999")
    assert "200.00" not in "".join(page.extract_text() for page in PdfReader(BytesIO(slip.content)).pages)
    for name in (f"report.pdf?from={TODAY}&to={TODAY}", f"receivables.pdf?month={TODAY[:7]}"):
        assert (await service.get(f"/v1/accounts/{name}")).content.startswith(b"%PDF")
    book = await service.get(f"/v1/accounts/report.xlsx?from={TODAY}&to={TODAY}")
    sheets = CalamineWorkbook.from_filelike(BytesIO(book.content)).sheet_names
    assert sheets == ["按日", "按参保地", "直接结算率（按日）", "直接结算率（按参保地）", "未能直接结算的原因"]
    lines = (await service.get(f"/v1/accounts/dayend.csv?date={TODAY}")).content.decode("utf-8-sig").splitlines()
    assert lines[-1].split(",")[5] == told["total"]
    for name in ("dayend.doc", "flags.pdf", "dayend"):
        assert (await service.get(f"/v1/accounts/{name}?date={TODAY}")).status_code == 404
    assert (await service.get("/v1/accounts/dayend.pdf?date=1.1.2026")).status_code == 422


async def test_a_wrong_person_over_http(service: Served) -> None:
    await service.post("/v1/settlements", message())
    order = {"key": "K1", "operator": "测试主任", "reason": "拿错卡"}
    told = (await service.post("/v1/accounts/wrong_person", order)).json()
    assert (told["state"], told["registration"]) == ("VOIDED", "undone")
    assert (await service.get("/v1/settlements/K1")).json()["state"] == "VOIDED"
    kinds = [one["kind"] for one in (await service.get("/v1/settlements/K1/timeline")).json()["events"]]
    assert "SECURITY" in kinds
    missing = await service.post("/v1/accounts/wrong_person", {**order, "key": "K9"})
    assert (missing.status_code, missing.json()["code"]) == (404, "NO_SUCH_CASE")
