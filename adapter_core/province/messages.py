"""The values between a local message and a national transaction: Operation, Outcome, Call, Reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from adapter_core.values.content import Content

VERBS = frozenset(
    [
        "sign_in",
        "sign_out",
        "identify",
        "register",
        "admit",
        "upload_fees",
        "quote",
        "settle",
        "confirm",
        "abort",
        "discharge",
        "void",
        "drop_fees",
        "unregister",
        "unadmit",
        "undischarge",
        "cancel",
        "query",
        "file",
        "unfile",
        "fold",
        "unfold",
        "reconcile",
        "relay",
    ]
)
KINDS = ("outpatient", "inpatient", "pharmacy")


class Mark(StrEnum):
    """What a centre's reply says by its family's own success rule.  Not yet the outcome: core and policy decide that."""

    OK = "ok"
    REFUSED = "refused"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Operation:
    """What the HIS wants.

    verb: the goal, one of VERBS; otherwise: the verb to take where this one has nothing to act on ("" = none), e.g. a
    legacy reversal that refunds what is settled and cancels what is not.
    message: its id in the dialect's table.  kind: outpatient, inpatient or pharmacy.
    refs: reference values in the message by kind.  keys: derived business keys: ``encounter``, ``visit``, ``settle``,
    ``void`` (absent where the protocol has none).  key_repeats: the same ``settle`` key may come again for a new attempt once
    nothing of the last one stands (protocols whose key is no serial number).
    fees_whole: the fees in the message are the bill's whole list, not an addition.
    echo: what the answer must repeat.
    """

    verb: str
    message: str
    dialect: str
    kind: str = "outpatient"
    otherwise: str = ""
    content: Content = field(default_factory=dict)
    refs: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    key_repeats: bool = False
    fees_whole: bool = False
    echo: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the HIS is told.

    state: one of ``reliability.md`` §8 (SETTLED, QUOTED, REJECTED, PENDING …) or DONE for a verb without a case.
    code: stable, for machines; message_zh: for the cashier; content: ``result``, ``funds``, ``lines``, ``person`` …;
    refs: references the answer names, minted or repeated; next: what may be done now.
    """

    state: str
    code: str
    message_zh: str
    content: Content = field(default_factory=dict)
    refs: Mapping[str, str] = field(default_factory=dict)
    next: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a centre.

    step: its name in the plan; message: the infno or the legacy dialect's message; kind_class: R P U C N X or "session".
    content: the encounter's sections plus ``trial``, ``settled``, ``original`` (what a reversal names) as far as they stand.
    msgid: the id this wire knows, already in the journal when the call leaves.
    """

    step: str
    message: str
    kind_class: str
    content: Content
    msgid: str
    refs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """A centre's reply, read.  code and text as the centre gave them; warnings: departures that change no outcome."""

    mark: Mark
    code: str = ""
    text: str = ""
    content: Content = field(default_factory=dict)
    refs: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
