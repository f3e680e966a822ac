"""The old interfaces: any loaded dialect, served from the centre's side.

A legacy centre says in one message what nationally takes several calls; and its messages name visits and settlements by
numbers of its own.  So a message is played on the same world as national calls, and the numbers are aliases kept here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from adapter_core.formats.soap import content_type, read_envelope, write_fault, wsdl_at
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.simulator.doors import Inquiry, Turned
from adapter_core.simulator.legacy_play import Play, Target, area_of
from adapter_core.simulator.records import Answer
from adapter_core.simulator.wire import HttpReply, HttpRequest
from adapter_core.simulator.world import World
from adapter_core.standard.source import schema_file
from adapter_core.values.content import Content
from adapter_core.values.errors import AdapterError, NotSupported, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.moments import china

SOAP_PATH = "/web/services/STYDJY.STYDJYHttpSoap11Endpoint"
ORIGINAL = "original"


@dataclass(slots=True)
class LegacyDoor:
    """One dialect's door.  DLL families: the function's name travels as header ``X-Function``, further in-arguments as
    ``X-In-<name>``, what only the workstation knows as ``X-Side-<name>``; the return value comes back as ``X-Ret``, further
    buffers percent-encoded as ``X-Out-<name>``.  The body is the argument ``in`` and the buffer ``out``."""

    dialect: Dialect
    aliases: dict[tuple[str, str], Target] = field(default_factory=dict)

    def read(self, request: HttpRequest, world: World) -> Inquiry:
        try:
            operation = self.dialect.decode_request(frame_of(request))
        except (TranslationError, NotSupported) as error:
            raise Turned(self._unreadable(request, error)) from None
        return self.inquiry(operation, world)

    def inquiry(self, operation: Operation, world: World) -> Inquiry:
        """What a message asks, under the number and the person it names."""
        return Inquiry(operation.message, self._serial(operation), self._person(operation, world), operation)

    def act(self, inquiry: Inquiry, world: World) -> Answer:
        return Play(self, inquiry.said, inquiry.msgid or world.identity("L"), world).run()

    def write(self, inquiry: Inquiry, told: Answer, world: World) -> HttpReply:
        try:
            return reply_of(self.frame(inquiry.said, told, world))
        except TranslationError as error:
            return HttpReply(str(error).encode(), 500, (("Content-Type", "text/plain; charset=utf-8"),))

    def frame(self, operation: Operation, told: Answer, world: World) -> Frame:
        """The answer in the family's own form.  Raises: TranslationError where the form can't carry it."""
        state = _STATES.get(operation.verb, "DONE") if told.infcode == "0" else "REJECTED"
        content: Content = (told.output or {}) if told.infcode == "0" else {}
        code = "OK" if told.infcode == "0" else "REJECTED"
        outcome = Outcome(state, code, told.err_msg, content, self._refs(operation, content, state, world))
        return self.dialect.encode_reply(operation, outcome)

    def _serial(self, operation: Operation) -> str:
        """The number by which a reversal will name this message, where the family has one."""
        for kind, value in operation.refs.items():
            described = self.dialect.refs.get(kind)
            if described is not None and described.theirs and described.binds == "case" and not described.names:
                return value
        return ""

    def _person(self, operation: Operation, world: World) -> str:
        psn_no = str(operation.content.get("person", {}).get("psn_no", ""))
        if psn_no:
            return psn_no
        target = self.find(operation)
        visit = world.visits.get(target.mdtrt_id) if target else None
        return visit.psn_no if visit else ""

    def find(self, operation: Operation) -> Target | None:
        """What the message's numbers point at: a settlement if any names one, else a visit."""
        found = [
            target for kind, value in operation.refs.items() if (target := self.aliases.get((self.kind(kind), value)))
        ]
        return next((one for one in found if one.setl_id), found[0] if found else None)

    def kind(self, kind: str) -> str:
        """The kind a number is looked up under."""
        described = self.dialect.refs.get(kind)
        return described.names or kind if described is not None else kind

    def bind(self, operation: Operation, target: Target) -> None:
        """Their numbers in this message point at this from now on."""
        for kind, value in operation.refs.items():
            described = self.dialect.refs.get(kind)
            if described is None or not described.theirs or described.names:
                continue
            whole = target if described.binds == "case" else Target(target.mdtrt_id)
            self.aliases[(kind, value)] = whole

    def _refs(self, operation: Operation, content: Mapping[str, Any], state: str, world: World) -> dict[str, str]:
        """The numbers the answer names: theirs again, and those this verb makes."""
        refs = dict(operation.refs)
        if state == "REJECTED":
            return refs
        target = Target(
            str(content.get("visit", {}).get("mdtrt_id", "")), str(content.get("result", {}).get("setl_id", ""))
        )
        # a query tells a settlement by the number its own answer had, or would have had
        verb = "settle" if operation.verb == "query" and target.setl_id else operation.verb
        known = {kind: value for (kind, value), one in self.aliases.items() if one.setl_id == target.setl_id != ""}
        for kind, described in self.dialect.refs.items():
            if verb not in described.mint:
                continue
            if operation.verb == "query" and kind in known:
                refs[kind] = known[kind]
                continue
            made = described.pattern.format(
                n=world.number(f"legacy-{kind}"), time=china(world.clock.wall()), admdvs=area_of(operation)
            )
            refs[kind] = made
            self.aliases[(kind, made)] = target if described.binds == "case" else Target(target.mdtrt_id)
        return refs

    def _unreadable(self, request: HttpRequest, error: AdapterError) -> HttpReply:
        if "xml" in request.header("content-type"):
            try:
                version = read_envelope(request.body).version
            except TranslationError:
                version = "1.1"
            kind = (("Content-Type", content_type(version)),)
            return HttpReply(write_fault(version, "Client", str(error)[:200]), 500, kind)
        return HttpReply(str(error).encode(), 400, (("Content-Type", "text/plain; charset=utf-8"), ("X-Ret", "-1")))


_STATES = {"quote": "QUOTED", "settle": "SETTLED", "void": "VOIDED", "cancel": "CANCELLED", "confirm": "SETTLED"}


def frame_of(request: HttpRequest) -> Frame:
    """The request as a dialect reads it."""
    named = {name: value.encode("latin-1") for name, value in _prefixed(request, "x-in-")}
    function = request.header("X-Function")
    return Frame(
        body=request.body,
        method=request.method,
        path=request.target,
        headers=request.headers,
        function=function,
        ins={"in": request.body, **named} if function else {},
        side=dict(_prefixed(request, "x-side-")),
    )


def _prefixed(request: HttpRequest, prefix: str) -> list[tuple[str, str]]:
    pairs = [(name.lower(), value) for name, value in request.headers]
    return [(name.removeprefix(prefix), value) for name, value in pairs if name.startswith(prefix)]


def reply_of(frame: Frame) -> HttpReply:
    """A dialect's reply frame as HTTP."""
    headers = tuple(frame.headers) or (("Content-Type", "application/octet-stream"),)
    if frame.ret:
        further = ((f"X-Out-{name}", quote(value)) for name, value in frame.outs.items() if name != "out")
        headers = (*headers, ("X-Ret", frame.ret), *further)
    return HttpReply(frame.body or frame.outs.get("out", b""), frame.status or 200, headers)


def wsdl_reply(address: str) -> HttpReply:
    """The WSDL of STYDJY for a service at this address."""
    wsdl = schema_file("his", "sinobest", "stydj.wsdl").read_bytes()
    return HttpReply(wsdl_at(wsdl, address), headers=(("Content-Type", "text/xml; charset=utf-8"),))
