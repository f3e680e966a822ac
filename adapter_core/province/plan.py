"""Plans: the sequence of calls an operation needs on a route, as data (`translation.md` §5).

A route is one TOML file: chains of steps; a verb only says how far to go.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter_core.province.messages import KINDS, VERBS
from adapter_core.values.errors import ContractError

CLASSES = frozenset({"R", "P", "U", "C", "N", "X", "session"})


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a route.

    call: infno or legacy message; kind_class: `reliability.md` §2; per: ``encounter`` | ``bill`` (whose standing it is).
    needs: content paths that must be present, else the step is postponed (refused when it is the goal).
    over: content paths; the step stands until their hash changes.  into: the section ``result`` is filed under.
    undo / ask / reverse: steps of this route that take it back, find it, reverse it.
    each, key, chunk: a keyed upload: the list section, the row's key, rows per call.
    confirm / abort: the second phase of a two-phase trade.
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
    reverse: str = ""
    each: str = ""
    key: str = ""
    chunk: int = 0
    confirm: str = ""
    abort: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A named set of chains.  ``goal[kind][verb]`` and ``back[kind][verb]`` name steps."""

    name: str
    steps: Mapping[str, Step]
    chains: Mapping[str, tuple[str, ...]]
    goals: Mapping[str, Mapping[str, str]]
    backs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def goal(self, kind: str, verb: str) -> Step | None:
        """The last step ``verb`` needs on this kind of encounter; None when the route can't do it."""
        name = self.goals.get(kind, {}).get(verb)
        return self.steps[name] if name else None

    def back(self, kind: str, verb: str) -> Step | None:
        """The step ``verb`` takes back."""
        name = self.backs.get(kind, {}).get(verb)
        return self.steps[name] if name else None

    def path(self, kind: str, goal: Step) -> tuple[Step, ...]:
        """The chain's steps up to and with ``goal``."""
        chain = self.chains[kind]
        return tuple(self.steps[name] for name in chain[: chain.index(goal.name) + 1])


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


def _route_faults(route: Route) -> list[str]:
    faults = []
    for step in route.steps.values():
        if step.kind_class not in CLASSES:
            faults.append(f"step {step.name}: class {step.kind_class!r}")
        for link in (step.undo, step.ask, step.reverse, step.confirm, step.abort):
            if link and link not in route.steps:
                faults.append(f"step {step.name}: no step {link!r}")
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
