"""Faults by rule: which request meets which actions.

An action is a text, ``"commit"``, ``"delay(0.2)"``, ``"error(-1,文本)"``, or an object,
``{"action": "delay", "s": 0.2}``.
Actions run in order.  Without one of the *ends* below the true answer is sent at the end, and the request takes effect
before it if no action made it do so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

REQUIRED = object()

PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    # effects
    "commit": {},
    "commit_after": {"s": REQUIRED},
    "delay": {"s": REQUIRED},
    "hook": {"url": REQUIRED},
    # ends: the true answer is not sent
    "refuse": {"s": 2.0},
    "accept_close": {},
    "read_close": {},
    "rst": {},
    "restart": {"forget": ""},
    "hang": {"s": None},
    "drop": {},
    "reply": {"status": 200, "headers": None, "body": ""},
    "garbage": {},
    "html": {},
    "gzipbomb": {},
    "redirect": {},
    "other_reply": {"msgid": REQUIRED},
    "error": {"infcode": "-1", "text": ""},
    # forms of sending it
    "truncate": {"n": REQUIRED},
    "drip": {"bytes_per_s": REQUIRED},
    "dup_reply": {},
}
_SECONDS = frozenset({"s", "bytes_per_s"})
_COUNTS = frozenset({"n", "status"})
_TEXT_ACTION = re.compile(r"([a-z_]+)(?:\((.*)\))?", re.DOTALL)
CONNECTION_ACTIONS = frozenset({"refuse", "accept_close"})


@dataclass(frozen=True, slots=True)
class Action:
    """One action and its arguments, complete and of the right type."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class FaultRule:
    """infno, psn_no: None = any.  nth: None = every one.  seen: how many matched since the rule was set."""

    actions: tuple[Action, ...]
    infno: str | None = None
    nth: int | None = None
    psn_no: str | None = None
    seen: int = 0

    @property
    def at_connection(self) -> bool:
        """Acts before a byte is read: it can name no request."""
        unnamed = self.infno is None and self.psn_no is None
        return unnamed and bool(self.actions) and self.actions[0].name in CONNECTION_ACTIONS

    @property
    def at_once(self) -> bool:
        """A ``refuse`` that names no request and no count: the listener closes when the rule is set, one time."""
        return self.at_connection and self.nth is None and self.actions[0].name == "refuse"

    def meets(self, infno: str, psn_no: str) -> bool:
        """Count a request if it is this rule's; whether the rule acts on it."""
        if self.infno not in (None, infno) or self.psn_no not in (None, psn_no):
            return False
        self.seen += 1
        return self.nth in (None, self.seen)


class RuleBook:
    """The standing rules.  Each counts its own; the first that acts decides."""

    def __init__(self, rules: Iterable[FaultRule] = ()) -> None:
        self.rules = list(rules)

    def for_request(self, infno: str, psn_no: str) -> tuple[Action, ...]:
        acting = [rule for rule in self.rules if not rule.at_connection and rule.meets(infno, psn_no)]
        return acting[0].actions if acting else ()

    def for_connection(self) -> tuple[Action, ...]:
        acting = [rule for rule in self.rules if rule.at_connection and not rule.at_once and rule.meets("", "")]
        return acting[0].actions if acting else ()

    @property
    def closes(self) -> float | None:
        """Seconds for which the listener closes at once."""
        return next((float(rule.actions[0].arguments["s"]) for rule in self.rules if rule.at_once), None)


def read_rules(rows: object) -> RuleBook:
    """The rules of ``POST /_sim/rules``.  Raises: ValueError saying what is wrong."""
    if not isinstance(rows, list):
        raise ValueError("rules: a list is expected")
    return RuleBook(_rule(row) for row in rows)


def _rule(row: object) -> FaultRule:
    if not isinstance(row, Mapping) or not isinstance(row.get("actions"), list):
        raise ValueError('a rule is {"infno", "nth", "psn_no", "actions": […]}')
    unknown = set(row) - {"infno", "nth", "psn_no", "actions"}
    if unknown:
        raise ValueError(f"a rule has no {', '.join(sorted(unknown))}")
    nth = row.get("nth")
    if nth is not None and (not isinstance(nth, int) or isinstance(nth, bool) or nth < 1):
        raise ValueError("nth counts from 1")
    return FaultRule(tuple(map(read_action, row["actions"])), _name(row.get("infno")), nth, _name(row.get("psn_no")))


def _name(value: object) -> str | None:
    return None if value in (None, "", "*") else str(value)


def read_action(value: object) -> Action:
    """One action from its text or object form.  Raises: ValueError."""
    if isinstance(value, str):
        found = _TEXT_ACTION.fullmatch(value.strip())
        if found is None:
            raise ValueError(f"no action: {value[:60]!r}")
        name, inner = found[1], found[2]
        named = _positional(name, inner)
    elif isinstance(value, Mapping) and isinstance(value.get("action"), str):
        name = value["action"]
        named = {key: one for key, one in value.items() if key != "action"}
    else:
        raise ValueError("an action is a text or an object with 'action'")
    return Action(name, _complete(name, named))


def _positional(name: str, inner: str | None) -> dict[str, Any]:
    names = list(_parameters(name))
    if not inner:
        return {}
    # The last parameter takes what is left, commas and all: it is a text or a URL.
    values = [one.strip() for one in inner.split(",", len(names) - 1)] if names else [inner]
    if len(values) > len(names):
        raise ValueError(f"{name} takes no arguments")
    return dict(zip(names, values, strict=False))


def _parameters(name: str) -> Mapping[str, Any]:
    if name not in PARAMETERS:
        raise ValueError(f"no action {name!r}; there are {', '.join(PARAMETERS)}")
    return PARAMETERS[name]


def _complete(name: str, named: Mapping[str, Any]) -> dict[str, Any]:
    parameters = _parameters(name)
    unknown = set(named) - set(parameters)
    if unknown:
        raise ValueError(f"{name} has no {', '.join(sorted(unknown))}")
    arguments = {}
    for parameter, default in parameters.items():
        value = named.get(parameter, default)
        if value is REQUIRED:
            raise ValueError(f"{name} needs {parameter}")
        arguments[parameter] = _typed(name, parameter, value)
    return arguments


def _typed(name: str, parameter: str, value: Any) -> Any:
    try:
        if parameter in _SECONDS and value is not None:
            seconds = float(value)
            if not 0 <= seconds < 1e6 or (parameter == "bytes_per_s" and not seconds):
                raise ValueError
            return seconds
        if parameter in _COUNTS:
            return int(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {parameter} is no number: {value!r}") from None
    return value
