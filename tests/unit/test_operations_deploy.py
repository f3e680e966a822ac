"""What is shipped beside the program: units, examples, the bundle's choice of packages, and how a process is told to stop."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from adapter_core.cli.app import app
from adapter_core.config import known_keys
from adapter_core.operations.machine import on_stop

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "how-to" / "deploy"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd-analyze")
def test_systemd_has_no_complaint_about_the_units(tmp_path: Path) -> None:
    program = tmp_path / "his-adapter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in DEPLOY.glob("his-adapter*.*"):
        text = unit.read_text("utf-8").replace("/opt/his-adapter/bin/his-adapter", str(program))
        (tmp_path / unit.name).write_text(text, "utf-8")
    units = [str(tmp_path / name) for name in ("his-adapter.service", "his-adapter-backup.timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_units_and_examples_name_commands_and_keys_that_exist() -> None:
    commands = {registered.callback.__name__ for registered in app.registered_commands if registered.callback}
    keys = known_keys()
    for file in DEPLOY.iterdir():
        text = file.read_text("utf-8")
        for line in text.splitlines():
            if "ExecStart=" in line and "his-adapter" in line:
                word = line.split("his-adapter ", 1)[1].split()[0]
                assert word in commands | {"ledger"}, line
        for name in {part.strip('",:{} ') for part in text.replace("\n", " ").split() if "YB_" in part}:
            variable = name[name.index("YB_") :]
            assert variable.removeprefix("YB_").lower().replace("__", ".") in keys, variable


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml", "prometheus-rules.yml"])
def test_examples_are_yaml_and_hold_no_secret(name: str) -> None:
    text = (DEPLOY / name).read_text("utf-8")
    assert all(isinstance(one, dict) for one in yaml.safe_load_all(text))
    assert "PASSWORD:" not in text.upper().replace("POSTGRES_PASSWORD_FILE:", "").replace(
        "POSTGRES_PASSWORD: {FILE", ""
    )


@pytest.fixture(scope="module")
def bundle() -> ModuleType:
    sys.path.insert(0, str(ROOT / ".ci"))
    try:
        spec = importlib.util.spec_from_file_location("bundle", ROOT / ".ci" / "bundle.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["bundle"] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(ROOT / ".ci"))


def chosen(bundle: ModuleType, platform: str) -> set[str]:
    entries = bundle.needed_entries(bundle.LOCK.read_text("utf-8"))
    environment, _ = bundle.PLATFORMS[platform]
    return {entry.name for entry in entries if entry.is_for(environment, "3.11")}


def test_the_bundle_has_what_a_hospital_needs_and_no_tools_of_development(bundle: ModuleType) -> None:
    linux, windows = chosen(bundle, "linux"), chosen(bundle, "windows")
    assert {
        "litestar",
        "lxml",
        "psycopg-binary",
        "typst",
        "gmssl-pyx",
        "opentelemetry-sdk",
        "tzdata",
    } <= linux & windows
    assert linux - windows == {"uvloop"}
    assert {"pytest", "mypy", "ruff", "playwright", "uv", "hypothesis"}.isdisjoint(linux | windows)


def test_every_bundled_package_has_its_hash(bundle: ModuleType) -> None:
    for entry in bundle.needed_entries(bundle.LOCK.read_text("utf-8")):
        assert "--hash=sha256:" in entry.text
        assert "://" not in entry.text


@pytest.mark.skipif(
    not (ROOT / "dist" / "bundle" / "SHA256SUMS").exists(), reason="no bundle here: `make bundle` needs a package index"
)
def test_the_bundle_installs_without_an_index(bundle: ModuleType) -> None:
    ours = [wheel.name.split("-")[0] for wheel in (ROOT / "dist" / "bundle" / "wheels").glob("his_adapter*.whl")]
    bundle.prove(ROOT / "dist" / "bundle", ours)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
async def test_a_process_that_is_told_to_end_is_told_in_its_loop() -> None:
    stop = asyncio.Event()
    on_stop(stop.set)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 10)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
