"""Reconciling a day of a real adapter with the simulated centre: differences made by acting, found, recorded once, acted on."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest

from adapter_core.accounts.office import item_data
from adapter_core.accounts.reconciling import Reconciling, Report
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import reconciling_of
from adapter_core.settlement.states import State
from adapter_core.simulator import statements
from adapter_core.values.moments import national_date
from tests.flow.hospital import ORG, Hospital, line, message, void


def today() -> str:
    return national_date(datetime.now(UTC))


def visit(number: int, **more: Any) -> dict[str, Any]:
    fees = [line(f"F{number}", "186.50")]
    return message(settle_key=f"K{number}", visit_key=f"V{number}", encounter_key=f"E{number}", fees=fees, **more)


def reconciler(hospital: Hospital) -> Reconciling:
    return reconciling_of(hospital.running, hospital.running.place)


async def reconciled(hospital: Hospital, detail: bool = False) -> Report:
    return await reconciler(hospital).run(today(), detail=detail)


async def items(hospital: Hospital, topic: str) -> list[Any]:
    return await hospital.running.ledger.account_items(ORG, topic)


async def test_each_booked_settlement_and_refund_is_an_entry_with_the_same_sums(hospital: Hospital) -> None:
    for number in (1, 2, 3):
        assert (await hospital.say(visit(number))).state == "SETTLED"
    assert (await hospital.say(void("R2", "K2"))).state == "VOIDED"
    settled, refund = await hospital.case("K2"), await hospital.case("R2", "void")
    [entry] = await hospital.running.ledger.entries_of_case(settled.case_id)
    [back] = await hospital.running.ledger.entries_of_case(refund.case_id)
    assert (entry.total_fen, entry.fund_fen, entry.cash_fen) == (18650, settled.fund_fen, settled.cash_fen)
    assert (back.entry, back.total_fen, back.fund_fen, back.original_setl_id) == (
        "void", -18650, -entry.fund_fen, entry.setl_id,
    )  # fmt: skip
    assert entry.business_day == today()
    assert entry.insutype == "310"
    assert entry.clr_type == "11"
    assert entry.msgid == hospital.truth["settlements"][1]["msgid"]


async def test_a_day_that_agrees_needs_no_file(hospital: Hospital) -> None:
    for number in (1, 2):
        await hospital.say(visit(number))
    await hospital.say(void("R2", "K2"))
    report = await reconciled(hospital)
    assert (report.state, report.sums["count"], report.sums["total"]) == ("balanced", 3, 18650)
    assert len(hospital.sent("3201")) == 2
    assert not hospital.sent("3202")
    report = await reconciled(hospital, detail=True)
    assert (report.state, report.rows_here, report.rows_there, dict(report.found)) == ("balanced", 3, 3, {})


async def test_a_lost_reply_is_adopted_by_the_file(hospital: Hospital) -> None:
    """The query never shows it (lag), so E4 is what closes the doubt; the amounts come by the number the file names."""
    hospital.can(late_commit_s=600.0, query_after_unknown="by_visit")
    hospital.temper(query_lag_s=600.0)
    hospital.rule("2207", "commit", "drop")
    assert (await hospital.say(visit(1))).state == "PENDING"
    hospital.rules([])
    hospital.temper(query_lag_s=0.0, query="by_setl_id_only")
    report = await reconciled(hospital)
    assert dict(report.found) == {"found_in_doubt": 1}
    told = await hospital.decided("K1")
    assert told.state == "SETTLED"
    assert told.outcome.content["case"]["closed_by"] == "E4"
    again = await reconciled(hospital)
    assert again.state == "balanced"
    assert again.closed == 1
    assert [item.state for item in await items(hospital, "difference")] == ["closed"]


async def test_what_another_terminal_settled_is_never_touched(hospital: Hospital) -> None:
    await hospital.say(visit(1))
    world = hospital.centre.world
    [ours] = world.settlements.values()
    foreign = type(ours)(
        **{name: getattr(ours, name) for name in ours.__slots__} | {"setl_id": "J9", "msgid": "OTHER1", "lines": ()}
    )
    world.settle(foreign)
    before = [entry.infno for entry in hospital.centre.entries if entry.infno in ("2208", "2601", "2207")]
    for _ in range(3):
        report = await reconciled(hospital)
        assert dict(report.found) == {"foreign_same_visit": 1}
    [item] = await items(hospital, "difference")
    assert (item.subject, item.state, item.amount_fen) == ("foreign_same_visit", "open", 18650)
    assert foreign.state == "settled"
    assert [entry.infno for entry in hospital.centre.entries if entry.infno in ("2208", "2601", "2207")] == before
    assert (await hospital.case("K1")).state is State.SETTLED
    world.reverse(foreign)


async def test_ours_alone_is_asked_for_then_frozen_and_never_sent_again(hospital: Hospital) -> None:
    await hospital.say(visit(1))
    await hospital.say(visit(2))
    world = hospital.centre.world
    lost = next(iter(world.settlements.values()))
    world.reverse(lost)
    for _ in range(3):
        report = await reconciled(hospital)
        assert dict(report.found) == {"ours_only": 1}
    assert (await hospital.case("K1")).state is State.FROZEN
    [item] = await items(hospital, "difference")
    assert (item.state, item.facts["query"]) == ("frozen", "absent")
    assert len(hospital.sent("2207")) == 2
    assert not hospital.sent("2208")


async def test_a_disproved_case_is_an_incident(hospital: Hospital) -> None:
    hospital.rule("2207", "commit", "error(-1,没有获取到异地备案信息!)")
    assert (await hospital.say(visit(1))).state == "REJECTED"
    hospital.rules([])
    report = await reconciled(hospital)
    assert dict(report.found) == {"found_disproved": 1}
    assert (await hospital.case("K1")).state is State.FROZEN
    [alarm] = await items(hospital, "alarm")
    assert alarm.subject == "found_disproved"


def spoilt(good: bytes, how: str) -> bytes:
    with zipfile.ZipFile(BytesIO(good)) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    rows = [row.split("\t") for row in text.split("\n")]
    if how == "cut":
        return good[: len(good) // 2]
    if how == "bomb":
        return statements._zipped("3202.txt", b"0" * 30_000_000)
    if how == "shuffled":
        rows = [row[3:] + row[:3] for row in rows]
    elif how == "wrong count":
        rows[0] = rows[0][:-1]
    text = "\n".join("\t".join(row) for row in rows)
    if how == "blank lines":
        text = text.replace("\n", "\n\n")
    if how == "two files":
        out = BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("a.txt", text)
            archive.writestr("b.txt", text)
        return out.getvalue()
    return statements._zipped("3202.txt", text.encode())


@pytest.mark.parametrize("how", ["cut", "bomb", "shuffled", "wrong count", "blank lines", "two files"])
async def test_a_bad_file_changes_nothing_and_raises_one_alarm(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    for number in (1, 2):
        await hospital.say(visit(number))
    world = hospital.centre.world
    world.reverse(next(iter(world.settlements.values())))
    world.reverse(list(world.settlements.values())[1])
    for number in (3, 4):
        assert (await hospital.say(visit(number))).state == "SETTLED"
    honest = statements.download

    def spoiling(world: Any, asked: Any) -> Any:
        told = honest(world, asked)
        told["data"]["file"] = spoilt(told["data"]["file"], how)
        return told

    table = table_of()
    monkeypatch.setitem(table, "9102", type(table["9102"])(spoiling, writes=False))
    for _ in range(3):
        report = await reconciled(hospital)
        assert report.state == "refused", report
    assert not await items(hospital, "difference")
    assert len(await items(hospital, "alarm")) == 1
    assert (await hospital.case("K1")).state is State.SETTLED
    monkeypatch.undo()
    assert dict((await reconciled(hospital)).found) == {"ours_only": 2}


def table_of() -> dict[str, Any]:
    from adapter_core.simulator import transactions

    return transactions.TRANSACTIONS


async def test_rows_in_another_order_find_the_same(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        await hospital.say(visit(number))
    world = hospital.centre.world
    world.reverse(list(world.settlements.values())[1])
    honest = statements.compare

    def turned(world: Any, asked: Any) -> Any:
        told = honest(world, asked)
        number = told["fileinfo"]["file_qury_no"]
        name, raw = world.files[number]
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            rows = archive.read(archive.namelist()[0]).decode().split("\n")
        world.files[number] = (name, statements._zipped("3202.txt", "\n".join(reversed(rows)).encode()))
        return told

    table = table_of()
    monkeypatch.setitem(table, "3202", type(table["3202"])(turned, writes=False))
    assert dict((await reconciled(hospital)).found) == {"ours_only": 1}


async def test_the_round_makes_up_for_days_it_was_down(hospital: Hospital) -> None:
    from adapter_core.accounts.rounds import Rounds, Times

    class Set(SystemClock):
        at = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)  # 23:00 in China

        def wall(self) -> datetime:
            return self.at

    ran: list[tuple[str, str]] = []

    async def run(day: str, phase: str) -> Report:
        ran.append((day, phase))
        return Report(ORG, day)

    clock = Set()
    ledger = hospital.running.ledger
    rounds = Rounds(ORG, ledger, hospital.running.pipeline.from_files, run, clock, Times())
    await rounds.look()
    assert ran == []
    clock.at = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    await rounds.look()
    await rounds.look()
    assert sorted(ran) == [
        ("2026-11-20", "T+1"), ("2026-11-21", "T+0"), ("2026-11-21", "T+1"), ("2026-11-22", "T+0"), ("2026-11-22", "T+1"),
    ]  # fmt: skip


async def test_killed_in_the_middle_and_run_three_times_each_difference_has_one_record(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter_core.accounts.acting import Acting

    for number in range(1, 6):
        await hospital.say(visit(number))
    world = hospital.centre.world
    for one in list(world.settlements.values())[:3]:
        world.reverse(one)
    act, acted = Acting.act, []

    async def killed(self: Acting, found: Any) -> Any:
        if len(acted) == 2:
            raise KeyboardInterrupt
        acted.append(await act(self, found))
        return acted[-1]

    monkeypatch.setattr(Acting, "act", killed)
    with pytest.raises(KeyboardInterrupt):
        await reconciled(hospital)
    monkeypatch.undo()
    assert len(await items(hospital, "difference")) == 2
    for _ in range(3):
        assert dict((await reconciled(hospital)).found) == {"ours_only": 3}
    found = await items(hospital, "difference")
    assert [item.state for item in found] == ["frozen"] * 3
    assert len({item.case_id for item in found}) == 3


async def test_a_decision_takes_a_settlement_out_of_the_books_again(hospital: Hospital) -> None:
    from adapter_core.settlement.verdicts import OperatorDecision

    for number in (1, 2):
        await hospital.say(visit(number))
    world = hospital.centre.world
    world.reverse(next(iter(world.settlements.values())))
    await reconciled(hospital)
    case = await hospital.case("K1")
    decision = OperatorDecision("not_applied", "测试主任", "中心书面答复没有该笔", "reply.pdf 00")
    await hospital.running.pipeline.decide(hospital.running.place, case, decision)
    [entry] = await hospital.running.ledger.entries_of_case(case.case_id)
    assert (entry.stands, entry.version) == (False, 2)
    report = await reconciled(hospital)
    assert (report.state, report.sums["count"], report.closed) == ("balanced", 1, 1)


@pytest.mark.parametrize("shows", ["unsettled", "unknown"])
async def test_a_total_that_differs_is_frozen_with_the_lines_that_differ(hospital: Hospital, shows: str) -> None:
    """The centre lost a line after it settled; 5204 is asked only where the gateway is known to show lines."""
    hospital.can(fees_query=shows)
    fees = [line("F1", "186.50"), line("F2", "13.50")]
    assert (await hospital.say(visit(1) | {"fees": fees})).state == "SETTLED"
    [theirs] = hospital.centre.world.settlements.values()
    bill = theirs.split.bill
    theirs.split = replace(theirs.split, bill=replace(bill, medfee_sumamt=Decimal("186.50")))
    gone = theirs.visit.lines.pop(
        next(number for number, one in theirs.visit.lines.items() if one.pric == Decimal("13.50"))
    )
    for _ in range(2):
        report = await reconciled(hospital)
        assert dict(report.found) == {"total_differs": 1}
    [item] = await items(hospital, "difference")
    assert (item.state, item.amount_fen, item.facts["query"]) == ("frozen", 18650, "contradiction")
    assert len(hospital.sent("5204")) == (1 if shows == "unsettled" else 0)
    if shows == "unknown":
        assert "fees_query" in item.facts["lines_text"]
        assert "lines" not in item.facts
    else:
        [differing] = item.facts["lines"]
        assert (differing["ours"], differing["centre"]) == ("13.50", "")
    shown = item_data(item)
    assert shown["lines"] == item.facts.get("lines", [])
    assert shown["lines_text"] == item.facts["lines_text"]
    theirs.split = replace(theirs.split, bill=bill)
    theirs.visit.lines[gone.feedetl_sn] = gone
