"""One seed's hostile day: what the gateway declares, what the centre truly does, how the HIS behaves, which faults come.

Truth stays inside the declaration.  Nothing but the seed enters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from adapter_core.province.capabilities import Capabilities
from adapter_core.settlement.place import Timers
from adapter_core.testing.simtest.centre import Temperament
from adapter_core.testing.simtest.his import Habits
from adapter_core.values.copies import replace

NATIONAL_SHARE = 0.08
TWO_VISITS_SHARE = 0.12
TWO_PHASE_SHARE = 0.2
PHARMACY_SHARE = 0.12
LISTS_SALES_SHARE = 0.6
SWEEPS_SHARE = 0.25
TWO_REPLICAS_SHARE = 0.4
WITNESSED_SHARE = 0.15
PAPERS_SHARE = 0.2
MORNING = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
"""09:00 in China."""

WEATHER: tuple[tuple[str, float, dict[str, float]], ...] = (
    ("calm", 0.05, {}),
    ("tired network", 0.30, {"net.": 0.08, "centre.": 0.08, "db.read.slow": 0.005}),
    ("crashes", 0.22, {"crash.": 0.03, "net.": 0.04, "pause.": 0.02, "db.slow.": 0.04}),
    ("frozen machines", 0.16, {"pause.": 0.05, "net.": 0.05, "db.slow.": 0.08, "db.read.slow": 0.01, "clock.": 0.15}),
    ("bad disk", 0.12, {"db.": 0.03, "db.read.slow": 0.02, "db.read.refused": 0.005, "net.": 0.05, "crash.": 0.02}),
    ("everything", 0.15, {"net.": 0.07, "crash.": 0.02, "pause.": 0.02, "db.": 0.02, "db.read.refused": 0.003,
                          "db.read.slow": 0.005, "centre.": 0.05, "clock.": 0.3}),
)  # fmt: skip
ALWAYS = {
    "net.settle.lost": 0.12, "net.settle.late": 0.15, "net.settle.reply.lost": 0.15, "net.refund.reply.lost": 0.1,
    "net.reverse.lost": 0.1, "net.reverse.late": 0.1, "net.reverse.reply.lost": 0.1, "net.other.": 0.01,
    "net.confirm.lost": 0.15, "net.confirm.late": 0.15, "net.confirm.reply.lost": 0.15, "net.confirm.unsent": 0.1,
    "crash.before.INTENT.confirm": 0.05, "crash.after.INTENT.confirm": 0.05, "crash.before.OUTCOME.confirm": 0.05,
    "crash.after.OUTCOME.settle": 0.02, "pause.after.byte.confirm": 0.05, "net.settle.reply.slow": 0.15, "net.settle.copy": 0.2, "net.settle.copy.first_unheard": 0.7, "pause.after.INTENT.": 0.03, "pause.after.byte.settle": 0.06,
    "centre.reversal_ignored": 0.4,
    "crash.before.OUTCOME.settle": 0.02, "crash.before.CANCEL_ASKED": 0.05, "crash.after.CANCEL_ASKED": 0.05,
    "db.lost.INTENT.settle": 0.02, "db.ambiguous.INTENT.settle": 0.02, "db.refused.INTENT.settle": 0.01,
    "db.failover": 0.3, "db.reconnect": 0.2, "crash.any": 0.15, "his.answer.lost": 0.05, "his.unreachable": 0.02,
}  # fmt: skip
"""Where the money is decided, faults are frequent in every weather but calm; before it they only keep a day from beginning."""


@dataclass(frozen=True, slots=True)
class Plan:
    """sweeps: registrations are swept while the HIS is at work, at any moment.  stops_at: virtual seconds after which no new fault comes.  late_s: the longest a request truly takes.
    one_encounter: two visits are two bills of one encounter.  witnessed: every replica keeps a witness, and the database may fail
    over."""

    seed: int
    weather: str
    lane: str
    replicas: int
    visits: int
    capabilities: Capabilities
    temperament: Temperament
    timers: Timers
    habits: Habits
    rates: dict[str, float] = field(default_factory=dict)
    late_s: float = 0.0
    copies: bool = False
    pause_max_s: float = 60.0
    one_encounter: bool = False
    on_unknown: str = "adopt"
    lease_s: float = 45.0
    second: str = ""
    stops_at: float = 300.0
    began: datetime = MORNING
    witnessed: bool = False
    sweeps: bool = False


def plan_of(seed: int) -> Plan:
    """The day this seed means."""
    random = Random(seed)
    weather, rates = _weather(random)
    capabilities = _capabilities(random)
    lane = "national" if random.random() < NATIONAL_SHARE else "cheap"
    replicas = 2 if random.random() < TWO_REPLICAS_SHARE else 1
    visits = 2 if random.random() < TWO_VISITS_SHARE else 1
    late = capabilities.late_commit_s * random.choice((0.1, 1.0, 1.0))
    temperament = _temperament(random, capabilities)
    second, temperament = _second(seed, lane, temperament)
    temperament = replace(temperament, lists_sales=Random(seed ^ 0x5A1E5).random() < LISTS_SALES_SHARE)
    return Plan(
        seed=seed,
        second=second,
        weather=weather,
        lane=lane,
        replicas=replicas,
        visits=visits,
        capabilities=capabilities,
        temperament=temperament,
        timers=_timers(random),
        habits=_of_kind(seed, lane, _with_papers(seed, _habits(random))),
        rates=rates,
        late_s=late,
        copies=random.random() < 0.5,
        one_encounter=random.random() < 0.4,
        pause_max_s=random.choice((20.0, 90.0, 400.0)),
        on_unknown=random.choices(("adopt", "reverse"), weights=(3, 1))[0],
        lease_s=random.choice((10.0, 10.0, 45.0)),
        stops_at=random.choice((60.0, 240.0, 900.0)),
        began=MORNING + timedelta(minutes=random.choice((0, 0, 240, 895))),
        witnessed=random.random() < WITNESSED_SHARE,
        sweeps=Random(seed ^ 0x5EE9).random() < SWEEPS_SHARE,
    )


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as a regression file keeps it: a later change of `plan_of` doesn't touch it."""
    return {**asdict(plan), "began": plan.began.isoformat()}


