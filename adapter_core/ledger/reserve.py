"""Disk reserve: a ballast file given up when the disk is full, and a floor of free space below which no new work
starts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

BALLAST_BYTES = 64 * 1024 * 1024
FREE_BYTES_MIN = 256 * 1024 * 1024
_CHUNK = bytes(1024 * 1024)


class Reserve:
    """The reserve beside one ledger file.  Sizes in bytes; 0 switches a part off."""

    def __init__(self, ledger: Path, ballast_bytes: int, free_bytes_min: int) -> None:
        self._folder = ledger.parent
        self._ballast = ledger.with_name(ledger.name + ".ballast")
        self._ballast_bytes = ballast_bytes
        self._free_bytes_min = free_bytes_min

    def lay(self) -> None:
        """Put the ballast in place where there is room for it beyond the floor.  Raises: OSError."""
        if self._ballast.exists() and self._ballast.stat().st_size >= self._ballast_bytes:
            return
        self._ballast.unlink(missing_ok=True)
        if self._ballast_bytes and self._free() >= self._ballast_bytes + self._free_bytes_min:
            _allocate(self._ballast, self._ballast_bytes)

    def give_up(self) -> bool:
        """Delete the ballast so that what is under way can still be written.  False when there was none."""
        try:
            self._ballast.unlink()
        except OSError:
            return False
        return True

    def is_low(self) -> bool:
        """Less than the floor is free."""
        return self._free() < self._free_bytes_min

    def _free(self) -> int:
        return shutil.disk_usage(self._folder).free


def _allocate(path: Path, size: int) -> None:
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            # Some file systems can't; zeros, written out, take the room on all of them.
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, size)
                return
        for start in range(0, size, len(_CHUNK)):
            file.write(_CHUNK[: size - start])
