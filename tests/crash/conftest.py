"""What pytest must know before it collects the crash tests."""

from __future__ import annotations

import sys

import pytest

collect_ignore = (
    ["test_settlement_crash.py"] if sys.platform == "win32" else []
)  # there is no fork and no SIGKILL there
pytest.register_assert_rewrite("tests.crash.hospital")
