"""What a run must have met: a green run in which nothing happened proves nothing.

Names are the counters of `World.count`.  A new state, event or fault point gets a line here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

ENOUGH_CASES = 2000
"""From so many days on a listed counter at 0 is a failure."""

MANY_CASES = 20_000
RARE = ("evidence E1", "money reply read while REVERSING")
"""Asked for only from so many days on."""

GROUPS: tuple[tuple[str, str], ...] = (
    ("days", "weather "),
    ("lanes", "lane "),
    ("replicas", "replicas "),
    ("states", "state settle "),
    ("refunds", "state void "),
    ("told", "told settle "),
    ("evidence", "evidence "),
    ("settlements of sales", "settle of pharmacy "),
    ("settlements of stays", "settle of inpatient "),
    ("refused", "refused "),
    ("sent", "sent "),
)
"""Title and counter prefix of what the report shows."""

STATES = (
    "PREPARING", "READY", "QUOTED", "SENDING", "CONFIRMING", "RESOLVING", "REVERSING", "REVERSED", "SETTLED", "VOIDING", "VOIDED", "REJECTED", "NOT_SENT",
    "NOT_APPLIED", "CANCELLED", "FROZEN",
)  # fmt: skip
VOID_STATES = ("READY", "SENDING", "RESOLVING", "VOIDED", "NOT_APPLIED", "NOT_SENT", "FROZEN")
TOLD = (
    "PENDING", "QUOTED", "SETTLED", "REJECTED", "NOT_SENT", "NOT_APPLIED", "REVERSED", "CANCELLED", "FROZEN", "VOIDED", "VOIDING",
)  # fmt: skip
CRASHES = (
    "ACCEPTED", "PREPARED", "INTENT.settle", "INTENT.reverse", "REPLY", "OUTCOME.settle", "OUTCOME.find", "TOLD", "CLAIMED",
    "RETRIED", "CANCEL_ASKED", "INTENT.confirm",
)  # fmt: skip
WIRE = (
    "lost", "late", "crossed", "reset", "unsent", "connect", "reply.lost", "reply.cut", "reply.garbage", "reply.status",
    "reply.slow", "reply.unbalanced",
)  # fmt: skip
OTHERS = (
    "gate closed",
    "node killed",
    "node paused",
    "lane national",
    "lane cheap",
    "two phases",
    "sent 2102",
    "sent 2103",
    "sent 3505",
    "settle of pharmacy closed by E2",
    "settle of pharmacy closed by E6",
    "settle of inpatient closed by E2",
    "state after DONE",
    "sent 2202",
    "swept cancelled",
    "sent 2401",
    "sent 2301",
    "sent 2302",
    "sent 2402",
    "sent 49CO",
    "sent 49AB",
    "fault crash.before.OUTCOME.confirm",
    "fault net.confirm.lost",
    "fault net.confirm.unsent",
    "fault net.confirm.reply.lost",
    "replicas 1",
    "replicas 2",
    "event CLAIMED",
    "event REVERSE_INTENT",
    "event CANCEL_ASKED",
    "event DECIDED",
    "conflict MsgidTaken",
    "conflict VersionMoved",
    "conflict VisitHeld",
    "ambiguous commit landed late",
    "fault crash.any",
    "fault pause.any",
    "fault clock.jump",
    "fault db.reconnect",
    "tail lost",
    "refused LEDGER_BEHIND",
    "fault pause.before.gate.settle",
    "fault crash.after.byte.settle",
    "fault pause.after.byte.settle",
    "fault net.settle.copy",
    "fault centre.refused",
    "fault centre.unlisted",
    "fault centre.applied_but_error",
    "fault his.answer.lost",
    "refused KEY_REUSED",
    "refused VISIT_HELD",
    "refused LEDGER_UNAVAILABLE",
)


def required() -> Iterable[str]:
    """Every counter that must not be 0."""
    yield from (f"state settle {state}" for state in STATES)
    yield from (f"state void {state}" for state in VOID_STATES)
    yield from (f"told settle {state}" for state in TOLD)
    yield from (f"evidence {name}" for name in ("E2", "E3", "E5", "E6"))
    yield from (f"fault crash.{when}.{event}" for when in ("before", "after") for event in CRASHES)
    yield from (f"fault pause.after.{event}" for event in ("INTENT.settle", "INTENT.reverse", "TOLD", "REPLY"))
    yield from (f"fault net.settle.{what}" for what in WIRE)
    yield from (f"fault net.reverse.{what}" for what in ("lost", "late", "unsent", "reply.lost"))
    yield from (f"fault db.{what}.INTENT.settle" for what in ("slow", "refused", "lost", "ambiguous"))
    yield from OTHERS


def missing(counts: Counter[str], cases: int) -> list[str]:
    """The counters that are 0 after so many days and must not be."""
    rare = RARE if cases >= MANY_CASES else ()
    return [name for name in (*required(), *rare) if cases >= ENOUGH_CASES and not counts[name]]


def told_groups(counts: Counter[str]) -> list[tuple[str, Sequence[tuple[str, int]]]]:
    """What the report shows: title, and names with their counts."""
    shown: list[tuple[str, Sequence[tuple[str, int]]]] = []
    for title, prefix in GROUPS:
        rows = [(name.removeprefix(prefix), count) for name, count in sorted(counts.items()) if name.startswith(prefix)]
        shown.append((title, rows))
    faults = Counter[str]()
    for name, count in counts.items():
        if name.startswith("fault "):
            faults[".".join(name.removeprefix("fault ").split(".")[:2])] += count
    shown.append(("faults", sorted(faults.items())))
    others = ("gate closed", "node killed", "node paused", "ambiguous commit landed late")
    shown.append(("others", [(name, counts[name]) for name in others]))
    return shown
