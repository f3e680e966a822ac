"""Eligibility where the service isn't: on the command line, before a legacy centre, and in the papers of a stopped visit."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_core.bootstrap import site
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.settlement.eligibility import Verdict
from adapter_core.sidecar.eligibility import read_enquiry
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import Hospital, message
from tests.flow.test_cli import Run, run, save
from tests.flow.test_eligibility import person, question
from tests.flow.two_phase import DIALECT, life, province

__all__ = ["run"]


async def test_the_command_line_asks_the_same_and_says_it_in_words(run: Run, folder: Path) -> None:
    file = save(folder, question(14), "person.json")
    told = await run("eligibility", file)
    assert told.exit == 0, told.err
    assert "不能直接结算：门诊只能用个人账户，余额不足（余额 0.00 元）" in told.out
    assert "下一步：按自费收取" in told.out
    assert (await run("eligibility", file, "--json")).json["reason"] == "account_only_exhausted"
    wrong = await run("eligibility", save(folder, question(stated={"status": "perhaps"}), "wrong.json"))
    assert wrong.exit == 3
    assert "stated.status" in wrong.err


async def test_papers_of_a_stopped_visit_say_why(run: Run, folder: Path) -> None:
    stopped = await run("settle", save(folder, message(person=person(8))))
    assert stopped.exit == 5
    opened = (await run("paper", "open", "K1", "--json")).json
    assert opened["why"]["code"] == "insurance_suspended"


async def test_what_a_legacy_route_cannot_ask_is_unknown_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = province('handle = "ours", shows = "confirmed", silence = "undone"')
    monkeypatch.setattr(site, "builtin_province", lambda: made)
    async with Simulator(dialects={"two-phase": DIALECT}) as centre, life(centre, tmp_path) as town:
        place = town.running.place
        enquiry = read_enquiry(question(), NationalDialect())
        answer = await town.running.pipeline.enquiring.ask(place, enquiry)
        assert (answer.verdict, answer.reason) == (Verdict.UNKNOWN, None)
        assert answer.next[0] == "quote"
        said = question(
            14, "14", insuplc_admdvs="140200", visit={"begntime": "2026-11-21 09:00:00", "dise_codg": "M04400"}
        )
        said["settle"]["insutype"] = "310"
        answer = await town.running.pipeline.enquiring.ask(place, read_enquiry(said, NationalDialect()))
        assert answer.reason is not None
        assert answer.reason.code == "chronic_disease_not_cross_province", "what the HIS says is enough for some facts"
        assert town.calls == []


async def test_an_enquiry_leaves_no_trace_but_its_reads(hospital: Hospital) -> None:
    enquiry = read_enquiry(question(), NationalDialect())
    await hospital.running.pipeline.enquiring.ask(hospital.running.place, enquiry)
    assert hospital.calls == ["1101", "2001", "5304"]
    assert hospital.truth["visits"] == [one for one in hospital.truth["visits"] if one["mdtrt_id"] == "S000000001"]
    told = await hospital.say(message())
    assert told.state == "SETTLED"
    assert hospital.calls[3:5] == ["1101", "2201"]
