"""Plans: the sequence of calls an operation needs on a route, as data (`translation.md` §5).

A route is one TOML file: chains of steps; a verb only says how far to go.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter_core.province.messages import KINDS, VERBS
from adapter_core.values.errors import ContractError

CLASSES = frozenset({"R", "P", "U", "C", "N", "K", "X", "session"})
"""`reliability.md` §2, and K: the second phase of a two-phase trade, which commits what phase one prepared."""

HANDLES = ("ours", "theirs", "session")
SHOWS = ("confirmed", "prepared", "unknown")
SILENCES = ("undone", "unknown")


@dataclass(frozen=True, slots=True)
class Second:
    """The second phase of a money step (`translation.md` §7).  Every default is the pessimistic one.

    confirm: the step, of class K, that commits what phase one prepared; abort: the step, of class X, that discards it ("" = the
    route has none).
    handle: what confirm and abort name phase one by: ``ours`` (a serial number that we sent, so it is known whatever became of
    the reply), ``theirs`` (only the reply has it), ``session`` (nothing: the centre takes whatever its own session did last,
    so neither may come after a restart or after any other call).
    silence: what the centre does with a trade nobody confirms: ``undone`` | ``unknown``.  It closes nothing by itself.
    repeatable: a confirm whose answer was lost may be sent again; whichever arrives second changes nothing, even after a refund.
    shows: which trades the step's query shows: ``confirmed`` only, ``prepared`` ones as well, or ``unknown``.
    """

    confirm: str
    abort: str = ""
    handle: str = "theirs"
    silence: str = "unknown"
    repeatable: bool = False
    shows: str = "unknown"


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a route.

    call: infno or legacy message; kind_class: `reliability.md` §2; per: ``encounter`` | ``bill`` (whose standing it is).
    needs: content paths that must be present, else the step is postponed (refused when it is the goal).
    over: content paths; the step stands until their hash changes.  into: the section ``result`` is filed under.
    undo / ask / reverse: steps of this route that take it back, find it, reverse it.
    among: for a call that makes a visit of its own, known only from its reply: the step that lists the person's visits, so that
    ``ask`` can be put for each of them.  What it finds is found; what it doesn't show may be there all the same.
    each, key, chunk, chars: a keyed upload: the list section, the row's key, rows and characters per call (0 = no limit);
    row: a section a single row is put in, for calls that take one record (chunk 1).
    drop: how a row is taken back: ``bill`` (all rows of the bill at once) | ``row`` (one by one, in section ``drop``) | ``line``
    (one by one, named by all that was sent of it: in section ``each``, too).
    when: the step is made only while each of these content paths has one of these values.
    given: a content path; where it is there without this step, somebody else made it and it isn't made again.
    change: the step that tells the centre what changed in what this one rests on.
    frees: steps that may not stand while this one adds or drops rows: they are taken back before.
    second: the second phase of a two-phase trade; without one the step's own OK is the settlement.
    bulk: its reply is public data of many megabytes: the journal keeps size and digest, not the bytes.
    """

    name: str
    call: str
    kind_class: str
    per: str = "encounter"
    needs: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    into: str = ""
    undo: str = ""
    ask: str = ""
    among: str = ""
    reverse: str = ""
    each: str = ""
    key: str = ""
    chunk: int = 0
    chars: int = 0
    row: str = ""
    drop: str = "bill"
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    given: str = ""
    change: str = ""
    frees: tuple[str, ...] = ()
    second: Second | None = None
    bulk: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A named set of chains.  ``goal[kind][verb]`` and ``back[kind][verb]`` name steps."""

    name: str
    steps: Mapping[str, Step]
    chains: Mapping[str, tuple[str, ...]]
    goals: Mapping[str, Mapping[str, str]]
    backs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _paths: dict[tuple[str, str], tuple[Step, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _taken_back: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def goal(self, kind: str, verb: str) -> Step | None:
        """The last step ``verb`` needs on this kind of encounter; None when the route can't do it."""
        name = self.goals.get(kind, {}).get(verb)
        return self.steps[name] if name else None

    def back(self, kind: str, verb: str) -> Step | None:
        """The step ``verb`` takes back."""
        name = self.backs.get(kind, {}).get(verb)
        return self.steps[name] if name else None

    def after_money(self, kind: str) -> tuple[Step, ...]:
        """The steps that follow the settlement: sent once it stands, and never part of it."""
        pay = self.goal(kind, "settle")
        chain = self.chains.get(kind, ())
        return tuple(self.steps[name] for name in chain[chain.index(pay.name) + 1 :]) if pay else ()

    def takes_back_money(self, name: str) -> bool:
        """Whether the step of that name takes a settlement back."""
        known = self._taken_back.get(name)
        if known is None:
            known = any(step.undo == name and step.kind_class == "N" for step in self.steps.values())
            self._taken_back[name] = known
        return known

    def path(self, kind: str, goal: Step) -> tuple[Step, ...]:
        """The chain's steps up to and with ``goal``."""
        known = self._paths.get((kind, goal.name))
        if known is None:
            chain = self.chains[kind]
            known = tuple(self.steps[name] for name in chain[: chain.index(goal.name) + 1])
            self._paths[kind, goal.name] = known
        return known


