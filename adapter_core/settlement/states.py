"""The states of a case and the moves between them (`reliability.md` §5)."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a case stands; DONE only for an outbox item.  Its own name is what the HIS is told, but for SENDING and RESOLVING, told as PENDING."""

    PREPARING = "PREPARING"
    READY = "READY"
    QUOTED = "QUOTED"
    SENDING = "SENDING"
    CONFIRMING = "CONFIRMING"
    RESOLVING = "RESOLVING"
    REVERSING = "REVERSING"
    SETTLED = "SETTLED"
    VOIDING = "VOIDING"
    VOIDED = "VOIDED"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"
    NOT_APPLIED = "NOT_APPLIED"
    REVERSED = "REVERSED"
    CANCELLED = "CANCELLED"
    FROZEN = "FROZEN"
    MANUAL_OPEN = "MANUAL_OPEN"
    MANUAL_SUBMITTED = "MANUAL_SUBMITTED"
    MANUAL_CLOSED = "MANUAL_CLOSED"
    MANUAL_REVOKED = "MANUAL_REVOKED"
    DONE = "DONE"


S = State

RELEASED = frozenset(
    {S.NOT_SENT, S.REJECTED, S.NOT_APPLIED, S.REVERSED, S.VOIDED, S.CANCELLED, S.MANUAL_REVOKED},
)
"""States in which a case no longer holds its visit.  In every other one no second case, no fee change, no paper set."""

UNDECIDED = frozenset({S.SENDING, S.CONFIRMING, S.RESOLVING, S.REVERSING})
"""Money may have moved and nobody knows: told as PENDING, never as a failure."""

OWNED = frozenset({S.PREPARING, S.READY, S.SENDING, S.CONFIRMING, S.RESOLVING, S.REVERSING})
"""States in which one process is at work on a case; in every other one it is released."""

PAPER = frozenset({S.MANUAL_OPEN, S.MANUAL_SUBMITTED, S.MANUAL_CLOSED})
"""The visit is held by manual-reimbursement papers: only they may act on it."""

TERMINAL = frozenset(
    {S.SETTLED, S.REJECTED, S.NOT_APPLIED, S.REVERSED, S.VOIDED, S.CANCELLED, S.MANUAL_CLOSED},
)

MOVES: dict[State, frozenset[State]] = {
    S.PREPARING: frozenset({S.READY, S.QUOTED, S.REJECTED, S.NOT_SENT, S.CANCELLED, S.PREPARING}),
    S.READY: frozenset({S.QUOTED, S.SENDING, S.REJECTED, S.NOT_SENT, S.CANCELLED, S.PREPARING, S.DONE}),
    S.QUOTED: frozenset({S.SENDING, S.CANCELLED, S.READY, S.PREPARING, S.REJECTED, S.NOT_SENT}),
    S.SENDING: frozenset({S.SETTLED, S.VOIDED, S.REJECTED, S.NOT_SENT, S.READY, S.RESOLVING, S.CONFIRMING}),
    S.CONFIRMING: frozenset({S.SETTLED, S.VOIDED, S.RESOLVING}),
    S.RESOLVING: frozenset({S.CONFIRMING, S.SETTLED, S.VOIDED, S.REVERSING, S.REVERSED, S.NOT_APPLIED, S.FROZEN}),
    S.REVERSING: frozenset({S.REVERSED, S.NOT_APPLIED, S.FROZEN, S.REVERSING}),
    S.SETTLED: frozenset({S.VOIDING}),
    S.VOIDING: frozenset({S.VOIDED, S.SETTLED}),
    S.FROZEN: frozenset({S.SETTLED, S.VOIDED, S.NOT_APPLIED, S.REVERSED, S.RESOLVING}),
    S.NOT_SENT: frozenset({S.READY, S.PREPARING, S.CANCELLED, S.MANUAL_OPEN}),
    S.REJECTED: frozenset({S.MANUAL_OPEN}),
    S.NOT_APPLIED: frozenset({S.MANUAL_OPEN}),
    S.REVERSED: frozenset({S.MANUAL_OPEN}),
    S.VOIDED: frozenset({S.MANUAL_OPEN}),
    S.CANCELLED: frozenset({S.MANUAL_OPEN}),
    S.MANUAL_OPEN: frozenset({S.MANUAL_SUBMITTED, S.MANUAL_REVOKED}),
    S.MANUAL_SUBMITTED: frozenset({S.MANUAL_CLOSED, S.MANUAL_REVOKED}),
    S.MANUAL_CLOSED: frozenset(),
    S.MANUAL_REVOKED: frozenset(),
    S.DONE: frozenset(),
}


class Result(StrEnum):
    """What is known of one call.  Anything not proved to be one of the first three is UNKNOWN."""

    APPLIED = "APPLIED"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"
    UNKNOWN = "UNKNOWN"
