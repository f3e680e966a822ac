"""Everything a province plugin must keep, over Guangdong's dialect and gateways."""

from __future__ import annotations

from typing import Any

from adapter_core.testing.contract import ProvinceContract


class TestGuangdong(ProvinceContract):
    plugin = "guangdong"

    @staticmethod
    def completed(dialect: str, message: str, sections: dict[str, Any]) -> dict[str, Any]:
        """aac044 is the certificate's number and the visit credential's: a message says both or none."""
        person = sections.get("person", {})
        for name, twin in (("certno", "mdtrt_cert_no"), ("mdtrt_cert_no", "certno")):
            if name in person:
                person.setdefault(twin, person[name])
        return sections
