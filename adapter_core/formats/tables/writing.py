"""Writing: national sections into the places of a record.  Outside what the table can say nothing is written; an amount
that has no place stops the message instead of vanishing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from adapter_core.formats.tables.converters import Unfit
from adapter_core.formats.tables.reading import place_name
from adapter_core.formats.tables.spec import Key, MessageSide, Record, Row, Target
from adapter_core.standard.scalars import shape
from adapter_core.values.errors import Fault

AMOUNTS_TOLD = (
    "medfee_sumamt",
    "fund_pay_sumamt",
    "acct_pay",
    "acct_mulaid_pay",
    "psn_cash_pay",
    "hosp_part_amt",
    "hifp_pay",
    "cvlserv_pay",
    "hifes_pay",
    "hifmi_pay",
    "hifob_pay",
    "maf_pay",
    "oth_pay",
)
"""Amounts of a settlement that a reply must not lose; psn_part_amt is acct_pay + psn_cash_pay."""

Sections = Mapping[str, Any]
_NOTHING: Mapping[str, Any] = {}


class _Into:
    """The record being written: its places, what it is written from, and the faults so far."""

    __slots__ = ("element", "faults", "places", "prefix", "sections")

    def __init__(
        self, places: Any, sections: Sections, element: Sections | None, faults: list[Fault], prefix: str
    ) -> None:
        self.places = places
        self.sections = sections
        self.element = element
        self.faults = faults
        self.prefix = prefix

    def fault(self, row: Row, key: Key, expected: str, got: str) -> None:
        self.faults.append(Fault(place_name(self.prefix, key), expected, got, row.title))


class RecordWriter:
    """Writes one kind of record.  blank: what an absent value is written as in a cell."""

    def __init__(self, record: Record, blank: str) -> None:
        self._record = record
        self._positional = record.positional
        usual = {place: row.write for row in record.rows if row.write is not None for place in row.places}
        self._template: Any = [usual.get(place, blank) for place in range(record.cells)] if self._positional else usual
        self._plain = [
            (
                row.places[0],
                row.targets[0].section,
                row.targets[0].field,
                row.targets[0].index,
                row.targets[1:],
                row.how.write,
                row.how.kind == "text",
                row.absent - {""},
                row,
            )
            for row in record.rows
            if _is_plain(row)
        ]
        self._special = [
            _special_writer(record, row) for row in record.rows if not _is_plain(row) and row.meaning != "kept"
        ]
        self._checks = bool(record.implied or record.derived)
        covered = {place for row in record.rows if row.meaning not in ("kept",) for place in row.places}
        self._free = [place for place in range(record.cells) if place not in covered]
        conditional = {place for row in record.rows if row.when for place in row.places}
        self._free += sorted(int(place) for place in conditional if self._positional)
        self._prefix = "" if record.into else f"{record.name}."
        self._kept_names = [(place, f"{self._prefix}{place}") for place in self._free]
        self._rest_name, self._cells_name = f"{self._prefix}rest", f"{self._prefix}cells"
        self.told = frozenset(
            [target.field for row in record.rows for target in row.targets if target.section == "result"]
            + [derived.target.field for derived in record.derived]
            + [path.removeprefix("result.") for path in record.within]
        )
        """What of a settlement's result has a place here, or is contained in what has one."""
        self._not_kept = covered | {
            target.field for row in record.rows for target in row.targets if target.section == "x"
        }

    def write(self, sections: Sections, element: Sections | None, faults: list[Fault], prefix: str) -> Any:
        """The record's places, a list of cells or a mapping of paths; faults are added to ``faults``."""
        places: Any = self._template.copy()
        kept = sections.get("x", _NOTHING) if element is None else element.get("x", _NOTHING)
        if kept:
            self._restore(places, kept)
        for key, section, name, index, others, render, is_text, absent, row in self._plain:
            home: Any = sections.get(section, _NOTHING) if section else element
            if index is not None:
                home = home[index] if index < len(home) else None
            value = None if home is None else home.get(name)
            if others:
                value = _agreed(value, others, sections, element, place_name(prefix, key), row.title, faults)
            if value is None:
                if row.must:
                    faults.append(Fault(place_name(prefix, key), "必填", "空", row.title))
                continue
            if is_text and type(value) is str:
                text = value
            else:
                try:
                    text = render(value)
                except Unfit as unfit:
                    faults.append(Fault(place_name(prefix, key), unfit.expected, shape(value), row.title))
                    continue
            if (not text.strip() or (absent and text in absent)) and not isinstance(value, Decimal):
                faults.append(Fault(place_name(prefix, key), "不读作空的值", shape(value), row.title))
            places[key] = text
        if self._special or self._checks:
            into = _Into(places, sections, element, faults, prefix)
            for special in self._special:
                special(into)
            self._check(into)
        return self._tail(places, kept) if self._positional and kept else places

    def _restore(self, places: Any, kept: Sections) -> None:
        """Local values without a national home, as they were read."""
        if self._positional:
            for place, name in self._kept_names:
                text = kept.get(name)
                if text is not None:
                    places[place] = text
            return
        start = len(self._prefix)
        for path, text in kept.items():
            if path.startswith(self._prefix) and path[start:] not in self._not_kept:
                places[path[start:]] = text

    def _tail(self, places: list[str], kept: Sections) -> list[str]:
        """Cells beyond the table's, and the number of cells, where the message that was read had another."""
        rest = kept.get(self._rest_name)
        if rest:
            return [*places, *str(rest).split("\x1f")]
        count = kept.get(self._cells_name)
        return places[: int(count)] if count else places

    def _check(self, into: _Into) -> None:
        for implied in self._record.implied:
            value = _get(into, implied.target)
            needed = implied.needs is None or _get(into, implied.needs) is not None
            if needed and value is not None and value != implied.value:
                into.faults.append(Fault(str(implied.target), f"{implied.value}（此报文只能表示这个值）", shape(value)))
        for derived in self._record.derived:
            told = _get(into, derived.target)
            if told is None:
                continue
            terms = [(sign, _get(into, target)) for sign, target in derived.terms]
            total = sum([sign * Decimal(value) for sign, value in terms if value is not None], Decimal(0))
            if total != told:
                into.faults.append(Fault(str(derived.target), f"{total}（由报文各项得出）", str(told), derived.title))


