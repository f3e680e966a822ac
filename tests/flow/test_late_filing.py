"""Stays from elsewhere without a filing: on the list until somebody filed, and gone from it then."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapter_core.cli.late_filings import list_unfiled
from adapter_core.ledger.sealing import create_master_key
from adapter_core.settlement.late_filing import OPEN, TOPIC
from adapter_core.simulator.people import Filing
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import ORG, message
from tests.flow.served import Served, configure, served
from tests.flow.test_inpatient import LEAVING, STAY, day, final

WAIT = {"Prefer": "wait=20"}
UNFILED = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "320500199001010000", "psn_name": "测试癸"}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Served]:
    create_master_key(tmp_path / "master.key")
    async with Simulator() as centre, served(centre, configure(tmp_path, centre.url)) as one:
        person = centre.world.people.by_number("T00000000010")
        assert person is not None
        UNFILED["mdtrt_cert_no"] = person.certno
        one.hospital.temper(wording="seen")
        yield one


async def admit(service: Served, key: str = "E1", **changes: Any) -> None:
    said = {"kind": "inpatient", "visit": {**STAY, "ipt_no": f"ZY-{key}"}, "person": UNFILED, "operator": message()["operator"],
            "diagnoses": message()["diagnoses"], **changes}  # fmt: skip
    answer = await service.http.put(f"/v1/encounters/{key}", content=json.dumps(said), headers=WAIT)
    assert answer.json()["state"] == "DONE", answer.text


async def listed(service: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await service.get("/v1/worklist?kind=unfiled")).json()["unfiled"]
    return found


async def asked(service: Served, **said: Any) -> dict[str, Any]:
    answer = await service.post("/v1/encounters/E1/filing", said)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def settle(service: Served, key: str) -> httpx.Response:
    order = {**final(key, "V1", fees=day(1, "30.00")), "person": UNFILED, "encounter_key": "E1"}
    order["visit"] = {**order["visit"], "ipt_no": "ZY-E1"}
    return await service.post("/v1/settlements", order, headers=WAIT)


def filed(service: Served, **changes: Any) -> None:
    person = service.hospital.centre.world.people.by_number("T00000000010")
    assert person is not None
    person.filings.append(Filing(**{"kind": "temporary", "region": "36", "begndate": "2020-01-01", **changes}))


async def test_whoever_is_insured_elsewhere_is_listed_with_what_to_do_and_by_when(service: Served) -> None:
    await admit(service)
    await admit(service, "E2", person=_local(service))
    [row] = await listed(service)
    assert (row["encounter_key"], row["insuplc_admdvs"], row["filing"]) == ("E1", "320500", "unknown")
    assert (row["due"], row["file_call"]) == ("before_discharge_settlement", "POST /v1/transactions/2501")
    assert row["asked_at"] is None
    assert "备案" in row["todo_zh"]
    assert row["channels"]
    assert "测试" not in json.dumps(row, ensure_ascii=False)


def _local(service: Served) -> dict[str, str]:
    person = service.hospital.centre.world.people.by_number("T00000000012")
    assert person is not None
    return {"mdtrt_cert_type": "02", "mdtrt_cert_no": person.certno, "psn_name": person.psn_name}


async def test_a_refusal_says_so_and_the_filing_ends_it(service: Served) -> None:
    await admit(service)
    found = await asked(service)
    assert found["eligibility"]["reason"] == "not_filed"
    [row] = await listed(service)
    assert found["unfiled"] == row
    assert (row["filing"], row["reason"], bool(row["text"])) == ("refused_by_text", "not_filed", True)
    filed(service)
    assert (await asked(service))["unfiled"] is None
    assert await listed(service) == []
    assert (await settle(service, "K1")).json()["state"] == "SETTLED"
    assert await listed(service) == []


async def test_a_refused_settlement_puts_it_back_and_a_settled_one_takes_it_off(service: Served) -> None:
    await admit(service)
    stated = {"status": "active", "regions": ["360000"], "source": "patient_app"}
    assert (await asked(service, stated=stated))["unfiled"]["filing"] == "refused_by_text"
    service.hospital.rules([{"infno": "2001", "nth": None, "actions": ["drop"]}])
    assert (await asked(service, stated=stated))["unfiled"] is None
    service.hospital.rules([])
    assert (await settle(service, "K1")).json()["state"] == "REJECTED"
    [row] = await listed(service)
    assert (row["filing"], row["reason"]) == ("refused_by_text", "not_filed")
    filed(service)
    assert (await settle(service, "K2")).json()["state"] == "SETTLED"
    assert await listed(service) == []


async def test_a_transfer_filed_from_here_is_found(service: Served) -> None:
    await admit(service)
    assert (await asked(service))["unfiled"]
    mine = {
        "psn_no": "T00000000010", "insutype": "310", "diag_code": "J06.900", "diag_name": "急性上呼吸道感染", "reflin_medins_no": ORG,
        "reflin_medins_name": "测试医院", "mdtrtarea_admdvs": "360100", "refl_type": "1", "refl_date": "2026-11-01",
        "refl_rea": "病情需要", "refl_opnn": "同意", "hosp_agre_refl_flag": "1", "begndate": "2026-11-01", "enddate": "2027-05-01",
    }  # fmt: skip
    done = await service.post("/v1/transactions/2501", {"input": {"refmedin": mine}})
    assert done.json()["state"] == "DONE", done.text
    assert (await asked(service))["unfiled"] is None
    assert await listed(service) == []


async def test_eligibility_of_a_stay_is_kept_with_it_and_a_dead_line_takes_nothing_back(service: Served) -> None:
    await admit(service)
    filed(service, region="31")
    body = {"encounter_key": "E1", "kind": "inpatient"}
    assert (await service.post("/v1/eligibility", body)).json()["verdict"] == "wont"
    [row] = await listed(service)
    assert row["asked_at"]
    filed(service)
    assert (await asked(service))["unfiled"] is None
    service.hospital.rules([{"infno": None, "nth": None, "actions": ["drop"]}])
    assert (await asked(service))["unfiled"] is None


async def test_who_leaves_comes_first_and_who_was_never_admitted_not_at_all(service: Served) -> None:
    await admit(service)
    other = {**STAY, "begntime": "2026-11-01 08:00:00", "ipt_no": "ZY-E3"}
    service.hospital.rules([{"infno": "2401", "nth": 1, "actions": ["error(-1,测试拒绝)"]}])
    said = {"kind": "inpatient", "visit": other, "person": UNFILED, "diagnoses": message()["diagnoses"]}
    refused = await service.http.put("/v1/encounters/E3", content=json.dumps(said), headers=WAIT)
    assert refused.json()["state"] == "REJECTED"
    assert [row["encounter_key"] for row in await listed(service)] == ["E1"]
    leaving = {"visit": LEAVING, "settle": {"mid_setl_flag": "0"}}
    assert (await service.post("/v1/encounters/E1/discharge", leaving, headers=WAIT)).json()["state"] == "DONE"
    [row] = await listed(service)
    assert row["is_discharged"] is True
    await service.http.delete("/v1/encounters/E1/discharge", headers=WAIT)
    assert (await service.http.delete("/v1/encounters/E1", headers=WAIT)).json()["state"] == "DONE"
    assert await listed(service) == []
    kept = await service.hospital.running.ledger.account_items(ORG, TOPIC, (OPEN,))
    assert len(kept) == 2


async def test_only_a_stay_known_here_can_be_asked_about(service: Served) -> None:
    assert (await service.post("/v1/encounters/E9/filing")).status_code == 404
    await admit(service)
    wrong = await service.post("/v1/encounters/E1/filing", {"stated": {"status": "perhaps"}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "BAD_MESSAGE")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def test_the_command_line_asks_and_lists_with_and_without_a_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_master_key(tmp_path / "master.key")
    async with Simulator() as centre:
        config = configure(tmp_path, centre.url)
        text = config.read_text("utf-8").replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{free_port()}"', 1)
        config.write_text(text, "utf-8")
        person = centre.world.people.by_number("T00000000010")
        assert person is not None
        UNFILED["mdtrt_cert_no"] = person.certno
        async with served(centre, config) as one:
            one.hospital.temper(wording="seen")
            await admit(one)
            assert await list_unfiled(config, ["E1"], False, ORG, True) == 0
            [row] = json.loads(capsys.readouterr().out)["unfiled"]
            assert row["filing"] == "refused_by_text"
        assert await list_unfiled(config, [], False, "", False) == 0
        shown = capsys.readouterr().out
        assert "E1" in shown
        assert "出院结算前" in shown
        person.filings.append(Filing("temporary", "36", "2020-01-01"))
        assert await list_unfiled(config, [], True, "", True) == 0
        assert json.loads(capsys.readouterr().out)["unfiled"] == []
