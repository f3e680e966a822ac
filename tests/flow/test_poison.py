"""A plugin that hangs on one reply: its worker is killed and started anew, the others are settled, that one waits for a person."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from adapter_core.settlement.states import State
from adapter_core.settlement.verdicts import OperatorDecision
from adapter_core.simulator.server import Simulator
from adapter_core.supervisor import Patience, supervise
from tests.flow.conftest import opened
from tests.flow.hospital import Hospital, assert_invariants, config_text, message

if sys.platform == "win32":
    pytest.skip("the service manager is the parent there", allow_module_level=True)

PLUGIN = """
import pluggy
from adapter_core.province.national import NationalGateway, national
from adapter_core.province.province import CONTRACT, Province

def trap(site):
    gateway = national(site)
    decode, poison = gateway.decode, site.options["poison"]

    def trapped(call, frame):
        while call.msgid == poison:
            pass
        return decode(call, frame)

    gateway.decode = trapped
    return gateway

@pluggy.HookimplMarker("adapter_core")
def register_province(register):
    register(Province(name="trap", title="", version="1", contract=CONTRACT, gateways={"trap": trap}))
"""
COMMAND = [sys.executable, "-c", "from adapter_core.cli import main; main()", "resolve", "--json"]
QUICK = Patience(silence_s=1.0, pause_s=0.01)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin, for processes started from now on."""
    site = folder / "site"
    about = site / "trap-1.dist-info"
    about.mkdir(parents=True)
    (site / "trap.py").write_text(PLUGIN, "utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: trap\nVersion: 1\n", "utf-8")
    (about / "entry_points.txt").write_text("[adapter_core]\ntrap = trap\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.chdir(folder)


def configure(folder: Path, text: str) -> None:
    (folder / "his-adapter.toml").write_text(text, "utf-8")


async def in_doubt(hospital: Hospital, *keys: str) -> None:
    """Settled at the centre, not known here; the centre's query doesn't show them yet."""
    hospital.can(late_commit_s=600)
    hospital.temper(query_lag_s=600)
    for key in keys:
        assert (await hospital.say(message(settle_key=key, visit_key=f"V-{key}"), wait_s=0)).state == "PENDING"
        while (await hospital.case(key)).state is not State.RESOLVING:
            await asyncio.sleep(0)
    await hospital.arrival("5203")


@pytest.fixture
async def poisoned(centre: Simulator, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """K1's reply is journalled and trips the plugin, which was then changed and hangs over it; K2 and K3 got no reply.  Its msgid."""
    async with opened(centre, folder) as hospital:
        gateway = hospital.running.place.gateway
        decode = gateway.decode

        def tripping(call: Any, frame: Any) -> Any:
            if call.message == "2207":
                raise ValueError
            return decode(call, frame)

        monkeypatch.setattr(gateway, "decode", tripping, raising=False)
        hospital.rules([])
        await in_doubt(hospital, "K1")
        hospital.rule("2207", "commit", "drop")
        await in_doubt(hospital, "K2", "K3")
        [msgid] = [entry.msgid for entry in hospital.sent("2207")][:1]
    centre.world.temperament = centre.world.temperament.changed({"query_lag_s": 0})
    install(folder, monkeypatch)
    text = config_text(centre.url).replace('kind = "national"', 'kind = "trap"')
    configure(folder, text.replace("[timers]", f'[gateway.options]\npoison = "{msgid}"\n[timers]'))
    return msgid


async def test_a_case_that_hangs_every_worker_is_parked_and_the_others_are_settled(
    centre: Simulator,
    folder: Path,
    poisoned: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await supervise(COMMAND, QUICK, final=(0, 6)) == 6
    out, errors = capfd.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    changes = [row["state"] for row in rows if "state" in row]
    assert sorted(changes) == ["FROZEN", "SETTLED", "SETTLED"]
    assert changes[-1] == "FROZEN"
    assert rows[-1] == {"left": {"FROZEN": 1}}
    assert caplog.text.count("killed") == 3
    assert "the worker died on it" in errors
    assert "测试甲" not in out + errors

    configure(folder, config_text(centre.url))
    async with opened(centre, folder) as hospital:
        assert [(await hospital.case(key)).state for key in ("K1", "K2", "K3")] == ["FROZEN", "SETTLED", "SETTLED"]
        assert [await deaths(hospital, key) for key in ("K1", "K2", "K3")] == [3, 0, 0]
        told = await hospital.say({"intent": "query", "settle_key": "K1"})
        assert "请勿改自费" in told.text
        case = await hospital.case("K1")
        assert case.data["frozen_because"] == "the worker died on it 3 times"
        tellings = [event.data["state"] for event in await events(hospital) if event.kind == "TOLD"]
        assert tellings == ["FROZEN"]
        # the plugin is mended: the reply that was kept is read, the centre is not asked
        asked = len(hospital.calls)
        decision = OperatorDecision("recheck", "测试主任", "插件已修复", "mail.txt sha256:0")
        await hospital.running.pipeline.decide(hospital.running.place, case, decision)
        assert (await hospital.decided("K1")).state == "SETTLED"
        case = await hospital.case("K1")
        assert (case.data["closed_by"], "deaths" in case.data, len(hospital.calls)) == ("E1", False, asked)
        assert len(hospital.sent("2207")) == 3
    assert_invariants(centre, folder)


async def events(hospital: Hospital, key: str = "K1") -> list[Any]:
    return await hospital.running.ledger.events_of_case((await hospital.case(key)).case_id)


async def deaths(hospital: Hospital, key: str) -> int:
    return [event.kind for event in await events(hospital, key)].count("WORKER_DIED")


async def resolving(folder: Path, *options: str) -> asyncio.subprocess.Process:
    command = [*COMMAND[:-1], *options]
    return await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=asyncio.subprocess.PIPE)


async def test_resolve_ends_when_nothing_is_in_doubt(centre: Simulator, folder: Path) -> None:
    async with opened(centre, folder) as hospital:
        hospital.rule("2207", "commit", "drop")
        await in_doubt(hospital, "K1", "K2")
    centre.world.temperament = centre.world.temperament.changed({"query_lag_s": 0})
    process = await resolving(folder)
    out, _ = await process.communicate()
    lines = out.decode().splitlines()
    assert process.returncode == 0
    assert lines[0] == "尚余：核实中 2 笔"
    assert [line.partition("：")[2] for line in lines[1:3]] == ["已结算", "已结算"]
    assert lines[-1] == "没有未决业务"
    assert_invariants(centre, folder)


@pytest.mark.parametrize("keys", [(), ("K1",)], ids=["nothing left", "in doubt"])
async def test_resolve_for_ever_ends_when_told_to(centre: Simulator, folder: Path, keys: tuple[str, ...]) -> None:
    async with opened(centre, folder) as hospital:
        hospital.rule("2207", "commit", "drop")
        if keys:
            await in_doubt(hospital, *keys)
    process = await resolving(folder, "--forever", "--json")
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline()) == {"left": {"RESOLVING": 1} if keys else {}}
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == (6 if keys else 0)
    assert_invariants(centre, folder)
