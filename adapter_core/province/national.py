"""The national gateway: one envelope and one set of numbers everywhere; paths, signing and small habits differ by profile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from adapter_core.formats.json import read_json, write_json
from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call, Mark, Reply
from adapter_core.province.plan import Route, load_route
from adapter_core.province.policy import Policy
from adapter_core.standard.codec import codec
from adapter_core.standard.envelope import national_msgid, read_response, request_envelope
from adapter_core.standard.fields import Node
from adapter_core.standard.source import schema_file
from adapter_core.standard.transactions import endpoint, transaction
from adapter_core.values.content import Content
from adapter_core.values.errors import ConfigError, ContractError, Fault, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.moments import national_time

JSON_TYPE = ("Content-Type", "application/json;charset=utf-8")
FILES = frozenset({"9102"})
"""Answered with a file's bytes as they are (江西, 广东, 内蒙古); only a refusal is the usual JSON."""
REPLY_BYTES_MAX = 32 * 1024 * 1024
"""A reconciliation's answer is the longest."""
ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
"""For checking an envelope that nobody sends."""


@dataclass(frozen=True, slots=True)
class Signing:
    """What a signer gets: the exact bytes, the moment and the call's own msgid (a nonce is derived from it)."""

    site: Site
    infno: str
    body: bytes
    moment: datetime
    msgid: str


def counted_msgid(fixmedins_code: str, moment: datetime, sequence: int) -> str:
    """The national msgid.  The sequence starts over after 9999: should a number come round in one second, the ledger refuses it."""
    return national_msgid(fixmedins_code, moment, sequence % 10_000)


@dataclass(frozen=True, slots=True)
class Profile:
    """What differs from gateway to gateway; every default is the plain national form.

    path: of (site, infno).  headers: of a Signing.  msgid: of (institution code, moment, sequence).
    envelope: further envelope fields, site options already filled in.  variants: call → the number this gateway speaks.
    recer_sys_code: one for all calls, or of the call.
    """

    path: Callable[[Site, str], str]
    headers: Callable[[Signing], Iterable[tuple[str, str]]] = lambda signing: ()
    msgid: Callable[[str, datetime, int], str] = counted_msgid
    recer_sys_code: str | Callable[[Call], str] = "FSI_LOCAL"
    infver: str = "V1.0"
    opter_type_as_number: bool = False
    envelope: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)
    spelling: str = "table"
    secrets: tuple[str, ...] = ()


@cache
def _sections() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(schema_file("national", "sections.json").read_text("utf-8"))
    return loaded


def planned_homes() -> Mapping[str, list[str]]:
    """The sections where the fields of planned transactions live, by code."""
    homes: Mapping[str, list[str]] = _sections()["homes"]
    return homes


@cache
def national_route_text() -> str:
    """The national plan, as TOML."""
    return (files("adapter_core.province") / "national_route.toml").read_text("utf-8")


def route_text(site: Site) -> str:
    """The national plan as this site's gateway wants it: option ``discharge`` = ``before`` (default) | ``after`` the settlement."""
    text, order = national_route_text(), site.options.get("discharge", "before")
    if order not in ("before", "after"):
        raise ConfigError(f"discharge is before or after, not {order!r}")
    return text if order == "before" else text.replace('"discharge", "stay_pay"]', '"stay_pay", "discharge"]')


