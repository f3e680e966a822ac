"""A recorded day played again over another gateway: on a scratch ledger, with fictional people, and what came out otherwise."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.centre.client import Centre
from adapter_core.cli.rehearsing import rehearse
from adapter_core.config import load_config
from adapter_core.operations.rehearsal import Wanted, rehearsed
from adapter_core.operations.rehearsal_notes import kept
from adapter_core.simulator.people import person_from
from adapter_core.simulator.server import Simulator
from adapter_core.values.errors import ConfigError
from adapter_core.values.frames import Frame
from adapter_core.values.moments import national_date
from tests.flow.hospital import Hospital, message, void
from tests.flow.served import write_secret
from tests.flow.test_routes import OLD_AND_NEW, configure, life

PATIENT = "360102190002290000"
PERSON = {
    "psn_no": "T00000009999", "psn_name": "测试寅", "certno": PATIENT, "card_no": "T0009999", "ectoken": "ECTEST0000009999",
    "gend": "1", "brdy": "1990-02-28", "insurance": [{"insutype": "310", "psn_type": "11", "insuplc_admdvs": "320100", "balc": "20.00"}],
    "filing": [{"kind": "long_stay", "region": "36", "begndate": "2020-01-01"}],
}  # fmt: skip
V5 = """
[gateways.v5]
kind = "shanghai-v5"
url = "http://127.0.0.1:9/bridge/shanghai-v5"
plain_http = "flow tests"
options = { jgdm = "00000000001", query = "bridge" }
secret_files = { startup = "startup" }
"""


def today() -> str:
    return national_date(datetime.now(UTC))


@pytest.fixture
async def recorded(tmp_path: Path, centre: Simulator) -> Path:
    """A day: one settled and refunded, one quoted, one settled after its quote, one refused."""
    write_secret(tmp_path / "startup", "startup-test-0001")
    configure(tmp_path, centre, OLD_AND_NEW.format(new="http://127.0.0.1:9") + V5)
    centre.world.people.put(person_from(PERSON))
    patient = {"mdtrt_cert_type": "02", "mdtrt_cert_no": PATIENT, "psn_name": "测试寅"}
    async with life(centre, tmp_path) as hospital:
        await said(hospital, message(person=patient))
        await said(hospital, void())
        await said(hospital, message("quote", "K2", "V2", person=patient))
        await said(hospital, message("quote", "K3", "V3"))
        await said(hospital, message("settle", "K3", "V3"))
    return tmp_path / "his-adapter.toml"


async def said(hospital: Hospital, tree: dict[str, Any]) -> None:
    assert (await hospital.say(tree)).state in ("SETTLED", "VOIDED", "QUOTED")


async def test_the_same_kind_of_gateway_tells_the_same(
    recorded: Path, centre: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = len(centre.entries)
    ledger = (recorded.parent / "ledger.db").read_bytes()
    assert await rehearse(recorded, today(), "new", "", "", None, True) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["after"]["state"] for row in told["messages"]] == ["SETTLED", "VOIDED", "QUOTED", "QUOTED", "SETTLED"]
    assert [row["verb"] for row in told["messages"]] == ["settle", "void", "quote", "quote", "settle"]
    assert {row["after"]["amounts"]["total"] for row in told["messages"] if row["verb"] == "settle"} == {"200.00"}
    assert (told["different"], told["skipped"]) == (0, [])
    assert len(centre.entries) == sent
    assert (recorded.parent / "ledger.db").read_bytes() == ledger


async def test_a_route_that_can_not_do_it_shows_as_a_difference(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await rehearse(recorded, today(), "v5", "", "", None, False) == 3
    shown = capsys.readouterr().out
    assert "REFUSED" in shown or "BAD_MESSAGE" in shown
    came = await rehearsed(load_config(recorded), Wanted(date.fromisoformat(today()), "v5"), SystemClock())
    first = came.rows[0]
    assert first.before is not None
    assert (first.before.state, first.after.state) == ("SETTLED", "REFUSED")
    assert first.differs == ("state", "code")
    [noted] = kept(load_config(recorded))
    assert (noted["day"], noted["gateway"], noted["different"]) == (today(), "v5", len(came.different))
    assert noted["rows"][0] == {
        "work_order": first.message.number, "differs": ["state", "code"], "after": f"REFUSED {first.after.code}",
    }  # fmt: skip
    assert "测试甲" not in (recorded.parent / "rehearsals.json").read_text("utf-8")


async def test_before_a_test_centre_nobody_real_is_named(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    exchange = Centre.exchange

    async def watched(self: Centre, endpoint: str, frame: Frame, **more: Any) -> Frame:
        seen.append(frame.body)
        return await exchange(self, endpoint, frame, **more)

    monkeypatch.setattr(Centre, "exchange", watched)
    async with Simulator(seed=3) as other:
        wanted = Wanted(date.fromisoformat(today()), "new", against=f"{other.url}/fsi/api")
        came = await rehearsed(load_config(recorded), wanted, SystemClock())
    assert [row.after.state for row in came.rows] == ["SETTLED", "VOIDED", "QUOTED", "QUOTED", "SETTLED"]
    assert came.different == []
    assert len(seen) > 10
    real = [PATIENT.encode(), b"T00000009999", "测试寅".encode()]
    assert not any(value in body for value in real for body in seen)


async def test_it_says_what_it_can_not_do(recorded: Path) -> None:
    with pytest.raises(ConfigError, match="no gateway elsewhere; there are gateway, new, v5"):
        await rehearsed(load_config(recorded), Wanted(date.fromisoformat(today()), "elsewhere"), SystemClock())
    text = recorded.read_text("utf-8").replace('environment = "test"', 'environment = "production"')
    recorded.write_text(text, "utf-8")
    config = load_config(recorded)
    address = config.settings.gateway.url
    with pytest.raises(ConfigError, match="production"):
        await rehearsed(config, Wanted(date.fromisoformat(today()), "new", against=address), SystemClock())
