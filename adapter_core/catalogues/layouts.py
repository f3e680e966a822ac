"""How a catalogue's file is laid out.  No public source says it, so all of it is the site's own to set; the defaults are plain.

A layouts file is TOML, one table for each catalogue:

    [1301]
    separator = "\\t"        # between cells
    charset = "utf-8"       # or gb18030
    heading = false         # the first line of each text names the columns, and is no row
    columns = []            # names in order; empty: column_1, column_2 …
    key = []                # the columns that tell rows apart; empty: the first one
    count = true            # as many rows as the centre said (data_cnt)

Columns that bear a name of the standard are understood: ``ver`` (the next download starts from the greatest), ``vali_flag`` and
``enddate`` (whether a row has ended), the first ``…_codg`` or ``…_code`` (its code), the first ``…name`` (its name).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

from adapter_core.formats.archives import opened_texts, text_lines
from adapter_core.standard.transactions import all_infnos
from adapter_core.values.errors import ConfigError, Fault, TranslationError

FAULTS_MAX = 10
CHARSETS = ("utf-8", "gb18030")
VERSION, VALID, END = "ver", "vali_flag", "enddate"


@dataclass(frozen=True, slots=True)
class Layout:
    """See the module."""

    separator: str = "\t"
    charset: str = "utf-8"
    heading: bool = False
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    count: bool = True

    def rows(self, source: bytes | Path, name: str) -> Iterator[dict[str, str]]:
        """The rows of a downloaded file.  Raises: TranslationError, as soon as ten lines are wrong or the file ends."""
        faults: list[Fault] = []
        columns = self.columns
        with opened_texts(source, name) as texts:
            for title, stream in texts:
                for number, cells in self._lines(stream):
                    columns = columns or tuple(f"column_{place}" for place in range(1, len(cells) + 1))
                    if len(cells) != len(columns):
                        wanted, got = f"{len(columns)} 列", f"{len(cells)} 列"
                        faults.append(Fault(f"{title}, line {number}", wanted, got))
                    if len(faults) >= FAULTS_MAX:
                        break
                    if not faults:
                        yield dict(zip(columns, cells, strict=True))
        if faults:
            text = "目录文件的列数与配置不符或文件不完整，未采用"
            raise TranslationError(faults, code="BAD_FILE", message_zh=text)

    def _lines(self, stream: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(text_lines(stream, self.charset), start=1):
            if number == 1 and self.heading:
                continue
            if line:
                yield number, line.split(self.separator)

    def key_of(self, row: Mapping[str, str]) -> str:
        names = self.key or tuple(row)[:1]
        return "\x1f".join(row[name] for name in names)


def read_layouts(raw: str, name: str) -> dict[str, Layout]:
    """The layouts of a site.  Raises: ConfigError with every fault."""
    try:
        tree = tomllib.loads(raw)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: {error}") from None
    faults: list[str] = []
    layouts = {}
    for infno, given in tree.items():
        if infno not in all_infnos():
            faults.append(f"{infno}: no such transaction")
        elif not isinstance(given, dict):
            faults.append(f"{infno}: a table")
        else:
            faults += [f"{infno}.{fault}" for fault in _faults(given)]
            layouts[infno] = given
    if faults:
        raise ConfigError(f"{name}: " + "; ".join(faults))
    return {infno: _layout(given) for infno, given in layouts.items()}


def _layout(given: Mapping[str, Any]) -> Layout:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return Layout(**values)


def _faults(given: Mapping[str, Any]) -> list[str]:
    wanted = {one.name: type(one.default) for one in fields(Layout)}
    faults = [f"{name}: no such key" for name in given if name not in wanted]
    for name, kind in wanted.items():
        value = given.get(name)
        if value is None:
            continue
        if kind is tuple and not _texts(value):
            faults.append(f"{name}: a list of texts")
        elif kind is not tuple and not isinstance(value, kind):
            faults.append(f"{name}: {kind.__name__}")
    if not faults:
        layout = _layout(given)
        if not layout.separator:
            faults.append("separator: not empty")
        if layout.charset not in CHARSETS:
            faults.append(f"charset: one of {', '.join(CHARSETS)}")
        if len(set(layout.columns)) != len(layout.columns):
            faults.append("columns: each name once")
        faults += [f"key: no column {name}" for name in layout.key if name not in _names(layout)]
    return faults


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one for one in value)


def _names(layout: Layout) -> Sequence[str]:
    return layout.columns or tuple(f"column_{place}" for place in range(1, 500))
