"""The wheels a hospital installs, tried outside the checkout with nothing beside them but what they declare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(project.parent for project in CHECKOUT.glob("plugins/*/pyproject.toml"))


@dataclass(frozen=True)
class Installation:
    """An environment made for these tests, and an empty folder to stand in."""

    bin: Path
    empty: Path

    def run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [self.bin / program, *arguments], cwd=self.empty, env=outside_env(), capture_output=True, text=True, encoding="utf-8"
        )
        assert done.returncode == 0, f"{program} {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def outside_env() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "YB_", "COV_"))}
    return kept | {"PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    home = tmp_path_factory.mktemp("hospital")
    for project in (CHECKOUT, *PLUGINS):
        tool(project, "-m", "hatchling", "build", "-t", "wheel", "-d", str(home / "wheels"))
    tool(home, "-m", "venv", "--without-pip", str(home / "venv"))
    bin_folder = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    wheels = sorted(map(str, (home / "wheels").iterdir()))
    tool(home, "-m", "pip", "--python", str(bin_folder / "python"), "install", "--no-index", "--no-deps", *wheels)
    lend_dependencies(home, bin_folder)
    (home / "empty").mkdir()
    return Installation(bin_folder, home / "empty")


def tool(folder: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=outside_env(), capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def lend_dependencies(home: Path, bin_folder: Path) -> None:
    """Lends this environment's copies of what the wheels declare, and nothing else, without a network.

    A package that we import but do not declare is therefore missing there, as it would be in a hospital.
    """
    lent = home / "lent"
    lent.mkdir()
    for distribution in declared(home):
        for file in distribution.files or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (lent / top).exists():
                (lent / top).symlink_to(Path(str(distribution.locate_file(top))))
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    asked = subprocess.run([bin_folder / "python", "-c", ask], capture_output=True, text=True, check=True)
    # Behind site-packages on the path, so the wheels win.
    (Path(asked.stdout.strip()) / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")


def declared(home: Path) -> Iterator[metadata.Distribution]:
    """Every distribution that the built wheels need, directly or in turn, on this platform."""
    ours = {name: wheel for wheel in (home / "wheels").iterdir() for name in [wheel.name.partition("-")[0]]}
    wanted = [Requirement(name.replace("_", "-")) for name in ours]
    seen: set[tuple[str, str]] = set()
    while wanted:
        requirement = wanted.pop()
        distribution = metadata.distribution(requirement.name)
        is_ours = requirement.name.replace("-", "_") in ours
        for extra in requirement.extras or {""}:
            if (requirement.name, extra) in seen:
                continue
            seen.add((requirement.name, extra))
            needs = map(Requirement, distribution.requires or [])
            wanted += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
        if not is_ours:
            yield distribution
