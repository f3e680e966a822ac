"""What translation costs: each dialect's four functions over its plugin's own samples, with ten lines where the family has lines.

    python bench/translation.py [dialect …]

Medians of one call each, in milliseconds of processor time (what else the machine does isn't ours), of the messages that carry money or lines.  A family whose message is
one line is asked ten of them and the ten are one figure.  ``centre`` rows are a SOAP dialect towards a legacy centre, which zeep
renders and checks; of the others it is the same functions.  Figures above 0.3 ms are marked; nothing is asserted.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from adapter_core.formats.json import write_json
from adapter_core.province.dialect import Dialect
from adapter_core.province.legacy import LegacyGateway
from adapter_core.province.messages import Operation, Outcome, Reply
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.province.table_dialect import TableDialect
from adapter_core.testing.samples import Sample
from adapter_core.testing.subject import BUILT_IN, SampleSet, Subject
from adapter_core.values.content import Content
from adapter_core.values.errors import ContractError
from adapter_core.values.frames import Frame

PLUGINS = Path(__file__).parents[1] / "plugins"
LINES = 10
BOUND_MS = 0.3
RUNS = 60
ROUNDS = 6
MEASURED = ("quote", "settle", "upload_fees", "void")
STATES = {"quote": "QUOTED", "settle": "SETTLED", "void": "VOIDED"}
FUNCTIONS = ("decode_request", "encode_request", "decode_reply", "encode_reply")


@dataclass(frozen=True, slots=True)
class Case:
    """One message of one dialect and what is called.  lines: as shown; calls: function → what is timed."""

    dialect: str
    message: str
    lines: str
    calls: Mapping[str, Callable[[], object]]


def main(wanted: Sequence[str]) -> None:
    found = [*_national_cases(), *_plugin_cases()]
    found = [case for case in found if not wanted or case.dialect.split(" ")[0] in wanted]
    table = Table(
        title=f"Translation, ms of processor time: median of {RUNS} calls, lowest of {ROUNDS} rounds; ! above {BOUND_MS}"
    )
    for column in ("dialect", "message", "lines", *FUNCTIONS):
        table.add_column(column, justify="left" if column in ("dialect", "message") else "right")
    for case in track(found, "translating", console=Console(stderr=True)):
        medians = {name: _median_ms(call) for name, call in case.calls.items()}
        cells = [_shown(medians[name]) if name in medians else "–" for name in FUNCTIONS]
        table.add_row(case.dialect, case.message, case.lines, *cells)
    table.caption = f"sum(range(1000)) took {_median_ms(lambda: sum(range(1000))):.3f} ms beside it: compare runs by it"
    Console(width=150).print(table)


def _median_ms(call: Callable[[], object]) -> float:
    """The median of the quietest round: what else runs on the machine slows every call of a round down."""
    return min(statistics.median(_milliseconds(call) for _ in range(RUNS)) for _ in range(ROUNDS))


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - began) / 1e6


def _shown(milliseconds: float) -> str:
    return f"{milliseconds:.3f}{'!' if milliseconds > BOUND_MS else ' '}"


def _plugin_cases() -> Iterator[Case]:
    for tests in sorted(PLUGINS.glob("*/tests")):
        subject = Subject(tests.parent.name, tests)
        for one in subject.sample_sets:
            if one.partial:
                continue
            samples = subject.samples(one)
            dialect = subject.table_dialect(one)
            yield from _table_cases(dialect, one.dialect, samples, both=True)
            centre = _centre(subject, one)
            if centre is not None:
                yield from _table_cases(centre, f"{one.dialect} (centre)", samples, both=False)


def _centre(subject: Subject, one: SampleSet) -> TableDialect | None:
    """The dialect of the plugin's gateway to a centre of this family, where that is SOAP rendered through zeep."""
    for name in subject.province.gateways:
        gateway = subject.gateway(name)
        dialect = gateway.dialect if isinstance(gateway, LegacyGateway) else None
        if isinstance(dialect, TableDialect) and dialect.name == one.dialect and dialect.table.spec.frame.soap:
            return dialect
    return None


