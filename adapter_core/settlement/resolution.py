"""Resolving an unknown outcome: what to do next, and what closes it.  Pure; time is handed in (`reliability.md` §5).

Of all rules tried over all interleavings exactly three are safe: NOT_FOUND after the quiet period, a reversal plus NOT_FOUND after
it, a reversal *sent* after it and answered OK.  Time alone closes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapter_core.province.capabilities import Capabilities
from adapter_core.settlement.place import Timers
from adapter_core.settlement.states import Result, State
from adapter_core.values.copies import replace

REVERSALS_EARLY = 5
REVERSAL_LATER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Reversal:
    """One 2601 and what became of it.  sent_at: not later than it was sent; answered_at: not before the centre took it.
    Both monotonic, this process."""

    sent_at: float
    result: Result
    missing: bool = False
    answered_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """What this process knows of one money call whose outcome is not known.  Times: its own monotonic seconds.

    first_read: when it first knew of the intent.  keep: the HIS still wants it and the site adopts what it finds.
    burnt: a reversal of it is in the journal: it is never adopted.  can_ask / can_reverse: a usable query, a reversal that this
    route and policy allow.  blind: after the quiet period a query still shows another settlement's row of the visit, so it will
    never say that ours is absent.  finds_only: the query may find the call's settlement and can't show that there is none.
    awaits_files: the day's reconciliation files will say whether it is there.  in_window: the centre still takes reversals of it.
    overdue: the end of day T+1 has passed.
    """

    first_read: float
    keep: bool
    burnt: bool
    can_ask: bool
    can_reverse: bool
    in_window: bool
    overdue: bool
    next_ask: float
    next_reversal: float
    blind: bool = False
    finds_only: bool = False
    asked: int = 0
    negatives: tuple[float, ...] = ()
    reversals: tuple[Reversal, ...] = ()
    awaits_files: bool = False
    prepared: bool = False
    can_confirm: bool = False
    refused: bool = False
    absence_proves: bool = True
    next_confirm: float = 0.0


@dataclass(frozen=True, slots=True)
class Move:
    """kind: ``ask`` | ``confirm`` | ``reverse`` | ``wait`` (until) | ``close`` (state, evidence) | ``freeze`` (why)."""

    kind: str
    until: float = 0.0
    state: State = State.FROZEN
    evidence: str = ""
    why: str = ""


def quiet_for_reversal(doubt: Doubt, timers: Timers, capabilities: Capabilities) -> float:
    """From then on nothing of the call can land any more."""
    if doubt.prepared and not capabilities.may_repeat:
        return doubt.first_read
    return doubt.first_read + timers.gate + capabilities.late_commit_s


def quiet_for_query(doubt: Doubt, timers: Timers, capabilities: Capabilities) -> float:
    """From then on an absence may be believed: what landed last shows in a query as well."""
    return quiet_for_reversal(doubt, timers, capabilities) + capabilities.query_lag_s


def next_move(doubt: Doubt, now: float, timers: Timers, capabilities: Capabilities) -> Move:
    """What to do about a doubt at ``now``."""
    closing = _closing(doubt, now, timers, capabilities)
    if closing is not None:
        return closing
    if doubt.overdue:
        return Move("freeze", why="no evidence by the end of day T+1")
    confirms = doubt.can_confirm and doubt.keep and not doubt.burnt
    may_reverse = (
        doubt.can_reverse
        and doubt.in_window
        and not confirms
        and (doubt.burnt or doubt.blind or doubt.refused or not doubt.keep or not doubt.can_ask)
    )
    asks = doubt.can_ask and not (doubt.finds_only and (doubt.burnt or (doubt.blind and not may_reverse)))
    if not asks and not may_reverse and not confirms:
        return _stuck(doubt, now, timers, "nothing can be asked, nothing may be reversed")
    due = []
    if confirms:
        due.append(Move("confirm", until=doubt.next_confirm))
    if asks:
        due.append(Move("ask", until=doubt.next_ask))
    if may_reverse and capabilities.reverse_ok != "nothing":
        due.append(Move("reverse", until=_reversal_due(doubt, timers, capabilities)))
    elif may_reverse and (asks or not doubt.reversals):
        due.append(Move("reverse", until=doubt.next_reversal))  # until a query finds nothing more
    if not due:
        return _stuck(doubt, now, timers, "a reversal's OK proves nothing here, and nothing can be asked")
    first = min(due, key=lambda move: move.until)
    return first if first.until <= now else Move("wait", until=first.until)


def _stuck(doubt: Doubt, now: float, timers: Timers, why: str) -> Move:
    """Nothing more can be done: where the day's files will tell, they are waited for."""
    return Move("wait", until=now + timers.query_step_last) if doubt.awaits_files else Move("freeze", why=why)


