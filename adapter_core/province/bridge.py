"""The bridge: libraries (DLL, COM, handle interfaces) on another machine, reached by one HTTP request for each journalled call.

``PUT /calls/{id}`` with ``{"library", "session", "steps": [{"function", "ins": {name: base64}, "outs": [names], "ret": "0"}],
"on_stop": [steps]}`` runs the steps in order and answers ``{"entered": true, "steps": [{"function", "ret", "outs": {name: base64}}]}``
(docs/reference/bridge.md).  A step whose return value is another than its ``ret`` ends the run: ``on_stop`` follows, the rest
doesn't.  A known id gets the stored answer, never a second entry.  ``POST /calls/{id}/close`` answers what is stored, or marks
the id so that a late PUT is refused: ``{"entered": false}`` proves that nothing was called.  Bytes cross, never text.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapter_core.formats.json import read_json, write_json
from adapter_core.province.legacy import LegacyGateway
from adapter_core.province.messages import Call, Mark, Reply
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.frames import Frame

CLOSE = "bridge-close"
"""The call of a route's query step that asks the bridge, not the centre, what became of a call."""
JSON_TYPE = (("Content-Type", "application/json;charset=utf-8"),)
_ROW_VALUE = re.compile(r"([A-Za-z0-9_]+)\[(\d+)\]\.([A-Za-z0-9_]+)")


@dataclass(frozen=True, slots=True)
class Around:
    """What a message's library call stands between, by the dialect's messages.

    each: a list section: one library call for each of its rows, all in one request.  before, after: messages called in the same
    request; on_stop: those called when a step fails.  Money is moved by one step of a request at most.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    on_stop: tuple[str, ...] = ()
    each: str = ""


@dataclass(frozen=True, slots=True)
class Library:
    """One library behind the bridge.

    name: as the bridge's own set-up has it.  done: the return value after which a run goes on.  outs: names of the buffers to
    bring back, by function ("" = any other).  handle: a put–process–get interface instead of plain functions; its outs are the
    values to get.
    """

    name: str
    done: str
    outs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    handle: bool = False


class BridgedGateway(LegacyGateway):
    """A legacy gateway whose library stands behind a bridge.  The route's query may be ``bridge-close``.

    library, around: set once by `bridged`; a subclass may look at replies as well.
    """

    own_calls = frozenset({CLOSE})
    library: Library
    around: Mapping[str, Around]

    def bridged(self, library: Library, around: Mapping[str, Around] | None = None) -> BridgedGateway:
        """This gateway, ready."""
        self.library, self.around = library, around or {}
        return self

    def encode(self, call: Call, moment: datetime) -> Frame:
        if call.message == CLOSE:
            asked = call.content.get("original", {}).get("omsgid", "")
            return Frame(method="POST", path=f"{self.path}/calls/{asked}/close", headers=JSON_TYPE, body=b"{}")
        around = self.around.get(call.message, Around())
        frames = [*self._others(call, around.before), *self._mains(call, around), *self._others(call, around.after)]
        request = {
            "library": self.library.name,
            "session": _session(call),
            "steps": [step for frame in frames for step in steps_of(frame, self.library)],
            "on_stop": [step for frame in self._others(call, around.on_stop) for step in steps_of(frame, self.library)],
        }
        return Frame(method="PUT", path=f"{self.path}/calls/{call.msgid}", headers=JSON_TYPE, body=write_json(request))

    def decode(self, call: Call, frame: Frame) -> Reply:
        if call.message == CLOSE:
            return self._closed(call, frame)
        try:
            told = self._told(call, frame)
        except TranslationError as error:
            return Reply(Mark.UNREADABLE, error.code, str(error)[:200])
        return self.read(call, told)

    def read(self, call: Call, told: Frame) -> Reply:
        """The library's own answer to this call."""
        return super().decode(call, told)

    def faults(self, call: Call) -> tuple[Fault, ...]:
        return () if call.message == CLOSE else super().faults(call)

    def _mains(self, call: Call, around: Around) -> Iterable[Frame]:
        rows: Sequence[Any] = call.content.get(around.each, ()) if around.each else (None,)
        for row in rows:
            one = call if row is None else replace(call, content={**call.content, around.each: [row]})
            yield self.dialect.encode_request(self._operation(one))

    def _others(self, call: Call, messages: Iterable[str]) -> Iterable[Frame]:
        for message in messages:
            yield self.dialect.encode_request(self._operation(replace(call, message=message)))

    def _told(self, call: Call, frame: Frame) -> Frame:
        """The step that tells what became of the call: the first that failed, else the message's own last one.

        Raises: TranslationError where the bridge says nothing of it.
        """
        results = read_results(frame)
        if self.library.handle:
            return handle_result(results)
        around = self.around.get(call.message, Around())
        mains = len(call.content.get(around.each, ())) if around.each else 1
        wanted = len(around.before) + mains + len(around.after)
        for result in results[:wanted]:
            if result.ret != self.library.done:
                return result
        if len(results) < wanted:
            raise TranslationError([Fault("steps", f"{wanted} 步的结果", f"{len(results)} 步")])
        return results[len(around.before) + mains - 1]

    def _closed(self, call: Call, frame: Frame) -> Reply:
        """What the bridge knows of the doubted call, in the form of a query's reply: its result under its own msgid, or none."""
        original = call.content.get("original", {})
        doubted = replace(call, message=original.get("oinfno", ""), msgid=original.get("omsgid", ""))
        try:
            tree = read_json(frame.body)
            if frame.status == 200 and tree == {"entered": False}:
                return Reply(Mark.OK, content={"result": {}})
            told = self._told(doubted, frame)
        except TranslationError as error:
            return Reply(Mark.UNREADABLE, error.code, str(error)[:200])
        reply = self.read(doubted, told)
        if reply.mark is not Mark.OK:
            return reply
        facts = {"medins_setl_id": doubted.msgid}
        if self._verbs[doubted.message] == "void":
            facts["refd_setl_flag"] = "1"
        return replace(reply, content={**reply.content, "result": {**reply.content.get("result", {}), **facts}})


