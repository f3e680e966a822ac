"""The laws of translation (`translation.md` §8), for a plugin's tests.

Each law is one function that fails with what broke it.  Meaning, stability and faithfulness go over samples; what a
table can say, money, safety and purity go over values that hypothesis draws (strategies in ``sayable``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from typing import Any, cast

from adapter_core.formats.tables.spec import Message, Record, Row, Side, Target
from adapter_core.formats.tables.writing import AMOUNTS_TOLD
from adapter_core.province.messages import Mark, Operation, Outcome, Reply
from adapter_core.province.table_dialect import TAKE_BACK, TableDialect
from adapter_core.testing.samples import BuildDialect, Sample, meaning, operation_of
from adapter_core.values.content import canonical
from adapter_core.values.errors import AdapterError, ContractError, NotSupported, TranslationError
from adapter_core.values.frames import Frame

READ_BACK = ("medfee_sumamt", "fund_pay_sumamt", "psn_cash_pay", "hosp_part_amt")


def assert_meaning(dialect: TableDialect, sample: Sample) -> None:
    """The sample reads as its expected national values, all of them and no other."""
    expected = {part: value for part, value in sample.expected.items() if part != "asked"}
    assert meaning(dialect, sample) == expected, sample.name


def assert_stable(dialect: TableDialect, sample: Sample) -> None:
    """``decode(encode(decode(b))) == decode(b)``."""
    read, again = _read(dialect, sample, sample.frame), _read(dialect, sample, _written(dialect, sample))
    assert canonical(again.content) == canonical(read.content), sample.name
    assert again == read, sample.name


def assert_faithful(dialect: TableDialect, sample: Sample) -> None:
    """``encode(decode(b))`` is ``b`` up to number format, key order and blanks."""
    reply = _read(dialect, sample, sample.frame)
    written = _written(dialect, sample)
    if isinstance(reply, Reply) and reply.mark is not Mark.OK:
        same = dialect.write_frame_file(written) == dialect.write_frame_file(sample.frame)
        assert same or _leaves(dialect, sample, written) == _leaves(dialect, sample, sample.frame), sample.name
        return
    assert _leaves(dialect, sample, written) == _leaves(dialect, sample, sample.frame), sample.name


def assert_pure(dialect: TableDialect, sample: Sample) -> None:
    """Same inputs, same bytes; nothing that was handed over is changed."""
    read = _read(dialect, sample, sample.frame)
    kept = deepcopy(read)
    assert _write(dialect, sample, read) == _write(dialect, sample, read), sample.name
    assert read == kept, sample.name
    assert _read(dialect, sample, sample.frame) == kept, sample.name


def assert_covered(dialect: TableDialect, samples: Sequence[Sample]) -> None:
    """Every message has a request sample, every told record a reply sample, and every national field that a row names is
    in the expected values of some sample."""
    asked = {sample.expected["message"] for sample in samples if not sample.is_reply}
    told = {operation_of(dialect, sample).message for sample in samples if sample.is_reply}
    seen = {"ask": _fields(sample.expected for sample in samples if not sample.is_reply)}
    seen["tell"] = _fields(sample.expected for sample in samples if sample.is_reply)
    missing = []
    for message in dialect.table.spec.messages.values():
        if message.id not in asked:
            missing.append(f"{message.id}: no request sample")
        if message.tell.records and message.id not in told:
            missing.append(f"{message.id}: no reply sample")
        sides: tuple[Side, ...] = ("ask", "tell")
        for side in sides:
            for record in message.side(side).records:
                missing += [f"{record.name}, {row.title}: no sample fills it" for row in _unseen(record, seen[side])]
    assert not missing, "\n".join(sorted(set(missing)))


def assert_swaps_are_caught(raw: Mapping[str, Any], build: BuildDialect, samples: Sequence[Sample]) -> int:
    """Swapping the places of two neighbouring rows, in any record, breaks some sample's expected values.

    raw: the table's TOML tree; build: a dialect from such a tree.  Returns the number of swaps tried.
    """
    survivors, tried = [], 0
    for where, rows in _row_lists(raw):
        filled = [
            number for number, row in enumerate(rows) if isinstance(row, list) and str(row[2])[:1] not in ("-", "=")
        ]
        for first, second in itertools.pairwise(filled):
            tried += 1
            changed = deepcopy(dict(raw))
            swapped = dict(_row_lists(changed))[where]
            swapped[first][0], swapped[second][0] = swapped[second][0], swapped[first][0]
            if not _caught(changed, build, samples):
                survivors.append(f"{where}: {rows[first][1]} / {rows[second][1]}")
    assert not survivors, "swaps that no sample notices:\n" + "\n".join(survivors)
    return tried


def assert_says(dialect: TableDialect, message: str, side: str, sections: Mapping[str, Any]) -> None:
    """What a message can say comes back, at its rows' grain; merged fields keep their sum; nothing else appears.

    sections: drawn from ``sayable(dialect, message, side)``.
    """
    frame, read = _there_and_back(dialect, message, side, sections)
    table_message = dialect.table.spec.messages[message]
    shape = table_message.side(cast(Side, side))
    envelope = dialect.table.spec.envelope[cast(Side, side)]
    for record in (envelope, *shape.head):
        _compare(record, sections, read, None, None)
    for record in shape.rows:
        wanted, found = sections.get(record.into, []), read.get(record.into, [])
        assert len(wanted) == len(found), record.name
        for one, other in zip(wanted, found, strict=True):
            _compare(record, sections, read, one, other)
    for section, fields in read.items():
        known = _sayable_fields(dialect, table_message, cast(Side, side), section)
        rows = fields if isinstance(fields, list) else [fields]
        assert all(name in known or name == "x" for row in rows for name in row), (section, frame)


def assert_money(dialect: TableDialect, sample: Sample, amounts: Mapping[str, Decimal]) -> bool:
    """Either a settlement's amounts can't be told and encoding refuses, or they come back: total, fund, account with
    shared account, cash, hospital.  sample: a reply that tells amounts.  Returns whether it was told.
    """
    asked = operation_of(dialect, sample)
    told = dialect.decode_reply(asked, sample.frame)
    result = {name: value for name, value in told.content["result"].items() if name not in AMOUNTS_TOLD}
    result.update(amounts)
    outcome = Outcome(_done(asked.verb), "", "", content={"result": result}, refs=told.refs)
    try:
        frame = dialect.encode_reply(asked, outcome)
    except TranslationError:
        return False
    again = dialect.decode_reply(asked, frame)
    assert again.mark is Mark.OK, again.text
    back = again.content["result"]
    for name in READ_BACK:
        assert back.get(name, 0) == amounts[name], name
    account = sum(back.get(name, 0) for name in ("acct_pay", "acct_mulaid_pay"))
    assert account == amounts["acct_pay"] + amounts["acct_mulaid_pay"]
    return True


def assert_safe(dialect: TableDialect, sample: Sample, raw: bytes, private: Sequence[str]) -> None:
    """Any bytes give a value, a TranslationError or NotSupported, or an UNREADABLE reply, and no text names a person.

    raw: drawn from ``hostile(…)``; private: values of the samples that may appear in no message of an error.
    """
    try:
        frame = dialect.read_frame_file(raw, sample.name, reply=sample.is_reply)
    except (TranslationError, NotSupported) as error:
        told = str(error)
    else:
        if sample.is_reply:
            reply = dialect.decode_reply(operation_of(dialect, sample), frame)
            told = reply.text if reply.mark is Mark.UNREADABLE else ""
            assert reply.mark is not Mark.UNREADABLE or not reply.content
        else:
            try:
                dialect.decode_request(frame)
                told = ""
            except (TranslationError, NotSupported) as error:
                told = str(error) + error.message_zh
    assert not any(value in told for value in private), "an error text names a person"


def _done(verb: str) -> str:
    return {"quote": "QUOTED", "settle": "SETTLED"}.get(verb, "VOIDED" if verb in TAKE_BACK else "DONE")


def _read(dialect: TableDialect, sample: Sample, frame: Frame) -> Operation | Reply:
    return (
        dialect.decode_reply(operation_of(dialect, sample), frame) if sample.is_reply else dialect.decode_request(frame)
    )


def _written(dialect: TableDialect, sample: Sample) -> Frame:
    return _write(dialect, sample, _read(dialect, sample, sample.frame))


def _write(dialect: TableDialect, sample: Sample, read: Operation | Reply) -> Frame:
    if isinstance(read, Operation):
        return dialect.encode_request(read)
    asked = operation_of(dialect, sample)
    assert read.mark is not Mark.UNREADABLE, f"{sample.name}: {read.text}"
    state = _done(asked.verb) if read.mark is Mark.OK else "REJECTED"
    return dialect.encode_reply(asked, Outcome(state, read.code, read.text, content=read.content, refs=read.refs))


def _leaves(dialect: TableDialect, sample: Sample, frame: Frame) -> dict[str, str]:
    blank = dialect.table.spec.blank
    opened = dialect.table.open(frame, "tell" if sample.is_reply else "ask")
    texts = {place: _plain(text.strip()) for place, text in opened.leaves().items()}
    return {place: text for place, text in texts.items() if text and text not in blank}


def _plain(text: str) -> str:
    """A number without the zeros that its format adds; a code such as 01 stays."""
    whole, dot, places = text.partition(".")
    if not dot or not (whole.lstrip("-") + places).isdigit():
        return text
    return f"{whole}.{places.rstrip('0')}".rstrip(".")


def _fields(expected: Iterable[Mapping[str, Any]]) -> set[str]:
    """Every ``section.field`` that has an expected value."""
    seen: set[str] = set()
    for values in expected:
        sections = {**values.get("content", {}), "ref": values.get("refs", {}), "echo": values.get("echo", {})}
        sections["echo"] = {**sections["echo"], **values.get("content", {}).get("echo", {})}
        for section, fields in sections.items():
            for row in fields if isinstance(fields, list) else [fields]:
                seen.update(f"{section}.{name}" for name in row)
    return seen


def _unseen(record: Record, seen: set[str]) -> list[Row]:
    return [
        row
        for row in record.rows
        for target in (row.targets[:1] if row.meaning == "sum" else row.targets)
        if target.section != "x" and f"{_section(record, target)}.{target.field}" not in seen
    ]


def _section(record: Record, target: Target) -> str:
    return "echo" if target.section == "asked" else target.section or record.into


def _row_lists(raw: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """Every list of rows of a table, by name."""
    found = [(f"frame.{side}", raw["frame"].get(side, {}).get("rows", [])) for side in ("ask", "tell")]
    found += [(f"record {name}", record.get("rows", [])) for name, record in raw.get("record", {}).items()]
    return found


def _caught(raw: dict[str, Any], build: BuildDialect, samples: Sequence[Sample]) -> bool:
    try:
        dialect = build(raw)
    except ContractError:
        return True
    for sample in samples:
        try:
            assert_meaning(dialect, sample)
        except (AssertionError, AdapterError):
            return True
    return False


def _there_and_back(
    dialect: TableDialect, message: str, side: str, sections: Mapping[str, Any]
) -> tuple[Frame, dict[str, Any]]:
    known = dialect.table.spec.messages[message]
    content = {name: part for name, part in sections.items() if name not in ("ref", "echo")}
    refs, echo = sections.get("ref", {}), sections.get("echo", {})
    if side == "ask":
        operation = Operation(known.verb, message, dialect.name, content=content, refs=refs, echo=echo)
        frame = dialect.encode_request(operation)
        decoded = dialect.decode_request(frame)
        assert decoded.message == message
        return frame, {**decoded.content, "ref": dict(decoded.refs), "echo": dict(decoded.echo)}
    asked = Operation(known.verb, message, dialect.name)
    told = {**content, "echo": echo}
    frame = dialect.encode_reply(asked, Outcome(_done(known.verb), "", "", content=told, refs=refs))
    reply = dialect.decode_reply(asked, frame)
    assert reply.mark is Mark.OK, reply.text
    return frame, {**reply.content, "ref": dict(reply.refs)}


def _compare(record: Record, wanted: Any, found: Any, wanted_row: Any, found_row: Any) -> None:
    for row in record.rows:
        if row.meaning in ("kept", "constant"):
            continue
        targets = [target for target in row.targets if target.section != "asked"]
        asked_for = [_at(wanted, wanted_row, target) for target in targets]
        came = [_at(found, found_row, target) for target in targets]
        if row.meaning == "sum":
            if asked_for[0] is not None:
                total = sum((value for value in asked_for if value is not None), Decimal(0))
                assert sum((value for value in came if value is not None), Decimal(0)) == total, row.title
            continue
        for value, back in zip(asked_for, came, strict=True):
            if value is not None:
                assert back == row.how.grain(value), (record.name, row.title)
            elif back is not None:
                assert row.write is not None or _said_elsewhere(record, row), (record.name, row.title, back)


def _said_elsewhere(record: Record, row: Row) -> bool:
    """Another row, an implied constant or a sum may say what this row left out."""
    others = [target for other in record.rows if other is not row for target in other.targets]
    others += [implied.target for implied in record.implied] + [derived.target for derived in record.derived]
    return any(target in others for target in row.targets)


def _at(sections: Any, row: Any, target: Target) -> Any:
    if not target.section:
        return row.get(target.field)
    part = sections.get(target.section, {})
    if target.spread:
        return next((element.get(target.field) for element in part), None)
    if target.index is not None:
        return part[target.index].get(target.field) if target.index < len(part) else None
    return part.get(target.field)


def _sayable_fields(dialect: TableDialect, message: Message, side: Side, section: str) -> set[str]:
    fields = {path.partition(".")[2] for path in dialect.added if path.partition(".")[0] == section}
    for record in (dialect.table.spec.envelope[side], *message.side(side).records):
        targets = [target for row in record.rows for target in row.targets]
        targets += [implied.target for implied in record.implied] + [derived.target for derived in record.derived]
        fields.update(target.field for target in targets if _section(record, target) == section)
        if section == "x":
            fields.update(f"{record.name}.{place}" for row in record.rows for place in row.places)
    return fields
