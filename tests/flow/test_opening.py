"""A settlement whose trial stands already, or whose quote: its case is stored in the same transaction as its intent, before the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest

from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.province.messages import Call
from adapter_core.settlement.ports import VersionMoved
from adapter_core.settlement.records import Change
from adapter_core.values.errors import Fault, LedgerUnavailable, TranslationError
from adapter_core.values.frames import Frame
from tests.flow.hospital import ORG, Hospital, message

Commit = Callable[[SqliteLedger, Change], Awaitable[int]]
real: Commit = SqliteLedger.commit


@pytest.fixture
async def tried(hospital: Hospital) -> Hospital:
    """A bill that was tried, and its quote cancelled: no case holds it, and nobody has to be asked before its money."""
    await hospital.say(message("quote"))
    await hospital.say({"intent": "cancel", "settle_key": "K1"})
    return hospital


@pytest.fixture
async def quoted(hospital: Hospital) -> Hospital:
    """A quote that stands: the patient has only to agree."""
    await hospital.say(message("quote"))
    return hospital


SETTLE = {"intent": "settle", "settle_key": "K1"}


def at_the_first(monkeypatch: pytest.MonkeyPatch, instead: Commit, kind: str = "ACCEPTED") -> None:
    """Another commit for the first change with an event of this kind."""
    met: list[Change] = []

    async def commit(self: SqliteLedger, change: Change) -> int:
        if not met and any(event.kind == kind for event in change.events):
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


# -- a quote that is settled


async def test_a_settled_quote_is_stored_with_its_intent(quoted: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[list[str]] = []

    async def noted(self: SqliteLedger, change: Change) -> int:
        kinds.append([event.kind for event in change.events])
        assert quoted.sent("2207") == []
        return await real(self, change)

    at_the_first(monkeypatch, noted, "SETTLE_ASKED")
    assert (await quoted.say(SETTLE)).state == "SETTLED"
    assert kinds == [["SETTLE_ASKED", "INTENT"]]


@pytest.mark.parametrize("after", [False, True], ids=["not stored", "stored after all"])
async def test_a_quote_that_could_not_be_stored_as_settled_sends_nothing(
    quoted: Hospital, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    async def refused(self: SqliteLedger, change: Change) -> int:
        if after:
            await real(self, change)
        raise LedgerUnavailable("no room")

    at_the_first(monkeypatch, refused, "SETTLE_ASKED")
    if after:
        assert (await quoted.say(SETTLE)).state == "PENDING"
        assert (await quoted.case("K1")).state == "SENDING"
    else:
        assert isinstance(await quoted.refusal(SETTLE), LedgerUnavailable)
        assert (await quoted.case("K1")).state == "QUOTED"
        assert (await quoted.say(SETTLE)).state == "SETTLED"
    assert len(quoted.sent("2207")) == (0 if after else 1)


async def test_a_quote_whose_call_can_not_be_formed_is_told_so(
    quoted: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = quoted.running.place.gateway
    encode = gateway.encode

    def refusing(call: Call, moment: datetime) -> Frame:
        if call.message == "2207":
            raise TranslationError([Fault("input.data.psn_no", "text", "nothing")])
        return encode(call, moment)

    monkeypatch.setattr(gateway, "encode", refusing)
    assert (await quoted.say(SETTLE)).state == "CANCELLED"
    assert quoted.sent("2207") == []
    assert (await quoted.kinds())[-3:] == ["TOLD", "SETTLE_ASKED", "TOLD"]


async def test_a_quote_settled_twice_at_once_is_sent_once(quoted: Hospital) -> None:
    told = await asyncio.gather(quoted.say(SETTLE), quoted.say(SETTLE))
    assert [one.state for one in told] == ["SETTLED", "SETTLED"]
    assert len(quoted.sent("2207")) == 1
