"""Evidence E4 as proof of absence: the closed day's file of the right group, asked for after the quiet period, does not name it."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest

from adapter_core.accounts.reconciling import Report
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import reconciling_of
from adapter_core.settlement.records import Change
from adapter_core.settlement.states import State
from adapter_core.settlement.verdicts import OperatorDecision
from adapter_core.simulator import statements, transactions
from adapter_core.values.copies import replace as copied
from adapter_core.values.moments import national_date
from tests.flow.conftest import Opening
from tests.flow.hospital import ORG, Hospital, line, message, void

DROPPED, LANDED = ["drop"], ["commit", "drop"]


class NextMorning:
    """The adapter's wall clock, which can be moved to 07:30 of the day after."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.today = national_date(datetime.now(UTC))

    def comes(self) -> None:
        day = datetime.fromisoformat(f"{self.today}T07:30:00+08:00") + timedelta(days=1)
        self.ahead = day - datetime.now(UTC)


@pytest.fixture
def morning(monkeypatch: pytest.MonkeyPatch) -> NextMorning:
    clock = NextMorning()
    monkeypatch.setattr(SystemClock, "wall", lambda self: datetime.now(UTC) + clock.ahead)
    return clock


@pytest.fixture
def noticed(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], asyncio.Event]:
    """Tells when the first event of a kind is in the ledger."""
    awaited: dict[str, asyncio.Event] = {}
    ledger = type(hospital.running.kept or hospital.running.ledger)
    commit = ledger.commit

    async def noticing(self: Any, change: Change) -> int:
        done = await commit(self, change)
        for event in change.events:
            awaited.setdefault(event.kind, asyncio.Event()).set()
        return done

    monkeypatch.setattr(ledger, "commit", noticing)
    return lambda kind: awaited.setdefault(kind, asyncio.Event())


def visit(number: int, **more: Any) -> dict[str, Any]:
    fees = [line(f"F{number}", "186.50")]
    return message(settle_key=f"K{number}", visit_key=f"V{number}", encounter_key=f"E{number}", fees=fees, **more)


async def doubted(
    hospital: Hospital, actions: list[str], tree: dict[str, Any], infno: str = "2207", query: str = "by_visit"
) -> None:
    """A case whose outcome only the files can tell: the query tells nothing, or there is none and a reversal proves nothing."""
    hospital.awaits_files(True)
    hospital.can(query_after_unknown=query, reverse_ok="nothing")
    lost = {"infno": infno, "nth": 1, "actions": actions}
    hospital.rules([lost, {"infno": "5203", "nth": None, "actions": ["error(-1,系统繁忙)"]}])
    assert (await hospital.say(tree, wait_s=0)).state in ("PENDING", "VOIDING")
    await hospital.arrival(infno)


async def reconciled(hospital: Hospital, day: str) -> Report:
    return await reconciling_of(hospital.running, hospital.running.place).run(day)


