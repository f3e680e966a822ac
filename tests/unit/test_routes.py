"""The choice of a gateway: rules in order, cut-overs, region codes that ended; and the configuration that says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter_core.config import load_config
from adapter_core.province.schemes import Trip
from adapter_core.settlement.credentials import credential_age_s, credential_of, noted_credential
from adapter_core.settlement.records import Encounter
from adapter_core.settlement.ways import Cutover, GatewayGone, Rule, Ways, way_of, way_section
from adapter_core.standard.regions import Region, in_force
from adapter_core.values.errors import ConfigError, Refused
from adapter_core.values.moments import iso

NOON = datetime(2026, 12, 1, 4, tzinfo=UTC)
SITE = """
[institution]
fixmedins_code = "H36010000001"
fixmedins_name = "测试医院"
admdvs = "360100"
"""
GATEWAYS = '[gateways.a]\nurl = "https://a"\n[gateways.b]\nurl = "https://b"\n'


def trip(insured: str = "", kind: str = "outpatient", care: str = "310100") -> Trip:
    return Trip(insured, care, kind, "2026-12-01", "H31000000001")


def chosen(*rules: Rule, insured: str = "", kind: str = "outpatient", at: datetime = NOON) -> str:
    return Ways("usual", {}, rules).choose(trip(insured, kind), at)


@pytest.mark.parametrize(
    ("insured", "way"),
    [
        ("310000", "home"),
        ("310115", "home"),
        ("330100", "usual"),
        ("", "usual"),
        ("341500", "city"),
        ("340100", "usual"),
    ],
)
def test_the_first_rule_that_fits_says_it(insured: str, way: str) -> None:
    rules = (Rule("home", insured=("@home",)), Rule("city", insured=("3415",)), Rule("never", insured=("3415", "31")))
    assert chosen(*rules, insured=insured) == way


def test_a_person_whose_region_is_not_said_is_insured_nowhere_but_there() -> None:
    assert chosen(Rule("first", insured=("@home", "")), insured="") == "first"
    assert chosen(Rule("first", insured=("",)), insured="310000") == "usual"


def test_a_rule_may_ask_for_the_flow_the_time_and_the_arrangement() -> None:
    assert chosen(Rule("stays", kinds=("inpatient",)), kind="inpatient") == "stays"
    assert chosen(Rule("stays", kinds=("inpatient",))) == "usual"
    dated = Rule("dated", begins=NOON, ends=NOON + timedelta(hours=1))
    moments = (NOON - timedelta(seconds=1), NOON, NOON + timedelta(hours=1))
    assert [chosen(dated, at=at) for at in moments] == ["usual", "dated", "usual"]
    assert chosen(Rule("pilot", schemes=("national", "unlisted")), insured="440100") == "pilot"
    assert chosen(Rule("local", schemes=("local",)), insured="310000") == "local"
    assert chosen(Rule("local", schemes=("local",)), insured="440100") == "usual"


def test_cut_overs_follow_each_other_in_time() -> None:
    switches = (Cutover(NOON + timedelta(days=2), "b", "c"), Cutover(NOON, "usual", "b"))
    ways = Ways("usual", {}, (), switches)
    moments = (NOON - timedelta(seconds=1), NOON, NOON + timedelta(days=2))
    assert [ways.choose(trip(), at) for at in moments] == ["usual", "b", "c"]


@pytest.mark.parametrize(
    ("minutes", "begins", "code"),
    [
        (-61, True, ""),
        (-60, True, "SYSTEM_CUTOVER"),
        (-60, False, ""),
        (0, True, "START_ANEW"),
        (0, False, "START_ANEW"),
    ],
)
def test_nothing_begins_shortly_before_a_switch_and_nothing_goes_on_after_it(
    minutes: int, begins: bool, code: str
) -> None:
    ways = Ways("old", {}, (), (Cutover(NOON, "old", "new", 3600.0),))
    at = NOON + timedelta(minutes=minutes)
    ways.refuse_cut_over("new", at, begins=begins)
    if not code:
        ways.refuse_cut_over("old", at, begins=begins)
        return
    with pytest.raises(Refused) as refusal:
        ways.refuse_cut_over("old", at, begins=begins)
    assert refusal.value.code == code


def test_a_gateway_that_is_not_configured_is_never_replaced_by_another() -> None:
    with pytest.raises(GatewayGone, match="old"):
        Ways("new", {}).named_way("old")


def test_an_encounter_from_before_there_were_several_belongs_to_the_only_one() -> None:
    encounter = Encounter("E", "H", "K", "outpatient", "national", version=3)
    assert way_of(encounter) == "gateway"
    assert way_of(Encounter("E", "H", "K", "outpatient", "national", content=way_section(""))) is None
    assert way_of(Encounter("E", "H", "K", "outpatient", "national", content=way_section("b"))) == "b"


def test_a_region_code_that_ended_is_its_successors_afterwards() -> None:
    known = {
        "990100": Region("990100", "甲市", "某省", "C", ends="2026-06-30", successor="990200"),
        "990200": Region("990200", "乙市", "某省", "C", begins="2026-07-01", ends="2027-12-31", successor="990300"),
        "990300": Region("990300", "丙市", "某省", "C", begins="2028-01-01"),
    }
    days = ("2026-06-30", "2026-07-01", "2028-01-01")
    assert [in_force("990100", day, known) for day in days] == ["990100", "990200", "990300"]
    assert in_force("999999", "2026-07-01", known) == "999999"


# -- credentials


def test_a_credential_is_as_old_as_its_last_fresh_scan() -> None:
    scanned = {"mdtrt_cert_type": "01", "mdtrt_cert_no": "EC1"}
    empty = Encounter("E", "H", "K", "outpatient", "national")
    noted = noted_credential(empty, credential_of(scanned), iso(NOON))
    held = Encounter("E", "H", "K", "outpatient", "national", content={**noted.content, "person": scanned})
    later = NOON + timedelta(seconds=100)
    assert credential_age_s(held, later) == 100
    same = noted_credential(held, credential_of(scanned), iso(later))
    assert credential_age_s(same, later) == 100
    fresh = noted_credential(held, credential_of({**scanned, "mdtrt_cert_no": "EC2"}), iso(later))
    assert credential_age_s(fresh, later) == 0


def test_an_identity_card_is_no_credential() -> None:
    assert credential_of({"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000"}) == {}
    assert credential_of({"mdtrt_cert_type": "02", "card_sn": "S1", "ectoken": ""}) == {"card_sn": "S1"}


# -- the configuration


def loaded(folder: Path, text: str) -> Path:
    (folder / "his-adapter.toml").write_text(text, "utf-8")
    return folder / "his-adapter.toml"


def test_one_institution_and_one_gateway_are_lists_of_one(tmp_path: Path) -> None:
    settings = load_config(loaded(tmp_path, SITE + '[gateway]\nurl = "https://a"\n')).settings
    assert [one.fixmedins_code for one in settings.every_institution] == ["H36010000001"]
    assert list(settings.every_gateway) == ["gateway"]
    assert settings.gateway_of(settings.institution) == "gateway"


def test_lists_alone_are_enough(tmp_path: Path) -> None:
    several = SITE.replace("[institution]", "[[institutions]]")
    settings = load_config(loaded(tmp_path, several + 'gateway = "b"\n' + GATEWAYS)).settings
    assert settings.institution.fixmedins_code == "H36010000001"
    assert settings.gateway.url == "https://b"
    assert list(settings.every_gateway) == ["a", "b"]


def test_times_without_a_zone_are_chinas(tmp_path: Path) -> None:
    switch = '[[cutovers]]\nat = 2027-01-01T00:00:00\nfrom = "a"\nto = "b"\n'
    [cutover] = load_config(loaded(tmp_path, SITE + GATEWAYS + switch)).settings.cutovers
    assert cutover.at == datetime(2026, 12, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[routes]]\ngateway = "c"\n', "routes.gateway: no gateway c"),
        ('[[routes]]\ngateway = "a"\ninstitution = "H9"\n', "routes.institution: no institution H9"),
        ('[[routes]]\ngateway = "a"\nkinds = ["dental"]\n', "no dental; there are outpatient"),
        ('[[routes]]\ngateway = "a"\nschemes = ["none"]\n', "no none; there are local, unlisted"),
        ('[[routes]]\ngateway = "a"\ninsured = ["@away"]\n', "routes.0.insured.0"),
        ('[[cutovers]]\nat = 2027-01-01T00:00:00\nfrom = "a"\nto = "c"\n', "cutovers.to: no gateway c"),
        ('[[institutions]]\nfixmedins_code = "H36010000001"\nfixmedins_name = "x"\nadmdvs = "360100"\n', "H36010000001 twice"),
        ('[gateways.gateway]\nurl = "https://c"\n[gateway]\nurl = "https://d"\n', "that is the name of [gateway]"),
    ],
)  # fmt: skip
def test_a_name_that_does_not_exist_stops_the_start(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(loaded(tmp_path, SITE + GATEWAYS + text))
    assert fault in str(refusal.value)


def test_without_institution_or_gateway_both_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="institution: Field required; gateway: Field required"):
        load_config(loaded(tmp_path, 'environment = "test"\n'))
