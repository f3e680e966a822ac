"""``/v1/settlements`` over a real socket: what a HIS that speaks our own JSON does all day."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapter_core.ledger.sealing import create_master_key
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import assert_invariants, line, message
from tests.flow.served import Served, configure, served

CHAIN = ["1101", "2201", "2203A", "2204", "2206", "2207"]


@pytest.fixture
def site(tmp_path: Path, centre: Simulator) -> Path:
    create_master_key(tmp_path / "master.key")
    return configure(tmp_path, centre.url)


@pytest.fixture
async def service(centre: Simulator, site: Path) -> AsyncIterator[Served]:
    async with served(centre, site) as one:
        yield one
    assert_invariants(centre, site.parent)


def state(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["state"]


async def decided(service: Served, key: str = "K1") -> httpx.Response:
    """Poll as a HIS does, without its pauses, until the case is decided."""
    await service.hospital.running.pipeline.settled_down()
    return await service.get(f"/v1/settlements/{key}")


async def test_a_settlement_is_told_once_and_for_all(service: Served) -> None:
    first = await service.post("/v1/settlements", message())
    assert state(first) == (200, "SETTLED")
    told = first.json()
    [stands] = service.hospital.truth["settlements"]
    assert told["amounts"]["psn_cash_pay"] == stands["amounts"]["psn_cash_pay"]
    assert all(isinstance(amount, str) and amount[-3] == "." for amount in told["amounts"].values())
    assert isinstance(told["setlinfo"]["medfee_sumamt"], float)
    assert {"settle_key", "visit_key", "encounter_key", "case_id", "code", "message_zh", "next", "setl_id", "mdtrt_id", "psn_no",
            "changed_from_quote", "setldetail", "paper", "closed_by"} <= told.keys()  # fmt: skip
    again = await service.post("/v1/settlements", message())
    shown = await service.get("/v1/settlements/K1")
    by_case = await service.get(f"/v1/settlements/{told['case_id']}")
    assert again.content == first.content == shown.content == by_case.content
    assert service.hospital.calls == CHAIN


async def test_two_at_once_are_one_settlement(service: Served) -> None:
    answers = await asyncio.gather(*(service.post("/v1/settlements", message()) for _ in range(5)))
    assert {one.content for one in answers} == {answers[0].content}
    assert state(answers[0]) == (200, "SETTLED")
    assert service.hospital.calls.count("2207") == 1


async def test_another_key_for_the_visit_and_other_content_for_the_key_are_refused(service: Served) -> None:
    await service.post("/v1/settlements", message())
    held = await service.post("/v1/settlements", message(settle_key="K2"))
    reused = await service.post("/v1/settlements", message(fees=[line("F1", "9.00")]))
    for response, code in ((held, "VISIT_HELD"), (reused, "KEY_REUSED")):
        assert response.status_code == 409
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem["code"] == code
        assert {"title", "detail", "message_zh", "next"} <= problem.keys()
    assert service.hospital.calls == CHAIN


async def test_faults_are_listed_with_their_paths_and_nothing_is_sent(service: Served) -> None:
    fees = [line("F1", "186.501"), {**line("F2", "1.00"), "cnt": "many"}]
    response = await service.post("/v1/settlements", message(fees=fees))
    assert response.status_code == 422
    paths = {fault["path"] for fault in response.json()["faults"]}
    assert {"fees[0].det_item_fee_sumamt", "fees[1].cnt"} <= paths
    missing = await service.post("/v1/settlements", message(settle_key=None))
    assert (missing.status_code, missing.json()["code"]) == (400, "KEY_MISSING")
    assert service.hospital.calls == []


async def test_an_unknown_result_is_polled_until_it_is_known(service: Served) -> None:
    service.hospital.rule("2207", "commit", "hang(60)")
    pending = await service.post("/v1/settlements", message(), headers={"Prefer": "wait=0.2"})
    assert state(pending) == (202, "PENDING")
    assert pending.headers["retry-after"]
    await service.hospital.arrival("2207")
    where = pending.headers["location"]
    assert where == "/v1/settlements/K1"
    assert state(await service.get(where)) == (202, "PENDING")
    sent = len(service.hospital.calls)
    assert state(await service.post("/v1/settlements", message(), headers={"Prefer": "wait=0"})) == (202, "PENDING")
    assert len(service.hospital.calls) == sent, "a poll or a repeat causes no traffic"


async def test_a_lost_reply_is_found_again(service: Served) -> None:
    service.hospital.rule("2207", "commit", "drop")
    await service.post("/v1/settlements", message())
    settled = await decided(service)
    assert state(settled) == (200, "SETTLED")
    assert settled.json()["closed_by"] == "E2"
    assert (await service.post("/v1/settlements", message())).content == settled.content


async def test_a_his_may_want_an_unknown_settlement_reversed(service: Served) -> None:
    """``on_unknown`` of one settlement goes before the site's, and is no other content."""
    service.hospital.rule("2207", "commit", "drop")
    await service.post("/v1/settlements", message(on_unknown="reverse"))
    assert (await decided(service)).json()["state"] == "REVERSED"
    assert service.hospital.settlements == ["reversed"]
    assert state(await service.post("/v1/settlements", message()))[1] == "REVERSED"
    odd = await service.post("/v1/settlements", message(settle_key="K2", on_unknown="whatever"))
    assert (odd.status_code, odd.json()["faults"][0]["path"]) == (422, "on_unknown")


