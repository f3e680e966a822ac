"""The provinces' own messages through the whole adapter: local bytes in, national or SOAP centre, local bytes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_core.province.messages import Operation
from adapter_core.settlement.amounts import amounts
from adapter_core.testing.window import Heard, Site, Window, window

ROOT = Path(__file__).resolve().parents[2]
NEUSOFT = ROOT / "plugins" / "jiangxi" / "tests" / "samples" / "neusoft"
FUZHOU = ROOT / "plugins" / "jiangxi" / "tests" / "samples" / "fuzhou"
SOAP = ROOT / "plugins" / "guangdong" / "tests" / "samples" / "soap-guangdong"

NATIONAL_CENTRE = {"query_after_unknown": "by_visit"}
KEYS = {"ak": "ak-test-0001", "sk": "sk-test-0001"}
JIANGXI = Site("jiangxi", "", "H36000000001", "360100", KEYS, capabilities=NATIONAL_CENTRE)
PAAS = {"paasid": "gd_test_0001", "token": "test-token-not-real-0001"}
GUANGDONG = {
    "guangdong": Site("guangdong", "", "H44000000001", "440800", PAAS, capabilities=NATIONAL_CENTRE),
    "guangdong-soap": Site("guangdong-soap", "", "H44000000001", "440800"),
}


async def say(here: Window, *files: Path, side: dict[str, str] | None = None) -> list[Heard]:
    return [await here.says(one.read_bytes(), one.name, side) for one in files]


def states(heard: list[Heard]) -> list[str]:
    return [one.state for one in heard]


def told(here: Window, message: str, heard: Heard) -> Any:
    """The amounts a HIS of this family reads in the answer's bytes."""
    assert heard.frame is not None, heard.text
    asked = Operation(heard.state.lower(), message, here.dialect.name)
    return amounts(here.dialect.decode_reply(asked, heard.frame).content["result"])


async def test_a_day_at_a_neusoft_window(tmp_path: Path) -> None:
    """Sign in, upload, quote, settle with another serial number, take it back; each call draws a new serial."""
    async with window(tmp_path, JIANGXI, "jiangxi-neusoft") as here:
        files = [NEUSOFT / f"{number}.request.txt" for number in ("9100", "2310", "2420", "2410", "2421")]
        played = await say(here, *files)
        assert states(played) == ["DONE", "DONE", "QUOTED", "SETTLED", "VOIDED"]
        quoted, settled = told(here, "2420", played[2]), told(here, "2410", played[3])
        assert quoted == settled
        stands = here.settlements[0]
        assert (stands["state"], stands["amounts"]["psn_cash_pay"]) == ("refunded", str(settled.cash))
        assert [one.infno for one in here.centre.entries].count("2207") == 1


async def test_a_person_insured_elsewhere_in_one_message(tmp_path: Path) -> None:
    """2610 and 2620 carry their lines; a retry under a new serial number is told the same and sends nothing."""
    async with window(tmp_path, JIANGXI, "jiangxi-neusoft") as here:
        [quote] = list(NEUSOFT.glob("2610*.request.txt"))[:1]
        settle = next(NEUSOFT.glob("2620*.request.txt"))
        played = await say(here, quote, settle)
        assert states(played) == ["QUOTED", "SETTLED"]
        sent = len(here.centre.entries)
        again = tmp_path / settle.name
        again.write_bytes(settle.read_bytes().replace(b"20261121090500-", b"20261121090777-"))
        [repeated] = await say(here, again)
        assert repeated.outcome is not None
        assert played[1].outcome is not None
        assert repeated.outcome.content["result"] == played[1].outcome.content["result"]
        assert len(here.centre.entries) == sent


async def test_a_lost_reply_is_adopted_in_the_familys_own_form(tmp_path: Path) -> None:
    async with window(tmp_path, JIANGXI, "jiangxi-neusoft") as here:
        here.rules([{"infno": "2207", "nth": 1, "actions": ["commit", "drop"]}])
        [played] = await say(here, next(NEUSOFT.glob("2620*.request.txt")))
        assert states([played]) == ["SETTLED"]
        assert str(told(here, "2620", played).total) == here.settlements[0]["amounts"]["medfee_sumamt"]
        assert len(here.settlements) == 1


async def test_a_fuzhou_window(tmp_path: Path) -> None:
    async with window(tmp_path, replace(JIANGXI, admdvs="361000"), "jiangxi-fuzhou") as here:
        side = {"mdtrt_cert_no": "T0000001"}
        card = await say(here, FUZHOU / "CX01.request.txt", side=side)
        played = await say(here, FUZHOU / "JS04.request.txt", FUZHOU / "JS05.request.txt")
        assert states(card + played) == ["DONE", "QUOTED", "SETTLED"]
        settled = told(here, "JS05", played[1])
        assert told(here, "JS04", played[0]) == settled
        assert str(settled.fund) == here.settlements[0]["amounts"]["fund_pay_sumamt"]


@pytest.mark.parametrize("gateway", ["guangdong", "guangdong-soap"])
async def test_a_stay_in_guangdong(tmp_path: Path, gateway: str) -> None:
    """The same SOAP messages towards the national x-tif gateway, and towards a SOAP centre through zeep."""
    async with window(tmp_path, GUANGDONG[gateway], "guangdong-soap") as here:
        played = await say(here, *(SOAP / f"{number}.request.xml" for number in ("0211", "0303", "0304", "0304")))
        assert states(played) == ["DONE", "QUOTED", "SETTLED", "SETTLED"]
        settled = told(here, "0304", played[2])
        assert told(here, "0303", played[1]) == settled
        assert len(here.settlements) == 1
        assert str(settled.cash) == here.settlements[0]["amounts"]["psn_cash_pay"]