def _session(call: Call) -> str:
    """One session for each trade: a second phase goes where its first went, and nobody else's call comes between them."""
    original = call.content.get("original", {}).get("omsgid", "")
    return original if call.kind_class in ("K", "X") and original else call.msgid


def steps_of(frame: Frame, library: Library) -> list[dict[str, Any]]:
    """A library call as the steps of a request: one, or put … process … get for a handle interface."""
    outs = library.outs.get(frame.function, library.outs.get("", ()))
    if not library.handle:
        return [step_of(frame.function, frame.ins, outs, library.done)]
    steps, rows = [], ""
    for name, value in frame.ins.items():
        found = _ROW_VALUE.fullmatch(name)
        row = f"{found[1]}[{found[2]}]" if found else ""
        steps += _between_rows(rows, row)
        rows = row
        column = {"name": (found[3] if found else name).encode("ascii"), "value": value}
        steps.append(step_of("putColData" if found else "putPara", column))
    steps += _between_rows(rows, "")
    steps.append(step_of("process", {"function": frame.function.encode("ascii")}, (), library.done))
    steps.append(step_of("getErrMsg", {}, ("getErrMsg",)))
    return steps + [step_of("getParaByName", {"name": name.encode("ascii")}, (name,)) for name in outs]


def handle_result(results: Sequence[Frame]) -> Frame:
    """A handle interface's steps as one answer: what ``process`` returned, and every value that was read.

    Raises: TranslationError without a ``process``.
    """
    at = next((number for number, result in enumerate(results) if result.function == "process"), None)
    if at is None:
        raise TranslationError([Fault("steps", "process 的结果", "没有")])
    values = {name: raw for result in results[at:] for name, raw in result.outs.items()}
    return Frame(ret=results[at].ret, outs=values)


def read_results(frame: Frame) -> list[Frame]:
    """The steps' results of a bridge's answer, as frames.  Raises: TranslationError."""
    tree = read_json(frame.body)
    if frame.status != 200 or not isinstance(tree, dict) or tree.get("entered") is not True:
        raise TranslationError([Fault("bridge", "HTTP 200, entered", f"HTTP {frame.status}")])
    steps = tree.get("steps")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise TranslationError([Fault("steps", "每步一个结果", "没有结果")])
    return [
        Frame(
            function=str(step.get("function", "")), ret=str(step.get("ret", "")), outs=values_of(step.get("outs", {}))
        )
        for step in steps
    ]


def values_of(named: Any) -> dict[str, bytes]:
    """``{name: base64}`` as bytes.  Raises: TranslationError."""
    try:
        return {str(name): base64.b64decode(text, validate=True) for name, text in named.items()}
    except (AttributeError, TypeError, ValueError, binascii.Error):
        raise TranslationError([Fault("values", "名称 → base64", "其他内容")]) from None


def step_of(function: str, ins: Mapping[str, bytes], outs: Sequence[str] = (), done: str = "") -> dict[str, Any]:
    """One step of a request.  outs: the buffers to bring back; done: the return value after which the run goes on."""
    encoded = {name: base64.b64encode(value).decode("ascii") for name, value in ins.items()}
    return {"function": function, "ins": encoded, "outs": list(outs), **({"ret": done} if done else {})}


def _between_rows(before: str, now: str) -> list[dict[str, Any]]:
    """The steps that end one row of a result set and begin the next, where a border lies between two values."""
    if before == now:
        return []
    set_before, set_now = before.partition("[")[0], now.partition("[")[0]
    steps = [step_of("endcurRow", {})] if before else []
    if before and set_before != set_now:
        steps.append(step_of("endCurResultSet", {}))
    if now and set_before != set_now:
        steps.append(step_of("startResultSetName", {"name": set_now.encode("ascii")}))
    return steps
