"""A bureau's list of cases, played against the simulated centre: the report says what crossed the wire and names nobody."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader
from typer.testing import CliRunner

from adapter_core.cli.app import app
from adapter_core.formats.sheets import read_rows
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import message, void

SCRIPT = """
title = "某市医保局接口验收"
[[case]]
number = "MZ-01"
name = "门诊预结算、结算、退费"
messages = ["quote.json", "settle.json", "void.json"]
hears = ["QUOTED", "SETTLED", "VOIDED"]
[[case]]
number = "MZ-02"
name = "无此结算的退费"
messages = ["nothing.json"]
hears = ["VOIDED"]
"""


@pytest.fixture
def site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    trees = {
        "quote": message("quote"), "settle": message(), "void": void(), "nothing": void("R9", "K9"),
    }  # fmt: skip
    for name, tree in trees.items():
        (folder / f"{name}.json").write_text(json.dumps(tree, ensure_ascii=False), "utf-8")
    (folder / "cases.toml").write_text(SCRIPT, "utf-8")
    monkeypatch.chdir(folder)
    return folder


async def test_the_report_shows_every_call_and_no_person(site: Path, centre: Simulator) -> None:
    import asyncio

    done = await asyncio.to_thread(CliRunner().invoke, app, ["acceptance", "--script", "cases.toml", "--json"])
    assert done.exit_code == 3, done.output
    told = json.loads(done.output)
    assert [one["passed"] for one in told["cases"]] == [True, False]
    assert told["cases"][1]["heard"] == ["NO_SUCH_CASE"]
    pdf, sheet = (Path(name).read_bytes() for name in told["files"])
    rows = read_rows(sheet, "report.xlsx")
    on_the_wire = [(entry.infno, entry.msgid) for entry in centre.entries]
    assert [(row[2], row[3]) for row in rows[1:] if row[3]] == on_the_wire
    settled = next(row for row in rows if row[2] == "2207")
    assert '"setl_id"' in settled[5]
    assert settled[6] == "APPLIED"
    text = "".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)
    whole = json.dumps(rows, ensure_ascii=False) + text
    assert "测试甲" not in whole
    assert "110101190001010000" not in whole
    assert "不符" in text


def test_no_acceptance_in_production(site: Path) -> None:
    file = site / "his-adapter.toml"
    file.write_text(file.read_text("utf-8").replace('"test"', '"production"', 1), "utf-8")
    done = CliRunner().invoke(app, ["acceptance", "--script", "cases.toml"])
    assert "test environment only" in str(done.exception)