def write_side(
    side: MessageSide, writers: Mapping[str, RecordWriter], sections: Sections, building: Any, faults: list[Fault]
) -> None:
    """Write all records of one message side into ``building`` (``frames.Building``); faults are added to ``faults``.

    Whether it has a place for every amount is asked once for all messages (`untold_amounts`).
    """
    number = 0
    for record in side.head:
        number += 1
        building.add_head(record, writers[record.name].write(sections, None, faults, building.prefix(record, number)))
    for record in side.rows:
        writer = writers[record.name]
        elements = sections.get(record.into, ())
        if len(elements) < side.rows_least:
            faults.append(Fault(record.into, f"至少 {side.rows_least} 行", f"{len(elements)} 行"))
        building.add_rows(
            record,
            [
                writer.write(sections, element, faults, building.prefix(record, number + index))
                for index, element in enumerate(elements, 1)
            ],
        )


def untold_amounts(side: MessageSide, writers: Mapping[str, RecordWriter]) -> tuple[str, ...]:
    """The amounts of a settlement that a message side has no place for; none of one that tells no settlement."""
    told = frozenset[str]().union(*(writers[record.name].told for record in side.records))
    return () if told.isdisjoint(AMOUNTS_TOLD) else tuple(name for name in AMOUNTS_TOLD if name not in told)


def refuse_untold(amounts: tuple[str, ...], sections: Sections, faults: list[Fault]) -> None:
    """A fault for each of these amounts that there is."""
    result = sections.get("result", _NOTHING)
    for name in amounts:
        if result.get(name):
            faults.append(Fault(f"result.{name}", "0（此报文没有这项金额的位置）", str(result[name])))


def _is_plain(row: Row) -> bool:
    """Whether a row's value stands in a section, in a list's element by number or in the record's own element."""
    if row.meaning not in ("one", "all") or row.when or row.how.kind == "pair":
        return False
    return not any(target.spread or target.section in ("asked", "x") for target in row.targets)


def _agreed(
    value: Any,
    others: tuple[Target, ...],
    sections: Sections,
    element: Sections | None,
    place: str,
    title: str,
    faults: list[Fault],
) -> Any:
    """The one value that a row's targets have; a fault where they differ."""
    differs = False
    for target in others:
        home: Any = sections.get(target.section, _NOTHING) if target.section else element
        if target.index is not None:
            home = home[target.index] if target.index < len(home) else None
        other = None if home is None else home.get(target.field)
        if value is None:
            value = other
        differs = differs or (other is not None and other != value)
    if differs:
        faults.append(Fault(place, "处处相同的值", "不同的值", title))
    return value


