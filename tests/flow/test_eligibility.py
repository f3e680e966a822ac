"""``POST /v1/eligibility`` before the simulated centre: each reason why a filed patient still pays cash, by what is known of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapter_core.ledger.sealing import create_master_key
from adapter_core.province.policy import reasons
from adapter_core.simulator.server import Simulator
from tests.flow.hospital import ORG, assert_invariants, line, message
from tests.flow.served import Served, configure, served

READS = {"1101", "2001", "5301", "5302", "5304"}
NAMES = {
    "T00000000001": ("测试甲", "110101190001010000"),
    "T00000000002": ("测试乙", "220102199913330001"),
    "T00000000004": ("测试丁", "140105197001010000"),
    "T00000000008": ("测试辛", "320102198801010000"),
    "T00000000009": ("测试壬", "330402197501010000"),
    "T00000000010": ("测试癸", "320505198501010000"),
    "T00000000011": ("测试子", "310104196001010000"),
    "T00000000014": ("测试卯", "140202197801010000"),
    "T00000000015": ("测试辰", "130102197201010001"),
    "T00000000016": ("测试巳", "330302196801010001"),
    "T00000000017": ("测试午", "330202198401010000"),
}
TARGETED = "XT00000001"
Site = Callable[..., AbstractAsyncContextManager[Served]]


def person(number: int) -> dict[str, str]:
    name, certno = NAMES[f"T{number:011}"]
    return {"mdtrt_cert_type": "02", "mdtrt_cert_no": certno, "psn_name": name}


def question(number: int = 1, med_type: str = "11", **more: Any) -> dict[str, Any]:
    tree = {
        "kind": "outpatient",
        "person": person(number),
        "visit": {"begntime": "2026-11-21 09:00:00"},
        "settle": {"med_type": med_type},
    }
    return {**tree, **more}


@pytest.fixture
def site(tmp_path: Path, centre: Simulator) -> Site:
    """``async with site("notices_file = …")``: the service with more configuration, and what it must never do checked at the end."""

    @asynccontextmanager
    async def start(more: str = "") -> AsyncIterator[Served]:
        create_master_key(tmp_path / "master.key")
        path = configure(tmp_path, centre.url)
        path.write_text(more + "\n" + path.read_text("utf-8"), "utf-8")
        async with served(centre, path) as service:
            yield service
        assert_invariants(centre, tmp_path)

    return start


@pytest.fixture
async def service(site: Site) -> AsyncIterator[Served]:
    async with site() as one:
        yield one


async def ask(service: Served, tree: dict[str, Any]) -> dict[str, Any]:
    """The answer; whatever was asked, only reads went out, and the reason's words are the catalogue's."""
    before = len(service.hospital.calls)
    response = await service.post("/v1/eligibility", tree)
    assert response.status_code == 200, response.text
    assert set(service.hospital.calls[before:]) <= READS
    told: dict[str, Any] = response.json()
    if told["reason"]:
        reason = reasons()[told["reason"]]
        works = told["reason"] == "zero_fund_payment"  # the catalogue's words are for a settlement that stands
        assert told["message_zh"].startswith("可以直接结算" if works else reason.cashier_zh)
        assert told["patient_zh"] == reason.patient_zh
        assert told["code"] == told["reason"].upper()
    assert len(told["next_zh"]) == len(told["next"]) > 0
    return told


def app_of(service: Served, psn_no: str) -> dict[str, Any]:
    """What the patient's app shows, as the cashier reads it off: the centre's own record."""
    [row] = next(one for one in service.hospital.truth["people"] if one["psn_no"] == psn_no)["filings"]
    return {
        "status": row["state"],
        "kind": row["kind"],
        "regions": [row["region"].ljust(6, "0")],
        "begndate": row["begndate"],
        **({"enddate": row["enddate"]} if row["enddate"] else {}),
        "tab": "快速备案",
    }


# -- it works, or nobody knows


async def test_without_any_word_on_the_filing_it_is_unknown_and_the_trial_is_proposed(service: Served) -> None:
    told = await ask(service, question())
    assert (told["verdict"], told["reason"], told["next"][0]) == ("unknown", None, "quote")
    assert told["filing"]["state"] == "unknown"
    assert told["insurances"][0]["insuplc_name"] == "南京市"
    assert told["scheme"]["name"] == "national"
    quoted = await service.post("/v1/settlements", message("quote"))
    assert quoted.json()["state"] == "QUOTED"


@pytest.mark.parametrize("credential", ["card", "code", "id"])
async def test_a_filing_the_patient_shows_is_taken_as_his_word(service: Served, credential: str) -> None:
    by = {
        "card": {"mdtrt_cert_type": "03", "mdtrt_cert_no": "T0000016", "card_sn": "1", "psn_name": "测试巳"},
        "code": {"mdtrt_cert_type": "01", "mdtrt_cert_no": "ECTEST0000000016", "psn_name": "测试巳"},
        "id": person(16),
    }[credential]
    asked = question(16, "13", person=by, stated=app_of(service, "T00000000016"))
    told = await ask(service, asked)
    assert told["filing"]["state"] == "stated_by_patient"
    assert (told["filing"]["kind"], told["filing"]["tab"]) == ("long_stay", "快速备案")
    assert (told["verdict"], told["next"]) == ("works", ["quote", "settle"])


async def test_a_transfer_in_force_is_a_filing_that_the_centre_itself_shows(service: Served) -> None:
    transfer = {"reflin_medins_no": ORG, "reflin_medins_name": "测试医院", "refl_date": "2026-11-01", "refl_rea": "转诊",
                "begndate": "2026-11-01", "enddate": "2027-04-30", "hosp_agre_refl_flag": "1"}  # fmt: skip
    service.hospital.centre.world.person("T00000000001").transfers.append(transfer)
    told = await ask(service, question())
    assert (told["verdict"], told["filing"]["state"], told["filing"]["source"]) == ("works", "active", "5304")
    transfer["enddate"] = "2026-11-20"
    told = await ask(service, question())
    assert (told["verdict"], told["filing"]["state"]) == ("unknown", "unknown")
    assert "转诊备案至 2026-11-20" in [one["says"] for one in told["findings"] if one["check"] == "filing"]


async def test_a_social_card_without_its_number_is_not_sent(service: Served) -> None:
    card = {"mdtrt_cert_type": "03", "mdtrt_cert_no": "T0000001", "psn_name": "测试甲"}
    told = await ask(service, question(person=card))
    assert (told["verdict"], told["reason"], told["next"]) == ("wont", "card_sn_missing", ["reread_card"])


async def test_two_insurances_are_shown_to_choose_from(service: Served) -> None:
    told = await ask(service, question(9))
    assert (told["verdict"], told["reason"]) == ("wont", "multiple_insurance")
    assert [one["insuplc_admdvs"] for one in told["insurances"]] == ["330400", "340500"]
    chosen = await ask(service, question(9, settle={"med_type": "11", "insutype": "390"}))
    assert [one["is_chosen"] for one in chosen["insurances"]] == [False, True]
    assert chosen["verdict"] == "unknown"


# -- the reasons of the seeds


async def test_account_only_and_empty(service: Served) -> None:
    told = await ask(service, question(14))
    assert (told["verdict"], told["reason"], told["next"]) == ("wont", "account_only_exhausted", ["pay_cash"])
    assert "余额 0.00 元" in told["message_zh"]


async def test_account_only_with_money_in_it_works_in_part_and_settles_with_an_explanation(service: Served) -> None:
    told = await ask(service, question(4))
    assert (told["verdict"], told["reason"]) == ("in_part", "zero_fund_payment")
    assert "150.00" in told["message_zh"]
    settled = (await service.post("/v1/settlements", message(person=person(4)))).json()
    assert settled["state"] == "SETTLED"
    assert (settled["amounts"]["fund_pay_sumamt"], settled["amounts"]["acct_pay"]) == ("0.00", "150.00")
    assert reasons()["zero_fund_payment"].patient_zh in settled["message_zh"]


async def test_a_targeted_drug_and_a_registration_that_settles_before_it(site: Site, tmp_path: Path) -> None:
    (tmp_path / "special.csv").write_text(f"参保地,医保目录编码\n3201,{TARGETED}\n", "utf-8")
    async with site('special_drugs_file = "special.csv"') as service:
        told = await ask(service, question(fees=[line("F1", "900.00", TARGETED), line("F2", "5.00")]))
        assert (told["verdict"], told["reason"]) == ("in_part", "targeted_drug_needs_special")
        told = await ask(service, question(fees=[line("F1", "900.00", TARGETED)]))
        assert (told["verdict"], told["next"]) == ("wont", ["pay_cash_then_manual"])
        registration = message(encounter_key="E1", fees=[line("G1", "10.00", "SVCREG0001")])
        assert (await service.post("/v1/settlements", registration)).json()["state"] == "SETTLED"
        drugs = message(settle_key="K2", visit_key="V2", encounter_key="E1", fees=[line("G2", "900.00", TARGETED)])
        refused = (await service.post("/v1/settlements", drugs)).json()
        assert (refused["state"], refused["code"]) == ("REJECTED", "TARGETED_DRUG_NEEDS_SPECIAL")
        assert refused["next"] == ["pay_cash_then_manual"]
        assert "限门诊特殊病使用" in refused["message_zh"], "the centre's own words stay"
        again = await ask(service, {"encounter_key": "E1"})
        assert (again["verdict"], again["reason"]) == ("wont", "targeted_drug_needs_special")


async def test_a_drug_bill_refused_in_words_nobody_knows_is_shown_whole(service: Served) -> None:
    told = (await service.post("/v1/settlements", message(fees=[line("G2", "900.00", TARGETED)]))).json()
    assert (told["state"], told["code"]) == ("REJECTED", "CENTRE_REFUSED")
    assert "药品测试靶向药在参保地限门诊特殊病使用，普通门诊不予结算" in told["message_zh"]


async def test_registered_for_chemotherapy_elsewhere(service: Served) -> None:
    told = await ask(service, question(16))
    assert (told["verdict"], told["reason"]) == ("wont", "special_benefit_switch")
    assert told["next"] == ["pay_cash_then_manual"]
    assert told["qualifications"][0]["opsp_dise_code"] == "M00503"
    special = question(16, "14", visit={"begntime": "2026-11-21 09:00:00", "dise_codg": "M00503"})
    special["settle"]["biz_appy_type"] = "01"
    there = await ask(service, special)
    assert (there["verdict"], there["reason"]) == ("wont", "chronic_not_selected_hospital")
    assert "测试肿瘤医院" in there["message_zh"]


async def test_resident_insurance_without_outpatient_benefit(service: Served) -> None:
    told = await ask(service, question(15))
    assert (told["verdict"], told["reason"]) == ("wont", "resident_no_outpatient_benefit")
    assert told["next"] == ["pay_cash", "advise_chronic_qualification"]
    assert "国家医保服务平台 APP" in {one["name"] for one in told["channels"]}
    stay = await ask(service, question(15, "21", kind="inpatient"))
    assert (stay["verdict"], stay["reason"]) == ("unknown", None), "a stay has its benefit"


async def test_a_remote_centre_that_is_down(service: Served) -> None:
    service.hospital.rule("2001", {"action": "reply", "status": 503, "body": "<html>upstream</html>"})
    told = await ask(service, question())
    assert (told["verdict"], told["reason"]) == ("unknown", "remote_province_down")
    assert told["next"] == ["retry", "hold_bill", "pay_cash_then_manual"]


async def test_a_line_that_is_down(service: Served) -> None:
    service.hospital.rule(None, "refuse(600)")
    told = await ask(service, question())
    assert (told["verdict"], told["reason"]) == ("unknown", "network_unreachable")
    assert told["next"] == ["retry", "pay_cash_then_manual"]


@pytest.mark.parametrize("action", ["rst", "drop", "truncate(40)", "garbage"])
async def test_an_unstable_network(service: Served, action: str) -> None:
    service.hospital.rule("1101", action)
    told = await ask(service, question())
    assert (told["verdict"], told["reason"], told["next"]) == ("unknown", "timeout_before_settle", ["retry"])


async def test_an_interface_that_broke_down_is_not_asked_again(service: Served) -> None:
    service.hospital.rule("1101", "rst")
    while not service.desk.running.notices():
        await ask(service, question())
    sent = len(service.hospital.calls)
    told = await ask(service, question())
    assert (told["verdict"], told["reason"]) == ("wont", "network_unreachable")
    assert told["notices"][0]["planned"] is False
    assert len(service.hospital.calls) == sent


@pytest.mark.parametrize("wrapped", [0, 1, 3])
async def test_not_filed_in_words_that_are_known_and_put_right_without_a_new_registration(
    service: Served, wrapped: int
) -> None:
    service.hospital.temper(wording="seen", wrapped=wrapped)
    told = await ask(service, question(10))
    assert (told["verdict"], told["reason"]) == ("wont", "not_filed")
    assert told["next"] == ["register_filing", "recheck", "pay_cash_then_manual"]
    assert (told["filing"]["state"], told["filing"]["source"]) == ("refused_by_text", "2001")
    assert told["channels"][0]["name"] == "江苏医保云"
    asked = message(person=person(10), encounter_key="E1")
    refused = (await service.post("/v1/settlements", asked)).json()
    assert (refused["state"], refused["code"]) == ("REJECTED", "NOT_FILED")
    service.hospital.rule("2001", "garbage")
    late = await ask(service, {"encounter_key": "E1"})
    assert (late["reason"], late["filing"]["source"]) == ("not_filed", "2206"), "its last try said so"
    service.hospital.rules([])
    filing = {"kind": "temporary", "region": "36", "begndate": "2026-11-20"}
    service.hospital.centre.world.person("T00000000010").filings.append(_filing(filing))
    settled = await service.post("/v1/settlements", {**asked, "settle_key": "K2"})
    assert settled.json()["state"] == "SETTLED"
    assert service.hospital.calls.count("2201") == 1


def _filing(row: dict[str, str]) -> Any:
    from adapter_core.simulator.people import Filing

    return Filing(**row)


@pytest.mark.parametrize("wrapped", [0, 2])
async def test_words_nobody_has_seen_are_kept_whole_and_never_guessed(service: Served, wrapped: int) -> None:
    service.hospital.temper(wrapped=wrapped)
    told = await ask(service, question(10))
    assert (told["verdict"], told["reason"]) == ("unknown", "unknown_remote_error")
    [found] = [one for one in told["findings"] if one["text"]]
    text = found["text"]
    for _ in range(wrapped):
        text = json.loads(text[text.index("{") :])["err_msg"]
    assert text == "未办理异地就医备案：参保地320500，就医地360100"
    assert told["filing"]["state"] == "unknown"
    assert told["next"][:2] == ["show_reason", "quote"]


async def test_filed_to_another_region(service: Served) -> None:
    stated = app_of(service, "T00000000017")
    told = await ask(service, question(17, stated=stated))
    assert (told["verdict"], told["reason"], told["next"]) == (
        "wont",
        "filing_wrong_region",
        ["change_filing", "recheck"],
    )
    assert "广东省（440000）" in told["message_zh"]
    service.hospital.temper(wording="seen")
    told = await ask(service, question(17, stated=stated))
    assert told["reason"] == "filing_wrong_region", "the app says why the centre found none"
    assert told["filing"]["state"] == "refused_by_text"


async def test_a_filing_that_is_over(service: Served) -> None:
    stated = app_of(service, "T00000000011")
    told = await ask(service, question(11, stated=stated))
    assert (told["verdict"], told["reason"], told["next"]) == ("wont", "filing_expired", ["renew_filing", "recheck"])
    assert told["channels"][0]["name"] != "国家医保服务平台 APP", "the place of insurance's own counter comes first"
    admitted = question(11, "21", kind="inpatient", stated=stated, visit={"begntime": "2020-12-31 08:00:00"})
    assert (await ask(service, admitted))["reason"] is None, "admitted while it stood"


async def test_a_disease_outside_the_list(service: Served) -> None:
    asked = question(1, "14", visit={"begntime": "2026-11-21 09:00:00", "dise_codg": "M04400"})
    told = await ask(service, asked)
    assert (told["verdict"], told["reason"]) == ("wont", "chronic_disease_not_cross_province")
    assert told["next"] == ["pay_cash_then_manual"]
    asked["visit"]["dise_codg"] = "M03900"
    assert (await ask(service, asked))["reason"] == "chronic_not_qualified"
    asked["visit"]["dise_codg"] = "M07801"
    assert (await ask(service, asked))["reason"] is None


OPENINGS = "方案,参保地,就医地,业务,开始日期,结束日期,机构编号\n"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("national,32,36,门诊,2022-01-01,,H9\n", "non_designated_institution"),
        (f"national,32,36,住院,2022-01-01,,{ORG}\nnational,32,36,门诊,2022-01-01,,H9\n", "business_not_opened"),
        (f"national,33,36,门诊,2022-01-01,,{ORG}\n", "ordinary_outpatient_not_open"),
    ],
)
async def test_an_institution_or_a_business_that_is_not_opened(
    site: Site, tmp_path: Path, rows: str, reason: str
) -> None:
    (tmp_path / "openings.csv").write_text(OPENINGS + rows, "utf-8")
    async with site('openings_file = "openings.csv"') as service:
        told = await ask(service, question())
        assert (told["verdict"], told["reason"]) == ("wont", reason)
        assert told["next"] == ["pay_cash_then_manual"]
        refused = (await service.post("/v1/settlements", message())).json()
        assert (refused["state"], refused["code"]) == ("CANCELLED", reason.upper())
        assert set(service.hospital.calls) <= READS, "nothing was registered"
        (tmp_path / "openings.csv").write_text(OPENINGS + f"national,32,36,门诊,2022-01-01,,{ORG}\n", "utf-8")
        settled = await service.post("/v1/settlements", message(settle_key="K2"))
        assert settled.json()["state"] == "SETTLED", "a new list counts at once"


async def test_suspended_insurance(service: Served) -> None:
    told = await ask(service, question(8))
    assert (told["verdict"], told["reason"]) == ("wont", "insurance_suspended")
    assert "自 2024-06-30 起暂停" in told["message_zh"]
    assert told["next"] == ["ask_centre", "pay_cash_then_manual"]
    refused = (await service.post("/v1/settlements", message(person=person(8)))).json()
    assert (refused["state"], refused["code"]) == ("CANCELLED", "INSURANCE_SUSPENDED")
    assert set(service.hospital.calls) <= READS
    row = service.hospital.centre.world.person("T00000000008").insurances[0]
    row.psn_insu_stas, row.paus_insu_date = "1", ""
    settled = await service.post("/v1/settlements", message(person=person(8), settle_key="K2"))
    assert settled.json()["state"] == "SETTLED", "asked again, since it may have been put right"


async def test_a_state_without_a_public_meaning_stops_nothing(service: Served) -> None:
    row = service.hospital.centre.world.person("T00000000001").insurances[0]
    row.psn_insu_stas, row.paus_insu_date = "7", ""
    told = await ask(service, question())
    assert told["verdict"] == "unknown"
    assert any("参保状态 7" in (one["says"] or "") for one in told["findings"])
    await service.post("/v1/settlements", message())
    assert "2201" in service.hospital.calls, "the centre decides"


@pytest.mark.parametrize("about", ["36", "3201", "51"])
async def test_planned_downtime_of_either_place(site: Site, tmp_path: Path, about: str) -> None:
    notice = 'from = "2000-01-01 00:00:00"\nto = "2999-01-01 00:00:00"\ntext = "系统升级停机"\nsource = "测试公告"\n'
    (tmp_path / "notices.toml").write_text(f'[[notices]]\nadmdvs = "{about}"\n{notice}', "utf-8")
    async with site('notices_file = "notices.toml"') as service:
        told = await ask(service, question(insuplc_admdvs="320100"))
        if about == "51":
            assert told["reason"] is None
            return
        assert (told["verdict"], told["reason"]) == ("wont", "planned_downtime")
        assert told["next"] == ["show_notice", "wait", "pay_cash_then_manual"]
        assert "2999-01-01 00:00:00" in told["message_zh"]
        refused = (await service.post("/v1/settlements", message(insuplc_admdvs="320100"))).json()
        assert (refused["state"], refused["code"]) == ("CANCELLED", "PLANNED_DOWNTIME")
        assert service.hospital.calls == []


# -- emergencies, faults of the question


async def test_an_emergency_wants_its_flag_where_nobody_knows_of_a_filing(service: Served) -> None:
    service.hospital.temper(wording="seen")
    told = await ask(service, question(10, "13"))
    assert (told["verdict"], told["reason"]) == ("wont", "emergency_flag_missing")
    assert told["next"] == ["set_emergency_flag", "resubmit"]
    refused = (await service.post("/v1/settlements", message(person=person(10), settle={"med_type": "13"}))).json()
    assert refused["code"] == "EMERGENCY_FLAG_MISSING"


async def test_faults_are_listed_and_nothing_is_sent(service: Served) -> None:
    bad = question(stated={"status": "perhaps", "regions": "36", "begndate": "today"})
    response = await service.post("/v1/eligibility", bad)
    assert response.status_code == 422
    paths = {one["path"] for one in response.json()["faults"]}
    assert {"stated.status", "stated.regions", "stated.begndate"} <= paths
    assert (await service.post("/v1/eligibility", {})).json()["faults"][0]["path"] == "person"
    assert (await service.post("/v1/eligibility", {"encounter_key": "none"})).status_code == 404
    assert service.hospital.calls == []