def plan_from(data: Mapping[str, Any]) -> Plan:
    """The inverse of `plan_data`."""
    parts: dict[str, Any] = {
        "capabilities": Capabilities(**data["capabilities"]),
        "temperament": Temperament(**_tuples(data["temperament"])),
        "timers": Timers(**_tuples(data["timers"])),
        "habits": Habits(**data["habits"]),
        "began": datetime.fromisoformat(data["began"]),
    }
    return Plan(**{**data, **parts})


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def _weather(random: Random) -> tuple[str, dict[str, float]]:
    name, _, rates = random.choices(WEATHER, weights=[row[1] for row in WEATHER])[0]
    strength = random.choice((0.4, 1.0, 1.0, 2.0))
    always = ALWAYS if rates else {}
    return name, {point: min(0.6, rate * strength) for point, rate in {**rates, **always}.items()}


def _capabilities(random: Random) -> Capabilities:
    late = random.choice((4.0, 40.0, 120.0, 600.0))
    return Capabilities(
        query_after_unknown=random.choices(("by_visit", "by_setl_id_only", "none"), weights=(6, 2, 2))[0],
        query_lag_s=random.choice((0.0, 0.5, 20.0, 60.0)),
        late_commit_s=late,
        second_negative_s=random.choice((0.5, 30.0)),
        reverse_missing=random.choice(("ok", "error")),
        reverse_window=random.choices(("same_day", "until_cleared"), weights=(3, 2))[0],
        reverse_ok=random.choices(("effective", "effective_after", "nothing"), weights=(4, 3, 1))[0],
        reverse_ok_after_s=random.choice((1.0, 45.0)),
        may_repeat=random.random() < 0.08,
        money_deadline_s=min(random.choice((2.0, 10.0, 30.0)), late * 0.75),
        inpatient_deadline_s=min(random.choice((30.0, 120.0)), late * 0.75),
        read_deadline_s=random.choice((3.0, 10.0)),
    )


