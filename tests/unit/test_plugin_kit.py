"""The kit for vendors: a new plugin passes, a broken one is told what broke, a plugin that opens a socket is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from adapter_core.cli.plugging import new
from adapter_core.testing.checking import Report, check_plugin
from adapter_core.values.errors import ConfigError

NUMBERS = itertools.count(1)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A plugin as `plugin new` makes it; each test its own name, since Python keeps what it imported."""
    assert new(f"made{next(NUMBERS)}", tmp_path, "630000", "示例省") == 0
    return next(tmp_path.iterdir())


def test_a_new_plugin_passes_every_check(made: Path) -> None:
    asked: list[tuple[int, int]] = []
    report = check_plugin(str(made), lambda done, of: asked.append((done, of)))
    assert report.failed == []
    assert report.gateways[made.name]["scenarios"]["settled and taken back"] == "passed"
    assert asked[-1][0] == asked[-1][1] == len(report.checks)


def test_a_plugin_that_does_more_than_translate_is_named(made: Path) -> None:
    gateway = made / "src" / f"his_adapter_{made.name}" / "gateway.py"
    gateway.write_text(
        gateway.read_text("utf-8").replace("from collections.abc", "import socket\nfrom collections.abc")
    )
    assert failures(check_plugin(str(made))) == ["test_the_plugin_only_translates"]


def test_a_gateway_whose_msgid_repeats_is_named(made: Path) -> None:
    gateway = made / "src" / f"his_adapter_{made.name}" / "gateway.py"
    text = gateway.read_text("utf-8").replace(
        "        headers=_headers,", "        headers=_headers,\n        msgid=lambda code, moment, sequence: code,"
    )
    gateway.write_text(text, "utf-8")
    assert f"test_a_gateway_keeps_its_form[{made.name}]" in failures(check_plugin(str(made)))


def failures(report: Report) -> list[str]:
    return [one.name for one in report.failed]


def test_what_is_no_plugin_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="installed: "):
        check_plugin("nowhere")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    with pytest.raises(ConfigError, match="one entry point"):
        check_plugin(str(tmp_path))


def test_a_folder_that_is_not_empty_is_left_alone(made: Path) -> None:
    with pytest.raises(ConfigError, match="not empty"):
        new(made.name, made.parent, "630000", "示例省")
