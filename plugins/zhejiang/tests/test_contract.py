"""Everything a province plugin must keep, over Zhejiang's dialects and gateways."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adapter_core.testing.contract import ProvinceContract
from his_adapter_zhejiang.dialect import FROM_SLIPS

FUNDS = ("hifp_pay", "hifmi_pay", "hifob_pay", "hifes_pay", "cvlserv_pay", "oth_pay", "maf_pay")
"""What a fund total is the sum of: none is said without one of them."""
CARD = {"mdtrt_cert_no": 14, "psn_no": 20, "certno": 18, "psn_name": 10, "naty": 2, "emp_name": 40}
"""Bytes of the card's places."""


class TestZhejiang(ProvinceContract):
    plugin = "zhejiang"

    @staticmethod
    def completed(dialect: str, message: str, sections: dict[str, Any]) -> dict[str, Any]:
        """The family account is nationally part of the account; lines say what their slip says; a card's places are short; a
        serial number is a number."""
        for name, size in CARD.items() if message in ("22", "29", "30") else ():
            person = sections.get("person", {})
            if name in person:
                person[name] = person[name].encode("gbk")[:size].decode("gbk", "ignore") or "1"
        if message == "10" and "ref" in sections:
            sections["ref"]["serial"] = "261121090500000001"
        result = sections.get("result", {})
        if result.get("acct_mulaid_pay"):
            result["acct_pay"] = result.get("acct_pay", Decimal("0.00")) + result["acct_mulaid_pay"]
        if not any(name in result for name in FUNDS):
            result.pop("fund_pay_sumamt", None)
        if message not in ("29", "30") or "fees" not in sections:
            return sections
        slips = sections["diagnoses"]
        for number, slip in enumerate(slips):
            slip.update({"diag_code": f"A{number}", "x": {"0": f"DJ{number}"}})
        said = (slips[0].get("diag_dept"), None, slips[0].get("dise_dor_no"), slips[0].get("diag_time"), None)
        for fee in sections["fees"]:
            fee.update({name: value for name, value in zip(FROM_SLIPS, said, strict=True) if value})
            fee["x"] = {"0": "DJ0"}
        sections.setdefault("x", {})["slips"] = [{**slip} for slip in slips]
        return sections
