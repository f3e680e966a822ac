"""SM3 (GB/T 32905) and HMAC-SM3."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SM3, Hash
from cryptography.hazmat.primitives.hmac import HMAC


def sm3(message: bytes) -> bytes:
    """32 bytes."""
    digest = Hash(SM3())
    digest.update(message)
    return digest.finalize()


def hmac_sm3(key: bytes, message: bytes) -> bytes:
    """32 bytes; SM3's block is 64 bytes."""
    mac = HMAC(key, SM3())
    mac.update(message)
    return mac.finalize()
