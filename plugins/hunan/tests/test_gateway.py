"""Hunan's signature: the bare number is the service's name, the time is in milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime

from adapter_core.formats.signing import csb_signature
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call
from adapter_core.values.secrets import Secret
from his_adapter_hunan.gateway import hunan

SECRETS = {"ak": Secret("ak-test-0001"), "sk": Secret("sk-test-0001")}
CONTENT = {
    "person": {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000"},
    "env": {"opter": "T001", "opter_name": "测试操作员"},
}


def test_each_number_is_signed_under_its_own_name_at_one_address() -> None:
    gateway = hunan(Site("H43000000001", "测试医院一", "430100", {}, SECRETS))
    moment = datetime(2023, 11, 14, 22, 13, 20, 7_000, UTC)
    frame = gateway.encode(Call("who", "1101", "R", CONTENT, "H43000000001202311150613200001"), moment)
    fields = {name: value for name, value in frame.headers if name.startswith("_api")}
    assert frame.path == "/isp-api/powercsb"
    assert (fields["_api_name"], fields["_api_timestamp"]) == ("1101", "1700000000007")
    signature = fields.pop("_api_signature")
    assert signature == csb_signature(SECRETS["sk"], fields)
    assert signature != csb_signature(SECRETS["sk"], {**fields, "_api_timestamp": "1700000000"})
    assert signature != csb_signature(Secret("ak-test-0001"), fields)
