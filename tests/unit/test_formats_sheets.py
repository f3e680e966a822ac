"""Tables people keep come back as they were typed; what a spreadsheet would run stays text."""

from __future__ import annotations

import pytest

from adapter_core.formats.sheets import read_rows, write_csv, write_excel
from adapter_core.values.errors import TranslationError

ROWS = [["参保地", "金额", "备注"], ["330100", "186.50", "=1+1"], ["0371", "-26.20", '引号",逗号\n换行']]


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_csv_is_read_in_either_charset(charset: str) -> None:
    assert read_rows("参保地,金额\r\n330100,186.50\r\n".encode(charset), "a.csv") == [
        ["参保地", "金额"],
        ["330100", "186.50"],
    ]


def test_what_is_written_is_read_again_and_no_formula_runs() -> None:
    kept = read_rows(write_csv(ROWS), "a.csv")
    assert kept[1] == ["330100", "186.50", "'=1+1"]
    assert kept[2] == ROWS[2]
    assert read_rows(write_excel(ROWS, "开通清单"), "a.xlsx") == ROWS


def test_a_number_cell_is_the_decimal_that_was_typed() -> None:
    from io import BytesIO

    from xlsxwriter import Workbook

    out = BytesIO()
    book = Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    for column, value in enumerate((186.5, 0.1, 330100, 1234567.89)):
        sheet.write_number(0, column, value)
    book.close()
    assert read_rows(out.getvalue(), "a.xlsx") == [["186.5", "0.1", "330100", "1234567.89"]]


@pytest.mark.parametrize(
    ("raw", "name"), [(b"PK\x03\x04nothing", "a.xlsx"), (b"\xff\xfe\x00", "a.csv"), (b'"open', "a.csv")]
)
def test_what_is_no_table_is_said(raw: bytes, name: str) -> None:
    with pytest.raises(TranslationError, match=name if raw[:1] != b"\xff" else "gb18030"):
        read_rows(raw, name)
