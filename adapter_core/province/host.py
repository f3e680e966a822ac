"""The host: loads plugins one by one under a guard and hands out their dialects, gateways and policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

import pluggy

from adapter_core.province import hookspecs
from adapter_core.province.dialect import Dialect
from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.province import CONTRACT, Options, Province
from adapter_core.values.errors import ConfigError, ContractError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that could not be loaded; the others run."""

    name: str
    reason: str


@dataclass(slots=True)
class Plugins:
    """The loaded provinces.  ``broken`` is shown by `plugins` and `doctor`."""

    manager: pluggy.PluginManager
    provinces: list[Province] = field(default_factory=list)
    broken: list[BrokenPlugin] = field(default_factory=list)

    def dialect(self, name: str, options: Options | None = None) -> Dialect:
        """A dialect built for a site.  Raises: ConfigError naming those there are."""
        return _pick("dialect", name, {key: value for one in self.provinces for key, value in one.dialects.items()})(
            options or {},
        )

    def gateway(self, name: str, site: Site) -> Gateway:
        """A gateway built for a site.  Raises: ConfigError naming those there are."""
        return _pick("gateway", name, {key: value for one in self.provinces for key, value in one.gateways.items()})(
            site
        )

    def dialect_names(self) -> list[str]:
        return sorted(name for one in self.provinces for name in one.dialects)

    def gateway_names(self) -> list[str]:
        return sorted(name for one in self.provinces for name in one.gateways)

    def tell(self, event: Mapping[str, str]) -> list[str]:
        """Call every observer in a guard of its own; returns what went wrong, one line each."""
        failures = []
        for implementation in self.manager.hook.settlement_changed.get_hookimpls():
            try:
                implementation.function(**dict.fromkeys(implementation.argnames, event))
            except Exception as error:  # an observer must not stop a settlement
                failures.append(f"{implementation.plugin_name}: {type(error).__name__}")
        return failures


def _pick(what: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise ConfigError(f"no {what} {name!r}; there are: {', '.join(sorted(known)) or 'none'}")
    return known[name]


def load_plugins(
    enabled: Iterable[str] | None = None,
    builtin: Iterable[Province] = (),
    points: Iterable[EntryPoint] | None = None,
) -> Plugins:
    """Load the entry points of group ``adapter_core``, those named in ``enabled`` (None = all).

    Raises: ConfigError when two plugins offer the same region, dialect or gateway (both named), or an enabled one is missing.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager)
    owners: dict[tuple[str, str], str] = {}
    for province in builtin:
        _accept(plugins, owners, "adapter_core", province)
    found = {point.name: point for point in (entry_points(group=hookspecs.PROJECT) if points is None else points)}
    wanted = sorted(found) if enabled is None else list(enabled)
    for name in wanted:
        if name not in found:
            plugins.broken.append(BrokenPlugin(name, "enabled in the configuration, but not installed"))
            continue
        _load(plugins, owners, found[name])
    return plugins


def _load(plugins: Plugins, owners: dict[tuple[str, str], str], point: EntryPoint) -> None:
    manager = plugins.manager
    offered: list[Province] = []
    try:
        module = point.load()
        manager.register(module, name=point.name)
        manager.check_pending()
        for implementation in manager.hook.register_province.get_hookimpls():
            if implementation.plugin_name == point.name:
                implementation.function(register=offered.append)
        for province in offered:
            _check(province)
    except Exception as error:  # one broken plugin must not stop the others
        if manager.has_plugin(point.name):
            manager.unregister(name=point.name)
        plugins.broken.append(BrokenPlugin(point.name, f"{type(error).__name__}: {error}"))
        return
    for province in offered:
        _accept(plugins, owners, point.name, province)


def _check(province: Province) -> None:
    if not isinstance(province, Province):
        raise ContractError(f"register() takes a Province, not {type(province).__name__}")
    if province.contract != CONTRACT:
        raise ContractError(
            f"{province.name} {province.version} was written for plugin contract {province.contract}, this is {CONTRACT}",
        )


def _accept(plugins: Plugins, owners: dict[tuple[str, str], str], plugin: str, province: Province) -> None:
    claims: list[tuple[str, str]] = [("region", prefix) for prefix in province.regions]
    claims += [("dialect", name) for name in province.dialects] + [("gateway", name) for name in province.gateways]
    clashes = [f"{what} {name}: {owners[what, name]} and {plugin}" for what, name in claims if (what, name) in owners]
    if clashes:
        raise ConfigError("two plugins offer the same " + "; ".join(clashes) + ". Enable one of them.")
    owners.update(dict.fromkeys(claims, plugin))
    plugins.provinces.append(province)
