"""A settlement whose trial stands already: its case is stored in the same transaction as its intent, before the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.ports import VersionMoved
from adapter_core.settlement.records import Change
from adapter_core.values.errors import LedgerUnavailable
from tests.flow.hospital import ORG, Hospital, message

Commit = Callable[[SqliteLedger, Change], Awaitable[int]]
real: Commit = SqliteLedger.commit


@pytest.fixture
async def tried(hospital: Hospital) -> Hospital:
    """A bill that was tried, and its quote cancelled: no case holds it, and nobody has to be asked before its money."""
    await hospital.say(message("quote"))
    await hospital.say({"intent": "cancel", "settle_key": "K1"})
    return hospital


def at_the_first(monkeypatch: pytest.MonkeyPatch, instead: Commit) -> None:
    """Another commit for the first change that accepts a case."""
    met: list[Change] = []

    async def commit(self: SqliteLedger, change: Change) -> int:
        if not met and any(event.kind == "ACCEPTED" for event in change.events):
            met.append(change)
            return await instead(self, change)
        return await real(self, change)

    monkeypatch.setattr(SqliteLedger, "commit", commit)


async def test_it_is_stored_with_its_intent_and_nothing_is_asked(
    tried: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[list[str]] = []

    async def noted(self: SqliteLedger, change: Change) -> int:
        kinds.append([event.kind for event in change.events])
        assert tried.sent("2207") == []
        return await real(self, change)

    at_the_first(monkeypatch, noted)
    before = list(tried.calls)
    assert (await tried.say(message(settle_key="K2"))).state == "SETTLED"
    assert tried.calls == [*before, "2207"]
    assert kinds == [["ACCEPTED", "PREPARED", "INTENT"]]
    assert await tried.kinds("K2") == ["ACCEPTED", "PREPARED", "INTENT", "REPLY", "OUTCOME", "TOLD"]


async def test_a_new_quote_is_stored_with_its_answer(tried: Hospital) -> None:
    before = list(tried.calls)
    assert (await tried.say(message("quote", settle_key="K2"))).state == "QUOTED"
    assert tried.calls == before
    assert await tried.kinds("K2") == ["ACCEPTED", "PREPARED", "TOLD"]
    assert (await tried.say({"intent": "settle", "settle_key": "K2"})).state == "SETTLED"


async def test_where_it_can_not_be_stored_nothing_is_sent_and_the_key_is_free(
    tried: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(self: SqliteLedger, change: Change) -> int:
        raise LedgerUnavailable("no room")

    at_the_first(monkeypatch, refused)
    assert isinstance(await tried.refusal(message(settle_key="K2")), LedgerUnavailable)
    assert tried.sent("2207") == []
    assert await tried.running.ledger.case_by_key(ORG, "settle", "K2") is None
    assert (await tried.say(message(settle_key="K2"))).state == "SETTLED"


async def test_where_nobody_knows_whether_it_is_stored_nothing_is_sent_and_nothing_called_failed(
    tried: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def undecided(self: SqliteLedger, change: Change) -> int:
        await real(self, change)
        raise LedgerUnavailable("the connection broke", code="LEDGER_UNDECIDED")

    at_the_first(monkeypatch, undecided)
    assert (await tried.say(message(settle_key="K2"))).state == "PENDING"
    assert tried.sent("2207") == []
    assert (await tried.case("K2")).state == "SENDING"


async def test_who_meets_another_writer_reads_again_and_sends_once(
    tried: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def moved(self: SqliteLedger, change: Change) -> int:
        raise VersionMoved("another bill of the encounter")

    at_the_first(monkeypatch, moved)
    assert (await tried.say(message(settle_key="K2"))).state == "SETTLED"
    assert len(tried.sent("2207")) == 1


async def test_a_his_that_hangs_up_meanwhile_changes_nothing(tried: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(self: SqliteLedger, change: Change) -> int:
        begun.set()
        await go_on.wait()
        return await real(self, change)

    at_the_first(monkeypatch, slow)
    asking = asyncio.create_task(tried.say(message(settle_key="K2")))
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    go_on.set()
    assert (await tried.decided("K2")).state == "SETTLED"
    assert len(tried.sent("2207")) == 1
