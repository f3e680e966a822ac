"""What the accounts told as a file to print, to compute with, or to send: PDF, Excel with plots, CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapter_core.accounts.reports import Sheet, sheets_of, workbook
from adapter_core.config import Config
from adapter_core.formats.sheets import write_csv
from adapter_core.paperwork import rendering
from adapter_core.paperwork.account_sheets import day_end_sheet, inquiries_sheet, receivables_sheet, report_sheet
from adapter_core.paperwork.dossier import House
from adapter_core.values.errors import Fault, TranslationError

MEDIA = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
}
Told = Mapping[str, Any]
Printed = Callable[[House, Told, str, str], dict[str, Any]]
_PRINTED: Mapping[str, tuple[str, Printed]] = {
    "dayend": ("day_end", day_end_sheet),
    "report": ("report", report_sheet),
    "receivables": ("report", receivables_sheet),
    "inquiries": ("report", inquiries_sheet),
}
NAMES = tuple(_PRINTED)
"""The orders whose answers are printed."""


def account_file(config: Config, name: str, told: Told, form: str, at: str, by: str = "") -> bytes:
    """One answer of the accounts as a file.

    name: one of NAMES; told: the answer; form: one of MEDIA; at: printed when (China time); by: by whom.
    Raises: ConfigError where the extra for that form is missing; TranslationError for a form there is none of.
    """
    if form not in MEDIA:
        raise TranslationError([Fault("form", " | ".join(MEDIA), form[:10])], message_zh="没有这种文件格式")
    if form == "pdf":
        template, sheet = _PRINTED[name]
        return rendering.pdf(template, sheet(house_of(config, told["fixmedins_code"]), told, at, by))
    sheets = _sheets(name, told)
    if form == "xlsx":
        return workbook(sheets)
    rows: list[Sequence[str]] = [row for sheet in sheets for row in ([sheet.title], *sheet.rows, [])]
    return write_csv(sheets[0].rows if len(sheets) == 1 else rows)


def house_of(config: Config, org: str) -> House:
    """An institution as its sheets name it."""
    settings = config.settings
    known = {one.fixmedins_code: one for one in settings.every_institution}
    one = known[org]
    return House(org, one.fixmedins_name, one.admdvs, settings.environment, settings.papers.phone)


def _sheets(name: str, told: Told) -> list[Sheet]:
    match name:
        case "dayend":
            return [Sheet("日结", told["table"])]
        case "receivables":
            return [Sheet("应收", told["table"], (list(told["table"][0]).index("未收"),))]
        case "inquiries":
            return [Sheet("费用协查", told["table"])]
        case _:
            return sheets_of(told["sheets"])
