"""Everything a province plugin must keep, over Shanxi's dialect and gateways."""

from __future__ import annotations

from typing import Any

from adapter_core.testing.contract import ProvinceContract


class TestShanxi(ProvinceContract):
    plugin = "shanxi"

    @staticmethod
    def completed(dialect: str, message: str, sections: dict[str, Any]) -> dict[str, Any]:
        """The visit's number is the HIS's own and the national ipt_otp_no: a message says both or none."""
        number = sections.get("ref", {}).get("visit")
        if number is not None:
            sections["visit"] = {**sections.get("visit", {}), "ipt_otp_no": number}
        return sections
