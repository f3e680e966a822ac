"""The older SiInterface pipe text.  What a request of 09 or 10 holds is not public: a hospital says it in options."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from adapter_core.formats.tables import FieldTable, build_spec
from adapter_core.formats.tables.calls import trimmed
from adapter_core.formats.tables.loader import parse_table
from adapter_core.province.messages import Mark, Operation, Reply
from adapter_core.province.province import Options
from adapter_core.province.table_dialect import TableDialect
from adapter_core.values.frames import Frame
from his_adapter_zhejiang.dialect import table_text

ANSWER = "TRADE_ANSWER"
ARGUMENTS = ("09", "10")
REVERSAL = "99"


def siinterface(options: Options) -> SiInterface:
    """The dialect for one site.

    Options: ``args.09``, ``args.10``: the national places of the arguments after the code, in their order, e.g.
    ``ref.visit, person.mdtrt_cert_no, settle.medfee_sumamt:yuan`` (``-`` = kept as it is); ``codes.med_type.<local>``.
    Without them 09 and 10 answer NotSupported.  Raises: ConfigError, ContractError for an argument that is no place.
    """
    return SiInterface(siinterface_table(options))


def siinterface_table(options: Options) -> FieldTable:
    """The table for one site.  Raises: as `siinterface`."""
    raw = with_arguments(parse_table(table_text("siinterface"), "siinterface.toml"), options)
    rest = {key: value for key, value in options.items() if not key.startswith("args.")}
    return FieldTable(build_spec(raw, "siinterface.toml", rest))


def with_arguments(raw: dict[str, Any], options: Options) -> dict[str, Any]:
    """The table with the site's argument order; a message without one becomes a known, unsupported one."""
    raw = deepcopy(raw)
    for code in ARGUMENTS:
        order = [place.strip() for place in options.get(f"args.{code}", "").split(",") if place.strip()]
        if not order:
            raw["unsupported"][code] = raw["message"].pop(code)["title"]
            continue
        record = raw["record"][f"args_{code}"]
        record["cells"] = 1 + len(order)
        for number, place in enumerate(order, 1):
            target, _, how = place.partition(":")
            record["rows"].append([number, f"参数{number}", target, how or "text"])
        if "ref.visit" in order:
            keys = {"encounter": "ref.visit"} | ({"settle": "ref.visit"} if code == "10" else {})
            raw["message"][code]["keys"] = keys
    if "10" not in raw["message"] and "09" in raw["message"]:
        del raw["message"]["09"]["settle_with"]
    return raw


class SiInterface(TableDialect):
    """Three functions of one library; ``TRADE_ANSWER`` is the one whose text is a bare serial number."""

    def decode_request(self, frame: Frame) -> Operation:
        frame = trimmed(frame)
        if frame.function == ANSWER and not frame.ins.get("in", b"").startswith(ANSWER.encode()):
            text = ANSWER.encode() + b"|" + frame.ins.get("in", b"").strip(b"\x00 |\r\n") + b"|"
            frame = replace(frame, ins={**frame.ins, "in": text})
        return super().decode_request(frame)

    def encode_request(self, operation: Operation) -> Frame:
        frame = super().encode_request(operation)
        if operation.message != ANSWER:
            return frame
        bare = frame.ins["in"].removeprefix(ANSWER.encode()).strip(b"|")
        return replace(frame, function=ANSWER, ins={**frame.ins, "in": bare})

    def decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        """As TableDialect; an error's words are what follows its number, or all of it where it has none."""
        reply = super().decode_reply(asked, trimmed(frame))
        if reply.mark is not Mark.REFUSED:
            return reply
        return replace(reply, text=reply.text.strip().removeprefix(f"{reply.code}|").rstrip("|") or reply.text)

    def read_frame_file(self, raw: bytes, name: str, reply: bool | None = None) -> Frame:
        """As TableDialect; the function is the name's where it is another."""
        frame = super().read_frame_file(raw, name, reply)
        return replace(frame, function=ANSWER) if frame.ins and name.startswith(ANSWER) else frame

    def on_table(self, table: FieldTable) -> SiInterface:
        return type(self)(table)


class SiInterfaceCentre(SiInterface):
    """The dialect as it calls a centre."""

    def encode_request(self, operation: Operation) -> Frame:
        hospital = operation.content.get("env", {}).get("fixmedins_code", "")
        return super().encode_request(replace(operation, echo={"hospital": hospital, **operation.echo}))

    def decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        """A settlement's own number is its ``setl_id``; a reversal, always of a whole settlement, tells no amounts of its own."""
        reply = super().decode_reply(asked, frame)
        if reply.mark is not Mark.OK:
            return reply
        if asked.message == REVERSAL:
            return replace(reply, content={**reply.content, "result": dict(asked.content.get("settled", {}))})
        if "serial" not in reply.refs or "result" not in reply.content:
            return reply
        result = {**reply.content["result"], "setl_id": reply.refs["serial"]}
        return replace(reply, content={**reply.content, "result": result})
