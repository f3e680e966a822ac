"""The paper case on the real ledger: who may have papers, what a reprint is, what takes them back, and the race with a settlement."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path

import pytest

from adapter_core.bootstrap.assembly import adapter
from adapter_core.config import load_config
from adapter_core.ledger.inspection import export
from adapter_core.paperwork.dossier import Wish
from adapter_core.paperwork.office import PaperOffice
from adapter_core.paperwork.seals import read_public_key
from adapter_core.province.messages import Operation
from adapter_core.settlement.ports import VersionMoved, VisitHeld
from adapter_core.simulator.server import Simulator
from adapter_core.values.errors import Refused
from adapter_core.values.frames import Frame
from tests.flow.hospital import ORG, Hospital, line, message, void
from tests.flow.test_witness_and_notices import WITNESSED, config

REFUSED = "error(-1,参保人未办理异地就医备案)"
ENDED = ("NOT_SENT", "REJECTED", "NOT_APPLIED", "REVERSED", "VOIDED", "CANCELLED")


async def refused(hospital: Hospital, settle_key: str = "K1", visit_key: str = "V1") -> None:
    """A settlement that the centre refuses at its trial."""
    hospital.rule("2206", REFUSED)
    assert (await hospital.say(message(settle_key=settle_key, visit_key=visit_key))).state == "REJECTED"


async def end_in(hospital: Hospital, state: str) -> None:
    """Bring K1 of V1 into a state in which nothing stands."""
    match state:
        case "NOT_SENT":
            hospital.rule(None, "accept_close")
            await hospital.say(message())
            hospital.rules([])
        case "REJECTED":
            await refused(hospital)
        case "NOT_APPLIED":
            hospital.rule("2207", "read_close")
            await hospital.say(message())
        case "REVERSED":
            hospital.can(query_after_unknown="none")
            hospital.rule("2207", "commit", "drop")
            await hospital.say(message())
        case "VOIDED":
            await hospital.say(message())
            await hospital.say(void())
        case "CANCELLED":
            await hospital.say(message("quote"))
            await hospital.say({"intent": "cancel", "settle_key": "K1"})
    await hospital.running.pipeline.settled_down()
    assert (await hospital.case()).state == state


async def paper_refusal(office: PaperOffice, visit_key: str = "V1") -> Refused:
    with pytest.raises(Refused) as caught:
        await office.open(visit_key)
    return caught.value


@pytest.mark.parametrize("state", ENDED)
async def test_papers_follow_each_state_in_which_nothing_stands(hospital: Hospital, state: str) -> None:
    await end_in(hospital, state)
    papers = await hospital.running.office().open("V1")
    case = await hospital.case()
    assert (case.state, case.data["paper"]["after"]) == ("MANUAL_OPEN", state)
    assert papers.document["total"] == "200.00"
    held = await hospital.refusal(message(settle_key="K2"))
    assert held.code == "VISIT_HELD"
    assert (await hospital.decided()).state == "MANUAL_OPEN"
    assert (await hospital.decided()).answer["state"] == "MANUAL_OPEN"
    sent = len(hospital.calls)
    assert (await hospital.say(message("quote" if state == "CANCELLED" else "settle"))).state == "MANUAL_OPEN"
    assert len(hospital.calls) == sent


@pytest.mark.parametrize(
    ("state", "code"), [("SETTLED", "USE_VOID"), ("QUOTED", "USE_CANCEL"), ("RESOLVING", "VISIT_HELD")]
)
async def test_no_papers_while_something_stands_or_may(hospital: Hospital, state: str, code: str) -> None:
    if state == "RESOLVING":
        hospital.rules([{"infno": "2207", "actions": ["commit", "drop"]}, {"infno": "5203", "actions": ["read_close"]}])
    await hospital.say(message("quote" if state == "QUOTED" else "settle"), 0.3)
    office = hospital.running.office()
    before = await hospital.case()
    assert before.state == state
    assert (await paper_refusal(office)).code == code
    after = await hospital.case()
    assert (after.state, "paper" in after.data) == (state, False)
    if state == "RESOLVING":
        slip = await office.slip("V1")
        assert (slip["state_zh"], slip["total"]) == ("结果核实中", "200.00")
        hospital.rules([])
        assert (await hospital.decided()).state == "SETTLED"
    with pytest.raises(Refused) as caught:
        await office.slip("V1")
    assert caught.value.code == "NOT_HELD"


async def test_a_reprint_is_the_same_set_and_a_change_is_a_new_version(hospital: Hospital) -> None:
    await refused(hospital)
    office = hospital.running.office()
    first = await office.open("V1")
    again = await office.open("V1")
    reprint = await office.reprint(first.serial)
    assert (again.is_new, again.document, reprint.document) == (False, first.document, first.document)
    assert first.pdf() == reprint.pdf()
    changed = await office.open("V1", Wish(situations=("代办",)))
    assert (changed.serial, changed.document["version"]) == (first.serial, "2")
    assert changed.document["hash"] != first.document["hash"]
    verdicts = [(await office.verify(one.document["sealed_line"])).verdict for one in (first, changed)]
    assert verdicts == ["SUPERSEDED", "VALID"]
    same = await office.open("V1", Wish(situations=("代办",)))
    assert (same.is_new, same.document["version"]) == (False, "2")
    assert (await office.show(first.serial, 1)).document == first.document


async def test_revoked_papers_free_the_visit_and_stay_void(hospital: Hospital) -> None:
    await refused(hospital)
    office = hospital.running.office()
    papers = await office.open("V1")
    with pytest.raises(Refused) as caught:
        await office.revoke(papers.serial, "", "补备案")
    assert caught.value.code == "RED_INVOICE_NEEDED"
    await office.revoke(papers.serial, "红字00012345", "补备案")
    assert (await office.verify(papers.document["sealed_line"])).verdict == "REVOKED"
    assert (await office.verify(papers.serial)).verdict == "REVOKED"
    with pytest.raises(Refused) as caught:
        await office.reprint(papers.serial)
    assert caught.value.code == "PAPER_REVOKED"
    hospital.rules([])
    assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"
    assert (await paper_refusal(office)).code == "USE_VOID"
    assert (await hospital.say(message())).state == "MANUAL_REVOKED"
    assert hospital.settlements == ["settled"]


async def test_new_papers_after_revoked_ones_have_a_new_serial_and_know_the_reason(hospital: Hospital) -> None:
    await refused(hospital)
    office = hospital.running.office()
    first = await office.open("V1")
    await office.revoke(first.serial, "红字1", "打错")
    second = await office.open("V1")
    assert second.serial != first.serial
    assert second.document["why"] == first.document["why"]
    assert [row["said"] for row in second.document["attempts"]][-1] == "参保人未办理异地就医备案"
    assert (await office.verify(second.serial)).verdict == "VALID"
    assert (await office.verify(first.serial)).verdict == "REVOKED"


async def test_handed_in_papers_need_the_agencys_withdrawal_and_closed_ones_stay(hospital: Hospital) -> None:
    await refused(hospital)
    office = hospital.running.office()
    serial = (await office.open("V1")).serial
    with pytest.raises(Refused) as caught:
        await office.close(serial)
    assert caught.value.code == "NOT_SUBMITTED"
    await office.submit(serial, "杭州市医保中心")
    assert (await office.verify(serial)).verdict == "SUBMITTED"
    with pytest.raises(Refused) as caught:
        await office.revoke(serial, "红字1", "改直接结算")
    assert caught.value.code == "WITHDRAWAL_NEEDED"
    with pytest.raises(Refused) as caught:
        await office.open("V1", Wish(situations=("代办",)))
    assert caught.value.code == "PAPER_SUBMITTED"
    await office.close(serial, "已报销")
    with pytest.raises(Refused) as caught:
        await office.revoke(serial, "红字1", "改直接结算", "撤回证明")
    assert caught.value.code == "PAPER_CLOSED"
    assert (await hospital.refusal(message(settle_key="K2"))).code == "VISIT_HELD"
    assert (await hospital.say({"intent": "cancel", "settle_key": "K1"})).state == "MANUAL_CLOSED"


def asked(hospital: Hospital, **changes: object) -> Operation:
    body = json.dumps(message(**changes), ensure_ascii=False).encode()
    return hospital.dialect.decode_request(Frame(body=body))


async def test_a_visit_that_was_never_tried_gets_papers_from_the_hiss_own_message(hospital: Hospital) -> None:
    office = hospital.running.office()
    wish = Wish(reason="non_designated_institution", insuplc_admdvs="310000")
    papers = await office.open("V1", wish, (hospital.dialect, asked(hospital)))
    assert papers.document["why"]["code"] == "non_designated_institution"
    assert (papers.document["tried"], papers.document["insured"]["region"]) == ("0", "上海市")
    assert hospital.calls == []
    assert (await hospital.refusal(message())).code == "VISIT_HELD"
    same = await office.open("V1", wish, (hospital.dialect, asked(hospital)))
    assert (same.is_new, same.serial) == (False, papers.serial)
    more = await office.open("V1", wish, (hospital.dialect, asked(hospital, fees=[line("F1", "66.00")])))
    assert (more.document["version"], more.document["total"]) == ("2", "66.00")


async def test_what_can_not_be_printed_holds_nothing(hospital: Hospital) -> None:
    office = hospital.running.office()
    assert (await paper_refusal(office)).code == "NO_SUCH_VISIT"
    with pytest.raises(Refused) as caught:
        await office.open("V1", Wish(reason="no_such_reason"), (hospital.dialect, asked(hospital)))
    assert caught.value.code == "UNKNOWN_REASON"
    assert (await hospital.say(message())).state == "SETTLED"


async def test_a_seal_is_checked_offline_and_no_changed_line_passes(hospital: Hospital) -> None:
    await refused(hospital)
    office = hospital.running.office()
    papers = await office.open("V1")
    sealed = papers.document["sealed_line"]
    key = read_public_key((hospital.folder / "keys" / "papers.key.public").read_text())
    assert (hospital.folder / "keys" / "papers.key").stat().st_mode & 0o077 == 0
    for changed in (
        sealed.replace("|200.00|", "|20000.00|"),
        sealed.replace(f"|{papers.serial}|1|", f"|{papers.serial}|2|"),
    ):
        assert (await office.verify(changed, key)).verdict == "FORGED"
    assert (await office.verify(sealed)).is_signed is True
    for secret in ("测试甲", "110101190001010000", "急性上呼吸道感染", "J06.900"):
        assert secret not in sealed


async def test_people_of_one_employer_share_a_hand_over_sheet(hospital: Hospital) -> None:
    office = hospital.running.office()
    for number in ("1", "2"):
        await refused(hospital, f"K{number}", f"V{number}")
    serials = [(await office.open(f"V{number}")).serial for number in ("1", "2")]
    sheet = await office.batch([*serials, serials[0]], "测试公司", "测试乙")
    assert ([row["serial"] for row in sheet["rows"]], sheet["total"]) == (serials, "400.00")
    assert await office.batch_again(sheet["batch"]) == sheet
    with pytest.raises(Refused) as caught:
        await office.batch(serials[:1], "测试公司", "测试乙")
    assert caught.value.code == "BATCHED"


# -- I12: never a valid paper set and a possible settlement for one visit


async def _after(turns: int, work: Awaitable[object]) -> object:
    """Begins so many turns of the event loop later."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return await work


