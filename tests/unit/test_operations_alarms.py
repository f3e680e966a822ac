"""Alarm rules, who is told when, and how a clock is judged."""

from __future__ import annotations

import email
import re
import socket
import socketserver
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter_core.centre.breaker import Outage
from adapter_core.config import AlarmMail, AlarmSettings
from adapter_core.operations.alarms import NAMES, RULES, Alarm, AlarmBook, Call, standing_alarms
from adapter_core.operations.channels import MailChannel, SyslogChannel
from adapter_core.operations.clock_check import ClockCheck, respond_time
from adapter_core.operations.masking import foreign, masked
from adapter_core.operations.metrics import Metrics
from adapter_core.operations.outlook import OpenCase, Outlook
from adapter_core.settlement.states import State
from tests.clocks import HandClock

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "how-to" / "deploy"
NOW = datetime(2026, 11, 21, 2, 0, 0, tzinfo=UTC)
SETTINGS = AlarmSettings()


def unknown(age_s: float, case_id: str = "abcdefghijklmnopqrst") -> OpenCase:
    return OpenCase(case_id, State.RESOLVING, age_s)


def outage(lasted_s: float) -> Outage:
    return Outage("gateway", "money", NOW, lasted_s)


@pytest.mark.parametrize(
    ("seen", "name", "severity"),
    [
        (Outlook(unknown=[unknown(599)]), None, None),
        (Outlook(unknown=[unknown(601)]), "unknown", "critical"),
        (Outlook(frozen=[OpenCase("c", State.FROZEN, 1)]), "frozen", "critical"),
        (Outlook(chain_complaint="H 第 3 条起"), "chain", "critical"),
        (Outlook(ledger_trouble="disk I/O error"), "ledger", "critical"),
        (Outlook(disk_free_bytes=1024**3), None, None),
        (Outlook(disk_free_bytes=1024**3 - 1), "disk", "warning"),
        (Outlook(disk_free_bytes=256 * 1024**2 - 1), "disk", "critical"),
        (Outlook(skew_s=-60.0), None, None),
        (Outlook(skew_s=-60.1), "clock", "warning"),
        (Outlook(skew_s=300.1), "clock", "critical"),
        (Outlook(outages=[outage(59)]), None, None),
        (Outlook(outages=[outage(60)]), "breaker", "warning"),
        (Outlook(accounts=[("a", "对账文件有误")]), "accounts", "critical"),
        (Outlook(reminders=[("r", "已过期限")]), "reminders", "warning"),
    ],
)
def test_each_rule_at_its_edge(seen: Outlook, name: str | None, severity: str | None) -> None:
    alarms = standing_alarms(seen, SETTINGS)
    assert [(one.name, one.severity) for one in alarms] == ([(name, severity)] if name else [])


def test_every_rule_has_a_name_that_metrics_know() -> None:
    everything = Outlook(
        [unknown(9999)],
        [OpenCase("f", State.FROZEN, 0)],
        [outage(999)],
        999.0,
        0,
        "trouble",
        "broken",
        [("a", "对账文件有误")],
        [("r", "已过期限")],
    )
    assert tuple(alarm.name for alarm in standing_alarms(everything, SETTINGS)) == NAMES
    assert len(RULES) == len(NAMES)


def test_a_text_names_work_orders_and_not_all_of_them() -> None:
    many = [unknown(700 + n, f"case{n:016}") for n in range(40)]
    [alarm] = standing_alarms(Outlook(unknown=many), SETTINGS)
    assert "40 笔" in alarm.text
    assert alarm.text.count("CASE") == 5
    assert len(alarm.subjects) == 40


def words(calls: list[Call]) -> list[str]:
    return [call.word for call in calls]


def test_an_alarm_is_told_once_again_after_a_while_and_when_it_is_over() -> None:
    book = AlarmBook(repeat_s=3600)
    alarm = Alarm("frozen", "critical", "x", frozenset({"a"}))
    assert words(book.update([alarm], 0)) == ["raised"]
    assert book.update([alarm], 3599) == []
    assert words(book.update([alarm], 3600)) == ["again"]
    assert words(book.update([], 3601)) == ["over"]
    assert book.update([], 3602) == []
    assert words(book.update([alarm], 3603)) == ["raised"]


def test_new_cases_are_told_soon_but_not_each_by_itself() -> None:
    book = AlarmBook(repeat_s=3600)
    book.update([Alarm("frozen", "critical", "x", frozenset("a"))], 0)
    assert book.update([Alarm("frozen", "critical", "x", frozenset("ab"))], 299) == []
    assert words(book.update([Alarm("frozen", "critical", "x", frozenset("ab"))], 300)) == ["again"]
    assert book.update([Alarm("frozen", "critical", "x", frozenset("b"))], 600) == []


def test_an_alarm_that_gets_worse_is_told_at_once() -> None:
    book = AlarmBook(repeat_s=3600)
    book.update([Alarm("disk", "warning", "x")], 0)
    assert words(book.update([Alarm("disk", "critical", "x")], 1)) == ["again"]


