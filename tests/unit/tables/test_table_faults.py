"""A faulty table never loads, and says where: file, message or record, row."""

from __future__ import annotations

import pytest

from adapter_core.formats.tables import load_table
from adapter_core.values.errors import ConfigError, ContractError

HEAD = """
dialect = "invented"
blank = ["", "NULL"]
success = { at = "ret", is = "0" }
failure = { ret = "-2", "out.out" = "{text}" }
unknown = { ret = "-1", "out.out" = "{text}" }
ref.visit = { theirs = true }
codes.sex = { "0" = "1", "1" = "2" }
options = { psn_setlway = "01" }
[frame]
kind = "delimited"
charset = "gb18030"
code = "in.code"
ask_text = "in.in"
tell_text = "out.out"
row = "$"
cell = "|"
[message.20]
verb = "quote"
ask.head = "bill"
[record.bill]
cells = 4
"""


def faults_of(rows: str, extra: str = "") -> str:
    with pytest.raises(ContractError) as refused:
        load_table(f"{HEAD}rows = [{rows}]\n{extra}", "invented.toml")
    return str(refused.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('[0, "性别", "person.sex"]', "unknown national field 'sex'"),
        ('[0, "性别", "patient.gend"]', "no section 'patient'"),
        ('[0, "性别", "person.gend", "code:gender"]', "no [codes.gender]"),
        ('[0, "总额", "result.medfee_sumamt", "text"]', "text doesn't fit medfee_sumamt"),
        ('[0, "时间", "result.setl_time", "date:yyyyMMdd"]', "date:yyyyMMdd doesn't fit setl_time"),
        ('[0, "时间", "visit.begntime", "time:yyyyMMddyyyy"]', "pattern"),
        ('["0 + 1", "账户", "result.acct_pay", "yuan"]', "exactly one *"),
        ('["0*", "账户", "result.acct_pay", "yuan"]', "* marks the rest"),
        ('[0, "姓名", "person.psn_name + person.certno"]', "a sum holds amounts"),
        ('[0, "单号", "ref.ticket"]', "no [ref.ticket]"),
        ('[0, "单价", "fees.pric", "decimal:4"]', "into = 'fees'"),
        ('[0, "性别", "person.gend", "code:sex", { wirte = "0" }]', "unknown option wirte"),
        ('[4, "姓名", "person.psn_name"]', "cell 4 of 4"),
        ('[0, "证件", "person.certno", "text", { when = { 3 = ["1"] } }]', "when needs 3"),
        ('["a", "姓名", "person.psn_name"]', "'a' is no cell number"),
    ],
)
def test_a_faulty_row_is_named(row: str, words: str) -> None:
    told = faults_of(f'[1, "卡号", "person.mdtrt_cert_no"], {row}')
    assert words in told
    assert told.startswith("invented.toml: record bill, row 2")


def test_two_rows_for_one_place_are_refused() -> None:
    told = faults_of('[0, "姓名", "person.psn_name"], [0, "卡号", "person.certno"]')
    assert "row 2（卡号）: place 0 is row 1's already" in told


def test_all_faults_come_at_once() -> None:
    told = faults_of(
        '[0, "甲", "person.aaa"], [1, "乙", "person.bbb"]', "[message.21]\nverb='settle'\nask.head='gone'\n"
    )
    assert "aaa" in told
    assert "bbb" in told
    assert "message 21.ask: no record 'gone'" in told


def test_two_messages_nothing_tells_apart_are_refused() -> None:
    assert "nothing tells it from 20" in faults_of("", '[message.21]\ncode = "20"\nverb = "settle"\n')


def test_an_option_the_table_does_not_have_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="psn_setlwy"):
        load_table(f"{HEAD}rows = []", "invented.toml", {"psn_setlwy": "02"})


def test_toml_itself_is_checked() -> None:
    with pytest.raises(ContractError, match=r"invented\.toml"):
        load_table("dialect = ", "invented.toml")
