"""The accounts' SQL says the same on SQLite and on PostgreSQL, over ledgers with the same records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_core.accounts.books import Books, PostgresBooks, SqliteBooks
from adapter_core.accounts.centre_desk import Totals
from adapter_core.accounts.clearing import CLASSED, CLEARED, NOT_LISTED
from adapter_core.accounts.day_end import Undecided, day_end
from adapter_core.accounts.day_sums import DOUBTS, OLD_WAYS, UNNAMED, earlier_groups, groups_of
from adapter_core.accounts.deadlines import settled_days
from adapter_core.accounts.his_books import COMPARED, MISSING, TABLE
from adapter_core.accounts.matching import Matching
from adapter_core.accounts.payments import BankLine, matched
from adapter_core.accounts.receivables import inquiries, prepayment, receivables
from adapter_core.accounts.reports import direct_rates, sums
from adapter_core.accounts.statement_file import BadFile, CentreRow
from adapter_core.accounts.statement_form import StatementForm
from adapter_core.accounts.watching import PERSON_MANY_PLACES, REFUNDS, SPLIT_BILLS, TERMINAL_MANY_CARDS, take_day
from adapter_core.ledger.sealing import MasterKey
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.records import Bill, CallRecord, Case, Change, Encounter, Entry
from adapter_core.settlement.states import State
from adapter_core.settlement.unfiled import Doubted
from adapter_core.values.copies import replace
from tests.clocks import HandClock

from .postgres_server import postgres_server

ORG, DAY, HOME = "H36010000001", "2026-11-21", "360100"
MASTER = MasterKey(bytes(range(32)))


def settled(number: int, **more: Any) -> Change:
    case = Case(
        f"c{number}", ORG, "settle", f"K{number}", f"v{number}", "e1", "b1", "outpatient", "d",
        State.SETTLED, "", 1, total_fen=10_000, fund_fen=6_000, account_fen=1_000, cash_fen=3_000,
        insuplc_admdvs="330100", opened_at="2026-11-20T17:00:00Z",
    )  # fmt: skip
    entry = Entry(
        f"c{number}", ORG, f"c{number}", "settle", DAY, f"{DAY} 09:{number:02}:00", "2026-11-21T01:00:00Z", f"J{number}",
        f"X{number}", "outpatient", 10_000, 6_000, 1_000, 1_000, 3_000, mdtrt_id=f"M{number}", insutype="310",
        clr_type="11", insuplc_admdvs="330100", scheme="national", operator="001", terminal="T1",
    )  # fmt: skip
    call = CallRecord(f"k{number}", ORG, f"X{number}", "pay", "2207", "N", f"c{number}", version=1)
    state = more.pop("state", State.SETTLED)
    booked = (replace(entry, **more),) if state is State.SETTLED else ()
    search = (("psn_no", "P1", f"c{number}"),)
    return Change(ORG, cases=(replace(case, state=state),), calls=(call,), entries=booked, search=search)


STAY: dict[str, Any] = {
    "kind": "inpatient", "business_day": "2026-11-23", "scheme": "local", "clr_type": "21", "fund_fen": 0, "account_fen": 0,
    "acct_pay_fen": 0, "cash_fen": 0,
}  # fmt: skip


def changes() -> list[Change]:
    encounter = Encounter("e1", ORG, "e1", "outpatient", "d", 1, "M1", {"person": {"psn_no": "P1"}})
    return [
        Change(ORG, encounter=encounter, bills=(Bill("b1", ORG, "e1", "v1", "B1", 1),)),
        *(settled(number) for number in range(1, 6)),
        settled(6, state=State.RESOLVING),
        settled(7, state=State.NOT_APPLIED),
        settled(8, business_day="2026-11-22"),
        # stays at 30,000 yuan: one just below, one at it, one that was refunded; another scheme's, so no prepayment
        *(
            settled(number, **STAY, total_fen=total)
            for number, total in ((10, 29_999_99), (11, 30_000_00), (12, 31_000_00))
        ),
        settled(13, **STAY, entry="void", total_fen=-31_000_00, original_setl_id="J12", mdtrt_id="M12"),
    ]


@pytest.fixture(params=["sqlite", "postgresql"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    if request.param == "sqlite":
        with SqliteLedger.open(
            tmp_path / "ledger.db", MASTER, environment="test", clock=HandClock(), ballast_bytes=0, free_bytes_min=0
        ) as ledger:
            for change in changes():
                ledger.commit_now(change)
            yield SqliteBooks(tmp_path / "ledger.db")
        return
    pytest.importorskip("psycopg_pool", reason="psycopg-pool is not installed")
    from adapter_core.ledger.postgres import PostgresLedger

    server = postgres_server()
    url = server.new_database()

    async def fill() -> None:
        async with await PostgresLedger.open(url, MASTER, environment="test", clock=HandClock()) as ledger:
            for change in changes():
                await ledger.commit(change)

    asyncio.run(fill())
    yield PostgresBooks(url)
    server.drop_databases()


def row(line: int, number: int, **more: Any) -> CentreRow:
    plain = CentreRow(line, "P1", f"M{number}", f"J{number}", f"X{number}", "0", 0, "", 10_000, 6_000, 1_000)
    return plain._replace(**more)


def found(books: Books, rows: list[CentreRow]) -> dict[str, str]:
    with books.working() as working:
        working.run(OLD_WAYS)
        matching = Matching(working, ORG, DAY, HOME, HOME)
        matching.read(rows, StatementForm())
        return {one.msgid or one.setl_id: one.code for one in matching.differences()}


def test_every_class_is_told_apart(books: Books) -> None:
    rows = [
        row(1, 1),
        row(2, 2, msgid=""),  # joined by its setl_id
        row(3, 3, fund=6_100),
        row(4, 4, total=9_999),
        row(5, 6, setl_id="J61"),
        row(6, 7, setl_id="J71"),
        row(7, 8),
        row(8, 9, msgid="Y9", setl_id="J91", mdtrt_id="M91"),
        row(9, 1, msgid="Y1", setl_id="J92"),
        row(10, 2, msgid="Y2", setl_id="J93", refunded=1),
        row(11, 3),
    ]
    assert found(books, rows) == {
        "X3": "listed_twice",
        "X4": "total_differs",
        "X6": "found_in_doubt",
        "X7": "found_disproved",
        "X8": "other_day",
        "Y9": "foreign",
        "Y1": "foreign_same_visit",
        "Y2": "refunded_elsewhere",
        "X5": "ours_only",
    }


def test_a_file_of_another_day_is_no_statement_of_this_one(books: Books) -> None:
    form = StatementForm(missing_rows=2)
    with books.working() as working:
        working.run(OLD_WAYS)
        matching = Matching(working, ORG, DAY, HOME, HOME)
        with pytest.raises(BadFile):
            matching.read([row(1, 1, msgid="Q", setl_id="Q")], form)


def test_sums_dues_and_day_end(books: Books) -> None:
    unknown = [Undecided("W6", "002", "T9", "09:04", 10_000)]
    told = day_end(books, ORG, DAY, ("00:00", "09:03"), unknown)
    assert [(line.shift, line.settled, line.total) for line in told.lines] == [
        ("00:00", 2, 20_000),
        ("09:03", 3, 30_000),
        ("09:03", 0, 0),
    ]
    assert (told.agrees, told.sum().cash, told.sum().unknown) == (True, 15_000, 1)
    assert [line.terminal for line in told.of("002").lines] == ["T9"]
    [due] = [one for one in receivables(books, ORG) if one.scheme == "national"]
    assert (due.month, due.region, due.count, due.owed) == ("2026-11", "330100", 6, 42_000)
    levels = {quota: prepayment(books, ORG, "2026", quota)["level"] for quota in (51_429, 51_428, 40_001, 40_000, 0)}
    assert levels == {51_429: "ok", 51_428: "yellow", 40_001: "yellow", 40_000: "red", 0: "none"}
    [inquired] = inquiries(books, ORG, "2026-11")
    assert (inquired["setl_id"], inquired["total"], inquired["answer_by"]) == ("J11", "30000.00", "2026-12-26")
    assert settled_days(books, ORG, "2026-11") == {DAY, "2026-11-22", "2026-11-23"}
    line = BankLine("2026-12-05", 42_000, "测试", "B1", "")
    assert matched(books, [due], [("b1", line)]) == {"b1": ("2026-11", "330100")}
    by_day, by_region = sums(books, ORG, DAY, "2026-11-22")
    assert [cells[:4] for cells in by_day.rows[1:]] == [[DAY, "5", "0", "500.00"], ["2026-11-22", "1", "0", "100.00"]]
    assert len(by_region.rows) == 2
    [rate_by_day, rate_by_region], failures = direct_rates(books, ORG, DAY, DAY)
    assert rate_by_day.rows[1] == [DAY, "11", "10", "1", "90.9"]
    assert rate_by_region.rows[1] == ["330100 浙江省杭州市", "11", "10", "1", "90.9"]
    assert failures == ["c7"]  # c6 is not known yet, so it is neither
    assert direct_rates(books, ORG, "2026-11-22", "2026-11-30")[0][0].rows[1:] == [["合计", "0", "0", "0", ""]]


def test_every_other_statement_runs(books: Books) -> None:
    with books.working() as working:
        ledger = working.ledger
        working.run(CLEARED)
        working.load("cleared", ("setl_sn", "mdtrt_id", "total", "paid", "place", "agrees"), [("J1", "M1", 1, 1, 0, 0)])
        assert [one[0] for one in working.rows(CLASSED.format(ledger=ledger), ORG)] == ["amount_differs"]
        missing = [one[0] for one in working.rows(NOT_LISTED.format(ledger=ledger), ORG, DAY, DAY, "3601")]
        assert missing == ["J2", "J3", "J4", "J5"]
        working.run(TABLE)
        columns = ("line", "number", "setl_id", "refunded", "total", "fund", "account", "cash")
        working.load("his", columns, [(1, "K1", "", 0, 10_000, 6_000, 1_000, 3_000), (2, "K99", "", 0, 1, 0, 0, 1)])
        assert [one[0] for one in working.rows(COMPARED.format(ledger=ledger), ORG, ORG)] == ["his_only"]
        assert len(list(working.rows(MISSING.format(ledger=ledger), ORG, DAY))) == 4
        take_day(working, DAY)
        assert list(working.rows(PERSON_MANY_PLACES, 3600, ORG, 2)) == []
        assert list(working.rows(TERMINAL_MANY_CARDS, 3600, ORG, 1)) == [("T1", "", 1)]
        assert [int(one[2]) for one in working.rows(SPLIT_BILLS, ORG, 20_000, 4, 30_000)] == [5]
        assert list(working.rows(REFUNDS, ORG, 1, 20)) == []


def doubt(number: int, **more: Any) -> Doubted:
    plain = {"insutype": "310", "clr_type": "11", "optins": "", "refunded": False, "mdtrt_id": f"M{number}"}
    return Doubted(f"c{number}", "gateway", f"X{number}", (DAY,), True, **{**plain, **more})


def test_what_a_file_does_not_name(books: Books) -> None:
    """A file with ours but one, one of nobody's, and one without a msgid."""
    group = Totals("310", "11", HOME, False, 0, 0, 0, 0)
    rows = [
        *(row(number, number) for number in range(1, 6)),
        row(6, 9, msgid="Y9", setl_id="J91", total=500, fund=5, account=0),
    ]
    with books.working() as working:
        working.run(OLD_WAYS)
        matching = Matching(working, ORG, DAY, HOME, HOME)
        matching.read(rows, StatementForm())
        assert matching.lists_all(group)
        assert matching.listed(group) == Totals("310", "11", HOME, False, 6, 50_500, 30_005, 5_000)
        assert matching.listed(Totals("390", "11", HOME, False, 0, 0, 0, 0)).count == 1
        assert matching.listed(Totals("", "", HOME, None, 0, 0, 0, 0)).count == 6
        assert not matching.may_name(doubt(6))
        assert matching.may_name(doubt(6, mdtrt_id="M9")), "a row of its visit that is nobody's"
        assert matching.may_name(doubt(1, mdtrt_id="")), "it is named"
        matching.read([*rows[1:], row(7, 7, msgid="", setl_id="J77")], StatementForm())
        assert not matching.lists_all(group)
        assert matching.may_name(doubt(6)), "a row that names no msgid"


def test_the_days_groups_and_doubts_by_gateway(books: Books) -> None:
    with books.working() as working:
        working.run(OLD_WAYS)
        assert groups_of(working, ORG, DAY, HOME) == [("", Totals("310", "11", HOME, False, 5, 50_000, 30_000, 5_000))]
        unnamed = list(working.rows(UNNAMED.format(ledger=working.ledger), ORG, DAY))
        assert len(unnamed) == 5
        working.load("old_ways", ("entry_id", "way"), [(entry_id, "new") for entry_id, _ in unnamed[:2]])
        assert [(way, group.count) for way, group in groups_of(working, ORG, DAY, HOME)] == [("", 3), ("new", 2)]
        assert len(earlier_groups(working, ORG, "2026-11-23", HOME)) == 1
        assert [tuple(one) for one in working.rows(DOUBTS.format(ledger=working.ledger), ORG)] == [("c6",)]
        matching = Matching(working, ORG, DAY, HOME, HOME, "new")
        assert matching.read([row(1, 1), row(2, 2), row(3, 3)], StatementForm()) == (2, 3)
        # another gateway's line of the same number is not the row's
        assert [one.code for one in matching.differences()] == ["other_day"]
