"""Pre-admission: outpatient lines of the days before become lines of the stay, and never both."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.settlement.ports import Conflict
from adapter_core.settlement.records import Bill, Change
from adapter_core.values.copies import replace
from adapter_core.values.errors import Refused
from tests.flow.conftest import Opening
from tests.flow.hospital import ORG, Hospital, Told, line, message, void
from tests.flow.test_inpatient import day, done, final, lines, stay

OUTPATIENT = {"visit_key": "V0", "encounter_key": "V0"}


@pytest.fixture(autouse=True)
def opened(folder: Path) -> None:
    """A line that takes lines of the three days before an admission."""
    file = folder / "his-adapter.toml"
    file.write_text(file.read_text("utf-8") + '[gateway.options]\npreadmission_days = "3"\n', "utf-8")


def checks(*amounts: str, at: str = "2026-11-16 09:05:00") -> list[dict[str, Any]]:
    return [{**line(f"T{number}", amount), "fee_ocur_time": at} for number, amount in enumerate(amounts)]


def outpatient(intent: str, **changes: Any) -> dict[str, Any]:
    """Tests of the 16th; the stay begins on the 18th."""
    said = {"settle_key": None, "settle": {"med_type": "11"}, "fees": checks("40.00", "2.50"), **OUTPATIENT, **changes}
    return message(intent, **said)


def as_outpatient(settle_key: str, **changes: Any) -> dict[str, Any]:
    return message(settle_key=settle_key, fees=checks("40.00", "2.50"), **{**OUTPATIENT, **changes})


def fold(*visits: Any, intent: str = "fold") -> dict[str, Any]:
    return stay(intent, person=None, visit=None, visits=list(visits))


async def standing(hospital: Hospital) -> None:
    """Tests uploaded as an outpatient visit, then a stay with a line of its own."""
    await done(hospital, outpatient("upload_fees"))
    await done(hospital, stay("admit"))
    await done(hospital, stay("upload_fees", fees=day(1, "100.00")))


def of_visit(hospital: Hospital) -> list[tuple[bool, int]]:
    """The outpatient visits at the centre: whether cancelled, how many lines."""
    return [(one["cancelled"], len(one["lines"])) for one in hospital.truth["visits"] if one["kind"] == "outpatient"]


async def held(hospital: Hospital) -> list[str]:
    encounter = await hospital.running.ledger.encounter_by_key(ORG, "E1")
    assert encounter is not None
    bills = await hospital.running.ledger.bills_of(encounter.encounter_id)
    return [row["feedetl_sn"] for row in bills[-1].content["fees"]]


async def told(hospital: Hospital, tree: dict[str, Any]) -> Told:
    return await hospital.say(tree, wait_s=20)


async def test_tests_before_the_admission_are_settled_with_the_stay(hospital: Hospital) -> None:
    await standing(hospital)
    before = len(hospital.calls)
    await done(hospital, fold("V0"))
    assert hospital.calls[before:] == ["2205", "2202", "2301"]
    assert of_visit(hospital) == [(True, 0)]
    assert sorted(lines(hospital).values()) == ["100.00", "2.50", "40.00"]
    await done(hospital, fold("V0"))
    assert len(hospital.calls) == before + 3
    settled = await told(hospital, final())
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "142.50")
    for again in (as_outpatient("K9"), outpatient("upload_fees"), outpatient("drop_fees")):
        refused = await hospital.refusal(again)
        assert (refused.code, "E1" in refused.message_zh) == ("FOLDED", True)
    assert len(hospital.settlements) == 1


async def test_a_settled_visit_is_refunded_first_and_its_number_is_named(hospital: Hospital) -> None:
    assert (await told(hospital, as_outpatient("K0"))).state == "SETTLED"
    await done(hospital, stay("admit"))
    refused = await hospital.refusal(fold("V0"))
    setl_id = hospital.truth["settlements"][0]["setl_id"]
    assert (refused.code, "K0" in refused.message_zh, setl_id in refused.message_zh) == ("USE_VOID", True, True)
    assert (await hospital.say(void("R0", "K0"))).state == "VOIDED"
    await done(hospital, fold("V0"))
    settled = await told(hospital, final())
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "42.50")
    assert hospital.settlements == ["refunded", "settled"]


async def test_an_outpatient_key_that_never_reached_the_centre_never_will(hospital: Hospital) -> None:
    hospital.rule("2206", "accept_close")
    first = await told(hospital, as_outpatient("K0"))
    assert first.state == "NOT_SENT", first.text
    hospital.rules([])
    await done(hospital, stay("admit"))
    await done(hospital, fold("V0"))
    assert (await told(hospital, as_outpatient("K0"))).state == "CANCELLED"


async def test_a_quoted_visit_and_one_with_papers_stay_where_they_are(hospital: Hospital) -> None:
    assert (await told(hospital, {**as_outpatient("K0"), "intent": "quote"})).state == "QUOTED"
    await done(hospital, stay("admit"))
    assert (await hospital.refusal(fold("V0"))).code == "USE_CANCEL"
    await hospital.say({"intent": "cancel", "settle_key": "K0"})
    papers = hospital.running.pipeline.papers
    visit = await papers.visit(ORG, "V0")
    assert visit is not None
    await papers.hold(visit, {})
    assert (await hospital.refusal(fold("V0"))).code == "VISIT_HELD"


async def test_papers_and_a_stay_never_both_take_the_lines(hospital: Hospital) -> None:
    await standing(hospital)
    papers = hospital.running.pipeline.papers
    early = await papers.visit(ORG, "V0")
    assert early is not None
    await done(hospital, fold("V0"))
    with pytest.raises(Refused, match="folded"):
        await papers.hold(early, {})
    late = await papers.visit(ORG, "V0")
    assert late is not None
    with pytest.raises(Refused, match="folded"):
        await papers.hold(late, {})


async def test_lines_that_are_folded_while_papers_are_made_keep_the_papers_out(hospital: Hospital) -> None:
    await standing(hospital)
    papers, ledger = hospital.running.pipeline.papers, hospital.running.pipeline._ledger
    visit = await papers.visit(ORG, "V0")
    assert visit is not None
    read = ledger.bill

    async def read_too_early(bill_id: str) -> Bill | None:
        seen = await read(bill_id)
        ledger.bill = read  # type: ignore[method-assign]
        await done(hospital, fold("V0"))
        return seen

    ledger.bill = read_too_early  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        await papers.hold(visit, {})


@pytest.mark.parametrize("at", ["2026-11-14 09:00:00", "2026-11-19 09:00:00"])
async def test_lines_outside_the_window_stay_outpatient(hospital: Hospital, at: str) -> None:
    await done(hospital, outpatient("upload_fees", fees=checks("40.00", at=at)))
    await done(hospital, stay("admit"))
    refused = await hospital.refusal(fold("V0"))
    assert (refused.code, "T0" in refused.message_zh) == ("PREHOSPITAL_NOT_ELIGIBLE", True)
    assert (await told(hospital, as_outpatient("K0"))).state == "SETTLED"


async def test_another_patient_an_unknown_visit_and_a_line_that_does_not_take_it(hospital: Hospital) -> None:
    other = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "220102199913330001", "psn_name": "测试乙"}
    await done(hospital, outpatient("upload_fees", person=other))
    await done(hospital, stay("admit"))
    assert (await hospital.refusal(fold("V0"))).code == "PERSON_DIFFERS"
    assert (await hospital.refusal(fold("V7"))).code == "NO_SUCH_ENCOUNTER"
    card = {"mdtrt_cert_type": "03", "mdtrt_cert_no": "T0000001", "card_sn": "A1", "psn_name": "测试甲"}
    hospital.rule("1101", "accept_close")
    unnamed = as_outpatient("K6", visit_key="V6", encounter_key="V6", person=card)
    assert (await told(hospital, unnamed)).state == "NOT_SENT"
    hospital.rules([])
    assert (await hospital.refusal(fold("V6"))).code == "PERSON_DIFFERS", "nobody can tell who that was"
    assert (await hospital.refusal(fold())).code == "BAD_MESSAGE"
    hospital.running.place.gateway.site.options["preadmission_diseases"] = "K80.000"  # type: ignore[attr-defined]
    assert (await hospital.refusal(fold("V0"))).code == "PREHOSPITAL_NOT_ELIGIBLE"
    del hospital.running.place.gateway.site.options["preadmission_days"]  # type: ignore[attr-defined]
    assert (await hospital.refusal(fold("V0"))).code == "PREADMISSION_OFF"


async def test_no_admission_no_fold(hospital: Hospital) -> None:
    await standing(hospital)
    await done(hospital, fold("V0"))
    await done(hospital, stay("unadmit", person=None))
    assert lines(hospital) == {}
    settled = await told(hospital, as_outpatient("K0"))
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "42.50")
    await done(hospital, stay("admit"))
    assert await held(hospital) == ["D1-0"]


async def test_lines_given_back_leave_the_stay_first(hospital: Hospital) -> None:
    await standing(hospital)
    await done(hospital, fold({"encounter_key": "V0", "visit_key": "V0"}))
    await done(hospital, fold(intent="unfold"))
    assert list(lines(hospital).values()) == ["100.00"]
    assert (await hospital.refusal(fold("V0", intent="unfold"))).code == "BAD_MESSAGE"
    assert (await told(hospital, as_outpatient("K0"))).state == "SETTLED"
    settled = await told(hospital, final())
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "100.00")


async def test_lines_of_a_settled_stay_come_back_only_after_its_refund(hospital: Hospital) -> None:
    await done(hospital, outpatient("upload_fees", visit_key="V8", encounter_key="V8"))
    await standing(hospital)
    await done(hospital, fold("V0"))
    assert (await told(hospital, final())).state == "SETTLED"
    for late in (fold(intent="unfold"), fold("V8")):
        refused = await hospital.refusal(late)
        assert (refused.code, "K1" in refused.message_zh) == ("USE_VOID", True)
    assert (await told(hospital, void())).state == "VOIDED"
    await done(hospital, fold(intent="unfold"))
    assert list(lines(hospital).values()) == ["100.00"]
    assert (await told(hospital, as_outpatient("K0"))).state == "SETTLED"


async def test_folded_lines_stay_whatever_the_his_lists(hospital: Hospital) -> None:
    await standing(hospital)
    await done(hospital, fold("V0"))
    await done(hospital, stay("drop_fees", person=None))
    assert sorted(lines(hospital).values()) == ["2.50", "40.00"]
    dropped = stay("drop_fees", person=None, fees=[{"feedetl_sn": "T0"}])
    assert (await hospital.refusal(dropped)).code == "LINE_FOLDED"
    other = await hospital.refusal(stay("upload_fees", fees=[{**line("T0", "41.00")}]))
    assert other.code == "LINE_FOLDED"
    whole = [*day(3, "60.00"), *checks("40.00", "2.50")]
    settled = await told(hospital, final(fees=whole))
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "102.50")
    assert (await told(hospital, void())).state == "VOIDED"
    again = await told(hospital, final("K2", fees=day(3, "60.00")))
    assert (again.state, again.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "102.50")


async def test_a_number_of_both_bills_is_two_lines(hospital: Hospital) -> None:
    await done(hospital, outpatient("upload_fees"))
    await done(hospital, stay("admit"))
    await done(hospital, stay("upload_fees", fees=[line("T0", "100.00")]))
    await done(hospital, fold("V0"))
    assert sorted(lines(hospital).values()) == ["100.00", "2.50", "40.00"]
    assert await held(hospital) == ["T0", "T0P", "T1"]


@pytest.mark.parametrize("step", ["2205", "2202", "2301"])
@pytest.mark.parametrize("taken", [True, False])
async def test_killed_while_folding_it_goes_on_there(lives: Opening, step: str, taken: bool) -> None:
    hospital = await lives()
    await standing(hospital)
    hospital.rule(step, *(["commit", "hang"] if taken else ["hang"]), nth=1)
    assert (await hospital.say(fold("V0"), wait_s=0)).state == "PENDING"
    await hospital.arrival(step)
    hospital = await lives()
    hospital.rules([])
    assert (await hospital.refusal(as_outpatient("K9"))).code == "FOLDED"
    await done(hospital, fold("V0"))
    assert of_visit(hospital)[0][1] == 0
    settled = await told(hospital, final())
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "142.50")
    assert sum(map(Decimal, lines(hospital).values())) == Decimal("142.50")


@pytest.mark.parametrize("taken", [True, False])
async def test_killed_while_giving_back_it_is_never_in_both(lives: Opening, taken: bool) -> None:
    hospital = await lives()
    await standing(hospital)
    await done(hospital, fold("V0"))
    hospital.rule("2302", *(["commit", "hang"] if taken else ["hang"]), nth=1)
    assert (await hospital.say(fold(intent="unfold"), wait_s=0)).state == "PENDING"
    await hospital.arrival("2302")
    hospital = await lives()
    hospital.rules([])
    assert (await hospital.refusal(as_outpatient("K9"))).code == "FOLDED"
    await done(hospital, fold(intent="unfold"))
    assert list(lines(hospital).values()) == ["100.00"]
    assert (await told(hospital, as_outpatient("K9"))).state == "SETTLED"


async def test_lines_on_their_way_out_may_come_back_in(lives: Opening) -> None:
    hospital = await lives()
    await standing(hospital)
    await done(hospital, fold("V0"))
    hospital.rule("2302", "commit", "hang", nth=1)
    assert (await hospital.say(fold(intent="unfold"), wait_s=0)).state == "PENDING"
    await hospital.arrival("2302")
    hospital = await lives()
    hospital.rules([])
    await done(hospital, fold("V0"))
    settled = await told(hospital, final())
    assert (settled.state, settled.answer["amounts"]["medfee_sumamt"]) == ("SETTLED", "142.50")
    assert len(lines(hospital)) == 3


async def test_who_settles_while_another_folds_meets_the_fold(hospital: Hospital) -> None:
    """The write that comes second, from whatever process, is refused."""
    await standing(hospital)
    encounter = await hospital.running.ledger.encounter_by_key(ORG, "V0")
    assert encounter is not None
    [seen] = await hospital.running.ledger.bills_of(encounter.encounter_id)
    await done(hospital, fold("V0"))
    late = replace(seen, version=seen.version + 1)
    with pytest.raises(Conflict):
        await hospital.running.ledger.commit(Change(ORG, bills=(late,)))
