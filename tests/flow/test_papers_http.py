"""Papers over a real socket: a HIS opens, prints, verifies and ends them; races of papers against settlements over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pypdf import PdfReader

from adapter_core.ledger.sealing import create_master_key
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import assert_invariants, line, message
from tests.flow.served import Served, configure, served

REFUSED = "error(-1,没有获取到异地备案信息!)"


@pytest.fixture
async def service(centre: Simulator, tmp_path: Path) -> AsyncIterator[Served]:
    create_master_key(tmp_path / "master.key")
    async with served(centre, configure(tmp_path, centre.url)) as one:
        yield one
    assert_invariants(centre, tmp_path)


async def refused(service: Served, key: str = "K1", visit: str = "V1") -> None:
    service.hospital.rule("2206", REFUSED)
    told = await service.post("/v1/settlements", message(settle_key=key, visit_key=visit))
    assert told.json()["state"] == "REJECTED"
    service.hospital.rules([])


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def test_papers_from_opening_to_closing(service: Served) -> None:
    await refused(service)
    opened = await service.post("/v1/visits/V1/paper")
    assert opened.status_code == 200
    made = opened.json()
    assert (made["version"], made["state"], made["why"]["code"]) == ("1", "MANUAL_OPEN", "not_filed")
    told = (await service.get("/v1/settlements/K1")).json()
    assert (told["state"], told["paper"]["serial"]) == ("MANUAL_OPEN", made["serial"])
    first, again = await service.get(made["pdf"]), await service.get(made["pdf"])
    assert first.headers["content-type"] == "application/pdf"
    assert first.content == again.content
    assert made["serial"] in PdfReader(io.BytesIO(first.content)).pages[0].extract_text()
    data = (await service.get(made["json"])).json()
    assert (data["hash"], data["total"]) == (made["hash"], "200.00")
    repeated = (await service.post("/v1/visits/V1/paper")).json()
    assert (repeated["serial"], repeated["version"], repeated["is_new"]) == (made["serial"], "1", False)
    verified = await service.post("/v1/papers/verify", {"text": made["sealed_line"]})
    assert (verified.json()["verdict"], verified.json()["is_signed"]) == ("VALID", True)
    assert (await service.post(f"/v1/papers/{made['serial']}/submit", {"to": "医保中心"})).json()[
        "state"
    ] == "MANUAL_SUBMITTED"
    assert (await service.post(f"/v1/papers/{made['serial']}/close")).json()["state"] == "MANUAL_CLOSED"
    taken_back = {"red_invoice": "红1", "reason": "晚了"}
    assert code(await service.post(f"/v1/papers/{made['serial']}/revoke", taken_back)) == (409, "PAPER_CLOSED")


async def test_revoked_papers_print_no_more_and_the_visit_settles(service: Served) -> None:
    await refused(service)
    made = (await service.post("/v1/visits/V1/paper", {"situations": ["代办"]})).json()
    path = f"/v1/papers/{made['serial']}/revoke"
    assert code(await service.post(path, {"reason": "补备案"})) == (422, "BAD_MESSAGE")
    assert (await service.post(path, {"red_invoice": "红1", "reason": "补备案"})).json()["state"] == "MANUAL_REVOKED"
    assert code(await service.get(made["pdf"])) == (409, "PAPER_REVOKED")
    verdict = (await service.post("/v1/papers/verify", {"text": made["serial"]})).json()
    assert (verdict["verdict"], verdict["counts"]) == ("REVOKED", False)
    assert (await service.post("/v1/settlements", message(settle_key="K2"))).json()["state"] == "SETTLED"


async def test_while_a_settlement_may_exist_there_is_only_a_hold_slip(service: Served) -> None:
    hold = [{"infno": "2207", "actions": ["commit", "drop"]}, {"infno": "5203", "actions": ["read_close"]}]
    service.hospital.rules(hold)
    assert (await service.post("/v1/settlements", message(), headers={"Prefer": "wait=0.3"})).status_code == 202
    held = await service.post("/v1/visits/V1/paper")
    assert code(held) == (409, "VISIT_HELD")
    assert "请勿改自费" in held.json()["message_zh"]
    slip = await service.get("/v1/visits/V1/hold-slip.pdf")
    assert "待核查单" in PdfReader(io.BytesIO(slip.content)).pages[0].extract_text()
    service.hospital.rules([])
    await service.hospital.running.pipeline.settled_down()
    assert code(await service.post("/v1/visits/V1/paper")) == (409, "USE_VOID")
    assert code(await service.get("/v1/visits/V1/hold-slip.pdf")) == (409, "NOT_HELD")


async def test_a_visit_never_tried_comes_with_its_content(service: Served) -> None:
    assert code(await service.post("/v1/visits/V1/paper")) == (404, "NO_SUCH_VISIT")
    body = {"settlement": message(), "reason": "card_not_activated", "insuplc_admdvs": "360100"}
    made = (await service.post("/v1/visits/V1/paper", body)).json()
    assert (made["why"]["code"], made["total"]) == ("card_not_activated", "200.00")
    assert code(await service.post("/v1/settlements", message())) == (409, "VISIT_HELD")
    assert service.hospital.calls == []


async def test_receipts_are_counted(service: Served) -> None:
    assert (await service.post("/v1/settlements", message())).json()["state"] == "SETTLED"
    first = await service.post("/v1/settlements/K1/receipt")
    second = await service.post("/v1/settlements/K1/receipt", {"paper": "241"})
    assert "补打" not in PdfReader(io.BytesIO(first.content)).pages[0].extract_text()
    assert "补打第1次" in second.text
    [stands] = service.hospital.truth["settlements"]
    assert stands["amounts"]["psn_cash_pay"] in second.text
    assert (await service.post("/v1/settlements/K1/receipt", {"paper": "a3"})).status_code == 422


async def test_a_hand_over_sheet_for_one_employer(service: Served) -> None:
    serials = []
    for number in ("1", "2"):
        await refused(service, f"K{number}", f"V{number}")
        serials.append((await service.post(f"/v1/visits/V{number}/paper")).json()["serial"])
    sheet = (await service.post("/v1/paper-batches", {"serials": serials, "employer": "测试公司"})).json()
    text = PdfReader(io.BytesIO((await service.get(sheet["pdf"])).content)).pages[0].extract_text()
    assert all(serial in text for serial in serials)
    assert "400.00" in text
    assert "肆佰元整" in text


async def test_the_journal_and_the_ledger_file_hold_no_name_in_clear(service: Served) -> None:
    await refused(service)
    made = (await service.post("/v1/visits/V1/paper")).json()
    for file in service.hospital.folder.glob("ledger.db*"):
        if not file.name.endswith(".ballast"):
            assert "测试甲".encode() not in file.read_bytes()
    assert "测试甲" not in json.dumps(made, ensure_ascii=False)


async def test_papers_and_settlements_racing_over_http_never_both_win(service: Served) -> None:
    """I12 on the real service: each visit was refused once; then papers and two settlements are asked for at once."""
    won: list[str] = []
    for number in range(9):
        visit = f"V{number}"
        await refused(service, f"A{number}", visit)
        calls = [
            service.post(
                "/v1/settlements",
                message(settle_key=f"{letter}{number}", visit_key=visit, fees=[line(f"{letter}{number}", "12.00")]),
            )
            for letter in "BC"
        ]
        racers = [*calls, service.post(f"/v1/visits/{visit}/paper")]
        await asyncio.gather(*(racers[number % 3 :] + racers[: number % 3]))
        await service.hospital.running.pipeline.settled_down()
        told = (await service.get(f"/v1/settlements/A{number}")).json()
        verified = await service.post("/v1/papers/verify", {"text": (told["paper"] or {"serial": "LX0"})["serial"]})
        won.append("papers" if verified.json()["counts"] else "settlement")
        states = [one["state"] for one in service.hospital.truth["settlements"]]
        assert states == ["settled"] * won.count("settlement")
        holder = await service.hospital.running.ledger.holder("H36010000001", visit)
        assert holder is not None
        assert (str(holder.state) == "MANUAL_OPEN") == verified.json()["counts"]
    assert set(won) == {"papers", "settlement"}
