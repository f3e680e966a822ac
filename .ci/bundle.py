"""Makes one folder of wheels that installs without a network, on Linux x64 and Windows x64, and proves the Linux half.

    .venv/bin/python .ci/bundle.py [--into DIR] [--python 3.11]… [--no-proof]

What goes in comes from ``requirements.lock``: what the adapter and its extras need, at the locked versions and hashes; our own
wheels (core and plugins) are built here.  The proof: an empty environment is installed from the folder with ``--no-index``, then
``init`` and ``doctor`` run in it.  Exit codes: 0, 1 something is missing or the proof failed, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from third_party import LOCK, ROOT, brought_along, read_lock

PLATFORMS = {
    "linux": (
        {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
        ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    ),
    "windows": (
        {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
        ("win_amd64",),
    ),
}
"""Per platform: what its markers see, and the wheel tags it takes."""

AUTHORS_EXTRAS = {"kit"}
"""For who writes a plugin, at a desk with a network."""

READ_ME = """his-adapter 离线安装包

需要先装好 Python {versions}（64 位）。在本目录打开命令行：

Linux：
    python3 -m venv /opt/his-adapter
    /opt/his-adapter/bin/pip install --no-index --find-links wheels --require-hashes -r requirements.txt
    /opt/his-adapter/bin/pip install --no-index --find-links wheels --no-deps {ours}
    /opt/his-adapter/bin/his-adapter init /var/lib/his-adapter

Windows：
    py -m venv C:\\his-adapter
    C:\\his-adapter\\Scripts\\pip install --no-index --find-links wheels --require-hashes -r requirements.txt
    C:\\his-adapter\\Scripts\\pip install --no-index --find-links wheels --no-deps {ours}
    C:\\his-adapter\\Scripts\\his-adapter init C:\\his-adapter\\site

SHA256SUMS 是本目录全部文件的摘要，搬运后可用 sha256sum -c SHA256SUMS 核对。
"""


@dataclass(frozen=True)
class Entry:
    """One package of the lock: its text with hashes, and the marker that says where it is needed ("" = everywhere)."""

    name: str
    marker: str
    text: str

    def is_for(self, environment: dict[str, str], python: str) -> bool:
        seen = {**environment, "python_version": python, "python_full_version": f"{python}.0", "extra": ""}
        return not self.marker or Marker(self.marker).evaluate(seen)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="one folder of wheels that installs without a network")
    parser.add_argument("--into", type=Path, default=ROOT / "dist" / "bundle")
    parser.add_argument("--python", action="append", help="Python version the hospital has; may be repeated")
    parser.add_argument("--no-proof", action="store_true", help="do not install from the folder afterwards")
    wanted = parser.parse_args(arguments)
    versions = wanted.python or [f"{sys.version_info.major}.{sys.version_info.minor}"]
    if wanted.into.exists():
        shutil.rmtree(wanted.into)
    wheels = wanted.into / "wheels"
    wheels.mkdir(parents=True)
    entries = list(needed_entries(LOCK.read_text("utf-8")))
    try:
        for platform in PLATFORMS:
            for version in versions:
                download(entries, platform, version, wheels)
        ours = build_ours(wheels)
        (wanted.into / "requirements.txt").write_text("".join(f"{entry.text}\n" for entry in entries), "utf-8")
        names = READ_ME.format(versions=" 或 ".join(versions), ours=" ".join(ours))
        (wanted.into / "README.txt").write_text(names, "utf-8")
        sum_up(wanted.into)
        if not wanted.no_proof:
            prove(wanted.into, ours)
    except subprocess.CalledProcessError as failure:
        sys.stderr.write(f"{' '.join(map(str, failure.cmd))}: exit code {failure.returncode}\n")
        return 1
    size = sum(file.stat().st_size for file in wheels.iterdir())
    print(f"{wanted.into}: {len(list(wheels.iterdir()))} wheels, {size // 1024 // 1024} MB")
    return 0


def needed_entries(lock: str) -> Iterator[Entry]:
    """What a hospital installs with every extra, in the lock's order; tools of development are left out."""
    pins = {pin.name: pin for pin in read_lock(lock)}
    chosen = declared()
    wanted = chosen | {pin.name for pin, _ in brought_along(pins, chosen)}
    for text in re.split(r"\n(?=[a-z])", lock.strip("\n")):
        name, marker = re.match(r"([a-z0-9-]+)==[^ \n]+(?: ; (.+?))?(?: \\)?\n", text + "\n").groups()  # type: ignore[union-attr]
        if name in wanted:
            kept = "\n".join(line for line in text.splitlines() if not line.startswith("    #"))
            yield Entry(name, marker or "", kept)


def declared() -> set[str]:
    """The names of all dependencies and of every extra's that a hospital may switch on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name not in AUTHORS_EXTRAS}
    lists = [project["dependencies"], *extras.values()]
    return {re.match(r"[a-z0-9-]+", line)[0] for lines in lists for line in lines}  # type: ignore[index]


def download(entries: Sequence[Entry], platform: str, python: str, wheels: Path) -> None:
    environment, tags = PLATFORMS[platform]
    mine = [entry for entry in entries if entry.is_for(environment, python)]
    print(f"{platform} x64, Python {python}: {len(mine)} packages ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("".join(f"{without_marker(entry)}\n" for entry in mine), "utf-8")
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--disable-pip-version-check",
            "--quiet",
            "--require-hashes",
        ]
        command += ["--no-deps", "--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
        command += [part for tag in tags for part in ("--platform", tag)]
        subprocess.run([*command, "--dest", str(wheels), "--requirement", str(listed)], check=True)


def without_marker(entry: Entry) -> str:
    """pip would judge the marker by the machine it runs on."""
    return entry.text.replace(f" ; {entry.marker}", "", 1) if entry.marker else entry.text


def build_ours(wheels: Path) -> list[str]:
    """Our own wheels; their distributions' names."""
    names = []
    for project in (ROOT, *sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))):
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels.resolve())]
        subprocess.run(build, cwd=project, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        names.append(tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["name"])
    return names


def sum_up(folder: Path) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}\n" for file in files
    ]
    (folder / "SHA256SUMS").write_text("".join(lines), "utf-8")


def prove(folder: Path, ours: Sequence[str]) -> None:
    """Installs the folder into an empty environment without any index, then makes a site with what was installed."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
        program = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "YB_"))}
        environment = {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PYTHONUTF8": "1"}
        install = [str(program / "pip"), "install", "--disable-pip-version-check", "--quiet", "--no-index"]
        install += ["--find-links", str((folder / "wheels").resolve())]

        def run(*command: str) -> None:
            subprocess.run(command, cwd=home, env=environment, check=True, stdout=subprocess.DEVNULL)

        run(*install, "--require-hashes", "-r", str((folder / "requirements.txt").resolve()))
        run(*install, "--no-deps", *ours)
        run(str(program / "his-adapter"), "init", "site")
        run(str(program / "his-adapter"), "ledger", "verify", "--config", "site/his-adapter.toml")
        run(str(program / "his-adapter"), "plugins", "--json")
    print("installed from the folder without an index: init, ledger verify and plugins ran")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
