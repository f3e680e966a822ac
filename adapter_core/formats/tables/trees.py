"""Tree frames of field tables: XML or JSON in a body, or XML text inside a SOAP parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from adapter_core.formats import soap
from adapter_core.formats.json import read_json, write_json
from adapter_core.formats.tables.frames import Envelope, call_frame, frame_text
from adapter_core.formats.tables.spec import FrameSpec, MessageSide, Record, Side
from adapter_core.formats.text import encode_text
from adapter_core.formats.xml import read_tree, tree_text
from adapter_core.values.errors import ContractError, Fault, TranslationError
from adapter_core.values.frames import Frame

_BRANCHES = frozenset({dict, list})
_TEXT = frozenset({str})


class Paths(dict[str, str]):
    """The leaves of a subtree by path; a missing one reads as ""."""

    def __missing__(self, path: str) -> str:
        return ""


class TreeOpened:
    """A tree, and around it the SOAP envelope where there is one (places ``soap.<parameter>``, ``soap.version``)."""

    def __init__(self, spec: FrameSpec, side: Side, frame: Frame) -> None:
        self.far_fault: tuple[str, str] | None = None
        self.envelope = Envelope(frame, spec.charset)
        self._tree: Any = {}
        self._taken: frozenset[str] = frozenset()
        self._side = side
        if spec.soap:
            self._open_soap(spec, side, frame)
        elif spec.kind == "json":
            self._tree = read_json(frame_text(frame, spec.text_place(side), spec.charset))
        else:
            raw = (
                frame.body
                if spec.text_place(side) == "body"
                else frame_text(frame, spec.text_place(side), spec.charset)
            )
            self._tree = read_tree(raw)[1]
        if self._tree == "":
            self._tree = {}
        if not isinstance(self._tree, dict):
            raise TranslationError([Fault("root", "一个对象", "其他内容")])

    def _open_soap(self, spec: FrameSpec, side: Side, frame: Frame) -> None:
        message = soap.read_envelope(frame.body)
        self.envelope["soap.version"] = message.version
        if message.fault is not None:
            self.far_fault = (message.fault.code, message.fault.text)
            return
        wanted = spec.soap["operation"] + ("Response" if side == "tell" else "")
        if message.operation != wanted:
            raise TranslationError([Fault("Body", wanted, "另一个操作")])
        for name, text in message.parameters.items():
            self.envelope[f"soap.{name}"] = text
        parameter = spec.soap["text" if side == "ask" else "answer"]
        if parameter not in message.parameters:
            raise TranslationError([Fault(parameter, "必填", "缺")])
        self._tree = soap.inner_tree(message.parameters[parameter])

    def value(self, place: str) -> str:
        group, _, path = place.partition(".")
        if group != "tree":
            return self.envelope[place]
        found = child_at(self._tree, path)
        return "" if isinstance(found, (dict, list)) else _leaf(found)

    def leaves(self) -> dict[str, str]:
        texts: dict[str, str] = {}
        waiting: list[tuple[str, Any]] = [("", self._tree)]
        while waiting:
            path, value = waiting.pop()
            if isinstance(value, dict):
                waiting.extend((f"{path}.{name}", child) for name, child in value.items())
            elif isinstance(value, list):
                # A list of one reads like an element that stands alone.
                waiting.extend((f"{path}[{number}]" if number else path, child) for number, child in enumerate(value))
            else:
                texts[path] = _leaf(value)
        return texts

    def begin(self, side: MessageSide) -> None:
        self._taken = frozenset(record.at for record in side.records if record.at)

    def head(self, record: Record, faults: list[Fault]) -> tuple[Paths, str]:
        subtree = child_at(self._tree, record.at)
        if isinstance(subtree, list) or (subtree is not None and subtree != "" and not isinstance(subtree, dict)):
            faults.append(Fault(record.at, "一个对象", "其他内容"))
            subtree = None
        return self._paths(subtree or {}, record.at, faults), record.at

    def rows(self, record: Record, after_head: bool, faults: list[Fault]) -> Iterable[tuple[Paths, str]]:
        found = child_at(self._tree, record.at)
        listed = found if isinstance(found, list) else [] if found in (None, "") else [found]
        for number, element in enumerate(listed):
            prefix = f"{record.at}[{number}]"
            if isinstance(element, dict):
                yield self._paths(element, prefix, faults), prefix
            else:
                faults.append(Fault(prefix, "一个对象", "其他内容"))

    def finish(self, side: MessageSide, faults: list[Fault]) -> None:
        """Every path was offered to a record; what none maps is kept by the reader."""

    def _paths(self, subtree: Mapping[str, Any], at: str, faults: list[Fault]) -> Paths:
        below = f"{at}." if at else ""
        kinds = set(map(type, subtree.values()))
        if _BRANCHES.isdisjoint(kinds) and not any(
            taken[len(below) :] in subtree for taken in self._taken if taken.startswith(below)
        ):
            # a row as most are: leaves only, and no other record's
            if kinds <= _TEXT:
                return Paths(subtree)
            return Paths({name: value if type(value) is str else _leaf(value) for name, value in subtree.items()})
        paths = Paths()
        waiting: list[tuple[str, Mapping[str, Any]]] = [("", subtree)]
        while waiting:
            prefix, branch = waiting.pop()
            for name, value in branch.items():
                path = f"{prefix}{name}"
                whole = f"{at}.{path}" if at else path
                if whole in self._taken:
                    continue
                if isinstance(value, dict):
                    waiting.append((f"{path}.", value))
                elif not isinstance(value, list):
                    paths[path] = _leaf(value)
                elif value and self._side == "ask":
                    # What a HIS repeats and no table knows could be fees; a centre's reply may grow.
                    faults.append(Fault(whole, "不重复", f"{len(value)} 次"))
        return paths


class TreeBuilding:
    """A tree written in the order of the table's rows."""

    def __init__(self, spec: FrameSpec, side: Side) -> None:
        self._spec = spec
        self._side = side
        self.envelope: dict[str, str] = {}
        self._tree: dict[str, Any] = {}
        self._numeric: dict[str, frozenset[object]] = {}

    def prefix(self, record: Record, number: int) -> str:
        return f"{record.at}[{number - 1}]" if record.into else record.at

    def add_head(self, record: Record, places: Mapping[str, str]) -> None:
        home = _branch(self._tree, record.at.split(".") if record.at else [])
        self._fill(home, record, places)

    def add_rows(self, record: Record, elements: list[Mapping[str, str]]) -> None:
        if not elements:
            return
        *path, name = record.at.split(".")
        listed = []
        for places in elements:
            element: dict[str, Any] = {}
            self._fill(element, record, places)
            listed.append(element)
        _branch(self._tree, path)[name] = listed

    def _fill(self, home: dict[str, Any], record: Record, places: Mapping[str, str]) -> None:
        numeric = self._numeric_places(record)
        if not numeric and "." not in "".join(places):
            home.update(places)
            return
        for path, text in places.items():
            value = Decimal(text) if path in numeric and text else text
            if "." not in path:
                home[path] = value
                continue
            *branch, name = path.split(".")
            _branch(home, branch)[name] = value

    def _numeric_places(self, record: Record) -> frozenset[object]:
        """The places that are written as JSON numbers."""
        if self._spec.numbers not in (True, self._side):
            return frozenset()
        if record.name not in self._numeric:
            amounts = [row.places for row in record.rows if "number" in row.how.fits]
            self._numeric[record.name] = frozenset(place for places in amounts for place in places)
        return self._numeric[record.name]

    def build_fault(self, text: str) -> Frame:
        if not self._spec.soap:
            raise ContractError("only SOAP has a fault of its own: the table names the places")
        return Frame(body=soap.write_fault(self._version(), "Server", text), status=500, headers=self._headers())

    def build(self, faults: list[Fault]) -> Frame:
        spec = self._spec
        self._graft()
        try:
            if spec.kind == "json":
                raw = write_json(self._tree)
                if spec.charset.lower() not in ("utf-8", "utf8"):
                    raw = encode_text(raw.decode("utf-8"), spec.charset)
            else:
                root = spec.ask_root if self._side == "ask" else spec.tell_root
                if spec.soap:
                    raw = self._soap(tree_text(root, self._tree, spec.declaration or None))
                else:
                    raw = encode_text(tree_text(root, self._tree, spec.charset), spec.charset)
        except TranslationError as error:
            faults.extend(error.faults)
            return Frame()
        if spec.limit and len(raw) > spec.limit:
            faults.append(Fault("text", f"至多 {spec.limit} 字节", f"{len(raw)} 字节"))
        if spec.text_place(self._side) != "body":
            return call_frame(spec, self._side, self.envelope, raw)
        status = None if self._side == "ask" else 200
        return Frame(body=raw, headers=self._headers(), status=status, side=self._beside())

    def _beside(self) -> dict[str, object]:
        return {place[5:]: text for place, text in self.envelope.items() if place.startswith("side.")}

    def _graft(self) -> None:
        """Put what the envelope says of the tree into the tree."""
        for place, text in self.envelope.items():
            if place.startswith("tree."):
                *branch, name = place[5:].split(".")
                _branch(self._tree, branch)[name] = text

    def _soap(self, text: str) -> bytes:
        names = self._spec.soap
        if self._side == "tell":
            operation = names["operation"] + "Response"
            return soap.write_envelope(self._version(), names["namespace"], operation, {names["answer"]: text})
        parameters = {place[5:]: value for place, value in self.envelope.items() if place.startswith("soap.")}
        parameters.pop("version", None)
        parameters[names["text"]] = text
        return soap.write_envelope(self._version(), names["namespace"], names["operation"], parameters)

    def _version(self) -> soap.Version:
        return "1.2" if self.envelope.get("soap.version") == "1.2" else "1.1"

    def _headers(self) -> tuple[tuple[str, str], ...]:
        if self._spec.soap:
            return (("Content-Type", soap.content_type(self._version())),)
        media = "application/json" if self._spec.kind == "json" else "text/xml"
        return (("Content-Type", f"{media}; charset={self._spec.charset}"),)


def child_at(tree: Any, path: str) -> Any:
    """The subtree at a path of names; None where there is none."""
    for name in path.split(".") if path else []:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(name)
    return tree


def _branch(tree: dict[str, Any], path: Iterable[str]) -> dict[str, Any]:
    for name in path:
        tree = tree.setdefault(name, {})
    return tree


def _leaf(value: Any) -> str:
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return format(value, "f") if "E" in text and isinstance(value, Decimal) else text
