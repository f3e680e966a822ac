"""The key that signs anchors, in a file of its own: SM2 where the extra ``guomi`` is installed, else HMAC-SM3.

An SM2 anchor can be checked by whoever has the public half; one of HMAC-SM3 only by whoever could have made it.  The file is
JSON, ``{"algorithm": "SM2", "private": hex, "public": hex}`` or ``{"algorithm": "HMAC-SM3", "secret": hex}``; without ``private``
it only verifies.
"""

from __future__ import annotations

import hmac
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from adapter_core.formats.guomi import sm2
from adapter_core.formats.guomi.sm3 import hmac_sm3, sm3
from adapter_core.ledger.key_files import read_key_file
from adapter_core.ledger.writer_lock import sync_folder
from adapter_core.values.errors import ConfigError

KEY_FILE_BYTES_MAX = 4096
SECRET_BYTES = 32


class AnchorKey(Protocol):
    @property
    def algorithm(self) -> str: ...

    @property
    def key_id(self) -> str:
        """16 hex digits, the same for both halves."""
        ...

    def sign(self, text: bytes) -> bytes:
        """Raises: ConfigError for a key that only verifies."""
        ...

    def verify(self, text: bytes, signature: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Sm2AnchorKey:
    public: sm2.PublicKey
    private: sm2.PrivateKey | None = None
    algorithm: str = "SM2"

    @property
    def key_id(self) -> str:
        return sm3(self.public.point)[:8].hex()

    def sign(self, text: bytes) -> bytes:
        if self.private is None:
            raise ConfigError("this anchor key is a public half: it only verifies")
        return self.private.sign(text)

    def verify(self, text: bytes, signature: bytes) -> bool:
        return self.public.verify(text, signature)


@dataclass(frozen=True, slots=True)
class HmacAnchorKey:
    secret: bytes = field(repr=False)
    algorithm: str = "HMAC-SM3"

    @property
    def key_id(self) -> str:
        return hmac_sm3(self.secret, b"his-adapter anchor key id")[:8].hex()

    def sign(self, text: bytes) -> bytes:
        return hmac_sm3(self.secret, text)

    def verify(self, text: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(text), signature)


def create_anchor_key(path: Path) -> None:
    """A fresh key, readable by the owner only; its public half beside it where it has one.  Raises: ConfigError."""
    document: dict[str, str]
    if sm2.is_available():
        key = sm2.PrivateKey.new()
        public = {"algorithm": "SM2", "public": key.public.point.hex()}
        document = {**public, "private": key.reveal().hex()}
        _write_new(path.with_name(path.name + ".public"), public, 0o644)
    else:
        document = {"algorithm": "HMAC-SM3", "secret": os.urandom(SECRET_BYTES).hex()}
    _write_new(path, document, 0o600)


def read_anchor_key(path: Path) -> AnchorKey:
    """Raises: ConfigError when it can't be read, isn't a key, or others can read its secret."""
    if path.name.endswith(".public"):
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise ConfigError(f"the key file {path} can't be read: {exc.strerror}") from exc
    else:
        content = read_key_file(path, KEY_FILE_BYTES_MAX)
    try:
        document = json.loads(content)
        if document["algorithm"] == "HMAC-SM3":
            return HmacAnchorKey(bytes.fromhex(document["secret"]))
        point = bytes.fromhex(document["public"])
        if "private" not in document:
            return Sm2AnchorKey(sm2.PublicKey.of(point))
        private = sm2.PrivateKey.of(bytes.fromhex(document["private"]), point)
        return Sm2AnchorKey(private.public, private)
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"the key file {path} holds no anchor key") from None


def _write_new(path: Path, document: dict[str, str], mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise ConfigError(f"{path} exists: a key is never overwritten") from None
    with os.fdopen(handle, "w") as file:
        file.write(json.dumps(document) + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
