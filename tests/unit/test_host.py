"""Loading plugins: one broken one is named and stops nothing, two for one thing are both named."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from adapter_core.province.dialect import Dialect
from adapter_core.province.hookspecs import hookimpl
from adapter_core.province.host import load_plugins
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.province.province import CONTRACT, Province
from adapter_core.values.errors import ConfigError


class Point:
    """An entry point whose module is made here."""

    def __init__(self, name: str, load: Callable[[], object]) -> None:
        self.name = name
        self.load = load


def province(name: str, **more: Any) -> Province:
    return Province(name=name, title=name, version="1.0", contract=more.pop("contract", CONTRACT), **more)


def offering(name: str, *provinces: object, **hooks: Any) -> EntryPoint:
    module = types.ModuleType(name)

    @hookimpl
    def register_province(register: Callable[[Any], None]) -> None:
        for one in provinces:
            register(one)

    module.register_province = register_province  # type: ignore[attr-defined]
    for hook, function in hooks.items():
        setattr(module, hook, function)
    return Point(name, lambda: module)  # type: ignore[return-value]


def dialect(options: Mapping[str, str]) -> Dialect:
    return NationalDialect()


def test_plugins_are_loaded_and_built_by_name() -> None:
    loaded = load_plugins(
        None, (), [offering("east", province("east", regions=("31",), dialects={"east-old": dialect}))]
    )
    assert loaded.broken == []
    assert loaded.dialect_names() == ["east-old"]
    assert isinstance(loaded.dialect("east-old"), NationalDialect)
    with pytest.raises(ConfigError, match="east-old"):
        loaded.dialect("west-old")


@pytest.mark.parametrize(
    "claim",
    [{"regions": ("31",)}, {"dialects": {"old": dialect}}, {"gateways": {"gate": lambda site: None}}],
    ids=["region", "dialect", "gateway"],
)
def test_two_plugins_for_one_thing_are_both_named(claim: dict[str, Any]) -> None:
    points = [offering("first", province("a", **claim)), offering("second", province("b", **claim))]
    with pytest.raises(ConfigError) as caught:
        load_plugins(None, (), points)
    assert "first" in str(caught.value)
    assert "second" in str(caught.value)
    assert [one.name for one in load_plugins(["second"], (), points).provinces] == ["b"]


def test_a_plugin_may_not_take_a_builtin_name() -> None:
    builtin = province("national", gateways={"national": lambda site: None})
    with pytest.raises(ConfigError, match="bold"):
        load_plugins(None, [builtin], [offering("bold", province("b", gateways={"national": lambda site: None}))])


def _fails() -> object:
    raise ImportError("no module named lost")


def test_a_broken_plugin_is_named_with_its_reason_and_the_others_run() -> None:
    loaded = load_plugins(None, (), [Point("broken", _fails), offering("whole", province("w"))])  # type: ignore[list-item]
    assert [(one.name, one.reason) for one in loaded.broken] == [("broken", "ImportError: no module named lost")]
    assert [one.name for one in loaded.provinces] == ["w"]


def test_a_hook_that_raises_takes_back_all_its_plugin_offered() -> None:
    def register_province(register: Callable[[Any], None]) -> None:
        register(province("half", dialects={"half": dialect}))
        raise RuntimeError("lost my tables")

    module = types.ModuleType("half")
    module.register_province = hookimpl(register_province)  # type: ignore[attr-defined]
    loaded = load_plugins(None, (), [Point("half", lambda: module), offering("whole", province("w"))])  # type: ignore[list-item]
    assert [one.name for one in loaded.broken] == ["half"]
    assert loaded.dialect_names() == []
    assert [one.name for one in loaded.provinces] == ["w"]


def test_a_misspelt_hook_is_caught() -> None:
    @hookimpl
    def settlement_chnaged(event: Mapping[str, str]) -> None: ...

    loaded = load_plugins(
        None,
        (),
        [offering("typo", province("t"), settlement_chnaged=settlement_chnaged), offering("whole", province("w"))],
    )
    [broken] = loaded.broken
    assert broken.name == "typo"
    assert "settlement_chnaged" in broken.reason
    assert [one.name for one in loaded.provinces] == ["w"]


def test_another_contract_version_is_refused_with_both_versions() -> None:
    loaded = load_plugins(None, (), [offering("old", province("old", contract=CONTRACT + 1))])
    [broken] = loaded.broken
    assert f"contract {CONTRACT + 1}" in broken.reason
    assert f"this is {CONTRACT}" in broken.reason
    assert loaded.provinces == []


def test_what_is_no_province_is_refused() -> None:
    assert [one.name for one in load_plugins(None, (), [offering("odd", {"name": "odd"})]).broken] == ["odd"]


def test_an_enabled_plugin_that_is_not_installed_is_shown() -> None:
    loaded = load_plugins(["lost", "here"], (), [offering("here", province("h"))])
    assert [one.name for one in loaded.broken] == ["lost"]
    assert [one.name for one in loaded.provinces] == ["h"]


def test_an_observer_that_raises_stops_neither_the_others_nor_the_caller() -> None:
    seen: list[str] = []

    @hookimpl
    def angry(event: Mapping[str, str]) -> None:
        raise RuntimeError("测试甲 must not be in a log")

    @hookimpl
    def calm(event: Mapping[str, str]) -> None:
        seen.append(event["state"])

    @hookimpl
    def idle() -> None:
        seen.append("idle")

    loaded = load_plugins(
        None,
        (),
        [
            offering("calm", province("c"), settlement_changed=calm),
            offering("angry", province("a"), settlement_changed=angry),
            offering("idle", province("i"), settlement_changed=idle),
        ],
    )
    assert loaded.tell({"state": "SETTLED"}) == ["angry: RuntimeError"]
    assert sorted(seen) == ["SETTLED", "idle"]
