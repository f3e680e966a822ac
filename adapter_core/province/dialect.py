"""The contract of a dialect: four pure functions between local frames and operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from adapter_core.province.messages import Operation, Outcome, Reply
from adapter_core.values.frames import Frame


@dataclass(frozen=True, slots=True)
class RefKind:
    """One kind of reference a dialect's messages carry.

    theirs: the HIS's own number, kept as an alias the first time it is seen.
    mint: verbs whose answer makes a new one; pattern: its form (``{n:08}``, ``{time:%Y%m%d%H%M%S}``, ``{admdvs}``).
    names: the kind it is looked up under ("" = its own name), e.g. a reversal's ``original`` names a ``serial``.
    binds: what it points at: ``encounter`` | ``bill`` | ``case``.
    """

    name: str
    theirs: bool = False
    mint: tuple[str, ...] = ()
    pattern: str = ""
    names: str = ""
    binds: str = "encounter"


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """One message a dialect knows, for listings: id, verb, Chinese title, the evidence mark of `docs/reference`."""

    message: str
    verb: str
    title: str
    evidence: str = ""


@runtime_checkable
class Dialect(Protocol):
    """Built once per site from its tables and the site's options.  All functions are pure: same inputs, same bytes."""

    name: str
    charset: str
    refs: Mapping[str, RefKind]
    messages: tuple[MessageInfo, ...]

    def decode_request(self, frame: Frame) -> Operation:
        """What the HIS wants.  Raises: TranslationError with every fault of the message, NotSupported."""

    def encode_reply(self, asked: Operation, outcome: Outcome) -> Frame:
        """The answer in the family's own form.  Raises: TranslationError when the form can't carry it."""

    def encode_request(self, operation: Operation) -> Frame:
        """The other direction: calling a legacy centre, the simulated HIS, tests."""

    def decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        """A legacy centre's reply.  Never raises for bytes from outside: unreadable bytes are Mark.UNREADABLE."""

    def settle_form(self, quoted: Operation) -> Operation:
        """The operation by which this HIS would settle what it just quoted: used to prove, before money moves, that the
        settlement's own answer can carry the amounts."""

    def read_frame_file(self, raw: bytes, name: str) -> Frame:
        """A frame saved in a file: its bytes, and what a function call carries beside them (``JS04.request.txt``)."""

    def write_frame_file(self, frame: Frame) -> bytes:
        """The file form of a frame, a function call's return value included."""
