"""The contract every province plugin keeps, as one class to inherit::

    class TestJiangxi(ProvinceContract):
        plugin = "jiangxi"

Every check there is, now and later, then runs over every dialect, sample and gateway of the plugin; what it needs to know
is data in ``tests/contract.toml`` (`subject`).  What can't be shown is skipped with the reason.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter_core.province.dialect import Dialect
from adapter_core.province.gateway import Gateway
from adapter_core.province.messages import VERBS, Mark
from adapter_core.province.province import CONTRACT
from adapter_core.province.table_dialect import TableDialect
from adapter_core.standard.regions import region
from adapter_core.testing import laws
from adapter_core.testing.samples import Sample
from adapter_core.testing.sayable import hostile, sayable, settlements
from adapter_core.testing.subject import SampleSet, Scenario, Subject
from adapter_core.testing.window import Heard, window
from adapter_core.values.errors import NotSupported, TranslationError
from adapter_core.values.frames import Frame

FORBIDDEN = frozenset(
    [
        "asyncio", "httpx", "multiprocessing", "os", "random", "requests", "secrets", "socket", "sqlalchemy", "sqlite3",
        "subprocess", "threading", "time", "urllib.request",
    ]
)  # fmt: skip
"""A plugin translates; sending, waiting, chance and the clock are the core's."""

BETWEEN = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
MOMENT = datetime(2026, 11, 21, 1, 5, tzinfo=UTC)


@cache
def _subject(plugin: str, tests: Path | None) -> Subject:
    return Subject(plugin, tests)


class ProvinceContract:
    """plugin: the entry point's name.  tests: where its ``contract.toml`` and samples lie; by default beside the class."""

    plugin: ClassVar[str]
    tests: ClassVar[Path | None] = None

    @staticmethod
    def completed(dialect: str, message: str, sections: dict[str, Any]) -> dict[str, Any]:
        """Override where a message says two national fields in one place: values drawn for it must agree."""
        return sections

    @classmethod
    def subject(cls) -> Subject:
        return _subject(cls.plugin, cls.tests or Path(inspect.getfile(cls)).parent)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per dialect, sample, message side, gateway and scenario."""
        subject = type(self).subject()
        for name, found in _found(subject).items():
            if name in metafunc.fixturenames:
                ids = [key for key, _ in found]
                metafunc.parametrize(name, [value for _, value in found], ids=ids)

    # what is registered

    def test_the_plugin_loads_and_says_which_contract_it_keeps(self) -> None:
        province = self.subject().province
        assert province.contract == CONTRACT
        assert province.dialects or province.gateways
        for prefix in province.regions:
            assert region(prefix.ljust(6, "0")) is not None, f"no such region: {prefix}"

    def test_the_plugin_only_translates(self) -> None:
        """No socket, thread, clock, chance or environment in its source."""
        found = [
            f"{path.name}: {name}"
            for path in self.subject().source_files()
            for name in _imported(ast.parse(path.read_text("utf-8")))
            if name in FORBIDDEN or name.partition(".")[0] in FORBIDDEN
        ]
        assert not found, ", ".join(found)

    def test_everything_declared_is_shown(self) -> None:
        """Every dialect has samples, and every dialect and gateway a scenario, its own or a built-in one that runs."""
        subject = self.subject()
        shown = {one.dialect for one in subject.sample_sets}
        missing = [f"no samples of dialect {name}" for name in subject.province.dialects if name not in shown]
        played = {one.dialect for one in subject.scenarios}
        missing += [f"no scenario of dialect {name}" for name in subject.province.dialects if name not in played]
        missing += [
            f"gateway {name} settles in no scenario"
            for name in subject.province.gateways
            if not _settles(subject, name)
        ]
        assert not missing, "; ".join(missing)

    # dialects

    def test_a_dialect_names_its_messages(self, dialect_name: str) -> None:
        dialect = self.subject().dialect(dialect_name)
        assert isinstance(dialect, Dialect)
        assert dialect.name == dialect_name
        for message in dialect.messages:
            assert message.verb in VERBS
            assert message.title
            assert message.evidence[:1] in ("E", "D"), f"{message.message}: E evidenced or D deduced, then what is not"

    @pytest.mark.parametrize("law", [laws.assert_meaning, laws.assert_stable, laws.assert_faithful, laws.assert_pure])
    def test_a_sample_keeps(self, sample: tuple[TableDialect, Sample, str], law: Any) -> None:
        dialect, one, differs = sample
        if one.expected.get("mark") == Mark.UNREADABLE and law is not laws.assert_meaning:
            pytest.skip("an unreadable reply has nothing to write back")
        if differs and law is laws.assert_faithful:
            pytest.skip(differs)
        law(dialect, one)

    def test_any_bytes_are_survived(self, sample: tuple[TableDialect, Sample, str]) -> None:
        dialect, one, _ = sample
        private = self.subject().private

        @BETWEEN
        @given(st.data())
        def law(data: Any) -> None:
            laws.assert_safe(dialect, one, data.draw(hostile([dialect.write_frame_file(one.frame) or b"|"])), private)

        law()

    def test_no_amount_is_lost(self, money_sample: tuple[TableDialect, Sample]) -> None:
        dialect, one = money_sample
        told: list[bool] = []

        @settings(BETWEEN, max_examples=60)
        @given(settlements())
        def law(amounts: Mapping[str, Decimal]) -> None:
            told.append(laws.assert_money(dialect, one, amounts))

        law()
        assert any(told), "no settlement at all can be told"

    def test_every_row_has_an_expected_value(self, whole_set: SampleSet) -> None:
        subject = self.subject()
        laws.assert_covered(subject.table_dialect(whole_set), subject.samples(whole_set))

    def test_swapped_rows_are_noticed(self, table_set: SampleSet) -> None:
        subject = self.subject()
        tree, samples = subject.table_tree(table_set), subject.samples(table_set)
        tried = laws.assert_swaps_are_caught(tree, lambda raw: subject.with_table(table_set, raw), samples)
        assert tried >= table_set.swaps_least, tried

    def test_what_a_message_can_say_comes_back(self, message_side: tuple[TableDialect, str, str]) -> None:
        dialect, message, side = message_side

        @BETWEEN
        @given(sayable(dialect, message, side))
        def law(sections: dict[str, Any]) -> None:
            laws.assert_says(dialect, message, side, self.completed(dialect.name, message, sections))

        law()

    # gateways

    def test_a_gateway_keeps_its_form(self, gateway_name: str) -> None:
        """It is named as registered, its route is whole, and a msgid differs with its number."""
        gateway = self.subject().gateway(gateway_name)
        assert isinstance(gateway, Gateway)
        assert gateway.name == gateway_name
        mark = self.subject().province.evidence.get(gateway_name, "")
        assert mark[:1] in ("E", "D", "N") and mark, (
            "evidence: E read, D deduced, N nothing public, then what is not known"
        )
        assert gateway.route.steps
        assert len({gateway.msgid(MOMENT, number) for number in range(10)}) == 10
        assert gateway.msgid(MOMENT, 1) != gateway.msgid(MOMENT + timedelta(seconds=1), 1)
        assert gateway.capabilities.late_commit_s > gateway.capabilities.money_deadline_s

    def test_a_scenario(self, scenario: Scenario, tmp_path: Path) -> None:
        """End to end, before the simulated centre."""
        subject = self.subject()
        lacking = subject.lacks(scenario) if scenario.gateway in subject.province.gateways else ""
        if lacking:
            pytest.skip(f"the gateway declares {lacking}")
        heard, stands = asyncio.run(_played(subject, scenario, tmp_path))
        if _not_built(scenario, heard):
            pytest.skip(f"this route does not do it: {heard[0].text}")
        states = [_as_hoped(one.state, hoped) for one, hoped in zip(heard, scenario.hears, strict=True)]
        assert states == list(scenario.hears), "\n".join(one.text for one in heard)
        if scenario.stands is not None:
            assert stands == list(scenario.stands)


async def _played(subject: Subject, scenario: Scenario, folder: Path) -> tuple[list[Heard], list[str]]:
    site = subject.site(scenario.gateway)
    async with window(folder, site, scenario.dialect) as here:
        here.rules(scenario.rules)
        heard = []
        for said in scenario.says:
            tree = {"settle_key": "K1", "visit_key": "V1", **said}
            heard.append(await here.asks(Frame(body=json.dumps(tree, ensure_ascii=False).encode())))
        for name in scenario.messages:
            assert subject.tests is not None
            file = subject.tests / "samples" / name
            heard.append(await here.says(file.read_bytes(), file.name, scenario.side))
        return heard, [one["state"] for one in here.settlements]


def _as_hoped(state: str, hoped: str) -> str:
    """A centre that can't be asked leaves a doubt to a person at once: the HIS is told the same, that it isn't known."""
    return "PENDING" if state == "FROZEN" and hoped == "PENDING" else state


def _not_built(scenario: Scenario, heard: list[Heard]) -> bool:
    """A built-in story that this family's route has no way to tell."""
    return bool(scenario.says) and heard[0].state in ("NOT_SUPPORTED", "INCOMPLETE", "INVALID")


