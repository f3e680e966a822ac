"""Reading: the places of a record into national sections, by functions prepared once per table.

Most rows are plain (one place, one field) and run in one tight loop; each other row is a small closure.  All faults of a
message are gathered; nothing stops at the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any

from adapter_core.formats.tables.converters import Unfit
from adapter_core.formats.tables.spec import Key, MessageSide, Record, Row, Target
from adapter_core.standard.scalars import shape
from adapter_core.values.errors import Fault

Source = Any
"""What a record is read from: a list of cells, or a mapping of paths that gives "" for what is missing."""


@dataclass(slots=True)
class Gathered:
    """What has been read of one message so far."""

    sections: defaultdict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    lists: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    faults: list[Fault] = field(default_factory=list)
    later: list[Callable[[], None]] = field(default_factory=list)

    def fault(self, prefix: str, row: Row, key: Key, expected: str, got: str) -> None:
        self.faults.append(Fault(place_name(prefix, key), expected, got, row.title))

    def content(self) -> dict[str, Any]:
        """Sections that hold something, lists that have elements."""
        found: dict[str, Any] = {name: values for name, values in self.sections.items() if values}
        found.update({name: values for name, values in self.lists.items() if values})
        return found


def place_name(prefix: str, key: Key) -> str:
    """A local place in the family's own words: ``part [6] row 2 cell [8]``, ``output.akc264``, ``part [3]``."""
    if isinstance(key, int):
        return f"{prefix} cell [{key}]".lstrip()
    if key.startswith("part."):
        return f"part [{key[5:]}]"
    return f"{prefix}.{key}" if prefix else key


@dataclass(slots=True)
class _At:
    """Where a special row works: the record being read."""

    source: Source
    gathered: Gathered
    element: dict[str, Any] | None
    prefix: str