async def test_papers_and_settlements_racing_for_a_visit_never_both_win(hospital: Hospital) -> None:
    """Each round: a refused visit, then papers and two new settlements at once.  Whoever takes the hold keeps it."""
    office = hospital.running.office()
    winners = set()
    for number in range(12):
        visit = f"V{number}"
        await refused(hospital, f"A{number}", visit)
        hospital.rules([])
        rivals = [
            hospital.say(
                message(settle_key=f"{letter}{number}", visit_key=visit, fees=[line(f"{letter}{number}", "12.00")])
            )
            for letter in "BC"
        ]
        racers = [*rivals, _after(number * 2, office.open(visit))]
        order = racers[number % 3 :] + racers[: number % 3]
        done = await asyncio.gather(*order, return_exceptions=True)
        assert all(isinstance(one, Refused) for one in done if isinstance(one, BaseException)), done
        cases = [await hospital.case(f"A{number}")]
        for letter in "BC":
            rival = await hospital.running.ledger.case_by_key(ORG, "settle", f"{letter}{number}")
            cases += [rival] if rival else []
        states = sorted(str(case.state) for case in cases)
        papers, settled = states.count("MANUAL_OPEN"), states.count("SETTLED")
        assert (papers, settled) in ((1, 0), (0, 1)), states
        winners.add("papers" if papers else "settlement")
    assert winners == {"papers", "settlement"}


