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

ENDED_WITHOUT_MONEY = frozenset({S.REJECTED, S.NOT_APPLIED, S.REVERSED, S.VOIDED, S.CANCELLED, S.MANUAL_REVOKED})
"""States in which a case has ended and left no money at the centre."""

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


STATE_ZH: dict[str, str] = {
    "DONE": "已受理", "PREPARING": "准备中", "READY": "待发送", "QUOTED": "已预结算", "SENDING": "已发送", "CONFIRMING": "确认中",
    "RESOLVING": "核实中", "REVERSING": "冲正中", "SETTLED": "已结算", "VOIDING": "退费中", "VOIDED": "已退费", "REJECTED": "中心拒绝",
    "NOT_SENT": "未送达", "NOT_APPLIED": "未发生", "REVERSED": "已冲正", "CANCELLED": "已取消", "FROZEN": "待人工核定",
    "PENDING": "结果未知，核实中", "MANUAL_OPEN": "已出具手工报销材料", "MANUAL_SUBMITTED": "手工报销材料已交件",
    "MANUAL_CLOSED": "手工报销已办结", "MANUAL_REVOKED": "手工报销材料已作废",
}  # fmt: skip
"""States, inner and as told, for people."""


class Result(StrEnum):
    """What is known of one call.  Anything not proved to be one of the first three is UNKNOWN."""

    APPLIED = "APPLIED"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"
    UNKNOWN = "UNKNOWN"
