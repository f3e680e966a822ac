"""Nothing in the tree names a package index, a machine's folder or a real person's identity number."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from stdnum.cn import ric

CHECKOUT = Path(__file__).resolve().parents[2]

# Host names stand here in parts, so that this file does not contain what it looks for.
INDEX_HOSTS = [
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("debian", "org"),
    ("npmmirror", "com"),
    ("tsinghua", "edu", "cn"),
    ("ustc", "edu", "cn"),
    ("aliyun", "com"),
    ("tencent", "com"),
    ("huaweicloud", "com"),
]
MACHINE_FOLDERS = ["work", "root", "home/[a-z]+", "Users/[A-Za-z]+"]
INDEX_HOST = re.compile("|".join(r"\.".join(parts) for parts in INDEX_HOSTS).encode(), re.IGNORECASE)
MACHINE_FOLDER = re.compile(rf"(?<![\w.\-/)}}])/(?:{'|'.join(MACHINE_FOLDERS)})/".encode())
IDENTITY_NUMBER = re.compile(rb"(?<![0-9A-Za-z])[0-9]{17}[0-9Xx](?![0-9A-Za-z])")
FULL_OF_FRACTIONS = "tests/browser/vendored/axe.min.js"
"""Vendored as it is: a few of its hundreds of long decimal fractions happen to pass the checksum."""


@cache
def tree() -> dict[str, bytes]:
    """Every file that is or could be committed, by name.  Skips where the tree is no git checkout."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=CHECKOUT, capture_output=True)
    if done.returncode:
        pytest.skip("not a git checkout: no list of the project's files")
    names = filter(None, done.stdout.decode().split("\0"))
    return {name: (CHECKOUT / name).read_bytes() for name in names if (CHECKOUT / name).is_file()}


def breaches(pattern: re.Pattern[bytes]) -> list[str]:
    return [
        f"{name}:{line_of(content, found)} {found[0].decode()}"
        for name, content in tree().items()
        for found in pattern.finditer(content)
    ]


def line_of(content: bytes, found: re.Match[bytes]) -> int:
    return content.count(b"\n", 0, found.start()) + 1


def is_valid_identity_number(text: str) -> bool:
    return ric.calc_check_digit(text) == text[-1].upper()


def test_no_package_index_is_named() -> None:
    assert breaches(INDEX_HOST) == []


def test_no_folder_of_a_machine_is_named() -> None:
    assert breaches(MACHINE_FOLDER) == []


def test_identity_numbers_are_of_nobody() -> None:
    ours = [found for found in breaches(IDENTITY_NUMBER) if not found.startswith(f"{FULL_OF_FRACTIONS}:")]
    assert [found for found in ours if is_valid_identity_number(found.rpartition(" ")[2])] == []


def test_the_patterns_find_what_they_look_for() -> None:
    host = "https://files." + ".".join(INDEX_HOSTS[1]) + "/packages"
    assert INDEX_HOST.search(host.encode())
    assert MACHINE_FOLDER.search(b'"' + b"/".join([b"", b"work", b"main"]))
    assert not MACHINE_FOLDER.search(b"frame/work/main")
    number = "36010019800101001"
    valid = number + ric.calc_check_digit(number + "0")
    assert IDENTITY_NUMBER.search(valid.encode())
    assert is_valid_identity_number(valid)
