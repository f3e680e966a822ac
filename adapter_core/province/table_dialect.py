"""A Dialect made from a field table: what a HIS engineer writes is the table; this file is the same for every family.

In a FILE a function call's request is the text, after the lines ``name=text`` of further arguments that the table names; its
reply the lines ``ret=N`` and ``name=text`` of further out-buffers, then the text; ``ret=`` is left out where it has the value
that the table's ``file_ret`` names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import eq
from typing import Any

import msgspec

from adapter_core.formats.tables import FieldTable
from adapter_core.formats.tables.frames import Envelope, Opened
from adapter_core.formats.tables.spec import Form, Message
from adapter_core.formats.tables.table import succeeded
from adapter_core.formats.text import decode_text, encode_text
from adapter_core.province.dialect import MessageInfo, RefKind
from adapter_core.province.messages import Mark, Operation, Outcome, Reply
from adapter_core.values.content import Content, canonical
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError, NotSupported
from adapter_core.values.frames import Frame

UNKNOWN_TEXT = "【结果未知，请勿改自费】"
"""How every answer starts that tells that a result isn't known."""

_SORTED_JSON = msgspec.json.Encoder(order="deterministic")

TAKE_BACK = frozenset(["void", "drop_fees", "unregister", "unadmit", "undischarge", "cancel", "abort"])
TAKEN_BACK = frozenset({"VOIDED", "REVERSED", "NOT_APPLIED", "CANCELLED", "DONE"})
DONE = frozenset({"SETTLED", "DONE"})
QUOTED = DONE | {"QUOTED"}
NOT_DONE = frozenset(
    {"REJECTED", "NOT_SENT", "NOT_APPLIED", "REVERSED", "VOIDED", "CANCELLED", "REFUSED", "NOT_SUPPORTED"}
)

Hook = Callable[[str, str, Content], Content]
"""``(message, "ask" | "tell", sections) → sections``: changes what it is given, or a copy, and returns it."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a table can't say, as a pair: after a message is read, and before it is written.

    Both pure.  ``before_encode`` may change records; the elements of a list it must replace, not change.  adds: fields
    (``section.field``) that ``after_decode`` makes of others, which no row of the table names.
    """

    after_decode: Hook
    before_encode: Hook
    adds: frozenset[str] = frozenset()


