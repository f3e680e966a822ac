"""Everything a province plugin must keep, over the Yinhai dialect and the gateways of Sichuan and Chongqing."""

from __future__ import annotations

from typing import Any

from adapter_core.testing.contract import ProvinceContract


class TestSichuanChongqing(ProvinceContract):
    plugin = "sichuan_chongqing"

    @staticmethod
    def completed(dialect: str, message: str, sections: dict[str, Any]) -> dict[str, Any]:
        """The invoice number is also what the visit is known by: a message says both or none."""
        number = sections.get("settle", {}).get("invono") or sections.get("ref", {}).get("invoice")
        if message == "48" and number and "fees" in sections:
            sections["settle"] = {**sections.get("settle", {}), "invono": number}
            sections["ref"] = {**sections.get("ref", {}), "invoice": number}
        return sections
