"""What the accounts print: the day end with its signatures, the reports with their plots, the receivable table.  Pure.

Everything is taken from what the accounts told, as it was told: nothing is added up here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

from adapter_core.paperwork.capitals import in_capitals
from adapter_core.paperwork.dossier import House, institution
from adapter_core.values.money import yuan

BAR_FULL = 1000
"""Of a plot's longest bar; every other is so many thousandths of it."""
PERCENT = "（%）"
"""How the name of a column of shares ends: its bars are measured against the whole."""
LEVEL_ZH = {
    "none": "未设额度",
    "ok": "正常",
    "yellow": "黄色预警（已达 70%）",
    "red": "红色预警（已达 90%，可申请紧急调增）",
}


def day_end_sheet(house: House, told: Mapping[str, Any], at: str, by: str = "") -> dict[str, Any]:
    """The day end of a house, or one operator's part.  told: as the order ``dayend`` answers; at: printed when (China); by: by whom."""
    table: Sequence[Sequence[str]] = told["table"]
    handed = [
        {"operator": operator, "shift": shift, "cash": f"{sum((yuan(row['cash']) for row in rows), Decimal(0)):.2f}"}
        for (operator, shift), rows in groupby(told["lines"], key=lambda row: (row["operator"], row["shift"]))
    ]
    return {
        **_head(house, at, by),
        "form": "day_end",
        "title": "收费员日结单" if told["operator"] else "日结单",
        "date": told["date"],
        "operator": told["operator"],
        "columns": list(table[0]),
        "rows": [list(row) for row in table[1:-1]],
        "sum": list(table[-1]),
        "cash": told["cash"],
        "cash_capitals": in_capitals(yuan(told["cash"])),
        "agrees": bool(told["agrees"]),
        "unknown": list(told["unknown_cases"]),
        "handed": handed,
    }


def report_sheet(house: House, told: Mapping[str, Any], at: str, by: str = "") -> dict[str, Any]:
    """The tables of a report, each with a plot where people compare.  told: as the order ``report`` answers."""
    return {
        **_head(house, at, by),
        "form": "report",
        "title": "医保直接结算报表",
        "facts": [["期间", f"{told['from']} 至 {told['to']}"]],
        "sections": [_section(one) for one in told["sheets"]],
    }


def receivables_sheet(house: House, told: Mapping[str, Any], at: str, by: str = "") -> dict[str, Any]:
    """What each place of insurance owes.  told: as the order ``receivables`` answers."""
    level = told["prepayment"]
    used = f"{level['used']} 元" + (f" / {level['quota']} 元（{level['percent']}%）" if level["quota"] else "")
    left = {"title": "应收医保款", "rows": told["table"], "plotted": [list(told["table"][0]).index("未收")]}
    return {
        **_head(house, at, by),
        "form": "report",
        "title": "应收医保款",
        "facts": [["截至", told["date"]], ["预付金已用", used], ["预付金状态", LEVEL_ZH[level["level"]]]],
        "sections": [_section(left, key_columns=3), _section(_aged(told["ageing"]))],
    }


def inquiries_sheet(house: House, told: Mapping[str, Any], at: str, by: str = "") -> dict[str, Any]:
    """Bills that may be inquired into, with what an answer needs.  told: as the order ``inquiries`` answers."""
    return {
        **_head(house, at, by),
        "form": "report",
        "title": "住院费用协查清单",
        "facts": [["月份", told["month"]], ["起点", "三万元"]],
        "sections": [_section({"title": "可能被协查的结算", "rows": told["table"], "plotted": []})],
    }


def _head(house: House, at: str, by: str) -> dict[str, Any]:
    return {"environment": house.environment, "institution": institution(house), "printed_at": at, "printed_by": by}


def _aged(ages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    rows = [["账龄（天）", "未收"], *([one["days"], one["left"]] for one in ages)]
    return {"title": "账龄", "rows": rows, "plotted": [1]}


def _section(sheet: Mapping[str, Any], key_columns: int = 1) -> dict[str, Any]:
    """A table and its bars.  key_columns: so many of the first ones name a row."""
    columns, *rows = sheet["rows"]
    plotted = [int(column) for column in sheet["plotted"]]
    shown = [row for row in rows if row[0] != "合计"]
    sizes = [[_size(row[column]) for column in plotted] for row in shown]
    is_share = any(columns[column].endswith(PERCENT) for column in plotted)
    longest = Decimal(100) if is_share else max((sum(row, Decimal(0)) for row in sizes), default=Decimal(0))
    bars = [
        {
            "name": " ".join(row[:key_columns]),
            "parts": [int(size * BAR_FULL / longest) for size in parts],
            "value": row[plotted[0]] if len(plotted) == 1 else f"{sum(parts, Decimal(0))}",
        }
        for row, parts in zip(shown, sizes, strict=True)
        if longest
    ]
    return {
        "title": sheet["title"],
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "legend": [columns[column] for column in plotted],
        "bars": bars,
    }


def _size(cell: str) -> Decimal:
    """Of a bar: what is negative has none."""
    return max(Decimal(cell or "0"), Decimal(0))