def _temperament(random: Random, declared: Capabilities) -> Temperament:
    after = declared.reverse_ok_after_s if declared.reverse_ok != "effective" else 0.0
    return Temperament(
        query=declared.query_after_unknown,
        lag_s=declared.query_lag_s * random.choice((0.0, 0.5, 1.0, 1.0)),
        reverse_missing=declared.reverse_missing,
        reverse_window=declared.reverse_window,
        reverse_ok_after_s=after * random.choice((0.0, 1.0, 1.0)),
        reverse_ok_means=declared.reverse_ok != "nothing",
        refuse_second=random.random() < 0.3,
        dedup_msgid=random.random() < 0.3,
        empty_query_refuses=random.random() < 0.3,
        shares=random.choice(((60,), (60,), (60, 55), (0, 40), (100,))),
    )


SECONDS = (
    # what the route declares, what the centre truly does
    ('handle = "ours", shows = "confirmed", silence = "undone"', {"unconfirmed": True}),
    ('handle = "theirs", shows = "confirmed", silence = "undone"', {"unconfirmed": True}),
    ('handle = "theirs", shows = "unknown", silence = "undone", repeatable = true', {"unconfirmed": True, "confirm_again": True}),
    ('handle = "ours", shows = "prepared", repeatable = true', {"shows_prepared": True, "confirm_again": True}),
    ('handle = "theirs", shows = "prepared", repeatable = true', {"shows_prepared": True, "confirm_again": True}),
)  # fmt: skip


def _second(seed: int, lane: str, temperament: Temperament) -> tuple[str, Temperament]:
    """The second phase of this day's route, drawn apart so that the other draws stay as they are."""
    random = Random(seed ^ 0x2FA5E)
    if lane != "cheap" or random.random() >= TWO_PHASE_SHARE:
        return "", temperament
    declared, truth = random.choice(SECONDS)
    waits = random.choice((5.0, 60.0, 300.0)) if truth.get("unconfirmed") else 0.0
    centre = replace(
        temperament,
        two_phase=True,
        unconfirmed_s=waits,
        shows_prepared=truth.get("shows_prepared", False) or ("unknown" in declared and random.random() < 0.5),
        confirm_again=truth.get("confirm_again", False),
        abort_undoes=random.random() < 0.5,
    )
    return f'{{ confirm = "commit", abort = "rollback", {declared} }}', centre


def _timers(random: Random) -> Timers:
    return Timers(
        gate=random.choice((0.5, 2.0, 5.0)),
        query_steps=random.choice(((2.0, 5.0, 15.0, 30.0, 60.0), (0.5, 1.0))),
        query_step_last=random.choice((20.0, 300.0)),
    )


def _of_kind(seed: int, lane: str, habits: Habits) -> Habits:
    """Stays admitted through the adapter, and sales: drawn apart, and only where the lane's plan doesn't ask for all that a real
    admission says."""
    random = Random(seed ^ 0xAD317)
    if lane != "cheap":
        return habits
    if random.random() < PHARMACY_SHARE:
        return replace(habits, kind="pharmacy")
    return replace(habits, admits=random.random() < 0.5)


def _habits(random: Random) -> Habits:
    return Habits(
        kind=random.choices(("outpatient", "inpatient"), weights=(2, 3))[0],
        quotes_first=random.random() < 0.25,
        twice_at_once=random.choice((0.0, 0.5)),
        repeats=random.choice((0.1, 0.5)),
        cancels=random.choice((0.0, 0.1, 0.5)),
        voids=random.choice((0.0, 0.3, 0.9)),
        rude=random.choice((0.0, 0.1, 0.3)),
        haste=random.choice((0.0, 0.3)),
        keys=random.choice((1, 2, 3)),
        turns=random.choice((4, 12)),
    )


def _with_papers(seed: int, habits: Habits) -> Habits:
    """Days on which papers are asked for, drawn apart so that the other draws stay as they are."""
    random = Random(seed ^ 0x9A9E5)
    if random.random() >= PAPERS_SHARE:
        return habits
    return replace(habits, papers=random.choice((0.3, 0.8)))
