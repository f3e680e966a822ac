"""Stays: admitted, charged day by day, discharged, settled; taken back only as far as the next step needs."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.flow.conftest import Opening
from tests.flow.hospital import Hospital, Told, line, message, void
from tests.flow.test_doubt import evidence

STAY = {
    "begntime": "2026-11-18 08:00:00", "med_type": "21", "ipt_no": "ZY0001", "medrcdno": "BA0001", "atddr_no": "D36010000001",
    "chfpdr_name": "测试医师", "adm_diag_dscr": "急性上呼吸道感染", "adm_dept_codg": "D01", "adm_dept_name": "内科", "adm_bed": "12",
    "dscg_maindiag_code": "J06.900", "dscg_maindiag_name": "急性上呼吸道感染",
}  # fmt: skip
LEAVING = {"endtime": "2026-11-21 10:00:00", "dscg_way": "1", "dscg_dept_codg": "D01", "dscg_dept_name": "内科"}


def stay(intent: str, **changes: Any) -> dict[str, Any]:
    """One message about the stay; without fees, keys of bills or a settlement unless said."""
    bare: dict[str, Any] = {"settle_key": None, "visit_key": None, "fees": None, "settle": None}
    return message(intent, encounter_key="E1", kind="inpatient", **{**bare, "visit": STAY, **changes})


def final(settle_key: str = "K1", visit_key: str = "V1", **changes: Any) -> dict[str, Any]:
    return stay(
        "settle", settle_key=settle_key, visit_key=visit_key, visit={**STAY, **LEAVING},
        settle={"med_type": "21", "psn_setlway": "01", "acct_used_flag": "1", "mid_setl_flag": "0"}, **changes,
    )  # fmt: skip


def day(number: int, *amounts: str) -> list[dict[str, Any]]:
    return [line(f"D{number}-{at}", amount) for at, amount in enumerate(amounts)]


async def done(hospital: Hospital, tree: dict[str, Any]) -> Told:
    told = await hospital.say(tree, wait_s=20)
    assert told.state == "DONE", told.text
    return told


def lines(hospital: Hospital) -> dict[str, str]:
    """The lines at the centre: number → amount."""
    found = hospital.truth["visits"][-1]["lines"]
    return {row["feedetl_sn"]: row["det_item_fee_sumamt"] for row in found}


async def admitted(hospital: Hospital) -> None:
    await done(hospital, stay("admit"))
    await done(hospital, stay("upload_fees", fees=day(1, "100.00", "20.00")))
    await done(hospital, stay("upload_fees", fees=day(2, "30.00")))


async def test_a_stay_from_its_admission_to_its_refund(hospital: Hospital) -> None:
    await admitted(hospital)
    assert hospital.calls == ["1101", "2401", "2301", "2301"]
    quoted = await hospital.say({**final(), "intent": "quote"}, wait_s=20)
    assert quoted.state == "QUOTED", quoted.text
    assert hospital.calls[4:] == ["2303"]
    told = await hospital.say(final(), wait_s=20)
    assert told.state == "SETTLED", told.text
    assert hospital.calls[5:] == ["2402", "2304"]
    assert told.answer["amounts"]["medfee_sumamt"] == "150.00"
    assert (await hospital.say(void(), wait_s=20)).state == "VOIDED"
    assert hospital.settlements == ["refunded"]


async def test_a_stay_is_answered_at_once_and_asked_for_later(hospital: Hospital) -> None:
    await admitted(hospital)
    assert (await hospital.say(final())).state == "PENDING"
    assert (await hospital.decided()).state == "SETTLED"


async def test_fees_changed_after_the_discharge_take_back_no_more_than_they_must(hospital: Hospital) -> None:
    await admitted(hospital)
    await done(hospital, stay("discharge", visit={**STAY, **LEAVING}))
    assert hospital.calls[-1] == "2402"
    before = len(hospital.calls)
    await done(hospital, stay("upload_fees", fees=[line("D2-0", "35.00")]))
    assert hospital.calls[before:] == ["2405", "2302", "2301"]
    assert sorted(lines(hospital).values()) == ["100.00", "20.00", "35.00"]
    told = await hospital.say(final(), wait_s=20)
    assert told.state == "SETTLED", told.text
    assert hospital.calls[before + 3 :] == ["2303", "2402", "2304"]
    assert hospital.truth["settlements"][-1]["amounts"]["medfee_sumamt"] == "155.00"


async def test_a_settlement_after_a_reversed_one_takes_nothing_back(hospital: Hospital) -> None:
    await admitted(hospital)
    hospital.can(query_after_unknown="none")
    hospital.rule("2304", "commit", "drop", nth=1)
    assert (await hospital.say(final())).state == "PENDING"
    assert (await hospital.decided()).state == "REVERSED"
    before = len(hospital.calls)
    assert (await hospital.say(final("K2"), wait_s=20)).state == "SETTLED"
    assert hospital.calls[before:] == ["2304"] or hospital.calls[before:] == ["2303", "2304"]


@pytest.mark.parametrize(
    ("fees", "sent"),
    [
        (None, ["2303", "2304"]),
        (day(1, "100.00", "20.00"), ["2303", "2304"]),
        (day(1, "100.00"), ["2405", "2302", "2303", "2402", "2304"]),
        (day(1, "100.00", "25.00"), ["2405", "2302", "2301", "2303", "2402", "2304"]),
        (day(2, "70.00"), ["2405", "2302", "2302", "2301", "2303", "2402", "2304"]),
    ],
    ids=["as it was", "said again", "one left out", "one changed", "all others"],
)
async def test_a_refunded_stay_is_settled_again_from_the_lines_that_lie_there(
    hospital: Hospital, fees: list[dict[str, Any]] | None, sent: list[str]
) -> None:
    """A refund leaves the stay's lines at the centre: no line twice, none too many."""
    assert (await hospital.say(final(fees=day(1, "100.00", "20.00")), wait_s=20)).state == "SETTLED"
    assert (await hospital.say(void(), wait_s=20)).state == "VOIDED"
    before = len(hospital.calls)
    told = await hospital.say(final("K2", fees=fees), wait_s=20)
    assert told.state == "SETTLED", told.text
    assert hospital.calls[before:] == sent
    total = sum(Decimal(row["det_item_fee_sumamt"]) for row in fees or day(1, "100.00", "20.00"))
    assert Decimal(told.answer["amounts"]["medfee_sumamt"]) == total
    assert sum(map(Decimal, lines(hospital).values())) == total