class RecordReader:
    """Reads one kind of record."""

    def __init__(self, record: Record, skip: frozenset[str] = frozenset()) -> None:
        self._record = record
        self._plain = [
            (
                row.places[0],
                row.targets[0].section,
                row.targets[0].field,
                row.how.read if row.how.kind != "text" else None,
                row.absent - {""},
                row.targets if len(row.targets) > 1 or row.targets[0].index is not None else None,
                row,
            )
            for row in record.rows
            if _is_plain(row)
        ]
        special = [row for row in record.rows if not _is_plain(row) and row.meaning != "kept"]
        # A sum is solved for its first target when the others are known.
        special.sort(key=lambda row: row.meaning == "sum")
        self._special = [_special_reader(record, row) for row in special]
        self._kept: dict[Key, tuple[str, frozenset[str]]] = {
            row.places[0]: (row.write or "", row.absent)
            for row in record.rows
            if row.meaning == "kept" and not row.drop
        }
        self._conditional = [
            (place, [row.when for row in record.rows if place in row.places])
            for place in dict.fromkeys(place for row in record.rows if row.when for place in row.places)
        ]
        covered = {place for row in record.rows for place in row.places}
        self._prefix = "" if record.into else f"{record.name}."
        self._always = [
            (implied.target.field, implied.value)
            for implied in record.implied
            if implied.needs is None and not implied.target.section
        ]
        self._sometimes = [implied for implied in record.implied if implied.needs is not None or implied.target.section]
        blank = frozenset[str]().union(*(row.absent for row in record.rows[:1])) or frozenset({""})
        self._kept |= {place: ("", blank) for place in range(record.cells) if place not in covered}
        self._mapped = (covered | skip) - self._kept.keys()
        self._kept_at = itemgetter(*self._kept) if record.positional and self._kept else None
        self._finishes = bool(record.implied or record.derived)

    def read(self, source: Source, gathered: Gathered, element: dict[str, Any] | None, prefix: str) -> None:
        """Add what ``source`` says; faults go to ``gathered``.  element: the list element it is, if any."""
        sections = gathered.sections
        at_place = source.__getitem__ if self._record.positional else source.get
        for key, section, name, convert, absent, targets, row in self._plain:
            text = at_place(key)
            text = text.strip() if text else ""
            if not text or (absent and text in absent):
                if row.must:
                    gathered.fault(prefix, row, key, "必填", "空")
                continue
            value: Any = text
            if convert is not None:
                try:
                    value = convert(text)
                except Unfit as unfit:
                    gathered.fault(prefix, row, key, unfit.expected, shape(text))
                    continue
            if targets is not None:
                agreed = [_agrees(gathered, element, target, value) for target in targets]
                if False in agreed:
                    gathered.fault(prefix, row, key, "与前文一致", shape(text))
            elif not section:
                element[name] = value  # type: ignore[index]
            elif sections[section].setdefault(name, value) != value:
                gathered.fault(prefix, row, key, "与前文一致", shape(text))
        kept = self._kept_cells(source) if self._record.positional else self._kept_paths(source)
        for key, conditions in self._conditional:
            text = source[key].strip()
            if text and not any(_holds(source, condition) for condition in conditions):
                kept[str(key)] = text
        if kept and element is not None:
            element.setdefault("x", {}).update(kept)
        elif kept:
            gathered.sections["x"].update({f"{self._prefix}{key}": text for key, text in kept.items()})
        if self._special:
            at = _At(source, gathered, element, prefix)
            for special in self._special:
                special(at)
        if self._finishes:
            self._finish(gathered, element)

    def _kept_paths(self, source: Source) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for path in [path for path in source if path not in self._mapped]:
            text, rule = source[path], self._kept.get(path)
            if rule is None or ((text := text.strip()) and text not in rule[1] and text != rule[0]):
                kept[path] = text
        return kept

    def _kept_cells(self, source: Source) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        if self._kept_at is not None and any(self._kept_at(source)):
            for key, (default, absent) in self._kept.items():
                text = source[key]
                if text and (text := text.strip()) and text not in absent and text != default:
                    kept[str(key)] = text
        if source.found < self._record.cells:
            kept["cells"] = str(source.found)
        elif source.found > self._record.cells:
            # The frame hands over cells beyond the table's only where the record keeps them.
            kept["rest"] = "\x1f".join(source[self._record.cells :])
        return kept

    def _finish(self, gathered: Gathered, element: dict[str, Any] | None) -> None:
        for name, constant in self._always:
            if element is not None and element.setdefault(name, constant) != constant:
                gathered.faults.append(Fault(name, constant, "另一个值"))
        for implied in self._sometimes:
            if implied.needs is None or _get(gathered.sections, element, implied.needs) is not None:
                home = _home(gathered, element, implied.target)
                if home.setdefault(implied.target.field, implied.value) != implied.value:
                    gathered.faults.append(Fault(str(implied.target), implied.value, "另一个值"))
        for derived in self._record.derived:
            values = [(sign, _get(gathered.sections, element, target)) for sign, target in derived.terms]
            if any(value is not None for _, value in values):
                total = sum((sign * value for sign, value in values if value is not None), Decimal(0))
                _home(gathered, element, derived.target)[derived.target.field] = total


def read_side(side: MessageSide, readers: Mapping[str, RecordReader], opened: Any, gathered: Gathered) -> None:
    """Read all records of one message side.  opened: the frame taken apart (``frames.Opened``)."""
    opened.begin(side)
    for record in side.head:
        source, prefix = opened.head(record, gathered.faults)
        if source is not None:
            readers[record.name].read(source, gathered, None, prefix)
    for record in side.rows:
        elements = gathered.lists[record.into]
        reader = readers[record.name]
        for source, prefix in opened.rows(record, bool(side.head), gathered.faults):
            element: dict[str, Any] = {}
            elements.append(element)
            reader.read(source, gathered, element, prefix)
        if len(elements) < side.rows_least:
            gathered.faults.append(Fault(record.into, f"至少 {side.rows_least} 行", f"{len(elements)} 行"))
    opened.finish(side, gathered.faults)
    for step in gathered.later:
        step()


def _is_plain(row: Row) -> bool:
    if row.meaning not in ("one", "all") or row.when or row.how.kind == "pair":
        return False
    return not any(target.spread or target.section in ("asked", "x") for target in row.targets)


def _agrees(gathered: Gathered, element: dict[str, Any] | None, target: Target, value: Any) -> bool:
    """Put a value where it belongs; False where another one stands there."""
    if target.index is None:
        home = _home(gathered, element, target)
    else:
        elements = gathered.lists[target.section]
        while len(elements) <= target.index:
            elements.append({})
        home = elements[target.index]
    return bool(home.setdefault(target.field, value) == value)


