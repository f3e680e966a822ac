"""Many rows are read as each of them alone: the same values, the same findings under its own number."""

from __future__ import annotations

import random
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter_core.standard import codec, transaction
from adapter_core.standard.codec import Reading
from adapter_core.standard.records import ROWS_MIN

ROW: dict[str, Any] = {
    "feedetl_sn": "F1", "det_item_fee_sumamt": Decimal("18.65"), "cnt": 2, "pric": Decimal("9.325"),
    "pric_uplmt_amt": Decimal("9.325000"), "selfpay_prop": Decimal("0.6000"), "fulamt_ownpay_amt": Decimal("0.00"),
    "chrgitm_lv": "01", "med_chrgitm_type": "09", "bas_medn_flag": "1", "lmt_used_flag": "0", "memo": "", "own_field": None,
}  # fmt: skip
"""A row of the answer to 2204 and 2301."""
NUMBERS = [
    Decimal("2.50"),
    Decimal("-2.5"),
    Decimal("7"),
    Decimal("-0.00"),
    3,
    "1.50",
    " 1.5 ",
    Decimal("9.3250000"),
    Decimal("1234567890123456.00"),
]
BLANKS: list[Any] = ["", "  ", None]
ODD: list[Any] = [
    Decimal("1.2345678"),
    Decimal("1E+30"),
    Decimal("NaN"),
    "abc",
    True,
    1.5,
    {},
    [],
    "x" * 3000,
    7,
    "01",
    "1",
]


def rows_of(chance: random.Random) -> list[Any]:
    """Rows of one shape, some of whose columns are blank, otherwise spelt or wrong; now and then a row of another shape."""
    rows = [{**ROW, "feedetl_sn": f"F{number}"} for number in range(ROWS_MIN + chance.randrange(3))]
    for _ in range(chance.randrange(4)):
        code = chance.choice(list(ROW))
        usual = NUMBERS if isinstance(ROW[code], (int, Decimal)) else BLANKS
        values = chance.sample(chance.choice([usual, usual, usual, ODD]), chance.randint(1, 3))
        for row in rows:
            row[code] = chance.choice([*values, row[code]])
    if chance.random() < 0.3:
        rows = [{"expContent": chance.choice(["e", {"a": "b"}, None]), **row} for row in rows]
    if chance.random() < 0.2:
        rows[chance.randrange(len(rows))].pop(chance.choice(list(ROW)))
    if chance.random() < 0.1:
        rows[chance.randrange(len(rows))] = chance.choice(["x", None, {}])
    return rows


def read_alone(rows: list[Any]) -> Reading:
    """The rows, each read in a message of its own."""
    read: list[Any] = []
    faults, warnings = [], []
    for number, row in enumerate(rows):
        reading = codec("2301").read_output({"result": [row]})
        read += reading.nodes["result"]
        for found, all_found in ((reading.faults, faults), (reading.warnings, warnings)):
            all_found += [str(one).replace("result[0]", f"result[{number}]", 1) for one in found]
    return Reading({"result": read}, tuple(faults), tuple(warnings))  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None, database=None)
@given(seed=st.integers(0, 2**32))
def test_many_rows_are_read_as_each_alone(seed: int) -> None:
    rows = rows_of(random.Random(seed))
    came = deepcopy(rows)
    reading, alone = codec("2301").read_output({"result": rows}), read_alone(rows)
    # as text, since equal numbers may differ in their places and equal objects in their order
    assert repr(reading.nodes) == repr(alone.nodes)
    assert (list(map(str, reading.faults)), list(map(str, reading.warnings))) == (
        list(alone.faults),
        list(alone.warnings),
    )
    assert repr(rows) == repr(came)


def test_each_row_is_a_new_one_in_canonical_form() -> None:
    rows = [{**ROW, "expContent": "e", "feedetl_sn": f"F{number}"} for number in range(ROWS_MIN)]
    read = codec("2301").read_output({"result": rows}).nodes["result"]
    kept = [code for code in ROW if code != "memo"]
    assert [list(row) for row in read] == [[*kept, "exp_content"]] * ROWS_MIN
    assert {(str(row["cnt"]), str(row["pric"])) for row in read} == {("2.0000", "9.325000")}
    same = codec("2301").read_output({"result": read}).nodes["result"]
    assert same == read
    assert not any(one is other for one, other in zip(same, read, strict=True))


@pytest.mark.parametrize("count", [1, ROWS_MIN])
def test_a_zero_has_no_sign_and_its_places(count: int) -> None:
    for zero in (Decimal("-0.0000"), Decimal("-0"), "-0", Decimal("0"), 0):
        reading = codec("2301").read_output({"result": [{**ROW, "cnt": zero}] * count})
        assert ({str(row["cnt"]) for row in reading.nodes["result"]}, reading.warnings) == ({"0.0000"}, ())
        assert str(codec("2301").write("output", {"result": [{"cnt": zero}]})["result"][0]["cnt"]) == "0.0000"


def test_rows_with_two_spellings_or_rows_of_their_own_are_read_one_by_one() -> None:
    both = [{**ROW, "expContent": "one", "exp_content": "other"}] * ROWS_MIN
    told = codec("2301").read_output({"result": both}).warnings
    assert [one.path for one in told] == [f"output.result[{number}].expContent" for number in range(ROWS_MIN)]
    judged = transaction("3101").node("output", "result")
    assert judged is not None
    right = {
        field.code: Decimal("1.00") if field.type == "number" else "1" for field in judged.fields if field.required
    }
    checked = [{**right, "judge_result_detail_dtos": [{"jrd_id": 7}]}] * ROWS_MIN
    read = codec("3101").read_output({"result": checked}).nodes["result"]
    assert [row["judge_result_detail_dtos"] for row in read] == [[{"jrd_id": "7"}]] * ROWS_MIN


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (1, True),
        ("1.5", "1.5元"),
        (Decimal("1.5"), Decimal("1.00001")),
        (Decimal("1.0000"), Decimal("1234567890123.0000")),
    ],
)
def test_a_value_met_before_makes_no_wrong_one_right(right: Any, wrong: Any) -> None:
    for value, told in [(right, 0), (wrong, 1), (right, 0), (wrong, 1)]:
        assert len(codec("2301").read_output({"result": [{**ROW, "cnt": value}]}).warnings) == told
        assert (
            len(codec("2301").read_output({"result": [{**ROW, "cnt": value}] * ROWS_MIN}).warnings) == told * ROWS_MIN
        )
