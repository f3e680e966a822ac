"""How a gateway writes and reads 3202's files.  The columns are the standard's; what no public source shows is a site's to set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from adapter_core.standard.source import schema_file

GROUPINGS = ("insutype", "clr_type", "refd_setl_flag")


@dataclass(frozen=True, slots=True)
class StatementForm:
    """The plain form.  Every field of it is configuration (``[accounts]``), because no real file was seen.

    separator, charset, heading: of both files, one row a line; charset: ``utf-8`` or ``gb18030``.  archive: the result comes as
    ``zip``, ``plain`` or either (``auto``).  settle_flag, refund_flag: ``refd_setl_flag``.  refunds_negative: amounts of uploaded
    refunds carry a minus.  uploads_as: 9101's ``in`` as ``base64`` or as ``numbers``.  grouping: one 3201 for each of these
    together; without ``refd_setl_flag`` refunds count negative.  missing_share: a file that lacks more of our own rows than this
    share (and more than missing_rows) is no statement of that day.  closed_at: from this time (``HH:MM``, China time) of the day after
    a day's file is whole, so that what it does not name is not there.
    """

    separator: str = "\t"
    charset: str = "utf-8"
    heading: bool = False
    archive: str = "auto"
    settle_flag: str = "0"
    refund_flag: str = "1"
    refunds_negative: bool = False
    uploads_as: str = "base64"
    grouping: tuple[str, ...] = GROUPINGS
    balanced: tuple[str, ...] = ("0",)
    closed_at: str = "06:00"
    missing_share: float = 0.2
    missing_rows: int = 20
    bytes_max: int = 256 * 1024 * 1024
    rows_max: int = 2_000_000


@cache
def upload_columns() -> tuple[str, ...]:
    """The columns of the uploaded file, in order.  Source: ``schemas/national/files/3202.json``."""
    return _columns("upload")


@cache
def result_columns() -> tuple[str, ...]:
    """The columns of the result file, in order."""
    return _columns("result")


def _columns(part: str) -> tuple[str, ...]:
    described = json.loads(schema_file("national", "files", "3202.json").read_text("utf-8"))
    return tuple(row["code"] for row in described[part]["fields"])
