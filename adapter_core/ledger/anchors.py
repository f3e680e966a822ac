"""Anchors: the head of an org's chain, signed now and then and copied off the box, so that a journal cut short shows.

One line of JSON each in a file beside the ledger, appended and synced: ``org seq hash at algorithm key_id signature``.  Signed is
the text of the first four, a tab between each.  Every folder of copies gets the same lines; one on another machine, append-only
there, is what an intruder here can't rewrite.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from adapter_core.ledger.anchor_keys import AnchorKey
from adapter_core.ledger.chain import Head
from adapter_core.ledger.writer_lock import WriterLock, sync_folder
from adapter_core.values.errors import AdapterError, LedgerDamaged, LedgerUnavailable
from adapter_core.values.moments import Clock, iso

EVERY_EVENTS = 1000
_BINARY = getattr(os, "O_BINARY", 0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Anchor:
    """``hash``, ``signature``: hexadecimal; ``at``: RFC 3339; ``seq``: also the count of the org's events."""

    org: str
    seq: int
    hash: str
    at: str
    algorithm: str
    key_id: str
    signature: str

    def line(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False).encode() + b"\n"


class AnchoredLedger(Protocol):
    async def heads(self) -> Mapping[str, Head]: ...

    async def link(self, org: str, seq: int) -> bytes | None: ...


class Anchors:
    """The file of one ledger's anchors, written by one process.  copies: folders that get every line too."""

    def __init__(self, path: Path, copies: Iterable[Path], key: AnchorKey, clock: Clock) -> None:
        """Raises: ConfigError when another process has the file, LedgerDamaged when it was changed."""
        self._lock = WriterLock(path, "file of anchors")
        self._path = path
        self._copies = [folder / path.name for folder in copies]
        self._key = key
        self._clock = clock
        self._lagging: set[Path] = set()
        self._last: dict[str, Anchor] = {}
        try:
            _drop_torn_line(path)
            for anchor in read_anchors(path):
                self._last[anchor.org] = anchor
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        self._lock.release()

    async def refuse_cut(self, ledger: AnchoredLedger) -> None:
        """Raises: LedgerDamaged when the journal hasn't the event of an org's last anchor any more."""
        for org, anchor in self._last.items():
            link = await ledger.link(org, anchor.seq)
            if link is None or link.hex() != anchor.hash:
                raise LedgerDamaged(
                    f"the journal of {org} isn't the one anchored at event {anchor.seq} on {anchor.at}: it was cut short, or replaced",
                    message_zh="账本与锚点不符（可能被截断，或恢复了旧备份），已停止一切收发，请先核查",
                )

    async def keep(self, ledger: AnchoredLedger, every_s: float) -> None:
        """Catch up for ever."""
        while True:
            try:
                await self.catch_up(ledger)
            except (LedgerUnavailable, OSError) as exc:  # the next round tries again
                _log.error("the journal can't be anchored: %s", type(exc).__name__)
            await asyncio.sleep(every_s)

    async def catch_up(self, ledger: AnchoredLedger) -> list[Anchor]:
        """Anchor each org that has 1000 events more than at its last anchor, or any on a new day.  Raises: OSError."""
        written = []
        now = iso(self._clock.wall())
        for org, head in (await ledger.heads()).items():
            last = self._last.get(org)
            grown = head.seq - (last.seq if last else 0)
            if grown >= EVERY_EVENTS or (grown > 0 and (last is None or last.at[:10] != now[:10])):
                written.append(await asyncio.to_thread(self._write, org, head, now))
        return written

    def _write(self, org: str, head: Head, at: str) -> Anchor:
        signature = self._key.sign(signed_text(org, head.seq, head.hash.hex(), at))
        anchor = Anchor(org, head.seq, head.hash.hex(), at, self._key.algorithm, self._key.key_id, signature.hex())
        _append(self._path, anchor.line())
        self._last[org] = anchor
        for copy in self._copies:
            self._copy_to(copy)
        return anchor

    def _copy_to(self, copy: Path) -> None:
        """What the copy lacks; a folder that is away for a while catches up later.  Said once when it goes, once when it is back."""
        try:
            there = copy.stat().st_size if copy.exists() else 0
            with self._path.open("rb") as file:
                file.seek(there)
                _append(copy, file.read())
        except OSError as exc:
            if copy not in self._lagging:
                _log.error("anchors can't be copied to %s: %s", copy.parent, exc.strerror)
            self._lagging.add(copy)
            return
        if copy in self._lagging:
            self._lagging.discard(copy)
            _log.warning("anchors are copied to %s again", copy.parent)