async def test_a_case_taken_up_again_and_papers_never_both_win(hospital: Hospital) -> None:
    """The same key repeated after NOT_SENT moves the very case that papers move: the version lets one of them."""
    office = hospital.running.office()
    ended: list[str] = []
    for number in range(6):
        visit, key = f"V{number}", f"K{number}"
        hospital.rule(None, "accept_close")
        tree = message(settle_key=key, visit_key=visit, fees=[line(f"F{number}", "12.00")])
        assert (await hospital.say(tree)).state == "NOT_SENT"
        hospital.rules([])
        racers = [hospital.say(tree), office.open(visit)]
        done = await asyncio.gather(*(racers if number % 2 else racers[::-1]), return_exceptions=True)
        assert all(isinstance(one, Refused) for one in done if isinstance(one, BaseException)), done
        await hospital.running.pipeline.settled_down()
        ended.append(str((await hospital.case(key)).state))
        assert ended[-1] in ("SETTLED", "MANUAL_OPEN", "NOT_SENT")  # the last where the breaker opened meanwhile
        assert hospital.settlements.count("settled") == ended.count("SETTLED")


@pytest.mark.parametrize("loser", ["papers", "settlement"])
async def test_the_index_and_not_the_timing_decides(hospital: Hospital, loser: str) -> None:
    """One side stops right before its write, until the other has written."""
    office, papers = hospital.running.office(), hospital.running.pipeline.papers
    await refused(hospital)
    hospital.rules([])
    if loser == "papers":
        seen = await papers.visit(ORG, "V1")
        assert seen is not None
        assert seen.holder is None
        assert (await hospital.say(message(settle_key="K2"))).state == "SETTLED"
        with pytest.raises((VisitHeld, VersionMoved)):
            await papers.hold(seen, {})
        assert (await hospital.case()).state == "REJECTED"
    else:
        await office.open("V1")
        assert (await hospital.refusal(message(settle_key="K2"))).code == "VISIT_HELD"
        assert hospital.settlements == []