def _table_cases(dialect: TableDialect, name: str, samples: Sequence[Sample], both: bool) -> Iterator[Case]:
    for message in dialect.table.spec.messages.values():
        if message.verb not in MEASURED:
            continue
        asked = _largest(dialect, samples, message.id)
        rows = any(record.into == "fees" for record in message.ask.rows)
        operation = _with_lines(asked) if rows else asked
        times = LINES if message.verb == "upload_fees" and not rows else 1
        request = dialect.encode_request(operation)
        replies = [one for one in samples if one.is_reply and _asked(dialect, one).message == message.id]
        told = _told(dialect, operation, replies)
        calls: dict[str, Callable[[], object]] = {"encode_request": _times(times, dialect.encode_request, operation)}
        if both:
            calls["decode_request"] = _times(times, dialect.decode_request, request)
        if told is not None:
            frame, reply = told
            calls["decode_reply"] = _times(times, dialect.decode_reply, operation, frame)
            if both:
                outcome = Outcome(STATES.get(message.verb, "DONE"), "", "", content=reply.content, refs=reply.refs)
                calls["encode_reply"] = _times(times, dialect.encode_reply, operation, outcome)
        lines = f"{times} × 1" if times > 1 else str(LINES) if rows else "–"
        yield Case(name, f"{message.id} {message.title}", lines, calls)


def _largest(dialect: TableDialect, samples: Sequence[Sample], message: str) -> Operation:
    """The operation of the request sample that says most."""
    found = [one for one in samples if not one.is_reply and one.expected["message"] == message]
    return _asked(dialect, max(found, key=lambda one: len(json.dumps(one.expected))))


def _asked(dialect: TableDialect, sample: Sample) -> Operation:
    return dialect.decode_request(sample.asked or sample.frame)


def _with_lines(operation: Operation) -> Operation:
    """The operation with ten lines, those of the sample again and again under serial numbers of their own."""
    fees: list[Content] = operation.content["fees"]
    rows = [dict(fees[number % len(fees)]) for number in range(LINES)]
    for number, row in enumerate(rows):
        row.update({name: f"{number:06}" for name in ("feedetl_sn",) if name in row})
    return replace(operation, content={**operation.content, "fees": rows})


def _told(dialect: TableDialect, operation: Operation, replies: Sequence[Sample]) -> tuple[Frame, Reply] | None:
    """The successful reply sample that says most, and what it says."""
    read = [(one.frame, dialect.decode_reply(operation, one.frame)) for one in replies]
    done = [(frame, reply) for frame, reply in read if reply.mark.name == "OK"]
    return max(done, key=lambda one: len(one[0].body or b"".join(one[0].outs.values())), default=None)


def _times(times: int, function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    if times == 1:
        return lambda: function(*arguments)
    return lambda: [function(*arguments) for _ in range(times)]


def _national_cases() -> Iterator[Case]:
    """The national JSON of our own interface, with the built-in scenario's visit."""
    dialect: Dialect = NationalDialect()
    said: dict[str, Any] = json.loads((BUILT_IN / "outpatient.json").read_text("utf-8"))
    line = said["fees"][0]
    said["fees"] = [{**line, "feedetl_sn": f"{number:06}"} for number in range(LINES)]
    operation = dialect.decode_request(Frame(body=write_json({"intent": "settle", "settle_key": "JS1", **said})))
    amounts = {"medfee_sumamt": "186.50", "fund_pay_sumamt": "120.30", "acct_pay": "40.00", "psn_cash_pay": "26.20"}
    result = {"setl_id": "S1", **{name: Decimal(amount) for name, amount in amounts.items()}}
    yield Case("national", "settle", str(LINES), _national_calls(dialect, operation, result))


def _national_calls(dialect: Dialect, operation: Operation, result: Content) -> dict[str, Callable[[], object]]:
    request = dialect.encode_request(operation)
    if len(dialect.decode_request(request).content["fees"]) != LINES:
        raise ContractError("the national message lost lines")
    outcome = Outcome("SETTLED", "", "", content={"result": result})
    reply = dialect.encode_reply(operation, outcome)
    return {
        "decode_request": lambda: dialect.decode_request(request),
        "encode_request": lambda: dialect.encode_request(operation),
        "decode_reply": lambda: dialect.decode_reply(operation, reply),
        "encode_reply": lambda: dialect.encode_reply(operation, outcome),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