async def test_cancel_before_sending_in_doubt_and_too_late(service: Served) -> None:
    quoted = await service.post("/v1/settlements", message("quote"))
    assert state(quoted) == (200, "QUOTED")
    cancelled = await service.post("/v1/settlements/K1/cancel", {"reason": "患者改主意"})
    assert state(cancelled) == (200, "CANCELLED")
    assert state(await service.post("/v1/settlements/K1/cancel")) == (200, "CANCELLED")

    service.hospital.rule("2207", "commit", "drop")
    await service.post("/v1/settlements", message(settle_key="K2"), headers={"Prefer": "wait=0"})
    in_doubt = await service.post("/v1/settlements/K2/cancel")
    assert in_doubt.status_code in (200, 202)  # CANCELLED where it was quicker than the wire
    after = await decided(service, "K2")
    assert after.json()["state"] in ("CANCELLED", "REVERSED")
    assert set(service.hospital.settlements) <= {"reversed"}

    assert state(await service.post("/v1/settlements", message(settle_key="K3"))) == (200, "SETTLED")
    late = await service.post("/v1/settlements/K3/cancel")
    assert (late.status_code, late.json()["code"]) == (409, "USE_VOID")


async def test_a_quote_is_settled_by_its_key_and_again(service: Served) -> None:
    await service.post("/v1/settlements", message("quote"))
    settled = await service.post("/v1/settlements/K1/settle")
    assert state(settled) == (200, "SETTLED")
    again = await service.post("/v1/settlements/K1/settle")
    assert again.json() == settled.json()
    assert service.hospital.calls == CHAIN


async def test_a_quote_that_the_centre_now_splits_otherwise_is_told_with_both(service: Served) -> None:
    quoted = await service.post("/v1/settlements", message("quote"))
    object.__setattr__(service.desk.running.place.timers, "requote_after", 0.0)
    service.hospital.centre.world.person("T00000000001").insurances[0].balc -= 355  # another till used the account
    changed = await service.post("/v1/settlements/K1/settle")
    assert (changed.status_code, changed.json()["code"]) == (409, "QUOTE_CHANGED")
    both = changed.json()
    assert both["quoted_before"]["psn_cash_pay"] == quoted.json()["amounts"]["psn_cash_pay"]
    assert both["amounts"]["psn_cash_pay"] != both["quoted_before"]["psn_cash_pay"]


async def test_a_refund_is_a_case_of_its_own(service: Served) -> None:
    early = await service.post("/v1/settlements", message("quote"))
    assert state(early) == (200, "QUOTED")
    too_early = await service.post("/v1/settlements/K1/void", {"void_key": "R1", "reason": "x"})
    assert (too_early.status_code, too_early.json()["code"]) == (409, "USE_CANCEL")
    settled = (await service.post("/v1/settlements/K1/settle")).json()
    voided = await service.post("/v1/settlements/K1/void", {"void_key": "R1", "reason": "开错药"})
    assert state(voided) == (200, "VOIDED")
    assert voided.json()["void_key"] == "R1"
    assert (
        await service.post("/v1/settlements/K1/void", {"void_key": "R1", "reason": "开错药"})
    ).content == voided.content
    assert (await service.get("/v1/settlements/R1")).json() == voided.json()
    shown = (await service.get("/v1/settlements/K1")).json()
    assert (shown["state"], shown["setl_id"], shown["amounts"]["medfee_sumamt"]) == (
        "VOIDED",
        settled["setl_id"],
        "200.00",
    )
    assert service.hospital.calls.count("2208") == 1


