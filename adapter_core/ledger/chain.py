"""The hash chain over the sealed journal, one per org: ``h_n = SM3(h_{n-1} ‖ seq ‖ canonical event)``, h_0 = 32 zero
bytes.

The canonical event is: org, at, kind, case_id, encounter_id as UTF-8, the data key's id as decimal text, the sealed
bytes; each preceded by its length (4 bytes, big-endian).  seq has 8 bytes.  It covers ciphertext only, so the chain
can be checked without any key, and still stands after a data key was destroyed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from cryptography.hazmat.primitives.hashes import SM3, Hash

START = bytes(32)
_EMPTY = Hash(SM3())


class Link(NamedTuple):
    """A journal row as it lies on the disk."""

    seq: int
    at: str
    kind: str
    case_id: str
    encounter_id: str
    key_id: int
    sealed: bytes
    hash: bytes


class Head(NamedTuple):
    """The last link of an org's chain; ``seal`` proves it under the master key."""

    seq: int
    hash: bytes
    seal: bytes = b""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking one org's chain gave.  ``broken_seq``: the first sequence number that doesn't check, None if all
    do.
    """

    org: str
    events: int
    head: str
    broken_seq: int | None = None
    reason: str = ""

    @property
    def is_whole(self) -> bool:
        return self.broken_seq is None


def next_hash(
    previous: bytes, org: str, seq: int, at: str, kind: str, case_id: str, encounter_id: str, key_id: int, sealed: bytes
) -> bytes:
    """The 32 bytes of one link."""
    texts = map(_piece, (org, at, kind, case_id, encounter_id, str(key_id)))
    digest = _EMPTY.copy()
    digest.update(b"".join((previous, seq.to_bytes(8), *texts, len(sealed).to_bytes(4), sealed)))
    return digest.finalize()


@lru_cache(maxsize=1024)
def _piece(text: str) -> bytes:
    """The same few words again and again: an institution, kinds, the case of six events in a row."""
    piece = text.encode()
    return len(piece).to_bytes(4) + piece


def verify(
    org: str,
    links: Iterable[Link],
    head: Head | None,
    seal_of: Callable[[str, int, bytes], bytes] | None = None,
    after: Head | None = None,
) -> Verdict:
    """Walk a chain from its first event.  ``links`` in order of seq; ``head`` as stored; ``seal_of`` (org, seq, hash),
    where the master key is at hand: what the head's seal must be; ``after``: the event before the first one, for a part of a chain.

    An edit shows as a hash that differs, a removal as a gap, a reordering as either, a truncation against the head.
    """
    previous, expected = (START, 0) if after is None else (after.hash, after.seq)
    for link in links:
        expected += 1
        if link.seq != expected:
            return Verdict(org, expected - 1, previous.hex(), expected, "this event is missing")
        try:
            found = next_hash(previous, org, *link[:-1])
        except (AttributeError, TypeError, OverflowError):
            return Verdict(org, expected - 1, previous.hex(), expected, "this event is no journal row")
        if not hmac.compare_digest(found, link.hash):
            return Verdict(org, expected - 1, previous.hex(), expected, "this event, or its place, was changed")
        previous = found
    if head is None:
        if expected:
            return Verdict(org, expected, previous.hex(), expected, "the chain's head is missing")
    elif head.seq > expected:
        return Verdict(org, expected, previous.hex(), expected + 1, f"the journal ends early: its head is {head.seq}")
    elif head.seq < expected or head.hash != previous:
        first = min(head.seq, expected) + 1
        return Verdict(org, expected, previous.hex(), first, "the journal doesn't lead to its head")
    elif seal_of is not None and seal_of(org, head.seq, head.hash) != head.seal:
        reason = "the chain's head was not written under this master key"
        return Verdict(org, expected, previous.hex(), max(expected, 1), reason)
    return Verdict(org, expected, previous.hex())
