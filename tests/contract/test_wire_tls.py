"""TLS: what fails in the handshake was not sent; what fails behind it may have been."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from adapter_core.centre.client import Centre, Endpoint
from adapter_core.centre.transport import CentreTransport
from adapter_core.values.errors import NotSent, OutcomeUnknown
from adapter_core.values.frames import Frame

from .hostile import Authority, Hostile, Script, Visitor, always, reply


@dataclass
class Papers:
    ours: Authority
    foreign: Authority


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folders = [tmp_path_factory.mktemp(name) for name in ("ours", "foreign")]
    return Papers(*(Authority(folder, folder.name.rstrip("0")) for folder in folders))


async def ask(
    hostile: Hostile, ca_file: Path | None, client_cert: tuple[Path, Path] | None = None, host: str = "127.0.0.1"
) -> Frame:
    url = f"https://{host}:{hostile.port}"
    centre = Centre([Endpoint("national", url, ca_file=ca_file, client_cert=client_cert)])
    return await centre.exchange("national", Frame(body=b"{}"), deadline_s=30, gate=lambda: None, money=True)


async def answering(visitor: Visitor) -> None:
    await always(reply())(visitor)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_both_certificates_accepted(papers: Papers, version: ssl.TLSVersion, host: str) -> None:
    context = papers.ours.server_context(clients_of=papers.ours, version=version)
    async with Hostile(answering, context) as hostile:
        answer = await ask(hostile, papers.ours.file, papers.ours.issue("hospital"), host)
    assert answer.status == 200


@pytest.mark.parametrize("trusted", ["foreign", "system"])
async def test_a_certificate_we_refuse_is_not_sent_to(papers: Papers, trusted: str) -> None:
    async with Hostile(answering, papers.ours.server_context()) as hostile:
        with pytest.raises(NotSent) as caught:
            await ask(hostile, papers.foreign.file if trusted == "foreign" else None)
        assert hostile.received == b""
    assert caught.value.code == "CONNECT_FAILED"
    assert isinstance(caught.value.__cause__.__cause__, ssl.SSLCertVerificationError)


async def test_a_certificate_for_another_name_is_refused(papers: Papers, monkeypatch: pytest.MonkeyPatch) -> None:
    async def here(*_: object, **__: object) -> list[object]:
        return [(2, 1, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", here)
    async with Hostile(answering, papers.ours.server_context()) as hostile:
        with pytest.raises(NotSent) as caught:
            await ask(hostile, papers.ours.file, host="centre.invalid")
    assert isinstance(caught.value.__cause__.__cause__, ssl.SSLCertVerificationError)


async def test_a_handshake_alert_is_not_sent(papers: Papers) -> None:
    """TLS 1.2: the centre refuses our missing certificate inside the handshake."""
    context = papers.ours.server_context(clients_of=papers.ours, version=ssl.TLSVersion.TLSv1_2)
    async with Hostile(answering, context) as hostile:
        with pytest.raises(NotSent) as caught:
            await ask(hostile, papers.ours.file)
        assert hostile.received == b""
    assert caught.value.code == "CONNECT_FAILED"


@pytest.mark.parametrize("own", ["none", "foreign"])
async def test_a_client_certificate_refused_by_tls_1_3_may_have_been_sent(papers: Papers, own: str) -> None:
    """The handshake was done on our side before the centre could say no."""
    context = papers.ours.server_context(clients_of=papers.ours, version=ssl.TLSVersion.TLSv1_3)
    async with Hostile(answering, context) as hostile:
        with pytest.raises(OutcomeUnknown) as caught:
            await ask(hostile, papers.ours.file, papers.foreign.issue("stranger") if own == "foreign" else None)
        assert hostile.received == b""
    assert caught.value.code == "NO_REPLY"


def speaking(data: bytes) -> Script:
    async def script(visitor: Visitor) -> None:
        visitor.send(data)
        await visitor.ended()

    return script


async def test_no_tls_at_the_other_end(papers: Papers) -> None:
    async with Hostile(speaking(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as hostile:
        with pytest.raises(NotSent) as caught:
            await ask(hostile, papers.ours.file)
        assert b"POST" not in hostile.received
    assert caught.value.code == "CONNECT_FAILED"


async def test_a_handshake_nobody_answers_ends_with_the_deadline(papers: Papers) -> None:
    async with Hostile(speaking(b"")) as hostile:
        url = f"https://127.0.0.1:{hostile.port}"
        centre = Centre([Endpoint("national", url, ca_file=papers.ours.file)])
        with pytest.raises(NotSent) as caught:
            await centre.exchange("national", Frame(), deadline_s=0.1, gate=lambda: None, money=True)
    assert caught.value.code == "DEADLINE_BEFORE_SEND"


async def test_https_without_a_context_never_falls_back_to_plain(papers: Papers) -> None:
    async with Hostile(speaking(b"")) as hostile:
        deadline = asyncio.get_running_loop().time() + 30
        request = httpx.Request("POST", f"https://127.0.0.1:{hostile.port}", extensions={"deadline": deadline})
        with pytest.raises(httpx.UnsupportedProtocol):
            await CentreTransport(True).handle_async_request(request)
        assert hostile.visitors == []
