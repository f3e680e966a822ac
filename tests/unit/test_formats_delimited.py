from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_core.formats.delimited import (
    join_cells,
    join_elements,
    join_parts,
    join_rows,
    open_frame,
    split_cells,
    split_elements,
    split_parts,
    split_rows,
)
from adapter_core.values.errors import TranslationError


def test_parts_rows_and_cells() -> None:
    text = "2610^0001^T001^00000001^20261121090300-0001-MZ0000001^320100^MZ01|0000$MZ01|1|测试药品||^1^"
    parts = split_parts(text, "^", terminated=True)
    assert len(parts) == 8
    rows = [split_cells(row, "|") for row in split_rows(parts[6], "$")]
    assert rows == [["MZ01", "0000"], ["MZ01", "1", "测试药品", "", ""]]
    parts[6] = join_rows([join_cells(row, "|", reserved="^$") for row in rows], "$")
    assert join_parts(parts, "^", terminated=True) == text


def test_a_marker_and_rows_that_each_end() -> None:
    text = "SSSS|T00000000001|361000;1|Y001|NULL|;"
    rows = split_rows(open_frame(text, "SSSS|", ""), ";", terminated=True)
    assert [split_cells(row, "|") for row in rows] == [["T00000000001", "361000"], ["1", "Y001", "NULL", ""]]
    assert "SSSS|" + join_rows(rows, ";", terminated=True) == text


def test_a_frame_with_rows_counted_by_elements() -> None:
    fields = split_cells(open_frame("$$0~~1%%2%%3%%4~$$", "$$", "$$"), "~")
    assert fields == ["0", "", "1%%2%%3%%4", ""]
    assert split_elements(fields[2], "%%", 2) == [["1", "2"], ["3", "4"]]
    assert join_elements([["1", "2"], ["3", "4"]], "%%", 2) == fields[2]
    with pytest.raises(TranslationError, match="multiple of 3"):
        split_elements(fields[2], "%%", 3)
    with pytest.raises(TranslationError, match="row 1: expected 2 elements"):
        join_elements([["1", "2"], ["3"]], "%%", 2)


def test_a_leading_separator() -> None:
    assert split_cells("|186.50|40.00|", "|", leading=True, terminated=True) == ["186.50", "40.00"]
    assert join_cells(["186.50", "40.00"], "|", leading=True, terminated=True) == "|186.50|40.00|"
    with pytest.raises(TranslationError):
        split_cells("186.50|40.00|", "|", leading=True)


def test_what_was_cut_short_is_refused() -> None:
    with pytest.raises(TranslationError, match="cut short"):
        split_parts("0^^1|2", "^", terminated=True)
    with pytest.raises(TranslationError, match="cut short"):
        open_frame("$$0~1$", "$$", "$$")
    with pytest.raises(TranslationError, match="cut short"):
        open_frame("$$", "$$", "$$")
    with pytest.raises(TranslationError, match="at its start"):
        open_frame("0~1$$", "$$", "$$")


@pytest.mark.parametrize("value", ["a|b", "|", "a^b", "a$", "a\nb", "a\rb", "a\x00", "a\u2028b"])
def test_a_value_that_moves_a_border_is_refused_by_place(value: str) -> None:
    with pytest.raises(TranslationError) as refusal:
        join_cells(["x", "y", value], "|", place="row 2, cell", reserved="^$")
    assert {fault.path for fault in refusal.value.faults} == {"row 2, cell 2"}


def test_all_faulty_values_are_named_at_once_and_not_quoted() -> None:
    with pytest.raises(TranslationError) as refusal:
        join_cells(["测试|甲", "x", "测试\n乙"], "|")
    assert [fault.path for fault in refusal.value.faults] == ["cell 0", "cell 2"]
    assert "测试" not in str(refusal.value)


def test_a_value_ending_like_a_long_separator_begins_is_refused() -> None:
    """ "50%" before "%%" would read as "50" and "%…"."""
    with pytest.raises(TranslationError, match="element 0"):
        join_elements([["50%", "x"]], "%%", 2)
    assert split_elements(join_elements([["50", "%x"]], "%%", 2), "%%", 2) == [["50", "%x"]]
    with pytest.raises(TranslationError):
        join_cells(["a$"], "~", reserved=["$$"])


values = st.lists(st.text("ab%$~|^;1测\n", max_size=6), min_size=1, max_size=5)


@given(cells=values, separator=st.sampled_from(["|", "~", "%%", "$$"]), leading=st.booleans(), terminated=st.booleans())
def test_joined_cells_split_into_the_same(cells: list[str], separator: str, leading: bool, terminated: bool) -> None:
    try:
        text = join_cells(cells, separator, leading=leading, terminated=terminated)
    except TranslationError:
        return
    assert split_cells(text, separator, leading=leading, terminated=terminated) == cells


@given(parts=values, separator=st.sampled_from(["^", "$"]), terminated=st.booleans())
def test_joined_parts_split_into_the_same(parts: list[str], separator: str, terminated: bool) -> None:
    try:
        text = join_parts(parts, separator, terminated=terminated)
    except TranslationError:
        return
    assert split_parts(text, separator, terminated=terminated) == parts


def test_no_rows_are_an_empty_text_both_ways() -> None:
    for terminated in (False, True):
        assert join_rows([], ";", terminated=terminated) == ""
        assert split_rows("", ";", terminated=terminated) == []
    assert split_elements("", "%%", 20) == []