async def test_a_stay_changes_and_is_undone(hospital: Hospital) -> None:
    await admitted(hospital)
    await done(hospital, stay("admit", visit={**STAY, "adm_bed": "14"}))
    assert hospital.calls[-1] == "2403"
    await done(hospital, stay("admit", visit={**STAY, "adm_bed": "14"}))
    assert hospital.calls.count("2403") == 1
    await done(hospital, stay("drop_fees", fees=[{"feedetl_sn": "D1-1"}]))
    assert sorted(lines(hospital).values()) == ["100.00", "30.00"]
    await done(hospital, stay("unadmit"))
    assert hospital.calls[-2:] == ["2302", "2404"]
    assert hospital.truth["visits"][-1]["cancelled"]
    await done(hospital, stay("admit"))
    assert hospital.calls.count("2401") == 2


async def test_a_mid_stay_settlement_is_a_bill_of_its_own(hospital: Hospital) -> None:
    await admitted(hospital)
    middle = stay(
        "settle", settle_key="K1", visit_key="MID1",
        settle={"med_type": "21", "psn_setlway": "01", "acct_used_flag": "1", "mid_setl_flag": "1"},
    )  # fmt: skip
    told = await hospital.say(middle, wait_s=20)
    assert told.state == "SETTLED", told.text
    assert "2402" not in hospital.calls
    await done(hospital, stay("upload_fees", fees=day(3, "60.00")))
    told = await hospital.say(final("K2", "V2"), wait_s=20)
    assert told.state == "SETTLED", told.text
    assert told.answer["amounts"]["medfee_sumamt"] == "60.00"
    assert hospital.settlements == ["settled", "settled"]
    assert (await hospital.refusal(stay("unadmit"))).code == "USE_VOID"