def test_syslog_gets_one_datagram_of_rfc_5424() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        channel = SyslogChannel(f"udp://127.0.0.1:{listener.getsockname()[1]}", HandClock(NOW))
        channel.send(Call(Alarm("frozen", "critical", "2 笔业务待人工核定"), "raised"))
        said = listener.recv(2048)
    assert re.match(rb"<130>1 2026-11-21T02:00:00Z \S+ his-adapter - frozen - \xef\xbb\xbf", said)
    assert said.decode("utf-8-sig", "strict").endswith("【告警】2 笔业务待人工核定")


def body(told: datetime) -> bytes:
    return f'{{"infcode":0,"respond_time":"{told + timedelta(hours=8):%Y%m%d%H%M%S}123"}}'.encode()


def judged(*skews_s: float) -> ClockCheck:
    check = ClockCheck()
    for skew_s in skews_s:
        check.heard(body(NOW + timedelta(seconds=skew_s)), NOW, NOW + timedelta(seconds=2))
    return check


def test_respond_time_is_read_as_china_time_with_or_without_milliseconds() -> None:
    assert respond_time(body(NOW)) == NOW + timedelta(milliseconds=123)
    assert respond_time(b'{"respond_time" : "20261121100000"}') == NOW
    for unreadable in (
        b"",
        b'{"respond_time":""}',
        b'{"respond_time":"20261340100000"}',
        b'{"err":"\\"respond_time\\":\\"20261121100000\\""}',
    ):
        assert respond_time(unreadable) is None


def test_respond_time_behind_megabytes_of_output_is_found() -> None:
    assert respond_time(b'{"output":"' + b"x" * 5_000_000 + b'","respond_time":"20261121100000123"}') is not None


@pytest.mark.parametrize(
    ("skews", "warns", "closes"),
    [
        ((400, 400), False, False),
        ((400, 400, 400), True, True),
        ((-400, -400, -400), True, True),
        ((400, 1, 400), False, False),
        ((400, 400, 400, 1), False, False),
        ((100, 100, 100), True, False),
        ((1, 1, 1), False, False),
        ((2.5, 2.5, 2.5), False, False),
    ],
)
def test_three_replies_judge_the_clock(skews: tuple[float, ...], warns: bool, closes: bool) -> None:
    check = judged(*skews)
    assert (check.warns, check.closes_money) == (warns, closes)


def test_the_time_a_call_took_is_no_difference() -> None:
    check = ClockCheck()
    for _ in range(3):
        check.heard(body(NOW + timedelta(seconds=100)), NOW, NOW + timedelta(seconds=118))
    assert check.skew == 0.0


def test_masking_takes_numbers_controls_and_what_libraries_quote() -> None:
    assert masked("身份证110101190001010000，手机13800000000") == "身份证***，手机***"
    assert masked("11010119000101123X") == "***"
    assert masked("line\r\n\x1b[31m") == "line\\r\\n\\x1b[31m"
    assert masked("1234567890") == "1234567890"
    assert masked("1" * 300) == "***"
    assert foreign("参保人测试甲 not found") == "*** not found"


def test_the_prometheus_rules_ask_for_metrics_that_exist() -> None:
    text = (DEPLOY / "prometheus-rules.yml").read_text("utf-8")
    asked = set(re.findall(r"his_adapter_[a-z_]+", text))
    shown = Metrics("1", "test").text().decode()
    declared = set(re.findall(r"^# TYPE (\S+)", shown, re.MULTILINE))
    assert asked
    for name in asked:
        assert name in declared or name.removesuffix("_bucket") in declared, name


def test_every_metric_is_on_the_page() -> None:
    page = (ROOT / "docs" / "how-to" / "operate.md").read_text("utf-8")
    shown = Metrics("1", "test").text().decode()
    for name in re.findall(r"^# TYPE his_adapter(\S+) (?:counter|gauge|histogram)", shown, re.MULTILINE):
        if not name.endswith("_created"):
            assert name in page, name


class Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP as one message needs."""

    got: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        reading = False
        for raw in self.rfile:
            line = raw.decode("ascii").rstrip("\r\n")
            self.got.append(line)
            if reading:
                reading = line != "."
                answer = b"" if reading else b"250 taken\r\n"
            else:
                reading = line.upper() == "DATA"
                answer = b"354 go on\r\n" if reading else b"221 bye\r\n" if line.upper() == "QUIT" else b"250 ok\r\n"
            self.wfile.write(answer)


def test_an_alarm_goes_out_as_plain_mail() -> None:
    got: list[str] = []
    handler = type("Handler", (Mailbox,), {"got": got})
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        mail = AlarmMail(
            host="127.0.0.1", port=server.server_address[1], sender="a@test.invalid", to=["it@test.invalid"]
        )
        MailChannel(mail, None, {"environment": "test", "org": "H36010000001"}).send(
            Call(Alarm("frozen", "critical", "2 笔业务待人工核定"), "over")
        )
        thread.join()
    message = email.message_from_string("\n".join(got[got.index("data") + 1 : got.index(".")]))
    assert message["Subject"] == "[his-adapter test] frozen over"
    assert message["To"] == "it@test.invalid"
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().splitlines() == ["【已恢复】2 笔业务待人工核定", "", "H36010000001"]