class TableDialect:
    """Implements ``Dialect``.  table: compiled for this site; hooks: at most one pair."""

    def __init__(self, table: FieldTable, hooks: Hooks | None = None) -> None:
        spec = table.spec
        self.table = table
        self.name = spec.dialect
        self.charset = spec.frame.charset
        self.refs: Mapping[str, RefKind] = {
            name: RefKind(ref.name, ref.theirs, ref.mint, ref.pattern, ref.names, ref.binds)
            for name, ref in spec.refs.items()
        }
        self.messages = tuple(
            MessageInfo(message.id, message.verb, message.title, message.evidence) for message in spec.messages.values()
        )
        self.wsdl = spec.frame.soap.get("wsdl", "")
        """The service's description, a file under ``schemas/his``; "" where the dialect is no SOAP service."""
        self._hooks = hooks

    @property
    def added(self) -> frozenset[str]:
        """Fields that the hooks make of others (``section.field``)."""
        return self._hooks.adds if self._hooks else frozenset()

    def on_table(self, table: FieldTable) -> TableDialect:
        """The same dialect on another table: for laws that change rows."""
        return TableDialect(table, self._hooks)

    def decode_request(self, frame: Frame) -> Operation:
        """What the HIS wants.  Raises: TranslationError with every fault of the message, NotSupported."""
        opened = self.table.open(frame, "ask")
        message = self.table.message_of(opened)
        content = self._after_decode(message, "ask", self.table.read(opened, message, "ask"))
        refs, echo = content.pop("ref", {}), content.pop("echo", {})
        section, name = self.table.spec.kind_at
        kind = self.table.spec.kinds.get(content.get(section, {}).get(name, ""), "outpatient")
        return Operation(
            verb=message.verb,
            message=message.id,
            dialect=self.name,
            kind=kind,
            otherwise=message.otherwise,
            content=content,
            refs=refs,
            keys=_keys(message, content, refs, echo),
            key_repeats=message.key_repeats,
            fees_whole=message.fees_whole,
            echo=echo,
        )

    def encode_request(self, operation: Operation) -> Frame:
        """The other direction.  Raises: TranslationError, NotSupported."""
        message = self._message(operation)
        sections = {**operation.content, "ref": dict(operation.refs), "echo": dict(operation.echo)}
        return self.table.write(message, "ask", self._before_encode(message, "ask", sections))

    def encode_reply(self, asked: Operation, outcome: Outcome) -> Frame:
        """The answer in the family's own form.

        A state that is neither done nor surely not done is told in the family's ``unknown`` form, never as a failure.
        Raises: TranslationError when the success form can't carry the content; the two other forms never do.
        """
        sections: dict[str, Any] = {
            **outcome.content,
            "ref": {**asked.refs, **outcome.refs},
            "echo": {**asked.echo, **outcome.content.get("echo", {})},
            "asked": asked.content,
        }
        form = self._form(asked.verb, outcome.state)
        if form is None:
            message = self._message(asked)
            return self.table.write(message, "tell", self._before_encode(message, "tell", sections))
        text = outcome.message_zh or outcome.code
        if form is self.table.spec.unknown and not text.startswith(UNKNOWN_TEXT):
            text = UNKNOWN_TEXT + text
        return self.table.write_form(form, text, sections, self.table.spec.messages.get(asked.message))

    def decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        """A legacy centre's reply.  Bytes that don't fit are Mark.UNREADABLE; nothing is taken from them."""
        try:
            return self._decode_reply(asked, frame)
        except NotSupported as error:
            return Reply(Mark.UNREADABLE, code=error.code, text=str(error))
        except AdapterError as error:
            return Reply(Mark.UNREADABLE, code=error.code, text=str(error)[:1000])

    def settle_form(self, quoted: Operation) -> Operation:
        """The operation by which this HIS would settle what it just quoted.  Raises: NotSupported."""
        message = self._message(quoted)
        if message.verb == "settle":
            return quoted
        if not message.settle_with:
            raise NotSupported(
                f"{self.name}: nothing settles what {message.id} quotes", message_zh="此业务没有对应的结算报文"
            )
        settle = self.table.spec.messages[message.settle_with]
        return replace(quoted, message=settle.id, verb=settle.verb, otherwise=settle.otherwise)

    def read_frame_file(self, raw: bytes, name: str, reply: bool | None = None) -> Frame:
        """A message as a file holds it.

        reply: whether it is one; None: judged by a first line ``ret=`` or by ``reply`` or ``response`` in the name.
        The code of a family whose text doesn't hold it comes from the name's part before the first ``.`` or ``-``.
        """
        spec = self.table.spec.frame
        if reply is None:
            reply = raw.startswith(b"ret=") or bool(re.search(r"reply|response", name))
        if (spec.tell_text if reply else spec.ask_text) == "body":
            return Frame(body=raw, status=200 if reply else None)
        if not reply:
            ins = {}
            while (found := re.match(rb"([A-Za-z]+)=([^\r\n]*)\r?\n", raw)) and found[
                1
            ].decode() in self._in_arguments():
                ins[found[1].decode()] = found[2]
                raw = raw[found.end() :]
            ins[spec.ask_text.partition(".")[2]] = raw
            if spec.code.startswith("in."):
                ins[spec.code[3:]] = encode_text(re.split(r"[.\-]", name, maxsplit=1)[0], spec.charset)
            return Frame(function=spec.function, ins=ins)
        ret, outs = spec.file_ret, {}
        buffers = {place[4:] for place in self._out_places() if place != spec.tell_text}
        while found := re.match(rb"([A-Za-z]+)=([^\r\n]*)(?:\r?\n|$)", raw):
            place = found.group(1).decode("ascii")
            if place == "ret":
                ret = decode_text(found.group(2), "utf-8")[0]
            elif place in buffers:
                outs[place] = found.group(2)
            else:
                break
            raw = raw[found.end() :]
        outs[spec.tell_text.partition(".")[2]] = raw
        return Frame(ret=ret, outs=outs)

    def write_frame_file(self, frame: Frame) -> bytes:
        """The bytes a file holds for this frame: ``read_frame_file`` reversed."""
        if frame.body or not (frame.ins or frame.outs):
            return frame.body
        spec = self.table.spec.frame
        if frame.ins:
            named = [name.encode() + b"=" + frame.ins[name] for name in self._in_arguments() if frame.ins.get(name)]
            return b"\n".join([*named, frame.ins.get(spec.ask_text.partition(".")[2], b"")])
        text = spec.tell_text.partition(".")[2]
        lines = [b"ret=" + frame.ret.encode("ascii")] if frame.ret != spec.file_ret else []
        lines += [name.encode("ascii") + b"=" + raw for name, raw in frame.outs.items() if name != text and raw]
        body = frame.outs.get(text, b"")
        return b"\n".join([*lines, body] if body or not lines else lines)

    def _decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        spec = self.table.spec
        opened: Opened | None = None
        if spec.success.at.partition(".")[0] in ("ret", "out"):
            # A failure's text is free: only a success has the family's frame.
            envelope: Mapping[str, str] = Envelope(frame, self.charset)
            code = envelope[spec.success.at].strip()
            further = [envelope[place].strip() for place in spec.success.also]
        else:
            opened = self.table.open(frame, "tell")
            if opened.far_fault is not None:
                return Reply(Mark.UNREADABLE, code=f"fault:{opened.far_fault[0]}", text=opened.far_fault[1])
            code = opened.value(spec.success.at).strip()
            further = [opened.value(place).strip() for place in spec.success.also]
        done = succeeded(spec.success, code)
        if done and further:
            done = all(map(eq, further, spec.success.also.values())) if all(further) else None
        if done is None:
            return Reply(Mark.UNREADABLE, code=code[:40], text="回复中没有可识别的返回码")
        if not done:
            return Reply(Mark.REFUSED, code=code[:40], text=self._failure_text(frame, opened))
        message = self._message(asked)
        if opened is None:
            opened = self.table.open(frame, "tell")
        content = self._after_decode(message, "tell", self.table.read(opened, message, "tell"))
        warning = opened.value(spec.success.warning).strip() if spec.success.warning else ""
        refs = content.pop("ref", {})
        return Reply(Mark.OK, code, content=content, refs=refs, warnings=(warning,) if warning else ())

    def _failure_text(self, frame: Frame, opened: Opened | None) -> str:
        """Where the failure form has its words, or where the further marks of a success stand."""
        spec = self.table.spec
        for place in filter(None, (spec.failure.text_place, *spec.success.also)):
            text = opened.value(place) if opened is not None else Envelope(frame, self.charset)[place]
            if text and text != spec.success.also.get(place):
                return text
        return ""

    def _in_arguments(self) -> list[str]:
        """Arguments beside the text that the table reads."""
        rows = self.table.spec.envelope["ask"].rows
        return [place[3:] for row in rows for place in row.places if isinstance(place, str) and place.startswith("in.")]

    def _out_places(self) -> set[str]:
        forms = (self.table.spec.failure, self.table.spec.unknown)
        return {place for form in forms for place in form.places if place.startswith("out.")}

    def _form(self, verb: str, state: str) -> Form | None:
        """None = the success form.  What isn't surely one or the other is unknown."""
        done = TAKEN_BACK if verb in TAKE_BACK else QUOTED if verb == "quote" else DONE
        if state in done:
            return None
        if state in NOT_DONE or state.startswith("MANUAL_"):
            return self.table.spec.failure
        return self.table.spec.unknown

    def _message(self, operation: Operation) -> Message:
        found = self.table.spec.messages.get(operation.message)
        if found is None:
            raise NotSupported(f"{self.name}: no message {operation.message[:20]!r}", message_zh="此业务尚不支持")
        return found

    def _after_decode(self, message: Message, side: str, content: Content) -> Content:
        return self._hooks.after_decode(message.id, side, content) if self._hooks else content

    def _before_encode(self, message: Message, side: str, sections: Content) -> Content:
        if self._hooks is None:
            return sections
        # A hook works on its own records, never on those of the operation they came from.
        own = {name: part.copy() if type(part) is dict else _own(part) for name, part in sections.items()}
        return self._hooks.before_encode(message.id, side, own)


def _own(part: Any) -> Any:
    return dict(part) if isinstance(part, Mapping) else list(part)


def _keys(message: Message, content: Content, refs: Mapping[str, str], echo: Mapping[str, str]) -> dict[str, str]:
    """Business keys from the message, by the table's ``keys``: values joined by ``/``, ``@fees`` the hash of the lines."""
    sections = {**content, "ref": refs, "echo": echo}
    keys = {}
    for name, parts in message.keys.items():
        values = []
        for part in parts:
            if part == "@fees":
                values.append(_hash(content.get("fees", [])))
                continue
            section, _, field = part.partition(".")
            values.append(str(sections.get(section, {}).get(field, "")))
        if all(values):
            keys[name] = "/".join(values)
    return keys


def _hash(rows: Iterable[Mapping[str, Any]]) -> str:
    """Sixteen digits of the lines' canonical JSON."""
    plain = [{name: item if type(item) is str else canonical(item) for name, item in row.items()} for row in rows]
    return hashlib.sha256(_SORTED_JSON.encode(plain)).hexdigest()[:16]
