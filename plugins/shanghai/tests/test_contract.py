"""Everything a province plugin must keep, over Shanghai's dialect and gateways."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adapter_core.testing.contract import ProvinceContract


class TestShanghai(ProvinceContract):
    plugin = "shanghai"

    @staticmethod
    def completed(dialect: str, message: str, sections: dict[str, Any]) -> dict[str, Any]:
        """The shared account is nationally part of the account; a message says both or none."""
        result = sections.get("result", {})
        if result.get("acct_mulaid_pay"):
            result["acct_pay"] = result.get("acct_pay", Decimal("0.00")) + result["acct_mulaid_pay"]
        return sections