@pytest.mark.parametrize("taken", [True, False])
async def test_a_batch_in_doubt_is_taken_back_and_goes_up_again(hospital: Hospital, taken: bool) -> None:
    await done(hospital, stay("admit"))
    hospital.rule("2301", *(["commit"] if taken else []), "drop", nth=1)
    await done(hospital, stay("upload_fees", fees=day(1, "100.00", "20.00")))
    assert hospital.calls[2:] == ["2301", "2302", "2302", "2301"]
    assert sorted(lines(hospital).values()) == ["100.00", "20.00"]


async def test_an_admission_without_an_answer_is_asked_for_before_another_one(hospital: Hospital) -> None:
    hospital.rule("2401", "commit", "drop", nth=1)
    await done(hospital, stay("admit"))
    assert hospital.calls == ["1101", "2401", "5201"]
    assert len([one for one in hospital.truth["visits"] if one["kind"] == "inpatient" and one["msgid"]]) == 1


async def test_a_lost_reply_of_the_final_settlement_is_adopted(hospital: Hospital) -> None:
    await admitted(hospital)
    hospital.rule("2304", "commit", "drop", nth=1)
    assert (await hospital.say(final())).state == "PENDING"
    assert (await hospital.decided()).state == "SETTLED"
    assert await evidence(hospital) == "E2"


async def test_a_centre_that_takes_the_discharge_after_the_settlement(lives: Opening, folder: Path) -> None:
    file = folder / "his-adapter.toml"
    file.write_text(file.read_text("utf-8") + '[gateway.options]\ndischarge = "after"\n', "utf-8")
    hospital = await lives()
    await admitted(hospital)
    assert (await hospital.say(final(), wait_s=20)).state == "SETTLED"
    await hospital.running.pipeline.settled_down()
    assert hospital.calls[-2:] == ["2304", "2402"]
    assert hospital.truth["visits"][-1]["discharged"]


async def test_a_refused_settlement_says_why(hospital: Hospital) -> None:
    await admitted(hospital)
    hospital.rule("2304", "error(-1,没有获取到异地备案信息!)", nth=1)
    told = await hospital.say(final(), wait_s=20)
    assert told.state == "REJECTED"
    assert (await hospital.say(final("K2"), wait_s=20)).state == "SETTLED"


async def test_a_long_stay_survives_two_starts_and_ends_with_exactly_its_lines(lives: Opening) -> None:
    """3,000 lines, killed twice on the way."""
    rows = [line(f"L{number:04}", f"{number % 90 + 10}.{number % 100:02}") for number in range(3000)]
    total = sum(Decimal(row["det_item_fee_sumamt"]) for row in rows)
    hospital = await lives()
    await done(hospital, stay("admit"))
    for nth, actions in ((8, ["commit", "hang"]), (11, ["hang"])):
        hospital.rule("2301", *actions, nth=nth)
        told = await hospital.say(stay("upload_fees", fees=rows), wait_s=0)
        assert told.state == "PENDING"
        await hospital.centre.rules.arrivals("2301", nth)  # type: ignore[attr-defined]
        hospital = await lives()
    hospital.rules([])
    told = await hospital.say(final(fees=rows), wait_s=60)
    assert told.state == "SETTLED", told.text
    held = lines(hospital)
    assert len(held) == 3000
    assert sum(map(Decimal, held.values())) == total
    assert Decimal(told.answer["amounts"]["medfee_sumamt"]) == total
    longest = max(entry.size for entry in hospital.sent("2301"))
    assert longest < 60_000
