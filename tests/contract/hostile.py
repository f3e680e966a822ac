"""A centre on a real socket that follows a script per connection and keeps every byte it was sent."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Script = Callable[["Visitor"], Awaitable[None]]


def reply(body: bytes = b"{}", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """One whole reply with a length."""
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*head, b"", body])


class Visitor:
    """One connection as the centre sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.received = bytearray()
        self.asked = 0
        self.task = asyncio.current_task()

    async def request(self) -> bytes | None:
        """The next whole request, None when the caller closes first."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            self.received += head
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            body = await self.reader.readexactly(length)
        except asyncio.IncompleteReadError as cut:
            self.received += cut.partial
            return None
        except OSError:
            return None
        self.received += body
        self.asked += 1
        return head + body

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def ended(self) -> None:
        """Keep reading until the caller closes."""
        try:
            while data := await self.reader.read(65536):
                self.received += data
        except OSError:
            pass

    def cut(self) -> None:
        """End the connection without a TLS goodbye."""
        self.writer.transport.abort()

    def reset(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Hostile:
    """``async with Hostile(script) as centre``; ``visitors`` are its connections in order."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self.visitors: list[Visitor] = []
        self.met = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    @property
    def received(self) -> bytes:
        return b"".join(bytes(visitor.received) for visitor in self.visitors)

    async def __aenter__(self) -> Hostile:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0, ssl=self._context, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitor = Visitor(reader, writer)
        self.visitors.append(visitor)
        self.met.set()
        try:
            await self._script(visitor)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        tasks = [visitor.task for visitor in self.visitors if visitor.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await self._server.wait_closed()


def always(*replies: bytes) -> Script:
    """Answers the requests of a connection one after the other, then keeps it open."""

    async def script(visitor: Visitor) -> None:
        for data in replies:
            if await visitor.request() is None:
                return
            visitor.send(data)
        await visitor.ended()

    return script


async def silent(visitor: Visitor) -> None:
    """Reads the request and never answers."""
    await visitor.request()
    await visitor.ended()


@contextmanager
def black_hole(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port whose connections never come about: its queue is full and nobody accepts."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        crowd = [socket.socket() for _ in range(4)]
        try:
            for one in crowd:
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            for one in crowd:
                one.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def turns_until(reached: Callable[[], bool]) -> None:
    """Let the loop turn until it is so; a bound instead of a clock."""
    for _ in range(20_000):
        if reached():
            return
        await asyncio.sleep(0)
    raise AssertionError("never came about")


class Authority:
    """A CA of our own and what it signs, as PEM files in ``folder``."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        certificate = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """(chain, key) for 127.0.0.1 and localhost."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        chain, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        chain.write_bytes(self._signed(subject, key, names).public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return chain, key_file

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def server_context(
        self,
        name: str = "centre",
        *,
        clients_of: Authority | None = None,
        version: ssl.TLSVersion | None = None,
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name))
        if clients_of is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients_of.file)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.file))
        context.set_alpn_protocols(["http/1.1"])
        return context
