"""What may stand in a log, an alarm or an error that leaves the process: no number that names a person, no control characters.

The centre's own words (``err_msg``) may name the patient, which no pattern finds, so they stay in the ledger; logs carry the
code and the reason that the policy gives it.
"""

from __future__ import annotations

import re

TEXT_MAX = 200
DIGITS = 10
_NUMBERS = re.compile(rf"\d{{{DIGITS},}}[0-9Xx]")
"""Identity, phone, card and person numbers; ours of such a length go in fields of their own."""
_CJK = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]+")


def printable(text: str, limit: int = TEXT_MAX) -> str:
    """Cut to ``limit`` characters, control and format characters escaped: one log line stays one line."""
    cut = text[:limit]
    if cut.isprintable():  # nearly always, and a hundred times quicker
        return cut
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in cut)


def masked(text: str, limit: int = TEXT_MAX) -> str:
    """`printable`, with every number of 11 or more digits starred out.  Masked before it is cut, or a cut number slips through."""
    return printable(_NUMBERS.sub("***", text) if len(text) > DIGITS else text, limit)


def foreign(text: str, limit: int = TEXT_MAX) -> str:
    """`masked` for what a library says of bytes we gave it: its Chinese can only be the message's own."""
    return masked(_CJK.sub("***", text), limit)
