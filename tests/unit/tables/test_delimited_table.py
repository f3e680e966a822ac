"""What a table of a delimited family can express, on one invented dialect: both ways, faults included."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.formats.tables import load_table
from adapter_core.province.messages import Mark, Operation, Outcome
from adapter_core.province.table_dialect import UNKNOWN_TEXT, TableDialect
from adapter_core.values.errors import NotSupported, TranslationError
from adapter_core.values.frames import Frame

DIALECT = TableDialect(load_table((Path(__file__).parent / "invented.toml").read_text("utf-8"), "invented.toml"))
BILL = "V1|0|1|110101190001010000|20261121|0903|测试医师|11|S"
AMOUNTS = {
    "medfee_sumamt": Decimal(100),
    "fund_pay_sumamt": Decimal(60),
    "acct_pay": Decimal(30),
    "psn_cash_pay": Decimal(10),
}


def asking(data: str, code: str = "20") -> Frame:
    return Frame(ins={"in": f"{code}^{data}^".encode("gbk")})


def answer(data: str, ret: str = "1") -> Frame:
    return Frame(ret=ret, outs={"out": f"0^{data}^".encode("gbk")})


def faults_of(frame: Frame) -> list[str]:
    with pytest.raises(TranslationError) as refused:
        DIALECT.decode_request(frame)
    return [str(fault) for fault in refused.value.faults]


def settled(result: Mapping[str, Any], **refs: str) -> Outcome:
    return Outcome("SETTLED", "OK", "", content={"result": dict(result)}, refs=refs)


SETTLE = DIALECT.decode_request(asking(f"{BILL}$XA1|1.5|2|1$XA2|2|0.25|1"))


def told(outcome: Outcome) -> str:
    return DIALECT.encode_reply(SETTLE, outcome).outs["out"].decode("gbk")


def test_a_request_is_read_whole() -> None:
    assert SETTLE.message == "21"
    assert SETTLE.content == {
        "person": {"gend": "1", "mdtrt_cert_type": "02", "certno": "110101190001010000", "psn_cert_type": "01"},
        "visit": {"begntime": "2026-11-21 09:03:00", "med_type": "11"},
        "settle": {"med_type": "11"},
        "fees": [
            {"med_list_codg": "XA1", "pric": Decimal("1.5"), "cnt": Decimal("2"), "bilg_dr_name": "测试医师"},
            {"med_list_codg": "XA2", "pric": Decimal("2"), "cnt": Decimal("0.25"), "bilg_dr_name": "测试医师"},
        ],
        "x": {"bill.8": "S"},
    }
    assert SETTLE.refs == {"visit": "V1"}
    assert set(SETTLE.keys) == {"encounter", "settle"}
    assert DIALECT.decode_request(DIALECT.encode_request(SETTLE)) == SETTLE


def test_one_wire_code_is_two_messages_told_apart_both_ways() -> None:
    quote = DIALECT.decode_request(asking(f"{BILL[:-1]}$XA1|1.5|2|1"))
    assert (quote.message, quote.verb) == ("20", "quote")
    settle = Operation("settle", "21", "invented", content={**quote.content, "x": {}}, refs=quote.refs)
    assert DIALECT.decode_request(DIALECT.encode_request(settle)).verb == "settle"


def test_the_settle_key_follows_the_lines_not_their_number_format() -> None:
    same = DIALECT.decode_request(asking(f"{BILL}$XA1|1.50|2.0|1$XA2|2.0000|0.25|1"))
    other = DIALECT.decode_request(asking(f"{BILL}$XA1|1.51|2|1$XA2|2|0.25|1"))
    assert same.keys == SETTLE.keys
    assert other.keys["settle"] != SETTLE.keys["settle"]


def test_a_condition_chooses_the_field_both_ways() -> None:
    card = DIALECT.decode_request(asking("V1|1|0|T0000001|||||S"))
    assert card.content["person"] == {"gend": "2", "mdtrt_cert_type": "03", "mdtrt_cert_no": "T0000001"}
    assert DIALECT.encode_request(card).ins["in"].decode("gbk") == "20^V1|1|0|T0000001|||||S^"
    neither = DIALECT.decode_request(asking("V1|1||T0000001|||||S"))
    assert "T0000001" not in str(neither.content["person"])
    assert DIALECT.encode_request(neither).ins["in"] == b"20^V1|1||T0000001|||||S^"


def test_many_codes_of_one_meaning_are_written_as_the_first() -> None:
    read = DIALECT.decode_request(asking("V1|9|||||||S"))
    assert read.content["person"] == {"gend": "2"}
    assert DIALECT.encode_request(read).ins["in"] == b"20^V1|1|||||||S^"


def test_every_fault_of_a_message_is_told_at_once_in_the_familys_own_words() -> None:
    faults = faults_of(asking("|7|1|1|20261399|0903|测试医师|11|S$|abc|1e5|2$XA|1|1"))
    assert [fault.split(": ")[0] for fault in faults] == [
        "part [1] row 1 cell [0]（就诊号）",
        "part [1] row 1 cell [1]（性别）",
        "part [1] row 1 cell [4]（日期、时间）",
        "part [1] row 2 cell [0]（编码）",
        "part [1] row 2 cell [1]（单价）",
        "part [1] row 2 cell [2]（数量）",
        "part [1] row 2 cell [3]（固定）",
        "part [1] row 3",
    ]


@pytest.mark.parametrize(
    "frame",
    [
        Frame(ins={"in": b"20^V1|0|1|110101"}),
        asking("V1|0|1"),
        asking(BILL, "99"),
        asking(BILL, ""),
        Frame(ins={"in": b"20^\xff\xfe^"}),
        Frame(),
    ],
)
def test_a_broken_request_is_refused(frame: Frame) -> None:
    assert faults_of(frame)


def test_a_known_code_without_a_layout_lists_what_there_is() -> None:
    with pytest.raises(NotSupported) as refused:
        DIALECT.decode_request(asking("", "30"))
    assert "登记" in refused.value.message_zh
    assert "20 预结算" in refused.value.message_zh


def test_a_sum_of_fields_and_a_sum_of_places() -> None:
    assert told(settled(AMOUNTS, ticket="Q1")) == "^100.00|90.00|30.00|0.00|10.00|Q1||1|^"
    read = DIALECT.decode_reply(SETTLE, answer("100|90|10.00|20.00|10|Q1|1101-在职|1|多|余|"))
    assert read.mark is Mark.OK
    assert read.content["result"] == {**AMOUNTS, "psn_type": "1101"}
    again = DIALECT.encode_reply(SETTLE, Outcome("SETTLED", "", "", content=read.content, refs=read.refs))
    assert again.outs["out"].decode("gbk") == "^100.00|90.00|10.00|20.00|10.00|Q1|1101-在职|1|多|余|^"


def test_a_negative_rest_is_no_amount() -> None:
    with pytest.raises(TranslationError, match="账户"):
        told(Outcome("SETTLED", "", "", content={"result": AMOUNTS, "x": {"pay.3": "31.00"}}))


def test_a_printed_name_is_kept_with_its_code() -> None:
    read = DIALECT.decode_reply(SETTLE, answer("100|90|30|0|10||1102-公务员|1|"))
    assert read.content["result"]["psn_type"] == "1102"
    again = DIALECT.encode_reply(SETTLE, Outcome("SETTLED", "", "", content=read.content))
    assert "|1102-公务员|" in again.outs["out"].decode("gbk")


def test_an_amount_without_a_place_stops_the_answer() -> None:
    assert told(settled({**AMOUNTS, "hifp_pay": Decimal(60), "acct_mulaid_pay": Decimal(0)}))
    with pytest.raises(TranslationError, match="acct_mulaid_pay"):
        told(settled({**AMOUNTS, "acct_mulaid_pay": Decimal("0.01")}))


def test_a_default_that_reads_as_absent_is_no_real_zero() -> None:
    assert "psn_cash_pay" not in DIALECT.decode_reply(SETTLE, answer("90|90|30|0|0.00|||1|")).content["result"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("person", "certno"), "1|2"),
        (("person", "certno"), "1^2"),
        (("person", "certno"), "NULL"),
        (("person", "certno"), "\U0001f600"),
        (("person", "gend"), "0"),
        (("person", "psn_cert_type"), "04"),
        (("settle", "med_type"), "21"),
        (("visit", "begntime"), "2026-11-21"),
    ],
)
def test_what_a_place_cannot_hold_is_refused(path: tuple[str, str], value: str) -> None:
    section, field = path
    content = {**SETTLE.content, section: {**SETTLE.content[section], field: value}}
    changed = Operation("settle", "21", "invented", content=content, refs=SETTLE.refs)
    with pytest.raises(TranslationError) as refused:
        DIALECT.encode_request(changed)
    assert len(refused.value.faults) == 1
    assert value not in str(refused.value) or len(value) < 3


def test_the_character_that_a_charset_lacks_is_named_with_its_place() -> None:
    content = {**SETTLE.content, "person": {**SETTLE.content["person"], "certno": "测试㐂"}}
    with pytest.raises(TranslationError) as refused:
        DIALECT.encode_request(Operation("settle", "21", "invented", content=content, refs=SETTLE.refs))
    assert refused.value.faults[0].path == "part [1] row 1 cell [3]"


def test_lines_that_differ_where_the_family_has_one_place_are_refused() -> None:
    fees = [{**row, "bilg_dr_name": name} for row, name in zip(SETTLE.content["fees"], "甲乙", strict=True)]
    with pytest.raises(TranslationError, match="bilg_dr_name"):
        DIALECT.encode_request(
            Operation("settle", "21", "invented", content={**SETTLE.content, "fees": fees}, refs=SETTLE.refs)
        )


def test_a_message_longer_than_the_buffer_is_refused() -> None:
    with pytest.raises(TranslationError, match="400"):
        told(Outcome("SETTLED", "", "", content={"result": AMOUNTS, "x": {"pay.rest": "九" * 400}}))


@pytest.mark.parametrize(
    ("ret", "mark"),
    [
        ("1", Mark.OK),
        ("7", Mark.OK),
        ("0", Mark.REFUSED),
        ("-2", Mark.REFUSED),
        ("", Mark.UNREADABLE),
        ("true", Mark.UNREADABLE),
    ],
)
def test_success_is_the_familys_rule_and_nothing_else(ret: str, mark: Mark) -> None:
    assert DIALECT.decode_reply(SETTLE, answer("100|90|30|0|10||1101|1|", ret)).mark is mark


@pytest.mark.parametrize(
    "data", ["100|90|30|0|10||", "100|90|30|0|10||1|1", "|90|30|0|10|||1|", "1oo|90|30|0|10|||1|", ""]
)
def test_nothing_is_taken_from_a_reply_that_does_not_fit(data: str) -> None:
    reply = DIALECT.decode_reply(SETTLE, answer(data))
    assert (reply.mark, reply.content) == (Mark.UNREADABLE, {})


@pytest.mark.parametrize(
    ("verb", "state", "ret"),
    [
        ("settle", "SETTLED", "1"),
        ("settle", "QUOTED", "-1"),
        ("settle", "REJECTED", "-2"),
        ("settle", "NOT_SENT", "-2"),
        ("settle", "MANUAL_OPEN", "-2"),
        ("settle", "PENDING", "-1"),
        ("settle", "FROZEN", "-1"),
        ("settle", "SOMETHING_NEW", "-1"),
        ("quote", "QUOTED", "1"),
        ("void", "VOIDED", "1"),
        ("void", "VOIDING", "-1"),
        ("void", "SETTLED", "-1"),
        ("cancel", "CANCELLED", "1"),
    ],
)
def test_only_what_is_surely_done_or_not_done_is_told_so(verb: str, state: str, ret: str) -> None:
    asked = Operation(verb, "21", "invented")
    frame = DIALECT.encode_reply(asked, Outcome(state, "C", "说明 㐂", content={"result": AMOUNTS}))
    assert frame.ret == ret
    if ret == "-1":
        assert frame.outs["text"].decode("gbk") == f"{UNKNOWN_TEXT}说明 ？"
    if ret == "-2":
        assert frame.outs["text"].decode("gbk") == "说明 ？"


def test_a_quote_knows_by_which_message_it_is_settled() -> None:
    quote = DIALECT.decode_request(asking(f"{BILL[:-1]}$XA1|1.5|2|1"))
    form = DIALECT.settle_form(quote)
    assert (form.message, form.verb, form.content) == ("21", "settle", quote.content)


def test_a_file_holds_a_function_call() -> None:
    frame = DIALECT.read_frame_file("ret=-2\r\ntext=没有此人\r\n".encode("gbk"), "x.reply.txt")
    assert DIALECT.decode_reply(SETTLE, frame).text == "没有此人"
    assert DIALECT.write_frame_file(frame) == "ret=-2\ntext=没有此人".encode("gbk")
    reply = answer("1|1|1|1|1|1|1|1|")
    assert DIALECT.read_frame_file(DIALECT.write_frame_file(reply), "x.reply.txt") == reply
