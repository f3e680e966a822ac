"""``POST /his/{dialect}``: a real zeep client, a raw envelope, curl, a .NET-style chunked request, text in GBK and in UTF-8."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapter_core.bootstrap.site import plugins
from adapter_core.ledger.sealing import create_master_key
from adapter_core.simulator.server import Simulator
from adapter_core.simulator.truth import truth_of
from tests.flow.hospital import message
from tests.flow.served import TOKEN, Served, clients, served, write_secret

ROOT = Path(__file__).resolve().parents[2]
SOAP = ROOT / "plugins" / "guangdong" / "tests" / "samples" / "soap-guangdong"
NEUSOFT = ROOT / "plugins" / "jiangxi" / "tests" / "samples" / "neusoft"
BEARER = f"Bearer {TOKEN}"
CONFIG = """
[institution]
fixmedins_code = "{code}"
fixmedins_name = "测试医院"
admdvs = "{admdvs}"
[ledger]
master_key_file = "master.key"
[gateway]
kind = "{gateway}"
url = "{url}"
plain_http = "test"
query_after_unknown = "by_visit"
[gateway.secret_files]
{secrets}
"""
SECRETS = {
    "guangdong": {"paasid": "gd_test_0001", "token": "test-token-not-real-0001"},
    "jiangxi": {"ak": "ak-test-0001", "sk": "sk-test-0001"},
}
SITES = {"guangdong": ("H44000000001", "440800"), "jiangxi": ("H36000000001", "360100")}


@asynccontextmanager
async def province(folder: Path, name: str) -> AsyncIterator[tuple[Served, Simulator]]:
    """A service whose way out is that province's own gateway."""
    create_master_key(folder / "master.key")
    write_secret(folder / "his.token", TOKEN)
    for key, value in SECRETS[name].items():
        write_secret(folder / key, value)
    loaded = plugins()
    async with Simulator(dialects={one: loaded.dialect(one, {}) for one in loaded.dialect_names()}) as centre:
        code, admdvs = SITES[name]
        secrets = "\n".join(f'{key} = "{key}"' for key in SECRETS[name])
        text = CONFIG.format(code=code, admdvs=admdvs, gateway=name, url=centre.url, secrets=secrets)
        path = folder / "his-adapter.toml"
        path.write_text(text + clients(), "utf-8")
        async with served(centre, path) as service:
            yield service, centre


def envelope(number: str) -> bytes:
    return (SOAP / f"{number}.request.xml").read_bytes()


def settlements(centre: Simulator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = truth_of(centre.world)["settlements"]
    return found


async def test_a_zeep_client_settles_by_the_served_wsdl(tmp_path: Path) -> None:
    import requests
    import zeep
    from lxml import etree

    def inxml(number: str) -> str:
        found = etree.fromstring(envelope(number)).find(".//{*}Inxml")
        assert found is not None
        return str(found.text)

    def talk(address: str) -> list[str]:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = BEARER
            client = zeep.Client(f"{address}?wsdl", transport=zeep.Transport(session=session))
            answers = []
            for port in ("STYDJYHttpSoap11Endpoint", "STYDJYHttpSoap12Endpoint"):
                service = client.bind(next(iter(client.wsdl.services)), port)
                answers += [service.STYDJKService(TransNo=number, Inxml=inxml(number)) for number in ("0303", "0304")]
            return answers

    async with province(tmp_path, "guangdong") as (service, centre):
        quoted, settled, again, told_again = await asyncio.to_thread(talk, f"{service.url}/his/guangdong-soap")
        assert "<errorcode>0</errorcode>" in quoted
        assert "<errorcode>0</errorcode>" in settled
        assert settled == told_again
        assert "<errorcode>" in again
        assert len(settlements(centre)) == 1


async def test_a_raw_envelope_curl_and_a_chunked_request_meet_one_settlement(tmp_path: Path) -> None:
    async with province(tmp_path, "guangdong") as (service, centre):
        path = "/his/guangdong-soap"
        kind = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
        assert (await service.http.post(path, content=envelope("0303"), headers=kind)).status_code == 200
        plain = await service.http.post(path, content=envelope("0304"), headers=kind)
        assert plain.status_code == 200
        assert plain.headers["content-type"].startswith("text/xml")

        async def pieces() -> AsyncIterator[bytes]:
            """As .NET sends it: chunked, after ``Expect: 100-continue``."""
            raw = envelope("0304")
            yield raw[:100]
            yield raw[100:]

        chunked = await service.http.post(path, content=pieces(), headers={**kind, "Expect": "100-continue"})
        assert chunked.content == plain.content
        if shutil.which("curl"):
            arguments = ["curl", "--noproxy", "*", "-sS", "-H", f"Authorization: {BEARER}", "-H", "Content-Type: text/xml",
                         "--data-binary", f"@{SOAP / '0304.request.xml'}", service.url + path]  # fmt: skip
            curl = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, check=True)
            assert curl.stdout == plain.content
        assert len(settlements(centre)) == 1


