"""The seal of a paper set: a signed line, printed as a QR code, that anybody can check offline with the hospital's public key.

It says which set it is (serial, version, content hash), for how much, and nothing of the person.  Whether the set still counts
only the hospital's ledger knows.

SM2 with SM3 where the extra ``guomi`` is installed when the key is made, else Ed25519: the line itself names which.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from adapter_core.formats.guomi import sm2
from adapter_core.values.errors import ConfigError, Refused

MARK = "YBLX1"
"""First field of every line: what it is, and the version of its form."""

FIELDS = 9
SM2, ED25519 = "SM2", "Ed25519"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """algorithm: ``SM2`` (64 bytes, both coordinates) or ``Ed25519`` (32 bytes)."""

    algorithm: str
    raw: bytes

    @property
    def key_id(self) -> str:
        return hashlib.sha256(self.algorithm.encode() + self.raw).hexdigest()[:8]

    def text(self) -> str:
        """One line for a file or a web page."""
        return f"{self.algorithm} {self.raw.hex()}"

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Raises: ConfigError where the extra an algorithm needs is missing."""
        if self.algorithm == SM2:
            return sm2.PublicKey.of(self.raw).verify(message, signature)
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, repr=False)
class SealKey:
    """The institution's own key for papers.  It is in a file that only the service can read."""

    public: PublicKey
    private: bytes

    def sign(self, message: bytes) -> bytes:
        if self.public.algorithm == SM2:
            return sm2.PrivateKey.of(self.private, self.public.raw).sign(message)
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.private).sign(message)

    def text(self) -> str:
        """The key file's one line: algorithm, private and public part."""
        return f"{self.public.algorithm} {self.private.hex()} {self.public.raw.hex()}"


@dataclass(frozen=True, slots=True)
class SealedLine:
    """What a QR code says, read.  total: CNY, two places, as text."""

    org: str
    serial: str
    version: int
    content_hash: str
    total: str
    algorithm: str
    key_id: str
    signature: bytes
    signed: bytes

    def is_signed_by(self, key: PublicKey) -> bool:
        return self.algorithm == key.algorithm and key.verifies(self.signed, self.signature)


def new_key() -> SealKey:
    """A fresh key: SM2 where this machine can, else Ed25519."""
    if sm2.is_available():
        pair = sm2.PrivateKey.new()
        return SealKey(PublicKey(SM2, pair.public.point), pair.reveal())
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    made = Ed25519PrivateKey.generate()
    return SealKey(PublicKey(ED25519, made.public_key().public_bytes_raw()), made.private_bytes_raw())


def read_key(text: str) -> SealKey:
    """The inverse of `SealKey.text`.  Raises: ConfigError."""
    parts = text.split()
    if len(parts) != 3:
        raise ConfigError("the key of the papers: expected algorithm, private and public part")
    return SealKey(read_public_key(f"{parts[0]} {parts[2]}"), _hex(parts[1], 32))


def read_public_key(text: str) -> PublicKey:
    """The inverse of `PublicKey.text`.  Raises: ConfigError."""
    algorithm, _, raw = text.strip().partition(" ")
    lengths = {SM2: 64, ED25519: 32}
    if algorithm not in lengths:
        raise ConfigError(f"the key of the papers: no algorithm {algorithm[:20]!r}")
    return PublicKey(algorithm, _hex(raw, lengths[algorithm]))


def sealed_line(key: SealKey, org: str, serial: str, version: int, content_hash: str, total: str) -> str:
    """The line for the QR code.  content_hash: 64 hex digits."""
    shown = _base64(bytes.fromhex(content_hash))
    signed = "|".join((MARK, org, serial, str(version), shown, total, key.public.algorithm, key.public.key_id))
    return f"{signed}|{_base64(key.sign(signed.encode()))}"


def read_line(text: str) -> SealedLine:
    """A scanned line.  Raises: Refused NOT_A_SEAL."""
    fields = "".join(text.split()).split("|")  # a line copied from a sheet is broken by its width
    try:
        if len(fields) != FIELDS or fields[0] != MARK:
            raise ValueError("not a seal")
        return SealedLine(
            org=fields[1],
            serial=fields[2],
            version=int(fields[3]),
            content_hash=_unbase64(fields[4]).hex(),
            total=fields[5],
            algorithm=fields[6],
            key_id=fields[7],
            signature=_unbase64(fields[8]),
            signed="|".join(fields[:-1]).encode(),
        )
    except (ValueError, binascii.Error):
        raise Refused(
            "no seal of papers", code="NOT_A_SEAL", message_zh="这不是本系统手工报销材料的二维码内容"
        ) from None


def _hex(text: str, length: int) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != length:
        raise ConfigError(f"the key of the papers: expected {length} bytes as hex digits")
    return raw


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
