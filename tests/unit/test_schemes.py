"""Which arrangement serves whom: directions, days, institutions, lists."""

from __future__ import annotations

import pytest

from adapter_core.province.schemes import Opening, Trip, compared, read_openings, schemes, serving
from adapter_core.values.errors import TranslationError

DELTA = Trip("330100", "310000", "outpatient", "2026-11-21", "H31000000001")
HEADING = ["方案", "参保地", "就医地", "业务", "开始日期", "结束日期", "机构编号"]


def name_of(trip: Trip, *openings: Opening) -> str:
    found = serving(trip, openings)
    return found.scheme.name if found.scheme else found.reason


@pytest.mark.parametrize(
    ("trip", "name"),
    [
        (DELTA, "delta-outpatient"),
        (Trip("330100", "310000", "inpatient", "2026-11-21"), "national"),
        (Trip("330100", "360100", "outpatient", "2026-11-21"), "national"),
        (Trip("330100", "360100", "outpatient", "2016-11-30"), "not_open"),
        (Trip("360100", "440100", "inpatient", "2026-11-21"), "national"),
    ],
)
def test_without_a_list_the_arrangements_own_terms_hold(trip: Trip, name: str) -> None:
    assert name_of(trip) == name


def test_a_list_narrows_the_arrangement_it_names_and_has_a_direction() -> None:
    opening = Opening("delta-outpatient", "3301", "31", "outpatient", "2018-09-28")
    assert name_of(DELTA, opening) == "delta-outpatient"
    assert name_of(Trip("310000", "330100", "outpatient", "2026-11-21"), opening) == "national"
    assert name_of(Trip("330100", "310000", "outpatient", "2018-09-27"), opening) == "national"
    direct_pool = Trip("339900", "310000", "outpatient", "2026-11-21")
    assert name_of(direct_pool, opening) == "national", "省本级 is a region of its own"


def test_only_listed_institutions_take_part_where_the_arrangement_says_so() -> None:
    trip = Trip("360100", "440100", "inpatient", "2026-11-21", "H44010000001")
    regional = [one for one in schemes() if one.name == "pan-pearl"]
    listed = Opening("pan-pearl", "360100", "440100", "inpatient", "2012-08-01", fixmedins_code="H44010000001")
    assert serving(trip, [listed], regional).scheme is regional[0]
    other = Opening("pan-pearl", "360100", "440100", "inpatient", "2012-08-01", fixmedins_code="H44010000009")
    assert serving(trip, [other], regional).reason == "institution_not_open"
    assert serving(trip, [], regional).reason == "not_open"


def test_a_list_is_read_by_its_heading() -> None:
    rows = [
        ["业务", "方案", "参保地", "就医地", "开始日期"],
        ["门诊", "national", "33", "36", "2022-01-01"],
        ["", "", "", "", ""],
    ]
    assert read_openings(rows) == [Opening("national", "33", "36", "outpatient", "2022-01-01")]


def test_every_fault_of_a_list_is_named_with_its_row() -> None:
    rows = [
        HEADING,
        ["nowhere", "33", "36", "门诊", "2022-01-01", "", ""],
        ["national", "331", "36", "体检", "2022-13-01", "", ""],
        ["national", "33", "36", "门诊", "2022-01-01", "", ""],
        ["national", "33", "36", "门诊", "2023-01-01", "", ""],
    ]
    with pytest.raises(TranslationError) as refused:
        read_openings(rows)
    assert [fault.path for fault in refused.value.faults] == [
        "row 2 方案", "row 3 参保地", "row 3 业务", "row 3 开始日期", "row 5",
    ]  # fmt: skip
    with pytest.raises(TranslationError, match="就医地"):
        read_openings([["方案", "参保地", "开始日期"]])


def test_two_lists_are_compared_line_by_line() -> None:
    kept = Opening("national", "33", "36", "outpatient", "2022-01-01")
    ended = Opening("national", "34", "36", "outpatient", "2022-01-01", "2026-12-31")
    new = Opening("national", "35", "36", "inpatient", "2026-12-01")
    before = Opening("national", "34", "36", "outpatient", "2022-01-01")
    changes = compared([kept, before], [kept, ended, new])
    assert [(one.before, one.after) for one in changes] == [(before, ended), (None, new)]
