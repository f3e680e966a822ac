"""SM2 (GB/T 32918) through gmssl-pyx: keys, signatures, encryption, and their forms on the wire.

On the wire a signature is r‖s, 64 bytes, and a ciphertext C1‖C3‖C2 with C1 uncompressed; gmssl-pyx speaks DER for both.  The
forms are changed into each other here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from adapter_core.values.errors import ConfigError, Fault, TranslationError

USER_ID = b"1234567812345678"
"""The standard's default: who signs, where nothing else was agreed."""
SIGNATURE_BYTES = 64
PLAIN_BYTES_MAX = 255

_SCALAR = 32
_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04


@lru_cache(maxsize=1)
def _gmssl() -> Any:
    """Raises: ConfigError without the extra."""
    try:
        return import_module("gmssl_pyx")  # it has no types
    except ImportError:
        raise ConfigError("SM2 needs the extra guomi: pip install his-adapter[guomi]") from None


def is_available() -> bool:
    """Whether the extra is installed."""
    try:
        _gmssl()
    except ConfigError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class PublicKey:
    """``point``: x‖y, 64 bytes."""

    point: bytes

    @classmethod
    def of(cls, encoded: bytes) -> PublicKey:
        """From x‖y, 04‖x‖y or the compressed form.  Raises: ConfigError for what is no point of the curve."""
        gmssl = _gmssl()
        try:
            return cls(gmssl.normalize_sm2_public_key(encoded))
        except gmssl.GmsslInnerError:
            raise ConfigError("this is no SM2 public key") from None

    def verify(self, message: bytes, signature: bytes, user_id: bytes = USER_ID) -> bool:
        """signature: r‖s; DER is accepted too, since some senders use it."""
        gmssl = _gmssl()
        if len(signature) == SIGNATURE_BYTES:
            r, s = int.from_bytes(signature[:_SCALAR]), int.from_bytes(signature[_SCALAR:])
            signature = encode_dss_signature(r, s)
        try:
            return bool(gmssl.sm2_verify(self.point, message, signature, user_id))
        except gmssl.GmsslInnerError:
            return False

    def encrypt(self, plain: bytes) -> bytes:
        """C1‖C3‖C2 for 1 to 255 bytes.  Raises: TranslationError."""
        if not 1 <= len(plain) <= PLAIN_BYTES_MAX:
            raise TranslationError([Fault("SM2", f"1 to {PLAIN_BYTES_MAX} bytes", f"{len(plain)} bytes")])
        x, y, c3, c2 = _der_parts(_gmssl().sm2_encrypt(self.point, plain))
        return b"\x04" + _scalar(x) + _scalar(y) + c3 + c2


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key pair: SM2 signs its own public key along with the message."""

    public: PublicKey
    _secret: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes, public: bytes) -> PrivateKey:
        """secret: 32 bytes, or 33 with a leading 00.  Raises: ConfigError when the two aren't a pair."""
        if len(secret) == _SCALAR + 1 and secret[0] == 0:
            secret = secret[1:]
        if len(secret) != _SCALAR:
            raise ConfigError(f"an SM2 private key has {_SCALAR} bytes, this one {len(secret)}")
        key = cls(PublicKey.of(public), secret)
        gmssl = _gmssl()
        try:
            is_pair = key.public.verify(b"pair", key.sign(b"pair"))
        except gmssl.GmsslInnerError:
            is_pair = False
        if not is_pair:
            raise ConfigError("this SM2 private key doesn't belong to this public key")
        return key

    @classmethod
    def new(cls) -> PrivateKey:
        point, secret = _gmssl().sm2_key_generate()
        return cls(PublicKey(point), secret)

    def reveal(self) -> bytes:
        """The 32 secret bytes, for the key file."""
        return self._secret

    def sign(self, message: bytes, user_id: bytes = USER_ID) -> bytes:
        """r‖s, 64 bytes."""
        r, s = decode_dss_signature(_gmssl().sm2_sign(self._secret, self.public.point, message, user_id))
        return r.to_bytes(_SCALAR) + s.to_bytes(_SCALAR)

    def decrypt(self, sealed: bytes) -> bytes:
        """sealed: C1‖C3‖C2.  Raises: TranslationError."""
        gmssl = _gmssl()
        try:
            if len(sealed) <= 97 or sealed[0] != 4:
                raise ValueError
            plain: bytes = gmssl.sm2_decrypt(self._secret, _der_of(sealed))
            return plain
        except (gmssl.GmsslInnerError, ValueError):
            raise TranslationError([Fault("SM2", "a text sealed for our key", f"{len(sealed)} other bytes")]) from None


def _scalar(magnitude: bytes) -> bytes:
    return magnitude.lstrip(b"\0").rjust(_SCALAR, b"\0")


def _der_of(sealed: bytes) -> bytes:
    """SEQUENCE { x INTEGER, y INTEGER, C3 OCTET STRING, C2 OCTET STRING } of C1‖C3‖C2."""
    x, y, c3, c2 = sealed[1:33], sealed[33:65], sealed[65:97], sealed[97:]
    content = b"".join(
        (_tlv(_INTEGER, _positive(x)), _tlv(_INTEGER, _positive(y)), _tlv(_OCTETS, c3), _tlv(_OCTETS, c2))
    )
    return _tlv(_SEQUENCE, content)


def _positive(scalar: bytes) -> bytes:
    magnitude = scalar.lstrip(b"\0") or b"\0"
    return b"\0" + magnitude if magnitude[0] & 0x80 else magnitude


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2)
    return bytes([tag]) + length + content


def _der_parts(der: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """The four values gmssl-pyx wrote: x, y, C3, C2."""
    content, _ = _value(der)
    parts = []
    for _ in range(4):
        part, content = _value(content)
        parts.append(part)
    return parts[0], parts[1], parts[2], parts[3]


def _value(der: bytes) -> tuple[bytes, bytes]:
    """The first value's content, and what follows it."""
    size, start = der[1], 2
    if size & 0x80:
        start = 2 + (size & 0x7F)
        size = int.from_bytes(der[2:start])
    return der[start : start + size], der[start + size :]