def spoil_file(monkeypatch: pytest.MonkeyPatch, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
    """The centre's result file with other rows."""
    honest = statements.download

    def spoiling(world: Any, asked: Any) -> Any:
        told = honest(world, asked)
        with zipfile.ZipFile(BytesIO(told["data"]["file"])) as archive:
            text = archive.read(archive.namelist()[0]).decode()
        rows = change([row.split("\t") for row in text.split("\n") if row])
        told["data"]["file"] = statements._zipped("3202.txt", "\n".join("\t".join(row) for row in rows).encode())
        return told

    table = transactions.TRANSACTIONS
    monkeypatch.setitem(table, "9102", replace(table["9102"], run=spoiling))


@pytest.mark.parametrize(
    ("foreign", "query", "ended"),
    [(False, "by_visit", "NOT_APPLIED"), (True, "by_visit", "NOT_APPLIED"), (False, "none", "REVERSED")],
    ids=["sums agree", "another terminal settled too", "a reversal was sent"],
)
async def test_a_closed_day_without_it_proves_that_nothing_stands(
    hospital: Hospital,
    morning: NextMorning,
    noticed: Callable[[str], asyncio.Event],
    foreign: bool,
    query: str,
    ended: str,
) -> None:
    """Where the sums differ, the centre's own word for what the file lists (3201 again) proves that the file is whole."""
    assert (await hospital.say(visit(2))).state == "SETTLED"
    if foreign:
        [ours] = hospital.centre.world.settlements.values()
        fields = {name: getattr(ours, name) for name in ours.__slots__} | {
            "setl_id": "J9",
            "msgid": "OTHER1",
            "lines": (),
        }
        hospital.centre.world.settle(other := type(ours)(**fields))
    await doubted(hospital, DROPPED, visit(1), query=query)
    await noticed("QUIET").wait()
    morning.comes()
    report = await reconciled(hospital, morning.today)
    assert dict(report.found) == ({"foreign_same_visit": 1} if foreign else {})
    told = await hospital.decided("K1")
    assert (told.state, told.outcome.content["case"]["closed_by"]) == (ended, "E4")
    [event] = [one for one in await events(hospital, "K1") if one.kind == "NOT_FILED"]
    assert (event.data["evidence"], event.data["day"]) == ("E4", morning.today)
    morning.ahead = timedelta()
    assert (await hospital.say(visit(1) | {"settle_key": "K3", "supersedes": "K1"})).state == "SETTLED"
    if foreign:
        hospital.centre.world.reverse(other)


async def events(hospital: Hospital, key: str) -> list[Any]:
    return await hospital.running.ledger.events_of_case((await hospital.case(key)).case_id)


async def test_a_refund_that_no_file_has_leaves_the_settlement_standing(
    hospital: Hospital, morning: NextMorning, noticed: Callable[[str], asyncio.Event]
) -> None:
    assert (await hospital.say(visit(1))).state == "SETTLED"
    await doubted(hospital, DROPPED, void("R1", "K1"), "2208", "none")
    await noticed("QUIET").wait()
    morning.comes()
    assert (await reconciled(hospital, morning.today)).state == "balanced"
    await hospital.running.pipeline.settled_down()
    assert (await hospital.case("R1", "void")).state is State.NOT_APPLIED
    assert (await hospital.case("K1")).state is State.SETTLED


async def still_in_doubt(hospital: Hospital) -> None:
    assert (await hospital.case("K1")).state in (State.RESOLVING, State.REVERSING)
    assert not [one for one in await events(hospital, "K1") if one.kind == "NOT_FILED"]


async def end(hospital: Hospital, morning: NextMorning) -> None:
    """Nobody waits any longer: the doubt becomes a person's."""
    morning.ahead += timedelta(days=2)
    await hospital.running.pipeline.settled_down()
    assert (await hospital.case("K1")).state is State.FROZEN


@pytest.mark.parametrize("early", ["the day is not closed", "the quiet period is not over"])
async def test_a_file_that_comes_too_early_proves_nothing(
    hospital: Hospital, morning: NextMorning, noticed: Callable[[str], asyncio.Event], early: str
) -> None:
    if early == "the quiet period is not over":
        hospital.can(late_commit_s=600.0)
        await doubted(hospital, DROPPED, visit(1))
        await noticed("OUTCOME").wait()
        morning.comes()
    else:
        await doubted(hospital, DROPPED, visit(1))
        await noticed("QUIET").wait()
    assert (await reconciled(hospital, morning.today)).state == "balanced"
    assert hospital.sent("9102"), "the file came, and did not name it"
    await still_in_doubt(hospital)
    await end(hospital, morning)


@pytest.mark.parametrize("cut", ["alone", "among others", "nothing but another group", "no msgid"])
async def test_a_file_that_is_not_whole_proves_nothing(
    hospital: Hospital,
    morning: NextMorning,
    noticed: Callable[[str], asyncio.Event],
    monkeypatch: pytest.MonkeyPatch,
    cut: str,
) -> None:
    """The centre has it, and its file lacks the row, or doesn't say whose it is."""
    if cut != "alone":
        assert (await hospital.say(visit(2))).state == "SETTLED"
    others = {one.setl_id for one in hospital.centre.world.settlements.values()}
    if cut == "nothing but another group":
        for one in hospital.centre.world.settlements.values():
            one.insutype = "390"
        await relabel(hospital, "K2", "390")
    await doubted(hospital, LANDED, visit(1))
    await noticed("QUIET").wait()
    morning.comes()
    if cut == "no msgid":
        hospital.temper(recon_carries_msgid=False)
    else:
        spoil_file(monkeypatch, lambda rows: [row for row in rows if row[2] in others])
    report = await reconciled(hospital, morning.today)
    assert report.state == "differs"
    await still_in_doubt(hospital)
    hospital.temper(recon_carries_msgid=True)
    monkeypatch.undo()
    await end_landed(hospital, morning)


async def relabel(hospital: Hospital, key: str, insutype: str) -> None:
    """The line of the books says another insurance type."""
    case = await hospital.case(key)
    [entry] = await hospital.running.ledger.entries_of_case(case.case_id)
    changed = copied(entry, insutype=insutype, version=entry.version + 1)
    await hospital.running.ledger.commit(Change(ORG, entries=(changed,)))


async def end_landed(hospital: Hospital, morning: NextMorning) -> None:
    """The whole file closes it after all."""
    hospital.rules([])
    morning.ahead = timedelta()
    await reconciled(hospital, morning.today)
    assert (await hospital.decided("K1")).state == "SETTLED"


async def test_what_turns_up_after_the_proof_is_an_incident(
    hospital: Hospital, morning: NextMorning, noticed: Callable[[str], asyncio.Event]
) -> None:
    assert (await hospital.say(visit(2))).state == "SETTLED"
    await doubted(hospital, DROPPED, visit(1))
    await noticed("QUIET").wait()
    morning.comes()
    await reconciled(hospital, morning.today)
    assert (await hospital.decided("K1")).state == "NOT_APPLIED"
    [ours] = hospital.centre.world.settlements.values()
    msgid = hospital.sent("2207")[-1].msgid
    fields = {name: getattr(ours, name) for name in ours.__slots__} | {"setl_id": "J9", "msgid": msgid, "lines": ()}
    hospital.centre.world.settle(late := type(ours)(**fields))
    report = await reconciled(hospital, morning.today)
    assert dict(report.found) == {"found_disproved": 1}
    assert (await hospital.case("K1")).state is State.FROZEN
    assert [one.subject for one in await hospital.running.ledger.account_items(ORG, "alarm")] == ["found_disproved"]
    hospital.centre.world.reverse(late)


async def test_a_case_that_was_frozen_meanwhile_is_closed_by_its_recheck(
    hospital: Hospital, morning: NextMorning, noticed: Callable[[str], asyncio.Event]
) -> None:
    assert (await hospital.say(visit(2))).state == "SETTLED"
    await doubted(hospital, DROPPED, visit(1))
    await noticed("QUIET").wait()
    morning.comes()
    await end(hospital, morning)
    await reconciled(hospital, morning.today)
    assert (await hospital.case("K1")).state is State.FROZEN, "a person's case is only told"
    decision = OperatorDecision("recheck", "测试主任", "对账文件未列", "3202.txt 00")
    await hospital.running.pipeline.decide(hospital.running.place, await hospital.case("K1"), decision)
    told = await hospital.decided("K1")
    assert (told.state, told.outcome.content["case"]["closed_by"]) == ("NOT_APPLIED", "E4")


async def test_the_mark_and_the_proof_outlive_the_process(
    lives: Opening, morning: NextMorning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quiet period was over before the restart; the next process need not wait it out again before it asks for the file."""
    first = await lives()
    await doubted(first, DROPPED, visit(1))
    kept = type(first.running.kept or first.running.ledger)
    commit, marked = kept.commit, asyncio.Event()

    async def noticing(self: Any, change: Change) -> int:
        done = await commit(self, change)
        if any(event.kind == "QUIET" for event in change.events):
            marked.set()
        return done

    monkeypatch.setattr(kept, "commit", noticing)
    await marked.wait()
    second = await lives()
    second.can(late_commit_s=600.0)
    morning.comes()
    await reconciled(second, morning.today)
    assert [one.data["day"] for one in await events(second, "K1") if one.kind == "NOT_FILED"] == [morning.today]
    second.can(late_commit_s=0.2)
    second.awaits_files(True)
    second.rules([])
    await second.running.pipeline.resume(lambda org: second.running.place)
    assert (await second.decided("K1")).outcome.content["case"]["closed_by"] == "E4"
