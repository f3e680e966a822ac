"""The provinces' own messages through the whole adapter: local bytes in, national or SOAP centre, local bytes out."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapter_core.bootstrap import Adapter, adapter, plugins
from adapter_core.cli.playing import Played, play_message
from adapter_core.config import load_config
from adapter_core.province.messages import Operation
from adapter_core.settlement.amounts import amounts
from adapter_core.simulator.server import Simulator
from adapter_core.simulator.truth import truth_of

ROOT = Path(__file__).resolve().parents[2]
NEUSOFT = ROOT / "plugins" / "jiangxi" / "tests" / "samples" / "neusoft"
FUZHOU = ROOT / "plugins" / "jiangxi" / "tests" / "samples" / "fuzhou"
SOAP = ROOT / "plugins" / "guangdong" / "tests" / "samples" / "soap-guangdong"

CONFIG = """\
[institution]
fixmedins_code = "{code}"
fixmedins_name = "测试医院"
admdvs = "{admdvs}"
[gateway]
kind = "{gateway}"
url = "{url}"
plain_http = "test"
{can}
[gateway.secret_files]
{secrets}
[timers]
query_steps = [0.05]
query_step_last = 0.1
query_lag = 0
"""
KEYS = {"ak": "ak-test-0001", "sk": "sk-test-0001", "paasid": "gd_test_0001", "token": "test-token-not-real-0001"}


@dataclass
class Window:
    """A cashier's window: one adapter, one dialect, one simulated centre."""

    running: Adapter
    centre: Simulator
    dialect: str

    async def plays(self, *files: Path, side: dict[str, str] | None = None) -> list[Played]:
        dialect = self.running.dialect(self.dialect)
        return [await play_message(self.running, dialect, one.name, one.read_bytes(), None, side) for one in files]

    @property
    def settlements(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = truth_of(self.centre.world)["settlements"]
        return found

    def told(self, played: Played) -> Any:
        """The amounts a HIS of this family reads in the answer's bytes."""
        assert played.outcome is not None, played.error
        dialect = self.running.dialect(self.dialect)
        message = played.name.split(".")[0]
        asked = Operation(played.outcome.state.lower(), message, self.dialect)
        return amounts(dialect.decode_reply(asked, played.answer).content["result"])


@asynccontextmanager
async def window(folder: Path, gateway: str, dialect: str, **site: str) -> AsyncIterator[Window]:
    loaded = plugins()
    dialects = {name: loaded.dialect(name, {}) for name in loaded.dialect_names()}
    names = {"jiangxi": ("ak", "sk"), "guangdong": ("paasid", "token")}.get(gateway, ())
    for name in names:
        with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(KEYS[name])
    async with Simulator(dialects=dialects) as centre:
        can = "" if gateway.endswith("soap") else 'query_after_unknown = "by_visit"'
        secrets = "\n".join(f'{name} = "{name}"' for name in names)
        text = CONFIG.format(gateway=gateway, url=centre.url, can=can, secrets=secrets, **site)
        (folder / "his-adapter.toml").write_text(text, "utf-8")
        async with adapter(load_config(folder / "his-adapter.toml")) as running:
            yield Window(running, centre, dialect)


def states(played: list[Played]) -> list[str]:
    return [one.outcome.state if one.outcome else str(one.error) for one in played]


async def test_a_day_at_a_neusoft_window(tmp_path: Path) -> None:
    """Sign in, upload, quote, settle with another serial number, take it back; each call draws a new serial."""
    async with window(tmp_path, "jiangxi", "jiangxi-neusoft", code="H36000000001", admdvs="360100") as here:
        files = [NEUSOFT / f"{number}.request.txt" for number in ("9100", "2310", "2420", "2410", "2421")]
        played = await here.plays(*files)
        assert states(played) == ["DONE", "DONE", "QUOTED", "SETTLED", "VOIDED"]
        quoted, settled = here.told(played[2]), here.told(played[3])
        assert quoted == settled
        stands = here.settlements[0]
        assert (stands["state"], stands["amounts"]["psn_cash_pay"]) == ("refunded", str(settled.cash))
        assert [one.infno for one in here.centre.entries].count("2207") == 1


async def test_a_person_insured_elsewhere_in_one_message(tmp_path: Path) -> None:
    """2610 and 2620 carry their lines; a retry under a new serial number is told the same and sends nothing."""
    async with window(tmp_path, "jiangxi", "jiangxi-neusoft", code="H36000000001", admdvs="360100") as here:
        [quote] = list(NEUSOFT.glob("2610*.request.txt"))[:1]
        settle = next(NEUSOFT.glob("2620*.request.txt"))
        played = await here.plays(quote, settle)
        assert states(played) == ["QUOTED", "SETTLED"]
        sent = len(here.centre.entries)
        again = tmp_path / settle.name
        again.write_bytes(settle.read_bytes().replace(b"20261121090500-", b"20261121090777-"))
        [repeated] = await here.plays(again)
        assert repeated.outcome is not None
        assert played[1].outcome is not None
        assert repeated.outcome.content["result"] == played[1].outcome.content["result"]
        assert len(here.centre.entries) == sent


async def test_a_lost_reply_is_adopted_in_the_familys_own_form(tmp_path: Path) -> None:
    async with window(tmp_path, "jiangxi", "jiangxi-neusoft", code="H36000000001", admdvs="360100") as here:
        from adapter_core.simulator.control import read_rules

        here.centre.set_rules(read_rules([{"infno": "2207", "nth": 1, "actions": ["commit", "drop"]}]))
        [played] = await here.plays(next(NEUSOFT.glob("2620*.request.txt")))
        assert states([played]) == ["SETTLED"]
        assert str(here.told(played).total) == here.settlements[0]["amounts"]["medfee_sumamt"]
        assert len(here.settlements) == 1


async def test_a_fuzhou_window(tmp_path: Path) -> None:
    async with window(tmp_path, "jiangxi", "jiangxi-fuzhou", code="H36000000001", admdvs="361000") as here:
        side = {"mdtrt_cert_no": "T0000001"}
        card = await here.plays(FUZHOU / "CX01.request.txt", side=side)
        played = await here.plays(FUZHOU / "JS04.request.txt", FUZHOU / "JS05.request.txt")
        assert states(card + played) == ["DONE", "QUOTED", "SETTLED"]
        assert here.told(played[0]) == here.told(played[1])
        assert str(here.told(played[1]).fund) == here.settlements[0]["amounts"]["fund_pay_sumamt"]


@pytest.mark.parametrize("gateway", ["guangdong", "guangdong-soap"])
async def test_a_stay_in_guangdong(tmp_path: Path, gateway: str) -> None:
    """The same SOAP messages towards the national x-tif gateway, and towards a SOAP centre through zeep."""
    async with window(tmp_path, gateway, "guangdong-soap", code="H44000000001", admdvs="440800") as here:
        played = await here.plays(*(SOAP / f"{number}.request.xml" for number in ("0211", "0303", "0304", "0304")))
        assert states(played) == ["DONE", "QUOTED", "SETTLED", "SETTLED"]
        assert here.told(played[1]) == here.told(played[2])
        assert len(here.settlements) == 1
        assert str(here.told(played[2]).cash) == here.settlements[0]["amounts"]["psn_cash_pay"]
