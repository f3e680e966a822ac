"""Each place of care × five places of insurance, over the service's own HTTP: settled, taken back, a lost reply resolved.

The gateways are the plugins' own, signed as they sign, before the simulated centre; the HIS speaks our JSON.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapter_core.config import load_config
from adapter_core.ledger.sealing import create_master_key
from adapter_core.sidecar.serving import serving
from adapter_core.simulator.faults import read_rules
from adapter_core.simulator.server import Simulator
from adapter_core.simulator.truth import truth_of
from adapter_core.testing.subject import Subject
from adapter_core.testing.window import centre_of, config_text
from tests.flow.hospital import message
from tests.flow.served import TOKEN, clients, write_secret

ROOT = Path(__file__).resolve().parents[2]
LOST_REPLY = [
    {"infno": "2207", "nth": 1, "actions": ["commit", "drop"]},
    {"infno": "2207A", "nth": 1, "actions": ["commit", "drop"]},
]


def national_gateways() -> list[Any]:
    """Of every province its gateways that take an outpatient's settlement in the national form."""
    found = []
    for folder in sorted((ROOT / "plugins").iterdir()):
        if not (folder / "tests" / "contract.toml").is_file():
            continue
        subject = Subject(folder.name, folder / "tests")
        for name in subject.province.gateways:
            pay = subject.gateway(name).route.goal("outpatient", "settle")
            if pay is not None and pay.call.startswith("2207"):
                found.append(pytest.param(subject, name, id=name))
    return found


PEOPLE = {
    "江苏": ("测试甲", "110101190001010000"), "上海": ("测试乙", "220102199913330001"),
    "山西": ("测试丁", "140105197001010000"), "浙江": ("测试戊", "330102198001010000"),
    "安徽": ("测试己", "340102194801010000"),
}  # fmt: skip


def test_every_province_is_in_the_matrix() -> None:
    provinces = {folder.name for folder in (ROOT / "plugins").iterdir() if (folder / "pyproject.toml").is_file()}
    assert {param.values[0].plugin for param in national_gateways()} == provinces
    assert len(provinces) >= 10


@pytest.mark.parametrize(("subject", "gateway"), national_gateways())
async def test_five_places_of_insurance(subject: Subject, gateway: str, tmp_path: Path) -> None:
    site = subject.site(gateway)
    site = replace(site, capabilities={**site.capabilities, "query_after_unknown": "by_visit"})
    create_master_key(tmp_path / "master.key")
    for name, value in {**site.secrets, "his.token": TOKEN}.items():
        write_secret(tmp_path / name, value)
    async with centre_of(site, {}) as centre:
        config = tmp_path / "his-adapter.toml"
        config.write_text(config_text(site, centre.url) + clients(), "utf-8")
        async with serving(load_config(config)) as running:
            [listener] = running.listeners
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(base_url=f"http://{listener.address}", headers=headers, timeout=30) as his:
                for place, person in PEOPLE.items():
                    await _one_person(his, centre, place, *person)


async def _one_person(his: httpx.AsyncClient, centre: Simulator, place: str, name: str, certno: str) -> None:
    identity = {"mdtrt_cert_type": "02", "mdtrt_cert_no": certno, "psn_name": name}
    asked = message(settle_key=f"K-{place}", visit_key=f"V-{place}", person=identity)
    settled = await his.post("/v1/settlements", json=asked)
    assert (settled.status_code, settled.json()["state"]) == (200, "SETTLED"), f"{place}: {settled.text}"
    taken_back = await his.post(f"/v1/settlements/K-{place}/void", json={"void_key": f"R-{place}", "reason": "退费"})
    assert taken_back.json()["state"] == "VOIDED", f"{place}: {taken_back.text}"
    centre.set_rules(read_rules(LOST_REPLY))
    lost = message(settle_key=f"L-{place}", visit_key=f"W-{place}", person=identity)
    resolved = await his.post("/v1/settlements", json=lost, headers={"Prefer": "wait=20"})
    assert (resolved.json()["state"], resolved.json()["closed_by"]) == ("SETTLED", "E2"), f"{place}: {resolved.text}"
    stands = [one["state"] for one in truth_of(centre.world)["settlements"]]
    assert stands.count("settled") == stands.count("refunded")
