"""Helpers of the crash tests assert too: their failures shall say as much as a test's."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.crash.hospital")
