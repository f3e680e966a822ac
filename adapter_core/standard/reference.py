"""Makes ``docs/reference/standard.md``: ``python -m adapter_core.standard.reference [--check]``."""

from __future__ import annotations

import sys
from pathlib import Path

from adapter_core.standard.describe import CLASS_WORDS, SIDES
from adapter_core.standard.dictionaries import dictionary, dictionary_codes
from adapter_core.standard.fields import Node
from adapter_core.standard.source import PACKAGE
from adapter_core.standard.spellings import spellings
from adapter_core.standard.transactions import Transaction, all_infnos, endpoint, transaction

PAGE = PACKAGE.parent / "docs" / "reference" / "standard.md"


def reference_page() -> str:
    """The whole page as Markdown, made from ``schemas/national`` alone."""
    found = [transaction(infno) for infno in all_infnos()]
    own = [row for row in found if not row.base]
    borrowed = [row.infno for row in found if row.base]
    parts = [
        "# The national data standard: transactions",
        "",
        "<!-- Made by `python -m adapter_core.standard.reference`; do not edit. -->",
        "",
        f"{len(own)} transactions have field tables of their own; {len(borrowed)} more ({', '.join(borrowed)}) are",
        "known to exist and take the tables of another one (“tables of”). This is not the official text: see",
        "`schemas/national/README.md` for the sources, the confidence marks and the known gaps.",
        "`his-adapter standard show <number>` prints every field.",
        "",
        "Classes: " + ", ".join(f"{letter} {word}" for letter, word in CLASS_WORDS.items()) + ".",
        "A node is followed by the number of its fields and, after a slash, of those that are required; `[]` = rows.",
        "",
        *_transaction_table(found),
        "",
        "## Endpoints",
        "",
        "Paths behind the gateway as one source shows them; a gateway may name others.",
        "",
        "| number | path |",
        "|---|---|",
        *(f"| {row.infno} | `{endpoint(row.infno)}` |" for row in found if endpoint(row.infno)),
        "",
        "## Dictionaries",
        "",
        "| field | name | values | confidence | note |",
        "|---|---|---|---|---|",
        *map(_dictionary_row, dictionary_codes()),
        "",
        "## Spellings",
        "",
        "| inside | also read |",
        "|---|---|",
        *(
            f"| `{canonical}` | {' '.join(f'`{other}`' for other in known[1:])} |"
            for canonical, known in spellings().items()
        ),
        "",
    ]
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` only compare it.  Exit codes: 0, 1 stale, 2 wrong arguments."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m adapter_core.standard.reference [--check]\n")
        return 2
    page = reference_page().encode()
    if not arguments:
        PAGE.write_bytes(page)
        return 0
    if is_fresh(PAGE, page):
        return 0
    sys.stderr.write(f"{PAGE.name} is stale: run python -m adapter_core.standard.reference\n")
    return 1


def is_fresh(path: Path, page: bytes) -> bool:
    # A checkout on Windows may have turned the line ends.
    return path.exists() and path.read_bytes().replace(b"\r\n", b"\n") == page


def _transaction_table(found: list[Transaction]) -> list[str]:
    head = "| number | name | class | confidence | tables of | input | output | sources | notes |"
    return [head, "|---|---|---|---|---|---|---|---|---|", *map(_transaction_row, found)]


def _transaction_row(row: Transaction) -> str:
    nodes = ["<br>".join(map(_node_cell, row.nodes(side))) for side in SIDES]
    disputed = sum(
        field.required_disputed or field.length_disputed
        for side in SIDES
        for node in row.nodes(side)
        for field in node.fields
    )
    notes = row.note if row.base else f"fields in dispute: {disputed}" if disputed else ""
    cells = (row.infno, row.name, row.kind_class, row.confidence, row.base, *nodes, str(len(row.sources)), notes)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _node_cell(node: Node) -> str:
    required = sum(field.required for field in node.fields)
    return f"`{node.name}`{'[]' if node.repeat else ''} {len(node.fields)}/{required}"


def _dictionary_row(code: str) -> str:
    found = dictionary(code)
    assert found is not None
    local = f" + {len(found.local_values)} local" if found.local_values else ""
    return f"| `{code}` | {found.name} | {len(found.values)}{local} | {found.confidence} | {found.note} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
