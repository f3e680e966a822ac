"""The console over real HTTP: who gets in, what each role may do, what the journal keeps, two people at one case."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from python_calamine import CalamineWorkbook

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.ledger.inspection import Reading, export
from adapter_core.ledger.sealing import read_master_key
from adapter_core.settlement.records import Case, Change
from adapter_core.settlement.states import State
from adapter_core.simulator.people import Filing
from adapter_core.simulator.server import Simulator
from tests.browser.hall import PASSWORD, Browser, Hall, hall
from tests.flow.hospital import message, void
from tests.flow.test_catalogues_list import record
from tests.flow.test_inpatient import done, stay

Arrival = Callable[[str], Awaitable[Browser]]
NAME, NUMBER = "测试甲", "110101190001010000"


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Hall]:
    async with Simulator() as centre, hall(centre, tmp_path) as one:
        yield one


@pytest.fixture
async def arrive(console: Hall) -> AsyncIterator[Arrival]:
    """Somebody at a browser of their own, signed in; "" is nobody."""
    async with AsyncExitStack() as stack:

        async def arrived(name: str) -> Browser:
            browser = Browser(console.url)
            stack.push_async_callback(browser.close)
            if name:
                await browser.sign_in(name)
            return browser

        yield arrived


async def journalled(console: Hall, case: Case, kind: str) -> list[dict[str, Any]]:
    events = await console.desk.running.ledger.events_of_case(case.case_id)
    return [dict(event.data) for event in events if event.kind == kind]


def status(browser: Browser) -> int:
    assert browser.last is not None
    return browser.last.status_code


# -- the door


async def test_nobody_is_led_to_the_sign_in_and_back_to_where_they_wanted(arrive: Arrival, console: Hall) -> None:
    browser = await arrive("")
    await browser.open("/console/search")
    assert browser.last is not None
    assert browser.last.url.path == "/console/sign-in"
    await browser.send("/console/sign-in", name="cashier", password=PASSWORD)
    assert browser.last.url.path == "/console/search"


@pytest.mark.parametrize(
    "elsewhere", ["https://example.invalid/", "//example.invalid", "/console//example.invalid", "/v1/settlements"]
)
async def test_the_sign_in_leads_nowhere_else(arrive: Arrival, elsewhere: str) -> None:
    browser = await arrive("")
    await browser.open("/console/sign-in")
    answer = await browser.http.post(
        "/console/sign-in", data={"name": "cashier", "password": PASSWORD, "next": elsewhere}, follow_redirects=False
    )
    assert answer.headers["location"] == "/console"


async def test_five_wrong_passwords_lock_a_user_out_whatever_comes_then(arrive: Arrival) -> None:
    browser = await arrive("")
    said = set()
    for name, password in [("cashier", "Wrong-password-1")] * 5 + [("cashier", PASSWORD), ("nobody", PASSWORD)]:
        answer = await browser.sign_in(name, password)
        assert answer.status_code == 403
        said.add(browser.text())
    assert len(said) == 1, "nothing tells which part was wrong"
    other = await arrive("first")
    assert status(other) == 200


async def test_a_session_ends_by_sign_out_by_idling_and_by_an_administrator(arrive: Arrival, console: Hall) -> None:
    cashier, admin = await arrive("cashier"), await arrive("admin")
    await cashier.open("/console/search")
    kept = dict(cashier.http.cookies)
    await cashier.send("/console/sign-out")
    thief = await arrive("")
    thief.http.cookies.update(kept)
    await thief.open("/console/search")
    assert thief.last is not None
    assert thief.last.url.path == "/console/sign-in"
    again = await arrive("cashier")
    await admin.open("/console/users")
    await admin.send("/console/users/cashier/switch", to="off")
    await again.open("/console/search")
    assert again.last is not None
    assert again.last.url.path == "/console/sign-in"


async def test_a_page_that_refreshes_itself_keeps_no_session_alive(console: Hall, arrive: Arrival) -> None:
    browser = await arrive("cashier")
    _idle(console, 600)
    assert (await browser.open("/console/live/today/day")).status_code == 200
    _idle(console, 400)
    answer = await browser.http.get("/console/live/today/day", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"].startswith("/console/sign-in")


async def test_a_visit_keeps_a_session_alive_but_not_for_ever(console: Hall, arrive: Arrival) -> None:
    browser = await arrive("cashier")
    for _ in range(3):
        _idle(console, 600)
        assert (await browser.open("/console/search")).url.path == "/console/search"
    _idle(console, 0, begun=50_000)
    assert (await browser.open("/console/search")).url.path == "/console/sign-in"


def _idle(console: Hall, seconds: int, begun: int = 0) -> None:
    """Every session was last used that much earlier, and began so."""
    with closing(sqlite3.connect(console.staff_file)) as file, file:
        file.execute("UPDATE sessions SET seen = seen - ?, begun = begun - ?", (seconds, begun))


async def test_the_first_administrator_needs_the_code_in_the_file(tmp_path: Path) -> None:
    async with Simulator() as centre, hall(centre, tmp_path, users=False) as one:
        browser = Browser(one.url)
        await browser.open("/console")
        assert browser.last is not None
        assert browser.last.url.path == "/console/set-up"
        fields = {"name": "head", "title": "测试管理员", "password": PASSWORD, "again": PASSWORD}
        await browser.send("/console/set-up", code="0" * 16, **fields)
        assert status(browser) == 422
        file = tmp_path / "console-setup.code"
        assert file.stat().st_mode & 0o077 == 0
        weak = {**fields, "password": "short", "again": "short"}
        await browser.send("/console/set-up", code=file.read_text().strip(), **weak)
        assert status(browser) == 422
        await browser.send("/console/set-up", code=file.read_text().strip(), **fields)
        assert not file.exists()
        await browser.send("/console/sign-in", name="head", password=PASSWORD)
        assert browser.last.url.path == "/console/wizard"
        await browser.open("/console/set-up")
        assert browser.last.url.path == "/console", "once there is a user nobody sets up any more"
        await browser.close()


async def test_a_new_user_must_choose_a_password_before_anything_else(arrive: Arrival) -> None:
    admin = await arrive("admin")
    await admin.open("/console/users")
    await admin.send("/console/users", name="li", title="测试新人", role_operator="1")
    password = admin.page.get_element_by_id("first-password").text
    newcomer = await arrive("")
    await newcomer.sign_in("li", password)
    await newcomer.open("/console/search")
    assert newcomer.last is not None
    assert newcomer.last.url.path == "/console/password"
    await newcomer.send("/console/password", old=password, new="password-A1", again="password-A1")
    assert status(newcomer) == 422
    await newcomer.send("/console/password", old=password, new="Another-9-words", again="Another-9-words")
    await newcomer.send("/console/sign-in", name="li", password="Another-9-words")
    assert (await newcomer.open("/console/search")).url.path == "/console/search"
    await admin.send("/console/users", name="wu", role_operator="1", role_auditor="1")
    assert status(admin) == 422
    assert "不能兼任" in admin.text()


async def test_what_is_done_to_users_reaches_the_journal(console: Hall, arrive: Arrival) -> None:
    await arrive("admin")
    rows = await console.desk.running.ledger.events_after(console.desk.running.place.org, 0, ["STAFF"], 100)
    deeds = {(event.data["deed"], event.data["user"]) for _, event in rows[0]}
    assert {("USER_ADDED", "test"), ("SIGNED_IN", "admin")} <= deeds


# -- forms


async def test_a_form_without_its_token_or_from_elsewhere_changes_nothing(console: Hall, arrive: Arrival) -> None:
    case = await console.settled()
    browser = await arrive("cashier")
    path = f"/console/cases/{case.case_id}"
    await browser.open(path)
    fields = {"reason": "x", "void_key": "R9"}
    token = browser.page.xpath("//main//input[@name='csrf']/@value")[0]
    for data, headers in (
        (fields, {}),
        ({**fields, "csrf": "wrong"}, {}),
        ({**fields, "csrf": token}, {"Origin": "http://example.invalid"}),
        ({**fields, "csrf": token}, {"Sec-Fetch-Site": "cross-site"}),
    ):
        answer = await browser.http.post(f"{path}/void", data=data, headers=headers)
        assert answer.status_code == 403
    assert (await console.hospital.case()).state is State.SETTLED
    assert "2208" not in console.hospital.calls


async def test_every_page_has_its_headers_and_asks_nobody_else(console: Hall, arrive: Arrival) -> None:
    case = await console.settled()
    browser = await arrive("chief")
    admin = await arrive("admin")
    pages = {
        browser: [
            "",
            "/search",
            "/worklists",
            *(f"/worklists/{name}" for name in LIST_NAMES),
            "/provinces",
            "/translate",
            f"/cases/{case.case_id}",
        ],
        admin: ["/users", "/wizard", "/password"],
    }
    for one, paths in pages.items():
        for path in paths:
            answer = await one.open(f"/console{path}")
            assert answer.status_code == 200, path
            policy = answer.headers["content-security-policy"]
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["cache-control"] == "no-store"
            assert not one.page.xpath("//script[not(@src)] | //style | //*[@style] | //@*[starts-with(name(), 'on')]")
            for address in one.page.xpath("//@src | //@href | //@action"):
                assert address.startswith(("/console", "#", "data:,")), address
            assert NAME not in answer.text
            assert NUMBER not in answer.text
    cookie = (await admin.http.post("/console/language", data={"language": "en"})).request.headers.get("cookie", "")
    assert "console=" in cookie


LIST_NAMES = (
    "frozen",
    "decisions",
    "unknown",
    "papers",
    "differences",
    "his-differences",
    "account-alarms",
    "flags",
    "receivables",
    "unfiled",
)


# -- roles

PATHS = ("/console", "/console/search", "/console/worklists", "/console/provinces", "/console/users", "/console/wizard")


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        ("cashier", [200, 200, 200, 200, 403, 403]),
        ("auditor", [200, 200, 200, 200, 403, 403]),
        ("admin", [200, 403, 403, 200, 200, 200]),
    ],
)
async def test_a_role_sees_its_own_pages(arrive: Arrival, role: str, wanted: list[int]) -> None:
    browser = await arrive(role)
    assert [(await browser.open(path)).status_code for path in PATHS] == wanted


async def test_a_role_has_its_own_actions_and_no_other_by_hand(console: Hall, arrive: Arrival) -> None:
    settled, frozen, refused = await console.settled(1), await console.frozen(2), await console.refused(3)
    wanted = {
        "cashier": ({"void", "receipt", "task"}, {"slip", "task"}, {"papers", "task"}),
        "first": (
            {"receipt", "task", "unmask", "wrong-person"},
            {"slip", "task", "decide", "recheck", "unmask"},
            {"papers", "task", "unmask"},
        ),
        "auditor": ({"unmask"}, {"unmask"}, {"unmask"}),
    }
    for name, sets in wanted.items():
        browser = await arrive(name)
        for case, acts in zip((settled, frozen, refused), sets, strict=True):
            await browser.open(f"/console/cases/{case.case_id}")
            assert {form for form in browser.forms() if not form.isdigit()} == acts, (name, case.state)
    auditor = await arrive("auditor")
    await auditor.open("/console/search")
    token = auditor.page.xpath("//main//input[@name='csrf']/@value")[0]
    for case, act in (
        (settled, "void"),
        (settled, "cancel"),
        (frozen, "decide"),
        (frozen, "recheck"),
        (refused, "papers"),
        (settled, "task"),
    ):
        data = {"csrf": token, "reason": "x", "void_key": "R1", "act": "take", "outcome": "not_applied"}
        answer = await auditor.http.post(f"/console/cases/{case.case_id}/{act}", data=data)
        assert answer.status_code == 403, act
    assert "2208" not in console.hospital.calls


# -- a case


async def test_a_list_left_at_the_centre_by_a_refund_is_shown_with_the_settlement(
    console: Hall, arrive: Arrival
) -> None:
    case = await console.settled()
    running, browser = console.desk.running, await arrive("first")
    await running.pipeline.hand_in_list(running.place, case, record())
    await running.pipeline.settled_down()
    left = "清单仍在医保中心"
    await browser.open(f"/console/cases/{case.case_id}")
    assert "结算清单 已受理" in browser.text()
    assert left not in browser.text()
    await console.hospital.say(void())
    await browser.open(f"/console/cases/{case.case_id}")
    assert left in browser.text()


async def test_who_looks_in_clear_says_why_and_the_journal_keeps_it(console: Hall, arrive: Arrival) -> None:
    case = await console.settled()
    browser = await arrive("first")
    path = f"/console/cases/{case.case_id}"
    await browser.open(path)
    assert "测**" in browser.text()
    await browser.send(f"{path}/unmask", reason="患者来窗口查询")
    assert NAME in browser.text()
    assert NUMBER in browser.text()
    await browser.open(path)
    assert NAME not in browser.text()
    [unmasked] = await journalled(console, case, "UNMASKED")
    assert unmasked == {"user": "测试主任(first)", "reason": "患者来窗口查询"}
    looks = await journalled(console, case, "LOOKED")
    assert [look["user"] for look in looks] == ["测试主任(first)"] * 2


async def test_a_message_is_read_on_a_journalled_reading(console: Hall, arrive: Arrival) -> None:
    case = await console.settled()
    browser = await arrive("auditor")
    path = f"/console/cases/{case.case_id}"
    await browser.open(path)
    action = browser.page.xpath("//tr[contains(., '2207')]//form/@action")[0]
    await browser.send(action, reason="")
    assert status(browser) == 422
    assert await journalled(console, case, "MESSAGE_READ") == []
    await browser.open(path)
    await browser.send(action, reason="核对金额")
    assert "input.data.medfee_sumamt = 200" in browser.text("//pre")
    [reading] = await journalled(console, case, "MESSAGE_READ")
    assert (reading["user"], reading["of"]) == ("测试审计(auditor)", "INTENT")


async def test_the_page_says_what_happens_next_and_when(console: Hall, arrive: Arrival) -> None:
    case = await console.unknown()
    browser = await arrive("cashier")
    await browser.open(f"/console/cases/{case.case_id}")
    times = browser.page.xpath("//section[@aria-labelledby='amounts']//time/text()")
    assert "正在自动查询" in browser.text()
    assert len(times) == 2
    await browser.open("/console")
    assert case.case_id[:10].upper() in browser.text("//table[@id='unknowns']")


# -- actions


async def test_cancel_and_void_from_the_page(console: Hall, arrive: Arrival) -> None:
    await console.hospital.say(message(intent="quote", settle_key="K1", visit_key="V1"))
    quoted, settled = await console.hospital.case("K1"), await console.settled(2)
    browser = await arrive("cashier")
    await browser.open(f"/console/cases/{quoted.case_id}")
    await browser.send(f"/console/cases/{quoted.case_id}/cancel", reason="患者改主意")
    assert (await console.hospital.case("K1")).state is State.CANCELLED
    path = f"/console/cases/{settled.case_id}"
    await browser.open(path)
    form = browser.page
    await browser.send(f"{path}/void", reason="开错")
    assert "退费成功" in browser.text("//p[@role='status']")
    assert (await console.hospital.case("K2")).state is State.VOIDED
    browser.page = form
    await browser.send(f"{path}/void", reason="开错")
    assert console.hospital.calls.count("2208") == 1, "the same form again is the same refund"
    assert [one["act"] for one in await journalled(console, settled, "ACTED")] == ["void", "void"]


async def test_a_frozen_case_is_decided_with_reason_and_attachment(console: Hall, arrive: Arrival) -> None:
    case = await console.frozen()
    browser = await arrive("first")
    path = f"/console/cases/{case.case_id}"
    await browser.open("/console/worklists/frozen")
    assert case.case_id[:10].upper() in browser.text()
    await browser.open(path)
    await browser.send(f"{path}/decide", outcome="not_applied", reason="中心书面答复")
    assert status(browser) == 422, "without an attachment nothing is decided"
    await browser.open(path)
    proof = {"proof": ("reply.pdf", b"%PDF-1.4 proof", "application/pdf")}
    await browser.send(f"{path}/decide", files=proof, outcome="not_applied", reason="中心书面答复")
    assert (await console.hospital.case()).state is State.NOT_APPLIED
    [decided] = await journalled(console, case, "DECIDED")
    assert decided["operator"] == "测试主任(first)"
    assert decided["proof"].startswith("reply.pdf sha256:")
    events = await console.desk.running.ledger.events_of_case(case.case_id)
    assert [event.raw for event in events if event.kind == "PROOF"] == [b"%PDF-1.4 proof"]


async def test_a_decision_that_it_stands_takes_the_centres_amounts(console: Hall, arrive: Arrival) -> None:
    case = await console.frozen()
    [stands] = console.hospital.truth["settlements"]
    browser = await arrive("first")
    path = f"/console/cases/{case.case_id}"
    await browser.open(path)
    proof = {"proof": ("reply.pdf", b"x", "application/pdf")}
    amounts = {
        name: stands["amounts"].get(name, "0.00")
        for name in ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay")
    }
    wrong = {**amounts, "medfee_sumamt": "200.005", "setl_id": ""}
    await browser.send(f"{path}/decide", files=proof, outcome="settled", reason="查到", **wrong)
    assert status(browser) == 422
    await browser.open(path)
    await browser.send(
        f"{path}/decide", files=proof, outcome="settled", reason="查到", setl_id=stands["setl_id"], **amounts
    )
    after = await console.hospital.case()
    assert (after.state, after.setl_id) == (State.SETTLED, stands["setl_id"])


async def test_above_the_sum_another_operator_must_approve(console: Hall, arrive: Arrival) -> None:
    case = await console.frozen(amount="9000.00")
    first, second = await arrive("first"), await arrive("second")
    path = f"/console/cases/{case.case_id}"
    await first.open(path)
    proof = {"proof": ("reply.pdf", b"x", "application/pdf")}
    await first.send(f"{path}/decide", files=proof, outcome="not_applied", reason="中心书面答复")
    assert "等待另一名操作员复核" in first.text()
    assert (await console.hospital.case()).state is State.FROZEN
    assert {"approve", "decide"} & first.forms() == set()
    token = first.page.xpath("//main//input[@name='csrf']/@value")[0]
    answer = await first.http.post(f"{path}/approve", data={"csrf": token})
    assert answer.status_code == 409, "nobody approves their own"
    assert "FOUR_EYES" in answer.text
    assert (await console.hospital.case()).state is State.FROZEN
    assert await journalled(console, case, "DECIDED") == []
    await second.open("/console/worklists/decisions")
    assert case.case_id[:10].upper() in second.text()
    await second.open(path)
    await second.send(f"{path}/approve")
    assert (await console.hospital.case()).state is State.NOT_APPLIED
    [decided] = await journalled(console, case, "DECIDED")
    assert (decided["operator"], decided["second_operator"]) == ("测试主任(first)", "测试副主任(second)")


async def test_a_proposal_may_be_sent_back(console: Hall, arrive: Arrival) -> None:
    case = await console.frozen(amount="9000.00")
    first, second = await arrive("first"), await arrive("second")
    path = f"/console/cases/{case.case_id}"
    await first.open(path)
    await first.send(f"{path}/recheck", reason="中心说已恢复")
    await second.open(path)
    await second.send(f"{path}/refuse", reason="先等对账")
    await first.open(path)
    assert {"decide", "recheck"} <= first.forms()
    assert (await console.hospital.case()).state is State.FROZEN


async def test_two_operators_at_one_case_the_second_is_told(console: Hall, arrive: Arrival) -> None:
    case = await console.frozen()
    first, second = await arrive("first"), await arrive("second")
    path = f"/console/cases/{case.case_id}"
    await asyncio.gather(first.open(path), second.open(path))
    proof = {"proof": ("a.pdf", b"x", "application/pdf")}
    await asyncio.gather(
        first.send(f"{path}/decide", files=proof, outcome="not_applied", reason="甲"),
        second.send(f"{path}/decide", files=proof, outcome="reversed", reason="乙"),
    )
    assert sorted([status(first), status(second)]) == [200, 409]
    assert len(await journalled(console, case, "DECIDED")) == 1


async def test_two_who_take_the_same_case_the_second_is_told(console: Hall, arrive: Arrival) -> None:
    case = await console.frozen()
    first, second = await arrive("first"), await arrive("second")
    path = f"/console/cases/{case.case_id}"
    await first.open(path)
    await second.open(path)
    await first.send(f"{path}/task", act="take", note="我先看")
    await second.send(f"{path}/task", act="take")
    assert status(second) == 409
    await second.open("/console/worklists/frozen")
    assert "测试主任(first)" in second.text()
    await second.open(path)
    await second.send(f"{path}/task", act="note", note="已电话中心")
    await first.open(path)
    assert "已电话中心" in first.text()


async def test_papers_from_the_page(console: Hall, arrive: Arrival) -> None:
    case = await console.refused()
    browser = await arrive("cashier")
    path = f"/console/cases/{case.case_id}"
    await browser.open(path)
    await browser.send(f"{path}/papers")
    assert (await console.hospital.case()).state is State.MANUAL_OPEN
    printed = await browser.send(f"{path}/papers/print")
    assert printed.headers["content-type"] == "application/pdf"
    assert printed.content.startswith(b"%PDF")
    await browser.open("/console/worklists/papers")
    assert case.case_id[:10].upper() in browser.text()
    await browser.open(path)
    await browser.send(f"{path}/papers/submit", to="南京医保中心")
    await browser.send(f"{path}/papers/revoke", red_invoice="红1", reason="补备案")
    assert status(browser) == 409, "handed in: needs the agency's withdrawal"
    await browser.open(path)
    await browser.send(f"{path}/papers/close", result="已报销")
    assert (await console.hospital.case()).state is State.MANUAL_CLOSED
    assert {"print"} <= browser.forms()


async def test_receipt_and_hold_slip(console: Hall, arrive: Arrival) -> None:
    settled, frozen = await console.settled(1), await console.frozen(2)
    browser = await arrive("cashier")
    await browser.open(f"/console/cases/{settled.case_id}")
    receipt = await browser.send(f"/console/cases/{settled.case_id}/receipt", paper="241")
    assert "测试医院" in receipt.text
    await browser.open(f"/console/cases/{frozen.case_id}")
    slip = await browser.send(f"/console/cases/{frozen.case_id}/slip")
    assert slip.content.startswith(b"%PDF")


# -- finding


@pytest.mark.parametrize(
    "field", ["name", "tail", "visit", "key", "order", "setl_id", "msgid", "amount", "state", "province", "day_from"]
)
async def test_a_case_is_found_by_each_of_its_marks(console: Hall, arrive: Arrival, field: str) -> None:
    case = await console.settled(1)
    await console.settled(2, fees=message()["fees"][:1])
    calls = await console.desk.running.ledger.calls_of_case(case.case_id)
    marks = {
        "name": NAME, "tail": "0000", "visit": "V1", "key": "K1", "order": case.case_id[:10].upper(), "setl_id": case.setl_id,
        "msgid": calls[-1].msgid, "amount": "200", "state": "SETTLED", "province": case.insuplc_admdvs[:2], "day_from": case.opened_at[:10],
    }  # fmt: skip
    browser = await arrive("cashier")
    await browser.open("/console/search")
    answer = await browser.send("/console/search", **{"key" if field == "order" else field: marks[field]})
    assert case.case_id[:10].upper() in browser.text("//table")
    assert str(answer.url).endswith("/console/search"), "what is searched for stands in no address"
    alone = field in ("visit", "key", "order", "setl_id", "msgid", "amount")
    assert len(browser.page.xpath("//tbody/tr")) == (1 if alone else 2)


async def test_nothing_is_found_by_half_a_name_and_faults_are_named(console: Hall, arrive: Arrival) -> None:
    await console.settled()
    browser = await arrive("cashier")
    await browser.open("/console/search")
    await browser.send("/console/search", name=NAME[:2])
    assert "没有" in browser.text("//table")
    await browser.send("/console/search", amount="1.234", day_from="2026-13-01")
    assert status(browser) == 422
    assert {"amount", "day_from"} <= set(browser.text("//ul[@role='alert']").split())


async def many(console: Hall, count: int) -> list[Case]:
    """Frozen cases beside one real one, written through the ledger."""
    from adapter_core.values.copies import replace

    first = await console.frozen()
    made = []
    for number in range(count):
        made.append(
            replace(
                first,
                case_id=f"{number:020d}",
                key=f"M{number}",
                visit_key=f"MV{number}",
                version=1,
                opened_at=f"2026-11-2{number % 2}T00:00:{number % 60:02d}Z",
            )
        )
    for case in made:
        await console.desk.running.ledger.commit(Change(case.org, cases=(case,)))
    return [first, *made]


async def test_lists_go_on_by_key_and_every_row_comes_once(console: Hall, arrive: Arrival) -> None:
    cases = await many(console, 120)
    wanted = {case.case_id[:10].upper() for case in cases}
    browser = await arrive("cashier")
    seen: list[str] = []
    await browser.open("/console/worklists/frozen")
    while True:
        rows = browser.page.xpath("//tbody/tr/td[1]/a/@href")
        seen += [row.rsplit("/", 1)[-1] for row in rows]
        onward = browser.page.xpath("//a[@rel='next']/@href")
        if not onward:
            break
        await console.desk.running.ledger.commit(Change(cases[0].org))
        await browser.open(onward[0])
    assert sorted(seen) == sorted(case.case_id for case in cases)
    assert len(wanted) <= len(seen)
    found: list[str] = []
    await browser.open("/console/search")
    await browser.send("/console/search", state="FROZEN")
    while True:
        found += [row.rsplit("/", 1)[-1] for row in browser.page.xpath("//tbody/tr/td[1]/a/@href")]
        onward = browser.page.xpath("//form[.//input[@name='before']]")
        if not onward:
            break
        data = {one.get("name"): one.get("value") for one in onward[0].xpath(".//input")}
        browser._read(await browser.http.post("/console/search", data=data))
    assert len(found) == len(set(found)) == 121


async def test_a_list_is_exported_as_csv_and_excel_masked_and_journalled(console: Hall, arrive: Arrival) -> None:
    import io

    case = await console.frozen()
    browser = await arrive("first")
    await browser.open("/console/worklists/frozen")
    csv = await browser.send("/console/worklists/frozen/export", form="csv")
    assert case.case_id[:10].upper() in csv.text
    assert NAME not in csv.text
    excel = await browser.send("/console/worklists/frozen/export", form="xlsx")
    rows = CalamineWorkbook.from_filelike(io.BytesIO(excel.content)).get_sheet_by_index(0).to_python()
    assert rows[1][0] == case.case_id[:10].upper()
    events, _ = await console.desk.running.ledger.events_after(case.org, 0, ["ACTED"], 100)
    assert [event.data["act"] for _, event in events] == ["export frozen"] * 2


async def test_an_item_of_the_accounts_is_noted_and_closed_with_a_reason(console: Hall, arrive: Arrival) -> None:
    from adapter_core.settlement.records import AccountItem

    org = console.desk.running.place.org
    item = AccountItem(
        "i1", org, "difference", "foreign", "2026-11-21", "open", amount_fen=12300, opened_at="2026-11-21T00:00:00Z",
        changed_at="2026-11-21T00:00:00Z", facts={"setl_id": "J77"},
    )  # fmt: skip
    await console.desk.running.ledger.commit(Change(org, items=(item,)))
    browser = await arrive("first")
    await browser.open("/console/worklists/differences")
    assert "中心有、非本系统发出" in browser.text()
    await browser.send("/console/worklists/differences/task", act="note", note="在问药房", about="i1")
    await browser.send("/console/worklists/differences/task", act="close", note="", about="i1")
    assert status(browser) == 422
    await browser.open("/console/worklists/differences")
    await browser.send("/console/worklists/differences/task", act="close", note="药房终端所做", about="i1")
    after = await console.desk.running.ledger.account_item("i1")
    assert after is not None
    assert (after.state, after.facts["reason"]) == ("explained", "药房终端所做")
    assert "J77" not in browser.text()


# -- the rest


async def test_the_playground_shows_fields_and_faults_and_sends_nothing(console: Hall, arrive: Arrival) -> None:
    browser = await arrive("admin")
    await browser.open("/console/translate")
    text = json.dumps(message(), ensure_ascii=False)
    await browser.send("/console/translate", source="national", target="national", text=text)
    assert "fees[0].det_item_fee_sumamt" in browser.text()
    assert "186.50" in browser.text()
    assert json.loads(browser.page.xpath("//pre/text()")[0])
    await browser.send("/console/translate", source="national", text=text.replace('"186.50"', '"186.505"'))
    assert "fees[0].det_item_fee_sumamt" in browser.text("//div[@role='alert']")
    assert console.hospital.calls == []


async def test_the_wizard_reaches_the_centre_and_rehearses_beside_the_site(console: Hall, arrive: Arrival) -> None:
    browser = await arrive("admin")
    await browser.open("/console/wizard")
    await browser.send("/console/wizard", step="call")
    assert "DONE" in browser.text("//p[@id='called']")
    assert console.hospital.calls == ["9001"]
    await browser.send("/console/wizard", step="rehearse")
    assert "2207" in browser.text("//p[@id='rehearsed']")
    assert console.hospital.calls == ["9001"], "a rehearsal touches neither centre nor ledger of the site"


async def test_english_is_a_switch_and_covers_every_text(arrive: Arrival) -> None:
    browser = await arrive("admin")
    await browser.open("/console")
    await browser.send("/console/language", language="en")
    assert "Settled directly" in browser.text()
    chinese = re.compile("[\u4e00-\u9fff]+")
    for path in (
        "/console",
        "/console/provinces",
        "/console/translate",
        "/console/users",
        "/console/wizard",
        "/console/password",
    ):
        await browser.open(path)
        labels = browser.text("//h1 | //h2 | //th[@scope='col'] | //caption | //label[not(select)] | //dt | //nav")
        assert not chinese.findall(labels), (path, chinese.findall(labels))


async def test_the_console_opens_no_other_door(console: Hall, arrive: Arrival) -> None:
    browser = await arrive("chief")
    for path in ("/v1/settlements", "/metrics", "/consolex"):
        answer = await browser.http.get(path)
        assert answer.status_code in (401, 404), path
    async with httpx.AsyncClient(base_url=console.url, trust_env=False) as other:
        assert (await other.get("/console/static/console.css")).status_code == 200
        assert (await other.get("/console/static/..%2fstaff.py")).status_code == 404


# -- stays without a filing


async def test_an_unfiled_stay_is_listed_asked_about_again_and_gone_once_it_is_filed(
    console: Hall, arrive: Arrival
) -> None:
    person = console.hospital.centre.world.people.by_number("T00000000010")
    assert person is not None
    console.hospital.temper(wording="seen")
    await done(console.hospital, stay("admit", person=_unfiled(console)))
    first = await arrive("first")
    await first.open("/console/worklists/unfiled")
    assert "不详" in first.text("//tbody")
    assert person.psn_name not in first.text()
    await first.send("/console/worklists/unfiled/ask")
    assert "中心称未备案" in first.text("//tbody")
    assert "出院结算前" in first.text("//tbody")
    await first.send("/console/worklists/unfiled/task", act="note", note="已通知家属")
    assert "已通知家属" in first.text("//tbody")
    person.filings.append(Filing("temporary", "36", "2020-01-01"))
    await first.send("/console/worklists/unfiled/ask")
    assert "E1" not in first.text("//tbody")
    assert "移出清单" in first.text("//body")


async def test_what_the_office_saw_itself_takes_a_stay_off_and_the_journal_says_who(
    console: Hall, arrive: Arrival
) -> None:
    await done(console.hospital, stay("admit", person=_unfiled(console)))
    console.hospital.rules([{"infno": "2001", "nth": None, "actions": ["drop"]}])
    first = await arrive("first")
    await first.open("/console/worklists/unfiled")
    await first.send("/console/worklists/unfiled/ask")
    assert "E1" in first.text("//tbody")
    await first.send("/console/worklists/unfiled/ask", is_right="1")
    assert "E1" not in first.text("//tbody")
    rows = export(
        console.folder / "ledger.db", Reading(read_master_key(console.folder / "master.key"), "test", SystemClock())
    )
    acts = [dict(row["data"]) for row in rows if row["kind"] == "ACTED"]
    assert [(one["act"], one["about"]) for one in acts] == [("ask unfiled", "E1"), ("confirm unfiled", "E1")]
    assert {one["user"] for one in acts} == {"测试主任(first)"}


async def test_who_only_looks_asks_nobody(console: Hall, arrive: Arrival) -> None:
    await done(console.hospital, stay("admit", person=_unfiled(console)))
    auditor = await arrive("auditor")
    await auditor.open("/console/worklists/unfiled")
    assert "E1" in auditor.text("//tbody")
    assert "ask" not in auditor.forms()
    first = await arrive("first")
    await first.open("/console/worklists/unfiled")
    token = first.page.xpath("//form[contains(@action, '/unfiled/ask')]//input[@name='csrf']")[0].get("value")
    for key in ("E9", ""):
        answer = await first.http.post("/console/worklists/unfiled/ask", data={"csrf": token, "key": key})
        assert answer.status_code == 404


def _unfiled(console: Hall) -> dict[str, str]:
    person = console.hospital.centre.world.people.by_number("T00000000010")
    assert person is not None
    return {"mdtrt_cert_type": "02", "mdtrt_cert_no": person.certno, "psn_name": person.psn_name}
