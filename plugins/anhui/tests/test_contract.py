"""Everything a province plugin must keep, over Anhui's dialects and gateways."""

from __future__ import annotations

from typing import Any

from adapter_core.testing.contract import ProvinceContract


class TestAnhui(ProvinceContract):
    plugin = "anhui"

    @staticmethod
    def completed(dialect: str, message: str, sections: dict[str, Any]) -> dict[str, Any]:
        """A number or code that is two national fields at once: a message says both or none."""
        number = sections.get("ref", {}).get("visit")
        field = "ipt_otp_no" if dialect == "anhui-hefei" else "mdtrt_id"
        if number is not None and (message == "F04.05.12.01" or "visit" in sections):
            sections["visit"] = {**sections.get("visit", {}), field: number}
        elif field in sections.get("visit", {}):
            sections["ref"] = {**sections.get("ref", {}), "visit": sections["visit"][field]}
        for row in sections.get("fees", []):
            row["medins_list_codg"] = row["med_list_codg"]
        return sections
