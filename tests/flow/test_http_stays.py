"""Stays as a HIS meets them over HTTP: newborns, pre-admission, how many stand before a settlement."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapter_core.ledger.sealing import create_master_key
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import assert_invariants, message
from tests.flow.served import Served, configure, served
from tests.flow.test_inpatient import STAY, day, final
from tests.flow.test_newborns import CHILD, HOUSE, MOTHERS, insured, open_stays
from tests.flow.test_preadmission import checks

WAIT = {"Prefer": "wait=20"}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Served]:
    create_master_key(tmp_path / "master.key")
    async with Simulator() as centre:
        config = configure(tmp_path, centre.url)
        config.write_text(config.read_text("utf-8") + '[gateway.options]\npreadmission_days = "3"\n', "utf-8")
        async with served(centre, config) as one:
            yield one
        assert_invariants(centre, tmp_path)


async def put(service: Served, key: str, **said: Any) -> httpx.Response:
    tree = {"kind": "inpatient", "visit": STAY, "operator": message()["operator"], "diagnoses": message()["diagnoses"]}
    body = json.dumps({**tree, **said}, ensure_ascii=False)
    return await service.http.put(f"/v1/encounters/{key}", content=body, headers=WAIT)


async def newborn(service: Served, key: str) -> dict[str, Any]:
    found: dict[str, Any] = (await service.get(f"/v1/encounters/{key}")).json()["newborn"]
    return found


async def test_a_newborn_from_a_temporary_number_to_its_settlement(service: Served) -> None:
    waiting = await put(service, "E1", newborn=HOUSE)
    assert (waiting.status_code, waiting.json()["code"]) == (200, "NEWBORN_WAITS")
    assert (await service.post("/v1/encounters/E1/fees", {"fees": day(1, "30.00")}, headers=WAIT)).status_code == 200
    assert service.hospital.calls == []
    early = {name: value for name, value in final().items() if name not in ("intent", "person")}
    refused = await service.post("/v1/settlements", early)
    assert (refused.status_code, refused.json()["code"]) == (409, "NEWBORN_UNIDENTIFIED")
    assert refused.json()["next"] == ["identify_newborn", "manual"]
    known = await put(service, "E2", newborn=HOUSE)
    assert (known.status_code, known.json()["code"]) == (409, "NEWBORN_KNOWN")
    assert (await newborn(service, "E1"))["state"] == "waits"
    insured(service.hospital)
    assert (await put(service, "E1", person=CHILD, newborn={"by": "own"})).status_code == 200
    assert (await newborn(service, "E1"))["state"] == "registered"
    settled = await service.post("/v1/settlements", early, headers=WAIT)
    assert settled.json()["state"] == "SETTLED"
    assert open_stays(service.hospital) == [("T00000000091", 1)]


async def test_a_lost_answer_on_the_way_from_the_mothers_number(service: Served) -> None:
    mother = message()["person"]
    assert (
        await put(service, "E1", person=mother, visit={**STAY, "med_type": "92"}, newborn=MOTHERS)
    ).status_code == 200
    assert (await service.post("/v1/encounters/E1/fees", {"fees": day(1, "30.00")}, headers=WAIT)).status_code == 200
    insured(service.hospital)
    service.hospital.rules([{"infno": "2404", "nth": None, "actions": ["commit", "drop"]}])
    stopped = await put(service, "E1", person=CHILD, newborn={"by": "own"})
    assert stopped.json()["state"] != "DONE"
    assert (await newborn(service, "E1"))["state"] == "identity_pending"
    shut = await service.post("/v1/encounters/E1/fees", {"fees": day(2, "1.00")}, headers=WAIT)
    assert (shut.status_code, shut.json()["code"]) == (409, "NEWBORN_IDENTITY_PENDING")
    service.hospital.rules([])
    assert (await put(service, "E1", person=CHILD, newborn={"by": "own"})).json()["state"] == "DONE"
    assert open_stays(service.hospital) == [("T00000000091", 1)]


async def test_outpatient_tests_into_the_stay_and_back(service: Served) -> None:
    person, operator = message()["person"], message()["operator"]
    visit = {"person": person, "operator": operator, "visit": message()["visit"]}
    assert (await service.http.put("/v1/encounters/V0", content=json.dumps(visit))).status_code == 200
    bill = {
        "visit_key": "V0",
        "fees": checks("40.00"),
        "diagnoses": message()["diagnoses"],
        "settle": {"med_type": "11"},
    }
    assert (await service.post("/v1/encounters/V0/fees", bill)).status_code == 200
    assert (await put(service, "E1", person=person)).status_code == 200
    folded = await service.post("/v1/encounters/E1/preadmission", {"visits": ["V0"]}, headers=WAIT)
    assert (folded.status_code, folded.json()["state"]) == (200, "DONE")
    assert folded.json()["encounter"]["bills"][0]["folded_in"] == {"V0": {"lines": ["T0"], "state": "in"}}
    assert (await service.get("/v1/encounters/V0")).json()["bills"][0]["folded_into"] == "E1"
    refused = await service.post("/v1/settlements", {**message(settle_key="K0", fees=None), "visit_key": "V0"})
    assert (refused.status_code, refused.json()["code"]) == (409, "FOLDED")
    back = await service.http.delete("/v1/encounters/E1/preadmission", headers=WAIT)
    assert (back.status_code, back.json()["state"]) == (200, "DONE")
    settled = await service.post(
        "/v1/settlements", {**message(settle_key="K0", fees=checks("40.00")), "visit_key": "V0"}
    )
    assert settled.json()["state"] == "SETTLED"


async def test_who_waits_hears_how_many_stand_before(service: Served) -> None:
    service.hospital.rules([{"infno": "2304", "nth": None, "actions": ["hang"]}])
    positions = []
    for number, person in enumerate((message()["person"], CHILD)):
        insured(service.hospital)
        key = f"E{number}"
        visit = {**STAY, "ipt_no": f"ZY000{number}"}
        assert (await put(service, key, person=person, visit=visit)).status_code == 200
        fees = [{**row, "feedetl_sn": f"{key}-{at}"} for at, row in enumerate(day(1, "30.00"))]
        order = {**final(f"K{number}", f"V{number}", fees=fees), "encounter_key": key, "person": person}
        order["visit"] = {**order["visit"], "ipt_no": f"ZY000{number}"}
        told = await service.post("/v1/settlements", order)
        assert (told.status_code, told.json()["state"]) == (202, "PENDING")
        positions.append(told.json()["queue_position"])
    assert positions == [0, 1]
