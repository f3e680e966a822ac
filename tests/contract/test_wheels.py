"""The wheels a hospital installs, tried outside the checkout with nothing beside them but what they declare."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(project.parent for project in CHECKOUT.glob("plugins/*/pyproject.toml"))
SCRIPTS = "Scripts" if os.name == "nt" else "bin"

LOOK = """
import json, sys, adapter_core
from adapter_core.standard.source import schema_root
print(json.dumps({"package": adapter_core.__file__, "schemas": str(schema_root()), "path": sys.path}))
"""


@dataclass(frozen=True)
class Installation:
    """An environment made for these tests, and an empty folder to stand in."""

    venv: Path
    empty: Path

    def run(self, program: str, *arguments: str) -> str:
        return run(self.empty, self.venv / SCRIPTS / program, *arguments)


def run(folder: Path, program: str | Path, *arguments: str | Path) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "YB_"))}
    env = kept | {"PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}
    done = subprocess.run([program, *arguments], cwd=folder, env=env, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, f"{program} {arguments}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for project in (CHECKOUT, *PLUGINS):
        run(project, sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    return folder


@pytest.fixture(scope="module")
def installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return installation(tmp_path_factory.mktemp("hospital"), sorted(wheels.iterdir()))


@pytest.fixture(scope="module")
def vendor(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """What a vendor who writes a plugin installs: ``his-adapter[kit]`` and no plugin."""
    return installation(tmp_path_factory.mktemp("vendor"), wheels.glob("his_adapter-*.whl"), "kit")


def installation(home: Path, wheels: Iterable[Path], extra: str = "") -> Installation:
    venv, empty = home / "venv", home / "empty"
    empty.mkdir()
    run(home, sys.executable, "-m", "venv", "--without-pip", venv)
    python = venv / SCRIPTS / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(home, *pip, "install", "--no-index", "--no-deps", *wheels)
    site_packages = run(home, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    lend_dependencies(Path(site_packages), extra)
    return Installation(venv, empty)


def lend_dependencies(site_packages: Path, extra: str) -> None:
    """Lends this environment's copies of what the installed wheels declare, and nothing else, without a network.

    A package that is imported but not declared is therefore missing there, as it would be in a hospital.
    """
    lent = site_packages.parent / "lent"
    lent.mkdir()
    for distribution in needed_by(metadata.distributions(path=[str(site_packages)]), extra):
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            (lent / top).symlink_to(Path(str(distribution.locate_file(top))))
    # A .pth line comes behind site-packages on the path, and the .pth files of the lender are not read: the wheels win.
    (site_packages / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")


def needed_by(wheels: Iterable[metadata.Distribution], extra: str) -> Iterator[metadata.Distribution]:
    """Every distribution that the wheels need on this platform, directly or in turn, but not the wheels themselves."""
    ours = {wheel.name: wheel for wheel in wheels}
    wanted = [Requirement(f"{name}[{extra}]" if extra and name == "his-adapter" else name) for name in ours]
    seen: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        found = ours.get(requirement.name) or metadata.distribution(requirement.name)
        if found.name not in ours and found.name not in seen:
            seen.add(found.name)
            yield found
        for need in map(Requirement, found.requires or []):
            if need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in requirement.extras or {""}
            ):
                wanted.append(need)


def test_the_wheel_is_what_runs(installed: Installation) -> None:
    seen = json.loads(installed.run("python", "-c", LOOK))
    package, venv = Path(seen["package"]).resolve(), installed.venv.resolve()
    assert package.is_relative_to(venv)
    assert Path(seen["schemas"]).resolve() == package.parent / "_schemas"
    assert not [entry for entry in seen["path"] if entry and CHECKOUT in (Path(entry), *Path(entry).parents)]


def test_the_wheel_carries_every_schema(installed: Installation) -> None:
    (carried,) = installed.venv.rglob("adapter_core/_schemas")
    in_checkout = {
        file.relative_to(CHECKOUT / "schemas") for file in (CHECKOUT / "schemas").rglob("*") if file.is_file()
    }
    assert {Path("national/envelope.json"), Path("national/transactions/2207.json")} <= in_checkout
    assert {file.relative_to(carried) for file in carried.rglob("*") if file.is_file()} == in_checkout


def test_help_tells_the_commands(installed: Installation) -> None:
    assert "plugins" in installed.run("his-adapter", "--help")


def test_every_plugin_loads_from_its_wheel(installed: Installation) -> None:
    told = json.loads(installed.run("his-adapter", "plugins", "--json"))
    assert told["broken"] == []
    assert {plugin["name"] for plugin in told["plugins"]} >= {project.name for project in PLUGINS}


def test_the_demo_plays_outside_the_checkout(installed: Installation) -> None:
    assert installed.run("his-adapter", "demo").strip()


def test_the_plugin_tutorial_builds_a_plugin_that_passes(vendor: Installation) -> None:
    """From the wheel, outside the checkout: every file the page says to save, every command it says to run."""
    text = (CHECKOUT / "docs" / "tutorials" / "write-a-province-plugin.md").read_text("utf-8")
    reports, python_lines = [], 0
    for block in re.finditer(
        r"(?:Save as `(?P<path>[^`]+)`:\n\n)?```(?P<language>\w+)\n(?P<body>.*?)```", text, re.DOTALL
    ):
        if block["path"]:
            file = vendor.empty / block["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block["body"], "utf-8")
            python_lines += len(block["body"].splitlines()) if block["language"] == "python" else 0
        for line in block["body"].splitlines() if block["language"] == "sh" else ():
            program, *arguments = line.split()
            reports.append(vendor.run(program, *arguments))
    assert "0 项未通过" in reports[1], "the plugin as it was made"
    assert "0 项未通过" in reports[2], "with the SOAP dialect"
    assert "settled and taken back in its own words" in reports[2]
    assert python_lines <= 60, "a new layout is a table and at most 60 lines of Python"
