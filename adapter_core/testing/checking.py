"""Runs the contract over one plugin, installed or in a folder, and says what held: the work of ``his-adapter plugin check``."""

from __future__ import annotations

import inspect
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from adapter_core.testing.subject import Subject
from adapter_core.values.errors import ConfigError

MODULE = """\
from pathlib import Path
from adapter_core.testing.contract import ProvinceContract


class TestPlugin(ProvinceContract):
    plugin = {plugin!r}
    tests = Path({tests!r})
"""
SCENARIO = re.compile(r"test_a_scenario\[(?P<gateway>[^/\]]+)/(?P<name>[^\]]+)\]")


@dataclass(frozen=True, slots=True)
class Check:
    """One check's end.  outcome: passed | failed | skipped; text: the reason, for the last two."""

    name: str
    outcome: str
    text: str = ""


@dataclass(slots=True)
class Report:
    """What held of one plugin.  Its support table is probed: what a scenario showed, and what it was skipped for."""

    plugin: str
    title: str
    checks: list[Check] = field(default_factory=list)
    dialects: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    gateways: dict[str, dict[str, Any]] = field(default_factory=dict)
    not_supported: tuple[str, ...] = ()

    @property
    def failed(self) -> list[Check]:
        return [one for one in self.checks if one.outcome == "failed"]

    def counted(self) -> dict[str, int]:
        return {kind: sum(one.outcome == kind for one in self.checks) for kind in ("passed", "failed", "skipped")}

    def as_data(self) -> dict[str, Any]:
        return {
            "plugin": self.plugin,
            "title": self.title,
            "counted": self.counted(),
            "failed": [asdict(one) for one in self.failed],
            "dialects": self.dialects,
            "gateways": self.gateways,
            "not_supported": list(self.not_supported),
        }


class _Listening:
    """A pytest plugin that keeps each check's end."""

    def __init__(self, told: Callable[[int, int], None]) -> None:
        self.checks: list[Check] = []
        self._told = told
        self._all = 0

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        self._all = len(items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.checks.append(Check("collecting the checks", "failed", report.longreprtext[-1000:]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.rpartition("::")[2]
            self.checks.append(Check(name, report.outcome, _reason(report)))
            self._told(len(self.checks), self._all)


def check_plugin(target: str, told: Callable[[int, int], None] = lambda done, of: None) -> Report:
    """target: a plugin's name, or the folder of its distribution (installed or not).  told: (checks done, of all).

    Raises: ConfigError when there is no such plugin, or it doesn't load.
    """
    with _findable(target) as subject:
        report = Report(subject.plugin, subject.province.title, not_supported=subject.province.not_supported)
        listening = _Listening(told)
        with tempfile.TemporaryDirectory() as folder:
            module = _module(subject, Path(folder))
            (Path(folder) / "pytest.ini").write_text("[pytest]\n")
            pytest.main(
                ["-c", f"{folder}/pytest.ini", "--rootdir", folder, "--import-mode=importlib", "-p", "no:cacheprovider",
                 "-p", "no:terminal", "-p", "no:asyncio", str(module)],
                plugins=[listening],
            )  # fmt: skip
        report.checks = listening.checks
        _probe(subject, report)
    return report


@contextmanager
def _findable(target: str) -> Iterator[Subject]:
    folder = Path(target)
    if not (folder / "pyproject.toml").is_file():
        yield _installed(target)
        return
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    points = project.get("entry-points", {}).get("adapter_core", {})
    if len(points) != 1:
        raise ConfigError(
            f"{folder}: pyproject.toml must name one entry point in group adapter_core, it names {len(points)}"
        )
    [(name, module)] = points.items()
    tests = (folder / "tests").resolve()
    if any(point.name == name for point in entry_points(group="adapter_core")):
        yield Subject(name, tests)
        return
    with tempfile.TemporaryDirectory() as made:
        info = Path(made) / f"{project['name'].replace('-', '_')}-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n")
        (info / "entry_points.txt").write_text(f"[adapter_core]\n{name} = {module}\n")
        sys.path[:0] = [made, str((folder / "src").resolve())]
        try:
            yield Subject(name, tests)
        finally:
            del sys.path[:2]


def _installed(name: str) -> Subject:
    point = next((point for point in entry_points(group="adapter_core") if point.name == name), None)
    if point is None:
        known = sorted({point.name for point in entry_points(group="adapter_core")})
        raise ConfigError(
            f"no plugin {name!r} installed, and no folder of that name; installed: {', '.join(known) or 'none'}"
        )
    tests = Path(inspect.getfile(point.load())).parents[2] / "tests"  # an editable installation has them
    return Subject(name, tests if (tests / "contract.toml").is_file() else None)


def _module(subject: Subject, folder: Path) -> Path:
    """The plugin's own contract class where it has one, with its overrides; else the plain one."""
    own = subject.tests / "test_contract.py" if subject.tests else None
    if own and own.is_file():
        return own
    made = folder / "test_contract.py"
    made.write_text(MODULE.format(plugin=subject.plugin, tests=str(subject.tests or folder)), "utf-8")
    return made


def _probe(subject: Subject, report: Report) -> None:
    """The support table: messages as the dialects name them, gateways by what their scenarios showed."""
    played: dict[tuple[str, str], str] = {}
    for check in report.checks:
        if match := SCENARIO.search(check.name):
            shown = check.outcome if check.outcome == "passed" else f"{check.outcome}: {check.text}"
            played[match["gateway"], match["name"]] = shown
    for name in subject.province.dialects:
        report.dialects[name] = [
            {"message": one.message, "verb": one.verb, "title": one.title, "evidence": one.evidence}
            for one in subject.dialect(name).messages
        ]
    for name in subject.province.gateways:
        capabilities = subject.gateway(name).capabilities
        report.gateways[name] = {
            "evidence": subject.province.evidence.get(name, ""),
            "capabilities": {key: getattr(capabilities, key) for key in capabilities.__slots__},
            "scenarios": {scenario: shown for (gateway, scenario), shown in played.items() if gateway == name},
        }


def _reason(report: pytest.TestReport) -> str:
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash and report.outcome == "failed" else ""
