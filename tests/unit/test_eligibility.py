"""Eligibility by facts alone: what each fact means, what it doesn't, and that nothing is guessed."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.centre.site_lists import SiteLists
from adapter_core.province.filing_channels import channels, channels_for, files_inside, needs
from adapter_core.province.policy import Policy, action_words, innermost, reasons
from adapter_core.province.reasons_page import PAGE, page
from adapter_core.province.schemes import Opening
from adapter_core.province.special_drugs import read_special_drugs
from adapter_core.settlement.circumstances import Circumstances, Downtime
from adapter_core.settlement.eligibility import Answer, Facts, Question, Read, Verdict
from adapter_core.settlement.filing_state import Filing, stated
from adapter_core.settlement.findings import STOPS, explained, judged, stop
from adapter_core.standard.reference import is_fresh
from adapter_core.values.errors import TranslationError

HERE, DAY = "H36010000001", "2026-11-21"
ROW = {"insutype": "310", "insuplc_admdvs": "320100", "psn_insu_stas": "1", "balc": Decimal("10.00")}
NOT_FILED = Read("2001", None, "没有获取到异地备案信息!", reasons()["not_filed"])
UNSEEN = Read("2001", None, "此人暂缓办理", None)


def facts(**more: Any) -> Facts:
    question = Question("360100", HERE, "outpatient", "11", DAY, {"psn_no": "1"}, insutype="310")
    changed = {name: more.pop(name) for name in list(more) if name in Question.__slots__}
    row = more.pop("row", {})
    known = Facts(replace(question, **changed), insurances=({**ROW, **row},), insurance={**ROW, **row})
    return replace(known, **more)


def told(**more: Any) -> tuple[str, str]:
    answer = judged(facts(**more))
    return str(answer.verdict), answer.reason.code if answer.reason else ""


def pool(flag: str, fund: str = "310100", said: str = "") -> Read:
    return Read("2001", ({"fund_pay_type": fund, "trt_enjymnt_flag": flag, "trt_chk_rslt": said},))


# -- filing


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"regions": ["360000"]}, ""),
        ({"regions": ["360100"]}, ""),
        ({"regions": ["360200"]}, "filing_wrong_region"),
        ({"regions": ["440000", "360000"]}, ""),
        ({"begndate": "2026-11-22"}, "filing_not_started"),
        ({"enddate": "2026-11-20"}, "filing_expired"),
        ({"begndate": DAY, "enddate": DAY}, ""),
        ({"status": "pending"}, "filing_pending"),
        ({"status": "cancelled"}, "filing_cancelled"),
        ({"status": "none"}, "not_filed"),
    ],
)
def test_what_the_patients_app_shows_is_compared_with_place_and_day(said: dict[str, Any], reason: str) -> None:
    assert told(stated=stated(said)) == (("wont", reason) if reason else ("works", ""))
    filing = judged(facts(stated=stated(said))).filing
    assert (filing.state, filing.source) == ("stated_by_patient", "patient_app")


def test_a_filing_nobody_knows_of_is_unknown_and_nothing_is_claimed() -> None:
    answer = judged(facts())
    assert (answer.verdict, answer.reason, answer.filing) == (Verdict.UNKNOWN, None, Filing("unknown"))
    assert answer.next == ("quote", "recheck")


@pytest.mark.parametrize(
    ("insured", "verdict"), [("360100", "works"), ("360200", "works"), ("369900", "works"), ("320100", "unknown")]
)
def test_at_home_and_inside_a_province_without_filing_none_is_needed(insured: str, verdict: str) -> None:
    assert told(row={"insuplc_admdvs": insured})[0] == verdict


def test_inside_a_province_that_is_not_known_to_go_without_a_filing_may_be_needed() -> None:
    assert files_inside("320500", "320100", DAY)
    assert not files_inside("360200", "360100", DAY)
    assert files_inside("360200", "360100", "2023-03-31")
    answer = judged(facts(care="320500"))
    assert (answer.verdict, answer.filing.state) == (Verdict.UNKNOWN, "unknown")


def test_a_flagged_emergency_counts_as_filed() -> None:
    assert told(med_type="13", flagged=True) == ("works", "")
    assert told(med_type="13") == ("unknown", "emergency_flag_missing")
    assert told(med_type="13", benefits=NOT_FILED) == ("wont", "emergency_flag_missing")


def test_the_centres_word_beats_the_patients_and_keeps_its_text() -> None:
    answer = judged(facts(stated=stated({"regions": ["360000"]}), benefits=NOT_FILED))
    assert (answer.verdict, answer.reason) == (Verdict.WONT, reasons()["not_filed"])
    assert (answer.filing.state, answer.filing.text) == ("refused_by_text", NOT_FILED.text)
    assert answer.filing.regions == ("360000",), "what the patient showed isn't lost"


def test_what_the_last_try_was_refused_with_counts_too() -> None:
    answer = judged(facts(last_refusal=replace(NOT_FILED, call="2206")))
    assert (answer.reason, answer.filing.source) == (reasons()["not_filed"], "2206")


def test_words_nobody_knows_stay_whole_and_say_nothing_of_the_filing() -> None:
    answer = judged(facts(benefits=UNSEEN))
    assert (answer.verdict, answer.reason) == (Verdict.UNKNOWN, reasons()["unknown_remote_error"])
    assert [one.text for one in answer.findings if one.text] == [UNSEEN.text]
    assert answer.filing.state == "unknown"


# -- insurance, benefits


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ({"psn_insu_stas": "2", "paus_insu_date": "2026-11-21"}, ("wont", "insurance_suspended")),
        ({"psn_insu_stas": "2", "paus_insu_date": "2026-11-22"}, ("unknown", "")),
        ({"psn_insu_stas": "2"}, ("unknown", "")),
        ({"psn_insu_stas": "1", "paus_insu_date": "2020-01-01"}, ("works", "")),
    ],
)
def test_suspension_is_a_fact_with_its_day_only(row: dict[str, str], verdict: tuple[str, str]) -> None:
    home = {"insuplc_admdvs": "360100", **row}
    assert told(row=home) == verdict
    found = stop(facts(row=home))
    assert (found.reason if found else "") == (verdict[1] if verdict[0] == "wont" else "")


def test_no_insurance_and_several() -> None:
    assert told(insurances=(), insurance=None) == ("wont", "not_insured")
    assert told(insurances=(ROW, {**ROW, "insutype": "390"}), insurance=None) == ("wont", "multiple_insurance")


HOME = {"insuplc_admdvs": "360100"}


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({"benefits": pool("1")}, ("works", "")),
        ({"benefits": pool("0"), "row": {**HOME, "balc": Decimal("0.00")}}, ("wont", "account_only_exhausted")),
        ({"benefits": pool("0")}, ("in_part", "zero_fund_payment")),
        ({"benefits": pool("0"), "row": {**HOME, "balc": None}}, ("unknown", "treatment_check_failed")),
        ({"benefits": pool("0", "390100"), "row": {**HOME, "insutype": "390"}}, ("wont", "resident_no_outpatient_benefit")),
        ({"benefits": pool("0"), "kind": "inpatient", "med_type": "21"}, ("wont", "treatment_check_failed")),
        ({"benefits": pool("9")}, ("unknown", "")),
        ({"benefits": Read("2001", ())}, ("works", "")),
        ({"benefits": Read("2001", ({"fund_pay_type": "310100", "trt_enjymnt_flag": "0"},
                                    {"fund_pay_type": "310100", "trt_enjymnt_flag": "1"}))}, ("works", "")),
        ({"benefits": Read("2001", ({"fund_pay_type": "310100", "trt_enjymnt_flag": "1"},
                                    {"fund_pay_type": "330100", "trt_enjymnt_flag": "0"}))}, ("works", "")),
    ],
)  # fmt: skip
def test_the_flags_of_the_pools(more: dict[str, Any], verdict: tuple[str, str]) -> None:
    assert told(**{"row": HOME, **more}) == verdict


def test_chemotherapy_elsewhere_needs_both_facts() -> None:
    rows = ({"opsp_dise_code": "M00503", "opsp_dise_name": "放化疗", "begndate": "2025-01-01"},)
    registered = Read("5301", rows)
    assert told(row=HOME, benefits=pool("0"), qualifications=registered) == ("wont", "special_benefit_switch")
    assert told(row=HOME, benefits=pool("1"), qualifications=registered) == ("works", "")
    over = Read("5301", ({**rows[0], "enddate": "2026-11-20"},))
    assert told(row=HOME, benefits=pool("0"), qualifications=over)[1] == "zero_fund_payment"


def test_a_chosen_institution_elsewhere_counts_once_it_is_in_force() -> None:
    qualified = Read("5301", ({"opsp_dise_code": "M07801", "begndate": "2025-01-01"},))
    there = {"fixmedins_code": "H9", "fixmedins_name": "别的医院", "begndate": "2025-01-01"}
    base = {"row": HOME, "med_type": "14", "dise_codg": "M07801", "qualifications": qualified}
    assert told(**base, chosen=Read("5302", (there,))) == ("wont", "chronic_not_selected_hospital")
    both = Read("5302", (there, {**there, "fixmedins_code": HERE}))
    assert told(**base, chosen=both) == ("works", "")
    assert told(**base, chosen=Read("5302", ({**there, "begndate": "2027-01-01"},))) == ("works", "")
    assert told(**base, chosen=None) == ("works", "")


# -- the line, the site's lists


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (Read("1101", trouble="CONNECT_FAILED", sent=False), "network_unreachable"),
        (Read("1101", trouble="NO_REPLY"), "timeout_before_settle"),
        (Read("1101", trouble="CENTRE_AWAY"), "remote_province_down"),
    ],
)
def test_what_a_query_without_an_answer_says_of_the_line(read: Read, reason: str) -> None:
    assert told(identity=read) == ("unknown", reason)
    assert told(identity=read, row=HOME)[1] == (reason if "remote" not in reason else "timeout_before_settle")


def test_planned_downtime_of_a_third_region_is_none_of_ours() -> None:
    def around(prefix: str) -> Circumstances:
        return Circumstances(downtimes=(Downtime("停机", prefix),))

    for prefix in ("", "36", "3201"):
        assert told(around=around(prefix)) == ("wont", "planned_downtime")
    assert told(around=around("51"))[1] == ""


def test_only_certain_facts_stop_a_settlement() -> None:
    assert stop(facts(benefits=NOT_FILED, stated=stated({"status": "none"}))) is None
    outage = Circumstances(downtimes=(Downtime("中断", planned=False),))
    assert stop(facts(around=outage)) is None, "the wire itself refuses while it is away"
    closed = Circumstances(openings=(Opening("national", "33", "36", "outpatient", "2022-01-01"),))
    found = stop(facts(around=closed))
    assert found is not None
    assert found.reason == "ordinary_outpatient_not_open"
    assert all(reasons()[code].pipeline in ("refused", "unknown") for code in STOPS)


def test_a_refused_trial_is_explained_by_the_drug_list_and_nothing_else_is() -> None:
    drugs = Circumstances(special_drugs=read_special_drugs([["参保地", "医保目录编码"], ["3201", "XT1"]]))
    bill = facts(around=drugs, items=("XT1",))
    assert explained(bill, "", is_trial=True) == "targeted_drug_needs_special"
    assert explained(bill, "", is_trial=False) == ""
    assert explained(bill, "over_year_cap", is_trial=True) == "", "its own words were understood"
    assert explained(facts(around=drugs, items=("XT2",)), "", is_trial=True) == ""


def test_a_faulty_list_of_drugs_is_refused_with_its_rows() -> None:
    with pytest.raises(TranslationError) as refused:
        read_special_drugs([["参保地", "医保目录编码"], ["江苏", "XT1"], ["32", ""]])
    assert [one.path for one in refused.value.faults] == ["row 2 参保地", "row 3 医保目录编码"]


def test_a_list_that_can_no_longer_be_read_counts_on_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "openings.csv"
    lists = SiteLists(path, None, list, {})
    assert lists().openings == ()
    path.write_text("方案,参保地,就医地,开始日期\nnational,32,36,2022-01-01\n", "utf-8")
    [known] = lists().openings
    path.write_text("方案,参保地\nnational,32\n", "utf-8")
    assert lists().openings == (known,)


# -- texts


def wrapped(text: str, times: int) -> str:
    for _ in range(times):
        text = "FSI-省平台返回" + json.dumps({"infcode": -1, "output": None, "data": {"err_msg": text}})
    return text


@pytest.mark.parametrize("times", [0, 1, 2, 4])
def test_the_innermost_text_is_read(times: int) -> None:
    assert innermost(wrapped("没有获取到异地备案信息!", times)) == "没有获取到异地备案信息!"
    found = Policy().reason_of(wrapped("没有获取到异地备案信息!", times))
    assert found is not None
    assert found.code == "not_filed"


@pytest.mark.parametrize(
    "text", ["{", '{"a": 1}', "[" * 500 + "{", '{"err_msg": ""}', '{"err_msg": {"err_msg": null}}', "{" * 5000]
)
def test_a_text_that_only_looks_like_json_is_itself(text: str) -> None:
    assert innermost(text) == text


def test_an_outer_text_is_no_reason_where_the_inner_one_is_unknown() -> None:
    outer = '没有获取到异地备案信息!{"err_msg":"此人暂缓办理"}'
    assert Policy().reason_of(outer) is None


def test_words_that_settle_nothing_count_inside_as_well() -> None:
    policy = Policy()
    assert policy.is_definite("settle", "-1", wrapped("没有获取到异地备案信息!", 1))
    assert not policy.is_definite("settle", "-1", wrapped("没有获取到异地备案信息! 该单据已结算", 2))


def test_the_place_of_insurances_own_table_reads_what_it_said_itself() -> None:
    home = Policy(texts=(("此人暂缓办理", "waiting_period"),))
    around = Circumstances(policies={"32": home})
    text = wrapped("此人暂缓办理", 1)
    found = around.reason_of(text, "320100", Policy())
    assert found is not None
    assert found.code == "waiting_period"
    assert around.reason_of(text, "330100", Policy()) is None


# -- data


def test_every_action_of_the_catalogue_has_words_and_every_channel_a_need() -> None:
    used = {step for one in reasons().values() for step in one.next} | {"quote", "settle"}
    assert used == action_words().keys()
    assert needs().keys() <= reasons().keys()
    done = {what for one in channels() for what in one.does}
    assert set(needs().values()) <= done
    assert all(one.evidence in "ABC" and one.source for one in channels())


def test_the_nearest_channel_comes_first_and_what_nobody_can_file_away_has_none() -> None:
    named = [one.region for one in channels_for("not_filed", "310000")]
    assert named[0] == "31"
    assert named[-1] == ""
    assert "32" not in named
    assert channels_for("timeout_on_settle", "310000") == ()


def test_the_kept_page_is_fresh() -> None:
    assert is_fresh(PAGE, page().encode()), "python -m adapter_core.province.reasons_page"


def test_an_answer_has_no_reason_of_its_own() -> None:
    """Whatever is answered, the words are the catalogue's."""
    answer: Answer = judged(facts(row={**HOME, "balc": Decimal("0.00")}, benefits=pool("0", said="参保地政策")))
    assert answer.reason is not None
    assert answer.cashier_zh.startswith(answer.reason.cashier_zh)
    assert [one.text for one in answer.findings] == ["参保地政策"]
