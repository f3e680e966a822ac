"""What samples alone can't play: numbers that the answers make, and a refund that names one."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_core.testing.subject import Subject
from adapter_core.testing.window import Heard, Window, window

TESTS = Path(__file__).parent
SAMPLES = TESTS / "samples"
SIDE = {"mdtrt_cert_no": "T0000001"}


@asynccontextmanager
async def till(folder: Path, gateway: str, dialect: str) -> AsyncIterator[Window]:
    async with window(folder, Subject("zhejiang", TESTS).site(gateway), dialect) as here:
        yield here


async def says(here: Window, name: str, changes: Mapping[str, str] | None = None) -> Heard:
    text = (SAMPLES / name).read_bytes().decode("gbk")
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    frame = here.dialect.read_frame_file(text.encode("gbk"), Path(name).name)
    return await here.asks(replace(frame, side=SIDE))


def cells(heard: Heard) -> list[str]:
    assert heard.frame is not None, heard.text
    return heard.frame.outs["out"].decode("gbk").removeprefix("$$").removesuffix("$$").split("~")


@pytest.mark.parametrize("gateway", ["zhejiang", "zhejiang-insigma"])
async def test_a_settlement_is_confirmed_and_refunded_by_the_number_it_was_told(tmp_path: Path, gateway: str) -> None:
    async with till(tmp_path, gateway, "zhejiang-insigma") as here:
        quoted = await says(here, "insigma/29.request.txt")
        settled = await says(here, "insigma/30.request.txt")
        assert (quoted.state, settled.state) == ("QUOTED", "SETTLED"), settled.text
        told, number = cells(settled)[9].split("%%"), cells(settled)[8]
        assert told == cells(quoted)[8].split("%%")
        standing = here.settlements[0]["amounts"]
        assert (told[0], told[11]) == (standing["medfee_sumamt"], standing["psn_cash_pay"])
        confirmed = await says(here, "insigma/49-30-commit.request.txt", {"LS00000001": number})
        assert (confirmed.state, cells(confirmed)[0]) == ("SETTLED", "0"), confirmed.text
        voided = await says(here, "insigma/82.request.txt", {"LS00000001": number})
        assert voided.state == "VOIDED", voided.text
        assert cells(voided)[8].split("%%")[0].lstrip("-") == told[0]
        assert [one["state"] for one in here.settlements] == ["refunded"]


async def test_an_unconfirmed_trade_of_the_centre_is_never_told_as_settled(tmp_path: Path) -> None:
    """The confirm is lost before it arrives: the HIS hears that it isn't known, in words, and never that it is settled."""
    async with till(tmp_path, "zhejiang-insigma", "zhejiang-insigma") as here:
        here.rules([{"infno": "49-30-commit", "actions": ["drop"]}])
        await says(here, "insigma/29.request.txt")
        settled = await says(here, "insigma/30.request.txt")
        assert settled.state in ("PENDING", "FROZEN"), settled.text
        assert cells(settled)[0] == "-1"
        assert "结果未知" in cells(settled)[1]


async def test_a_siinterface_settlement_is_answered_and_reversed(tmp_path: Path) -> None:
    async with till(tmp_path, "zhejiang-siinterface", "zhejiang-siinterface") as here:
        quoted = await says(here, "siinterface/09.request.txt")
        settled = await says(here, "siinterface/10.request.txt")
        assert (quoted.state, settled.state) == ("QUOTED", "SETTLED"), settled.text
        assert [one["state"] for one in here.settlements] == ["settled"]
        number = _reply(settled)[0]
        answered = await says(here, "siinterface/TRADE_ANSWER.request.txt", {"261121090500000001": number})
        assert answered.state == "SETTLED", answered.text
        voided = await says(here, "siinterface/99.request.txt", {"261121090500000001": number})
        assert voided.state == "VOIDED", voided.text
        assert [one["state"] for one in here.settlements] == ["refunded"]


def _reply(heard: Heard) -> list[str]:
    assert heard.frame is not None, heard.text
    return heard.frame.outs["out"].decode("gbk").split("|")


def test_the_contract_says_the_argument_order_of_both_sides() -> None:
    data: Any = tomllib.loads((TESTS / "contract.toml").read_text("utf-8"))
    assert data["dialect_options"]["zhejiang-siinterface"] == data["gateway"]["zhejiang-siinterface"]["options"]
