"""Hostile callers before the real service on a real socket: each is refused with its status, and the service stays what it was."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_core.sidecar.access.signatures import Request, signature_of
from adapter_core.values.secrets import Secret
from tests.flow.hospital import message

from .served import HMAC_KEY, TOKEN, Answer, Served, answer_on, served, whole_reply

MEBIBYTE = 1024 * 1024
RSS_MB_MAX = 400
SETTLEMENTS = "/v1/settlements"
SOAP = "/his/guangdong-soap"
HEAD = f"POST {SETTLEMENTS} HTTP/1.1\r\nHost: his\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as service:
        yield service


@pytest.fixture
def service(running: Served) -> Iterator[Served]:
    """After each story: the same process, no more memory than allowed, and it still answers."""
    before = running.worker
    yield running
    assert running.worker == before
    assert running.peak_rss_mb < RSS_MB_MAX
    assert running.call("GET", f"{SETTLEMENTS}/none").status == 404


def test_nobody_is_served_without_a_credential_and_nothing_is_parsed(service: Served) -> None:
    for body in (b'{"a":1,"a":2}', b"<!DOCTYPE a>", b"\xff" * 100, json.dumps(message()).encode()):
        for token in (None, "guess"):
            told = service.call("POST", SETTLEMENTS, body, token=token)
            assert (told.status, told.problem["next"]) == (401, ["check_credential"])
            assert "www-authenticate" in told.headers
    assert service.call("GET", "/healthz", token=None).status == 200


@pytest.mark.parametrize("path", [SETTLEMENTS, "/fsi/api"])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"settle_key":"K","settle_key":"K"}',
        b'{"a":NaN}',
        b'{"a":1e999999999}',
        b'{"a":' + b"9" * 100_000 + b"}",
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b"{",
        b"",
        b"\x00",
    ],
    ids=[
        "deep-list",
        "deep-object",
        "duplicate",
        "nan",
        "exponent",
        "digits",
        "no-utf-8",
        "surrogate",
        "cut",
        "empty",
        "nul",
    ],
)
def test_json_that_isnt_plain_is_a_bad_request(service: Served, path: str, body: bytes) -> None:
    told = service.call("POST", path, body)
    assert told.status == 400
    assert b"999999" not in told.body


ENTITIES = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
XML = {
    "xxe": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "remote": b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>',
    "parameter": b'<!DOCTYPE a [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><a/>',
    "laughs": f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "ha">{ENTITIES}]><a>&l9;</a>'.encode(),
    "utf-16": '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16"),
    "utf-16-without-mark": '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16-le"),
    "utf-7": b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a+AD4APA-a/+AD4-',
    "deep": b"<a>" * 100_000 + b"</a>" * 100_000,
    "wide": b"<a>" + b"<b/>" * 1_000_000 + b"</a>",
    "attributes": b"<a " + b" ".join(b'a%d="1"' % n for n in range(300_000)) + b"/>",
    "cut": b"<a",
}


@pytest.mark.parametrize("kind", XML)
def test_xml_that_isnt_plain_is_refused(service: Served, kind: str) -> None:
    told = service.call("POST", SOAP, XML[kind], headers=[("Content-Type", "text/xml"), ("SOAPAction", '""')])
    assert told.status == 400, told.body[:300]
    assert b"root:" not in told.body
    assert b"hahaha" not in told.body


def test_a_compressed_body_is_never_unpacked(service: Served) -> None:
    bomb = gzip.compress(bytes(50 * MEBIBYTE))
    for coding in ("gzip", "deflate", "br", "GZIP"):
        told = service.call("POST", SETTLEMENTS, bomb, [("Content-Encoding", coding)])
        assert (told.status, told.problem["code"]) == (415, "ENCODING_REFUSED")


def test_a_hundred_megabytes_are_refused_announced_or_not(service: Served) -> None:
    size = 100 * MEBIBYTE
    with service.connected() as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % size)
        assert answer_on(connection).problem["code"] == "BODY_TOO_LARGE"
    told = service.call("POST", SETTLEMENTS, bytes(size))
    assert (told.status, told.problem["code"]) == (413, "BODY_TOO_LARGE")
    piece = bytes(MEBIBYTE)
    with service.connected() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert answer_on(connection).status == 413


def test_many_large_bodies_at_once_stay_within_the_memory(service: Served) -> None:
    with service.crowd(20) as connections:
        for connection in connections:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (8 * MEBIBYTE))
        statuses = {answer_on(connection).status for connection in connections}
    assert statuses == {408, 503}


@pytest.mark.parametrize(
    "drip", [b"POST / HTT", HEAD, HEAD + b"X-A: ", b""], ids=["line", "headers", "value", "nothing"]
)
def test_a_head_that_never_ends_is_timed_out(service: Served, drip: bytes) -> None:
    with service.connected() as connection:
        connection.sendall(drip)
        told = answer_on(connection)
        assert (told.status, told.problem["code"]) == (408, "HEAD_TOO_SLOW")
        assert whole_reply(connection) == b""


def test_a_dripping_head_is_timed_out_all_the_same(service: Served) -> None:
    started = time.monotonic()
    with service.connected() as connection:
        connection.sendall(HEAD)
        connection.settimeout(0.1)
        received = b""
        while not received:
            assert time.monotonic() - started < 10
            connection.sendall(b"X-A: 1\r\n")
            try:
                received = connection.recv(65536)
            except TimeoutError:
                continue
    assert received.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("framing", [b"Content-Length: 1000\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"])
def test_a_body_that_never_ends_is_timed_out(service: Served, framing: bytes) -> None:
    with service.connected() as connection:
        connection.sendall(HEAD + framing)
        told = answer_on(connection)
        assert (told.status, told.problem["code"]) == (408, "BODY_TOO_SLOW")


def test_slow_callers_dont_keep_others_out(service: Served) -> None:
    with service.crowd(30) as slow:
        for connection in slow:
            connection.sendall(HEAD)
        assert service.call("GET", f"{SETTLEMENTS}/none").status == 404
        assert {answer_on(connection).status for connection in slow} == {408}


def test_idle_connections_give_way_and_busy_ones_are_counted(service: Served) -> None:
    with service.crowd(40) as idle:
        for connection in idle:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: his\r\n\r\n")
            assert answer_on(connection).status == 200
        assert service.call("GET", f"{SETTLEMENTS}/none").status == 404
    with service.crowd(41) as busy:
        for connection in busy:
            connection.sendall(b"GET ")
        assert sorted(answer_on(connection).status for connection in busy) == [*[408] * 40, 503]


@pytest.mark.parametrize(
    "headers",
    [
        b"".join(b"X-%d: 1\r\n" % n for n in range(101)),
        b"X-A: " + b"a" * 33 * 1024 + b"\r\n",
    ],
    ids=["many", "large"],
)
def test_too_many_or_too_large_headers_are_refused(service: Served, headers: bytes) -> None:
    with service.connected() as connection:
        connection.sendall(HEAD + headers + b"Content-Length: 2\r\n\r\n{}")
        assert answer_on(connection).status == 431


def _flood(service: Served, head: bytes, piece: bytes, size: int) -> bytes:
    """Send pieces until the service closes, or ``size`` bytes are through; what it said."""
    with service.connected() as connection:
        connection.sendall(head)
        try:
            for _ in range(size // len(piece)):
                connection.sendall(piece)
            return whole_reply(connection)
        except OSError:  # closed on what it hadn't read: its answer may be lost with that
            return b"HTTP/1.1 431 "


@pytest.mark.parametrize(
    ("framing", "piece"),
    [
        (b"X-A: ", b"a" * 65536),
        (b"", b"X-A: 1\r\n" * 8192),
        (b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 65536),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: 1\r\n" * 8192),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", b"a" * 65536),
    ],
    ids=["one-value", "headers", "chunk-extension", "trailers", "one-trailer"],
)
def test_a_flood_of_headers_or_framing_is_cut_off(service: Served, framing: bytes, piece: bytes) -> None:
    before = service.peak_rss_mb
    told = _flood(service, HEAD + framing, piece, 64 * MEBIBYTE)
    assert told[:13] in (b"HTTP/1.1 431 ", b"")
    assert service.peak_rss_mb < before + 32


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
    ],
    ids=["two-lengths", "length-and-chunks", "negative", "no-chunk", "version", "tls", "nul"],
)
def test_a_request_that_could_be_read_in_two_ways_is_refused(service: Served, head: bytes) -> None:
    with service.connected() as connection:
        connection.sendall(head)
        assert answer_on(connection).status == 400
        assert whole_reply(connection) == b""


def test_a_long_target_is_refused(service: Served) -> None:
    assert service.call("GET", f"{SETTLEMENTS}/{'a' * 9000}").status == 414
    assert service.call("GET", f"{SETTLEMENTS}?state={'a' * 9000}").status == 414


def signed_call(service: Served, nonce: str, stamp: int, path: str = f"{SETTLEMENTS}/none") -> Answer:
    signature = signature_of(Request("GET", path, "", b""), str(stamp), nonce, Secret(HMAC_KEY))
    parts = f'key_id="his-2026", timestamp="{stamp}", nonce="{nonce}", signature="{signature}"'
    return service.call("GET", path, headers=[("Authorization", f"HMAC-SM3 {parts}")], token=None)


def test_a_signed_call_counts_once_and_for_five_minutes(service: Served) -> None:
    now = int(time.time())
    assert signed_call(service, "nonce-of-one-call", now).status == 404
    told = signed_call(service, "nonce-of-one-call", now)
    assert (told.status, told.problem["code"]) == (401, "NONCE_REPEATED")
    for off in (-310, 310):
        told = signed_call(service, f"nonce-at{off}-seconds", now + off)
        assert (told.status, told.problem["code"]) == (401, "TIMESTAMP_OUTSIDE")


CANARIES = {
    "name": "测试丁丁丁", "patient": "测试甲", "id": "110101190001010000", "phone": "13800000000", "card": "ZZ9988776655", "diagnosis": "罕见测试病名",
}  # fmt: skip
KEYS = (TOKEN, HMAC_KEY)


def with_canaries(settle_key: str) -> dict[str, Any]:
    tree = message(settle_key=settle_key, visit_key=f"V-{settle_key}")
    tree["person"] |= {"psn_name": "测试甲", "mdtrt_cert_no": CANARIES["id"]}
    tree["visit"]["tel"] = CANARIES["phone"]
    tree["diagnoses"][0]["diag_name"] = CANARIES["diagnosis"]
    return tree


def test_what_the_centre_says_reaches_a_cashier_without_control_characters(service: Served) -> None:
    evil = f"余额不足\r\nSet-Cookie: a=b\x1b[31m\x07{CANARIES['id']}\u202e" + "长" * 500
    service.rules({"infno": "2201", "actions": [f"error(-1,{evil})"]})
    told = service.post(SETTLEMENTS, with_canaries("CRLF-1"))
    service.rules()
    assert told.status in (200, 202)
    shown = json.loads(told.body)["message_zh"]
    assert "余额不足" in shown
    assert shown.isprintable()
    assert len(shown) < 300
    assert "set-cookie" not in told.headers
    assert "\x1b" not in "".join(service.process.said)


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.endswith((".ballast", ".toml")) and path.parent.name != "keys":
            yield path, path.read_bytes()


def test_no_canary_is_in_any_file_or_line(service: Served) -> None:
    told = service.post(SETTLEMENTS, with_canaries("CANARY-1"))
    assert json.loads(told.body)["state"] == "SETTLED", told.body
    service.post(SETTLEMENTS, {**with_canaries("CANARY-2"), "fees": [{"psn_name": CANARIES["name"]}]})
    service.call("POST", SETTLEMENTS, json.dumps(with_canaries("CANARY-3")).encode()[:-2])
    service.call("POST", SOAP, f"<a>{CANARIES['name']}{CANARIES['id']}".encode())
    service.call("GET", f"{SETTLEMENTS}/{CANARIES['id']}")
    metrics = service.call("GET", "/metrics", address=service.console)
    assert metrics.status == 200
    assert b'class="N"' in metrics.body
    service.process.heard('"infno":"2207"')
    searched = [
        *_files(service.folder),
        (Path("log"), "".join(service.process.said).encode()),
        (Path("metrics"), metrics.body),
    ]
    assert len(searched) > 4
    for name, canary in [*CANARIES.items(), *(("key", key) for key in KEYS)]:
        for form in (canary.encode(), canary.encode("gbk"), json.dumps(canary)[1:-1].encode()):
            assert [str(path) for path, content in searched if form in content] == [], name
