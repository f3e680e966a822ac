"""Everything a province plugin must keep, over Jiangxi's dialects and gateway."""

from __future__ import annotations

from adapter_core.testing.contract import ProvinceContract


class TestJiangxi(ProvinceContract):
    plugin = "jiangxi"
