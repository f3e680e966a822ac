"""Values that must not show: a Secret prints as stars everywhere but where it is asked for by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Secret:
    """A PIN, key or token.  ``reveal()`` is the one way to the text."""

    _text: str

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__
