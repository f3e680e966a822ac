"""The documentation's examples run: the tutorial from its first command to its last, in an empty folder."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorials" / "first-settlement.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
SAVE_AS = re.compile(r"Save as `([^`]+)`")


def command(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", "from adapter_core.cli import main; main()", *line.split()[1:]]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=60)


@contextmanager
def centre() -> Iterator[str]:
    """The simulated centre on a free port; gives ``host:port``."""
    arguments = [sys.executable, "-m", "adapter_core.simulator", "--port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip().rsplit(" ", 1)[-1]
        finally:
            process.terminate()


def test_the_tutorial_runs_as_written(tmp_path: Path) -> None:
    text = TUTORIAL.read_text("utf-8")
    ran = []
    with centre() as address:
        at = 0
        for block in BLOCK.finditer(text):
            language, body = block.groups()
            if language in ("toml", "json"):
                name = SAVE_AS.findall(text[at : block.start()])[-1]
                (tmp_path / name).write_text(body.replace("127.0.0.1:9090", address), "utf-8")
            for line in body.splitlines() if language == "sh" else ():
                if not line.startswith("his-adapter simulate"):
                    done = command(line, tmp_path)
                    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
                    ran.append((line, done.stdout))
            at = block.end()
    settled = [output for line, output in ran if line == "his-adapter settle visit.json"]
    assert len(settled) == 2
    assert settled[0] == settled[1], "the same file again gives the same answer"
    assert "已退费" in next(output for line, output in ran if line.startswith("his-adapter void"))


@pytest.mark.parametrize("name", ["README", "docs/reference/commands", "docs/reference/configuration"])
def test_every_page_named_in_the_readmes_exists(name: str) -> None:
    page = ROOT / f"{name}.md"
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name} names {target}"


def test_the_two_readmes_have_the_same_shape() -> None:
    def shape(name: str) -> list[str]:
        text = (ROOT / name).read_text("utf-8")
        headings = re.findall(r"^(#+) ", text, re.MULTILINE)
        return [*headings, *re.findall(r"```(\w+)", text), *sorted(re.findall(r"\]\((docs/[^)]+)\)", text))]

    assert shape("README.md") == shape("README.zh-CN.md")


def test_every_configuration_key_is_on_its_page() -> None:
    from adapter_core.config import GatewaySettings, Institution, LedgerSettings, Settings, TimerSettings

    page = (ROOT / "docs" / "reference" / "configuration.md").read_text("utf-8")
    for model in (Settings, Institution, LedgerSettings, GatewaySettings, TimerSettings):
        for key in model.model_fields:
            assert key in page, f"{model.__name__}.{key} is not documented"


def test_every_command_is_on_its_page() -> None:
    from adapter_core.cli.app import app

    page = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    for registered in app.registered_commands:
        assert registered.callback is not None
        assert f"`{registered.callback.__name__}" in page
        assert "his-adapter" in (registered.callback.__doc__ or ""), "every command's help has an example"