class NationalGateway:
    """Encodes calls as national requests and reads national responses.  Satisfies `Gateway`."""

    def __init__(
        self,
        name: str,
        site: Site,
        profile: Profile,
        policy: Policy | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        missing = [secret for secret in profile.secrets if secret not in site.secrets]
        if missing:
            raise ConfigError(f"gateway {name}: missing secret {', '.join(missing)}")
        self.name = name
        self.site = site
        self.profile = profile
        self.policy = policy or Policy()
        self.capabilities = capabilities or Capabilities()
        self.route: Route = load_route(route_text(site), profile.variants)
        _assert_homes(self.route)

    def msgid(self, moment: datetime, sequence: int) -> str:
        return self.profile.msgid(self.site.fixmedins_code, moment, sequence)

    def faults(self, call: Call) -> tuple[Fault, ...]:
        nodes, faults = self._checked(call)
        try:
            self.envelope(call, nodes or {"data": {}}, ANY_MOMENT)
        except TranslationError as error:
            faults.extend(error.faults)
        return tuple(faults)

    def _checked(self, call: Call) -> tuple[Content, list[Fault]]:
        nodes = input_nodes(call.message, call.content)
        self._add_local(call, nodes)
        reading = codec(call.message).read_input(nodes)
        return reading.nodes, list(reading.faults)

    def _add_local(self, call: Call, nodes: Content) -> None:
        """Fields that no national table has, where the site says that its gateway takes them: option
        ``local.<infno>.<field> = "section.field"``; they go into the transaction's first record."""
        for name, path in self.site.options.items():
            if not name.startswith(f"local.{call.message}."):
                continue
            section, _, field = path.partition(".")
            value = call.content.get(section, {}).get(field)
            first = next((node for node in nodes.values() if isinstance(node, dict)), None)
            if value is not None and first is not None:
                first[name.removeprefix(f"local.{call.message}.")] = value

    def encode(self, call: Call, moment: datetime) -> Frame:
        checked, faults = self._checked(call)
        if faults:
            raise TranslationError(faults)
        tree = codec(call.message).write("input", checked, self.profile.spelling)
        return self.framed(call, self.envelope(call, tree, moment), moment)

    def framed(self, call: Call, envelope: Content, moment: datetime) -> Frame:
        """A whole request as bytes, with this gateway's path and signature."""
        body = write_json(envelope)
        signing = Signing(self.site, call.message, body, moment, call.msgid)
        return Frame(
            body=body,
            path=self.profile.path(self.site, call.message),
            headers=(JSON_TYPE, *self.profile.headers(signing)),
        )

    def envelope(self, call: Call, tree: Content, moment: datetime) -> Content:
        """The request around an input.  Raises: TranslationError with every fault of the envelope."""
        environment = call.content.get("env", {})
        receiver = self.profile.recer_sys_code
        opter_type = str(environment.get("opter_type", "1"))
        fields = {
            "infno": call.message,
            "msgid": call.msgid,
            "mdtrtarea_admvs": self.site.admdvs,
            "insuplc_admdvs": str(call.content.get("person", {}).get("insuplc_admdvs", self.site.admdvs)),
            "recer_sys_code": receiver if isinstance(receiver, str) else receiver(call),
            "infver": self.profile.infver,
            "opter_type": int(opter_type) if self.profile.opter_type_as_number and opter_type.isdigit() else opter_type,
            "opter": str(environment.get("opter", "")),
            "opter_name": str(environment.get("opter_name", environment.get("opter", ""))),
            "inf_time": national_time(moment),
            "fixmedins_code": self.site.fixmedins_code,
            "fixmedins_name": self.site.fixmedins_name,
            "sign_no": "" if call.kind_class == "session" else str(environment.get("sign_no", "")),
            **self.profile.envelope,
        }
        return request_envelope(fields, tree)

    def decode(self, call: Call, frame: Frame) -> Reply:
        if call.message in FILES and _is_file(frame):
            return Reply(Mark.OK, "0", content={"file": frame.body})
        try:
            tree = read_json(frame.body, max_bytes=REPLY_BYTES_MAX)
        except TranslationError as error:
            return unreadable(error)
        return self.understood(call, frame, tree)

    def understood(self, call: Call, frame: Frame, tree: object) -> Reply:
        """The reply whose body reads as ``tree``."""
        try:
            response = read_response(tree)
            if response.infcode == "":
                return Reply(Mark.UNREADABLE, text="no infcode: not a national reply")
            if response.infcode != "0":
                return Reply(Mark.REFUSED, response.infcode, response.err_msg)
            if frame.status not in (None, 200):
                return Reply(Mark.UNREADABLE, text=f"HTTP {frame.status} with infcode 0")
            reading = codec(call.message).read_output(response.output)
        except TranslationError as error:
            return unreadable(error)
        if reading.faults:
            return Reply(Mark.UNREADABLE, text="; ".join(map(str, reading.faults))[:200])
        return Reply(
            Mark.OK,
            response.infcode,
            response.err_msg,
            content=output_content(call.message, reading.nodes),
            warnings=tuple(map(str, reading.warnings)),
        )

    def echo_faults(self, call: Call, reply: Reply) -> tuple[str, ...]:
        """The national echoes: ``psn_no``, ``mdtrt_id`` and ``medins_setl_id`` = our msgid."""
        result = reply.content.get("result", {})
        asked = {
            "psn_no": call.content.get("person", {}).get("psn_no"),
            "mdtrt_id": call.content.get("visit", {}).get("mdtrt_id"),
            "medins_setl_id": call.msgid,
        }
        return tuple(
            name for name, value in asked.items() if value and result.get(name) and str(result[name]) != str(value)
        )


def _is_file(frame: Frame) -> bool:
    """Whether a reply's body is a file: neither a message of JSON or XML, nor a gateway's page."""
    return frame.status in (None, 200) and frame.body.lstrip()[:1] not in (b"", b"{", b"[", b"<")


def unreadable(error: TranslationError) -> Reply:
    """A reply that is no national one."""
    return Reply(Mark.UNREADABLE, text=str(error)[:200])


def input_nodes(infno: str, content: Content) -> Content:
    """The input nodes of a transaction, built from sections by the standard's own field lists."""
    nodes: Content = {}
    for name, rows, fields in _described(infno):
        if rows is None:
            nodes[name] = _around(fields, content)
        elif content.get(rows):
            around = _around(fields, content)
            nodes[name] = [_record(fields, row, around) for row in content[rows]]
    return nodes


NOTHING: Content = {}
Homes = tuple[tuple[str, tuple[str, ...]], ...]
"""The fields of a node, each with the sections where it may live."""


@cache
def _described(infno: str) -> tuple[tuple[str, str | None, Homes], ...]:
    """The input nodes: name, the section of its rows (None for one record), fields.  A dotted name lies inside another's record."""
    homes, lists = _sections()["homes"], _sections()["lists"]
    return tuple(
        (node.name, lists.get(node.name, "") if node.repeat else None, _homes(node, homes))
        for node in transaction(infno).input
        if "." not in node.name
    )


def _homes(node: Node, homes: Mapping[str, list[str]]) -> Homes:
    return tuple((one.code, tuple(homes.get(one.code, ()))) for one in node.fields)


def _around(fields: Homes, content: Content) -> Content:
    """What the sections say of a node's fields, the first one that says it."""
    around = {}
    for code, sections in fields:
        for section in sections:
            value = content.get(section, NOTHING).get(code)
            if value is not None:
                around[code] = value
                break
    return around


def _record(fields: Homes, row: Mapping[str, Any], around: Content) -> Content:
    """A row with what is said around it, in the table's order."""
    return {
        code: value
        for code, _ in fields
        if (value := row.get(code)) is not None or (value := around.get(code)) is not None
    }


def output_content(infno: str, nodes: Content) -> Content:
    """Output nodes filed under our sections; a node without a home stays under its own name in ``x``."""
    table = _sections()["outputs"]
    homes: Mapping[str, str] = {**table["*"], **table.get(infno, table.get(infno[:4], {}))}
    content: Content = {}
    for name, value in (nodes or {}).items():
        if name in homes:
            content[homes[name]] = _renamed(infno, value)
        else:
            content.setdefault("x", {})[name] = value
    return content


def _renamed(infno: str, value: Any) -> Any:
    """A node whose transaction names a field otherwise than its sisters do."""
    names = _sections()["renamed"].get(infno[:4])
    if not names or not isinstance(value, Mapping):
        return value
    return {names.get(name, name): one for name, one in value.items()}


def _assert_homes(route: Route) -> None:
    """Every field a planned transaction asks for has a home section, or the build fails."""
    tables = _sections()
    for step in route.steps.values():
        for node in transaction(step.call).input:
            if node.repeat and node.name in tables["lists"]:
                continue
            homeless = [one.code for one in node.fields if one.code not in tables["homes"]]
            if homeless:
                raise ContractError(f"{step.call}.{node.name}: no section holds {', '.join(homeless)}")


def service_path(site: Site, infno: str) -> str:
    """``/<service>/<method>`` by the standard's endpoint table.  Source: `schemas/national/endpoints.json`.

    No public source names a path for some transactions (5201): those go to the gateway's own address, by the infno in the body.
    """
    path = endpoint(infno) or endpoint(infno[:4]) or ""
    return path.removeprefix("/fsi/api")


def national(site: Site) -> NationalGateway:
    """The plain national gateway, without a plugin: service paths, no signing; an ``apikey`` header when a key is set.

    Option ``path.<infno>``: the path of a number whose own no public source shows (5201), or that differs here.
    """

    def headers(signing: Signing) -> Iterable[tuple[str, str]]:
        key = site.secrets.get("apikey")
        return (("apikey", key.reveal()),) if key else ()

    options = site.options
    profile = Profile(
        path=lambda here, infno: here.options.get(f"path.{infno}") or service_path(here, infno),
        headers=headers,
        recer_sys_code=options.get("recer_sys_code", "FSI_LOCAL"),
        infver=options.get("infver", "V1.0"),
    )
    return NationalGateway("national", site, profile)
