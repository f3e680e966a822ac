"""Result files, read as the hostile input they are; the uploaded file, as the standard's columns have it."""

from __future__ import annotations

import zipfile
from io import BytesIO

import pytest

from adapter_core.accounts.statement_file import BadFile, read_result, upload_line, write_upload
from adapter_core.accounts.statement_form import StatementForm, result_columns, upload_columns

FORM = StatementForm()
GOOD = "P1\tM1\tJ1\tX1\t0\t0\t\t186.50\t100.00\t0"
BACK = "P1\tM1\tJ2\tX2\t0\t1\t备注\t-186.50\t-100.00\t"


def zipped(text: str, name: str = "3202.txt", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(name, text)
    return out.getvalue()


@pytest.mark.parametrize(
    "raw", [zipped(f"{GOOD}\n{BACK}"), f"{GOOD}\r\n{BACK}\r\n".encode(), f"\ufeff{GOOD}\n{BACK}".encode()]
)
def test_rows_are_read_with_amounts_by_their_size(raw: bytes) -> None:
    rows = list(read_result(raw, FORM))
    assert [(one.setl_id, one.refunded, one.total, one.fund, one.account) for one in rows] == [
        ("J1", 0, 18650, 10000, 0),
        ("J2", 1, 18650, 10000, 0),
    ]


def test_a_line_out_of_the_ordinary_is_read_as_well() -> None:
    """No setl_id, whole yuan, an empty amount, a separator of two signs."""
    form = StatementForm(separator="||")
    [row, plain] = read_result(
        f"{'||'.join(['P1', 'M 1', '', 'X1', '0', '0', '|x', '186', '', '1.5'])}\n{GOOD}".replace("\t", "||").encode(),
        form,
    )
    assert row[1:] == ("P1", "M 1", "", "X1", "0", 0, "|x", 18600, 0, 150)
    assert plain[1:] == ("P1", "M1", "J1", "X1", "0", 0, "", 18650, 10000, 0)


def test_the_form_is_the_sites() -> None:
    form = StatementForm(separator="|", charset="gb18030", heading=True, settle_flag="否", refund_flag="是")
    text = "任意标题\n" + BACK.replace("\t1\t", "\t是\t").replace("\t", "|")
    [row] = read_result(text.encode("gb18030"), form)
    assert (row.refunded, row.memo) == (1, "备注")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (zipped(GOOD)[:-30], "压缩包损坏"),
        (zipped(GOOD, "../3202.txt"), "带路径"),
        (zipped("0" * 20_000_000), "压缩炸弹"),
        (f"{GOOD}\n\n{BACK}".encode(), "空行"),
        (GOOD.rpartition("\t")[0].encode(), "9 列"),
        (GOOD.replace("186.50", "186.505").encode(), "金额"),
        (GOOD.replace("186.50", "1e9").encode(), "金额"),
        (GOOD.replace("\t0\t\t", "\t9\t\t").encode(), "退费标志"),
        (GOOD.replace("P1", "").encode(), "编号"),
        (GOOD.replace("J1", "").replace("X1", "").encode(), "编号"),
        (GOOD.replace("M1", "M\x001").encode(), "编号"),
        (GOOD.encode() + b"\xff", "不是 utf-8"),
        (b"A" * 5000, "超长行"),
    ],
)
def test_one_bad_row_refuses_the_whole_file(raw: bytes, why: str) -> None:
    with pytest.raises(BadFile) as refused:
        list(read_result(raw, FORM))
    assert why in refused.value.why
    assert "186" not in str(refused.value), "no cell of the file is told"


def test_an_archive_that_lies_about_its_size_is_stopped_while_reading() -> None:
    form = StatementForm(bytes_max=200)
    with pytest.raises(BadFile):
        list(read_result("\n".join([GOOD] * 20).encode(), form))


def test_the_uploaded_file_has_the_standards_columns() -> None:
    rows = [(("J1", "M1", "P1"), (18650, 10000, 5), False), (("J2", "M1", "P1"), (18650, 10000, 0), True)]
    plain = write_upload([upload_line(*row, FORM) for row in rows], FORM).decode().split("\n")
    assert plain == ["J1\tM1\tP1\t186.50\t100.00\t0.05\t0", "J2\tM1\tP1\t186.50\t100.00\t0.00\t1"]
    form = StatementForm(refunds_negative=True, heading=True)
    negative = write_upload([upload_line(*row, form) for row in rows], form).decode().split("\n")
    assert negative[0].split("\t") == list(upload_columns())
    assert negative[2] == "J2\tM1\tP1\t-186.50\t-100.00\t0.00\t1"
    assert len(result_columns()) == 10
