"""Nonces of signed calls, remembered across restarts: in a small SQLite file for one process, in the ledger's table for replicas.

A nonce is kept longer than the timestamp signed with it is believed, so that a call can't be made twice.  The file is not synced
for each nonce: it survives the process, and a power cut may cost the last seconds; what such a call would do is still held to
its settle_key.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Protocol

from adapter_core.values.errors import ConfigError, LedgerUnavailable
from adapter_core.values.moments import Clock

REMEMBERED_S = 600
"""Twice the 300 s a timestamp may be off by."""
FORGET_EVERY = 1000


class NonceFile:
    """Satisfies `access.nonces.Nonces`.  End with `close`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Raises: ConfigError."""
        self._clock = clock
        self._added = 0
        try:
            if not path.exists():
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            self._file = sqlite3.connect(path, isolation_level=None, timeout=1)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS nonces (key_id TEXT NOT NULL, nonce TEXT NOT NULL, until INTEGER NOT NULL, "
                "PRIMARY KEY (key_id, nonce)) WITHOUT ROWID"
            )
            self._forget()
        except (sqlite3.Error, OSError) as exc:
            raise ConfigError(f"the file of nonces {path} can't be used: {exc}") from exc

    def close(self) -> None:
        self._file.close()

    async def is_new(self, key_id: str, nonce: str) -> bool:
        """Raises: LedgerUnavailable."""
        now = int(self._clock.wall().timestamp())
        try:
            self._added += 1
            if self._added % FORGET_EVERY == 0:
                self._forget()
            entry = (key_id, nonce, now + REMEMBERED_S)
            return self._file.execute("INSERT OR IGNORE INTO nonces VALUES (?, ?, ?)", entry).rowcount == 1
        except sqlite3.Error as exc:
            raise LedgerUnavailable(f"nonces can't be remembered: {exc}") from exc

    def _forget(self) -> None:
        self._file.execute("DELETE FROM nonces WHERE until < ?", (int(self._clock.wall().timestamp()),))


class NonceTable(Protocol):
    """The ledger that replicas share."""

    async def remember_nonce(self, key_id: str, nonce: str, now: int, until: int) -> bool: ...


class SharedNonces:
    """Satisfies `access.nonces.Nonces` for replicas, in the ledger's database."""

    def __init__(self, ledger: NonceTable, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def is_new(self, key_id: str, nonce: str) -> bool:
        """Raises: LedgerUnavailable."""
        now = int(self._clock.wall().timestamp())
        return await self._ledger.remember_nonce(key_id, nonce, now, now + REMEMBERED_S)

    def close(self) -> None:
        """Nothing: the ledger is closed by who opened it."""