def load_route(text: str, variants: Mapping[str, str] | None = None) -> Route:
    """A route from its TOML text; ``variants`` replaces calls, e.g. ``{"2206": "2206A"}``.

    Raises: ContractError naming every wrong row.
    """
    raw = tomllib.loads(text)
    replaced = variants or {}
    steps: dict[str, Step] = {}
    faults: list[str] = []
    for name, row in raw.get("step", {}).items():
        fields = dict(row)
        try:
            call = fields.pop("call")
            steps[name] = Step(
                name=name,
                call=replaced.get(call, call),
                kind_class=fields.pop("class"),
                needs=tuple(fields.pop("needs", ())),
                over=tuple(fields.pop("over", ())),
                frees=tuple(fields.pop("frees", ())),
                when={path: tuple(values) for path, values in fields.pop("when", {}).items()},
                second=Second(**fields.pop("second")) if "second" in fields else None,
                **fields,
            )
        except (KeyError, TypeError) as error:
            faults.append(f"step {name}: {error}")
    route = Route(
        name=raw.get("route", ""),
        steps=steps,
        chains={kind: tuple(names) for kind, names in raw.get("chain", {}).items()},
        goals=raw.get("goal", {}),
        backs=raw.get("back", {}),
    )
    faults.extend(_route_faults(route))
    if faults:
        raise ContractError(f"route {route.name or '?'}: " + "; ".join(faults))
    return route


def _second_faults(route: Route, step: Step) -> list[str]:
    second = step.second
    if second is None:
        return []
    faults = [] if step.kind_class == "N" else ["only a step of class N has a second phase"]
    for link, kind_class in ((second.confirm, "K"), (second.abort, "X")):
        if link and link not in route.steps:
            faults.append(f"no step {link!r}")
        elif link and route.steps[link].kind_class != kind_class:
            faults.append(f"step {link!r} is not of class {kind_class}")
    for name, value, allowed in (
        ("handle", second.handle, HANDLES),
        ("silence", second.silence, SILENCES),
        ("shows", second.shows, SHOWS),
    ):
        if value not in allowed:
            faults.append(f"{name} is one of {', '.join(allowed)}")
    if second.repeatable and second.handle == "session":
        faults.append("a confirm of the session can't be repeated")
    return faults


def _route_faults(route: Route) -> list[str]:
    faults = []
    for step in route.steps.values():
        if step.kind_class not in CLASSES:
            faults.append(f"step {step.name}: class {step.kind_class!r}")
        for link in (step.undo, step.ask, step.among, step.reverse, step.change, *step.frees):
            if link and link not in route.steps:
                faults.append(f"step {step.name}: no step {link!r}")
        if step.drop not in ("bill", "row", "line"):
            faults.append(f"step {step.name}: drop is bill, row or line")
        faults.extend(f"step {step.name}: second: {fault}" for fault in _second_faults(route, step))
    for kind, chain in route.chains.items():
        if kind not in KINDS:
            faults.append(f"chain {kind!r}: not a kind")
        faults.extend(f"chain {kind}: no step {name!r}" for name in chain if name not in route.steps)
    for title, table in (("goal", route.goals), ("back", route.backs)):
        for kind, verbs in table.items():
            for verb, name in verbs.items():
                if verb not in VERBS:
                    faults.append(f"{title} {kind}: no verb {verb!r}")
                if name not in route.steps:
                    faults.append(f"{title} {kind}.{verb}: no step {name!r}")
                elif title == "goal" and name not in route.chains.get(kind, ()):
                    faults.append(f"goal {kind}.{verb}: {name!r} is not on the chain")
    return faults