async def test_what_the_his_booked_leaves_the_worklist(service: Served) -> None:
    await service.post("/v1/settlements", message())

    async def unacked() -> list[str]:
        listed = (await service.get("/v1/worklist", params={"kind": "unacked"})).json()
        return [row["settle_key"] for row in listed["cases"]]

    assert await unacked() == ["K1"]
    booked = await service.post("/v1/settlements/K1/ack", {"invono": "F0001"})
    assert state(booked) == (200, "SETTLED")
    assert await unacked() == []
    assert (await service.post("/v1/settlements/K1/ack", {"ebill_no": "E0001"})).status_code == 200


async def test_the_feed_tells_what_happened_while_the_his_was_away(service: Served) -> None:
    await service.post("/v1/settlements", message())
    feed = (await service.get("/v1/events", params={"after": 0})).json()
    assert [(one["settle_key"], one["state"]) for one in feed["events"]] == [("K1", "SETTLED")]
    waiting = asyncio.create_task(service.get("/v1/events", params={"after": feed["last"], "wait": 20}))
    await service.post("/v1/settlements/K1/void", {"void_key": "R1"})
    later = (await waiting).json()
    assert [(one["void_key"], one["state"]) for one in later["events"]] == [("R1", "VOIDED")]
    assert (await service.get("/v1/events", params={"after": later["last"]})).json()["events"] == []


async def test_lists_and_timelines_say_nothing_of_the_person(service: Served) -> None:
    await service.post("/v1/settlements", message())
    listed = await service.get("/v1/settlements", params={"state": "SETTLED", "since": "2026-01-01T00:00:00Z"})
    assert [row["settle_key"] for row in listed.json()["settlements"]] == ["K1"]
    timeline = await service.get("/v1/settlements/K1/timeline")
    assert [event["kind"] for event in timeline.json()["events"]][-4:] == ["INTENT", "REPLY", "OUTCOME", "TOLD"]
    provinces = await service.get("/v1/provinces")
    for response in (listed, timeline, provinces):
        assert response.status_code == 200
        assert "测试甲" not in response.text
        assert "110101190001010000" not in response.text


async def test_a_frozen_case_is_decided_by_a_person_with_proof(service: Served) -> None:
    service.hospital.rule("2207", "garbage")
    service.hospital.can(query_after_unknown="none", reverse_ok="nothing")
    first = await service.post("/v1/settlements", message(), headers={"Prefer": "wait=0.1"})
    assert first.status_code == 202
    for decision in ({}, {"outcome": "not_applied", "operator": "测试主任", "reason": "中心书面答复"}):
        bad = await service.post("/v1/settlements/K1/decision", decision)
        assert bad.status_code == 422
        assert "proof" in {fault["path"] for fault in bad.json()["faults"]}
    await service.hospital.running.pipeline.settled_down()
    frozen = (await service.get("/v1/worklist", params={"kind": "frozen"})).json()["cases"]
    assert [row["settle_key"] for row in frozen] == ["K1"]
    decision = {
        "outcome": "not_applied",
        "operator": "测试主任",
        "reason": "中心书面答复",
        "proof": "答复.pdf sha256:00",
    }
    assert state(await service.post("/v1/settlements/K1/decision", decision)) == (200, "NOT_APPLIED")
    again = await service.post("/v1/settlements/K1/decision", decision)
    assert (again.status_code, again.json()["code"]) == (409, "NOT_FROZEN")


