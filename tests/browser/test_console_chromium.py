"""The console in a real Chromium: every list and action, two operators, an expired session, accessibility, paper, small screens.

Where the machine has no Chromium these are skipped and say so; `test_console_http` tells the same stories over HTTP.
With ``CONSOLE_PICTURES=docs/how-to/pictures`` the pictures of the documentation are made anew.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapter_core.settlement.records import AccountItem, Case, Change
from adapter_core.settlement.states import State
from adapter_core.sidecar.console import trend
from adapter_core.simulator.server import Simulator
from tests.browser.hall import PASSWORD, Hall, hall
from tests.flow.hospital import message
from tests.flow.test_inpatient import done, stay

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
    pytest.mark.asyncio(loop_scope="module"),
]
AXE = Path(__file__).parent / "vendored" / "axe.min.js"
SMALL = {"width": 1366, "height": 768}
FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include ignore_missing="yes">/etc/fonts/fonts.conf</include><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>"""
Arrival = Callable[..., Awaitable[Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hall]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trend, "EVERY_S", 0.5)  # the plots have something to show
        async with Simulator() as centre, hall(centre, tmp_path_factory.mktemp("site"), all_plugins=True) as one:
            yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """With a Chinese font of the test tools', so that pictures look the same everywhere."""
    folder = tmp_path_factory.mktemp("fonts")
    environment = dict(os.environ)
    try:
        import pylopdf_fonts_zh_cn

        fonts = Path(pylopdf_fonts_zh_cn.__file__).parent
        (folder / "fonts.conf").write_text(FONTS.format(fonts=fonts, cache=folder / "cache"), "utf-8")
        environment["FONTCONFIG_FILE"] = str(folder / "fonts.conf")
    except ModuleNotFoundError:
        pass
    async with playwright.async_playwright() as machine:
        # as root, and in most containers, Chromium has no sandbox of its own; it only meets our own pages here
        browser = await machine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], env=environment)
        yield browser
        await browser.close()


