"""Samples: messages in files with the national values they mean, written by us with fictional people.

Beside ``2410.request.txt`` stands ``2410.request.json``: ``{"content", "refs", "echo", "keys", …}`` for a request,
``{"asked": "2410.request.txt", "mark", "code", "content", "refs"}`` for a reply.  Numbers are texts there; ``x`` is
left out: it is the dialect's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_core.province.messages import Operation
from adapter_core.province.table_dialect import TableDialect
from adapter_core.values.content import canonical
from adapter_core.values.frames import Frame

REQUEST_PARTS = ("verb", "message", "kind", "otherwise", "content", "refs", "keys", "echo", "key_repeats", "fees_whole")
REPLY_PARTS = ("mark", "code", "content", "refs")


@dataclass(frozen=True, slots=True)
class Sample:
    """One message as it crosses the wire, and what it means.  asked: the request a reply answers, None for a request."""

    name: str
    frame: Frame
    expected: Mapping[str, Any]
    asked: Frame | None = None

    @property
    def is_reply(self) -> bool:
        return self.asked is not None


def load_samples(dialect: TableDialect, folder: Path) -> tuple[Sample, ...]:
    """All samples of a folder, sorted by name.  A message file without expected values is an error."""
    samples = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json":
            continue
        expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
        asked_name = expected.get("asked")
        frame = dialect.read_frame_file(path.read_bytes(), path.name, reply=bool(asked_name))
        asked = (
            dialect.read_frame_file((folder / asked_name).read_bytes(), asked_name, reply=False) if asked_name else None
        )
        samples.append(Sample(path.name, frame, expected, asked))
    return tuple(samples)


def meaning(dialect: TableDialect, sample: Sample) -> dict[str, Any]:
    """What the dialect reads in a sample, in the form of its expected values."""
    read: Any
    parts: tuple[str, ...]
    if sample.asked is None:
        read, parts = dialect.decode_request(sample.frame), REQUEST_PARTS
    else:
        read, parts = dialect.decode_reply(dialect.decode_request(sample.asked), sample.frame), REPLY_PARTS
    values: Any = canonical({part: _bare(getattr(read, part)) for part in parts})
    return {part: value for part, value in values.items() if value not in ("", {}, False)}


def http_sample(path: Path) -> tuple[str, dict[str, str], bytes]:
    """The path, headers and body of a request kept as ``….request.http``: request line, headers, an empty line, body."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    first, *rows = head.decode("utf-8").splitlines()
    return first.split()[1], dict(row.split(": ", 1) for row in rows), body.rstrip(b"\n")


def said(tree: Any) -> Any:
    """A message's tree without the fields that say nothing: a gateway takes an empty text and a missing field alike."""
    if isinstance(tree, dict):
        return {name: said(part) for name, part in tree.items() if part not in ("", None)}
    return tree


def operation_of(dialect: TableDialect, sample: Sample) -> Operation:
    """The operation of a request sample, or the one that a reply sample answers."""
    return dialect.decode_request(sample.asked or sample.frame)


def _bare(value: Any) -> Any:
    """Without ``x``, the dialect's own."""
    if isinstance(value, Mapping):
        return {name: _bare(part) for name, part in value.items() if name != "x"}
    if isinstance(value, list):
        return [_bare(part) for part in value]
    return value


BuildDialect = Callable[[dict[str, Any]], TableDialect]
"""A dialect from the TOML tree of a table: for laws that change the table."""
