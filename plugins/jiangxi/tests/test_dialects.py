"""What the laws don't say: keys, forms, site options, refusals of the two Jiangxi dialects."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import VERBS, Mark, Outcome
from adapter_core.province.table_dialect import TableDialect
from adapter_core.values.errors import ConfigError, NotSupported, TranslationError
from his_adapter_jiangxi.dialect import fuzhou, neusoft
from his_adapter_jiangxi.province import PROVINCE

SAMPLES = Path(__file__).parent / "samples"


def request(dialect: TableDialect, folder: str, name: str, *changes: tuple[str, str]):  # type: ignore[no-untyped-def]
    text = (SAMPLES / folder / name).read_bytes().decode("gbk")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return dialect.decode_request(dialect.read_frame_file(text.encode("gbk"), name))


@pytest.mark.parametrize("build", PROVINCE.dialects.values())
def test_each_dialect_keeps_the_contract(build) -> None:  # type: ignore[no-untyped-def]
    dialect = build({})
    assert isinstance(dialect, Dialect)
    assert dialect.name in PROVINCE.dialects
    for message in dialect.messages:
        assert message.verb in VERBS
        assert message.title
        assert message.evidence in ("E", "D")


def test_a_repeated_settle_has_the_same_key_and_another_serial_another() -> None:
    dialect = neusoft({})
    first = request(dialect, "neusoft", "2620.request.txt")
    again = request(dialect, "neusoft", "2620.request.txt")
    other = request(dialect, "neusoft", "2620.request.txt", ("20261121090500-", "20261121090700-"))
    assert first.keys == again.keys
    assert other.keys["settle"] != first.keys["settle"]


def test_a_fuzhou_settle_sent_again_later_is_the_same_settlement() -> None:
    dialect = fuzhou({})
    first = request(dialect, "fuzhou", "JS05.request.txt")
    later = request(dialect, "fuzhou", "JS05.request.txt", ("|090500|", "|091700|"))
    more = request(dialect, "fuzhou", "JS05.request.txt", ("2.00|186.5000", "4.00|373.0000"))
    assert later.keys == first.keys
    assert more.keys["settle"] != first.keys["settle"]
    assert first.key_repeats


@pytest.mark.parametrize(
    ("folder", "code"),
    [("neusoft", code) for code in ("9110", "1500", "2210", "2240", "2320", "2430")] + [("fuzhou", "JS06")],
)
def test_known_messages_without_a_layout_are_refused_with_what_there_is(folder: str, code: str) -> None:
    dialect = {"neusoft": neusoft, "fuzhou": fuzhou}[folder]({})
    raw = f"{code}^0001^T001^^1-0001-T001^0000^^1^" if folder == "neusoft" else "SSSS|1;"
    with pytest.raises(NotSupported) as refused:
        dialect.decode_request(dialect.read_frame_file(raw.encode("gbk"), f"{code}.request.txt"))
    assert code in refused.value.message_zh
    assert "结算" in refused.value.message_zh


def test_a_reversal_of_anything_but_a_settlement_is_not_supported() -> None:
    with pytest.raises(NotSupported):
        request(neusoft({}), "neusoft", "2421.request.txt", ("^2410|", "^2310|"))


def test_a_wrong_price_is_named_in_the_familys_words() -> None:
    with pytest.raises(TranslationError) as refused:
        request(neusoft({}), "neusoft", "2310.full.request.txt", ("200.0000", "200.00000x"))
    assert str(refused.value.faults[0]).startswith("part [6] row 2 cell [8]（单价）")
    assert len(refused.value.faults) == 1


def test_lines_of_two_patients_in_one_message_are_refused() -> None:
    raw = (SAMPLES / "neusoft" / "2310.full.request.txt").read_bytes()
    head, _, tail = raw.rpartition(b"T00000000002")
    dialect = neusoft({})
    with pytest.raises(TranslationError, match="个人编号"):
        dialect.decode_request(dialect.read_frame_file(head + b"T00000000009" + tail, "2310.request.txt"))


def test_a_card_in_the_reader_must_be_the_messages_card() -> None:
    dialect = neusoft({})
    frame = dialect.read_frame_file((SAMPLES / "neusoft" / "2100.request.txt").read_bytes(), "2100.request.txt")
    read = dialect.decode_request(replace(frame, side={"mdtrt_cert_no": "T0000001"}))
    assert read.content["person"] == {"mdtrt_cert_no": "T0000001", "mdtrt_cert_type": "03"}
    settle = dialect.read_frame_file((SAMPLES / "neusoft" / "2410.request.txt").read_bytes(), "2410.request.txt")
    with pytest.raises(TranslationError, match="卡号"):
        dialect.decode_request(replace(settle, side={"mdtrt_cert_no": "T0000009"}))


def test_the_elsewhere_flag_compares_with_the_sites_own_region() -> None:
    dialect = neusoft({"admdvs": "360403"})
    asked = request(dialect, "neusoft", "2100.request.txt")
    flags = {}
    for area in ("360400", "360100", "320100"):
        person = {"psn_no": "T1", "psn_name": "测试甲", "insuplc_admdvs": area}
        told = dialect.encode_reply(asked, Outcome("DONE", "", "", content={"person": person}))
        flags[area] = told.outs["out"].decode("gbk").split("^")[2].split("|")[10]
    assert flags == {"360400": "0", "360100": "1", "320100": "1"}
    settle = request(dialect, "neusoft", "2410.request.txt")
    local = replace(
        settle, content={**settle.content, "person": {**settle.content["person"], "insuplc_admdvs": "360400"}}
    )
    assert dialect.encode_request(local).ins["in"].split(b"^")[5] == b"0000"
    assert local.content["person"]["insuplc_admdvs"] == "360400"


def test_medical_types_beyond_the_evidence_are_the_sites_to_map() -> None:
    with pytest.raises(TranslationError, match="医疗类别"):
        request(neusoft({}), "neusoft", "2410.request.txt", ("|11|2026", "|15|2026"))
    mapped = request(neusoft({"codes.med_type.15": "21"}), "neusoft", "2410.request.txt", ("|11|2026", "|15|2026"))
    assert (mapped.content["settle"]["med_type"], mapped.kind) == ("21", "inpatient")
    with pytest.raises(ConfigError, match="med_typ"):
        neusoft({"codes.med_typ.15": "21"})


def test_a_short_request_of_another_city_is_read_and_a_cut_reply_is_not() -> None:
    dialect = neusoft({})
    tail = "03||||||||||T00000000001|测试甲|T0000001|0|"
    short = request(dialect, "neusoft", "2410.request.txt", (tail, "03|"))
    assert short.content["settle"]["invono"] == "DJ000001"
    assert dialect.encode_request(short).ins["in"].decode("gbk").endswith("|测试操作员|03|^1^")
    raw = (SAMPLES / "neusoft" / "2410.reply.txt").read_bytes()
    for length in range(len(raw)):
        cut = dialect.decode_reply(short, dialect.read_frame_file(raw[:length], "2410.reply.txt", reply=True))
        assert cut.mark is Mark.UNREADABLE, length


def test_a_settlement_from_the_national_side_is_told_in_every_column_the_his_reads() -> None:
    dialect = neusoft({})
    asked = request(dialect, "neusoft", "2410.request.txt")
    result = {"medfee_sumamt": Decimal("186.50"), "fund_pay_sumamt": Decimal("120.30"), "hifp_pay": Decimal("110.30"),
              "hifob_pay": Decimal("10.00"), "acct_pay": Decimal("40.00"), "psn_cash_pay": Decimal("26.20"),
              "balc": Decimal("315.60"), "acct_mulaid_pay": Decimal(0), "setl_id": "JS1"}  # fmt: skip
    outcome = Outcome("SETTLED", "OK", "", content={"result": result})
    cells = dialect.encode_reply(asked, outcome).outs["out"].decode("gbk").split("^")[2].split("|")
    assert cells[:6] == ["186.50", "160.30", "110.30", "10.00", "40.00", "26.20"]
    assert (cells[25], cells[39], cells[41]) == ("355.60", "JS1", "DJ000001")
    assert (cells[38], cells[43], cells[46]) == ("00000001", "20261121090500-0001-MZ0000001", "0001")
    assert len(cells) == 63
    with pytest.raises(TranslationError, match="acct_mulaid_pay"):
        dialect.encode_reply(asked, replace(outcome, content={"result": {**result, "acct_mulaid_pay": Decimal(1)}}))


def test_forms_other_than_success() -> None:
    dialect = neusoft({})
    asked = request(dialect, "neusoft", "2410.request.txt")
    failed = dialect.encode_reply(asked, Outcome("REJECTED", "X", "已结算"))
    unknown = dialect.encode_reply(asked, Outcome("PENDING", "X", "正在核实"))
    assert (failed.ret, failed.outs["out"].decode("gbk")) == ("-2", "已结算")
    assert (unknown.ret, unknown.outs["out"].decode("gbk")) == ("-1", "【结果未知，请勿改自费】正在核实")
    told = fuzhou({}).encode_reply(
        request(fuzhou({}), "fuzhou", "JS05.request.txt"), Outcome("PENDING", "X", "正在核实")
    )
    assert (told.ret, told.outs["retMsg"].decode("gbk")) == ("-1", "【结果未知，请勿改自费】正在核实")


def test_an_untold_balance_is_not_made_of_the_account_payment() -> None:
    dialect = neusoft({})
    result = {
        "medfee_sumamt": Decimal(100),
        "fund_pay_sumamt": Decimal(60),
        "acct_pay": Decimal(40),
        "psn_cash_pay": Decimal(0),
    }
    told = dialect.encode_reply(
        request(dialect, "neusoft", "2410.request.txt"), Outcome("SETTLED", "", "", content={"result": result})
    )
    assert told.outs["out"].split(b"|")[25] == b"0.00"


def test_fuzhou_refuses_a_fund_total_that_its_columns_do_not_give() -> None:
    dialect = fuzhou({})
    result = {
        "medfee_sumamt": Decimal(100),
        "fund_pay_sumamt": Decimal(60),
        "acct_pay": Decimal(30),
        "psn_cash_pay": Decimal(9),
    }
    with pytest.raises(TranslationError, match="基金支付总额"):
        dialect.encode_reply(
            request(dialect, "fuzhou", "JS05.request.txt"), Outcome("SETTLED", "", "", content={"result": result})
        )


def test_a_second_row_where_one_is_meant_is_refused() -> None:
    with pytest.raises(TranslationError, match="part \\[6\\] rows"):
        request(neusoft({}), "neusoft", "2410.request.txt", ("|0|^1^", "|0|$MZ0000002|^1^"))
