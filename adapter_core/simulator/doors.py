"""Doors: the shapes of wire through which the simulated centre is reached, and the gateways in front of it.

| path | door |
|---|---|
| ``/fsi/api`` and ``/fsi/api/<service>/<method>`` | plain national; the infno of the body counts |
| ``/CSB/hsa-fsi-<infno>`` | N-CSB (江西): ``_api_*`` headers, HMAC-SHA1 |
| ``/CSB``, ``/isp-api/powercsb`` | N-CSB (江苏, 湖南): the same, the infno in the body; seconds or milliseconds |
| ``/uif-hsaf-med-api/api/medical/service``, ``/mss/web/api/fsi/callService`` | N-KEY (内蒙古), no gateway (四川) |
| ``/ebus/<paasid>/[…/]hsa/hgs/<infno>`` | x-tif (广东): ``x-tif-*`` headers, SHA-256 |
| ``/xca/fsi/api/<service>/<method>`` | N-XCA (浙江): ``x-ca-*`` headers, HMAC-SM3 over the body |
| ``/gjptqzyy-<env>/api/v1/route/`` | N-KEY (上海): a constant ``apikey`` header |
| ``/legacy/{dialect}``, ``/web/services/STYDJY.…`` | a province's old interface: `legacy` |
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapter_core.formats.json import read_json, write_json
from adapter_core.formats.signing import csb_signature, tif_signature, xca_signature
from adapter_core.simulator.records import Answer, Asked
from adapter_core.simulator.statements import file_of
from adapter_core.simulator.transactions import answer
from adapter_core.simulator.wire import BODY_MAX, HttpReply, HttpRequest
from adapter_core.simulator.world import World, data_table
from adapter_core.standard.envelope import read_request
from adapter_core.values.errors import TranslationError
from adapter_core.values.moments import china
from adapter_core.values.secrets import Secret

FORBIDDEN = 401


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One request, read by its door.  ``infno``: as that wire numbers it; ``said``: what the door made of it."""

    infno: str
    msgid: str
    psn_no: str
    said: Any


