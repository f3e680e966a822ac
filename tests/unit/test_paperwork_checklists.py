"""Checklists: what each place of insurance wants, how well that is known, and nothing that isn't known."""

from __future__ import annotations

import json

import pytest

from adapter_core.paperwork.checklists import (
    CASE_TYPES,
    NATIONAL_BANNER,
    UNVERIFIED_BANNER,
    case_type,
    checklist,
)
from adapter_core.standard.source import load_json
from tests.unit.paperwork_samples import MED_TYPES, document

HUNAN = "430100"
"""A region without a list of its own."""


def required(admdvs: str, of_type: str) -> list[str]:
    return [wanted.code for wanted in checklist(admdvs, of_type).required]


def test_shanghai_jiangxi_and_the_national_list_want_different_documents() -> None:
    assert required(HUNAN, "outpatient") == ["id_evidence", "receipt", "op_fee_list", "rx_or_record"]
    assert required("310000", "outpatient") == ["id_evidence", "receipt", "rx_or_record", "shanghai_mr_book"]
    assert required(HUNAN, "inpatient") == ["id_evidence", "receipt", "ip_fee_list", "dx_or_discharge"]
    assert required("360100", "inpatient") == [
        "id_card", "social_card", "receipt", "ip_fee_list", "discharge_summary",
    ]  # fmt: skip


def printed(admdvs: str) -> str:
    """Everything the cover says of what to bring, for every kind of case."""
    return json.dumps([document(admdvs, kind)["checklist"] for kind in MED_TYPES], ensure_ascii=False, sort_keys=True)


def test_what_is_printed_differs_between_jiangsu_shanghai_jiangxi_and_the_default() -> None:
    """Jiangsu's documents are those of the national list, which is known through Jiangsu's own copy; its notes, place, times and
    basis are its own."""
    sheets = {printed(admdvs) for admdvs in ("320100", "310000", "360100", HUNAN)}
    assert len(sheets) == 4
    noted = [wanted.note for wanted in checklist("320100", "outpatient").required if wanted.code == "op_fee_list"]
    assert noted == ["就诊医院已上传明细的，参保地可调用电子明细（规程第28条）"]


@pytest.mark.parametrize("of_type", MED_TYPES)
@pytest.mark.parametrize(
    ("admdvs", "own"),
    [
        ("320500", list(MED_TYPES)),
        ("310115", list(MED_TYPES)),
        ("330100", []),
        ("340100", []),
        ("360100", ["inpatient"]),
        ("140100", ["pharmacy"]),
        ("440300", []),
        (HUNAN, []),
        ("", []),
    ],
)
def test_where_a_region_has_no_list_of_its_own_the_national_one_says_so(
    admdvs: str, own: list[str], of_type: str
) -> None:
    listed = checklist(admdvs, of_type)
    assert listed.own == (of_type in own)
    assert (listed.banner == NATIONAL_BANNER) == (of_type not in own)
    assert listed.required
    assert listed.where
    if listed.own and listed.confidence == "C":
        assert listed.banner == UNVERIFIED_BANNER


def test_every_document_named_exists_and_every_list_is_complete() -> None:
    data = load_json("policy", "manual-reimbursement.json")
    for region in data["regions"].values():
        assert region["basis"]
        for kind, case in region["cases"].items():
            assert kind in CASE_TYPES
            assert case["confidence"] in ("A", "B", "C")
            named = [*case["required"], *(name for row in case.get("conditional", []) for name in row["add"])]
            assert set(named) <= data["documents"].keys()


def test_a_region_keeps_the_national_conditions_beside_its_own() -> None:
    assert checklist("320100", "emergency").situations == ("抢救", "意外伤害", "代办")
    assert checklist("140100", "pharmacy").situations == ("门诊特药", "双通道", "代办")


@pytest.mark.parametrize(
    ("kind", "med_type", "expected"),
    [
        ("outpatient", "11", "outpatient"),
        ("outpatient", "13", "emergency"),
        ("outpatient", "14", "outpatient_chronic"),
        ("outpatient", "140104", "outpatient_chronic"),
        ("outpatient", "51", "maternity"),
        ("inpatient", "24", "inpatient"),
        ("pharmacy", "41", "pharmacy"),
    ],
)
def test_the_kind_of_case_follows_the_flow_and_the_medical_type(kind: str, med_type: str, expected: str) -> None:
    assert case_type(kind, med_type) == expected
