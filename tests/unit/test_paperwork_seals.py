"""The seal: offline by the public key, in either algorithm, and no changed field passes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapter_core.paperwork import seals
from adapter_core.paperwork.seals import (
    ED25519,
    SM2,
    PublicKey,
    SealKey,
    read_key,
    read_line,
    read_public_key,
    sealed_line,
)
from adapter_core.paperwork.verifying import verified_offline
from adapter_core.values.errors import ConfigError, Refused


def ed25519() -> SealKey:
    made = Ed25519PrivateKey.generate()
    return SealKey(PublicKey(ED25519, made.public_key().public_bytes_raw()), made.private_bytes_raw())


def sm2() -> SealKey:
    pytest.importorskip("gmssl_pyx")
    key = seals.new_key()
    assert key.public.algorithm == SM2
    return key


@pytest.mark.parametrize("make", [ed25519, sm2])
def test_a_line_verifies_with_its_key_and_with_no_other(make: object) -> None:
    key = make()  # type: ignore[operator]
    line = sealed_line(read_key(key.text()), "H36010000001", "LX26112100000017", 2, "ab" * 32, "200.00")
    read = read_line(line)
    assert (read.serial, read.version, read.content_hash, read.total) == ("LX26112100000017", 2, "ab" * 32, "200.00")
    public = read_public_key(key.public.text())
    assert verified_offline(read, public).verdict == "SIGNED"
    assert verified_offline(read, make().public).verdict == "FORGED"  # type: ignore[operator]
    assert verified_offline(read_line(line[:60] + "\n " + line[60:]), public).verdict == "SIGNED"
    fields = line.split("|")
    for at, other in ((1, "H36010000002"), (2, "LX26112100000018"), (3, "3"), (5, "2000.00")):
        changed = "|".join([*fields[:at], other, *fields[at + 1 :]])
        assert verified_offline(read_line(changed), public).verdict == "FORGED"


def test_without_the_extra_a_new_key_is_ed25519(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals.sm2, "is_available", lambda: False)
    assert seals.new_key().public.algorithm == ED25519


@pytest.mark.parametrize(
    "text", ["", "http://example.invalid", "YBLX1|a|b|c|d|e|f|g|h", "YBLX2|a|b|1|YQ|1.00|SM2|x|YQ"]
)
def test_what_is_no_seal_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        read_line(text)
    assert caught.value.code == "NOT_A_SEAL"


@pytest.mark.parametrize("text", ["", "SM2 00", "RSA 00 00", f"Ed25519 {'0' * 64} zz"])
def test_a_damaged_key_file_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError):
        read_key(text)


def test_a_private_key_never_shows() -> None:
    key = ed25519()
    assert key.private.hex() not in repr(key)
    assert key.private.hex() not in str(key)
