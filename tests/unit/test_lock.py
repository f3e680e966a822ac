"""``requirements.lock`` pins all that ``pyproject.toml`` asks for, with hashes and without addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]
PIN = re.compile(
    r"^([a-z0-9-]+)==(\S+)(?: ; [^\\\n]+)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE
)


def lock_text() -> str:
    return (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")


def asked() -> list[str]:
    told = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    return [*told["project"]["dependencies"], *told["dependency-groups"]["dev"], *told["build-system"]["requires"]]


@pytest.mark.parametrize("line", asked())
def test_every_requirement_is_pinned_within_its_range(line: str) -> None:
    requirement = Requirement(line)
    pins = dict(PIN.findall(lock_text()))
    assert requirement.name in pins, "run make lock"
    assert requirement.specifier.contains(pins[requirement.name]), "run make lock"


def test_nothing_but_pins_with_hashes() -> None:
    rest = [line for line in PIN.sub("", lock_text()).splitlines() if not line.startswith("    #")]
    assert rest == []
