"""A province's own rules on top of the national ones, as dated data: shown to the window, never computed with.

Benefits are the place of insurance's to compute; what is here says what to check before pricing, and on what basis.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from adapter_core.values.errors import ContractError


@dataclass(frozen=True, slots=True)
class LocalRule:
    """One rule.

    code: stable English; title and says: for people.  begins, ends: first and last day (None = not said).  check: what the
    window checks before pricing.  lists: names of lists that the hospital keeps itself, because none is public.
    """

    code: str
    title: str
    says: str
    begins: date | None = None
    ends: date | None = None
    check: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    def in_force(self, day: date) -> bool:
        """Whether the rule stands on that day, as far as its days are known."""
        return (self.begins is None or self.begins <= day) and (self.ends is None or day <= self.ends)


def load_rules(text: str) -> tuple[LocalRule, ...]:
    """The rules of a TOML file: ``[[rule]]`` with code, title, says, begins, ends, check, list.

    Raises: ContractError naming the rule and what is wrong with it.
    """
    try:
        rows = tomllib.loads(text).get("rule", [])
        rules = tuple(_rule(row) for row in rows)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ContractError(f"local rules: {error}") from None
    codes = [rule.code for rule in rules]
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise ContractError(f"local rules: {', '.join(twice)} twice")
    return rules


def standing(rules: Iterable[LocalRule], day: date) -> tuple[LocalRule, ...]:
    """The rules in force on a day, in their order."""
    return tuple(rule for rule in rules if rule.in_force(day))


def _rule(row: dict[str, object]) -> LocalRule:
    known = {"code", "title", "says", "begins", "ends", "check", "list"}
    if set(row) - known:
        raise KeyError(f"{row.get('code', '?')}: unknown {', '.join(sorted(set(row) - known))}")
    days = {name: date.fromisoformat(str(row[name])) for name in ("begins", "ends") if row.get(name)}
    check, lists = (tuple(str(one) for one in row.get(name, ())) for name in ("check", "list"))  # type: ignore[attr-defined]
    return LocalRule(str(row["code"]), str(row["title"]), str(row["says"]), check=check, lists=lists, **days)