def _special_writer(record: Record, row: Row) -> Callable[[_Into], None]:
    if row.meaning == "constant":
        return lambda into: into.places.__setitem__(row.places[0], row.constant)
    if row.meaning == "parts":
        return _parts_writer(record, row)

    key = row.places[0]
    lengths = [len(piece) for piece in row.how.pattern.split("&")] if row.meaning == "joined" else []

    def write(into: _Into) -> None:
        if row.when and any(_text_at(into.places, place) not in wanted for place, wanted in row.when):
            return
        value = _value(into, row)
        if value is None:
            kept = _kept(into, record, key) if row.targets[0].spread else None
            if kept is not None:
                into.places[key] = kept
            elif row.must:
                into.fault(row, key, "必填", "空")
            return
        try:
            text = row.how.write(value)
        except Unfit as unfit:
            into.fault(row, key, unfit.expected, shape(value))
            return
        if row.how.kind == "pair":
            text = _with_name(into, record, row, text)
        if (text in row.absent or not text.strip()) and not isinstance(value, Decimal):
            into.fault(row, key, "不读作空的值", shape(value))
        start = 0
        for place, length in zip(row.places, lengths, strict=False):
            into.places[place] = text[start : start + length]
            start += length
        if not lengths:
            into.places[key] = text

    return write


def _value(into: _Into, row: Row) -> Any:
    """The one value a row writes: a sum of its targets, or what all of them say.

    In a sum a payment that isn't told is 0 (I13); anything else, a balance, isn't: then there is no sum.
    """
    if row.meaning == "sum" and row.targets[0].field not in AMOUNTS_TOLD and _get(into, row.targets[0]) is None:
        return None
    found = [value for target in row.targets if (value := _get(into, target)) is not None]
    if not found:
        return None
    if row.meaning == "sum":
        return sum(map(Decimal, found), Decimal(0))
    if any(value != found[0] for value in found):
        into.fault(row, row.places[0], "处处相同的值", "不同的值")
    return found[0]


def _parts_writer(record: Record, row: Row) -> Callable[[_Into], None]:
    """The kept parts where they stand; the place with * takes the rest."""
    target = row.targets[0]
    others = [place for place in row.places if place != row.rest]

    def write(into: _Into) -> None:
        total = _get(into, target)
        if total is None:
            if row.must:
                into.fault(row, row.places[0], "必填", "空")
            return
        try:
            left = Decimal(total)
            for place in others:
                text = _kept(into, record, place)
                if text is not None:
                    left -= row.how.read(text)
                    into.places[place] = text
            if left < 0 <= total:
                into.fault(row, row.places[0], "不小于各分项之和的金额", str(total))
                return
            into.places[row.rest] = row.how.write(left)
        except Unfit as unfit:
            into.fault(row, row.places[0], unfit.expected, shape(total))

    return write


def _with_name(into: _Into, record: Record, row: Row, text: str) -> str:
    name = _kept(into, record, f"{row.places[0]}.name")
    return text if name is None else f"{text.partition('-')[0]}-{name}" if name else text.partition("-")[0]


def _kept(into: _Into, record: Record, key: Key) -> Any:
    if into.element is not None:
        return into.element.get("x", _NOTHING).get(str(key))
    return into.sections.get("x", _NOTHING).get(f"{record.name}.{key}")


def _text_at(places: Any, place: Key) -> str:
    return str(places.get(place, "") if isinstance(places, dict) else places[int(place)])


def _get(into: _Into, target: Target) -> Any:
    sections = into.sections
    if not target.section:
        return into.element.get(target.field) if into.element is not None else None
    if target.section == "asked":
        echoed = sections.get("echo", _NOTHING).get(target.field)
        if echoed is not None:
            return echoed
        section, _, name = target.field.partition(".")
        return sections.get("asked", _NOTHING).get(section, _NOTHING).get(name)
    if target.section == "x" and into.element is not None:
        return into.element.get("x", _NOTHING).get(target.field)
    if target.spread:
        return _common(into, sections.get(target.section, ()), target)
    if target.index is not None:
        elements = sections.get(target.section, ())
        return elements[target.index].get(target.field) if target.index < len(elements) else None
    return sections.get(target.section, _NOTHING).get(target.field)


def _common(into: _Into, elements: Any, target: Target) -> Any:
    values = dict.fromkeys(element.get(target.field) for element in elements)
    if len(values) > 1:
        into.faults.append(Fault(str(target), "每行相同的值（此报文整单只有一个）", f"{len(values)} 个不同的值"))
    return next(iter(values), None)
