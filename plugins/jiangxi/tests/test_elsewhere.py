"""Care away from home: Nanchang's two mutual arrangements, the card a reader holds, the paths of the two gateways."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call
from adapter_core.province.schemes import Opening, Trip, schemes, serving
from adapter_core.values.errors import ConfigError
from adapter_core.values.secrets import Secret
from his_adapter_jiangxi.dialect import fuzhou, neusoft
from his_adapter_jiangxi.gateway import jiangxi, jiangxi_vendor

SAMPLES = Path(__file__).parent / "samples"
MOMENT = datetime(2026, 11, 21, 1, 5, tzinfo=UTC)
NANCHANG, GUANGZHOU, WUHAN, CHANGSHA, HEFEI = "360100", "440100", "420100", "430100", "340100"
HERE = "H36010000001"


@pytest.mark.parametrize(
    ("insured", "care", "day", "scheme"),
    [
        (GUANGZHOU, NANCHANG, "2012-08-01", "pan-pearl"),
        (NANCHANG, GUANGZHOU, "2026-11-21", "pan-pearl"),
        (WUHAN, NANCHANG, "2026-11-21", "four-cities"),
        (NANCHANG, CHANGSHA, "2026-11-21", "four-cities"),
        (HEFEI, NANCHANG, "2026-11-21", "four-cities"),
        (HEFEI, WUHAN, "2026-11-21", "four-cities"),
        (GUANGZHOU, NANCHANG, "2012-07-31", None),  # before it began
        (GUANGZHOU, WUHAN, "2026-11-21", None),  # in one arrangement each
        ("360400", GUANGZHOU, "2026-11-21", None),  # another 统筹区 of the province
        (NANCHANG, "440300", "2026-11-21", None),
        ("369900", GUANGZHOU, "2026-11-21", None),  # 省本级
    ],
)
def test_the_arrangements_serve_their_members_at_listed_institutions(
    insured: str, care: str, day: str, scheme: str | None
) -> None:
    regional = [one for one in schemes() if one.name in ("pan-pearl", "four-cities")]
    trip = Trip(insured, care, "inpatient", day, HERE)
    opened = [Opening(one.name, insured, care, "*", "2000-01-01", fixmedins_code=HERE) for one in regional]
    found = serving(trip, opened, regional).scheme
    assert (found.name if found else None) == scheme
    assert serving(trip, [], regional).scheme is None


def test_the_pearl_arrangement_names_its_own_card_beside_the_identity_card() -> None:
    cards = {one.name: one.credentials for one in schemes()}
    assert cards["pan-pearl"] == ("泛珠异地就医卡", "居民身份证")
    assert cards["four-cities"] == ()


def test_a_site_says_which_credential_its_readers_card_is() -> None:
    for build, folder, name in (
        (neusoft, "neusoft", "2620.full.request.txt"),
        (fuzhou, "fuzhou", "JS05.full.request.txt"),
    ):
        raw = (SAMPLES / folder / name).read_bytes()
        said = {}
        for card_type in ("03", "99"):
            dialect = build({"card_type": card_type})
            operation = dialect.decode_request(dialect.read_frame_file(raw, name))
            said[card_type] = operation.content["person"]["mdtrt_cert_type"]
            assert dialect.write_frame_file(dialect.encode_request(operation)) == dialect.write_frame_file(
                build({}).encode_request(build({}).decode_request(build({}).read_frame_file(raw, name)))
            )
        assert said == {"03": "03", "99": "99"}


def site(**options: str) -> Site:
    return Site(HERE, "测试医院一", "360100", options, {name: Secret("test-0001") for name in ("ak", "sk", "apikey")})


def test_maternity_filing_has_a_path_of_its_own() -> None:
    gateway = jiangxi(site())
    paths = {number: gateway.profile.path(gateway.site, number) for number in ("1101", "2572", "2573")}
    assert paths == {
        "1101": "/CSB/hsa-fsi-1101",
        "2572": "/hsa-hgs-adapt/mbs/api/publicMatnTrtRegService/addEvtInfo",
        "2573": "/hsa-hgs-adapt/mbs/api/publicMatnTrtRegService/revokeEvtReg",
    }


def test_the_vendors_platform_is_whatever_the_site_says() -> None:
    gateway = jiangxi_vendor(site(path="/vendor/{infno}", signer="apikey", recer_sys_code="YD"))
    content = {"env": {"opter": "001"}, "person": {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000"}}
    frame = gateway.encode(Call("who", "1101", "R", content, "M1"), MOMENT)
    assert frame.path == "/vendor/1101"
    assert frame.header("apikey") == "test-0001"
    assert b'"recer_sys_code":"YD"' in frame.body
    with pytest.raises(ConfigError, match="adress"):
        jiangxi_vendor(site(adress="x"))
