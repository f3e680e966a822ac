"""Codecs: one transaction's trees between the wire and canonical form, checked by the whole table."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from adapter_core.standard.fields import Node
from adapter_core.standard.records import Findings, RecordCodec, Spelling, exact
from adapter_core.standard.scalars import is_blank, shape
from adapter_core.standard.spellings import spellings
from adapter_core.standard.transactions import Side, Transaction, transaction
from adapter_core.values.errors import Fault, TranslationError

Nodes = dict[str, Any]


class Reading(NamedTuple):
    """nodes: node name → record or rows, in canonical form; faults: it must not be used; warnings: it may."""

    nodes: Nodes
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


class Codec:
    """Reads and writes the input and output of one transaction.

    Trees are what a strict JSON parser gives: dict, list, str, Decimal, int, None.  Canonical form: Decimal for every
    number, with the places of its field; text for everything else; one spelling per field; an absent field is no key.
    A number that can't be read at all is left out, so that a number field is a Decimal or absent.  Fields and nodes
    that no table knows survive unchanged.
    """

    def __init__(self, described: Transaction) -> None:
        self.transaction = described
        self._sides: dict[Side, dict[str, RecordCodec]] = {
            "input": _compile(described.input, rows_may_come=False),
            "output": _compile(described.output, rows_may_come=described.paged),
        }

    def read_input(self, tree: object) -> Reading:
        """An input, checked by type, length, places, required, dictionary and date form: all faults at once."""
        return self._read("input", tree)

    def read_output(self, tree: object) -> Reading:
        """An output.  Only a node of a wrong JSON type is a fault; every other departure is a warning."""
        return self._read("output", tree)

    def write(self, side: Side, nodes: Nodes, spelling: Spelling = "table") -> Nodes:
        """Canonical form → wire tree.

        spelling: ``table`` as the transaction's table prints it (2208 prints both, so both are written),
        ``canonical``, or canonical code → spelling for single fields, the rest as the table.
        Raises: TranslationError for digits that would be lost, a float, a bool or a node of a wrong shape.
        """
        _check_spelling(spelling)
        faults: list[Fault] = []
        written: Nodes = {}
        for name, value in nodes.items():
            if value is None:
                continue
            known = self._sides[side].get(name)
            path = f"{side}.{name}"
            written[name] = known.write(value, path, spelling, faults) if known else exact(value, path, faults)
        if faults:
            raise TranslationError(faults)
        return written

    def _read(self, side: Side, tree: object) -> Reading:
        found = Findings(strict=side == "input")
        nodes: Nodes = {}
        if isinstance(tree, dict):
            self._read_nodes(side, tree, nodes, found)
        elif not is_blank(tree):
            found.refuse(side, "对象", shape(tree))
            return Reading(nodes, tuple(found.faults), ())
        self._tell_missing_nodes(side, nodes, tree if isinstance(tree, dict) else {}, found)
        return Reading(nodes, tuple(found.faults), tuple(found.warnings))

    def _read_nodes(self, side: Side, tree: Nodes, nodes: Nodes, found: Findings) -> None:
        for name, value in tree.items():
            known = self._sides[side].get(name)
            if known is None:
                nodes[name] = value
            elif not is_blank(value):
                read = known.read(value, f"{side}.{name}", found)
                if read is not None:
                    nodes[name] = read

    def _tell_missing_nodes(self, side: Side, nodes: Nodes, tree: Nodes, found: Findings) -> None:
        """The tables don't say which nodes are required; one with a required field is, unless it is a further list.

        A further list (4101's operations, 2402's diagnoses) may well be empty: in an input that is a warning.
        """
        for position, (name, known) in enumerate(self._sides[side].items()):
            refused = name not in nodes and not is_blank(tree.get(name))
            if refused or not known.demands or nodes.get(name):
                continue
            further_list = known.node.repeat and position > 0
            if not found.strict and known.node.repeat:
                continue
            found.add(f"{side}.{name}", "", "必填节点", "缺少或为空", soft=further_list)


@cache
def codec(infno: str) -> Codec:
    """The codec of a transaction, compiled once.  Raises: TranslationError (``UNKNOWN_INFNO``)."""
    return Codec(transaction(infno))


def _compile(nodes: tuple[Node, ...], *, rows_may_come: bool) -> dict[str, RecordCodec]:
    """The top nodes of one side, with the nodes inside them.

    Nodes inside others are known from one place each and met as one object and as rows, so either is read.
    """
    compiled: dict[str, RecordCodec] = {}
    for node in nodes:
        if "." in node.name:
            continue
        inside = {
            child.name.partition(".")[2]: RecordCodec(child, {}, rows_may_come=True)
            for child in nodes
            if child.name.startswith(node.name + ".")
        }
        compiled[node.name] = RecordCodec(node, inside, rows_may_come=rows_may_come and not node.repeat)
    return compiled


def _check_spelling(spelling: Spelling) -> None:
    if isinstance(spelling, str):
        if spelling not in ("table", "canonical"):
            raise ValueError(f"spelling is 'table', 'canonical' or a mapping, not {spelling!r}")
        return
    for code, wanted in spelling.items():
        if wanted not in spellings().get(code, ()):
            raise ValueError(f"{wanted!r} is no known spelling of {code!r}")
