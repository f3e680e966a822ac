"""The laws of translation over STYDJY: every message, both sides."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter_core.formats.tables import FieldTable, build_spec
from adapter_core.province.table_dialect import TableDialect
from adapter_core.testing import laws
from adapter_core.testing.samples import Sample, load_samples
from adapter_core.testing.sayable import hostile, sayable, settlements
from his_adapter_guangdong.dialect import stydj, stydj_hooks, table_text

DIALECT = stydj({"opter": ""})  # what the table itself says, without an operator put in
SAMPLES = load_samples(DIALECT, Path(__file__).parent / "samples" / "soap-guangdong")
READABLE = [sample for sample in SAMPLES if sample.expected.get("mark") != "unreadable"]
# A refusal of a centre has a transid; ours has none, since nothing stands that it could name.
FAITHFUL = [sample for sample in READABLE if sample.expected.get("mark") != "refused"]
SIDES = [(message, side) for message in DIALECT.table.spec.messages for side in ("ask", "tell")]
PRIVATE = ("110101190001010000", "220102199913330001", "T00000000001", "测试甲", "测试医院一")
quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def both_numbers(sections: dict[str, Any]) -> dict[str, Any]:
    """aac044 is the certificate's number and the visit credential's: a message says both or none."""
    person = sections.get("person", {})
    for name, twin in (("certno", "mdtrt_cert_no"), ("mdtrt_cert_no", "certno")):
        if name in person:
            person.setdefault(twin, person[name])
    return sections


def named(sample: Sample) -> str:
    return sample.name


@pytest.mark.parametrize("sample", SAMPLES, ids=named)
def test_a_sample_means_what_is_expected(sample: Sample) -> None:
    laws.assert_meaning(DIALECT, sample)


@pytest.mark.parametrize("sample", READABLE, ids=named)
@pytest.mark.parametrize("law", [laws.assert_stable, laws.assert_pure])
def test_a_sample_is_stable_and_pure(law: Callable[[TableDialect, Sample], None], sample: Sample) -> None:
    law(DIALECT, sample)


@pytest.mark.parametrize("sample", FAITHFUL, ids=named)
def test_a_sample_comes_back_faithfully(sample: Sample) -> None:
    laws.assert_faithful(DIALECT, sample)


def test_every_row_has_an_expected_value() -> None:
    laws.assert_covered(DIALECT, SAMPLES)


def test_swapped_rows_are_noticed() -> None:
    def build(raw: dict[str, Any]) -> TableDialect:
        table = FieldTable(build_spec(raw, "stydj.toml", {"opter": ""}))
        return TableDialect(table, stydj_hooks(table))

    assert laws.assert_swaps_are_caught(tomllib.loads(table_text("stydj")), build, SAMPLES) >= 37


@quick
@given(st.data())
@pytest.mark.parametrize(("message", "side"), SIDES)
def test_what_a_message_can_say_comes_back(message: str, side: str, data: Any) -> None:
    laws.assert_says(DIALECT, message, side, both_numbers(data.draw(sayable(DIALECT, message, side))))


@pytest.mark.parametrize("name", ["0303.filled.response.xml", "0304.response.xml", "0305.response.xml"])
def test_no_amount_is_lost(name: str) -> None:
    sample = next(sample for sample in SAMPLES if sample.name == name)
    told: list[bool] = []

    @settings(max_examples=150, deadline=None, database=None)
    @given(settlements())
    def law(amounts: Mapping[str, Decimal]) -> None:
        told.append(laws.assert_money(DIALECT, sample, amounts))

    law()
    assert any(told), "nothing could be told at all"


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.parametrize("sample", SAMPLES, ids=named)
def test_any_bytes_are_survived(sample: Sample, data: Any) -> None:
    laws.assert_safe(DIALECT, sample, data.draw(hostile([sample.frame.body])), PRIVATE)