def signed_text(org: str, seq: int, link: str, at: str) -> bytes:
    return "\t".join((org, str(seq), link, at)).encode()


def read_anchors(path: Path) -> list[Anchor]:
    """Oldest first; a last line that a crash cut off counts for nothing.  Raises: LedgerDamaged, OSError."""
    anchors = []
    for number, line in enumerate(_whole_lines(path), 1):
        try:
            anchors.append(Anchor(**json.loads(line)))
        except (ValueError, TypeError):
            raise LedgerDamaged(f"line {number} of the anchors {path} was changed") from None
    return anchors


def _whole_lines(path: Path) -> list[bytes]:
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines()


def _drop_torn_line(path: Path) -> None:
    if path.exists():
        os.truncate(path, sum(len(line) + 1 for line in _whole_lines(path)))


@dataclass(frozen=True, slots=True)
class AnchorVerdict:
    """What checking one file of anchors gave.  ``faults``: in words, none when all hold."""

    path: Path
    anchors: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Anchored:
    """The files of one ledger's anchors, its copies among them, and the keys they may be signed with, by key id."""

    paths: tuple[Path, ...]
    keys: Mapping[str, AnchorKey]

    def check(self, link_of: Links) -> tuple[AnchorVerdict, ...]:
        return tuple(check_anchors(path, self.keys, link_of) for path in self.paths)


class Links(Protocol):
    """Where the hash of one event is read, None where there is no such event."""

    def __call__(self, org: str, seq: int) -> bytes | None: ...


def check_anchors(path: Path, keys: Mapping[str, AnchorKey], link_of: Links) -> AnchorVerdict:
    """Every anchor's signature, and that the journal still has the event it names, with the hash it names.

    keys: by key id, former ones too.
    """
    try:
        anchors = read_anchors(path)
    except (AdapterError, OSError) as exc:
        return AnchorVerdict(path, 0, (str(exc),))
    faults = [
        f"{one.org} {one.seq}: {fault}" for one in anchors if (fault := _fault(one, keys.get(one.key_id), link_of))
    ]
    return AnchorVerdict(path, len(anchors), tuple(faults))


def _fault(anchor: Anchor, key: AnchorKey | None, link_of: Links) -> str:
    if key is None or key.algorithm != anchor.algorithm:
        return f"signed with key {anchor.key_id}, which isn't at hand"
    try:
        signature = bytes.fromhex(anchor.signature)
    except ValueError:
        signature = b""
    if not key.verify(signed_text(anchor.org, anchor.seq, anchor.hash, anchor.at), signature):
        return "the anchor was changed: its signature doesn't hold"
    link = link_of(anchor.org, anchor.seq)
    if link is None:
        return "the journal was cut short: the event isn't there any more"
    if link.hex() != anchor.hash:
        return "the journal is another one: the event's hash differs"
    return ""


def _append(path: Path, content: bytes) -> None:
    """All of it, synced.  Raises: OSError."""
    is_new = not path.exists()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, 0o600)
    try:
        written = 0
        while written < len(content):
            written += os.write(file, content[written:])
        os.fsync(file)
    finally:
        os.close(file)
    if is_new:
        sync_folder(path.parent)
