"""What leaves: the request's bytes, what is refused before a connection, and the set-up's checks."""

from __future__ import annotations

import pytest

from adapter_core.centre.client import Centre, Endpoint
from adapter_core.values.errors import ConfigError, NotSent
from adapter_core.values.frames import Frame

from .hostile import Hostile, always, reply


def plain(url: str, **options: object) -> Centre:
    return Centre([Endpoint("national", url, plain_http_reason="test", **options)])


async def ask(centre: Centre, frame: Frame, *, money: bool = True, deadline_s: float = 30) -> Frame:
    return await centre.exchange("national", frame, deadline_s=deadline_s, gate=lambda: None, money=money)


async def test_the_request_is_one_plain_message() -> None:
    async with Hostile(always(reply(b'{"infcode":0}', b"X-Rid: 7"))) as hostile:
        frame = Frame(
            body='{"name":"测试甲"}'.encode(),
            path="/fsiPsnInfoService/queryPsnInfo",
            headers=(("_api_name", "1101"), ("Content-Type", "application/json")),
        )
        answer = await ask(plain(hostile.url + "/fsi/api/"), frame)
    assert (
        hostile.received
        == (
            b"POST /fsi/api/fsiPsnInfoService/queryPsnInfo HTTP/1.1\r\n"
            b"Host: 127.0.0.1:%d\r\n"
            b"User-Agent: his-adapter\r\n"
            b"_api_name: 1101\r\n"
            b"Content-Type: application/json\r\n"
            b"Accept-Encoding: identity\r\n"
            b"Connection: close\r\n"
            b"Content-Length: 20\r\n\r\n" % hostile.port
        )
        + '{"name":"测试甲"}'.encode()
    )
    assert (answer.status, answer.body, answer.side["framing"]) == (200, b'{"infcode":0}', "length")
    assert answer.header("x-rid") == "7"


async def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 16384
    async with Hostile(always(reply())) as hostile:
        await ask(plain(hostile.url), Frame(body=body))
    assert hostile.received.endswith(b"\r\n\r\n" + body)


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with Hostile(always(reply())) as hostile:
        assert (await ask(plain(hostile.url), Frame())).status == 200


@pytest.mark.parametrize(
    "frame",
    [
        Frame(headers=(("_api_name", "1101\r\nX-Evil: 1"),)),
        Frame(headers=(("X-Name", "a\x00b"),)),
        Frame(headers=(("X-Name", "a\x7fb"),)),
        Frame(headers=(("X-Name", "测试"),)),
        Frame(headers=(("X Name", "a"),)),
        Frame(headers=(("X-Name\r\nX-Evil", "a"),)),
        Frame(headers=(("", "a"),)),
        Frame(headers=(("Content-Length", "0"),)),
        Frame(headers=(("transfer-encoding", "chunked"),)),
        Frame(headers=(("Host", "elsewhere"),)),
        Frame(method="HEAD"),
        Frame(method="CONNECT"),
        Frame(method="POST / HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET"),
        Frame(path="@elsewhere/"),
        Frame(path=":1/"),
        Frame(path="/a\r\nX-Evil: 1"),
        Frame(path="/a#b"),
    ],
    ids=lambda frame: repr((frame.method, frame.path, frame.headers)).encode("ascii", "backslashreplace").decode(),
)
async def test_what_would_break_out_is_refused_unsent(frame: Frame) -> None:
    async with Hostile(always(reply())) as hostile:
        with pytest.raises(NotSent) as caught:
            await ask(plain(hostile.url), frame)
        assert caught.value.code == "FRAME_REFUSED"
        assert hostile.visitors == []


async def test_an_endpoint_nobody_configured_is_not_sent() -> None:
    with pytest.raises(NotSent) as caught:
        await Centre([]).exchange("national", Frame(), deadline_s=1, gate=lambda: None, money=True)
    assert caught.value.code == "NO_SUCH_ENDPOINT"


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://127.0.0.1:1"},
        {"url": "http://127.0.0.1:1", "plain_http_reason": " "},
        {"url": "ftp://127.0.0.1"},
        {"url": "https://"},
        {"url": "https://user:word@127.0.0.1"},
        {"url": "https://127.0.0.1/?a=1"},
        {"url": "https://127.0.0.1:no"},
        {"url": "https://" + "a" * 64 + ".example"},
        {"url": "https://127.0.0.1", "connect_s": 0},
        {"url": "https://127.0.0.1", "ca_file": "missing.pem"},
        {"url": "https://127.0.0.1", "client_cert": ("missing.pem", "missing.key")},
    ],
    ids=str,
)
def test_a_wrong_endpoint_stops_the_start(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Centre([Endpoint("national", **options)])


def test_one_name_is_one_endpoint() -> None:
    endpoint = Endpoint("national", "http://127.0.0.1:1", plain_http_reason="test")
    with pytest.raises(ConfigError):
        Centre([endpoint, endpoint])
