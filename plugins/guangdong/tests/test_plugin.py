"""The plugin as the host loads it."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from adapter_core.province.gateway import Site
from adapter_core.province.host import Plugins, load_plugins
from adapter_core.values.errors import ConfigError
from adapter_core.values.secrets import Secret


@pytest.fixture
def plugins() -> Plugins:
    return load_plugins(points=[EntryPoint("guangdong", "his_adapter_guangdong", "adapter_core")])


def test_it_loads_and_offers_what_its_readme_says(plugins: Plugins) -> None:
    assert plugins.broken == []
    assert plugins.dialect_names() == ["guangdong-soap"]
    assert plugins.gateway_names() == ["guangdong", "guangdong-soap"]
    assert [province.regions for province in plugins.provinces] == [("44",)]


def test_everything_it_offers_can_be_built_under_its_own_name(plugins: Plugins) -> None:
    secrets = {"paasid": Secret("gd_test_0001"), "token": Secret("test-token-not-real-0001")}
    for name in plugins.gateway_names():
        assert plugins.gateway(name, Site("H44000000001", "测试医院一", "440300", {}, secrets)).name == name
    for name in plugins.dialect_names():
        assert plugins.dialect(name).name == name


def test_a_misspelt_option_of_a_site_is_named(plugins: Plugins) -> None:
    with pytest.raises(ConfigError, match=r"codes\.certs\.90"):
        plugins.dialect("guangdong-soap", {"codes.certs.90": "01"})
