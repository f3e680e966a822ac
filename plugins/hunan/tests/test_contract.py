"""Everything a province plugin must keep, over Hunan's gateway."""

from __future__ import annotations

from adapter_core.testing.contract import ProvinceContract


class TestHunan(ProvinceContract):
    plugin = "hunan"
