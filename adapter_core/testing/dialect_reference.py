"""Makes ``docs/reference/dialects/``: ``python -m adapter_core.testing.dialect_reference [--check]``.

One page for each dialect of the installed plugins that is a field table: its frame, its messages with their evidence, and of each
record every place with its local name, its national field and how it is written.  Nothing is typed here: the tables say it all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from adapter_core.bootstrap.site import plugins
from adapter_core.formats.tables.spec import FrameSpec, Message, MessageSide, Record, Row, Success, TableSpec, Target
from adapter_core.province.table_dialect import TableDialect
from adapter_core.standard.reference import is_fresh
from adapter_core.standard.source import PACKAGE
from adapter_core.values.errors import ConfigError

FOLDER = PACKAGE.parent / "docs" / "reference" / "dialects"
INDEX = "README.md"
MADE = "<!-- Made by `python -m adapter_core.testing.dialect_reference`; do not edit. -->"
NATIONAL_NOWHERE = "–"


def reference_pages() -> dict[str, str]:
    """Every page's Markdown by its file name.  Raises: ConfigError for a plugin that doesn't load."""
    loaded = plugins()
    if loaded.broken:
        raise ConfigError("; ".join(f"{one.name}: {one.reason}" for one in loaded.broken))
    found: dict[str, tuple[str, TableSpec]] = {}
    for province in loaded.provinces:
        for name in province.dialects:
            dialect = loaded.dialect(name)
            if isinstance(dialect, TableDialect):
                found[name] = (province.name, dialect.table.spec)
    pages = {f"{name}.md": _page(name, plugin, spec) for name, (plugin, spec) in sorted(found.items())}
    return {INDEX: _index(found), **pages}


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` only compare them.  Exit codes: 0, 1 stale, 2 wrong arguments."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m adapter_core.testing.dialect_reference [--check]\n")
        return 2
    pages = {name: text.encode() for name, text in reference_pages().items()}
    left_over = [path for path in FOLDER.glob("*.md") if path.name not in pages]
    if arguments:
        stale = [name for name, page in pages.items() if not is_fresh(FOLDER / name, page)]
        stale += [path.name for path in left_over]
        for name in stale:
            sys.stderr.write(f"dialects/{name} is stale: run python -m adapter_core.testing.dialect_reference\n")
        return 1 if stale else 0
    _write(FOLDER, pages, left_over)
    return 0


def _write(folder: Path, pages: Mapping[str, bytes], left_over: Iterable[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pages.items():
        (folder / name).write_bytes(page)
    for path in left_over:
        path.unlink()


def _index(found: Mapping[str, tuple[str, TableSpec]]) -> str:
    rows = [
        f"| [`{name}`]({name}.md) | {_cell(spec.title)} | `{plugin}` | {spec.frame.kind} | {len(spec.messages)} |"
        for name, (plugin, spec) in sorted(found.items())
    ]
    return "\n".join(
        [
            "# Dialects: every field",
            "",
            MADE,
            "",
            "What each local interface's messages hold, place by place, with the national field that each place is. The pages are made",
            "from the plugins' tables; a site's options (`codes.*`, `layout.*`) change them, see the plugin's README. How a table is",
            "written: [tutorial](../../tutorials/write-a-province-plugin.md).",
            "",
            "| dialect | interface | plugin | frame | messages |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _page(name: str, plugin: str, spec: TableSpec) -> str:
    records = {
        record.name: record
        for message in spec.messages.values()
        for side in (message.ask, message.tell)
        for record in side.records
    }
    around = [("request", spec.envelope["ask"]), ("reply", spec.envelope["tell"])]
    parts = [
        f"# `{name}`: {_cell(spec.title)}",
        "",
        MADE,
        "",
        f"Plugin `{plugin}`; what is evidenced and what is configuration: its README. E read in a public source, D deduced.",
        "",
        *_frame(spec),
        *_messages(spec),
        *(line for side, record in around if record.rows for line in _record(f"Around every {side}", record)),
        *(line for record in records.values() for line in _record(f"Record `{record.name}`", record)),
        *_codes(records.values()),
        *_not_supported(spec),
    ]
    return "\n".join(parts)


def _frame(spec: TableSpec) -> list[str]:
    frame = spec.frame
    rows = [
        ("frame", frame.kind),
        ("charset", frame.charset),
        ("function", frame.function),
        ("message number at", frame.code),
        *_frame_marks(frame),
        ("success", _success(spec.success)),
        ("failure is told", _form(spec.failure.places)),
        ("unknown outcome is told", _form(spec.unknown.places)),
        ("reads as empty", " ".join(f"`{text}`" for text in spec.blank if text)),
        (
            "site options",
            ", ".join(f"`{key}` = {f'`{value}`' if value else 'nothing'}" for key, value in spec.options.items()),
        ),
    ]
    return ["| | |", "|---|---|", *(f"| {key} | {_cell(value)} |" for key, value in rows if value), ""]


def _frame_marks(frame: FrameSpec) -> list[tuple[str, str]]:
    marks = [(name, getattr(frame, name)) for name in ("start", "part", "row", "cell", "element", "end")]
    told = " ".join(f"{name} `{mark}`" for name, mark in marks if mark)
    soap = " ".join(f"{key} `{value}`" for key, value in frame.soap.items())
    limit = f"{frame.limit} bytes at most" if frame.limit else ""
    return [("marks", told), ("SOAP", soap), ("size", limit)]


def _success(success: Success) -> str:
    tests = {
        "is": success.equal,
        "is not": success.not_equal,
        "is at least": success.least,
        "is above": success.above,
    }
    told = next(f"`{success.at}` {words} `{value}`" for words, value in tests.items() if value is not None)
    return told + "".join(f", and `{place}` is `{text}`" for place, text in success.also.items())


def _form(places: Mapping[str, str]) -> str:
    return ", ".join(f"`{place}` = `{text}`" for place, text in places.items())


def _messages(spec: TableSpec) -> list[str]:
    head = [
        "## Messages",
        "",
        "| message | name | does | evidence | keys | request | reply |",
        "|---|---|---|---|---|---|---|",
    ]
    return [*head, *(_message(message) for message in spec.messages.values()), ""]


def _message(message: Message) -> str:
    told = "" if message.code == message.id else f" (`{message.code}`)"
    match = "".join(f", `{place}` = {'/'.join(values)}" for place, values in message.match.items())
    keys = "; ".join(f"{name} = {' + '.join(parts)}" for name, parts in message.keys.items())
    verb = f"{message.verb}, else {message.otherwise}" if message.otherwise else message.verb
    cells = (
        f"`{message.id}`{told}{match}",
        message.title,
        verb,
        message.evidence,
        keys,
        _side(message.ask),
        _side(message.tell),
    )
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _side(side: MessageSide) -> str:
    heads = [_link(record) for record in side.head]
    rows = [f"{_link(record)} × n" for record in side.rows]
    return " + ".join([*heads, *rows]) or ("anything" if side.any else "nothing")


def _link(record: Record) -> str:
    return f"[{record.name}](#record-{record.name.lower()})"


def _record(title: str, record: Record) -> list[str]:
    facts = [
        f"at `{record.at}`" if record.at else "",
        f"one of `{record.into}` each" if record.into else "",
        f"cells: {record.least} to {record.cells}" if record.cells and record.least != record.cells else "",
        f"cells: {record.cells}" if record.cells and record.least == record.cells else "",
        f"contains {', '.join(sorted(record.within))}" if record.within else "",
    ]
    told = "; ".join(fact for fact in facts if fact)
    lines = [f"## {title}", "", *([f"{told}.", ""] if told else [])]
    lines += ["| place | local name | national field | how | |", "|---|---|---|---|---|"]
    lines += [_row(row, record) for row in record.rows]
    lines += [
        f"| – | always | `{_national(implied.target, record)}` | = `{implied.value}` | {_where(implied.needs, record)} |"
        for implied in record.implied
    ]
    lines += [
        f"| – | {_cell(derived.title)} | `{_national(derived.target, record)}` | = {_sum(derived.terms, record)} | |"
        for derived in record.derived
    ]
    return [*lines, ""]


def _row(row: Row, record: Record) -> str:
    joint = {"parts": " + ", "joined": " & "}.get(row.meaning, ", ")
    place = joint.join(f"{key}*" if key == row.rest else str(key) for key in row.places)
    between = " + " if row.meaning == "sum" else " = "
    national = between.join(f"`{_national(target, record)}`" for target in row.targets) or NATIONAL_NOWHERE
    if row.meaning == "constant":
        national = f"= `{row.constant}`"
    notes = [
        "required" if row.must else "",
        f"written `{row.write}` when absent" if row.write and row.meaning != "constant" else "",
        f"where {', '.join(f'{key} is {_either(wanted)}' for key, wanted in row.when)}" if row.when else "",
    ]
    how = "kept as it came" if row.meaning == "kept" else "" if row.meaning == "constant" else row.how.how
    cells = (place, row.title, national, how, "; ".join(note for note in notes if note))
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _either(values: Iterable[str]) -> str:
    return "/".join(sorted(values))


def _national(target: Target, record: Record) -> str:
    return str(target) if target.section else f"{record.into}.{target.field}"


def _where(needs: Target | None, record: Record) -> str:
    return f"where `{_national(needs, record)}` is said" if needs is not None else ""


def _sum(terms: Iterable[tuple[int, Target]], record: Record) -> str:
    told = " ".join(f"{'+' if sign > 0 else '-'} `{_national(target, record)}`" for sign, target in terms)
    return told.removeprefix("+ ")


def _codes(records: Iterable[Record]) -> list[str]:
    tables = {
        row.how.how.partition(":")[2]: row.how.codes
        for record in records
        for row in record.rows
        if row.how.codes and row.meaning not in ("kept", "constant")
    }
    if not tables:
        return []
    lines = ["## Codes", "", "| table | local → national |", "|---|---|"]
    for name, codes in sorted(tables.items()):
        told = ", ".join(f"`{local}` → `{national}`" for local, national in codes.items())
        lines.append(f"| {name} | {_cell(told)} |")
    return [*lines, ""]


def _not_supported(spec: TableSpec) -> list[str]:
    if not spec.unsupported:
        return []
    told = [f"- `{code}` {title}" for code, title in spec.unsupported.items()]
    return [
        "## Not supported",
        "",
        "Known by number, without an evidenced layout: answered with `NotSupported`.",
        "",
        *told,
        "",
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