@pytest.mark.parametrize(
    ("call", "status"),
    [
        pytest.param(("GET", "/v1/settlements/nobody", None), 404, id="no-such-case"),
        pytest.param(("GET", "/console", None), 404, id="not-built"),
        pytest.param(("POST", "/v1/papers", b"{}"), 404, id="papers-not-built"),
        pytest.param(("DELETE", "/v1/settlements", None), 405, id="method"),
        pytest.param(("POST", "/v1/settlements", b"{"), 400, id="cut-json"),
        pytest.param(("POST", "/v1/settlements", b"[]"), 400, id="no-object"),
        pytest.param(("POST", "/v1/settlements", b'{"settle_key":"a","settle_key":"b"}'), 400, id="twice"),
        pytest.param(("POST", "/v1/settlements", b"[" * 100_000), 400, id="deep"),
        pytest.param(("GET", "/v1/events?after=x", None), 400, id="query"),
        pytest.param(("GET", "/v1/worklist?kind=nothing", None), 422, id="kind"),
    ],
)
async def test_what_can_not_be_is_refused_with_its_status(
    service: Served, call: tuple[str, str, bytes | None], status: int
) -> None:
    method, path, body = call
    response = await service.http.request(method, path, content=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert {"code", "title", "detail", "message_zh", "next"} <= response.json().keys()
    assert service.hospital.calls == []


async def test_nobody_without_a_credential_hears_more_than_health(service: Served) -> None:
    async with httpx.AsyncClient(base_url=service.url, trust_env=False) as stranger:
        for path in ("/v1/settlements/K1", "/v1/provinces", "/nowhere", "/his/national"):
            assert (await stranger.get(path)).status_code == 401
        assert (await stranger.post("/v1/settlements", content=b"{}")).status_code == 401
        wrong = await stranger.get("/v1/provinces", headers={"Authorization": "Bearer guess"})
        assert wrong.status_code == 401
        assert (await stranger.get("/healthz")).status_code == 200
        assert (await stranger.get("/readyz")).json() == {"status": "ready"}


async def test_an_institution_that_is_not_the_callers_is_refused(service: Served) -> None:
    response = await service.post("/v1/settlements", message(fixmedins_code="H99999999999"))
    assert (response.status_code, response.json()["code"]) == (403, "INSTITUTION_FORBIDDEN")
    assert service.hospital.calls == []


async def test_the_same_is_told_after_a_restart(centre: Simulator, site: Path) -> None:
    async with served(centre, site) as before:
        settled = await before.post("/v1/settlements", message())
        quoted = await before.post("/v1/settlements", message("quote", "K2", "V2"))
    async with served(centre, site) as after:
        assert (await after.post("/v1/settlements", message())).content == settled.content
        assert (await after.get("/v1/settlements/K2")).content == quoted.content
        assert centre.entries[-1].infno == "2206"


def encounter(**changes: Any) -> dict[str, Any]:
    tree = message(**changes)
    return {name: tree[name] for name in ("kind", "operator", "person", "visit", "diagnoses") if name in tree}


async def test_a_visit_bit_by_bit(service: Served) -> None:
    registered = await service.http.put("/v1/encounters/E1", content=json.dumps(encounter()))
    assert registered.status_code == 200
    assert registered.json()["encounter"]["mdtrt_id"]
    bill = {
        "visit_key": "V1",
        "fees": [line("F1", "186.50"), line("F2", "13.50")],
        "diagnoses": message()["diagnoses"],
        "settle": {"med_type": "11"},
    }
    assert (await service.post("/v1/encounters/E1/fees", bill)).status_code == 200
    assert (await service.post("/v1/encounters/E1/fees", bill)).status_code == 200
    assert service.hospital.calls == CHAIN[:4]
    [held] = (await service.get("/v1/encounters/E1")).json()["bills"]
    assert (held["held_by_centre_sumamt"], [one["held_by_centre"] for one in held["lines"]]) == ("200.00", [True, True])
    last = {"settle_key": "K1", "visit_key": "V1", "encounter_key": "E1"}
    assert state(await service.post("/v1/settlements", last)) == (200, "SETTLED")
    assert service.hospital.calls == CHAIN


async def test_queries_of_the_standard_pass_through(service: Served) -> None:
    person = {
        "mdtrt_cert_type": "02",
        "mdtrt_cert_no": "110101190001010000",
        "certno": "110101190001010000",
        "psn_cert_type": "01",
    }
    asked = await service.post("/v1/transactions/1101", {"input": {"data": person}})
    assert (asked.status_code, asked.json()["state"]) == (200, "DONE"), asked.text
    assert asked.json()["output"]["baseinfo"]["psn_name"] == "测试甲"
    money = await service.post("/v1/transactions/2207", {"input": {"data": {}}})
    assert (money.status_code, money.json()["code"]) == (422, "NOT_SUPPORTED")
    nobody = await service.post("/v1/transactions/0000", {"input": {}})
    assert (nobody.status_code, nobody.json()["code"]) == (422, "UNKNOWN_INFNO")
    faulty = await service.post("/v1/transactions/1101", {"input": {"data": {"mdtrt_cert_type": 2.5}}})
    assert faulty.status_code == 422
    assert service.hospital.calls == ["1101"]
