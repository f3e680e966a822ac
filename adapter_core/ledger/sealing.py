"""Sealing: AES-256-GCM under a data key per day, wrapped by the master key; blind indexes for what must be found again.

master key (file, 32 bytes) ─HKDF─► id      which master key a ledger belongs to; says nothing of the key
                            ├─────► wrap    encrypts each day's data key (table ``data_keys``)
                            ├─────► index   HMAC-SHA256 of searchable values
                            └─────► head    HMAC-SHA256 of the chain's head
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from adapter_core.ledger.key_files import read_key_file
from adapter_core.values.errors import ConfigError, LedgerDamaged

KEY_BYTES = 32
NONCE_BYTES = 12
NONCES_AT_ONCE = 256
_SEPARATOR = "\x1f"


def bound_to(*place: object) -> bytes:
    """Associated data: the row a sealed field belongs to, e.g. org, table, id, version.  Moved elsewhere it won't
    open.
    """
    return _SEPARATOR.join(map(str, place)).encode()


class _Nonces:
    """Random nonces, drawn many at a time.  Each is given out once: taking one is a single step, for any number of threads."""

    def __init__(self) -> None:
        self._left: Iterator[bytes] = iter(())

    def draw(self) -> bytes:
        nonce = next(self._left, None)
        if nonce is None:
            drawn = os.urandom(NONCE_BYTES * NONCES_AT_ONCE)
            left = iter([drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)])
            nonce = next(left)
            self._left = left
        return nonce

    def forget(self) -> None:
        self._left = iter(())


_NONCES = _Nonces()
if hasattr(os, "register_at_fork"):  # a child must not go on with its parent's
    os.register_at_fork(after_in_child=_NONCES.forget)


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key of one day.  ``wrapped`` is its stored form."""

    key_id: int
    day: str
    wrapped: bytes
    _cipher: AESGCM = field(repr=False)

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Nonce (12 bytes), ciphertext, tag (16 bytes)."""
        nonce = _NONCES.draw()
        return nonce + self._cipher.encrypt(nonce, plain, place)

    def unseal(self, sealed: bytes, place: bytes) -> bytes:
        """Raises: LedgerDamaged when the bytes, or the row they stand in, were changed."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            raise LedgerDamaged("a sealed ledger row was changed, or moved to another place") from None


class MasterKey:
    """The key over all data keys of one installation.  Its bytes are kept here only as the keys derived from them."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ConfigError(f"a master key has {KEY_BYTES} bytes, this one {len(secret)}")
        self.key_id = _derive(secret, "id")[:8].hex()
        self._wrap = AESGCM(_derive(secret, "wrap"))
        self._index = hmac.new(_derive(secret, "index"), digestmod="sha256")
        self._head = hmac.new(_derive(secret, "head"), digestmod="sha256")

    def __repr__(self) -> str:
        return f"MasterKey({self.key_id})"

    def new_data_key(self, key_id: int, day: str) -> DataKey:
        secret = os.urandom(KEY_BYTES)
        nonce = os.urandom(NONCE_BYTES)
        return DataKey(key_id, day, nonce + self._wrap.encrypt(nonce, secret, _key_place(key_id, day)), AESGCM(secret))

    def open_data_key(self, key_id: int, day: str, wrapped: bytes) -> DataKey:
        """Raises: LedgerDamaged."""
        try:
            secret = self._wrap.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _key_place(key_id, day))
        except (InvalidTag, ValueError):
            raise LedgerDamaged(f"the data key of {day} was changed or destroyed") from None
        return DataKey(key_id, day, wrapped, AESGCM(secret))

    def blind(self, *value: str) -> bytes:
        """The keyed hash a value is found by; equal values give equal hashes, and nothing leads back."""
        return _keyed(self._index, _SEPARATOR.join(value).encode())

    def head_seal(self, org: str, seq: int, link: bytes) -> bytes:
        """Proves that the chain's head was written by a holder of the master key."""
        return _keyed(self._head, bound_to(org, seq) + link)


class DataKeys:
    """The opened data keys of one ledger.  ``load`` reads a stored key ``(day, wrapped)`` by its id."""

    def __init__(self, master: MasterKey, load: Callable[[int], tuple[str, bytes] | None]) -> None:
        self.master = master
        self._load = load
        self._opened: dict[int, DataKey] = {}

    def of(self, key_id: int) -> DataKey:
        """Raises: LedgerDamaged when the key is missing or doesn't open."""
        key = self._opened.get(key_id)
        if key is None:
            stored = self._load(key_id)
            if stored is None:
                raise LedgerDamaged(f"data key {key_id} is missing from the ledger")
            key = self.master.open_data_key(key_id, *stored)
            self._opened[key_id] = key
        return key

    def is_open(self, key_id: int) -> bool:
        return key_id in self._opened

    def remember(self, key: DataKey) -> None:
        self._opened[key.key_id] = key


def create_master_key(path: Path) -> None:
    """Write 32 fresh random bytes, readable by the owner only.  Raises: ConfigError when the file exists already."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} exists: a master key is never overwritten") from None
    with os.fdopen(handle, "wb") as file:
        file.write(os.urandom(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())


def read_master_key(path: Path) -> MasterKey:
    """Raises: ConfigError when it can't be read, has another length, or others can read it."""
    return MasterKey(read_key_file(path, KEY_BYTES + 1))


def _keyed(key: hmac.HMAC, message: bytes) -> bytes:
    """The key was taken in once; its copy takes in the message.  `hmac.digest` costs twice that, and lets go of the interpreter."""
    keyed = key.copy()
    keyed.update(message)
    return keyed.digest()


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"his-adapter ledger {purpose}".encode()).derive(secret)


def _key_place(key_id: int, day: str) -> bytes:
    return bound_to("data_keys", key_id, day)