def _closing(doubt: Doubt, now: float, timers: Timers, capabilities: Capabilities) -> Move | None:
    proved = doubt.absence_proves and len(doubt.negatives) >= 2
    if proved and doubt.negatives[-1] - doubt.negatives[0] >= capabilities.second_negative_s:
        return Move("close", state=State.REVERSED if doubt.burnt else State.NOT_APPLIED, evidence="E3")
    quiet = quiet_for_reversal(doubt, timers, capabilities)
    for reversal in doubt.reversals:
        if reversal.sent_at < quiet:
            continue
        if reversal.result is Result.APPLIED and _is_effective(reversal, now, capabilities):
            return Move("close", state=State.REVERSED, evidence="E6")
        if reversal.missing and capabilities.reverse_missing == "error":
            return Move("close", state=State.REVERSED, evidence="E6")
    return None


def _is_effective(reversal: Reversal, now: float, capabilities: Capabilities) -> bool:
    match capabilities.reverse_ok:
        case "effective":
            return True
        case "effective_after":
            return now >= reversal.answered_at + capabilities.reverse_ok_after_s
        case _:
            return False


def _reversal_due(doubt: Doubt, timers: Timers, capabilities: Capabilities) -> float:
    """The next 2601: five in the first hour, then hourly, and one as soon as its OK would prove something."""
    quiet = quiet_for_reversal(doubt, timers, capabilities)
    proving = [one for one in doubt.reversals if one.sent_at >= quiet]
    if not proving:
        return min(doubt.next_reversal, quiet) if doubt.next_reversal <= quiet else quiet
    if proving[-1].result is Result.APPLIED and capabilities.reverse_ok == "effective_after":
        return proving[-1].answered_at + capabilities.reverse_ok_after_s
    return doubt.next_reversal


def asked(
    doubt: Doubt, sent_at: float, found_nothing: bool, pause: float, timers: Timers, capabilities: Capabilities
) -> Doubt:
    """The doubt after one query that found nothing, or that gave no answer.

    sent_at: when it was sent; pause: the jittered ladder step until the next.
    """
    quiet = quiet_for_query(doubt, timers, capabilities)
    trusted = found_nothing and sent_at >= quiet and doubt.absence_proves
    negatives = doubt.negatives
    if trusted:
        negatives = (*negatives[:1], sent_at)
    elif not found_nothing:
        negatives = ()
    next_ask = sent_at + pause
    if negatives:
        next_ask = min(next_ask, negatives[0] + capabilities.second_negative_s)
    elif sent_at < quiet < next_ask:
        next_ask = quiet
    return replace(doubt, asked=doubt.asked + 1, negatives=negatives, next_ask=next_ask)


def reversed_once(doubt: Doubt, reversal: Reversal, timers: Timers, capabilities: Capabilities) -> Doubt:
    """The doubt after one 2601 was sent.  The quick tries are counted anew once an OK would prove something."""
    quiet = quiet_for_reversal(doubt, timers, capabilities)
    same_phase = [one for one in doubt.reversals if (one.sent_at >= quiet) is (reversal.sent_at >= quiet)]
    count = len(same_phase) + 1
    pause = timers.reversal_retry if count < REVERSALS_EARLY else REVERSAL_LATER_S
    return replace(doubt, burnt=True, reversals=(*doubt.reversals, reversal), next_reversal=reversal.sent_at + pause)


def found_again(doubt: Doubt, sent_at: float, timers: Timers) -> Doubt:
    """The doubt after a query, sent at ``sent_at``, that still shows what is to be reversed: hourly is for who knows nothing."""
    if not doubt.reversals:
        return doubt
    soon = max(sent_at, doubt.reversals[-1].sent_at + timers.reversal_retry)
    return replace(doubt, next_reversal=min(doubt.next_reversal, soon))


def pause_after(asked_before: int, timers: Timers) -> float:
    """The ladder's step after so many queries, before jitter."""
    steps = timers.query_steps
    return steps[asked_before] if asked_before < len(steps) else timers.query_step_last
