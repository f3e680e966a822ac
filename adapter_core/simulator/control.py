"""The control side of the simulated centre, ``/_sim/…``, for loopback callers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from adapter_core.formats.json import read_json, write_json
from adapter_core.simulator.faults import RuleBook, read_rules
from adapter_core.simulator.people import person_from
from adapter_core.simulator.performance import WireEntry
from adapter_core.simulator.truth import truth_of
from adapter_core.simulator.wire import HttpReply, HttpRequest
from adapter_core.simulator.world import World
from adapter_core.values.errors import TranslationError
from adapter_core.values.moments import parse_national_time

PREFIX = "/_sim/"


class Controlled(Protocol):
    """What the control side steers."""

    world: World

    @property
    def entries(self) -> list[WireEntry]: ...

    def reset(self, seed: int) -> None: ...

    def set_rules(self, rules: RuleBook) -> None: ...

    def set_time(self, now: Any) -> None: ...


def control(centre: Controlled, request: HttpRequest) -> HttpReply:
    """Answer one control request.  Faults in it: 400 with ``{"error"}``."""
    handler = _HANDLERS.get((request.method, request.path.removeprefix(PREFIX)))
    if handler is None:
        known = ", ".join(f"{method} {PREFIX}{name}" for method, name in _HANDLERS)
        return _told({"error": f"there are {known}"}, 404)
    try:
        body = read_json(request.body) if request.body.strip() else {}
        return _told(handler(centre, body))
    except (ValueError, KeyError, TypeError, AttributeError, TranslationError) as error:
        return _told({"error": f"{type(error).__name__}: {error}"}, 400)


def _told(tree: object, status: int = 200) -> HttpReply:
    return HttpReply(write_json(tree), status)


def _reset(centre: Controlled, body: Mapping[str, Any]) -> object:
    centre.reset(int(body.get("seed", centre.world.seed)))
    return {"seed": centre.world.seed}


def _people(centre: Controlled, body: Any) -> object:
    rows = body["people"] if isinstance(body, Mapping) else body
    people = [person_from(row) for row in rows]
    for person in people:
        centre.world.people.put(person)
    return {"people": len(people)}


def _rules(centre: Controlled, body: Any) -> object:
    book = read_rules(body.get("rules") if isinstance(body, Mapping) else body)
    centre.set_rules(book)
    return {"rules": len(book.rules)}


def _truth(centre: Controlled, body: Any) -> object:
    return truth_of(centre.world)


def _wire(centre: Controlled, body: Any) -> object:
    return [asdict(entry) for entry in centre.entries]


def _temperament(centre: Controlled, body: Mapping[str, Any]) -> object:
    centre.world.temperament = centre.world.temperament.changed(body)
    now = asdict(centre.world.temperament)
    return {name: str(value) if isinstance(value, float) else value for name, value in now.items()}


def _clock(centre: Controlled, body: Mapping[str, Any]) -> object:
    now = body.get("now")
    centre.set_time(None if now is None else parse_national_time(now))
    return {"now": now}


_HANDLERS: Mapping[tuple[str, str], Callable[[Controlled, Any], object]] = {
    ("POST", "reset"): _reset,
    ("POST", "people"): _people,
    ("POST", "rules"): _rules,
    ("GET", "truth"): _truth,
    ("GET", "wire"): _wire,
    ("POST", "temperament"): _temperament,
    ("POST", "clock"): _clock,
}
