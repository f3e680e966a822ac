"""SM2, SM3, SM4 against the vectors of the standards, and SM2 against OpenSSL."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from adapter_core.formats.guomi import sm4
from adapter_core.formats.guomi.sm2 import PrivateKey, PublicKey
from adapter_core.formats.guomi.sm3 import hmac_sm3, sm3
from adapter_core.values.errors import ConfigError, TranslationError

pytest.importorskip("gmssl_pyx", reason="the extra guomi is not installed")

SECRET = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
POINT = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
"""The key pair of GB/T 32918.5, annexes A and C."""
SIGNATURE = bytes.fromhex(
    "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)
SPKI_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.of(SECRET, b"\x04" + POINT)


def test_sm3_of_the_standard() -> None:
    assert sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm3(b"abcd" * 16).hex() == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"


def test_hmac_sm3_with_its_block_of_64_bytes() -> None:
    # A key longer than the block is hashed first: with a block of 32 bytes a key of 64 would be too.
    inner = bytes(one ^ 0x36 for one in range(64))
    outer = bytes(one ^ 0x5C for one in range(64))
    assert hmac_sm3(bytes(range(64)), b"message") == sm3(outer + sm3(inner + b"message"))


def test_sm4_of_the_standard() -> None:
    block = bytes.fromhex("0123456789abcdeffedcba9876543210")
    sealed = sm4.encrypt(block, block)
    assert sealed[:16].hex() == "681edf34d206965e86b3e94f536e4246"
    assert sm4.decrypt(block, sealed) == block
    for wrong in (sealed[:-1], sealed[:16], b""):
        with pytest.raises(TranslationError):
            sm4.decrypt(block, wrong)


def test_the_signature_of_the_standard_verifies_in_both_forms(key: PrivateKey) -> None:
    der = encode_dss_signature(int.from_bytes(SIGNATURE[:32]), int.from_bytes(SIGNATURE[32:]))
    assert key.public.verify(b"message digest", SIGNATURE)
    assert key.public.verify(b"message digest", der)
    assert not key.public.verify(b"message digesT", SIGNATURE)
    assert not key.public.verify(b"message digest", SIGNATURE, b"another id")
    for malformed in (b"", bytes(64), SIGNATURE[:-1], der[:-1], b"\xff" * 64):
        assert not key.public.verify(b"message digest", malformed)


def test_our_signature_is_64_bytes_and_fresh_each_time(key: PrivateKey) -> None:
    first, second = key.sign(b"one message"), key.sign(b"one message")
    assert len(first) == len(second) == 64
    assert first != second  # a repeated nonce would give the key away
    assert key.public.verify(b"one message", first)


def test_the_ciphertext_of_the_standard_opens(key: PrivateKey) -> None:
    sealed = bytes.fromhex(
        "04"
        "04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73"
        "e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0"
        "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766"
        "21886ca989ca9c7d58087307ca93092d651efa"
    )
    assert key.decrypt(sealed) == b"encryption standard"
    with pytest.raises(TranslationError):
        key.decrypt(sealed[:-1] + b"\x00")
    with pytest.raises(TranslationError):
        key.decrypt(sealed[1:])


@pytest.mark.parametrize("size", [1, 100, 127, 128, 255])
def test_what_was_sealed_for_a_key_opens_with_it(key: PrivateKey, size: int) -> None:
    for _ in range(20):  # coordinates with leading zeros are rare
        plain = bytes(size - 1) + b"x"
        sealed = key.public.encrypt(plain)
        assert (sealed[0], len(sealed)) == (4, 97 + size)
        assert key.decrypt(sealed) == plain


def test_a_key_has_its_forms_and_refuses_others(key: PrivateKey) -> None:
    assert PrivateKey.of(b"\0" + SECRET, POINT).public == key.public
    assert repr(SECRET)[2:-1] not in repr(key)
    with pytest.raises(ConfigError, match="doesn't belong"):
        PrivateKey.of(SECRET, PrivateKey.new().public.point)
    with pytest.raises(ConfigError, match="32 bytes"):
        PrivateKey.of(SECRET[1:], POINT)
    with pytest.raises(ConfigError, match="no SM2 public key"):
        PublicKey.of(bytes(64))


def test_openssl_verifies_what_we_sign(key: PrivateKey, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    pem = base64.encodebytes(SPKI_HEAD + b"\x04" + POINT).decode()
    (tmp_path / "public.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{pem}-----END PUBLIC KEY-----\n")
    (tmp_path / "message").write_bytes("结算测试甲".encode())
    signature = key.sign("结算测试甲".encode())
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    (tmp_path / "signature").write_bytes(encode_dss_signature(r, s))
    command = "openssl pkeyutl -verify -rawin -digest sm3 -pubin -inkey public.pem -in message -sigfile signature"
    told = subprocess.run(
        [*command.split(), "-pkeyopt", "distid:1234567812345678"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "Signature Verified Successfully" in told.stdout, told.stderr
