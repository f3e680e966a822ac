"""Makes ``docs/reference/failure-reasons.md``: ``python -m adapter_core.province.reasons_page [--check]``."""

from __future__ import annotations

import sys

from adapter_core.province.filing_channels import channels, needs
from adapter_core.province.policy import Reason, action_words, reasons
from adapter_core.standard.reference import is_fresh
from adapter_core.standard.source import PACKAGE

PAGE = PACKAGE.parent / "docs" / "reference" / "failure-reasons.md"
CLASS_WORDS = {
    "eligibility": "the person",
    "policy": "the rules",
    "data": "what the hospital sent",
    "transport": "the line or the far system",
    "remote_business": "the far system's answer",
    "local": "this adapter, the till or the card reader",
}
PIPELINE_WORDS = {"refused": "nothing applied", "unknown": "evidence decides", "adopt": "the centre may hold it"}


def page() -> str:
    """The whole page as Markdown, made from ``schemas/policy`` alone."""
    found = reasons()
    parts = [
        "# Why a direct settlement fails",
        "",
        "<!-- Made by `python -m adapter_core.province.reasons_page`; do not edit. -->",
        "",
        f"The one catalogue (`schemas/policy/failure-reasons.json`): {len(found)} reasons. `code` is stable, in answers it stands in",
        "capitals; the words are for cashier and patient. A reason is reached by facts wherever a fact exists, by text only where a",
        "text was seen in public; any other text is kept whole and told as unknown. “Money” is what the reason means for the money",
        "state when a centre answers so.",
        "",
        *_reason_tables(found),
        "## What to do next",
        "",
        "| code | words |",
        "|---|---|",
        *(f"| `{code}` | {words} |" for code, words in sorted(action_words().items())),
        "",
        "## Where it can be put right",
        "",
        "By place of insurance, the nearest first (`schemas/policy/filing-channels.toml`). Evidence: A an official text or the source",
        "says it, B secondary, C known only for another business or not verified.",
        "",
        "| place of insurance | kind | channel | for | evidence | source |",
        "|---|---|---|---|---|---|",
        *(
            f"| {one.region or 'everywhere'} | {one.kind} | {one.name} | {', '.join(one.does)} | {one.evidence} | {one.source} |"
            for one in channels()
        ),
        "",
        "| reason | needs |",
        "|---|---|",
        *(f"| `{code}` | {need} |" for code, need in needs().items()),
        "",
    ]
    return "\n".join(parts)


def _reason_tables(found: dict[str, Reason]) -> list[str]:
    parts = []
    for name, words in CLASS_WORDS.items():
        rows = [one for one in found.values() if one.reason_class == name]
        parts += [
            f"## {words[0].upper()}{words[1:]}",
            "",
            "| code | cashier | patient | next | money | texts seen |",
            "|---|---|---|---|---|---|",
            *map(_row, rows),
            "",
        ]
    return parts


def _row(one: Reason) -> str:
    steps = ", ".join(f"`{step}`" for step in one.next)
    texts = "<br>".join(one.texts)
    cells = (f"`{one.code}`", one.cashier_zh, one.patient_zh, steps, PIPELINE_WORDS[one.pipeline], texts)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` only compare it.  Exit codes: 0, 1 stale, 2 wrong arguments."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m adapter_core.province.reasons_page [--check]\n")
        return 2
    made = page().encode()
    if not arguments:
        PAGE.write_bytes(made)
        return 0
    if is_fresh(PAGE, made):
        return 0
    sys.stderr.write(f"{PAGE.name} is stale: run python -m adapter_core.province.reasons_page\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
