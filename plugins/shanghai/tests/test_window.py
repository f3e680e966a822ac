"""What samples alone can't play: ``jssqxh``, which the quote makes and the settlement must bring back, and a refund by ``lsh``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_core.testing.subject import Subject
from adapter_core.testing.window import Heard, Window, window

TESTS = Path(__file__).parent
SAMPLES = TESTS / "samples" / "window"
QUOTE, RECEIPT = "I1000000000010000000000000001", "2600000000000001"
BOTH = pytest.mark.parametrize("gateway", ["shanghai", "shanghai-v5"])


@asynccontextmanager
async def till(folder: Path, gateway: str, **options: str) -> AsyncIterator[Window]:
    site = Subject("shanghai", TESTS).site(gateway)
    async with window(folder, replace(site, options={**site.options, **options}), "shanghai-v5") as here:
        yield here


async def says(here: Window, code: str, changes: Mapping[str, str] | None = None) -> Heard:
    text = (SAMPLES / f"{code}.request.txt").read_bytes().decode("gbk")
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    return await here.says(text.encode("gbk"), f"{code}.request.txt")


def told(heard: Heard) -> dict[str, Any]:
    """The reply's own tree; a HIS of this family reads GBK."""
    assert heard.frame is not None, heard.text
    tree: dict[str, Any] = json.loads(heard.frame.body.decode("gbk"))
    return tree


async def quoted(here: Window) -> str:
    for code in ("SM01", "SN01"):
        heard = await says(here, code)
        assert heard.state == "DONE", heard.text
    quote = await says(here, "SI11")
    assert quote.state == "QUOTED", quote.text
    return str(told(quote)["xxnr"]["jssqxh"])


@BOTH
async def test_a_settlement_carries_the_quotes_number_and_is_refunded_by_its_own(tmp_path: Path, gateway: str) -> None:
    async with till(tmp_path, gateway) as here:
        settled = await says(here, "SI12", {QUOTE: await quoted(here)})
        assert settled.state == "SETTLED", settled.text
        answer = told(settled)
        assert (answer["xxfhm"], answer["xxlxm"], answer["msgid"][-1]) == ("P001", "SI12", "3")
        standing = here.settlements[0]["amounts"]
        assert answer["xxnr"]["totalexpense"] == standing["medfee_sumamt"] == "186.50"
        assert answer["xxnr"]["tczfs"] == standing["hifp_pay"]
        voided = await says(here, "SK01", {RECEIPT: answer["xxnr"]["lsh"]})
        assert voided.state == "VOIDED", voided.text
        assert told(voided)["xxnr"]["translsh"] != answer["xxnr"]["lsh"]
        assert [one["state"] for one in here.settlements] == ["refunded"]


@BOTH
async def test_a_settlement_of_no_quote_of_ours_is_refused_and_nothing_is_sent(tmp_path: Path, gateway: str) -> None:
    async with till(tmp_path, gateway) as here:
        await quoted(here)
        settled = await says(here, "SI12")
        assert settled.state == "UNKNOWN_REF", settled.text
        assert here.settlements == []


@pytest.mark.parametrize(
    ("gateway", "query", "money"),
    [("shanghai", "", "2207"), ("shanghai-v5", "bridge", "SI12"), ("shanghai-v5", "SI91", "SI12")],
)
async def test_a_lost_reply_is_found_and_told_as_settled(tmp_path: Path, gateway: str, query: str, money: str) -> None:
    async with till(tmp_path, gateway, **({"query": query} if query else {})) as here:
        number = await quoted(here)
        here.rules([{"infno": money, "nth": 1, "actions": ["commit", "drop"]}])
        settled = await says(here, "SI12", {QUOTE: number})
        assert settled.state == "SETTLED", settled.text
        assert told(settled)["xxnr"]["totalexpense"] == "186.50"
        assert len(here.settlements) == 1
        asked = {"SI91": "SI91", "bridge": "bridge-close"}.get(query, "5203")
        assert asked in [one.infno for one in here.centre.entries]


async def test_sixty_lines_go_up_fifty_at_a_time_and_are_quoted_together(tmp_path: Path) -> None:
    async with till(tmp_path, "shanghai-v5") as here:
        tree = json.loads((SAMPLES / "SN01.request.txt").read_bytes().decode("gbk"))
        [line] = tree["xxnr"]["mxxms"]
        tree["xxnr"]["mxxms"] = [{**line, "xh": str(n), "mxxmdj": n, "mxxmsl": 1, "mxxmje": n} for n in range(1, 61)]
        await says(here, "SM01")
        uploaded = await here.says(json.dumps(tree, ensure_ascii=False).encode("gbk"), "SN01.request.txt")
        assert uploaded.state == "DONE", uploaded.text
        assert [one.infno for one in here.centre.entries].count("SN01") == 2
        whole = {"186.5": "1830", "174.0": "1830", "12.5": "0"}
        quote = await says(here, "SI11", whole)
        assert quote.state == "QUOTED", quote.text
        assert told(quote)["xxnr"]["totalexpense"] == "1830.00"
