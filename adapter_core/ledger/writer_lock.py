"""The lock of a file that one process may write: the system releases it when that process dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from adapter_core.values.errors import ConfigError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class WriterLock:
    """Held beside ``path``, in a file of its own: the file itself may be replaced meanwhile.  ``name``: for messages."""

    def __init__(self, path: Path, name: str = "ledger") -> None:
        """Raises: ConfigError when another process holds it."""
        lock = path.with_name(path.name + ".lock")
        try:
            self._handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise ConfigError(f"the {name} {path} can't be opened here: {exc.strerror}") from exc
        try:
            if sys.platform == "win32":
                msvcrt.locking(self._handle, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._handle)
            raise ConfigError(f"the {name} {path} is open in another process: stop that one first") from None

    def release(self) -> None:
        os.close(self._handle)


def sync_folder(folder: Path) -> None:
    """Makes a new or replaced file's name durable; Windows has no such call."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