async def test_a_set_is_noted_by_the_witness_before_it_is_shown(centre: Simulator, folder: Path) -> None:
    path = config(folder, centre, WITNESSED)
    async with adapter(load_config(path)) as running:
        hospital = Hospital(centre, running, folder)
        await refused(hospital)
        noted = (folder / "witness").read_bytes()
        await running.office().open("V1")
        assert (folder / "witness").read_bytes().startswith(noted)
        case = await hospital.case()
        assert f"{case.case_id}\t{case.version}".encode() in (folder / "witness").read_bytes()
    assert [event["kind"] for event in export(folder / "ledger.db")][-2:] == ["PAPER_OPENED", "PAPER_SET"]


async def test_papers_left_unmade_by_a_crash_are_made_at_the_next_call(hospital: Hospital) -> None:
    """Stopped between the hold and the set: the visit is held, nothing was shown, and the same call goes on."""
    await refused(hospital)
    papers = hospital.running.pipeline.papers
    visit = await papers.visit(ORG, "V1")
    assert visit is not None
    case, _ = await papers.hold(visit, Wish().data())
    hospital.rules([])
    assert (await hospital.refusal(message(settle_key="K2"))).code == "VISIT_HELD"
    made = await hospital.running.office().open("V1")
    assert (made.is_new, made.serial) == (True, case.data["paper"]["serial"])


# -- details for the home region


async def test_details_go_to_a_centre_that_keeps_them_and_their_classes_onto_the_list(hospital: Hospital) -> None:
    hospital.can(details_stay=True)
    hospital.rule(None, "accept_close")
    assert (await hospital.say(message())).state == "NOT_SENT"
    hospital.rules([])
    hospital.centre.entries.clear()
    papers = await hospital.running.office().open("V1")
    assert hospital.calls == ["1101", "2201", "2203A", "2204"]
    assert papers.document["uploaded"] == "明细已上传就医地医保中心"
    assert [row["class"] for row in papers.document["charge_types"]] == ["西药费"]
    assert hospital.settlements == []


async def test_nothing_is_uploaded_where_it_would_not_stay_and_a_failed_upload_stops_no_papers(
    hospital: Hospital,
) -> None:
    hospital.rule(None, "accept_close")
    assert (await hospital.say(message())).state == "NOT_SENT"
    hospital.centre.entries.clear()
    assert (await hospital.running.office().open("V1")).document["uploaded"] == ""
    assert hospital.calls == []
    hospital.can(details_stay=True)
    assert (await hospital.say(message(settle_key="K2", visit_key="V2"))).state == "NOT_SENT"
    assert (await hospital.running.office().open("V2")).document["uploaded"] == "明细未留存就医地医保中心"
