"""Reading a centre's result file row by row, as hostile as any file from outside; writing the file it is asked with.

A file with one row that doesn't fit is refused whole: nothing of it may change anything.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import IO, NamedTuple

from adapter_core.accounts.statement_form import StatementForm, result_columns, upload_columns
from adapter_core.values.errors import AdapterError

RATIO_MAX = 100
LINE_MAX = 4096
ZIP = b"PK\x03\x04"
_AMOUNT = re.compile(r"-?([0-9]{1,14})(?:\.([0-9]{1,2}))?")
_NUMBER = re.compile(r"[0-9A-Za-z_\-]{1,40}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class BadFile(AdapterError):
    """This file is no statement: nothing of it is used.  ``why`` says it in words without any cell of it."""

    code = "BAD_STATEMENT"

    def __init__(self, why: str) -> None:
        super().__init__(why, message_zh=f"对账文件有误，未使用：{why}")
        self.why = why


class CentreRow(NamedTuple):
    """One row of a result file.  Amounts: whole fen, without sign (refunds compare by their size)."""

    line: int
    psn_no: str
    mdtrt_id: str
    setl_id: str
    msgid: str
    rslt: str
    refunded: int
    memo: str
    total: int
    fund: int
    account: int


def read_result(raw: bytes, form: StatementForm) -> Iterator[CentreRow]:
    """The rows in the file's order, read as a stream.  Raises: BadFile, also after rows were given."""
    try:
        with _opened(raw, form) as stream:
            yield from _rows(_lines(stream, form), form)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise BadFile(f"压缩包损坏（{type(error).__name__}）") from None
    except UnicodeDecodeError as error:
        raise BadFile(f"不是 {form.charset} 文本（第 {error.start} 字节附近）") from None


def _opened(raw: bytes, form: StatementForm) -> IO[bytes]:
    is_zip = raw.startswith(ZIP)
    if form.archive == "zip" and not is_zip:
        raise BadFile("不是 zip 压缩包")
    if form.archive == "plain" or not is_zip:
        if is_zip:
            raise BadFile("应为文本，收到压缩包")
        if len(raw) > form.bytes_max:
            raise BadFile("文件过大")
        return io.BytesIO(raw)
    archive = zipfile.ZipFile(io.BytesIO(raw))
    entries = archive.infolist()
    if len(entries) != 1:
        raise BadFile(f"压缩包内应有 1 个文件，实有 {len(entries)} 个")
    [entry] = entries
    if entry.is_dir() or "/" in entry.filename or "\\" in entry.filename or ".." in entry.filename:
        raise BadFile("压缩包内文件名带路径")
    if entry.file_size > form.bytes_max or entry.file_size > RATIO_MAX * max(entry.compress_size, 1):
        raise BadFile("压缩包解开过大（疑似压缩炸弹）")
    return archive.open(entry)


def _lines(stream: IO[bytes], form: StatementForm) -> Iterator[str]:
    """Every line without its end.  Raises: BadFile, UnicodeDecodeError."""
    read = 0
    while line := stream.readline(LINE_MAX + 1):
        read += len(line)
        if len(line) > LINE_MAX:
            raise BadFile("有超长行")
        if read > form.bytes_max:  # whatever the archive's own table says
            raise BadFile("压缩包解开过大（疑似压缩炸弹）")
        yield line.rstrip(b"\r\n").decode(form.charset)


def _rows(lines: Iterator[str], form: StatementForm) -> Iterator[CentreRow]:
    plain = _plain_line(form.separator)
    flags = {form.settle_flag: 0, form.refund_flag: 1}
    if form.heading:
        next(lines, None)
    for number, line in enumerate(lines, 1):
        if number > form.rows_max:
            raise BadFile(f"超过 {form.rows_max} 行")
        if number == 1:
            line = line.removeprefix("\ufeff")
        found = plain.fullmatch(line)
        refunded = flags.get(found[6]) if found else None
        if found is None or refunded is None or not (found[3] or found[4]):
            yield _row(number, line, form, flags)
            continue
        psn_no, mdtrt_id, setl_id, msgid, rslt, _, memo, *amounts = found.groups()
        total, fund, account = map(int, (amounts[0] + amounts[1], amounts[2] + amounts[3], amounts[4] + amounts[5]))
        yield CentreRow(number, psn_no, mdtrt_id, setl_id, msgid, rslt, refunded, memo[:500], total, fund, account)


@cache
def _plain_line(separator: str) -> re.Pattern[str]:
    """A line as nearly all are: well-formed numbers, amounts with two decimals.  What doesn't fit is looked at cell by cell."""
    between = re.escape(separator)
    printed = r"[^\x00-\x08\x0a-\x1f\x7f]"
    text = rf"([^{between}\x00-\x08\x0a-\x1f\x7f]*)" if len(separator) == 1 else rf"((?:(?!{between}){printed})*)"
    number, id_or_none, amount = r"([0-9A-Za-z_\-]{1,40})", r"([0-9A-Za-z_\-]{0,40})", r"-?([0-9]{1,14})\.([0-9]{2})"
    cells = (number, text, id_or_none, id_or_none, text, text, text, amount, amount, amount)
    assert len(cells) == len(result_columns())
    return re.compile(between.join(cells))


def _row(number: int, line: str, form: StatementForm, flags: Mapping[str, int]) -> CentreRow:
    """One line, cell by cell.  Raises: BadFile."""
    width = len(result_columns())
    cells = line.split(form.separator)
    if len(cells) != width:
        raise BadFile(
            f"第 {number} 行应有 {width} 列，实有 {len(cells)} 列" if line.strip() else f"第 {number} 行为空行"
        )
    psn_no, mdtrt_id, setl_id, msgid, rslt, flag, memo, *amounts = cells
    refunded = flags.get(flag)
    if refunded is None:
        raise BadFile(f"第 {number} 行退费标志不在约定取值内")
    if not _is_number(psn_no) or not _is_number(setl_id or msgid) or _CONTROL.search("".join(cells)):
        raise BadFile(f"第 {number} 行编号有误")
    total, fund, account = (_fen(amount, number) for amount in amounts)
    return CentreRow(number, psn_no, mdtrt_id, setl_id, msgid, rslt, refunded, memo[:500], total, fund, account)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _fen(text: str, line: int) -> int:
    """The size of an amount; an empty cell is nothing.  Raises: BadFile."""
    if not text:
        return 0
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise BadFile(f"第 {line} 行金额有误")
    return int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))


def upload_line(line: tuple[str, str, str], fens: tuple[int, int, int], refunded: bool, form: StatementForm) -> str:
    """One line of the file that 9101 uploads.  line: setl_id, mdtrt_id, psn_no; fens: total, fund, account without sign."""
    sign = "-" if refunded and form.refunds_negative else ""
    flag = form.refund_flag if refunded else form.settle_flag
    return form.separator.join((*line, *[_yuan(fen, sign) for fen in fens], flag))


def write_upload(lines: list[str], form: StatementForm) -> bytes:
    """The file that 9101 uploads, of its lines."""
    heading = [form.separator.join(upload_columns())] if form.heading else []
    return "\n".join([*heading, *lines]).encode(form.charset)


def _yuan(fen: int, sign: str) -> str:
    return f"{sign if fen else ''}{fen // 100}.{fen % 100:02}"