async def test_text_in_gbk_and_in_utf_8_is_the_same_message(tmp_path: Path) -> None:
    settle = next(NEUSOFT.glob("2620*.request.txt")).read_bytes()
    async with province(tmp_path, "jiangxi") as (service, centre):
        path = "/his/jiangxi-neusoft"
        in_gbk = await service.http.post(path, content=settle, headers={"Content-Type": "text/plain; charset=gbk"})
        as_utf_8 = settle.decode("gb18030").encode("utf-8")
        in_utf_8 = await service.http.post(
            path, content=as_utf_8, headers={"Content-Type": "text/plain; charset=utf-8"}
        )
        unsaid = await service.http.post(path, content=settle)
        assert in_gbk.status_code == in_utf_8.status_code == 200
        assert in_gbk.content == unsaid.content
        assert in_utf_8.content.decode("utf-8") == in_gbk.content.decode("gb18030")
        assert in_gbk.content.decode("gb18030").count("^") == 3
        assert len(settlements(centre)) == 1


async def test_a_shim_sends_the_whole_call_and_what_only_the_workstation_knows(tmp_path: Path) -> None:
    settle = next(NEUSOFT.glob("2620*.request.txt")).read_bytes()
    call = {
        "function": "BUSINESS_HANDLE",
        "ins": {"in": base64.b64encode(settle).decode()},
        "side": {"mdtrt_cert_no": "T0000001"},
    }
    async with province(tmp_path, "jiangxi") as (service, centre):
        kind = {"Content-Type": "application/vnd.his-adapter.frame+json"}
        reply = await service.http.post("/his/jiangxi-neusoft", content=json.dumps(call), headers=kind)
        assert reply.status_code == 200
        told = reply.json()
        assert told["ret"] == "0"
        assert base64.b64decode(told["outs"]["out"]).decode("gb18030").count("^") == 3
        assert len(settlements(centre)) == 1
        bad = await service.http.post("/his/jiangxi-neusoft", content=b'{"ins":{"in":"!"}}', headers=kind)
        assert (bad.status_code, bad.json()["code"]) == (400, "BAD_BODY")


async def test_our_own_json_is_a_dialect_too(tmp_path: Path) -> None:
    async with province(tmp_path, "jiangxi") as (service, centre):
        response = await service.post("/his/national", message())
        assert (response.status_code, response.json()["state"]) == (200, "SETTLED")
        assert len(settlements(centre)) == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', id="xxe"
        ),
        pytest.param('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16"), id="dtd-in-utf-16"),
        pytest.param(b"<a>" * 100_000, id="deep"),
        pytest.param(b"no xml at all", id="text"),
    ],
)
async def test_what_is_no_envelope_is_refused_as_such(tmp_path: Path, body: bytes) -> None:
    async with province(tmp_path, "guangdong") as (service, centre):
        response = await service.http.post("/his/guangdong-soap", content=body)
        assert response.status_code == 400
        assert b"root:" not in response.content
        assert centre.entries == []


async def test_a_dialect_nobody_has_and_a_wsdl_that_is_none(tmp_path: Path) -> None:
    async with province(tmp_path, "jiangxi") as (service, _):
        assert (await service.post("/his/nobody", {})).status_code == 404
        assert (await service.get("/his/jiangxi-neusoft?wsdl")).status_code == 404
        wsdl = await service.http.get("/his/guangdong-soap?wsdl", headers={"Authorization": ""})
        assert wsdl.status_code == 200
        assert f"{service.url}/his/guangdong-soap".encode() in wsdl.content
        assert os.fsencode(str(ROOT)) not in wsdl.content
