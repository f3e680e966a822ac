"""The national JSON through a library: one function takes a request's text and gives the response's.

Families: ``BUSINESS_HANDLE(in, out)`` (重庆), ``yh_CHS_call(infno, json, out)`` (四川).  The library stands behind a bridge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from adapter_core.formats.json import write_json
from adapter_core.province.bridge import JSON_TYPE, read_results, step_of
from adapter_core.province.messages import Call, Mark, Reply
from adapter_core.province.national import NationalGateway
from adapter_core.values.errors import TranslationError
from adapter_core.values.frames import Frame


@dataclass(frozen=True, slots=True)
class JsonLibrary:
    """One library.

    function, text, answer: its one function, and the names of the values with the request's and the response's text.
    infno: the value that names the transaction ("" = the text alone does).  charset: of the texts; refusal: return value of
    a business error, whose text may be no JSON ("" = it always is).
    """

    name: str
    function: str
    text: str = "in"
    answer: str = "out"
    infno: str = ""
    refusal: str = ""


class BridgedNational(NationalGateway):
    """A national gateway whose wire is a library behind a bridge; 0 is its success, anything else proves nothing but a refusal
    that the library documents as one."""

    library: JsonLibrary

    def encode(self, call: Call, moment: datetime) -> Frame:
        ins = {self.library.text: super().encode(call, moment).body}
        if self.library.infno:
            ins = {self.library.infno: call.message.encode("ascii"), **ins}
        request = {
            "library": self.library.name,
            "session": call.msgid,
            "steps": [step_of(self.library.function, ins, (self.library.answer,), "0")],
            "on_stop": [],
        }
        return Frame(method="PUT", path=f"/calls/{call.msgid}", headers=JSON_TYPE, body=write_json(request))

    def decode(self, call: Call, frame: Frame) -> Reply:
        try:
            results = read_results(frame)
        except TranslationError as error:
            return Reply(Mark.UNREADABLE, error.code, str(error)[:200])
        if len(results) != 1:
            return Reply(Mark.UNREADABLE, text=f"{len(results)} 步的结果，应为 1 步")
        told = results[0]
        text = told.outs.get(self.library.answer, b"").rstrip(b"\x00")
        if told.ret == "0":
            return super().decode(call, Frame(body=text, status=200))
        if self.library.refusal and told.ret == self.library.refusal:
            return Reply(Mark.REFUSED, told.ret, text.decode("utf-8", "backslashreplace")[:200])
        return Reply(Mark.UNREADABLE, told.ret[:20], "动态库返回系统错误，结果未知")


def through(gateway: NationalGateway, library: JsonLibrary) -> BridgedNational:
    """The same gateway with a library for its wire; its path and headers are not used."""
    bridged = BridgedNational(gateway.name, gateway.site, gateway.profile, gateway.policy, gateway.capabilities)
    bridged.library = library
    return bridged
