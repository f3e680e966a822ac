"""A table dialect whose messages are calls with named values: library functions, handle interfaces, SOAP RPC.

In a FILE a library call is one line for each value, ``name=text``; ``function=`` names the function (else the file's name up
to its first ``.`` or ``-`` does), ``ret=`` the return value, ``side.x=`` what only the workstation knows.  A SOAP call is
its envelope.
"""

from __future__ import annotations

import re

from adapter_core.formats.tables.calls import trimmed
from adapter_core.formats.text import decode_text
from adapter_core.province.messages import Operation, Reply
from adapter_core.province.table_dialect import TableDialect
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.frames import Frame

_LINE = re.compile(rb"((?:side\.)?[A-Za-z0-9_]+(?:\[\d{1,5}\]\.[A-Za-z0-9_]+)?)=(.*)")


class CallDialect(TableDialect):
    """As TableDialect, with buffers that may be filled up with NULs, and files of named values."""

    def decode_request(self, frame: Frame) -> Operation:
        """Raises: TranslationError with every fault of the message, NotSupported."""
        return super().decode_request(trimmed(frame))

    def decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        """Bytes that don't fit are Mark.UNREADABLE."""
        return super().decode_reply(asked, trimmed(frame))

    def read_frame_file(self, raw: bytes, name: str, reply: bool | None = None) -> Frame:
        """Raises: TranslationError for a line that is no ``name=text``."""
        if reply is None:
            reply = bool(re.search(r"reply|response|\.out\.", name))
        if self.table.spec.frame.soap:
            return Frame(body=raw, status=200 if reply else None)
        values: dict[str, bytes] = {}
        for number, line in enumerate(raw.replace(b"\r\n", b"\n").split(b"\n"), 1):
            found = _LINE.fullmatch(line)
            if found is None and line.strip():
                raise TranslationError([Fault(f"line {number}", "name=text", "something else")])
            if found is not None:
                values[found[1].decode("ascii")] = found[2]
        function = values.pop("function", re.split(r"[.\-]", name, maxsplit=1)[0].encode())
        ret = values.pop("ret", self.table.spec.frame.file_ret.encode())
        side = {
            name[5:]: decode_text(values.pop(name), self.charset)[0] for name in list(values) if name[:5] == "side."
        }
        if reply:
            return Frame(ret=ret.decode("ascii", "backslashreplace"), outs=values)
        return Frame(function=function.decode("ascii", "backslashreplace"), ins=values, side=side)

    def write_frame_file(self, frame: Frame) -> bytes:
        """``read_frame_file`` reversed."""
        if frame.body:
            return frame.body
        lines = [b"function=" + frame.function.encode()] if frame.function else []
        lines += [b"ret=" + frame.ret.encode()] if frame.ret else []
        lines += [name.encode() + b"=" + text for name, text in (frame.ins or frame.outs).items()]
        lines += [f"side.{name}={text}".encode(self.charset) for name, text in frame.side.items() if text]
        return b"\n".join(lines) + b"\n"
