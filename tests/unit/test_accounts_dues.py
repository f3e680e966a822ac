"""Dates, ageing and the matching of bank lines."""

from __future__ import annotations

import pytest

from adapter_core.accounts.deadlines import INQUIRED, Known, calendar
from adapter_core.accounts.payments import read_bank_lines
from adapter_core.accounts.receivables import Due, ageing, pays, scheme_named
from adapter_core.accounts.watching import read_rules, shipped_rules
from adapter_core.values.errors import ConfigError, TranslationError


def due(month: str, owed: int) -> Due:
    return Due(month, "330100", "national", "11", 1, owed, owed, 0, owed)


def test_a_due_is_late_two_months_after_its_month() -> None:
    assert due("2026-09", 100).age_days("2026-10-01") == 1
    assert not due("2026-09", 100).is_late("2026-11-30")
    assert due("2026-09", 100).is_late("2026-12-01")
    assert not due("2026-09", 0).is_late("2026-12-01")


def test_the_calendar_turns_the_year() -> None:
    assert [row["by"] for row in calendar("2027-01-15")] == [
        "2027-01-03", "2027-01-20", "2027-01-20", "2027-01-26", "2027-02-28", "2027-03-31",
    ]  # fmt: skip
    assert [bool(row["late"]) for row in calendar("2027-01-15")] == [True, False, False, False, False, False]


def test_what_the_books_show_done_is_not_late() -> None:
    dues = [due("2026-12", 100)]
    undone = Known({"2026-12-05"}, set(), False, 1, dues)
    late = [row["what"].split(maxsplit=1)[1] for row in calendar("2027-01-02", undone) if row["late"]]
    assert late == []
    late = [row["what"].split(maxsplit=1)[1] for row in calendar("2027-01-31", undone) if row["late"]]
    assert late == ["账目全部对平", "清算申报（3203）", "清分确认（3261）", INQUIRED]
    done = Known(set(), {"11"}, True, 0, [due("2026-12", 0)])
    rows = calendar("2027-01-31", done)
    assert all(row["done"] and not row["late"] for row in rows)


def test_ages_are_counted_from_the_months_end() -> None:
    dues = [due("2026-10", 1_00), due("2026-09", 10_00), due("2026-08", 100_00), due("2026-01", 1000_00)]
    assert [(one["days"], one["left"]) for one in ageing(dues, "2026-11-30")] == [
        ("0–30", "1.00"), ("31–60", "0.00"), ("61–90", "10.00"), ("90 以上", "1100.00"),
    ]  # fmt: skip


def test_an_arrangement_is_shown_with_how_it_pays() -> None:
    assert (scheme_named("delta-outpatient"), pays("delta-outpatient")) == (
        "长三角门诊费用直接结算（41 城）",
        "reserve",
    )
    assert (scheme_named("local"), pays("national")) == ("本省", "monthly")


def test_bank_lines_are_read_with_every_fault_at_once() -> None:
    heading = ["日期", "金额", "流水号"]
    [line] = read_bank_lines([heading, ["2026-11-05", "1200.50", "B1"], []])
    assert (line.day, line.amount, line.reference) == ("2026-11-05", 120050, "B1")
    with pytest.raises(TranslationError) as refused:
        read_bank_lines([heading, ["5.11.2026", "1", "B1"], ["2026-11-05", "1.005", "B2"]])
    assert [fault.path for fault in refused.value.faults] == ["row 2", "row 3"]


def test_a_sites_rules_stand_on_the_shipped_ones(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "rules.toml"
    path.write_text("[refunds]\nvoids = 9\n", "utf-8")
    rules = read_rules(path)
    assert (rules["refunds"]["voids"], rules["refunds"]["percent"]) == (9, shipped_rules()["refunds"]["percent"])
    path.write_text("[refunds]\nblocks = true\n", "utf-8")
    with pytest.raises(ConfigError, match=r"refunds\.blocks"):
        read_rules(path)  # what it is about is no settlement
    path.write_text('[refunds]\nvoid = 9\n[other]\nx = 1\n[quantity]\ntimes = "5"\n', "utf-8")
    with pytest.raises(ConfigError, match=r"other, refunds\.void, quantity\.times"):
        read_rules(path)