@cache
def _found(subject: Subject) -> dict[str, list[tuple[str, Any]]]:
    """What there is to test, by the parameter's name, each with its id."""
    samples, sides, sets = [], [], []
    for one in subject.sample_sets:
        dialect = subject.table_dialect(one)
        sets.append((one.folder, one))
        samples += [
            (f"{one.folder}/{sample.name}", (dialect, sample, one.not_faithful.get(sample.name, "")))
            for sample in subject.samples(one)
        ]
        sides += [
            (f"{one.folder}/{message.id}/{side}", (dialect, message.id, side))
            for message in dialect.table.spec.messages.values()
            for side in ("ask", "tell")
        ]
    scenarios = [(f"{one.gateway}/{one.name}", one) for one in subject.scenarios]
    for gateway in subject.province.gateways:
        scenarios += [(f"{gateway}/{one.name}", one) for one in subject.built_in(gateway)]
    return {
        "dialect_name": [(name, name) for name in subject.province.dialects],
        "gateway_name": [(name, name) for name in subject.province.gateways],
        "whole_set": [(key, one) for key, one in sets if not one.partial],
        "table_set": [(key, one) for key, one in sets if one.table],
        "sample": samples,
        "money_sample": [(key, found[:2]) for key, found in samples if _tells_amounts(*found[:2])],
        "message_side": sides,
        "scenario": scenarios,
    }


def _settles(subject: Subject, gateway: str) -> bool:
    own = any(one.gateway == gateway and "SETTLED" in one.hears for one in subject.scenarios)
    return own or subject.gateway(gateway).route.goal("outpatient", "settle") is not None


def _tells_amounts(dialect: TableDialect, sample: Sample) -> bool:
    if sample.asked is None:
        return False
    try:
        asked = dialect.decode_request(sample.asked)
        reply = dialect.decode_reply(asked, sample.frame)
    except (TranslationError, NotSupported):
        return False
    return reply.mark is Mark.OK and asked.verb in ("quote", "settle", "void") and "result" in reply.content


def _imported(tree: ast.AST) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return names