class Watched:
    """What must never happen on a page: a request elsewhere, a complaint of the browser (CSP among them)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seen: list[str] = []

    def request(self, request: Any) -> None:
        if not request.url.startswith((self._url, "data:")):
            self.seen.append(f"asked {request.url}")

    def message(self, message: Any) -> None:
        refused = message.text.startswith("Failed to load resource") and any(
            status in message.text for status in ("401", "403", "409", "422")
        )
        if message.type in ("error", "warning") and not refused:
            self.seen.append(message.text)


@pytest_asyncio.fixture(loop_scope="module")
async def arrive(console: Hall, chromium: Any) -> AsyncIterator[Arrival]:
    """A page of a browser of its own, signed in."""
    watched = Watched(console.url)
    async with AsyncExitStack() as stack:

        async def arrived(name: str, path: str = "/console") -> Any:
            context = await chromium.new_context(viewport=SMALL, locale="zh-CN", accept_downloads=True)
            stack.push_async_callback(context.close)
            page = await context.new_page()
            page.on("request", watched.request)
            page.on("console", watched.message)
            page.on("pageerror", lambda error: watched.seen.append(str(error)))
            page.on("dialog", lambda dialog: dialog.accept())
            await page.goto(f"{console.url}{path}")
            await page.fill("[name=name]", name)
            await page.fill("[name=password]", PASSWORD)
            await page.press("[name=password]", "Enter")
            await page.wait_for_selector("nav")
            return page

        yield arrived
        assert watched.seen == []


async def state_of(console: Hall, number: int) -> State:
    return (await console.hospital.case(f"K{number}")).state


def at(console: Hall, case: Case) -> str:
    return f"{console.url}/console/cases/{case.case_id}"


async def act(page: Any, summary: str, button: str, **fields: str) -> None:
    """Open one action of a case, fill it in, send it."""
    box = page.locator("details.act", has=page.locator("summary", has_text=summary)).first
    await box.locator("summary").click()
    for name, value in fields.items():
        await box.locator(f"[name={name}]").fill(value)
    await box.locator("button", has_text=button).click()
    await page.wait_for_load_state()


# -- every list and action


async def test_frozen_list_to_decision_with_attachment(console: Hall, arrive: Arrival, tmp_path: Path) -> None:
    case = await console.frozen(11)
    proof = tmp_path / "答复.pdf"
    proof.write_bytes(b"%PDF-1.4 proof")
    page = await arrive("first", "/console/worklists/frozen")
    await page.click(f"text={case.case_id[:10].upper()}")
    box = page.locator("details.act", has=page.locator("summary", has_text="裁定")).first
    await box.locator("summary").click()
    await box.locator("[value=not_applied]").check()
    await box.locator("[name=reason]").fill("中心书面答复")
    await box.locator("[name=proof]").set_input_files(proof)
    await box.locator("button").click()
    await page.wait_for_selector("p.flash")
    assert await state_of(console, 11) is State.NOT_APPLIED


async def test_two_operators_above_the_sum(console: Hall, arrive: Arrival, tmp_path: Path) -> None:
    case = await console.frozen(12, amount="9000.00")
    proof = tmp_path / "a.pdf"
    proof.write_bytes(b"x")
    first, second = await arrive("first"), await arrive("second")
    await first.goto(at(console, case))
    await second.goto(at(console, case))
    box = first.locator("details.act", has=first.locator("summary", has_text="裁定")).first
    await box.locator("summary").click()
    await box.locator("[value=reversed]").check()
    await box.locator("[name=reason]").fill("对账确认")
    await box.locator("[name=proof]").set_input_files(proof)
    await box.locator("button").click()
    await first.wait_for_selector("section.proposal")
    assert await first.locator("text=复核通过").count() == 0
    await act(second, "重新核实", "重新核实", reason="再问一次")
    assert await second.locator("text=其他人刚刚改过").count() == 1, "the page they had is old"
    await second.goto(f"{console.url}/console/worklists/decisions")
    await second.click(f"text={case.case_id[:10].upper()}")
    await second.click("button:has-text('复核通过')")
    await second.wait_for_selector("p.flash")
    assert await state_of(console, 12) is State.REVERSED


async def test_cancel_void_receipt_and_slip(console: Hall, arrive: Arrival) -> None:
    await console.hospital.say(message(intent="quote", settle_key="K13", visit_key="V13"))
    settled, frozen = await console.settled(14), await console.frozen(15)
    page = await arrive("cashier")
    await page.goto(at(console, await console.hospital.case("K13")))
    await act(page, "取消", "取消", reason="患者改主意")
    assert await state_of(console, 13) is State.CANCELLED
    await page.goto(at(console, frozen))
    async with page.expect_popup() as opened:
        await page.click("button:has-text('打印待核查单')")
    await (await opened.value).close()
    await page.goto(at(console, settled))
    await page.select_option("[name=paper]", "241")
    async with page.expect_popup() as opened:
        await page.click("button:has-text('打印结算单')")
    receipt = await opened.value
    await receipt.wait_for_load_state()
    assert "测试医院" in await receipt.inner_text("body")
    await receipt.close()
    await act(page, "退费", "退费", reason="开错")
    assert await state_of(console, 14) is State.VOIDED


async def test_papers_from_opening_to_closing(console: Hall, arrive: Arrival) -> None:
    case = await console.refused(16)
    page = await arrive("cashier")
    await page.goto(at(console, case))
    await act(page, "出具手工报销材料", "出具")
    await page.goto(f"{console.url}/console/worklists/papers")
    await page.click(f"text={case.case_id[:10].upper()}")
    await act(page, "登记交件", "登记交件", to="南京医保中心")
    await act(page, "手工报销办结", "办结", result="已报销")
    assert await state_of(console, 16) is State.MANUAL_CLOSED


async def test_papers_are_revoked(console: Hall, arrive: Arrival) -> None:
    case = await console.refused(17)
    page = await arrive("cashier")
    await page.goto(at(console, case))
    await act(page, "出具手工报销材料", "出具")
    await act(page, "撤销材料", "撤销材料", red_invoice="红1", reason="补备案")
    assert await state_of(console, 17) is State.MANUAL_REVOKED


async def test_recheck_note_and_assignment(console: Hall, arrive: Arrival) -> None:
    case = await console.frozen(18)
    page = await arrive("second")
    await page.goto(at(console, case))
    await page.fill("section form.inline [name=note]", "已电话中心")
    await page.click("button:has-text('我来处理')")
    await page.wait_for_selector("text=已电话中心")
    assert "测试副主任" in await page.inner_text("#task")
    await act(page, "重新核实", "重新核实", reason="中心已恢复")
    await console.desk.running.pipeline.settled_down()
    assert await state_of(console, 18) is State.SETTLED, "this centre can be asked now, and has it"


async def test_items_of_the_accounts_are_closed_and_every_list_exported(console: Hall, arrive: Arrival) -> None:
    org = console.desk.running.place.org
    now = "2026-11-21T00:00:00Z"
    items = [
        AccountItem(
            f"b-{topic}", org, topic, subject, "2026-11-21", "open", amount_fen=100, opened_at=now, changed_at=now
        )
        for topic, subject in (("difference", "foreign"), ("flag", "quantity"))
    ]
    await console.desk.running.ledger.commit(Change(org, items=tuple(items)))
    page = await arrive("first", "/console/worklists")
    for name in ("differences", "flags"):
        await page.goto(f"{console.url}/console/worklists/{name}")
        await page.locator("tbody [name=note]").first.fill("已核实")
        await page.locator("tbody button", has_text="办结").first.click()
        await page.wait_for_selector("p.flash")
        assert await page.locator("tbody [name=note]").count() == 0
    await page.goto(f"{console.url}/console/worklists")
    names = [await one.get_attribute("href") for one in await page.locator("ul.lists a").all()]
    assert len(names) >= 9
    for name in names:
        await page.goto(f"{console.url}{name}")
        async with page.expect_download() as saved:
            await page.click("button:has-text('导出 Excel')")
        assert (await (await saved.value).path()).read_bytes()[:2] == b"PK", name


async def test_search_by_keyboard_alone(console: Hall, arrive: Arrival) -> None:
    case = await console.settled(19)
    page = await arrive("cashier")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("/")
    await page.wait_for_url("**/console/search")
    assert await page.evaluate("document.activeElement.name") == "name"
    for _ in range(3):
        await page.keyboard.press("Tab")
    await page.keyboard.type("K19")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("tbody a")
    await page.focus("tbody a")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/cases/{case.case_id}")


# -- sessions and rights


async def test_an_expired_session_leads_to_the_sign_in(console: Hall, arrive: Arrival) -> None:
    page = await arrive("auditor")
    with closing(sqlite3.connect(console.staff_file)) as file, file:
        file.execute("UPDATE sessions SET seen = seen - 1000 WHERE name = 'auditor'")
    await page.evaluate("htmx.trigger(document.querySelector('#board'), 'every')")
    await page.wait_for_url("**/console/sign-in**")


async def test_the_board_refreshes_itself(console: Hall, arrive: Arrival) -> None:
    page = await arrive("auditor")
    before = await page.inner_text("#standings tfoot")
    await console.settled(20)
    console_kept = await page.inner_text("#standings tfoot")
    assert before == console_kept
    await page.wait_for_function(
        "before => document.querySelector('#standings tfoot').innerText !== before", arg=before
    )


async def test_a_role_without_rights_is_told_so(console: Hall, arrive: Arrival) -> None:
    page = await arrive("cashier")
    answer = await page.goto(f"{console.url}/console/users")
    assert answer.status == 403
    assert "无权" in await page.inner_text("main")
    assert await page.locator("nav a", has_text="用户").count() == 0


# -- how it looks


async def pages_of(console: Hall, arrive: Arrival) -> list[tuple[Any, str]]:
    """Every kind of page, filled, with somebody who may see it."""
    case = await console.frozen(21)
    chief, admin = await arrive("chief"), await arrive("admin")
    person = console.hospital.centre.world.people.by_number("T00000000010")
    assert person is not None
    unfiled = {"mdtrt_cert_type": "02", "mdtrt_cert_no": person.certno, "psn_name": person.psn_name}
    await done(console.hospital, stay("admit", person=unfiled))
    lists = ("frozen", "decisions", "unknown", "papers", "differences", "flags", "receivables", "unfiled")
    names = ["/console", "/console/search", "/console/worklists", *(f"/console/worklists/{name}" for name in lists)]
    names += ["/console/provinces", "/console/translate", f"/console/cases/{case.case_id}"]
    found = [(chief, name) for name in names]
    return found + [(admin, f"/console/{name}") for name in ("users", "wizard", "password")]


async def test_no_serious_accessibility_fault_and_no_scrolling_sideways(console: Hall, arrive: Arrival) -> None:
    for page, path in await pages_of(console, arrive):
        await page.goto(f"{console.url}{path}")
        await page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= SMALL["width"], path
        await page.evaluate(AXE.read_text("utf-8"))
        found = await page.evaluate("axe.run()")
        bad = [
            f"{path}: {one['id']}: {one['nodes'][0]['html'][:150]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert bad == []


async def test_a_case_prints_without_menus_and_says_who_printed_it(console: Hall, arrive: Arrival) -> None:
    import io

    from pypdf import PdfReader

    case = await console.settled(22)
    page = await arrive("cashier")
    await page.goto(at(console, case))
    printed = PdfReader(io.BytesIO(await page.pdf(format="A4")))
    text = "".join(sheet.extract_text() for sheet in printed.pages)
    assert len(printed.pages) <= 2
    assert case.case_id[:10].upper() in text
    assert "cashier" in text
    await page.emulate_media(media="print")
    for hidden in ("nav", "section.acts", "button"):
        assert not await page.locator(hidden).first.is_visible(), hidden


async def test_pictures_for_the_documentation(console: Hall, arrive: Arrival, tmp_path: Path) -> None:
    wanted = os.environ.get("CONSOLE_PICTURES")
    folder = Path(wanted) if wanted else tmp_path
    frozen = await console.frozen(23)
    await console.refused(24)
    page, admin = await arrive("chief"), await arrive("admin")
    for name, path in (
        ("today", "/console"),
        ("case", f"/console/cases/{frozen.case_id}"),
        ("worklist", "/console/worklists/frozen"),
        ("provinces", "/console/provinces"),
    ):
        await page.goto(f"{console.url}{path}")
        await page.wait_for_load_state("networkidle")
        await page.screenshot(path=folder / f"console-{name}.png")
    await page.goto(f"{console.url}/console/search")
    await page.fill("[name=name]", "测试甲")
    await page.press("[name=name]", "Enter")
    await page.wait_for_selector("tbody a")
    await page.screenshot(path=folder / "console-search.png")
    await admin.goto(f"{console.url}/console/wizard")
    await admin.click("button[value=rehearse]")
    await admin.wait_for_selector("#rehearsed")
    await admin.screenshot(path=folder / "console-wizard.png", full_page=True)
    assert len(list(folder.glob("console-*.png"))) >= 6
