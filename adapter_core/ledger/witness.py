"""The witness: a small synced file on another path than the ledger, that remembers what was let out of the house.

Written after a commit and before anything leaves.  An entry newer than its ledger row means that the ledger lost its
tail (a lying disk, a restored backup, an asynchronous failover): the org is frozen then.

One line per entry: org, case_id, version, link, and the line's CRC-32, separated by tabs.  It holds no personal data.
Beside it a file ``….name`` keeps what the witness is called among those of several replicas.
"""

from __future__ import annotations

import asyncio
import os
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from adapter_core.ledger.writer_lock import WriterLock, sync_folder
from adapter_core.settlement.records import Case
from adapter_core.values.errors import ConfigError, LedgerDamaged, LedgerUnavailable

MAX_BYTES = 4 * 1024 * 1024

_SEPARATOR = "\t"


class Entry(NamedTuple):
    """What left the house of one case, last.  link: the chain's link of the case's last event then, 64 hex digits."""

    org: str
    case_id: str
    version: int
    link: str


class WitnessedLedger(Protocol):
    """What `behind` asks of a ledger."""

    async def case(self, case_id: str) -> Case | None: ...

    async def links_of_case(self, case_id: str) -> list[str]: ...


class Witness:
    """One process writes the file.  max_bytes: when it grows beyond, only the latest entries stay, half as much: a tail
    that was lost always holds the newest, so the oldest may go.  name: drawn once, 16 hex digits, the same as long as the file.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        """Raises: ConfigError (open in another process, no such folder), LedgerDamaged."""
        self._path = path
        self._max_bytes = max_bytes
        self._guard = threading.Lock()
        self._trouble = ""
        self._lock = WriterLock(path, "witness")
        try:
            self.name = _name_beside(path)
            self._entries, whole = _read(path)
            self._file = _open_to_append(path, whole)
            self._size = whole
        except OSError as exc:
            self._lock.release()
            raise ConfigError(f"the witness {path} can't be opened: {exc.strerror}") from exc
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        with self._guard:
            self._stop("closed")

    def __enter__(self) -> Witness:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> list[Entry]:
        """The latest entry of every case, the one written longest ago first."""
        with self._guard:
            return list(self._entries.values())

    def append(self, org: str, case_id: str, version: int, link_hex: str) -> None:
        """Returns after the entry is synced.  Blocks for a sync, so beside the event loop.

        Raises: LedgerUnavailable, also ever after the first failure (a sync isn't retried); ValueError.
        """
        entry = Entry(org, case_id, version, link_hex)
        line = _line(entry)
        with self._guard:
            if self._trouble:
                raise LedgerUnavailable(f"the witness can't be written: {self._trouble}")
            try:
                _write(self._file, line)
                self._size += len(line)
                self._remember(entry)
                if self._size > self._max_bytes:
                    self._compact()
            except OSError as exc:
                self._stop(str(exc))
                raise LedgerUnavailable(f"the witness can't be written: {exc}") from exc

    async def note(self, org: str, case_id: str, version: int, link_hex: str) -> None:
        """`append` for an event loop: the sync blocks a thread of its own."""
        await asyncio.to_thread(self.append, org, case_id, version, link_hex)

    def _stop(self, trouble: str) -> None:
        if self._trouble:
            return
        self._trouble = trouble
        self._close_file()
        self._lock.release()

    def _close_file(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _remember(self, entry: Entry) -> None:
        """The newest last, so that what goes first is the oldest."""
        self._entries.pop((entry.org, entry.case_id), None)
        self._entries[entry.org, entry.case_id] = entry

    def _compact(self) -> None:
        """The new file takes the old one's place in one step, and only when it is whole on the disk."""
        kept: list[bytes] = []
        room = self._max_bytes // 2
        for entry in reversed(self._entries.values()):
            line = _line(entry)
            room -= len(line)
            if room < 0:
                break
            kept.append(line)
        fresh = self._path.with_name(self._path.name + ".new")
        content = b"".join(reversed(kept))
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, 0o600)
        try:
            _write(file, content)
        finally:
            os.close(file)
        self._close_file()  # Windows replaces no open file
        os.replace(fresh, self._path)
        sync_folder(self._path.parent)
        self._file = _open_to_append(self._path, len(content))
        self._size = len(content)
        self._entries = dict(list(self._entries.items())[len(self._entries) - len(kept) :])


async def behind(ledger: WitnessedLedger, entries: Iterable[Entry]) -> list[Entry]:
    """The entries the ledger knows nothing of: their case is missing or older, or its history is another one.

    None means that nothing which left the house was lost.  Raises: LedgerUnavailable, LedgerDamaged.
    """
    lost = []
    for entry in entries:
        case = await ledger.case(entry.case_id)
        if case is None or case.version < entry.version or entry.link not in await ledger.links_of_case(entry.case_id):
            lost.append(entry)
    return lost


_BINARY = getattr(os, "O_BINARY", 0)


def _name_beside(path: Path) -> str:
    """Raises: OSError."""
    file = path.with_name(path.name + ".name")
    if file.exists() and (name := file.read_text("ascii")):
        return name
    name = os.urandom(8).hex()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write(descriptor, name.encode("ascii"))
    finally:
        os.close(descriptor)
    sync_folder(path.parent)
    return name


def _read(path: Path) -> tuple[dict[tuple[str, str], Entry], int]:
    """The latest entry per case, and how many bytes are whole lines.

    A crash may leave the last line torn: it was never acknowledged, so it counts for nothing.
    Raises: LedgerDamaged for a fault anywhere before, OSError.
    """
    content = path.read_bytes() if path.exists() else b""
    entries: dict[tuple[str, str], Entry] = {}
    whole = 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        entry = _entry(line)
        if entry is None:
            if number < len(lines):
                raise LedgerDamaged(f"line {number} of the witness {path} was changed")
            break
        entries.pop((entry.org, entry.case_id), None)
        entries[entry.org, entry.case_id] = entry
        whole += len(line)
    return entries, whole


def _open_to_append(path: Path, whole: int) -> int:
    """Without what follows the whole lines.  Raises: OSError."""
    is_new = not path.exists()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, 0o600)
    try:
        os.ftruncate(file, whole)
        os.fsync(file)
        if is_new:
            sync_folder(path.parent)
    except BaseException:
        os.close(file)
        raise
    return file


def _write(file: int, content: bytes) -> None:
    """All of it, synced.  Raises: OSError."""
    written = 0
    while written < len(content):
        written += os.write(file, content[written:])
    os.fsync(file)


def _line(entry: Entry) -> bytes:
    """Raises: ValueError for a field that would break the line."""
    if any(character.isspace() for text in (entry.org, entry.case_id, entry.link) for character in text):
        raise ValueError("a witness entry's fields hold no white space")
    text = _SEPARATOR.join((entry.org, entry.case_id, str(entry.version), entry.link)).encode()
    return b"%s\t%08x\n" % (text, zlib.crc32(text))


def _entry(line: bytes) -> Entry | None:
    """None for a line that is torn or was changed."""
    text, _, check = line.rpartition(b"\t")
    if not line.endswith(b"\n") or check != b"%08x\n" % zlib.crc32(text):
        return None
    org, case_id, version, link = text.decode().split(_SEPARATOR)
    return Entry(org, case_id, int(version), link)
