"""What every ledger promises, as one abstract test class: subclass it with a ``ledger`` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

import pytest

from adapter_core.settlement.ports import KeyTaken, Ledger, MsgidTaken, VersionMoved, VisitHeld
from adapter_core.settlement.records import Alias, Bill, CallRecord, Case, Change, Encounter, Event
from adapter_core.settlement.states import Result, State
from adapter_core.values.copies import replace

ORG = "H36010000001"
AT = "2026-11-21T01:02:03Z"


class SearchableLedger(Ledger, Protocol):
    async def find(self, kind: str, value: str) -> list[str]: ...


def encounter(name: str = "e1", **more: Any) -> Encounter:
    return Encounter(
        **{
            "encounter_id": name,
            "org": ORG,
            "encounter_key": f"key-{name}",
            "kind": "outpatient",
            "dialect": "d",
            "version": 1,
            **more,
        }
    )


def bill(name: str = "b1", **more: Any) -> Bill:
    return Bill(
        **{
            "bill_id": name,
            "org": ORG,
            "encounter_id": "e1",
            "visit_key": "v1",
            "chrg_bchno": name,
            "version": 1,
            **more,
        }
    )


def case(name: str = "c1", **more: Any) -> Case:
    settle = {
        "case_id": name,
        "org": ORG,
        "purpose": "settle",
        "key": f"key-{name}",
        "visit_key": "v1",
        "encounter_id": "e1",
        "bill_id": "b1",
    }
    return Case(
        **{
            **settle,
            "kind": "outpatient",
            "dialect": "d",
            "state": State.PREPARING,
            "request_hash": "00",
            "version": 1,
            **more,
        }
    )


def call(name: str = "k1", **more: Any) -> CallRecord:
    return CallRecord(
        **{
            "call_id": name,
            "org": ORG,
            "msgid": f"msgid-{name}",
            "step": "settle",
            "message": "2207",
            "kind_class": "N",
            "case_id": "c1",
            "version": 1,
            **more,
        }
    )


def event(kind: str = "ACCEPTED", data: Mapping[str, Any] | None = None, **more: Any) -> Event:
    return Event(**{"kind": kind, "at": AT, "case_id": "c1", "data": data or {}, **more})


def one_case(name: str, visit_key: str, **more: Any) -> Change:
    """A case, its first event and its call, held by a visit of its own."""
    return Change(
        ORG,
        events=(event(case_id=name, data={"name": name}),),
        cases=(case(name, visit_key=visit_key, **more),),
        calls=(call(f"k-{name}", case_id=name),),
    )


class LedgerContract:
    """Semantics shared by all ledgers.  The fixture gives an empty one."""

    async def test_a_change_is_read_back_whole_with_every_digit(self, ledger: SearchableLedger) -> None:
        amounts = {"medfee_sumamt": Decimal("186.50"), "cnt": Decimal("2.0000"), "big": Decimal("12345678901234.5678")}
        seen = encounter(content={"person": {"psn_name": "测试甲"}}, standing={"2201": "x"}, mdtrt_id="M1")
        billed = bill(content={"fees": [amounts]}, standing={"2204": ["F1"]})
        settled = case(
            state=State.SENDING,
            told={"amounts": amounts},
            data={"quote": Decimal("0.00"), "tries": 3, "ok": True, "no": None},
            total_fen=18650,
            fund_fen=0,
            cash_fen=-5,
            opened_at=AT,
            due_at=AT,
            epoch=4,
            owner="r1",
            wanted=False,
            target_case_id="t",
            setl_id="S1",
            insuplc_admdvs="360100",
        )
        sent = call(
            result=Result.UNKNOWN,
            replied=True,
            burnt=True,
            body_hash="ab",
            not_after=AT,
            encounter_id="e1",
            bill_id="b1",
        )
        assert await ledger.commit(Change(ORG, encounter=seen, bills=(billed,), cases=(settled,), calls=(sent,))) == 0

        assert await ledger.encounter("e1") == seen == await ledger.encounter_by_key(ORG, "key-e1")
        assert await ledger.bill("b1") == billed
        read = await ledger.case("c1")
        assert read is not None
        assert read == replace(settled, data={**settled.data, "tries": Decimal(3)})
        assert read.state is State.SENDING
        assert {name: str(value) for name, value in read.told["amounts"].items()} == {
            "medfee_sumamt": "186.50",
            "cnt": "2.0000",
            "big": "12345678901234.5678",
        }
        assert type(read.data["tries"]) is Decimal
        assert await ledger.calls_of_case("c1") == [sent]
        assert (await ledger.calls_of_case("c1"))[0].result is Result.UNKNOWN

    async def test_what_is_not_there_is_none(self, ledger: SearchableLedger) -> None:
        await ledger.commit(one_case("c1", "v1"))
        assert await ledger.case("c2") is None
        assert await ledger.case_by_key(ORG, "void", "key-c1") is None
        assert await ledger.case_by_key("other", "settle", "key-c1") is None
        assert await ledger.holder(ORG, "v2") is None
        assert await ledger.encounter("e9") is None
        assert await ledger.encounter_by_key(ORG, "nobody") is None
        assert await ledger.bill("b9") is None
        assert await ledger.alias(ORG, "d", "kind", "value") is None
        assert await ledger.find("psn_no", "0") == []
        assert await ledger.cases_in([]) == []

    async def test_a_record_is_replaced_only_from_the_version_before(self, ledger: SearchableLedger) -> None:
        await ledger.commit(Change(ORG, encounter=encounter(), bills=(bill(),), cases=(case(),), calls=(call(),)))
        stale = [
            Change(ORG, encounter=encounter(version=3)),
            Change(ORG, encounter=encounter(version=1)),
            Change(ORG, bills=(bill(version=3),)),
            Change(ORG, cases=(case(version=3),)),
            Change(ORG, calls=(call(version=3),)),
            Change(ORG, calls=(call(version=1),)),
            Change(ORG, cases=(case("c2", key="new", visit_key="v2", version=2),)),
        ]
        for change in stale:
            with pytest.raises(VersionMoved):
                await ledger.commit(change)
        await ledger.commit(
            Change(
                ORG, cases=(case(version=2, state=State.READY, told={"n": "2"}),), calls=(call(version=2, burnt=True),)
            )
        )
        found = await ledger.case("c1")
        assert found is not None
        assert (found.version, found.state, found.told) == (2, State.READY, {"n": "2"})
        assert (await ledger.calls_of_case("c1"))[0].burnt
        with pytest.raises(VersionMoved):
            await ledger.commit(Change(ORG, cases=(case(version=2),)))

    async def test_of_two_writers_of_one_version_one_wins(self, ledger: SearchableLedger) -> None:
        await ledger.commit(one_case("c1", "v1"))
        attempts = [ledger.commit(Change(ORG, cases=(case(version=2, owner=owner),))) for owner in ("r1", "r2", "r3")]
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, VersionMoved) for outcome in outcomes) == 2

    async def test_a_key_is_taken_once_per_org_and_purpose(self, ledger: SearchableLedger) -> None:
        await ledger.commit(one_case("c1", "v1"))
        # Held as well, but a repeat has to hear that its key is known.
        with pytest.raises(KeyTaken):
            await ledger.commit(one_case("c2", "v1", key="key-c1"))
        await ledger.commit(one_case("c3", "v1", key="key-c1", purpose="void"))
        found = await ledger.case_by_key(ORG, "settle", "key-c1")
        assert found is not None
        assert found.case_id == "c1"

    async def test_an_encounter_key_is_taken_once(self, ledger: SearchableLedger) -> None:
        await ledger.commit(Change(ORG, encounter=encounter()))
        with pytest.raises(KeyTaken):
            await ledger.commit(Change(ORG, encounter=encounter("e2", encounter_key="key-e1")))
        assert await ledger.encounter("e2") is None

    async def test_a_visit_has_one_holder(self, ledger: SearchableLedger) -> None:
        await ledger.commit(one_case("c1", "v1"))
        with pytest.raises(VisitHeld):
            await ledger.commit(one_case("c2", "v1"))
        await ledger.commit(one_case("void", "v1", purpose="void"))
        holder = await ledger.holder(ORG, "v1")
        assert holder is not None
        assert holder.case_id == "c1"

        await ledger.commit(Change(ORG, cases=(case(version=2, state=State.NOT_SENT),)))
        assert await ledger.holder(ORG, "v1") is None
        await ledger.commit(one_case("c2", "v1"))
        with pytest.raises(VisitHeld):
            await ledger.commit(Change(ORG, cases=(case(version=3, state=State.READY),)))

    async def test_one_change_may_pass_a_visit_on(self, ledger: SearchableLedger) -> None:
        await ledger.commit(one_case("c1", "v1"))
        passed = (case("c2"), case(version=2, state=State.CANCELLED))
        await ledger.commit(Change(ORG, cases=passed))
        holder = await ledger.holder(ORG, "v1")
        assert holder is not None
        assert holder.case_id == "c2"

    async def test_two_cases_of_one_change_cant_share_a_visit_a_key_or_a_msgid(self, ledger: SearchableLedger) -> None:
        with pytest.raises(VisitHeld):
            await ledger.commit(Change(ORG, cases=(case("c1"), case("c2"))))
        with pytest.raises(KeyTaken):
            await ledger.commit(Change(ORG, cases=(case("c1"), case("c2", key="key-c1", visit_key="v2"))))
        with pytest.raises(MsgidTaken):
            await ledger.commit(Change(ORG, calls=(call("k1"), call("k2", msgid="msgid-k1"))))
        assert await ledger.case("c1") is None

    async def test_a_msgid_is_used_once_per_org_for_ever(self, ledger: SearchableLedger) -> None:
        await ledger.commit(Change(ORG, calls=(call(),)))
        with pytest.raises(MsgidTaken):
            await ledger.commit(Change(ORG, calls=(call("k2", msgid="msgid-k1"),)))
        await ledger.commit(Change("other", calls=(call("k3", org="other", msgid="msgid-k1"),)))

    @pytest.mark.parametrize(
        "refused",
        [
            Change(ORG, cases=(case("c9", key="key-c1", visit_key="v9"),)),
            Change(ORG, cases=(case("c9", visit_key="v1"),)),
            Change(ORG, cases=(case(version=7),)),
            Change(ORG, calls=(call("k9", msgid="msgid-k-c1"),)),
            Change(ORG, events=(event(data={"amount": 1.5}),)),
            Change(ORG, events=(event(data={"rows": [{"amount": Decimal("NaN")}]}),)),
        ],
        ids=["key", "visit", "version", "msgid", "float", "nan"],
    )
    async def test_a_change_is_stored_whole_or_not_at_all(self, ledger: SearchableLedger, refused: Change) -> None:
        await ledger.commit(one_case("c1", "v1"))
        good = Change(
            ORG,
            events=(event("GOOD"), *refused.events),
            encounter=encounter(),
            bills=(bill(),),
            cases=(case("c5", visit_key="v5"), *refused.cases),
            calls=(call("k5"), *refused.calls),
            aliases=(Alias(ORG, "d", "kind", "value", case_id="c5"),),
            search=(("psn_no", "P5", "c5"),),
        )
        with pytest.raises(Exception, match=r"."):
            await ledger.commit(good)
        assert await ledger.encounter("e1") is None
        assert await ledger.bill("b1") is None
        assert await ledger.case("c5") is None
        assert await ledger.alias(ORG, "d", "kind", "value") is None
        assert await ledger.find("psn_no", "P5") == []
        assert [call.call_id for call in await ledger.calls_of_case("c1")] == ["k-c1"]
        assert [event.kind for event in await ledger.events_of_case("c1")] == ["ACCEPTED"]
        assert await ledger.commit(Change(ORG, events=(event("NEXT"),))) == 2

    async def test_a_malformed_change_is_a_mistake_of_its_maker(self, ledger: SearchableLedger) -> None:
        with pytest.raises(ValueError, match="version 1"):
            await ledger.commit(Change(ORG, cases=(case(version=0),)))
        with pytest.raises(ValueError, match="record of other"):
            await ledger.commit(Change(ORG, calls=(call(org="other"),)))

    async def test_events_come_back_in_order_with_raw_bytes(self, ledger: SearchableLedger) -> None:
        body = bytes(range(256)) * 3
        await ledger.commit(
            Change(ORG, events=(event("ACCEPTED", {"n": Decimal("1.10")}), event("OTHER", case_id="c2")))
        )
        last = await ledger.commit(Change(ORG, events=(event("REPLY", raw=body, encounter_id="e1"), event("OUTCOME"))))
        assert last == 4
        events = await ledger.events_of_case("c1")
        assert [e.kind for e in events] == ["ACCEPTED", "REPLY", "OUTCOME"]
        assert str(events[0].data["n"]) == "1.10"
        assert events[1] == event("REPLY", raw=body, encounter_id="e1")

    async def test_each_org_counts_its_own_journal(self, ledger: SearchableLedger) -> None:
        assert await ledger.commit(Change(ORG, events=(event(), event()))) == 2
        assert await ledger.commit(Change("other", events=(event(),))) == 1
        assert await ledger.commit(Change(ORG)) == 2

    async def test_lists_are_oldest_first(self, ledger: SearchableLedger) -> None:
        names = ["c9", "c3", "c7"]
        for name in names:
            more = one_case(name, f"v-{name}")
            await ledger.commit(replace(more, bills=(bill(f"b-{name}"),), calls=(call(f"k-{name}"),)))
        await ledger.commit(Change(ORG, cases=(case("c9", visit_key="v-c9", version=2, state=State.RESOLVING),)))
        assert [c.case_id for c in await ledger.cases_of_bill("b1")] == names
        assert [c.case_id for c in await ledger.cases_in([State.RESOLVING, State.PREPARING])] == names
        assert [c.case_id for c in await ledger.cases_in({State.RESOLVING})] == ["c9"]
        assert [b.bill_id for b in await ledger.bills_of("e1")] == ["b-c9", "b-c3", "b-c7"]
        assert [k.call_id for k in await ledger.calls_of_case("c1")] == ["k-c9", "k-c3", "k-c7"]

    async def test_an_alias_leads_to_what_it_named_last(self, ledger: SearchableLedger) -> None:
        first = Alias(ORG, "d", "mdtrt_id", "M-1", encounter_id="e1", note="minted")
        last = replace(first, bill_id="b1", case_id="c1")
        await ledger.commit(Change(ORG, aliases=(first,)))
        assert await ledger.alias(ORG, "d", "mdtrt_id", "M-1") == first
        await ledger.commit(Change(ORG, aliases=(last,)))
        assert await ledger.alias(ORG, "d", "mdtrt_id", "M-1") == last
        for other in (("other", "d", "mdtrt_id"), (ORG, "x", "mdtrt_id"), (ORG, "d", "setl_id")):
            assert await ledger.alias(*other, "M-1") is None

    async def test_search_finds_cases_by_whole_values(self, ledger: SearchableLedger) -> None:
        await ledger.commit(Change(ORG, search=(("psn_name", "测试甲", "c2"), ("tel", "13000000000", "c2"))))
        await ledger.commit(Change(ORG, search=(("psn_name", "测试甲", "c1"), ("psn_name", "测试甲", "c2"))))
        assert await ledger.find("psn_name", "测试甲") == ["c2", "c1"]
        assert await ledger.find("tel", "13000000000") == ["c2"]
        assert await ledger.find("tel", "测试甲") == []
        assert await ledger.find("psn_name", "测试") == []

    async def test_what_was_stored_doesnt_change_with_the_callers_dict(self, ledger: SearchableLedger) -> None:
        told = {"state": "QUOTED"}
        await ledger.commit(Change(ORG, cases=(case(told=told),)))
        told["state"] = "SETTLED"
        found = await ledger.case("c1")
        assert found is not None
        assert found.told == {"state": "QUOTED"}

    async def test_the_sequence_counts_up_per_org(self, ledger: SearchableLedger) -> None:
        assert [ledger.sequence(ORG) for _ in range(3)] == [1, 2, 3]
        assert ledger.sequence("other") == 1

    async def test_concurrent_commits_all_land_and_conflicts_take_down_only_themselves(
        self, ledger: SearchableLedger
    ) -> None:
        changes = [one_case(f"c{n}", f"v{n % 50}") for n in range(100)]
        outcomes = await asyncio.gather(*map(ledger.commit, changes), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [int] * 50 + [VisitHeld] * 50
        assert sorted(outcome for outcome in outcomes if isinstance(outcome, int)) == list(range(1, 51))
        assert len(await ledger.cases_in([State.PREPARING])) == 50
