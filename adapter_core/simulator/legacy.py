"""The old interfaces: any loaded dialect, served from the centre's side.

A legacy centre says in one message what nationally takes several calls; and its messages name visits and settlements by
numbers of its own.  So a message is played on the same world as national calls, and the numbers are aliases kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from adapter_core.formats.soap import content_type, read_envelope, write_fault, wsdl_at
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.simulator import settling
from adapter_core.simulator.doors import Inquiry, Turned
from adapter_core.simulator.records import Answer, Asked, NoEffect, Refund, Refusal, Settlement, Visit
from adapter_core.simulator.transactions import answer, refused
from adapter_core.simulator.wire import HttpReply, HttpRequest
from adapter_core.simulator.world import World
from adapter_core.standard.source import schema_file
from adapter_core.values.content import Content
from adapter_core.values.errors import AdapterError, NotSupported, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.moments import china, national_time

SOAP_PATH = "/web/services/STYDJY.STYDJYHttpSoap11Endpoint"
BATCH = "LEGACY"
"""The bill number of all lines of a legacy visit: these families settle what is not settled yet."""
ORIGINAL = "original"


@dataclass(frozen=True, slots=True)
class Target:
    """What a number of theirs, or ours, points at."""

    mdtrt_id: str = ""
    setl_id: str = ""
    msgid: str = ""
    infno: str = ""


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
                n=world.number(f"legacy-{kind}"), time=china(world.clock.wall()), admdvs=_area(operation)
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


def _area(operation: Operation) -> str:
    return str(operation.content.get("env", {}).get("mdtrtarea_admvs", ""))


@dataclass(slots=True)
class Play:
    """One legacy message, played as national calls on the world.  ``msgid``: of the call that matters most."""

    door: LegacyDoor
    operation: Operation
    msgid: str
    world: World
    changed: bool = False

    def run(self) -> Answer:
        """The answer; ``output`` holds content sections, not national nodes."""
        try:
            output = getattr(self, f"_{self.operation.verb}", self._unknown)()
        except Refusal as refusal:
            told = refused(refusal)
            return Answer(told.infcode, told.err_msg, committed=self.changed)
        except _Refused as no:
            return Answer(no.told.infcode, no.told.err_msg, committed=self.changed)
        return Answer("0", output=output, committed=self.changed)

    # verbs

    def _sign_in(self) -> Content:
        env = self.operation.content.get("env", {})
        told = self._call("9001", {"signIn": {"opter_no": env.get("opter_no") or env.get("opter") or "0"}})
        return {"env": told["signinoutb"]}

    def _sign_out(self) -> Content:
        return {}

    def _identify(self) -> Content:
        person = {**self.operation.content.get("person", {})}
        asked = {"mdtrt_cert_no": person.get("mdtrt_cert_no") or person.get("psn_no"), **person}
        asked.pop("psn_name", None)
        if not any(asked.get(one) for one in ("mdtrt_cert_no", "certno", "psn_no")) and person.get("card_no"):
            asked["mdtrt_cert_no"] = person["card_no"]
        told = self._call("1101", {"data": asked})
        found = self.world.person(told["baseinfo"]["psn_no"])
        rows = told["insuinfo"]
        wanted = self.operation.content.get("settle", {}).get("insutype")
        chosen = next((row for row in rows if row["insutype"] == wanted), None) or next(
            (row for row in rows if row["psn_insu_stas"] == "1"), rows[0]
        )
        card = person.get("mdtrt_cert_no") or found.card_no
        both = {**told["baseinfo"], **chosen, "card_no": found.card_no, "mdtrt_cert_no": card}
        return {"person": both}

    def _register(self) -> Content:
        visit = self._visit()
        self.door.bind(self.operation, Target(visit.mdtrt_id))
        return {"visit": {"mdtrt_id": visit.mdtrt_id}, "person": {"psn_no": visit.psn_no}}

    _admit = _register

    def _upload_fees(self) -> Content:
        visit = self._visit()
        self.door.bind(self.operation, Target(visit.mdtrt_id))
        return {"visit": {"mdtrt_id": visit.mdtrt_id}, "lines": self._upload(visit)}

    def _drop_fees(self) -> Content:
        visit = self._known_visit()
        inpatient = visit.kind == "inpatient"
        named = [row["feedetl_sn"] for row in self.operation.content.get("fees", []) if row.get("feedetl_sn")]
        if named and not inpatient:  # a family that takes back a line at a time; the national 2205 takes a batch
            visit.lines = {sn: line for sn, line in visit.lines.items() if sn not in named or line.setl_id}
            return {}
        key = "feedetl_sn" if inpatient else "chrg_bchno"
        self._call("2302" if inpatient else "2205", {"data": {**_names(visit), key: "0000"}})
        return {}

    def _unregister(self) -> Content:
        visit = self._known_visit()
        self._call("2404" if visit.kind == "inpatient" else "2202", {"data": _names(visit)})
        return {}

    _unadmit = _unregister

    def _discharge(self) -> Content:
        visit = self._known_visit()
        self._call("2402", {"dscginfo": {"endtime": national_time(self.world.clock.wall()), **_names(visit)}})
        return {}

    def _undischarge(self) -> Content:
        self._call("2405", {"data": _names(self._known_visit())})
        return {}

    def _quote(self) -> Content:
        return self._money("2206", "2303")

    def _settle(self) -> Content:
        return self._money("2207", "2304")

    def _void(self) -> Content:
        target = self._target()
        if target is not None and not target.setl_id:
            target = self._standing(target)  # single families name the visit alone
        if target is None or not target.setl_id:
            return self._nothing()
        one = self.world.settlements[target.setl_id]
        if self.operation.otherwise:
            return self._reverse(target)
        infno = "2305" if one.visit.kind == "inpatient" else "2208"
        told = self._call(infno, {"data": {**_names(one.visit), "setl_id": target.setl_id}}, self.msgid)
        visit = {"mdtrt_id": one.visit.mdtrt_id}
        return {"result": told["setlinfo"], "funds": told["setldetail"], "visit": visit}

    def _standing(self, target: Target) -> Target:
        """The visit's settlement that stands, where there is one."""
        visit = self.world.visits.get(target.mdtrt_id)
        stands = [one for one in visit.settlements if one.state == "settled"] if visit is not None else []
        return Target(target.mdtrt_id, stands[-1].setl_id) if stands else target

    def _confirm(self) -> Content:
        return self._second(settling.confirm, settling.confirm_refund)

    def _abort(self) -> Content:
        return self._second(settling.abort, settling.abort_refund)

    def _second(
        self, phase: Callable[[World, Settlement], None], of_refund: Callable[[World, Settlement, Refund], None]
    ) -> Content:
        """The second phase of what the message names; of nothing, as 2601 of nothing."""
        self.world.undo_unconfirmed()
        target = self._target()
        if target is None or not target.setl_id:
            return self._nothing()
        one, refund = self.world.settlements.get(target.setl_id), self.world.prepared_refunds.get(target.setl_id)
        if one is None and refund is None:  # a refund that stood at once: there is nothing to commit or discard
            return {"visit": {"mdtrt_id": target.mdtrt_id}}
        try:
            if refund is not None:
                of_refund(self.world, *refund)
            elif one is not None:
                phase(self.world, one)
        except NoEffect:
            return {"visit": {"mdtrt_id": target.mdtrt_id}}
        self.changed = True
        return {"visit": {"mdtrt_id": target.mdtrt_id}}

    def _cancel(self) -> Content:
        target = self._target()
        return self._nothing() if target is None or not target.setl_id else self._reverse(target)

    def _reverse(self, target: Target) -> Content:
        one = self.world.settlements[target.setl_id]
        self._call("2601", {"data": {"psn_no": one.visit.psn_no, "omsgid": one.msgid, "oinfno": one.infno}})
        return {"visit": {"mdtrt_id": one.visit.mdtrt_id}}

    def _nothing(self) -> Content:
        if self.world.temperament.reverse_missing == "error":
            raise Refusal("original_missing")
        return {}

    def _query(self) -> Content:
        target = self._target()
        visit = self._known_visit()
        setl_id = target.setl_id if target else ""
        told = self._call("5203", {"data": {**_names(visit), "setl_id": setl_id}})
        result = dict(told.get("setlinfo", {}))
        for own, usual in (
            ("cash_payamt", "psn_cash_pay"),
            ("psn_pay", "psn_part_amt"),
        ):  # 5203 names two amounts otherwise
            if own in result:
                result.setdefault(usual, result[own])
        return {"result": result, "funds": told.get("setldetail", [])}

    def _unknown(self) -> Content:
        raise Refusal("unknown_infno", infno=self.operation.message)

    # what the verbs are made of

    def _money(self, outpatient: str, inpatient: str) -> Content:
        visit = self._visit()
        self._upload(visit)
        infno = inpatient if visit.kind == "inpatient" else outpatient
        settle = self.operation.content.get("settle", {})
        held = [line for line in visit.lines.values() if not line.setl_id] or list(visit.lines.values())
        total = sum((line.shares.det_item_fee_sumamt for line in held), Decimal("0.00"))
        data = {
            **_names(visit),
            "med_type": settle.get("med_type") or visit.med_type,
            "insutype": settle.get("insutype") or visit.insutype,
            "acct_used_flag": settle.get("acct_used_flag") or "1",
            "medfee_sumamt": settle.get("medfee_sumamt", total),
            "chrg_bchno": BATCH,
            "mid_setl_flag": settle.get("mid_setl_flag") or "0",
            "mdtrt_cert_type": self.operation.content.get("person", {}).get("mdtrt_cert_type", "03"),
        }
        told = self._call(infno, {"data": data}, self.msgid)
        setl_id = str(told["setlinfo"].get("setl_id", ""))
        if setl_id:
            self.door.aliases[("setl_id", setl_id)] = Target(visit.mdtrt_id, setl_id, self.msgid, infno)
        self.door.bind(self.operation, Target(visit.mdtrt_id, setl_id, self.msgid, infno))
        return {
            "result": told["setlinfo"],
            "funds": told["setldetail"],
            "visit": {"mdtrt_id": visit.mdtrt_id},
            "person": {"psn_no": visit.psn_no, "psn_name": told["setlinfo"]["psn_name"]},
        }

    def _upload(self, visit: Visit) -> list[dict[str, Any]]:
        rows = self.operation.content.get("fees", [])
        if not rows:
            return []
        inpatient = visit.kind == "inpatient"
        if self.operation.fees_whole:
            key = "feedetl_sn" if inpatient else "chrg_bchno"
            self._call("2302" if inpatient else "2205", {"data": {**_names(visit), key: "0000"}})
        sent = []
        for row in rows:
            sn = row.get("feedetl_sn") or f"{visit.mdtrt_id}-{self.world.number('line'):06}"
            sent.append({**row, **_names(visit), "feedetl_sn": sn, "chrg_bchno": BATCH})
        told = self._call("2301" if inpatient else "2204", {"feedetail": sent})
        return [*told["result"]]

    def _target(self) -> Target | None:
        named = self.operation.content.get("result", {}).get("setl_id") or self.operation.content.get(
            "settled", {}
        ).get("setl_id")
        return self.door.aliases.get(("setl_id", str(named))) if named else self.door.find(self.operation)

    def _known_visit(self) -> Visit:
        named = str(self.operation.content.get("visit", {}).get("mdtrt_id", "")) or self._ref_visit()
        target = self.door.find(self.operation)
        visit = self.world.visits.get(named or (target.mdtrt_id if target else ""))
        if visit is None:
            raise Refusal("visit_unknown")
        return visit

    def _ref_visit(self) -> str:
        """A number that is a visit's own id: what this centre's national side or its seed made."""
        return next((value for value in self.operation.refs.values() if value in self.world.visits), "")

    def _visit(self) -> Visit:
        """The visit the message names, opened now if the family opens it without saying so."""
        try:
            return self._known_visit()
        except Refusal:
            return self._opened()

    def _opened(self) -> Visit:
        content = self.operation.content
        told = self._identify()["person"]
        inpatient = self.operation.kind == "inpatient"
        common = {
            "psn_no": told["psn_no"],
            "insutype": content.get("settle", {}).get("insutype") or told["insutype"],
            "begntime": content.get("visit", {}).get("begntime") or national_time(self.world.clock.wall()),
            "ipt_otp_no": next(iter(self.operation.refs.values()), "0"),
        }
        if inpatient:
            med_type = content.get("settle", {}).get("med_type") or "21"
            opened = self._call("2401", {"mdtrtinfo": {**content.get("visit", {}), **common, "med_type": med_type}})
            return self.world.visits[opened["result"]["mdtrt_id"]]
        opened = self._call("2201", {"data": {**content.get("visit", {}), **common}})
        return self.world.visits[opened["data"]["mdtrt_id"]]

    def _two_phase(self, infno: str) -> bool:
        """Whether this family's settlements, and perhaps its refunds, wait for a confirm of their own."""
        refunds = ("2208", "2305") if self.world.temperament.two_phase_refunds else ()
        return infno in ("2207", "2304", *refunds) and any(one.verb == "confirm" for one in self.door.dialect.messages)

    def _call(self, infno: str, nodes: Mapping[str, Any], msgid: str = "") -> Content:
        env = self.operation.content.get("env", {})
        asked = Asked(
            infno=infno,
            msgid=msgid or f"{self.msgid}/{self.world.number('call')}",
            input=nodes,
            fixmedins_code=str(env.get("fixmedins_code", "")),
            fixmedins_name=str(env.get("fixmedins_name", "")),
            mdtrtarea_admvs=_area(self.operation),
            sign_no=next(iter(self.world.sign_ins), ""),
            prepare=self._two_phase(infno),
        )
        told = answer(self.world, asked)
        if told.infcode != "0":
            raise _Refused(told)
        self.changed = self.changed or told.committed
        return {name: _present(node) for name, node in (told.output or {}).items()}


def _present(value: Any) -> Any:
    """Without what is null: content has no such thing."""
    if isinstance(value, dict):
        return {key: _present(one) for key, one in value.items() if one is not None}
    return [_present(one) for one in value] if isinstance(value, list) else value


class _Refused(Exception):
    def __init__(self, told: Answer) -> None:
        super().__init__(told.err_msg)
        self.told = told


def _names(visit: Visit) -> dict[str, str]:
    return {"mdtrt_id": visit.mdtrt_id, "psn_no": visit.psn_no}
