"""Texts of others that a person is shown: a centre's ``err_msg`` may hold anything."""

from __future__ import annotations

SHOWN_MAX = 200


def shown(text: str, limit: int = SHOWN_MAX) -> str:
    """One line of at most ``limit`` characters: control and format characters become spaces, what is longer ends in ``…``."""
    line = "".join(one if one.isprintable() else " " for one in text[: limit + 1]).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
