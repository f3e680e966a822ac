"""``his-adapter paper …`` as a cashier types it: real processes, files, exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from pypdf import PdfReader

from adapter_core.simulator.faults import read_rules
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import assert_invariants, message
from tests.flow.test_cli import Run, run, save

__all__ = ["run"]

REFUSED = [{"infno": "2206", "nth": 1, "actions": ["error(-1,没有获取到异地备案信息!)"]}]


async def test_papers_from_the_command_line(run: Run, folder: Path, centre: Simulator) -> None:
    centre.set_rules(read_rules(REFUSED))
    assert (await run("settle", save(folder, message()))).exit == 4
    opened = (await run("paper", "open", "K1", "--json")).json
    pdf, data = map(Path, opened["files"])
    assert opened["why"]["code"] == "not_filed"
    assert opened["serial"] in PdfReader(io.BytesIO(pdf.read_bytes())).pages[0].extract_text()
    assert json.loads(data.read_text("utf-8"))["hash"] == opened["hash"]
    reprint = (await run("paper", "show", opened["serial"], "--out", "again", "--json")).json
    assert (folder / reprint["files"][0]).read_bytes() == pdf.read_bytes()
    assert (await run("settle", "message.json")).exit == 5
    offline = ("paper", "verify", opened["sealed_line"], "--public-key", "keys/papers.key.public")
    assert (await run(*offline)).exit == 0
    revoked = await run("paper", "revoke", opened["serial"], "--red-invoice", "红1", "--reason", "补备案")
    assert revoked.exit == 0
    assert (await run(*offline)).exit == 0  # the signature stays true; that it counts no more only the ledger knows
    verdict = await run("paper", "verify", opened["sealed_line"], "--json")
    assert (verdict.exit, verdict.json["verdict"]) == (4, "REVOKED")
    assert (await run("settle", save(folder, message(settle_key="K2")))).exit == 0
    assert (await run("paper", "open", "V1")).exit == 3
    assert_invariants(centre, folder)


@pytest.mark.parametrize(("paper", "ending"), [("a4", ".pdf"), ("241", ".txt")])
async def test_receipts_from_the_command_line(
    run: Run,
    folder: Path,
    centre: Simulator,
    paper: str,
    ending: str,
) -> None:
    assert (await run("settle", save(folder, message()))).exit == 0
    printed = await run("paper", "receipt", "K1", "--paper", paper)
    assert printed.exit == 0
    path = Path(printed.out.strip())
    assert path.name == f"K1-{paper}{ending}"
    text = path.read_bytes()
    shown = text.decode("gb18030") if ending == ".txt" else PdfReader(io.BytesIO(text)).pages[0].extract_text()
    assert "门诊医保结算单" in shown
    assert "20.00" in shown
