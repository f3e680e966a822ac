"""The insurance office at the command line of a site with two institutions: each asks for its own, prints, and takes back."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import load_config
from adapter_core.ledger.sealing import create_master_key
from adapter_core.operations.alarms import standing_alarms
from adapter_core.operations.duty import Duty, fitted
from adapter_core.settlement.records import AccountItem, Change
from adapter_core.simulator.server import Simulator
from adapter_core.values.moments import national_date
from tests.flow.hospital import ORG, Hospital, config_text, line, message

PROGRAM = Path(sys.executable).parent / ("his-adapter.exe" if os.name == "nt" else "his-adapter")
TODAY = national_date(datetime.now(UTC))
SECOND = "H36010000002"


def two_institutions(url: str) -> str:
    head, rest = config_text(url).split("[ledger]")
    own, defaults = head.split("[institution.defaults]")
    environment, first = own.split("[institution]")
    inner = "[institutions.defaults]" + defaults
    second = first.replace(ORG, SECOND).replace("测试医院", "测试医院二部")
    return f"{environment}[[institutions]]{first}{inner}[[institutions]]{second}{inner}[ledger]{rest}"


@pytest.fixture
async def site(centre: Simulator, tmp_path: Path) -> Path:
    """One bill at each institution, 186.50 and 13.50."""
    create_master_key(tmp_path / "master.key")
    (tmp_path / "his-adapter.toml").write_text(two_institutions(centre.url), "utf-8")
    async with adapter(load_config(tmp_path / "his-adapter.toml")) as running:
        hospital = Hospital(centre, running, tmp_path)
        for org, key, amount in ((ORG, "K1", "186.50"), (SECOND, "K2", "13.50")):
            tree = message(settle_key=key, visit_key=f"V{key}", fees=[line("F1", amount)])
            asked = hospital.dialect.read_tree(tree)  # type: ignore[attr-defined]
            told = await running.pipeline.handle(running.place_named(org), hospital.dialect, asked)
            assert told.state == "SETTLED"
    return tmp_path


async def ran(folder: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode("utf-8")


async def told(folder: Path, *arguments: str) -> Any:
    code, out = await ran(folder, *arguments, "--json")
    assert code == 0, out
    return json.loads(out)


async def test_each_institution_asks_for_its_own_books(site: Path) -> None:
    code, out = await ran(site, "dayend", "--date", TODAY)
    assert code == 2
    assert SECOND in out, "who is served here is named"
    day = await told(site, "dayend", "--date", TODAY, "--institution", SECOND, "--out", "dayend.pdf")
    assert (day["count"], day["total"], day["fixmedins_name"]) == (1, "13.50", "测试医院二部")
    text = PdfReader(BytesIO((site / "dayend.pdf").read_bytes())).pages[0].extract_text()
    assert "测试医院二部" in text
    assert "13.50" in text
    assert "186.50" not in text
    [flag] = (await told(site, "accounts", "watch", "--date", TODAY, "--institution", SECOND))["flags"]
    assert flag["class"] == "person_many_places"
    dues = await told(site, "accounts", "receivables", "--institution", ORG, "--out", "dues.xlsx")
    assert [one["total"] for one in dues["receivables"]] == ["186.50"]
    assert (site / "dues.xlsx").read_bytes().startswith(b"PK")
    code, out = await ran(
        site, "accounts", "report", "--from", TODAY, "--to", TODAY, "--institution", ORG, "-o", "r.doc"
    )
    assert code == 3, "no such form of file"


async def test_a_wrong_person_at_the_command_line(site: Path) -> None:
    order = ("accounts", "wrong-person", "K2", "--operator", "测试主任", "--reason", "拿错卡")
    code, _ = await ran(site, *order, "--institution", ORG)
    assert code == 3, "the other institution's case is nobody's here"
    taken = await told(site, *order, "--institution", SECOND)
    assert (taken["state"], taken["registration"]) == ("VOIDED", "undone")
    [flag] = (await told(site, "accounts", "flags", "--institution", SECOND))["flags"]
    assert flag["class"] == "wrong_person"
    assert (await told(site, "accounts", "flags", "--institution", ORG))["flags"] == []


async def test_each_institutions_day_is_reconciled_by_its_own_name(site: Path, centre: Simulator) -> None:
    for settlement in centre.world.settlements.values():
        centre.world.reverse(settlement)
    for org in (ORG, SECOND):
        code, out = await ran(site, "reconcile", "--date", TODAY, "--institution", org)
        assert code == 6, out
    async with adapter(load_config(site / "his-adapter.toml"), read_only=True) as running:
        for org in (ORG, SECOND):
            items = await running.ledger.account_items(org, "difference")
            assert [one.subject for one in items] == ["ours_only"]


async def test_every_institutions_alarms_are_told_with_its_name(site: Path) -> None:
    config = load_config(site / "his-adapter.toml")
    async with adapter(config) as running:
        for org in (ORG, SECOND):
            alarm = AccountItem(f"a-{org}", org, "alarm", "refused", TODAY, "open", facts={"text": "对账文件有误"})
            await running.ledger.commit(Change(org, items=(alarm,)))
        reminder = AccountItem(
            "r", SECOND, "alarm", "deadline", TODAY, "open", facts={"text": "已过期限 2026-11-20：清算申报"}
        )
        await running.ledger.commit(Change(SECOND, items=(reminder,)))
        duty = Duty(running, fitted(config, BytesIO()), [], SystemClock())
        seen = await duty.look()
        alarms = {one.name: one for one in standing_alarms(seen, config.settings.alarms)}
        assert (alarms["accounts"].severity, alarms["reminders"].severity) == ("critical", "warning")
        assert "测试医院二部 已过期限 2026-11-20：清算申报" in alarms["reminders"].text
        assert [text for _, text in seen.accounts] == [
            "测试医院 对账文件有误",
            "测试医院二部 对账文件有误",
        ]
