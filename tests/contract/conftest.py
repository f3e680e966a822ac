"""The wire's tests run on asyncio's own loop and on uvloop, which is what serves on Linux."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest


def uvloop_or_skip() -> asyncio.AbstractEventLoop:
    return pytest.importorskip("uvloop", reason="uvloop is not installed").new_event_loop()


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.name.startswith("test_wire_"):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop_or_skip}
    return {"asyncio": asyncio.new_event_loop}
