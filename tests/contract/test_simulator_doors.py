"""The simulated centre's doors and its control side, over real sockets."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from adapter_core.formats.json import read_json, write_json
from adapter_core.formats.signing import csb_headers, tif_headers
from adapter_core.formats.soap import inner_tree, read_envelope, write_envelope
from adapter_core.province.dialect import RefKind
from adapter_core.province.messages import Operation, Outcome
from adapter_core.simulator.server import Simulator
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret

SECRET, TOKEN = Secret("sk-test-0001"), Secret("test-token-not-real-0001")
PERSON = {"data": {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000", "psn_name": "测试甲"}}


class PlainDialect:
    """A dialect of this test: JSON, one verb a message; the HIS names its visit, the centre its receipt."""

    name = "plain"
    charset = "utf-8"
    messages = ()
    refs = {  # noqa: RUF012
        "slip": RefKind("slip", theirs=True),
        "serial": RefKind("serial", theirs=True, binds="case"),
        "original": RefKind("original", theirs=True, binds="case", names="serial"),
        "receipt": RefKind("receipt", mint=("settle",), pattern="R{n:06}", binds="case"),
    }

    def decode_request(self, frame: Frame) -> Operation:
        tree = read_json(frame.ins["in"] if frame.function else frame.body)
        if "verb" not in tree:
            raise TranslationError([Fault("verb", "a verb", "none")])
        return Operation(
            verb=tree["verb"], message=f"X-{tree['verb']}", dialect=self.name, content=tree.get("content", {}),
            refs=tree.get("refs", {}), fees_whole=True, otherwise=tree.get("otherwise", ""),
        )  # fmt: skip

    def encode_reply(self, asked: Operation, outcome: Outcome) -> Frame:
        tree = {
            "state": outcome.state,
            "text": outcome.message_zh,
            "content": outcome.content,
            "refs": dict(outcome.refs),
        }
        body = write_json(tree)
        return Frame(outs={"out": body}, ret="0") if asked.refs.get("slip", "").startswith("DLL") else Frame(body)

    def encode_request(self, operation: Operation) -> Frame:
        raise NotImplementedError

    def decode_reply(self, asked: Operation, frame: Frame) -> Any:
        raise NotImplementedError

    def settle_form(self, quoted: Operation) -> Operation:
        raise NotImplementedError


@pytest.fixture
async def centre() -> AsyncIterator[Simulator]:
    async with Simulator(dialects={"plain": PlainDialect()}) as started:
        yield started


@pytest.fixture
async def client(centre: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=centre.url, trust_env=False) as opened:
        yield opened


def national(infno: str = "1101", nodes: Any = PERSON, msgid: str = "H36000000001202611210900010001") -> bytes:
    tree = {
        "infno": infno, "msgid": msgid, "mdtrtarea_admvs": "360000", "insuplc_admdvs": "360000", "recer_sys_code": "his",
        "infver": "V1.1", "opter_type": 1, "opter": "T001", "opter_name": "测试操作员", "inf_time": "2026-11-21 09:00:01",
        "fixmedins_code": "H36000000001", "fixmedins_name": "测试医院一", "sign_no": "SIGN1", "input": nodes,
    }  # fmt: skip
    return json.dumps(tree, ensure_ascii=False).encode()


def csb(name: str = "hsa-fsi-1101", secret: Secret = SECRET) -> dict[str, str]:
    pairs = csb_headers("ak-test-0001", secret, api_name=name, api_version="1.0.0", timestamp="1795222801000")
    return dict(pairs)


def tif(paasid: str = "gd_test_0001", token: Secret = TOKEN, upper: bool = False) -> dict[str, str]:
    return dict(tif_headers(paasid, token, timestamp="1700000000", nonce="a1b2c3d4", upper=upper))


@pytest.mark.parametrize(
    ("path", "headers", "infcode"),
    [
        ("/fsi/api", {}, 0),
        ("/fsi/api/fsiPsnInfoService/queryPsnInfo", {}, 0),
        ("/CSB/hsa-fsi-1101", csb(), "0"),
        ("/CSB/yfb-hsa-fsi-1101", csb("yfb-hsa-fsi-1101"), "0"),
        ("/ebus/gd_test_0001/hsa/hgs/1101", tif(), 0),
        ("/ebus/gd_test_0001/poc/hsa/hgs/1101", tif(upper=True), 0),
    ],
)
async def test_every_national_door_knows_the_person(
    client: httpx.AsyncClient, path: str, headers: Any, infcode: Any
) -> None:
    told = (await client.post(path, content=national(), headers=headers)).json()
    assert told["infcode"] == infcode
    assert type(told["infcode"]) is type(infcode)
    assert told["output"]["baseinfo"]["psn_no"] == "T00000000001"
    assert len(told["inf_refmsgid"]) == 30


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/CSB/hsa-fsi-1101", csb(secret=Secret("sk-other"))),
        ("/CSB/hsa-fsi-1101", {**csb(), "_api_timestamp": "1795222801001"}),
        ("/CSB/hsa-fsi-1101", csb("hsa-fsi-2207")),
        ("/CSB/hsa-fsi-1101", {**csb(), "_api_access_key": "ak-other"}),
        ("/CSB/hsa-fsi-1101", {}),
        ("/ebus/gd_test_0001/hsa/hgs/1101", tif(token=Secret("other"))),
        ("/ebus/gd_test_0001/hsa/hgs/1101", {**tif(), "x-tif-nonce": "zzzz"}),
        ("/ebus/other_0001/hsa/hgs/1101", tif()),
        ("/ebus/gd_test_0001/hsa/hgs/1101", {}),
    ],
)
async def test_a_gateway_turns_away_what_it_cannot_verify_in_its_own_shape(
    centre: Simulator, client: httpx.AsyncClient, path: str, headers: Any
) -> None:
    reply = await client.post(path, content=national(), headers=headers)
    assert reply.status_code == 200
    assert set(reply.json()) == {"code", "message", "data"}
    assert [(entry.infno, entry.committed) for entry in centre.entries] == [("", False)]


async def test_an_address_for_another_transaction_is_refused(client: httpx.AsyncClient) -> None:
    told = (await client.post("/CSB/hsa-fsi-1101", content=national("2207"), headers=csb())).json()
    assert (told["infcode"], "infno" in told["err_msg"]) == ("-1", True)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"infno":"1101"}', b'{"infno":"1101","msgid":"1","input":[]}', b'{"a":1,"a":1}', b"\xff"],
)
async def test_what_is_no_national_request_is_refused_and_logged(
    centre: Simulator, client: httpx.AsyncClient, body: bytes
) -> None:
    told = (await client.post("/fsi/api", content=body)).json()
    assert (told["infcode"], told["output"]) == (-1, None)
    assert len(centre.entries) == 1


async def test_an_input_may_be_json_inside_a_text(client: httpx.AsyncClient) -> None:
    told = (await client.post("/fsi/api", content=national(nodes=json.dumps(PERSON)))).json()
    assert told["infcode"] == 0


async def test_requests_may_be_kept_alive_chunked_pipelined_or_expectant(centre: Simulator) -> None:
    body = national()
    reader, writer = await asyncio.open_connection(centre.host, centre.port)
    head = b"POST /fsi/api HTTP/1.1\r\nHost: x\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    writer.write(whole + whole)
    for _ in range(2):
        assert (await one_reply(reader))["infcode"] == 0
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:100], body[100:])) + b"0\r\n\r\n"
    writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert (await one_reply(reader))["infcode"] == 0
    writer.write(head + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await one_reply(reader))["infcode"] == 0
    assert await reader.read() == b""
    writer.close()
    assert {entry.connection for entry in centre.entries} == {1}
    assert len(centre.entries) == 4


async def one_reply(reader: asyncio.StreamReader) -> Any:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    return json.loads(await reader.readexactly(length))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"POST /fsi/api HTTP/1.1\r\nContent-Length: 1\r\nX: " + b"y" * 70_000 + b"\r\n\r\nz", b"413"),
    ],
)
async def test_broken_and_oversized_requests_end_the_connection(centre: Simulator, sent: bytes, status: bytes) -> None:
    reader, writer = await asyncio.open_connection(centre.host, centre.port)
    writer.write(sent)
    assert (await reader.read()).startswith(b"HTTP/1.1 " + status)
    writer.close()


async def test_unknown_addresses_are_404(client: httpx.AsyncClient) -> None:
    for path in ("/", "/CSBX/hsa-fsi-1101", "/legacy/unheard", "/_sim/unheard"):
        assert (await client.post(path, content=b"{}")).status_code == 404


async def test_the_wire_log_names_every_request_and_what_it_did(centre: Simulator, client: httpx.AsyncClient) -> None:
    await client.post("/fsi/api", content=national())
    data = {"psn_no": "T00000000001", "insutype": "310", "begntime": "2026-11-21 09:00:00", "ipt_otp_no": "MZ1"}
    await client.post("/fsi/api", content=national("2201", {"data": data}, "M-2"))
    log = (await client.get("/_sim/wire")).json()
    told = [(row["infno"], row["msgid"][:3], row["psn_no"], row["infcode"], row["committed"]) for row in log]
    assert told == [("1101", "H36", "", "0", False), ("2201", "M-2", "T00000000001", "0", True)]
    assert all(len(row["sha256"]) == 64 and row["size"] > 100 for row in log)


async def test_the_control_side_steers_people_temperament_clock_and_seed(
    centre: Simulator, client: httpx.AsyncClient
) -> None:
    person = {
        "psn_no": "T00000000099", "psn_name": "测试新", "certno": "110101190001010099", "card_no": "T0000099", "ectoken": "",
        "gend": "1", "brdy": "1990-01-01", "insurance": [{"insutype": "310", "psn_type": "11", "insuplc_admdvs": "510100", "balc": "1.10"}],
    }  # fmt: skip
    assert (await client.post("/_sim/people", json=[person])).json() == {"people": 1}
    told = await client.post("/fsi/api", content=national(nodes={"data": {"mdtrt_cert_no": "T0000099"}}))
    assert b'"balc":1.10' in told.content
    assert (await client.post("/_sim/temperament", json={"query": "none", "query_lag_s": 0.5})).json()[
        "query_lag_s"
    ] == "0.5"
    assert centre.world.temperament.query == "none"
    assert (await client.post("/_sim/temperament", json={"mood": "bad"})).status_code == 400
    await client.post("/_sim/clock", json={"now": "2026-11-21 09:00:00"})
    assert (await client.post("/fsi/api", content=national())).json()["refmsg_time"] == "20261121090000000"
    assert (await client.get("/_sim/truth")).json()["time"] == "2026-11-21 09:00:00"
    assert (await client.post("/_sim/reset", json={"seed": 42})).json() == {"seed": 42}
    truth = (await client.get("/_sim/truth")).json()
    assert truth["seed"] == 42
    assert "T00000000099" not in [row["psn_no"] for row in truth["people"]]
    assert (await client.get("/_sim/wire")).json() == []
    for broken in ({"seed": "x"}, []):
        assert (await client.post("/_sim/reset", json=broken)).status_code == 400
    assert (await client.post("/_sim/people", json=[{"psn_no": "1"}])).status_code == 400


async def test_the_same_seed_and_clock_give_the_same_bytes() -> None:
    replies = []
    for _ in range(2):
        async with Simulator(seed=9) as one, httpx.AsyncClient(base_url=one.url, trust_env=False) as client:
            await client.post("/_sim/clock", json={"now": "2026-11-21 09:00:00"})
            data = {"psn_no": "T00000000001", "insutype": "310", "begntime": "2026-11-21 09:00:00", "ipt_otp_no": "MZ1"}
            sent = [
                await client.post("/fsi/api", content=national(*message))
                for message in (("1101",), ("2201", {"data": data}, "M"))
            ]
            replies.append([reply.content for reply in sent])
    assert replies[0] == replies[1]


async def legacy(client: httpx.AsyncClient, verb: str, refs: dict[str, str], **content: Any) -> Any:
    reply = await client.post("/legacy/plain", json={"verb": verb, "refs": refs, "content": content})
    return reply.json()


async def test_a_legacy_family_settles_in_one_message_and_reverses_by_its_own_serial(
    centre: Simulator, client: httpx.AsyncClient
) -> None:
    person = {"psn_no": "T00000000001"}
    fees = [{"med_list_codg": "XA00000001", "det_item_fee_sumamt": "186.50", "cnt": "2", "pric": "93.25"}]
    known = await legacy(client, "identify", {}, person=person)
    assert (known["content"]["person"]["insutype"], known["content"]["person"]["card_no"]) == ("310", "T0000001")
    quoted = await legacy(client, "quote", {"slip": "MZ1", "serial": "L1"}, person=person, fees=fees)
    settled = await legacy(client, "settle", {"slip": "MZ1", "serial": "L2"}, person=person, fees=fees)
    assert (quoted["state"], settled["state"]) == ("QUOTED", "SETTLED")
    assert settled["refs"]["receipt"] == "R000001"
    assert settled["content"]["result"]["medfee_sumamt"] == 186.5
    assert quoted["content"]["result"]["psn_cash_pay"] == settled["content"]["result"]["psn_cash_pay"]
    (one,) = centre.world.settlements.values()
    assert (one.msgid, len(one.visit.lines)) == ("L2", 1)
    assert [entry.infno for entry in centre.entries] == ["X-identify", "X-quote", "X-settle"]
    assert [entry.committed for entry in centre.entries] == [False, True, True]
    assert (await legacy(client, "cancel", {"original": "L2"}))["state"] == "CANCELLED"
    assert one.state == "reversed"


async def test_a_legacy_family_refunds_by_the_receipt_it_was_given(
    centre: Simulator, client: httpx.AsyncClient
) -> None:
    person = {"psn_no": "T00000000004"}
    fees = [{"med_list_codg": "SVC1", "det_item_fee_sumamt": "20.00", "cnt": "1", "pric": "20.00"}]
    assert (await legacy(client, "register", {"slip": "MZ2"}, person=person))["state"] == "DONE"
    assert len((await legacy(client, "upload_fees", {"slip": "MZ2"}, fees=fees))["content"]["lines"]) == 1
    receipt = (await legacy(client, "settle", {"slip": "MZ2", "serial": "L9"}))["refs"]["receipt"]
    back = await legacy(client, "void", {"receipt": receipt})
    assert (back["state"], back["content"]["result"]["medfee_sumamt"]) == ("VOIDED", -20)
    assert (await legacy(client, "void", {"receipt": receipt}))["state"] == "REJECTED"


async def test_a_legacy_library_call_travels_in_headers(client: httpx.AsyncClient) -> None:
    body = {"verb": "identify", "refs": {"slip": "DLL1"}, "content": {"person": {"card_no": "T0000001"}}}
    reply = await client.post("/legacy/plain", json=body, headers={"X-Function": "BUSINESS_HANDLE"})
    assert (reply.headers["X-Ret"], reply.json()["content"]["person"]["psn_name"]) == ("0", "测试甲")
    refused = await client.post("/legacy/plain", json={})
    assert (refused.status_code, refused.headers["X-Ret"]) == (400, "-1")


NAMESPACE = "http://pojo.webservice.service.ybdy.sinobest.cn"
SOAP = "/web/services/STYDJY.STYDJYHttpSoap11Endpoint/"


def soap(number: str, **elements: str) -> bytes:
    common = {"aab299": "440800", "yab600": "440800", "akb026": "TEST0000000000000001", "akb021": "测试医院一", "aab301": "360100",
              "yab060": "360100", "aac002": "T00000000001", "aac043": "01", "aac044": "110101190001010000"}  # fmt: skip
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in {**common, **elements}.items())
    text = f'<?xml version="1.0" encoding="GBK"?><input>{inner}</input>'
    return write_envelope("1.1", NAMESPACE, "STYDJKService", {"TransNo": number, "Inxml": text})


async def test_the_soap_door_of_guangdong_quotes_settles_and_takes_back_the_seeded_stay() -> None:
    dialects = pytest.importorskip("his_adapter_guangdong.dialect", reason="the guangdong plugin is not installed")

    async def call(client: httpx.AsyncClient, number: str, **elements: str) -> dict[str, Any]:
        reply = await client.post(SOAP, content=soap(number, **elements), headers={"Content-Type": "text/xml"})
        assert reply.status_code == 200
        told = inner_tree(read_envelope(reply.content).parameters["return"])
        assert isinstance(told, dict)
        return told

    async with (
        Simulator(dialects={"guangdong-soap": dialects.stydj({})}) as one,
        httpx.AsyncClient(base_url=one.url, trust_env=False) as client,
    ):
        assert b"STYDJKService" in (await client.get(SOAP + "?wsdl")).content
        stay = {"ykc700": "S000000001", "ykc675": "1", "akc264": "186.50"}
        assert (await call(client, "0211", ake007="20261121"))["output"]["aac003"] == "测试甲"
        quoted = await call(client, "0303", **stay)
        settled = await call(client, "0304", **stay)
        assert quoted["output"]["yzz139"] == settled["output"]["yzz139"] == "134.76"
        back = await call(client, "0305", ykc700="S000000001", otransid=settled["transid"])
        assert back["errorcode"] == "0"
        assert [row.state for row in one.world.settlements.values()] == ["refunded"]
        assert [entry.committed for entry in one.entries] == [False, False, True, True]
        assert (await client.post(SOAP, content=b"<x/>", headers={"Content-Type": "text/xml"})).status_code == 500


async def test_the_library_door_of_jiangxi_settles_and_reverses() -> None:
    dialects = pytest.importorskip("his_adapter_jiangxi.dialect", reason="the jiangxi plugin is not installed")
    fees = "MZ1|1|01|CF001|20261121090000|Y001|XA00000001|测试药品|93.25|2|186.5|101||1||D001|测试医师|||K01|测试科||0|测试操作员|盒||"
    head = "|20261121090000|测试操作员|||11|03|T00000000001|测试甲|T0000001$"
    texts = {
        "2610": f"2610^0001^T001^00000001^S1^320100^MZ1|0000{head}{fees}^1^",
        "2620": f"2620^0001^T001^00000001^S2^320100^MZ1|DJ1{head}{fees}^1^",
        "2421": "2421^0001^T001^00000001^S3^0000^2620|S2|^1^",
    }
    async with (
        Simulator(dialects={"jiangxi-neusoft": dialects.neusoft({})}) as one,
        httpx.AsyncClient(base_url=one.url, trust_env=False, headers={"X-Function": "BUSINESS_HANDLE"}) as client,
    ):
        told = {
            code: await client.post("/legacy/jiangxi-neusoft", content=text.encode("gbk"))
            for code, text in texts.items()
        }
        assert [reply.headers["X-Ret"] for reply in told.values()] == ["0", "0", "0"]
        assert told["2620"].content.split(b"^")[2].startswith(b"186.50|")
        (settlement,) = one.world.settlements.values()
        assert (settlement.msgid, settlement.state) == ("S2", "reversed")


async def test_as_a_process_it_names_its_port_and_ends_when_told() -> None:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapter_core.simulator", "--port", "0", "--seed", "5", stdout=asyncio.subprocess.PIPE
    )
    assert started.stdout is not None
    try:
        line = (await started.stdout.readline()).decode()
        address = line.removeprefix("listening on ").strip()
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{address}/_sim/truth")).json()["seed"] == 5
    finally:
        started.terminate()
        await started.wait()
