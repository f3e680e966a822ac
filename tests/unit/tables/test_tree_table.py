"""Tables over trees: XML text inside SOAP as one family sends it, and plain JSON."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapter_core.formats.soap import read_envelope, write_envelope
from adapter_core.formats.tables import load_table
from adapter_core.province.messages import Mark, Operation, Outcome
from adapter_core.province.table_dialect import UNKNOWN_TEXT, TableDialect
from adapter_core.values.errors import TranslationError
from adapter_core.values.frames import Frame

SOAP_TABLE = """
dialect = "tree"
success = { at = "tree.errorcode", min = 0, write = "0" }
failure = { "tree.errorcode" = "-1", "tree.errormsg" = "{text}" }
unknown = { fault = "{text}" }
ref.visit = { theirs = true }
codes.gend = { "1" = "1", "2" = "2" }
[frame]
kind = "xml"
charset = "utf-8"
code = "soap.TransNo"
ask_text = "body"
tell_text = "body"
ask_root = "input"
tell_root = "result"
declaration = "GBK"
soap = { namespace = "urn:invented", operation = "STYDJKService", text = "Inxml", answer = "return" }
[message.0304]
verb = "settle"
keys = { encounter = "ref.visit" }
ask.head = "bill"
ask.rows = "fee"
tell.head = ["head", "pay"]
[record.bill]
rows = [
  ["ykc700", "登记号", "ref.visit", "text", { must = true }],
  ["aac004", "性别", "person.gend", "code:gend"],
  ["akc264", "总金额", "settle.medfee_sumamt", "yuan", { must = true }],
]
[record.fee]
into = "fees"
at = "feelist.row"
rows = [
  ["ake001", "编码", "fees.med_list_codg", "text", { must = true }],
  ["akc226", "数量", "fees.cnt", "plain"],
]
[record.head]
rows = [["transid", "流水号", "-"]]
[record.pay]
at = "output"
rows = [
  ["akc264", "总金额", "result.medfee_sumamt", "yuan", { must = true }],
  ["akb068", "记账", "result.fund_pay_sumamt", "yuan"],
  ["akb066", "账户", "result.acct_pay", "yuan", { write = "0.00" }],
  ["yzz139", "自负", "result.psn_cash_pay + result.acct_pay", "yuan"],
  ["ake035* + ykc635", "公务员", "result.cvlserv_pay", "yuan", { write = "0.00" }],
]
"""
DIALECT = TableDialect(load_table(SOAP_TABLE, "tree.toml"))
INNER = (
    '<?xml version="1.0" encoding="GBK"?><input><akc264>186.50</akc264><ykc700>S1</ykc700><ykc675>1</ykc675>'
    "<feelist><row><ake001>XA1</ake001><akc226>2</akc226><name>测试药品</name></row>{rows}</feelist></input>"
)


def request(inner: str = INNER.format(rows="<row><ake001>XA2</ake001></row>"), version: str = "1.1") -> Frame:
    parameters = {"TransNo": "0304", "Inxml": inner}
    return Frame(body=write_envelope(version, "urn:invented", "STYDJKService", parameters))  # type: ignore[arg-type]


def reply_text(frame: Frame) -> str:
    return read_envelope(frame.body).parameters["return"]


SETTLE = DIALECT.decode_request(request())


def test_repeated_elements_are_lines_and_what_no_row_knows_is_kept() -> None:
    assert SETTLE.content == {
        "settle": {"medfee_sumamt": Decimal("186.50")},
        "fees": [{"med_list_codg": "XA1", "cnt": Decimal("2"), "x": {"name": "测试药品"}}, {"med_list_codg": "XA2"}],
        "x": {"bill.ykc675": "1"},
    }
    assert DIALECT.decode_request(DIALECT.encode_request(SETTLE)) == SETTLE


def test_one_line_reads_like_a_list_of_one() -> None:
    assert [row["med_list_codg"] for row in DIALECT.decode_request(request(INNER.format(rows=""))).content["fees"]] == [
        "XA1"
    ]


def test_faults_are_named_by_their_elements() -> None:
    with pytest.raises(TranslationError) as refused:
        DIALECT.decode_request(
            request("<input><aac004>7</aac004><feelist><row>x</row></feelist><dup>1</dup><dup>2</dup></input>")
        )
    assert sorted(fault.path for fault in refused.value.faults) == [
        "aac004",
        "akc264",
        "dup",
        "feelist.row[0]",
        "ykc700",
    ]


def test_a_settlement_is_told_and_read_back() -> None:
    result = {
        "medfee_sumamt": Decimal("186.50"),
        "fund_pay_sumamt": Decimal("120.30"),
        "acct_pay": Decimal("40.00"),
        "psn_cash_pay": Decimal("26.20"),
        "cvlserv_pay": Decimal("3.00"),
    }
    frame = DIALECT.encode_reply(SETTLE, Outcome("SETTLED", "", "", content={"result": result}))
    assert "<yzz139>66.20</yzz139>" in reply_text(frame)
    assert "<ake035>3.00</ake035>" in reply_text(frame)
    reply = DIALECT.decode_reply(SETTLE, frame)
    assert (reply.mark, reply.content) == (Mark.OK, {"result": result})


def test_refused_is_a_reply_and_unknown_is_a_fault() -> None:
    refused = DIALECT.encode_reply(SETTLE, Outcome("REJECTED", "", "未办理备案"))
    assert DIALECT.decode_reply(SETTLE, refused).text == "未办理备案"
    unknown = DIALECT.encode_reply(SETTLE, Outcome("PENDING", "", ""))
    assert unknown.status == 500
    read = DIALECT.decode_reply(SETTLE, unknown)
    assert (read.mark, read.code) == (Mark.UNREADABLE, "fault:Server")
    assert read.text.startswith(UNKNOWN_TEXT)


def test_another_operation_of_the_service_is_refused() -> None:
    body = write_envelope("1.1", "urn:invented", "Other", {"TransNo": "0304", "Inxml": INNER.format(rows="")})
    with pytest.raises(TranslationError, match="STYDJKService"):
        DIALECT.decode_request(Frame(body=body))


def test_the_answer_speaks_the_callers_soap_version() -> None:
    asked = DIALECT.decode_request(request(version="1.2"))
    assert read_envelope(DIALECT.encode_reply(asked, Outcome("PENDING", "", "")).body).version == "1.2"
    assert read_envelope(DIALECT.encode_request(asked).body).version == "1.2"


def test_a_reply_without_its_output_tells_no_amount() -> None:
    body = write_envelope(
        "1.1", "urn:invented", "STYDJKServiceResponse", {"return": "<result><errorcode>0</errorcode></result>"}
    )
    assert DIALECT.decode_reply(SETTLE, Frame(body=body)).mark is Mark.UNREADABLE
    no_code = write_envelope("1.1", "urn:invented", "STYDJKServiceResponse", {"return": "<result><output/></result>"})
    assert DIALECT.decode_reply(SETTLE, Frame(body=no_code)).mark is Mark.UNREADABLE


JSON_TABLE = """
dialect = "pinyin"
blank = [""]
success = { at = "tree.xxfhm", is = "P001" }
failure = { "tree.xxfhm" = "E999", "tree.fhxx" = "{text}" }
unknown = { "tree.xxfhm" = "P900", "tree.fhxx" = "{text}" }
ref.flow = { mint = ["quote"], pattern = "{n}" }
[frame]
kind = "json"
charset = "utf-8"
code = "tree.xxlxm"
ask_text = "body"
tell_text = "body"
numbers = true
[message.SI11]
verb = "quote"
ask.head = "body"
ask.rows = "fee"
tell.head = "result"
[record.body]
at = "xxnr"
rows = [["jzrq", "日期", "visit.begntime", "time:yyyyMMdd"]]
[record.fee]
into = "fees"
at = "xxnr.mxxms"
rows = [["xmdm", "编码", "fees.med_list_codg"], ["je", "金额", "fees.det_item_fee_sumamt", "yuan"]]
[record.result]
at = "xxnr"
rows = [["totalexpense", "总额", "result.medfee_sumamt", "yuan"], ["lsh", "流水号", "ref.flow"]]
"""


def test_json_numbers_and_texts() -> None:
    dialect = TableDialect(load_table(JSON_TABLE, "pinyin.toml"))
    body = '{"xxlxm":"SI11","xxnr":{"jzrq":"20261121","sfyz":true,"mxxms":[{"xmdm":"XA1","je":186.5},{"xmdm":"XA2","je":"1"}]}}'
    asked = dialect.decode_request(Frame(body=body.encode()))
    assert [row["det_item_fee_sumamt"] for row in asked.content["fees"]] == [Decimal("186.50"), Decimal("1.00")]
    assert asked.content["x"] == {"body.sfyz": "true"}
    assert b'"je":186.50' in dialect.encode_request(asked).body
    outcome = Outcome("QUOTED", "", "", content={"result": {"medfee_sumamt": Decimal("187.50")}}, refs={"flow": "7"})
    told = dialect.encode_reply(asked, outcome)
    assert told.body == b'{"xxnr":{"totalexpense":187.50,"lsh":"7"},"xxfhm":"P001"}'
    reply = dialect.decode_reply(Operation("quote", "SI11", "pinyin"), told)
    assert (reply.content["result"]["medfee_sumamt"], reply.refs) == (Decimal("187.50"), {"flow": "7"})
