"""The laws of translation over both dialects: every message, both sides."""

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
from his_adapter_jiangxi.dialect import fuzhou, neusoft, table_text

SAMPLES = Path(__file__).parent / "samples"
NEUSOFT, FUZHOU = neusoft({}), fuzhou({})
CITY_FUNDS = neusoft({"layout.pay": "city_funds"})
SETS: dict[str, tuple[TableDialect, tuple[Sample, ...]]] = {
    "neusoft": (NEUSOFT, load_samples(NEUSOFT, SAMPLES / "neusoft")),
    "fuzhou": (FUZHOU, load_samples(FUZHOU, SAMPLES / "fuzhou")),
    "city_funds": (CITY_FUNDS, load_samples(CITY_FUNDS, SAMPLES / "city_funds")),
}
EACH = [
    pytest.param(dialect, sample, id=f"{name}/{sample.name}")
    for name, (dialect, samples) in SETS.items()
    for sample in samples
]
SIDES = [
    (dialect, message.id, side)
    for dialect in (NEUSOFT, FUZHOU, CITY_FUNDS)
    for message in dialect.table.spec.messages.values()
    for side in ("ask", "tell")
]
PRIVATE = ("110101190001010000", "220102199913330001", "T0000001", "T0000002", "T00000000001", "测试甲", "测试乙")
quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(("dialect", "sample"), EACH)
@pytest.mark.parametrize("law", [laws.assert_meaning, laws.assert_stable, laws.assert_faithful, laws.assert_pure])
def test_samples(law: Callable[[TableDialect, Sample], None], dialect: TableDialect, sample: Sample) -> None:
    law(dialect, sample)


@pytest.mark.parametrize("name", ["neusoft", "fuzhou"])
def test_every_row_has_an_expected_value(name: str) -> None:
    laws.assert_covered(*SETS[name])


@pytest.mark.parametrize(("name", "swaps_least"), [("neusoft", 85), ("fuzhou", 40)])
def test_swapped_rows_are_noticed(name: str, swaps_least: int) -> None:
    def build(raw: dict[str, Any]) -> TableDialect:
        return TableDialect(FieldTable(build_spec(raw, name)))

    assert laws.assert_swaps_are_caught(tomllib.loads(table_text(name)), build, SETS[name][1]) >= swaps_least


@quick
@given(st.data())
@pytest.mark.parametrize(("dialect", "message", "side"), SIDES)
def test_what_a_message_can_say_comes_back(dialect: TableDialect, message: str, side: str, data: Any) -> None:
    laws.assert_says(dialect, message, side, data.draw(sayable(dialect, message, side)))


@pytest.mark.parametrize(
    ("name", "sample_name"),
    [("neusoft", "2410.reply.txt"), ("neusoft", "2610.full.reply.txt"), ("fuzhou", "JS05.reply.txt"),
     ("city_funds", "2410.reply.txt")],
)  # fmt: skip
def test_no_amount_is_lost(name: str, sample_name: str) -> None:
    dialect, samples = SETS[name]
    sample = next(sample for sample in samples if sample.name == sample_name)
    told: list[bool] = []

    @settings(max_examples=150, deadline=None, database=None)
    @given(settlements())
    def law(amounts: Mapping[str, Decimal]) -> None:
        told.append(laws.assert_money(dialect, sample, amounts))

    law()
    assert any(told), "nothing could be told at all"


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.parametrize(("dialect", "sample"), EACH)
def test_any_bytes_are_survived(dialect: TableDialect, sample: Sample, data: Any) -> None:
    raw = dialect.write_frame_file(sample.frame) or b"|"
    laws.assert_safe(dialect, sample, data.draw(hostile([raw])), PRIVATE)
