"""The national data as this project ships it: complete, honest about its gaps, and compiled without being changed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from adapter_core.standard import (
    all_infnos,
    codec,
    dictionary,
    endpoint,
    file_layout,
    is_cross_province,
    region,
    same_province,
    schema_file,
    transaction,
)
from adapter_core.standard import source as source_module
from adapter_core.standard.describe import CLASS_WORDS, CONFIDENCE_WORDS, describe, json_schema
from adapter_core.standard.dictionaries import dictionary_codes
from adapter_core.standard.reference import PAGE, is_fresh, main, reference_page
from adapter_core.standard.regions import all_regions
from adapter_core.standard.spellings import canonical_code, spellings, spellings_of
from adapter_core.values.errors import TranslationError

VARIANTS = {"2101": "2102", "2102A": "2102", "2206A": "2206", "2207A": "2207", "2304A": "2304"}


def test_the_92_transactions_have_tables_and_five_more_say_whose_they_take() -> None:
    found = [transaction(infno) for infno in all_infnos()]
    assert len([row for row in found if not row.base]) == 92
    assert {row.infno: row.base for row in found if row.base} == VARIANTS
    assert all((row.confidence == "base-table") == bool(row.base) for row in found)
    assert all(row.sources for row in found)


@pytest.mark.parametrize(("variant", "base"), sorted(VARIANTS.items()))
def test_a_variant_has_the_tables_of_its_base_and_says_so(variant: str, base: str) -> None:
    found = transaction(variant)
    assert (found.input, found.output) == (transaction(base).input, transaction(base).output)
    assert f"取 {base} 的表" in found.note
    assert codec(variant).transaction.infno == variant


def test_every_class_and_confidence_is_met_and_has_a_word() -> None:
    found = [transaction(infno) for infno in all_infnos()]
    assert {row.kind_class for row in found} == set(CLASS_WORDS)
    assert {row.confidence for row in found} == set(CONFIDENCE_WORDS)
    money = {row.infno for row in found if row.kind_class == "N"}
    assert money == {"2102", "2102A", "2103", "2207", "2207A", "2208", "2304", "2304A", "2305"}
    assert {row.infno for row in found if row.kind_class == "P"} == {"2101", "2206", "2206A", "2303"}


def test_every_field_keeps_what_its_row_says() -> None:
    for infno in all_infnos():
        data = json.loads(schema_file("national", "transactions", f"{infno}.json").read_text(encoding="utf-8"))
        found = transaction(infno)
        if found.base:
            continue
        for side in ("input", "output"):
            for row, node in zip(data[side], found.nodes(side), strict=True):
                assert (row["node"], row["repeat"]) == (node.name, node.repeat)
                for printed, field in zip(row["fields"], node.fields, strict=True):
                    size = "" if field.length is None else str(field.length)
                    size += f",{field.places}" if "," in printed["length"] else ""
                    assert printed["length"] == size or field.type in ("date", "datetime")
                    assert (field.code, field.name, field.type) == (printed["code"], printed["name"], printed["type"])
                    assert (field.dictionary, field.required) == (printed["dict"], printed["required"])
                    assert field.note == printed["note"]


def test_a_scale_that_no_source_tells_stays_unknown() -> None:
    node = transaction("1318").node("output", "data")
    assert node is not None
    field = node.field("hilist_pric_uplmt_amt")
    assert field is not None
    assert (field.length, field.places) == (16, None)


def test_no_field_of_a_node_hides_a_node_inside_it() -> None:
    for infno in all_infnos():
        for side in ("input", "output"):
            for node in transaction(infno).nodes(side):
                outer, _, inner = node.name.partition(".")
                if inner:
                    around = transaction(infno).node(side, outer)
                    assert around is not None
                    assert around.field(inner) is None


@pytest.mark.parametrize("infno", ["9999", "22", "2206B", "../envelope", "", "2207\n"])
def test_an_unknown_transaction_is_one_clear_fault(infno: str) -> None:
    with pytest.raises(TranslationError) as raised:
        transaction(infno)
    assert raised.value.code == "UNKNOWN_INFNO"
    assert [fault.path for fault in raised.value.faults] == ["infno"]


def test_loading_one_transaction_reads_no_other() -> None:
    script = (
        "import adapter_core.standard.transactions as t; read = []; real = t.load_json\n"
        "t.load_json = lambda *parts: (read.append(parts[-1]), real(*parts))[1]\n"
        "t.transaction('2207A'); print(sorted(read))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=source_module.PACKAGE.parent,
    )
    assert ran.stdout.strip() == "['2207.json', '2207A.json']"


def test_the_wheel_s_data_is_taken_before_the_checkout_s(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "national").mkdir()
    monkeypatch.setattr(source_module, "INSTALLED", tmp_path)
    assert source_module.schema_root.__wrapped__() == tmp_path
    monkeypatch.setattr(source_module, "INSTALLED", tmp_path / "none")
    assert source_module.schema_root.__wrapped__() == source_module.CHECKOUT
    monkeypatch.setattr(source_module, "CHECKOUT", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="installation is incomplete"):
        source_module.schema_root.__wrapped__()


def test_endpoints_are_the_real_misspelt_ones_and_gaps_stay_gaps() -> None:
    assert endpoint("2201") == "/fsi/api/outpatientDocInfoService/outpatientRregistration"
    assert endpoint("2207") == "/fsi/api/outpatientSettleService/saveSettletmentV2"
    assert endpoint("2101") is None
    settled = [infno for infno in all_infnos() if endpoint(infno)]
    assert {"1101", "2206", "2206A", "2207A", "2208", "2304", "2305", "2601", "9001"} <= set(settled)


def test_the_file_of_3202_has_its_columns_in_order_and_says_what_no_source_says() -> None:
    layout = file_layout("3202")
    assert layout is not None
    assert [field.code for field in layout.upload.fields] == [
        "setl_id", "mdtrt_id", "psn_no", "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "refd_setl_flag",
    ]  # fmt: skip
    assert (layout.upload.separator, layout.upload.charset, layout.result.separator) == ("\t", None, None)
    assert file_layout("2207") is None


def test_spellings_lead_to_one_code_and_never_join_the_two_regions() -> None:
    every = [code for known in spellings().values() for code in known]
    assert len(every) == len(set(every))
    assert canonical_code("expContent") == "exp_content"
    assert spellings_of("pdn_cash_pay") == ("psn_cash_pay", "pdn_cash_pay")
    assert spellings_of("psn_no") == ("psn_no",)
    assert canonical_code("mdtrtarea_admvs") != canonical_code("insuplc_admdvs")


def test_dictionaries_tell_known_unlisted_and_refused_codes_apart() -> None:
    assert len(dictionary_codes()) == 34
    med_type, psn_type, sex = dictionary("med_type"), dictionary("psn_type"), dictionary("gend")
    assert med_type is not None
    assert psn_type is not None
    assert sex is not None
    assert med_type.label("11") == "普通门诊"
    assert [med_type.standing(code) for code in ("11", "140104", "990101", "ZZ")] == [
        "known", "known", "unlisted", "refused",
    ]  # fmt: skip
    assert [psn_type.standing(code) for code in ("1101", "77")] == ["known", "unlisted"]
    assert [sex.standing(code) for code in ("1", "男")] == ["known", "refused"]
    assert dictionary("valiFlag") == dictionary("vali_flag")
    assert dictionary("otc_flag") is None


def test_a_national_name_comes_before_the_local_one() -> None:
    found = dictionary("psn_setlway")
    assert found is not None
    assert found.label("01") == found.values["01"] != found.local_values["01"]


def test_regions_name_what_is_listed_and_fall_back_to_what_is_around() -> None:
    nanchang = region("360100")
    assert nanchang is not None
    assert (nanchang.name, nanchang.province) == ("南昌市", "江西省")
    county, corps = region("360402"), region("660000")
    assert county is not None
    assert county.code == "360400"
    assert corps is not None
    assert corps.confidence == "C"
    assert region("990000") is None
    assert region("36") is None
    assert len(all_regions()) == 32 + 337 + 28


def test_two_provinces_are_told_by_their_first_two_digits() -> None:
    assert same_province("360100", "369900")
    assert is_cross_province("360100", "440300")
    with pytest.raises(TranslationError) as raised:
        is_cross_province("", "44030")
    assert len(raised.value.faults) == 2


def test_describe_tells_every_field_and_where_the_tables_come_from() -> None:
    page = describe("2207A")
    facts = dict(page.facts)
    assert facts["字段表取自"] == "2207"
    assert facts["归类"] == "N 动钱"
    assert facts["路径"].endswith("saveSettletment")
    amount = next(line for node in page.nodes for line in node.fields if line.code == "medfee_sumamt")
    assert (amount.name, amount.type, amount.length, amount.required) == ("医疗费总额", "number", "16,2", "Y")
    extension = next(line for line in page.nodes[0].fields if line.code == "expContent")
    assert extension.spellings == "exp_content"
    assert sum(len(node.fields) for node in describe("2208").nodes) == 4 + 27 + 6


def test_the_json_schema_says_what_the_table_says() -> None:
    schema = json_schema("2204")
    row = schema["properties"]["feedetail"]["items"]
    assert row["properties"]["feedetl_sn"]["maxLength"] == 30
    assert row["properties"]["pric"]["exclusiveMaximum"] == 10**10
    table = transaction("2204").node("input", "feedetail")
    assert table is not None
    assert set(row["required"]) == {
        field.code for field in table.fields if field.required and not field.required_disputed
    }
    assert json_schema("3505")["properties"]["selinfo"]["properties"]["drugtracinfo"]["type"] == "object"
    assert json_schema("1101")["properties"]["data"]["properties"]["psn_cert_type"]["enum"][0] == "01"
    for infno in all_infnos():
        for side in ("input", "output"):
            json.dumps(json_schema(infno, side))


def test_the_reference_page_is_fresh() -> None:
    assert main(["--check"]) == 0, "run python -m adapter_core.standard.reference"


def test_a_stale_or_missing_page_is_told(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = reference_page().encode()
    copy = tmp_path / PAGE.name
    assert not is_fresh(copy, page)
    copy.write_bytes(page.replace(b"\n", b"\r\n"))
    assert is_fresh(copy, page)
    copy.write_bytes(page + b"x")
    monkeypatch.setattr("adapter_core.standard.reference.PAGE", copy)
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert copy.read_bytes() == page
    assert main(["--wrong"]) == 2