def _holds(source: Source, condition: tuple[tuple[Key, frozenset[str]], ...]) -> bool:
    return all(source[place].strip() in wanted for place, wanted in condition)


def _special_reader(record: Record, row: Row) -> Callable[[_At], None]:
    if row.meaning == "constant":
        return _constant_reader(row)
    if row.meaning == "parts":
        return _parts_reader(record, row)

    key = row.places[0]
    convert = row.how.read

    def read(at: _At) -> None:
        if row.when and not _holds(at.source, row.when):
            return
        text = "".join([at.source[place].strip() for place in row.places])
        if not text or text in row.absent:
            if row.must:
                at.gathered.fault(at.prefix, row, key, "必填", "空")
            return
        try:
            value = convert(text)
        except Unfit as unfit:
            at.gathered.fault(at.prefix, row, key, unfit.expected, shape(text))
            return
        if row.how.kind == "pair":
            _keep_name(at, record, row, text, value)
        if row.meaning == "sum":
            others = (_get(at.gathered.sections, at.element, target) for target in row.targets[1:])
            _put(
                at,
                record,
                row,
                row.targets[0],
                value - sum((other for other in others if other is not None), Decimal(0)),
            )
        else:
            for target in row.targets:
                _put(at, record, row, target, value, text)

    return read


def _constant_reader(row: Row) -> Callable[[_At], None]:
    key = row.places[0]

    def read(at: _At) -> None:
        text = at.source[key].strip()
        if text != row.constant:
            at.gathered.fault(at.prefix, row, key, row.constant, shape(text) if text else "空")

    return read


def _parts_reader(record: Record, row: Row) -> Callable[[_At], None]:
    target = row.targets[0]

    def read(at: _At) -> None:
        total = None
        for key in row.places:
            text = at.source[key].strip()
            if not text or text in row.absent:
                continue
            try:
                value = row.how.read(text)
            except Unfit as unfit:
                at.gathered.fault(at.prefix, row, key, unfit.expected, shape(text))
                continue
            total = value if total is None else total + value
            if key != row.rest and text != row.write:
                _keep(at.gathered, at.element, record, key, text)
        if total is not None:
            _put(at, record, row, target, total)
        elif row.must:
            at.gathered.fault(at.prefix, row, row.places[0], "必填", "空")

    return read


def _keep_name(at: _At, record: Record, row: Row, text: str, value: Any) -> None:
    """The printed name of ``code-name`` is kept where the table would print another."""
    if row.how.write(value) != text:
        _keep(at.gathered, at.element, record, f"{row.places[0]}.name", text.partition("-")[2])


def _put(at: _At, record: Record, row: Row, target: Target, value: Any, text: str = "") -> None:
    gathered = at.gathered
    if target.spread:
        gathered.later.append(lambda: _spread(at, record, row, target, value, text))
        return
    if not _agrees(gathered, at.element, target, value):
        gathered.fault(at.prefix, row, row.places[0], "与前文一致", shape(value))


def _spread(at: _At, record: Record, row: Row, target: Target, value: Any, text: str) -> None:
    elements = at.gathered.lists[target.section]
    if not elements:
        _keep(at.gathered, None, record, row.places[0], text)
    for element in elements:
        if element.setdefault(target.field, value) != value:
            at.gathered.fault(at.prefix, row, row.places[0], "与明细一致", shape(value))


def _keep(gathered: Gathered, element: dict[str, Any] | None, record: Record, key: Key, text: Any) -> None:
    if element is None:
        gathered.sections["x"][f"{record.name}.{key}"] = text
    else:
        element.setdefault("x", {})[str(key)] = text


def _home(gathered: Gathered, element: dict[str, Any] | None, target: Target) -> dict[str, Any]:
    if not target.section:
        assert element is not None
        return element
    if target.section == "x" and element is not None:
        return element.setdefault("x", {})  # type: ignore[no-any-return]
    return gathered.sections["echo" if target.section == "asked" else target.section]


def _get(sections: Mapping[str, Mapping[str, Any]], element: Mapping[str, Any] | None, target: Target) -> Any:
    if not target.section:
        return element.get(target.field) if element is not None else None
    return sections.get(target.section, {}).get(target.field)
