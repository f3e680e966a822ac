"""The accounts on paper and in Excel: the figures read back are the ones that were told, plots included."""

from __future__ import annotations

import io
import zipfile
from decimal import Decimal
from typing import Any

from pypdf import PdfReader
from python_calamine import CalamineWorkbook

from adapter_core.accounts.day_end import DayEnd, ShiftLine, Undecided
from adapter_core.accounts.receivables import Due, ageing
from adapter_core.accounts.receivables import data as dues_data
from adapter_core.accounts.receivables import table as dues_table
from adapter_core.accounts.reports import Sheet, percent, why_not, workbook
from adapter_core.paperwork import rendering
from adapter_core.paperwork.account_sheets import BAR_FULL, day_end_sheet, receivables_sheet, report_sheet
from adapter_core.paperwork.dossier import House

DAY, AT = "2026-11-21", "2026-11-21 18:00:00"
HOUSE = House("H36010000001", "测试医院", "360100", "test")
UNKNOWN = Undecided("ABCDEFGH23", "002", "T2", "09:30", 20_000)
LINES = (
    ShiftLine("001", "08:00", "T1", 12, 1, 234_567_89, 150_000_00, 4_567_89, 80_000_00, 1_050),
    ShiftLine("001", "08:00", "T2", 1, 0, 10_10, 5_00, 5_00, 10),
    ShiftLine("002", "16:00", "T2", 0, 1, -700_00, -400_00, -100_00, -200_00, 200_00, 1),
)


def text_of(template: str, data: dict[str, Any]) -> str:
    pages = PdfReader(io.BytesIO(rendering.pdf(template, data))).pages
    return "\n".join(page.extract_text() for page in pages)


def told(operator: str = "") -> dict[str, Any]:
    whole = DayEnd(HOUSE.org, DAY, LINES, True, (UNKNOWN,))
    found = whole.of(operator) if operator else whole
    return {**found.data(), "table": found.table()}


def test_a_printed_day_end_has_every_line_its_sum_the_unknown_and_places_to_sign() -> None:
    sheet = day_end_sheet(HOUSE, told(), AT, "测试主任")
    assert [Decimal(one["cash"]) for one in sheet["handed"]] == [Decimal("80000.10"), Decimal("-200.00")]
    text = text_of("day_end", sheet)
    for wanted in ("234567.89", "-700.00", "233877.99", "79800.10", "柒万玖仟捌佰元壹角整", "ABCDEFGH23", "2026-11-21"):
        assert wanted in text
    for wanted in ("收费员签字", "接收人签字", "财务主管", "合计与账本分文不差", "测试环境打印，无效", "测试主任"):
        assert wanted in text
    assert rendering.pdf("day_end", sheet) == rendering.pdf("day_end", sheet)


def test_one_operators_slip_has_that_operators_lines_alone() -> None:
    text = text_of("day_end", day_end_sheet(HOUSE, told("002"), AT))
    assert "日结单" in text
    assert "T1" not in text
    assert "-200.00" in text
    assert told("002")["cash"] == "-200.00"


def test_a_day_end_that_does_not_agree_says_so_in_print() -> None:
    text = text_of("day_end", day_end_sheet(HOUSE, {**told(), "agrees": False}, AT))
    assert "合计与账本不符，请勿签收" in text


BY_DAY = Sheet(
    "按日",
    [["日期", "结算笔数", "退费笔数", "总额", "基金", "个人账户", "现金"]]
    + [[f"2026-11-{day:02}", "3", "0", f"{day * 40}.50", f"{day * 20}.50", f"{day * 15}.00", f"{day * 5}.00"] for day in range(1, 31)],
    (4, 5, 6),
)  # fmt: skip
RATE = Sheet(
    "直接结算率（按日）",
    [["日期", "就诊数", "直接结算", "未能直接结算", "直接结算率（%）"], ["2026-11-01", "8", "7", "1", "87.5"], ["合计", "8", "7", "1", "87.5"]],
    (4,),
)  # fmt: skip
WHY = why_not(["NO_FILING", "X9", "NO_FILING"])
REPORT = {"from": "2026-11-01", "to": "2026-11-30", "sheets": [BY_DAY.data(), RATE.data(), WHY.data()]}


def test_a_printed_report_has_its_tables_and_bars_in_proportion() -> None:
    sheet = report_sheet(HOUSE, REPORT, AT)
    days, rates, why = (one["bars"] for one in sheet["sections"])
    assert sum(days[-1]["parts"]) in range(BAR_FULL - 3, BAR_FULL + 1)
    assert sum(days[14]["parts"]) in range(BAR_FULL // 2 - 3, BAR_FULL // 2 + 5)
    assert [bar["parts"] for bar in rates] == [[875]], "a share is measured against the whole, and the sum is no bar"
    assert [(bar["name"], bar["parts"]) for bar in why] == [("NO_FILING", [1000]), ("X9", [500])]
    text = text_of("report", sheet)
    for wanted in ("2026-11-30", "1200.50", "87.5", "NO_FILING", "66.6", "制表"):
        assert wanted in text


def test_the_workbook_reads_back_and_has_a_chart_for_each_plotted_sheet() -> None:
    book = workbook([BY_DAY, RATE, WHY])
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        charts = [name for name in parts.namelist() if name.startswith("xl/charts/chart")]
        rates = parts.read("xl/charts/chart2.xml").decode()
    assert len(charts) == 3
    assert "$A$3" not in rates, "the sum's line is not plotted"
    read = CalamineWorkbook.from_filelike(io.BytesIO(book)).get_sheet_by_name("按日").to_python()
    assert read[30] == ["2026-11-30", "3", "0", "1200.50", 600.5, 450.0, 150.0]


def test_the_receivable_table_prints_with_the_prepayments_level() -> None:
    dues = [Due("2026-10", "330100", "national", "11", 3, 900_00, 500_00, 100_00, 600_00, came=100_00)]
    level = {"year": "2026", "used": "720.00", "quota": "1000.00", "percent": "72", "level": "yellow"}
    order = {
        "date": DAY,
        "receivables": dues_data(dues, DAY),
        "table": dues_table(dues, DAY),
        "prepayment": level,
        "ageing": ageing(dues, DAY),
    }
    text = text_of("report", receivables_sheet(HOUSE, order, AT))
    for wanted in ("330100 浙江省杭州市", "600.00", "500.00", "720.00 元 / 1000.00 元（72%）", "黄色预警"):
        assert wanted in text


def test_a_share_is_whole_only_where_it_is_all() -> None:
    assert (percent(999, 1000), percent(9999, 10000), percent(3, 3), percent(0, 0)) == ("99.9", "99.9", "100.0", "")
