"""Absorbing a message: what is hashed, what is merged, what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapter_core.province.messages import Operation
from adapter_core.settlement.absorb import absorb, refuse_faults, request_hash
from adapter_core.settlement.records import Bill, Encounter
from adapter_core.values.errors import Fault, Refused, TranslationError

NOW = "2026-11-21 09:00:00"
ENCOUNTER = Encounter("e1", "H1", "E1", "outpatient", "national")
BILL = Bill("b1", "H1", "e1", "V1", "B1")
DEFAULTS = {"settle.psn_setlway": "01", "fees[].hosp_appr_flag": "1", "env.opter": "HIS"}


def said(whole: bool = True, **content: Any) -> Operation:
    return Operation("settle", "settle", "national", content=content, fees_whole=whole)


def row(amount: str, number: str | None = None, **more: Any) -> dict[str, Any]:
    line = {"med_list_codg": "XA00000001", "det_item_fee_sumamt": Decimal(amount), **more}
    return line if number is None else {**line, "feedetl_sn": number}


def take(operation: Operation, encounter: Encounter = ENCOUNTER, bill: Bill = BILL) -> tuple[Encounter, Bill]:
    return absorb(encounter, bill, operation, DEFAULTS, NOW)


def numbers(bill: Bill) -> list[str]:
    return [line["feedetl_sn"] for line in bill.content["fees"]]


def test_the_hash_is_of_business_content_only() -> None:
    person = {
        "mdtrt_cert_type": "01",
        "mdtrt_cert_no": "E1",
        "card_sn": "1",
        "hcard_basinfo": "x",
        "psn_name": "测试甲",
    }
    base = said(person=person, fees=[row("1.00")], env={"opter": "001"}, x={"local": "1"})
    fresh = {
        **person,
        "mdtrt_cert_no": "E2",
        "card_sn": "2",
        "hcard_basinfo": "y",
        "hcard_chkinfo": "z",
        "ectoken": "t",
    }
    again = said(person=fresh, fees=[row("1.0")], env={"opter": "002", "dev_no": "9"}, x={})
    assert request_hash(again) == request_hash(base)
    for changes in ({"psn_name": "测试乙"}, {"mdtrt_cert_type": "02"}):
        assert request_hash(said(person={**person, **changes}, fees=[row("1.00")])) != request_hash(base)
    assert request_hash(said(person=person, fees=[row("1.01")])) != request_hash(base)


@pytest.mark.parametrize("kind", ["02", "03", None])
def test_a_number_that_names_the_person_is_part_of_the_hash(kind: str | None) -> None:
    card = {"mdtrt_cert_no": "A"} if kind is None else {"mdtrt_cert_type": kind, "mdtrt_cert_no": "A"}
    assert request_hash(said(person=card)) != request_hash(said(person={**card, "mdtrt_cert_no": "B"}))


def test_the_total_is_the_sum_of_the_lines_to_the_fen() -> None:
    _, bill = take(said(fees=[row("186.50"), row("13.5")]))
    assert bill.content["settle"]["medfee_sumamt"] == Decimal("200.00")


def test_a_claimed_total_that_differs_is_told_with_all_other_faults() -> None:
    operation = said(fees=[row("186.50")], settle={"medfee_sumamt": Decimal("186.51")})
    _, bill = take(operation)
    with pytest.raises(TranslationError) as caught:
        refuse_faults(operation, bill, [Fault("2206.input.data.psn_setlway", "a code", "99")])
    assert [fault.path for fault in caught.value.faults] == ["settle.medfee_sumamt", "2206.input.data.psn_setlway"]
    assert caught.value.code == "TOTAL_DIFFERS"
    assert "186.50" in caught.value.message_zh
    same = said(fees=[row("186.50")], settle={"medfee_sumamt": Decimal("186.5")})
    refuse_faults(same, take(same)[1], [])


def test_a_stay_claims_its_total_without_lines() -> None:
    operation = said(settle={"medfee_sumamt": Decimal("186.50")})
    _, bill = take(operation)
    refuse_faults(operation, bill, [])
    assert bill.content["settle"]["medfee_sumamt"] == Decimal("186.50")


def test_lines_without_numbers_keep_theirs_from_quote_to_settle() -> None:
    rows = [row("20.00"), row("20.00"), row("30.00")]
    encounter, bill = take(said(fees=rows))
    first = numbers(bill)
    assert len(set(first)) == 3
    assert all(number.startswith("B1") for number in first)
    _, again = take(said(fees=list(reversed(rows))), encounter, bill)
    assert sorted(numbers(again)) == sorted(first)
    assert numbers(again)[0] == first[2]
    _, more = take(said(fees=[*rows, row("40.00")]), encounter, bill)
    assert numbers(more)[:3] == first
    assert numbers(more)[3] not in first


def test_a_new_number_is_never_one_the_his_uses() -> None:
    _, bill = take(said(fees=[row("1.00"), row("2.00", "B10001"), row("3.00")]))
    assert len(set(numbers(bill))) == 3


def test_a_whole_list_replaces_and_a_part_adds() -> None:
    encounter, bill = take(said(fees=[row("1.00", "F1"), row("2.00", "F2")]))
    assert numbers(take(said(fees=[row("2.00", "F2")]), encounter, bill)[1]) == ["F2"]
    _, added = take(said(False, fees=[row("5.00", "F2"), row("3.00", "F3")]), encounter, bill)
    assert numbers(added) == ["F1", "F2", "F3"]
    assert added.content["settle"]["medfee_sumamt"] == Decimal("9.00")


def test_a_message_without_fees_leaves_them() -> None:
    encounter, bill = take(said(fees=[row("1.00", "F1")], diagnoses=[{"diag_code": "J06"}]))
    _, kept = take(said(settle={"acct_used_flag": "0"}), encounter, bill)
    assert (numbers(kept), kept.content["diagnoses"]) == (["F1"], [{"diag_code": "J06"}])
    assert kept.content["settle"]["acct_used_flag"] == "0"


def test_nothing_a_his_says_reaches_what_only_a_centre_tells() -> None:
    encounter, bill = take(
        said(result={"setl_id": "S"}, trial={"a": 1}, settled={"setl_id": "S"}, lines=[{}], funds=[{}])
    )
    for name in ("result", "trial", "settled", "lines", "funds"):
        assert name not in encounter.content
        assert name not in bill.content


def test_defaults_fill_only_what_is_absent() -> None:
    encounter, bill = take(said(fees=[row("1.00", hosp_appr_flag="0"), row("2.00")], settle={"psn_setlway": "02"}))
    assert bill.content["settle"]["psn_setlway"] == "02"
    assert [line["hosp_appr_flag"] for line in bill.content["fees"]] == ["0", "1"]
    assert encounter.content["env"]["opter"] == "HIS"


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"psn_no": "T1"}, {"psn_no": "T2"}),
        ({"certno": "A"}, {"certno": "B"}),
        ({"mdtrt_cert_type": "02", "mdtrt_cert_no": "A"}, {"mdtrt_cert_type": "02", "mdtrt_cert_no": "B"}),
    ],
)
def test_another_person_is_refused(known: dict[str, str], told: dict[str, str]) -> None:
    encounter, bill = take(said(person=known))
    with pytest.raises(Refused) as caught:
        take(said(person=told), encounter, bill)
    assert caught.value.code == "PERSON_DIFFERS"
    take(said(person=known), encounter, bill)


def test_a_fresh_credential_is_no_other_person() -> None:
    encounter, bill = take(said(person={"mdtrt_cert_type": "01", "mdtrt_cert_no": "E1"}))
    renewed, _ = take(said(person={"mdtrt_cert_type": "01", "mdtrt_cert_no": "E2"}), encounter, bill)
    assert renewed.content["person"]["mdtrt_cert_no"] == "E2"


def test_long_keys_that_begin_alike_become_different_visit_numbers() -> None:
    """By its number a registration in doubt is found again, and 30 characters are all there are."""
    found = set()
    for last in "AB":
        encounter, _ = take(said(), Encounter("e", "H1", "2026112109050000-CLINIC-0001-000" + last, "outpatient", "x"))
        found.add(encounter.content["visit"]["ipt_otp_no"])
    assert {len(number) for number in found} == {30}
    assert len(found) == 2


def test_the_visit_takes_doctor_and_department_from_the_first_line() -> None:
    line = row("1.00", bilg_dr_codg="D1", bilg_dr_name="测试医师", bilg_dept_codg="A03", bilg_dept_name="内科",
               fee_ocur_time="2026-11-21 08:30:00")  # fmt: skip
    encounter, _ = take(said(fees=[line], visit={"dr_name": "测试主任"}))
    visit = encounter.content["visit"]
    assert (visit["atddr_no"], visit["dr_name"], visit["dept_code"]) == ("D1", "测试主任", "A03")
    assert (visit["begntime"], visit["ipt_otp_no"]) == ("2026-11-21 08:30:00", "E1")
