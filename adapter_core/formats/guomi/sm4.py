"""SM4 (GB/T 32907) in the one mode the envelope family prescribes: ECB with PKCS#7 padding, no initial vector."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.padding import PKCS7

from adapter_core.values.errors import Fault, TranslationError

BLOCK_BITS = 128


def encrypt(key: bytes, plain: bytes) -> bytes:
    """key: 16 bytes."""
    padder = PKCS7(BLOCK_BITS).padder()
    padded = padder.update(plain) + padder.finalize()
    encryptor = Cipher(SM4(key), ECB()).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


def decrypt(key: bytes, sealed: bytes) -> bytes:
    """key: 16 bytes.  Raises: TranslationError when the bytes weren't sealed under this key."""
    decryptor = Cipher(SM4(key), ECB()).decryptor()
    unpadder = PKCS7(BLOCK_BITS).unpadder()
    try:
        padded = decryptor.update(sealed) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise TranslationError([Fault("SM4", "a text sealed under our key", f"{len(sealed)} other bytes")]) from None
