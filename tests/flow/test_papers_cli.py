"""``his-adapter paper …`` as a cashier types it: real processes, files, exit codes."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from adapter_core.cli.paper_counter import Asked
from adapter_core.cli.papers import batch_papers, hold_slip, open_papers, show_papers, step_papers
from adapter_core.simulator.faults import read_rules
from adapter_core.simulator.server import Simulator
from adapter_core.values.errors import Refused
from tests.flow.hospital import assert_invariants, message
from tests.flow.served import configure, served
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


async def test_while_a_service_holds_the_ledger_the_commands_go_through_it(
    folder: Path, centre: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(folder, centre.url)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config.write_text(config.read_text("utf-8").replace('listen = "127.0.0.1:0"', f'listen = "{address}"'), "utf-8")

    def said() -> Any:
        return json.loads(capsys.readouterr().out)

    async with served(centre, config) as service:
        service.hospital.rules(REFUSED)
        await service.post("/v1/settlements", message())
        capsys.readouterr()
        assert await open_papers(config, "K1", Asked(situations=("代办",)), folder / "out", True) == 0
        opened = said()
        assert (folder / "out" / f"{opened['serial']}-v1.pdf").read_bytes().startswith(b"%PDF")
        assert opened["why"]["code"] == "not_filed"
        assert await show_papers(config, opened["serial"], folder / "again", True) == 0
        again = said()
        assert Path(again["files"][0]).read_bytes() == Path(opened["files"][0]).read_bytes()
        assert await step_papers(config, opened["serial"], "submit", {"to": ""}, True) == 0
        assert said()["state"] == "MANUAL_SUBMITTED"
        (folder / "new.json").write_text(json.dumps(message(settle_key="K9", visit_key="V9")), "utf-8")
        assert await open_papers(config, "V9", Asked(message=folder / "new.json"), folder / "out", True) == 0
        serials = [said()["serial"]]
        assert await batch_papers(config, serials, "测试公司", "", folder / "out", True) == 0
        assert said()["total"] == "200.00"
        with pytest.raises(Refused) as caught:
            await hold_slip(config, "K1", folder / "out")
        assert caught.value.code == "NOT_HELD"
    assert_invariants(centre, folder)
