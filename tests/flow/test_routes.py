"""Several institutions and several gateways: who goes where, for how long, and what happens across a switch."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter_core.accounts.reconciling import Report
from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import reconciling_of
from adapter_core.bootstrap.site import plugins
from adapter_core.config import load_config
from adapter_core.ledger.sealing import create_master_key
from adapter_core.settlement.records import Change
from adapter_core.settlement.ways import way_of
from adapter_core.simulator.faults import read_rules
from adapter_core.simulator.people import Filing
from adapter_core.simulator.server import Simulator
from adapter_core.values.copies import replace
from adapter_core.values.moments import national_date
from tests.flow.hospital import ORG, Hospital, config_text, message, same_truth, void
from tests.flow.served import TOKEN, clients, served, write_secret

OLD_AND_NEW = """
[gateways.new]
kind = "national"
url = "{new}/fsi/api"
plain_http = "flow tests"
query_after_unknown = "by_visit"
"""
SHANGHAI = """
environment = "test"
[institution]
fixmedins_code = "H31000000001"
fixmedins_name = "测试医院"
admdvs = "310100"
gateway = "elsewhere"
[institution.defaults]
"visit.caty" = "A03"
[ledger]
master_key_file = "master.key"
[gateways.local]
kind = "shanghai-v5"
url = "{url}/bridge/shanghai-v5"
plain_http = "flow tests"
options = {{ jgdm = "00000000001", query = "bridge" }}
secret_files = {{ startup = "startup" }}
[gateways.elsewhere]
kind = "shanghai"
url = "{url}"
plain_http = "flow tests"
options = {{ env = "test" }}
secret_files = {{ apikey = "apikey" }}
query_after_unknown = "by_visit"
[[routes]]
gateway = "local"
insured = ["@home"]
[timers]
money_deadline = 10.0
late_commit = 11.0
query_lag = 0
second_negative = 0.05
query_steps = [0.05]
query_step_last = 0.1
"""


UNRESOLVED = [
    {"infno": "2207", "nth": None, "actions": ["commit", "drop"]},
    {"infno": "5203", "nth": None, "actions": ["drop"]},
]
"""A settlement is made, its answer is lost, and for now nobody can ask about it."""


def card(number: str) -> dict[str, str]:
    return {"mdtrt_cert_type": "03", "mdtrt_cert_no": number}


@pytest.fixture
async def second() -> AsyncIterator[Simulator]:
    """Another centre."""
    async with Simulator(seed=2) as started:
        yield started


@asynccontextmanager
async def life(centre: Simulator, folder: Path, **capabilities: Any) -> AsyncIterator[Hospital]:
    """One life of the adapter; where no reply is late, no late commit is waited for on any gateway."""
    async with adapter(load_config(folder / "his-adapter.toml")) as running:
        for place in running.place.every_way():
            gateway = place.gateway
            gateway.capabilities = replace(gateway.capabilities, late_commit_s=0.2, **capabilities)
        yield Hospital(centre, running, folder)


def configure(folder: Path, centre: Simulator, more: str = "") -> None:
    if not (folder / "master.key").exists():
        create_master_key(folder / "master.key")
    (folder / "his-adapter.toml").write_text(config_text(centre.url) + more, "utf-8")


def cut_over(at: datetime, freeze_s: float = 0.0) -> str:
    return f'[[cutovers]]\nat = {at.isoformat()}\nfrom = "gateway"\nto = "new"\nfreeze_s = {freeze_s}\n'


async def lose_the_answer(hospital: Hospital) -> None:
    """K1 is settled, and the adapter stops while it asks what became of it."""
    hospital.rules(UNRESOLVED)
    assert (await hospital.say(message(), 0.0)).state == "PENDING"
    await hospital.arrival("5203")


async def way(hospital: Hospital, key: str = "K1") -> str | None:
    case = await hospital.case(key)
    encounter = await hospital.running.ledger.encounter(case.encounter_id)
    assert encounter is not None
    return way_of(encounter)


# -- Shanghai: local persons by the old library, all others by the national route


@pytest.fixture
async def shanghai(tmp_path: Path) -> AsyncIterator[tuple[Simulator, Path]]:
    loaded = plugins()
    create_master_key(tmp_path / "master.key")
    write_secret(tmp_path / "startup", "startup-test-0001")
    write_secret(tmp_path / "apikey", "sh-apikey-test-0001")
    async with Simulator(dialects={"shanghai-v5": loaded.dialect("shanghai-v5")}) as centre:
        for person in centre.world.people:
            person.filings.append(Filing("long_stay", "31", "2020-01-01"))
        (tmp_path / "his-adapter.toml").write_text(SHANGHAI.format(url=centre.url), "utf-8")
        yield centre, tmp_path


async def case_of(hospital: Hospital, key: str = "K1", purpose: str = "settle") -> Any:
    found = await hospital.running.ledger.case_by_key("H31000000001", purpose, key)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("person", "chosen", "calls"),
    [
        (card("T0000002"), "local", ["1101", "SM01", "SN01", "SI11", "SI12"]),
        (card("T0000001"), "elsewhere", ["1101", "2201", "2203A", "2204", "2206", "2207"]),
        ({**card("T0000002"), "insuplc_admdvs": "310000"}, "local", ["SM01", "SN01", "SI11", "SI12"]),
    ],
)
async def test_the_place_of_insurance_chooses_the_gateway(
    shanghai: tuple[Simulator, Path], person: dict[str, str], chosen: str, calls: list[str]
) -> None:
    centre, folder = shanghai
    async with life(centre, folder) as hospital:
        hospital.dialect = hospital.running.dialect("national")
        told = await hospital.say(message(person=person))
        assert told.state == "SETTLED", told.text
        case = await case_of(hospital)
        encounter = await hospital.running.ledger.encounter(case.encounter_id)
        assert encounter is not None
        assert way_of(encounter) == chosen
    assert hospital.calls == calls


async def test_the_rule_of_the_plugin_and_the_configured_routes_say_the_same(shanghai: tuple[Simulator, Path]) -> None:
    from his_adapter_shanghai.gateway import gateway_for

    centre, folder = shanghai
    async with life(centre, folder) as hospital:
        for region in ("310000", "310100", "330100", "110000"):
            content = {"person": {"insuplc_admdvs": region}}
            chosen = hospital.running.place.chosen(content, "outpatient", datetime.now(UTC))
            assert chosen.gateway.name == gateway_for(region)


async def test_a_refund_after_a_restart_goes_where_the_settlement_went(shanghai: tuple[Simulator, Path]) -> None:
    centre, folder = shanghai
    async with life(centre, folder) as hospital:
        assert (await hospital.say(message(person=card("T0000002")))).state == "SETTLED"
    text = (folder / "his-adapter.toml").read_text("utf-8")
    (folder / "his-adapter.toml").write_text(text.replace('insured = ["@home"]', 'insured = ["33"]'), "utf-8")
    async with life(centre, folder) as hospital:
        assert (await hospital.say(void())).state == "VOIDED"
    assert hospital.calls[-1] == "SK01"


async def test_identifying_asks_the_gateway_that_serves_the_person(shanghai: tuple[Simulator, Path]) -> None:
    centre, folder = shanghai
    async with life(centre, folder) as hospital:
        told = await hospital.say({"intent": "identify", "person": card("T0000002")})
        assert told.state == "DONE"
    assert hospital.calls == ["1101", "SM01"]


async def test_the_second_centre_is_asked_for_its_own_number_of_the_person(
    tmp_path: Path, centre: Simulator, second: Simulator
) -> None:
    person = second.world.people.by_credential("110101190001010000")
    assert person is not None
    second.world.people.put(replace(person, psn_no="N00000000001"))
    to_new = '[[routes]]\ngateway = "new"\ninsured = ["32"]\n'
    configure(tmp_path, centre, OLD_AND_NEW.format(new=second.url) + to_new)
    async with life(centre, tmp_path) as hospital:
        assert (await hospital.say(message())).state == "SETTLED"
        case = await hospital.case()
        encounter = await hospital.running.ledger.encounter(case.encounter_id)
        assert encounter is not None
        assert encounter.content["person"]["psn_no"] == "N00000000001"
    assert hospital.calls == ["1101"]
    assert [entry.infno for entry in second.entries] == ["1101", "2201", "2203A", "2204", "2206", "2207"]


# -- two gateways of one kind; doubt, restart, and a gateway that is gone


async def test_a_doubt_is_resolved_at_its_own_gateway_after_the_routes_changed(
    tmp_path: Path, centre: Simulator, second: Simulator
) -> None:
    configure(tmp_path, centre, OLD_AND_NEW.format(new=second.url))
    async with life(centre, tmp_path) as hospital:
        await lose_the_answer(hospital)
    hospital.rules([])
    to_new = '[[routes]]\ngateway = "new"\n'
    configure(tmp_path, centre, OLD_AND_NEW.format(new=second.url) + to_new)
    async with life(centre, tmp_path) as hospital:
        assert (await hospital.decided()).state == "SETTLED"
        assert second.entries == []
        assert (await hospital.say(message(settle_key="K2", visit_key="V2"))).state == "SETTLED"
        assert (await way(hospital), await way(hospital, "K2")) == ("gateway", "new")
        assert [entry.infno for entry in second.entries][-1] == "2207"
        assert (await hospital.say(void())).state == "VOIDED"
    assert "2208" not in [entry.infno for entry in second.entries]
    assert hospital.calls[-1] == "2208"


GONE = """
environment = "test"
[institution]
fixmedins_code = "{org}"
fixmedins_name = "测试医院"
admdvs = "360100"
[ledger]
master_key_file = "master.key"
{gateways}
[timers]
money_deadline = 10.0
late_commit = 11.0
query_lag = 0.1
second_negative = 0.05
query_steps = [0.05, 0.1]
query_step_last = 0.1
"""


def named(name: str, url: str) -> str:
    return f'[gateways.{name}]\nurl = "{url}/fsi/api"\nplain_http = "flow tests"\nquery_after_unknown = "by_visit"\n'


async def test_a_doubt_whose_gateway_is_gone_waits_for_a_person_and_goes_nowhere_else(
    tmp_path: Path, centre: Simulator, second: Simulator
) -> None:
    create_master_key(tmp_path / "master.key")
    file = tmp_path / "his-adapter.toml"
    both = named("old", centre.url) + named("new", second.url)
    file.write_text(GONE.format(org=ORG, gateways=both), "utf-8")
    async with life(centre, tmp_path) as hospital:
        assert (await hospital.say(message(settle_key="K0", visit_key="V0"))).state == "SETTLED"
        await lose_the_answer(hospital)
    file.write_text(GONE.format(org=ORG, gateways=named("new", second.url)), "utf-8")
    async with life(centre, tmp_path) as hospital:
        told = await hospital.decided()
        assert (told.state, told.code) == ("FROZEN", "GATEWAY_GONE")
        assert "old" in told.text
        assert "工单号" in told.text
        assert "old" in (await hospital.case()).data["frozen_because"]
        assert (await hospital.refusal(void(settle_key="K0"))).code == "GATEWAY_GONE"
        repeated = await hospital.say(message(settle_key="K0", visit_key="V0"))
        assert repeated.state == "SETTLED"
        assert second.entries == []


# -- cut-over


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """How far the wall clock is ahead, changeable in the middle of a story."""
    ahead = [timedelta()]
    monkeypatch.setattr(SystemClock, "wall", lambda self: datetime.now(UTC) + ahead[0])
    return ahead


async def test_a_cut_over_freezes_drains_switches_and_lets_nothing_across(
    tmp_path: Path, centre: Simulator, second: Simulator, later: list[timedelta]
) -> None:
    at = datetime.now(UTC) + timedelta(hours=2)
    configure(tmp_path, centre, OLD_AND_NEW.format(new=second.url) + cut_over(at, 3600))
    async with life(centre, tmp_path) as hospital:
        assert (await hospital.say(message())).state == "SETTLED"
        stay = {"encounter_key": "E9", "kind": "outpatient", "intent": "quote", "settle_key": "K9", "visit_key": "V9"}
        assert (await hospital.say(message(**stay))).state == "QUOTED"
        also = {"settle_key": "K7", "visit_key": "V7"}
        assert (await hospital.say(message("quote", **also))).state == "QUOTED"

        later[0] = timedelta(minutes=90)  # frozen: nothing new, what is open goes on
        frozen = await hospital.refusal(message(settle_key="K2", visit_key="V2"))
        assert frozen.code == "SYSTEM_CUTOVER"
        assert "切换" in frozen.message_zh
        object.__setattr__(hospital.running.place.timers, "quote_ttl", 1e9)
        assert (await hospital.say(message(**also))).state == "SETTLED"
        assert second.entries == []

        later[0] = timedelta(hours=3)  # over
        across = await hospital.refusal(message(**{**stay, "intent": "settle"}))
        assert across.code == "START_ANEW"
        assert "重新登记" in across.message_zh
        assert (await hospital.say({"intent": "cancel", "settle_key": "K9"})).state == "CANCELLED"
        more = {"settle_key": "K8", "visit_key": "V8", "encounter_key": "E9"}
        assert (await hospital.refusal(message(**more))).code == "START_ANEW"
        sent = len(hospital.calls)
        assert (await hospital.say(message(settle_key="K3", visit_key="V3"))).state == "SETTLED"
        assert len(hospital.calls) == sent
        assert [entry.infno for entry in second.entries][-1] == "2207"
        assert (await hospital.say(void())).state == "VOIDED"
        assert hospital.calls[-1] == "2208"
        assert [await way(hospital, key) for key in ("K1", "K3")] == ["gateway", "new"]


async def test_a_day_is_reconciled_with_each_centre_it_went_by(
    tmp_path: Path, centre: Simulator, second: Simulator, later: list[timedelta]
) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    configure(tmp_path, centre, OLD_AND_NEW.format(new=second.url) + cut_over(at))
    later[0] = timedelta(hours=2)
    day = national_date(datetime.now(UTC))
    async with life(centre, tmp_path) as hospital:
        assert (await hospital.say(message())).state == "SETTLED"
        assert (await reconciled(hospital, day)).state == "balanced"
        assert [entry.infno for entry in second.entries].count("3201") >= 1
        assert hospital.calls == []
        later[0] = timedelta()
        assert (await hospital.say(message(settle_key="K2", visit_key="V2"))).state == "SETTLED"
        report = await reconciled(hospital, day)
        assert (report.state, report.sums["count"]) == ("balanced", 2)
        assert sorted((group["way"], group["count"]) for group in report.groups if group["count"] != "0") == [
            ("gateway", "1"), ("new", "1"),
        ]  # fmt: skip
        [theirs] = second.world.settlements.values()
        second.world.reverse(theirs)
        for _ in range(2):
            report = await reconciled(hospital, day)
            assert dict(report.found) == {"ours_only": 1}
        assert [str((await hospital.case(key)).state) for key in ("K1", "K2")] == ["FROZEN", "SETTLED"]
        uploads = [
            len(one.entries) and [entry.infno for entry in one.entries].count("9101") for one in (centre, second)
        ]
        assert uploads[1] == 2, "only the centre whose sums differ compares a file"
        second.world.settle(theirs)


async def test_one_gateways_silence_leaves_the_other_reconciled(
    tmp_path: Path, centre: Simulator, second: Simulator, later: list[timedelta]
) -> None:
    """What one centre showed before stays as it is while it does not answer, and the day stays due."""
    at = datetime.now(UTC) + timedelta(hours=1)
    configure(tmp_path, centre, OLD_AND_NEW.format(new=second.url) + cut_over(at))
    day = national_date(datetime.now(UTC))
    async with life(centre, tmp_path) as hospital:
        assert (await hospital.say(message(settle_key="K2", visit_key="V2"))).state == "SETTLED"
        later[0] = timedelta(hours=2)
        assert (await hospital.say(message())).state == "SETTLED"
        for one in (centre, second):
            [lost] = one.world.settlements.values()
            one.world.reverse(lost)
        assert dict((await reconciled(hospital, day)).found) == {"ours_only": 2}
        for one in (centre, second):
            [lost] = one.world.settlements.values()
            lost.state = "settled"
        second.set_rules(read_rules([{"infno": "3201", "nth": None, "actions": ["error(-1,系统繁忙)"]}]))
        report = await reconciled(hospital, day)
        assert (report.state, report.closed) == ("failed", 1)
        assert report.text.startswith("new：")
        standing = await hospital.running.ledger.account_items(ORG, "difference", ("frozen",))
        assert [item.facts["way"] for item in standing] == ["new"]


async def test_entries_from_before_they_named_their_gateway_are_asked_of_their_encounter(
    tmp_path: Path, centre: Simulator, second: Simulator, later: list[timedelta]
) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    configure(tmp_path, centre, OLD_AND_NEW.format(new=second.url) + cut_over(at))
    day = national_date(datetime.now(UTC))
    async with life(centre, tmp_path) as hospital:
        assert (await hospital.say(message(settle_key="K2", visit_key="V2"))).state == "SETTLED"
        later[0] = timedelta(hours=2)
        assert (await hospital.say(message())).state == "SETTLED"
    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        assert ledger.execute("SELECT way FROM entries ORDER BY ordinal").fetchall() == [("gateway",), ("new",)]
        ledger.execute("UPDATE entries SET way = ''")
    ledger.close()
    async with life(centre, tmp_path) as hospital:
        report = await reconciled(hospital, day, detail=True)
        assert (report.state, report.rows_here, report.rows_there) == ("balanced", 2, 2)


async def test_a_gateway_that_speaks_no_national_json_leaves_its_part_of_the_day(
    shanghai: tuple[Simulator, Path],
) -> None:
    centre, folder = shanghai
    day = national_date(datetime.now(UTC))
    async with life(centre, folder) as hospital:
        assert (await hospital.say(message(person=card("T0000001")))).state == "SETTLED"
        report = await reconciled(hospital, day)
        assert (report.state, report.sums["count"]) == ("balanced", 1)
        elsewhere = message(settle_key="K2", visit_key="V2", person=card("T0000002"))
        assert (await hospital.say(elsewhere)).state == "SETTLED"
        report = await reconciled(hospital, day)
        assert (report.state, report.sums["count"]) == ("partly", 2)
        assert report.text.startswith("local：")
        assert [group["way"] for group in report.groups] == ["elsewhere"]


async def reconciled(hospital: Hospital, day: str, detail: bool = False) -> Report:
    return await reconciling_of(hospital.running, hospital.running.place).run(day, detail=detail)


async def test_papers_may_be_opened_while_a_cut_over_freezes(
    tmp_path: Path, centre: Simulator, second: Simulator
) -> None:
    at = datetime.now(UTC) + timedelta(minutes=1)
    configure(tmp_path, centre, OLD_AND_NEW.format(new=second.url) + cut_over(at, 3600))
    async with life(centre, tmp_path) as hospital:
        assert (await hospital.refusal(message())).code == "SYSTEM_CUTOVER"
        running = hospital.running
        asked = running.dialect("national").read_tree(message())  # type: ignore[attr-defined]
        visit, change = await running.pipeline.papers.admitted(running.place, running.dialect("national"), asked)
        case, _ = await running.pipeline.papers.hold(visit, {}, change)
        assert case.state == "MANUAL_OPEN"
    assert hospital.calls == []
    assert second.entries == []


# -- several institutions on one service


def institution(code: str, gateway: str) -> str:
    return (
        f'[[institutions]]\nfixmedins_code = "{code}"\nfixmedins_name = "测试医院"\nadmdvs = "360100"\n'
        f'gateway = "{gateway}"\ndefaults = {{ "visit.caty" = "A03", "env.opter" = "{gateway}" }}\n'
    )


async def test_two_institutions_on_one_service_each_by_its_own_gateway(
    tmp_path: Path, centre: Simulator, second: Simulator
) -> None:
    one, two = "H36010000001", "H36010000002"
    create_master_key(tmp_path / "master.key")
    write_secret(tmp_path / "his.token", TOKEN)
    write_secret(tmp_path / "two.token", TOKEN[::-1])
    both = (
        clients(hold_s=5)
        + f'[[clients]]\nname = "two"\ntoken_file = "two.token"\nroles = ["his"]\ninstitutions = ["{two}"]\n'
    )
    head, _, timers = GONE.partition("[institution]")
    timers = timers[timers.index("[timers]") :]
    ledger = '[ledger]\nmaster_key_file = "master.key"\n'
    ways = named("one", centre.url) + named("two", second.url)
    text = head + institution(one, "one") + institution(two, "two") + ledger + ways + timers + both
    (tmp_path / "his-adapter.toml").write_text(text, "utf-8")
    async with served(centre, tmp_path / "his-adapter.toml") as service:
        unnamed = await service.post("/v1/settlements", message())
        assert unnamed.status_code == 422
        assert one in unnamed.text
        assert two in unnamed.text
        first = await service.post("/v1/settlements", {**message(), "fixmedins_code": one})
        other = await service.post("/v1/settlements", {**message(), "fixmedins_code": two})
        assert (first.json()["state"], other.json()["state"]) == ("SETTLED", "SETTLED")
        own = {"Authorization": f"Bearer {TOKEN[::-1]}"}
        mine = await service.post("/v1/settlements", message(settle_key="K2", visit_key="V2"), headers=own)
        assert mine.json()["state"] == "SETTLED"
        theirs = await service.post("/v1/settlements", {**message(), "fixmedins_code": one}, headers=own)
        assert theirs.status_code == 403
        local = {"X-Institution": two, "Content-Type": "application/json"}
        said = await service.post("/his/national", message(settle_key="K3", visit_key="V3"), headers=local)
        assert said.json()["state"] == "SETTLED"
        listed = (await service.get("/v1/provinces")).json()["gateways"]
        assert {(row["fixmedins_code"], row["name"]) for row in listed} >= {(one, "one"), (two, "two")}
        voided = await service.post("/v1/settlements/K2/void", {"void_key": "R2"}, headers=own)
        assert voided.json()["state"] == "VOIDED"
    assert {entry.infno for entry in centre.entries} >= {"2207"}
    assert sum(entry.infno == "2207" for entry in centre.entries) == 1
    assert sum(entry.infno == "2207" for entry in second.entries) == 3
    assert [entry.infno for entry in second.entries][-1] == "2208"


# -- credentials


async def test_a_credential_that_is_too_old_moves_no_money_and_a_fresh_one_does(
    tmp_path: Path, centre: Simulator, later: list[timedelta]
) -> None:
    configure(tmp_path, centre)
    async with life(centre, tmp_path) as hospital:
        scanned = {"mdtrt_cert_type": "01", "mdtrt_cert_no": "ECTEST0000000001", "psn_name": "测试甲"}
        assert (await hospital.say(message("quote", person=scanned))).state == "QUOTED"
        later[0] = timedelta(seconds=241)
        again = {"intent": "settle", "settle_key": "K1"}
        told = await hospital.say({**message(person=scanned), **again})
        assert (told.state, told.code) == ("NOT_SENT", "CREDENTIAL_EXPIRED")
        assert hospital.sent("2207") == []
        renewed = {**scanned, "ectoken": "ECTEST0000000001-2"}
        told = await hospital.say({**message(person=renewed), **again})
        assert told.state == "SETTLED"
        later[0] = timedelta(seconds=600)
        assert (await hospital.say(void())).state == "VOIDED"
    same_truth(centre, tmp_path / "ledger.db")


async def test_a_person_named_by_an_identity_card_shows_nothing_that_grows_old(
    tmp_path: Path, centre: Simulator, later: list[timedelta]
) -> None:
    configure(tmp_path, centre)
    async with life(centre, tmp_path) as hospital:
        assert (await hospital.say(message("quote"))).state == "QUOTED"
        later[0] = timedelta(seconds=299)
        assert (await hospital.say(message())).state == "SETTLED"


async def test_a_refund_names_the_region_its_settlement_was_made_under(tmp_path: Path, centre: Simulator) -> None:
    configure(tmp_path, centre)
    async with life(centre, tmp_path) as hospital:
        assert (await hospital.say(message())).state == "SETTLED"
        case = await hospital.case()
        ledger = hospital.running.ledger
        encounter = await ledger.encounter(case.encounter_id)
        assert encounter is not None
        person = {
            **encounter.content["person"],
            "insuplc_admdvs": "320199",
        }  # another bill of the visit was told so since
        content = {**encounter.content, "person": person}
        await ledger.commit(Change(ORG, encounter=replace(encounter, content=content, version=encounter.version + 1)))
        assert (await hospital.say(void())).state == "VOIDED"
        events = await ledger.events_of_case((await hospital.case("R1", "void")).case_id)
        [raw] = [event.raw for event in events if event.kind == "INTENT"]
        assert json.loads(raw)["insuplc_admdvs"] == "320100"
