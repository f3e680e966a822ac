"""The plugin under test: its province, and what its ``tests/`` folder says of it as data.

``tests/contract.toml`` of a plugin, every part optional::

    private = ["测试甲", "T00000000001"]      # values that no error text may repeat

    [site]                                   # shared by every run: fixmedins_code, admdvs, secrets, options …
    admdvs = "360100"
    [gateway.jiangxi]                        # for the runs of this gateway: path, secrets, options, capabilities, admdvs
    secrets = { ak = "ak-test-0001" }
    said.person = { mdtrt_cert_type = "03", mdtrt_cert_no = "T0000001" }   # whom the built-in scenarios are about
    [[samples]]                              # a folder below tests/samples
    folder = "neusoft"
    dialect = "jiangxi-neusoft"
    table = "neusoft.toml"                   # with swaps_least: so many swaps of neighbouring rows must be noticed
    swaps_least = 85
    [[scenario]]                             # one window's messages, played in order
    name = "a day at a Neusoft window"
    dialect = "jiangxi-neusoft"
    gateway = "jiangxi"
    messages = ["neusoft/2420.request.txt", "neusoft/2410.request.txt"]
    hears = ["QUOTED", "SETTLED"]
"""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.site import plugins
from adapter_core.formats.tables import FieldTable, build_spec
from adapter_core.province import gateway as gateway_contract
from adapter_core.province.dialect import Dialect
from adapter_core.province.gateway import Gateway
from adapter_core.province.province import Province
from adapter_core.province.table_dialect import TableDialect
from adapter_core.testing.samples import Sample, load_samples
from adapter_core.testing.window import Site
from adapter_core.values.errors import ConfigError
from adapter_core.values.secrets import Secret

BUILT_IN = resources.files("adapter_core.testing") / "scenarios"


