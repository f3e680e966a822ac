"""Tables people keep: CSV (UTF-8 or GBK) and Excel (xlsx, xls), read as rows of text and written back.

A number of a spreadsheet is a binary fraction in the file; it is read as the shortest decimal that means it, which is what was
typed, and is text from here on.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from adapter_core.formats.text import decode_text
from adapter_core.values.errors import ConfigError, Fault, TranslationError

BYTES_MAX = 64 * 1024 * 1024
EXCEL = (".xlsx", ".xls")
FORMULA_START = ("=", "+", "-", "@", "\t", "\r")
Rows = list[list[str]]


def read_rows(raw: bytes, name: str) -> Rows:
    """The rows of a CSV file or of an Excel file's first sheet; name: the file's, for its ending.

    Raises: TranslationError for a file that is none; ConfigError where Excel's reader isn't installed.
    """
    if len(raw) > BYTES_MAX:
        raise TranslationError([Fault(name, f"至多 {BYTES_MAX} 字节", str(len(raw)))])
    if name.lower().endswith(EXCEL):
        return _read_excel(raw, name)
    text, _ = decode_text(raw)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise TranslationError([Fault(name, "CSV", str(error))]) from None


def _read_excel(raw: bytes, name: str) -> Rows:
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ModuleNotFoundError:
        raise ConfigError('Excel files need: pip install "his-adapter[tables]"') from None
    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(raw)).get_sheet_by_index(0)
        return [[_cell(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)]
    except (CalamineError, OSError, ValueError) as error:
        raise TranslationError([Fault(name, "xlsx 或 xls", type(error).__name__)]) from None


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return (
            value.isoformat(sep=" ", timespec="seconds")
            if value.time().isoformat() != "00:00:00"
            else str(value.date())
        )
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, date):
        return value.isoformat()
    return "" if value is None else str(value)


def write_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """CSV that Excel opens as UTF-8; a text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([_safe(cell) for cell in row] for row in rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _safe(cell: str) -> str:
    if not cell.startswith(FORMULA_START):
        return cell
    is_number = cell[0] in "+-" and cell[1:].replace(".", "", 1).isdigit()
    return cell if is_number else "'" + cell


def write_excel(rows: Iterable[Sequence[str]], title: str) -> bytes:
    """An xlsx of one sheet, every cell text.  Raises: ConfigError where its writer isn't installed."""
    try:
        from xlsxwriter import Workbook
    except ModuleNotFoundError:
        raise ConfigError('Excel files need: pip install "his-adapter[tables]"') from None
    out = io.BytesIO()
    book = Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    sheet = book.add_worksheet(title[:31])
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            sheet.write_string(number, column, cell)
    book.close()
    return out.getvalue()
