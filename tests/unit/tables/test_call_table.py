"""Call frames: named values, cells with a leading mark, result sets, XML with numbered rows; carried by a library or SOAP."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_core.formats.soap import read_envelope
from adapter_core.formats.tables import load_table
from adapter_core.province.call_dialect import CallDialect
from adapter_core.province.messages import Mark, Operation, Outcome
from adapter_core.values.errors import ContractError, NotSupported, TranslationError
from adapter_core.values.frames import Frame

COMMON = """
[success]
at = "{at}"
not = "0"
write = "1"
[failure]
"{at}" = "0"
"{text}" = "{{text}}"
[unknown]
"{at}" = "0"
"{text}" = "{{text}}"
[ref.slip]
theirs = true
[message.Pay]
title = "pay"
verb = "settle"
match = {{ "tree.Kind" = "1" }}
ask = {{ head = "ask", rows = "line", rows_least = 1 }}
tell = {{ head = "paid" }}
[message.Pay-back]
code = "Pay"
title = "pay back"
verb = "void"
match = {{ "tree.Kind" = "-1" }}
ask = {{ head = "ask" }}
[unsupported]
Other = "another function"
[record.ask]
rows = [
  ["Slip", "slip", "ref.slip", "text", {{ must = true }}],
  ["Pin", "PIN", "-", "text", {{ drop = "never kept" }}],
  ["Note", "note", "-"],
]
[record.line]
into = "fees"
at = "lines"
rows = [["code", "code", "fees.med_list_codg", "text", {{ must = true }}], ["sum", "sum", "fees.det_item_fee_sumamt", "yuan"]]
"""
LIBRARY = """
dialect = "library"
[frame]
kind = "call"
charset = "gbk"
code = "function"
limit = 40
[frame.values]
lines = { kind = "rows" }
Buffer = { kind = "cells", cell = "|", leading = true }
[record.paid]
at = "Buffer"
cells = 3
closed = true
rows = [[1, "total", "result.medfee_sumamt", "yuan", { must = true }], [2, "cash", "result.psn_cash_pay", "yuan"]]
""" + COMMON.format(at="ret", text="out.Buffer")  # fmt: skip
SOAP = """
dialect = "rpc"
[frame]
kind = "call"
charset = "utf-8"
code = "function"
[frame.soap]
namespace = "urn:test"
number = "return"
[frame.values]
lines = { kind = "rows" }
Result = { kind = "xml", root = "Box", numbered = "Row" }
[record.paid]
at = "Result.Row"
rows = [["total", "total", "result.medfee_sumamt", "yuan", { must = true }], ["cash", "cash", "result.psn_cash_pay", "yuan"]]
""" + COMMON.format(at="soap.return", text="soap.Text")  # fmt: skip
PAY = {
    "Kind": b"1",
    "Slip": b"S1",
    "Pin": b"1234",
    "Note": "备注".encode("gbk"),
    "lines[0].code": b"A",
    "lines[0].sum": b"1.50",
    "lines[1].code": b"B",
    "lines[1].sum": b"2",
}


@pytest.fixture(scope="module")
def library() -> CallDialect:
    return CallDialect(load_table(LIBRARY, "library"))


def test_named_values_and_result_sets_are_one_message(library: CallDialect) -> None:
    read = library.decode_request(Frame(function="Pay", ins=PAY))
    assert [row["med_list_codg"] for row in read.content["fees"]] == ["A", "B"]
    assert (read.message, read.refs["slip"]) == ("Pay", "S1")
    assert "1234" not in repr(read)
    again = library.encode_request(read)
    assert again.function == "Pay"
    assert again.ins == {**{name: raw for name, raw in PAY.items() if name != "Pin"}, "lines[1].sum": b"2.00"}


@pytest.mark.parametrize("gap", [{"lines[3].code": b"C"}, {"lines": b"x"}])
def test_a_result_set_with_a_gap_is_refused(library: CallDialect, gap: dict[str, bytes]) -> None:
    with pytest.raises(TranslationError, match="lines"):
        library.decode_request(Frame(function="Pay", ins={**PAY, **gap}))


def test_a_constant_tells_messages_of_one_function_apart(library: CallDialect) -> None:
    back = library.decode_request(Frame(function="Pay", ins={"Kind": b"-1", "Slip": b"S1"}))
    assert (back.message, library.encode_request(back).ins["Kind"]) == ("Pay-back", b"-1")
    for ins, function in (({"Kind": b"7", "Slip": b"S1"}, "Pay"), ({}, "Other")):
        with pytest.raises(NotSupported):
            library.decode_request(Frame(function=function, ins=ins))


def asked(library: CallDialect) -> Operation:
    return library.decode_request(Frame(function="Pay", ins=PAY))


@pytest.mark.parametrize(
    ("ret", "text", "mark"),
    [("1", "|3.50|1.00|", Mark.OK), ("1", "|3.50||" + "\x00" * 9, Mark.OK), ("0", "no", Mark.REFUSED),
     ("1", "3.50|1.00|", Mark.UNREADABLE), ("1", "|3.50|1.00", Mark.UNREADABLE), ("1", "|3.50|", Mark.UNREADABLE),
     ("1", "|3.50|1.00|9|", Mark.UNREADABLE), ("yes", "|3.50|1.00|", Mark.UNREADABLE)],
)  # fmt: skip
def test_cells_after_a_leading_mark_up_to_the_last(library: CallDialect, ret: str, text: str, mark: Mark) -> None:
    assert library.decode_reply(asked(library), Frame(ret=ret, outs={"Buffer": text.encode()})).mark is mark


def test_a_value_keeps_within_its_buffer_and_its_borders(library: CallDialect) -> None:
    told = library.decode_reply(asked(library), Frame(ret="1", outs={"Buffer": b"|3.50|1.00|"}))
    frame = library.encode_reply(asked(library), Outcome("SETTLED", "", "", told.content))
    assert (frame.ret, frame.outs) == ("1", {"Buffer": b"|3.50|1.00|"})
    request = asked(library)
    with pytest.raises(TranslationError, match="40"):
        library.encode_request(Operation("void", "Pay-back", "library", refs={"slip": "x" * 41}))
    assert library.encode_request(request).function == "Pay"


@pytest.mark.parametrize(
    ("old", "new"),
    [('kind = "rows"', 'kind = "row"'), ('cell = "|"', 'cel = "|"'), ('kind = "call"', 'kind = "xml"')],
)
def test_a_faulty_description_of_a_value_never_loads(old: str, new: str) -> None:
    with pytest.raises(ContractError):
        load_table(LIBRARY.replace(old, new, 1), "library")


def rpc(result: str, value: str = "1") -> Frame:
    body = (
        f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><n:PayResponse xmlns:n="urn:test">'
        f"<Result>{result}</Result><return>{value}</return></n:PayResponse></e:Body></e:Envelope>"
    )
    return Frame(body=body.encode(), status=200)


def rows(*totals: str, count: int | None = None) -> str:
    inner = "".join(f"<Row{number}><total>{total}</total></Row{number}>" for number, total in enumerate(totals, 1))
    said = len(totals) if count is None else count
    return f"<Box><RowCount>{said}</RowCount>{inner}</Box>".replace("<", "&lt;")


@pytest.mark.parametrize(
    ("frame", "mark"),
    [
        (rpc(rows("3.50")), Mark.OK),
        (rpc(rows("3.50"), "-5"), Mark.OK),
        (rpc("", "0"), Mark.REFUSED),
        (rpc(rows("3.50", "1.00")), Mark.UNREADABLE),
        (rpc(rows("3.50", count=2)), Mark.UNREADABLE),
        (rpc(rows("3.50"), "one"), Mark.UNREADABLE),
        (rpc(rows("3.50").replace("Box", "Bag")), Mark.UNREADABLE),
        (Frame(body=rpc(rows("3.50")).body.replace(b"urn:test", b"urn:other"), status=200), Mark.UNREADABLE),
        (Frame(body=rpc(rows("3.50")).body.replace(b"PayResponse", b"Pay"), status=200), Mark.UNREADABLE),
    ],
)
def test_rpc_replies_with_numbered_rows(frame: Frame, mark: Mark) -> None:
    dialect = CallDialect(load_table(SOAP, "rpc"))
    request = Operation("settle", "Pay", "rpc", content={"fees": [{"med_list_codg": "A"}]}, refs={"slip": "S1"})
    assert dialect.decode_reply(request, frame).mark is mark


def test_rpc_requests_and_replies_say_each_parts_type() -> None:
    dialect = CallDialect(load_table(SOAP, "rpc"))
    request: Any = Operation("void", "Pay-back", "rpc", refs={"slip": "S1"})
    sent = dialect.encode_request(request)
    assert read_envelope(sent.body).operation == "Pay"
    assert sent.body.count(b'xsi:type="xsd:string"') == 2
    paid = dialect.encode_reply(
        Operation("settle", "Pay", "rpc"),
        Outcome("SETTLED", "", "", {"result": {"medfee_sumamt": 3, "psn_cash_pay": 1}}),
    )
    assert b"RowCount&gt;1&lt;" in paid.body
    assert b'xsi:type="xsd:int">1<' in paid.body
    refused = dialect.encode_reply(Operation("query", "", "rpc"), Outcome("REFUSED", "", "说不出是哪个操作"))
    assert read_envelope(refused.body).fault is not None
