"""Logs, metrics, traces and alarms of a running adapter: they tell everything but who the patient is."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import load_config
from adapter_core.operations.duty import Duty, on_duty
from adapter_core.operations.instruments import Instruments
from adapter_core.operations.logs import FIELDS, event_log
from adapter_core.operations.metrics import Metrics
from adapter_core.operations.tracing import OpenTelemetryTraces, TracedRequests
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import Hospital, assert_invariants, message

CANARIES = ("测试甲", "110101190001010000", "急性上呼吸道感染", "J06.900", "D36010000001", "K1", "V1")
CONSTANT = {"time", "level", "event", "environment", "withheld"}


@dataclass
class Watched:
    """A hospital with everything that watches it."""

    hospital: Hospital
    instruments: Instruments
    duty: Duty
    written: io.BytesIO
    spans: InMemorySpanExporter

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written.getvalue().splitlines()]

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    def number(self, name: str, **labels: str) -> float | None:
        return self.instruments.metrics.registry.get_sample_value(name, labels)


@asynccontextmanager
async def watched(centre: Simulator, folder: Path) -> AsyncIterator[Watched]:
    config = load_config(folder / "his-adapter.toml")
    clock, written, spans = SystemClock(), io.BytesIO(), InMemorySpanExporter()
    instruments = Instruments(
        Metrics("1.0", "test"),
        clock,
        "national",
        lambda psn_no: f"hash-of-{len(psn_no)}",
        event_log(written, clock, environment="test"),
        OpenTelemetryTraces(spans, "1.0", "test", at_once=True),
    )
    async with adapter(config, instruments=instruments) as running, on_duty(running, instruments) as duty:
        hospital = Hospital(centre, running, folder)
        hospital.can(late_commit_s=0.2)
        yield Watched(hospital, instruments, duty, written, spans)
    assert_invariants(centre, folder)


@pytest.fixture
async def site(centre: Simulator, folder: Path) -> AsyncIterator[Watched]:
    async with watched(centre, folder) as one:
        yield one


async def test_one_line_per_step_says_what_happened_and_not_to_whom(site: Watched) -> None:
    assert (await site.hospital.say(message())).state == "SETTLED"
    steps = site.said("step")
    assert [line["infno"] for line in steps] == site.hospital.calls
    money = next(line for line in steps if line["infno"] == "2207")
    assert money["result"] == "APPLIED"
    assert money["class"] == "N"
    assert money["msgid"] == site.hospital.sent("2207")[0].msgid
    assert money["state"] == "SETTLED"
    assert {"elapsed_ms", "commit_ms", "http_status", "case_id", "encounter_id", "patient", "attempt"} <= money.keys()
    assert {line.get("patient") for line in steps[1:]} == {money["patient"]}
    for line in site.lines:
        assert line.keys() <= FIELDS | CONSTANT
        assert "withheld" not in line


async def test_no_canary_in_log_metrics_or_trace(site: Watched) -> None:
    await site.hospital.say(message())
    site.hospital.rule(
        "2207", {"action": "error", "infcode": "-1", "text": "参保人测试甲110101190001010000已停保\r\n\x1b[31m"}
    )
    await site.hospital.say(message(settle_key="K2", visit_key="V2"), wait_s=0)
    await site.duty.look()
    shown = [
        site.written.getvalue().decode(),
        site.instruments.metrics.text().decode(),
        *(span.to_json() for span in site.spans.get_finished_spans()),
    ]
    psn_no = site.hospital.truth["settlements"][0]["psn_no"]
    for text in shown:
        for canary in (*CANARIES, psn_no, "已停保", "\\u001b"):
            assert f'"{canary}"' not in text if len(canary) < 5 else canary not in text
    await site.hospital.running.pipeline.settled_down()


async def test_metrics_count_calls_by_class_and_result(site: Watched) -> None:
    await site.hospital.say(message())
    assert site.number("his_adapter_calls_total", province="national", **{"class": "N"}, result="APPLIED") == 1
    assert site.number("his_adapter_call_seconds_count", province="national", **{"class": "N"}) == 1
    assert site.number("his_adapter_cases_total", province="national", purpose="settle", state="SETTLED") == 1
    assert (site.number("his_adapter_ledger_commit_seconds_count") or 0) > 5
    sent: list[dict[str, Any]] = []

    async def send(part: Any) -> None:
        sent.append(dict(part))

    await site.duty.metrics({"type": "http"}, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 200
    assert b'his_adapter_breaker_state{group="money",province="national"} 0.0' in sent[1]["body"]
    assert b"his_adapter_unknown_cases" in sent[1]["body"]


async def test_steps_and_centre_calls_hang_below_the_request_of_the_his(site: Watched) -> None:
    async def settling(scope: Any, receive: Any, send: Any) -> None:
        await site.hospital.say(message())

    service = TracedRequests(settling, site.instruments.traces)
    await service({"type": "http", "method": "POST", "path": "/v1/settlements/K1"}, None, None)
    spans = {span.name: span for span in site.spans.get_finished_spans()}
    request, step, call = spans["HIS POST"], spans["step pay"], spans["centre 2207"]
    assert step.parent is not None
    assert call.parent is not None
    assert step.parent.span_id == request.context.span_id
    assert call.parent.span_id == step.context.span_id
    assert call.attributes is not None
    assert call.attributes["his_adapter.msgid"] == site.hospital.sent("2207")[0].msgid
    assert step.start_time is not None
    assert call.end_time is not None
    assert step.end_time is not None
    assert step.start_time <= call.end_time <= step.end_time


async def test_an_unknown_outcome_is_counted_until_it_is_resolved(site: Watched) -> None:
    site.hospital.can(query_after_unknown="by_visit", late_commit_s=5.0)
    site.hospital.rule("2207", "drop", nth=1)
    assert (await site.hospital.say(message(), wait_s=0)).state == "PENDING"
    await site.hospital.arrival("2207")
    while not site.duty.seen.unknown:
        await asyncio.sleep(0)
        await site.duty.look()
    [unknown] = site.duty.seen.unknown
    assert unknown.case_id == (await site.hospital.case()).case_id
    assert site.number("his_adapter_unknown_cases", province="national") == 1
    site.hospital.can(late_commit_s=0.2)
    await site.hospital.decided()
    await site.duty.look()
    assert site.number("his_adapter_unknown_cases", province="national") == 0


async def test_a_clock_minutes_off_closes_money_and_opens_again_when_it_is_right(
    site: Watched, centre: Simulator
) -> None:
    centre.set_time(datetime.now(UTC) + timedelta(seconds=400))
    refused = await site.hospital.say(message())
    assert (refused.state, refused.code) == ("NOT_SENT", "CLOCK_WRONG")
    assert "校准" in refused.text
    assert site.hospital.sent("2207") == []
    await site.duty.look()
    await site.duty.call_out()
    assert [line["alarm"] for line in site.said("alarm")] == ["clock"]
    centre.set_time(None)
    assert (await site.hospital.say(message())).state == "SETTLED"
    await site.duty.look()
    await site.duty.call_out()
    assert [line["state"] for line in site.said("alarm")] == ["raised", "over"]


async def test_a_refusal_before_sending_is_counted(site: Watched) -> None:
    error = await site.hospital.refusal(message(fees=[{"feedetl_sn": "F1"}]))
    await site.hospital.running.note_refusal("national", error)
    assert site.number("his_adapter_refused_total", dialect="national", code=error.code) == 1
    assert site.said("refused")[0]["code"] == error.code


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver on a free port that says 500 to the first call; gives its URL and what it accepted."""
    accepted: list[dict[str, Any]] = []
    refused: list[bool] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if refused else 500)
            if refused:
                accepted.append(body)
            refused.append(True)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/alarm", accepted
        finally:
            server.shutdown()
            thread.join()


