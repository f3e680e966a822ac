"""Everything a province plugin must keep, over Jiangsu's gateway."""

from __future__ import annotations

from adapter_core.testing.contract import ProvinceContract


class TestJiangsu(ProvinceContract):
    plugin = "jiangsu"
