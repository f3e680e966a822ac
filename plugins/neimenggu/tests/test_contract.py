"""Everything a province plugin must keep, over Inner Mongolia's gateway."""

from __future__ import annotations

from adapter_core.testing.contract import ProvinceContract


class TestNeimenggu(ProvinceContract):
    plugin = "neimenggu"