async def test_a_frozen_case_calls_once_and_a_receiver_that_was_away_hears_it_later(
    centre: Simulator, folder: Path
) -> None:
    with webhook() as (url, accepted):
        config = folder / "his-adapter.toml"
        config.write_text(config.read_text("utf-8") + f'\n[alarms]\nwebhook = "{url}"\nevery = 3600\n', "utf-8")
        async with watched(centre, folder) as site:
            site.hospital.can(query_after_unknown="none", reverse_ok="nothing")
            site.hospital.rule("2207", "drop", nth=1)
            await site.hospital.say(message(), wait_s=0)
            assert (await site.hospital.decided()).state == "FROZEN"
            await site.duty.look()
            for _ in range(3):
                await site.duty.call_out()
            case = await site.hospital.case()
            assert [body["alarm"] for body in accepted] == ["frozen"]
            assert case.case_id[:10].upper() in accepted[0]["text"]
            assert accepted[0]["org"] == case.org
            assert site.said("alarm_not_told")[0]["channel"] == "webhook"


def test_a_field_that_is_not_on_the_list_is_left_out_and_named() -> None:
    written = io.BytesIO()
    event_log(written, SystemClock())(
        "step", psn_name="测试甲", step="pay", result=["a", "测" * 300], text="卡号6217000012345678901"
    )
    [line] = [json.loads(one) for one in written.getvalue().splitlines()]
    assert line["withheld"] == ["psn_name"]
    assert "测试甲" not in written.getvalue().decode()
    assert (line["step"], line["result"], line["text"]) == ("pay", ["a", "测" * 200], "卡号***")


def test_libraries_speak_through_our_lines_and_quote_no_message() -> None:
    from adapter_core.operations.logs import take_over_logging

    written = io.BytesIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    handler = take_over_logging(event_log(written, SystemClock()))
    try:
        logging.getLogger("zeep").warning("no such node 测试甲 in %s", "110101190001010000")
        try:
            raise ValueError("测试甲 13800000000")
        except ValueError:
            logging.getLogger("adapter_core.centre").exception("an observer failed")
        logging.getLogger("uvicorn.access").error("GET /v1/settlements/K1")
    finally:
        root.removeHandler(handler)
        for former in before:
            root.addHandler(former)
        root.setLevel(level)
        logging.getLogger("uvicorn.access").disabled = False
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["no such node *** in ***", "an observer failed"]
    assert lines[1]["error"] == "ValueError"
    assert "test_operations_watching.py" in lines[1]["where"][-1]
    assert "测试甲" not in written.getvalue().decode()
