"""The accounts' page over real HTTP: a day reconciled, printed, a wrong person taken back; each institution its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from adapter_core.simulator.server import Simulator
from adapter_core.values.moments import national_date
from tests.browser.hall import Browser, Hall, hall

TODAY = national_date(datetime.now(UTC))


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Hall]:
    async with Simulator() as centre, hall(centre, tmp_path) as one:
        yield one


@pytest.fixture
async def office(console: Hall) -> AsyncIterator[Browser]:
    browser = Browser(console.url)
    await browser.sign_in("first")
    yield browser
    await browser.close()


async def test_a_day_is_reconciled_and_its_papers_are_printed(console: Hall, office: Browser) -> None:
    await console.settled(1)
    await office.open("/console/accounts")
    assert "这一天还没有对过账" in office.text()
    await office.send("/console/accounts/reconcile")
    assert "对平" in office.text("//*[@id='state']")
    assert "200.00" in office.text("//table")
    answer = await office.send("/console/accounts/dayend/print", date=TODAY, form="pdf")
    text = PdfReader(BytesIO(answer.content)).pages[0].extract_text()
    assert "200.00" in text
    assert "打印人" in text
    answer = await office.send("/console/accounts/report/print", **{"from": TODAY, "to": TODAY, "form": "xlsx"})
    assert answer.content.startswith(b"PK")
    org = console.desk.running.place.org
    events, _ = await console.desk.running.ledger.events_after(org, 0, ["ACTED"], 100)
    assert [event.data["act"] for _, event in events] == ["reconcile", "export dayend", "export report"]


async def test_somebody_elses_card_is_taken_back_from_the_cases_page(console: Hall, office: Browser) -> None:
    await console.settled(1)
    case = await console.hospital.case("K1")
    await office.open(f"/console/cases/{case.case_id}")
    await office.send(f"/console/cases/{case.case_id}/wrong-person", reason="拿错卡")
    assert "请为本人另建就诊" in office.text()
    assert "SECURITY" in await console.kinds(case)
    await office.open("/console/worklists/flags")
    assert "用错他人凭证结算" in office.text()


async def test_who_only_settles_neither_reconciles_nor_takes_back(console: Hall) -> None:
    await console.settled(1)
    case = await console.hospital.case("K1")
    browser = Browser(console.url)
    await browser.sign_in("cashier")
    await browser.open("/console/accounts")
    assert "reconcile" not in browser.forms()
    await browser.open(f"/console/cases/{case.case_id}")
    assert "wrong-person" not in browser.forms()
    await browser.close()


async def test_the_last_rehearsals_are_shown_beside_the_routes(console: Hall, office: Browser) -> None:
    row = {"work_order": "ABCDEFGH23", "differs": ["state"], "after": "REFUSED NOT_SUPPORTED"}
    noted = {
        "at": "2026-11-21T01:00:00Z", "day": "2026-11-20", "institution": "", "gateway": "five", "against": "simulated",
        "messages": 12, "skipped": 1, "different": 1, "rows": [row],
    }  # fmt: skip
    (console.folder / "rehearsals.json").write_text(json.dumps([noted]), "utf-8")
    await office.open("/console/provinces")
    shown = office.text("//*[@id='rehearsals']")
    for wanted in ("2026-11-20", "five", "12", "ABCDEFGH23", "REFUSED NOT_SUPPORTED"):
        assert wanted in shown
