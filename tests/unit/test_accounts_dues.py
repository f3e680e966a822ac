"""Dates, ageing and the matching of bank lines."""

from __future__ import annotations

import pytest

from adapter_core.accounts.receivables import Due, calendar, read_bank_lines
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
        "2027-01-03", "2027-01-20", "2027-01-26", "2027-02-28", "2027-03-31",
    ]  # fmt: skip
    assert [bool(row["late"]) for row in calendar("2027-01-15")] == [True, False, False, False, False]


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
    path.write_text('[refunds]\nvoid = 9\n[other]\nx = 1\n[quantity]\ntimes = "5"\n', "utf-8")
    with pytest.raises(ConfigError, match=r"other, refunds\.void, quantity\.times"):
        read_rules(path)
