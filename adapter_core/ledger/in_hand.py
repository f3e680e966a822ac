"""Which case a plugin has in hand, in a file mapped into memory: written in a fraction of a microsecond before each of its calls,
and still there when the process was killed in the middle of one.  It need not outlive the machine."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from adapter_core.ledger.writer_lock import WriterLock

SIZE = 64
EMPTY = b"\0" * SIZE


class InHandFile:
    """Satisfies `settlement.ports.InHand` for one process at a time.  End with `close`."""

    def __init__(self, path: Path) -> None:
        """Raises: ConfigError when another process has the file, or it can't be made here."""
        self._lock = WriterLock(path, "note of the case in hand")
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, SIZE)
            self._note = mmap.mmap(handle, SIZE)
        finally:
            os.close(handle)
        self._left_behind = self._note[:].rstrip(b"\0").decode("ascii", "ignore")

    def take(self, case_id: str) -> None:
        self._note[:] = case_id.encode("ascii", "ignore")[:SIZE].ljust(SIZE, b"\0")

    def lay_down(self) -> None:
        self._note[:] = EMPTY
        self._left_behind = ""

    def left_behind(self) -> str:
        return self._left_behind

    def close(self) -> None:
        self._note.close()
        self._lock.release()