@dataclass(frozen=True, slots=True)
class SampleSet:
    """One folder of samples and the dialect that reads it.

    partial: the folder shows an option, not every message.  table: the dialect's file in the package's ``tables/``.
    not_faithful: samples that we write otherwise than a centre does, each with the reason.
    """

    folder: str
    dialect: str
    table: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    partial: bool = False
    not_faithful: Mapping[str, str] = field(default_factory=dict)
    swaps_least: int = 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Messages said in order and what each is told.

    messages: files of the plugin's samples; says: for the built-in ones, changes of the national message instead.
    side: what only the workstation knows.  rules: the centre's faults.  stands: the states of the centre's settlements at the
    end, None where they don't matter.  needs: capabilities without which it says nothing.
    """

    name: str
    dialect: str = "national"
    gateway: str = "national"
    messages: Sequence[str] = ()
    says: Sequence[Mapping[str, Any]] = ()
    hears: Sequence[str] = ()
    side: Mapping[str, str] = field(default_factory=dict)
    rules: Sequence[Mapping[str, Any]] = ()
    stands: Sequence[str] | None = None
    needs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """plugin: its entry point's name; tests: its tests folder, None when only the installed package is there."""

    plugin: str
    tests: Path | None = None

    @cached_property
    def province(self) -> Province:
        """Raises: ConfigError naming what kept the plugin from loading."""
        loaded = plugins([self.plugin])
        if loaded.broken:
            raise ConfigError("; ".join(f"{one.name}: {one.reason}" for one in loaded.broken))
        return next(province for province in loaded.provinces if province.name != "national")

    @cached_property
    def data(self) -> Mapping[str, Any]:
        file = self.tests / "contract.toml" if self.tests else None
        return tomllib.loads(file.read_text("utf-8")) if file and file.is_file() else {}

    @property
    def private(self) -> tuple[str, ...]:
        return tuple(self.data.get("private", ()))

    def dialect(self, name: str, options: Mapping[str, str] | None = None) -> Dialect:
        shared = self.data.get("dialect_options", {}).get(name, {})
        return self.province.dialects[name]({**shared, **(options or {})})

    # samples

    @cached_property
    def sample_sets(self) -> tuple[SampleSet, ...]:
        return tuple(_checked(SampleSet, row) for row in self.data.get("samples", ()))

    def samples(self, one: SampleSet) -> tuple[Sample, ...]:
        assert self.tests is not None
        return load_samples(self.table_dialect(one), self.tests / "samples" / one.folder)

    def table_dialect(self, one: SampleSet) -> TableDialect:
        dialect = self.dialect(one.dialect, one.options)
        assert isinstance(dialect, TableDialect), f"{one.dialect} is no table dialect"
        return dialect

    def with_table(self, one: SampleSet, raw: dict[str, Any]) -> TableDialect:
        """The set's dialect on another tree of its table.  Raises: ContractError for a faulty one."""
        shared = self.data.get("dialect_options", {}).get(one.dialect, {})
        spec = build_spec(raw, one.table, {**shared, **one.options})
        return self.table_dialect(one).on_table(FieldTable(spec))

    def table_tree(self, one: SampleSet) -> dict[str, Any]:
        """The TOML tree of the set's table."""
        package = inspect.getfile(next(point for point in _entry_points() if point.name == self.plugin).load())
        return tomllib.loads((Path(package).parent / "tables" / one.table).read_text("utf-8"))

    # gateways and scenarios

    def site(self, gateway: str) -> Site:
        """The site the runs of one gateway stand on."""
        row = {**self.data.get("site", {}), **self.data.get("gateway", {}).get(gateway, {})}
        for own in ("kind", "said"):
            row.pop(own, None)
        site: Site = _checked(
            Site, {**row, "gateway": gateway, "dialect_options": self.data.get("dialect_options", {})}
        )
        return site

    def gateway(self, name: str) -> Gateway:
        site = self.site(name)
        return self.province.gateways[name](
            gateway_contract.Site(
                site.fixmedins_code,
                "测试医院",
                site.admdvs,
                site.options,
                {key: Secret(value) for key, value in site.secrets.items()},
            )
        )

    @cached_property
    def scenarios(self) -> tuple[Scenario, ...]:
        """The plugin's own."""
        return tuple(_checked(Scenario, row) for row in self.data.get("scenario", ()))

    def built_in(self, gateway: str) -> Iterator[Scenario]:
        """What every gateway is put through; the numbers of its money calls filled in."""
        kind = self.data.get("gateway", {}).get(gateway, {}).get("kind", "outpatient")
        route = self.gateway(gateway).route
        pay = route.goal(kind, "settle")
        base = json.loads((BUILT_IN / "outpatient.json").read_text("utf-8"))
        base.update(self.data.get("gateway", {}).get(gateway, {}).get("said", {}))
        text = (BUILT_IN / "gateway.toml").read_text("utf-8")
        money, back = (pay.call, route.steps[pay.undo].call if pay.undo else "") if pay else ("", "")
        for row in tomllib.loads(text.replace("{money}", money).replace("{void}", back))["scenario"]:
            says = [{**base, **change} for change in row.pop("says")]
            yield _checked(Scenario, {**row, "says": says, "gateway": gateway})

    def lacks(self, scenario: Scenario) -> str:
        """Why a scenario can't be shown here; "" when it can."""
        capabilities = self.gateway(scenario.gateway).capabilities
        declared = {**{name: getattr(capabilities, name) for name in scenario.needs}, **self._set(scenario.gateway)}
        wrong = [f"{name} = {declared[name]!r}" for name, value in scenario.needs.items() if declared[name] != value]
        return ", ".join(wrong)

    def _set(self, gateway: str) -> Mapping[str, Any]:
        return self.site(gateway).capabilities

    # the package

    def source_files(self) -> list[Path]:
        """The plugin's own Python files."""
        point = next(one for one in _entry_points() if one.name == self.plugin)
        package = inspect.getfile(point.load())
        return sorted(Path(package).parent.rglob("*.py"))


def _entry_points() -> Any:
    from importlib.metadata import entry_points

    return entry_points(group="adapter_core")


def _checked(kind: Any, row: Mapping[str, Any]) -> Any:
    """A dataclass from a table.  Raises: ConfigError naming the keys it doesn't know."""
    known = {one.name for one in fields(kind)}
    unknown = sorted(set(row) - known)
    if unknown:
        raise ConfigError(
            f"contract.toml: {kind.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        )
    return kind(**row)