class Turned(Exception):
    """The door answers by itself: nothing reached the centre."""

    def __init__(self, reply: HttpReply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Door(Protocol):
    """Reads requests and writes answers of one shape."""

    def read(self, request: HttpRequest, world: World) -> Inquiry:
        """Raises: Turned."""

    def act(self, inquiry: Inquiry, world: World) -> Answer: ...

    def write(self, inquiry: Inquiry, told: Answer, world: World) -> HttpReply: ...


@dataclass(frozen=True, slots=True)
class Keys:
    """The rehearsal credentials that the signed doors accept.  Invented; never a real one."""

    csb: Mapping[str, Secret] = field(default_factory=lambda: {"ak-test-0001": Secret("sk-test-0001")})
    tif: Mapping[str, Secret] = field(default_factory=lambda: {"gd_test_0001": Secret("test-token-not-real-0001")})
    xca: Mapping[str, Secret] = field(default_factory=lambda: {"H33000000001": Secret("zj-secret-test-01")})
    apikey: Secret = field(default_factory=lambda: Secret("sh-apikey-test-0001"))


class NationalDoor:
    """The national envelope, without any gateway.  ``infcode`` is a number here; subclasses may write it as text."""

    infcode_as_text = False

    def read(self, request: HttpRequest, world: World) -> Inquiry:
        self.check(request)
        try:
            tree = read_json(request.body, max_bytes=BODY_MAX)
        except TranslationError as error:
            raise Turned(self._bad(world, str(error))) from None
        read = read_request(tree)
        inner = read.input
        # Outside strict_input a fault of the envelope is no reason to refuse, so the tree's own values count.
        fields = tree if isinstance(tree, dict) else {}
        infno = str(fields.get("infno", ""))
        if not infno or not fields.get("msgid") or not isinstance(inner, dict):
            raise Turned(self._bad(world, "; ".join(map(str, read.faults)) or "infno, msgid, input"))
        if self.named_infno(request) not in ("", infno):
            raise Turned(self._bad(world, "infno: body and address differ"))
        if world.temperament.strict_input and read.faults:
            raise Turned(self._bad(world, str(read.faults[0])))
        asked = Asked(
            infno=infno,
            msgid=str(fields["msgid"]),
            input=inner,
            fixmedins_code=str(fields.get("fixmedins_code", "")),
            fixmedins_name=str(fields.get("fixmedins_name", "")),
            mdtrtarea_admvs=str(fields.get("mdtrtarea_admvs", "")),
            sign_no=str(fields.get("sign_no", "")),
            opter=str(fields.get("opter", "")),
        )
        return Inquiry(asked.infno, asked.msgid, person_number(inner), asked)

    def check(self, request: HttpRequest) -> None:
        """The gateway in front of the centre.  Raises: Turned."""

    def named_infno(self, request: HttpRequest) -> str:
        """The infno of the address, where this door has it there."""
        return ""

    def act(self, inquiry: Inquiry, world: World) -> Answer:
        return answer(world, inquiry.said)

    def write(self, inquiry: Inquiry, told: Answer, world: World) -> HttpReply:
        file = file_of(told)
        if file is not None:
            return HttpReply(file, headers=(("Content-Type", "application/octet-stream"),))
        return self._envelope(world, told, inquiry.said.mdtrtarea_admvs)

    def _bad(self, world: World, fault: str) -> HttpReply:
        text = str(data_table("texts")["bad_message"]).format(fault=fault)
        return self._envelope(world, Answer("-1", text[:200]), "")

    def _envelope(self, world: World, told: Answer, area: str) -> HttpReply:
        now = china(world.clock.wall())
        stamp = f"{now:%Y%m%d%H%M%S}"
        tree = {
            "infcode": told.infcode if self.infcode_as_text else _as_number(told.infcode),
            "inf_refmsgid": f"{area[:6]:0<6}{stamp}{world.number('reply') % 10**10:010}",
            "refmsg_time": f"{stamp}{now.microsecond // 1000:03}",
            "respond_time": f"{stamp}{now.microsecond // 1000:03}",
            "enctype": "",
            "signtype": "",
            "err_msg": told.err_msg or None,
            "output": told.output,
        }
        return HttpReply(write_json(tree))


def _as_number(infcode: str) -> int | str:
    return int(infcode) if re.fullmatch(r"-?\d{1,9}", infcode) else infcode


def person_number(inner: Mapping[str, Any]) -> str:
    """The first psn_no in an input: what rules and the wire log name."""
    for node in inner.values():
        for record in node if isinstance(node, list) else [node]:
            if isinstance(record, Mapping) and record.get("psn_no"):
                return str(record["psn_no"])
    return ""


class GatewayDoor(NationalDoor):
    """A signed gateway.  Its own refusals are JSON of another shape, without infcode, and HTTP 200."""

    def turn(self, code: int, text_key: str) -> Turned:
        tree = {"code": code, "message": data_table("texts")[text_key], "data": None}
        return Turned(HttpReply(write_json(tree)))


class CsbDoor(GatewayDoor):
    """N-CSB as in 江西.  Source: the CSB recipe; the body is not signed, the timestamp has 13 digits."""

    infcode_as_text = True
    _path = re.compile(r"/CSB/((?:yfb-)?hsa-fsi-(\w+))")

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.csb
        self._digits = 13

    def named_infno(self, request: HttpRequest) -> str:
        found = self._path.fullmatch(request.path)
        return found[2] if found else ""

    def address_fits(self, request: HttpRequest) -> bool:
        """Whether the address names the service that the headers name."""
        found = self._path.fullmatch(request.path)
        return found is not None and found[1] == request.header("_api_name")

    def check(self, request: HttpRequest) -> None:
        names = ("_api_name", "_api_version", "_api_timestamp", "_api_access_key")
        fields = {name: request.header(name) for name in names}
        secret = self._keys.get(fields["_api_access_key"])
        if not all(fields.values()) or not request.header("_api_signature"):
            raise self.turn(FORBIDDEN, "headers_missing")
        if secret is None or not self.address_fits(request):
            raise self.turn(FORBIDDEN, "signature_bad")
        fresh = re.fullmatch(rf"\d{{{self._digits}}}", fields["_api_timestamp"])
        signed = csb_signature(secret, fields)
        if not fresh or not hmac.compare_digest(signed.encode(), request.header("_api_signature").encode("latin-1")):
            raise self.turn(FORBIDDEN, "signature_bad")


class OneCsbDoor(CsbDoor):
    """N-CSB with one address for every number.  digits: of the timestamp, 10 (seconds) or 13.  named: whether ``_api_name`` is
    the infno; else it is one service's name, whatever it is."""

    def __init__(self, keys: Keys, digits: int, *, named: bool) -> None:
        super().__init__(keys)
        self._digits = digits
        self._named = named

    def named_infno(self, request: HttpRequest) -> str:
        return request.header("_api_name") if self._named else ""

    def address_fits(self, request: HttpRequest) -> bool:
        return True


class TifDoor(GatewayDoor):
    """x-tif as in 广东.  Source: the x-tif recipe; hex in either case, timestamp in seconds, the body is not signed."""

    _path = re.compile(r"/ebus/([^/]+)/(?:[^/]+/)?hsa/hgs/(\w+)")

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.tif

    def named_infno(self, request: HttpRequest) -> str:
        found = self._path.fullmatch(request.path)
        return found[2] if found else ""

    def check(self, request: HttpRequest) -> None:
        paasid, timestamp, nonce, signature = (
            request.header(f"x-tif-{name}") for name in ("paasid", "timestamp", "nonce", "signature")
        )
        if not (paasid and timestamp and nonce and signature):
            raise self.turn(FORBIDDEN, "headers_missing")
        token = self._keys.get(paasid)
        found = self._path.fullmatch(request.path)
        if token is None or found is None or found[1] != paasid or not re.fullmatch(r"\d{10}", timestamp):
            raise self.turn(FORBIDDEN, "signature_bad")
        signed = tif_signature(token, timestamp=timestamp, nonce=nonce)
        if not hmac.compare_digest(signed.encode(), signature.lower().encode("latin-1")):
            raise self.turn(FORBIDDEN, "signature_bad")


class XcaDoor(GatewayDoor):
    """x-ca as in 浙江.  Source: the x-ca recipe; the body's very bytes are signed, timestamp in seconds."""

    _signature = re.compile(r"(\d{10}):([0-9A-F]{64})")

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.xca

    def check(self, request: HttpRequest) -> None:
        key, signature = request.header("x-ca-key"), request.header("x-ca-signature")
        if not (key and signature):
            raise self.turn(FORBIDDEN, "headers_missing")
        secret, found = self._keys.get(key), self._signature.fullmatch(signature)
        if secret is None or found is None:
            raise self.turn(FORBIDDEN, "signature_bad")
        if not hmac.compare_digest(xca_signature(secret, request.body, timestamp=found[1]), found[2]):
            raise self.turn(FORBIDDEN, "signature_bad")


class KeyDoor(GatewayDoor):
    """One URL and a constant ``apikey`` header, as in 上海."""

    def __init__(self, keys: Keys) -> None:
        self._key = keys.apikey

    def check(self, request: HttpRequest) -> None:
        if not request.header("apikey"):
            raise self.turn(FORBIDDEN, "headers_missing")
        if not hmac.compare_digest(self._key.reveal().encode(), request.header("apikey").encode("latin-1")):
            raise self.turn(FORBIDDEN, "signature_bad")
