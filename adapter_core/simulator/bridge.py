"""A bridge and the library behind it (docs/reference/bridge.md), played by a dialect's door: what a legacy centre's DLL would do.

``/bridge/{dialect}/calls/{id}``: PUT runs the steps once, a known id gets the stored answer; ``…/close`` tells what is stored.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapter_core.formats.json import read_json, write_json
from adapter_core.province.bridge import values_of
from adapter_core.province.messages import Operation
from adapter_core.simulator.doors import Inquiry, NationalDoor, Turned
from adapter_core.simulator.legacy import LegacyDoor
from adapter_core.simulator.records import Answer
from adapter_core.simulator.wire import HttpReply, HttpRequest
from adapter_core.simulator.world import World
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSupported, TranslationError
from adapter_core.values.frames import Frame

PREFIX = "/bridge"
SECOND_PHASE = frozenset({"confirm", "abort"})
_PATH = re.compile(r".*/calls/([^/]+)(/close)?")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a request: the library call, what the dialect reads in it, and the return value after which the run goes on."""

    frame: Frame
    operation: Operation
    done: str
    outs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A whole request.  main: the step it is named after; reads: how many results a handle interface reads one by one."""

    call_id: str
    session: str
    steps: tuple[Step, ...]
    on_stop: tuple[Step, ...]
    handle: tuple[Mapping[str, Any], ...] = ()

    @property
    def main(self) -> Operation:
        business = [step.operation for step in self.steps if step.operation.verb not in SECOND_PHASE]
        later = [one for one in business if one.verb != "identify"]
        return (later or business or [step.operation for step in self.steps])[-1]


@dataclass(slots=True)
class BridgeDoor:
    """Satisfies ``Door``.  stored: answers by call id; None while a call is under way or ended without one."""

    legacy: LegacyDoor
    stored: dict[str, bytes | None] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    last: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def read(self, request: HttpRequest, world: World) -> Inquiry:
        found = _PATH.fullmatch(request.path)
        if found is None:
            raise Turned(HttpReply(status=404))
        call_id = found[1]
        if found[2]:
            return Inquiry("bridge-close", call_id, "", call_id)
        if call_id in self.closed:
            raise Turned(HttpReply(b'{"entered":false}', 409))
        if call_id in self.stored:
            raise Turned(HttpReply(self.stored[call_id] or b'{"entered":true}'))
        try:
            run = self._run(call_id, read_json(request.body))
        except (TranslationError, NotSupported, KeyError, TypeError) as error:
            raise Turned(HttpReply(str(error).encode(), 400)) from None
        asked = self.legacy.inquiry(run.main, world)
        return Inquiry(asked.infno, asked.msgid, asked.psn_no, run)

    def act(self, inquiry: Inquiry, world: World) -> Answer:
        run = inquiry.said
        if not isinstance(run, Run):
            if run not in self.stored:
                self.closed.add(run)
            return Answer("0", output={})
        self.stored[run.call_id] = None
        results: list[Frame] = []
        committed = False
        for step in run.steps:
            told, frame = self._called(run, step, world)
            committed = committed or told.committed
            results.append(replace(frame, function=step.frame.function))
            if frame.ret != step.done:
                for after in run.on_stop:
                    self._called(run, after, world)
                break
        self.stored[run.call_id] = _answer(run, results)
        return Answer("0", output={}, committed=committed)

    def write(self, inquiry: Inquiry, told: Answer, world: World) -> HttpReply:
        run = inquiry.said
        if not isinstance(run, Run):
            body = self.stored[run] or b'{"entered":true}' if run in self.stored else b'{"entered":false}'
            return HttpReply(body)
        if told.infcode != "0":  # a fault's own words
            refused = self.legacy.frame(run.main, told, world)
            return HttpReply(_answer(run, [replace(refused, function=run.steps[-1].frame.function)]))
        return HttpReply(self.stored[run.call_id] or b'{"entered":true}')

    def _called(self, run: Run, step: Step, world: World) -> tuple[Answer, Frame]:
        operation = step.operation
        told = Answer("0", output={})
        if operation.verb in SECOND_PHASE and not operation.refs:
            # it ends whatever this session did last; only a settlement waits for it
            operation = replace(operation, refs=self.last.pop(run.session, {}))
        if operation.verb not in SECOND_PHASE or operation.refs:
            told = self.legacy.act(self.legacy.inquiry(operation, world), world)
        if told.infcode == "0" and operation.verb == "settle":
            self.last[run.session] = operation.refs
        try:
            return told, self.legacy.frame(operation, told, world)
        except TranslationError:
            return told, Frame()

    def _run(self, call_id: str, tree: Any) -> Run:
        steps = tree["steps"]
        if any(step["function"] == "process" for step in steps):
            step = self._step(_handle_call(steps), next(row for row in steps if row["function"] == "process"))
            reads = tuple(steps[[row["function"] for row in steps].index("process") :])
            return Run(call_id, tree["session"], (step,), (), reads)
        return Run(call_id, tree["session"], self._steps(steps), self._steps(tree["on_stop"]))

    def _steps(self, rows: Any) -> tuple[Step, ...]:
        return tuple(self._step(Frame(function=row["function"], ins=values_of(row["ins"])), row) for row in rows)

    def _step(self, frame: Frame, row: Mapping[str, Any]) -> Step:
        operation = self.legacy.dialect.decode_request(frame)
        return Step(frame, operation, row.get("ret", ""), tuple(row["outs"]))


@dataclass(slots=True)
class NationalBridgeDoor(NationalDoor):
    """A bridge before a library that takes the national JSON: one step, its text in ``in`` or ``json``."""

    infcode_as_text = False

    def read(self, request: HttpRequest, world: World) -> Inquiry:
        try:
            values = values_of(read_json(request.body)["steps"][0]["ins"])
        except (TranslationError, KeyError, TypeError, IndexError) as error:
            raise Turned(HttpReply(str(error).encode(), 400)) from None
        return NationalDoor.read(self, replace(request, body=values.get("json") or values.get("in", b"")), world)

    def write(self, inquiry: Inquiry, told: Answer, world: World) -> HttpReply:
        text = NationalDoor.write(self, inquiry, told, world).body
        return HttpReply(write_json({"entered": True, "steps": [_result("", "0", {"out": text})]}))


def _handle_call(rows: Any) -> Frame:
    """put … process of a handle interface as one library call."""
    ins: dict[str, bytes] = {}
    rowset, number = "", 0
    function = ""
    for row in rows:
        values = values_of(row["ins"])
        match row["function"]:
            case "putPara":
                ins[values["name"].decode("ascii")] = values["value"]
            case "startResultSetName":
                rowset, number = values["name"].decode("ascii"), 0
            case "putColData":
                ins[f"{rowset}[{number}].{values['name'].decode('ascii')}"] = values["value"]
            case "endcurRow":
                number += 1
            case "process":
                function = values["function"].decode("ascii")
    return Frame(function=function, ins=ins)


def _answer(run: Run, results: list[Frame]) -> bytes:
    if not run.handle:
        steps = [_result(frame.function, frame.ret, frame.outs) for frame in results]
        return write_json({"entered": True, "steps": steps})
    frame = results[0]
    steps = [_result("process", frame.ret, {})]
    for row in run.handle[1:]:
        steps.append(_result(row["function"], "", {name: frame.outs.get(name, b"") for name in row["outs"]}))
    reason = {name: raw for name, raw in frame.outs.items() if name == "getFailReason"}
    return write_json({"entered": True, "steps": [*steps, *([_result("getFailReason", "", reason)] if reason else [])]})


def _result(function: str, ret: str, outs: Mapping[str, bytes]) -> dict[str, Any]:
    encoded = {name: base64.b64encode(raw + b"\x00" * 3).decode("ascii") for name, raw in outs.items()}
    return {"function": function, "ret": ret, "outs": encoded}
