"""Relaying national calls: the drop-in's reading of a HIS's own national JSON, and a gateway that sends its nodes as they came.

The HIS is the plan, we are the guard: the input goes out verbatim, unknown fields included; ``msgid`` outward is ours.  Which case
a message means comes from ``KEYS`` (`contracts.md` §5, `translation.md` §7).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from adapter_core.formats.json import read_json
from adapter_core.province.dialect import MessageInfo, RefKind
from adapter_core.province.messages import Call, Mark, Operation, Reply
from adapter_core.province.national import NationalGateway, planned_homes
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.province.plan import Route, Step
from adapter_core.standard.codec import codec
from adapter_core.standard.transactions import transaction
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.moments import national_date, parse_national_time
from adapter_core.values.money import MoneyError, yuan

NAME = "fsi"
"""The dialect of operations that came through the drop-in."""
STEP = "relay"
NOT_COMPARED = frozenset({"invono", "mid_setl_flag"})
"""Fields that a HIS draws anew at a retry, or that its key says already."""
OUR_ENVELOPE = frozenset(
    {"infno", "msgid", "input", "output", "inf_time", "fixmedins_code", "fixmedins_name", "mdtrtarea_admvs"}
)
SECTIONS = ("person", "visit", "settle", "bill")


@dataclass(frozen=True, slots=True)
class Keys:
    """How one transaction names its case.

    verb: what it is to the pipeline (``quote``: a trial, which holds nothing); kind: the flow; parts: the fields of its input that
    make the key, all needed (`READ`: those that aren't read as they stand); visit: those that make the bill's, none where one key
    is both.
    """

    verb: Literal["register", "admit", "settle", "void", "quote"]
    kind: str
    parts: tuple[str, ...]
    visit: tuple[str, ...] = ()


_OUTPATIENT = Keys("settle", "outpatient", ("psn_no", "mdtrt_id", "chrg_bchno"), ("mdtrt_id", "chrg_bchno"))
_STAY = ("mdtrt_id", "mid_setl_flag")
_SALE = Keys("settle", "pharmacy", ("psn_no", "begntime.day", "drugdetail"))
"""A sale has no ``mdtrt_id`` before its reply, and no source names a number of its own.  A line's number is unique within its visit
only (2204), and each sale is a visit: so the day is part of the key, else a HIS that counts its lines from 1 could sell the same
goods once.  The moment isn't, as a HIS may draw it anew at a retry: it is compared, so what looks alike is refused, never sold twice.
"""
_INPATIENT = Keys("settle", "inpatient", ("psn_no", "mdtrt_id", "mid_setl_flag", "medfee_sumamt"), _STAY)
KEYS: Mapping[str, Keys] = {
    "2101": replace(_SALE, verb="quote"),
    "2102": _SALE,
    "2102A": _SALE,
    "2103": Keys("void", "pharmacy", ("psn_no", "setl_id")),
    "2201": Keys("register", "outpatient", ("psn_no", "ipt_otp_no", "begntime")),
    "2401": Keys("admit", "inpatient", ("psn_no", "ipt_no", "begntime")),
    "2206": replace(_OUTPATIENT, verb="quote"),
    "2206A": replace(_OUTPATIENT, verb="quote"),
    "2303": replace(_INPATIENT, verb="quote"),
    "2207": _OUTPATIENT,
    "2207A": _OUTPATIENT,
    "2208": Keys("void", "outpatient", ("mdtrt_id", "setl_id")),
    "2304": _INPATIENT,
    "2304A": _INPATIENT,
    "2305": Keys("void", "inpatient", ("mdtrt_id", "setl_id")),
}
INTERIM = "1"
"""``mid_setl_flag`` of a mid-stay settlement: a stay may have several, each its own bill."""
SALE, SALE_TRIAL = "2102", "2101"
"""Both have the same input, so a sale's own makes the trial that the HIS left out.  Source: `schemas/national`, 2101."""
SALE_MED_TYPE = "41"
"""定点药店购药: the dictionary ``med_type``."""
GOODS = "drugdetail"
LINE = ("feedetl_sn", "med_list_codg", "medins_list_codg", "det_item_fee_sumamt")
"""What of a sold line makes the sale's key; ``feedetl_sn`` is needed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the HIS.  fields: its envelope; input: its nodes as they came."""

    infno: str
    msgid: str
    fields: Mapping[str, Any]
    input: Content

    def said(self, name: str) -> str:
        """The first value of a field anywhere in the input's records, as text; "" where it isn't said."""
        return said_in(self.input, name)

    @property
    def kind_class(self) -> str:
        return transaction(self.infno).kind_class


def said_in(given: Content, name: str) -> str:
    """The first value of a field anywhere in an input's records, as text; "" where it isn't said."""
    for node in given.values():
        for record in node if isinstance(node, list) else [node]:
            value = record.get(name) if isinstance(record, dict) else None
            if value is not None and value != "" and not isinstance(value, (dict, list, bool)):
                return str(value).strip()
    return ""


def read_asked(body: bytes) -> Asked:
    """A national request taken apart; only what we need of it is checked, its nodes are the centre's business.

    Raises: TranslationError.
    """
    tree = read_json(body)
    if not isinstance(tree, dict):
        raise TranslationError([Fault("request", "对象", type(tree).__name__)])
    faults = [
        Fault(name, f"至多 {most} 位的文本", "缺少或过长")
        for name, most in (("infno", 5), ("msgid", 64))
        if not isinstance(tree.get(name), str) or not 0 < len(tree[name]) <= most
    ]
    inner = tree.get("input")
    if isinstance(inner, str):
        inner = read_json(inner)
    if not isinstance(inner, dict):
        faults.append(Fault("input", "对象", type(inner).__name__))
    if faults:
        raise TranslationError(faults)
    assert isinstance(inner, dict)
    asked = Asked(tree["infno"], tree["msgid"], tree, inner)
    transaction(asked.infno)
    return asked


def operation_of(asked: Asked) -> Operation:
    """The operation a request is: a pipeline verb for creates and money, else ``relay``.

    Raises: TranslationError naming the fields that would make its key.
    """
    keys = KEYS.get(asked.infno)
    content = _content(asked)
    parts = {name: _part(asked, name) for name in keys.parts} if keys else {}
    missing = [name for name, value in parts.items() if not value]
    if keys is None or (keys.verb == "quote" and missing):
        return Operation("relay", asked.infno, NAME, content=content)
    if missing:
        raise TranslationError([_missing(name) for name in missing])
    key = _key(asked, parts.values())
    whole = f"{asked.infno[:4]}-{key}"
    mdtrt_id = asked.said("mdtrt_id")
    refs = {"mdtrt_id": mdtrt_id} if mdtrt_id else {}
    if keys.verb in ("register", "admit"):
        return Operation(keys.verb, asked.infno, NAME, keys.kind, content=content, keys={"encounter": whole})
    if keys.verb != "void" and not keys.visit:
        encounter = visit = encounter_key(f"sale-{key}")
        refs = {}
    else:
        encounter = encounter_key(mdtrt_id)
        visit = f"{encounter}-{visit_of(asked, keys)}"
    if keys.verb == "void":
        return Operation(
            "void",
            asked.infno,
            NAME,
            keys.kind,
            content=content,
            refs=refs,
            keys={"encounter": encounter} if refs else {},
        )
    if keys.verb == "quote":
        held = {"encounter": encounter, "visit": visit}
        return Operation("relay", asked.infno, NAME, keys.kind, content=content, refs=refs, keys=held)
    settle = {"encounter": encounter, "visit": visit, "settle": whole}
    return Operation("settle", asked.infno, NAME, keys.kind, "", content, refs, settle, key_repeats=True)


def visit_of(asked: Asked, keys: Keys) -> str:
    """The bill's part of a visit key: a stay's interim settlements are bills of their own, its final one is one."""
    parts = [asked.said(name) for name in keys.visit[1:]]
    if "mid_setl_flag" in keys.visit and asked.said("mid_setl_flag") == INTERIM:
        parts.append(_plain(asked.said("medfee_sumamt")))
    return "-".join(parts)


def _key(asked: Asked, values: Iterable[str]) -> str:
    """Values of a key without the person's number in clear: keys lie unsealed in the ledger."""
    digest = hashlib.sha256("\x1f".join([str(asked.fields.get("fixmedins_code", "")), *values]).encode()).hexdigest()
    return digest[:32]


def _part(asked: Asked, name: str) -> str:
    """The value of one part of a key; "" where the message doesn't say it."""
    read = READ.get(name)
    return read(asked) if read else asked.said(name)


def _missing(name: str) -> Fault:
    field = name.partition(".")[0]
    if field == GOODS:
        return Fault(f"input.{field}", "至少一行，每行有明细流水号 feedetl_sn", "缺少或为空", "购药明细")
    return Fault(f"input.{field}", "一个值", "缺少或为空，或形式不对")


def _day(asked: Asked) -> str:
    """The day of ``begntime``; "" for one of no national form."""
    begun = sale_begun(asked.input)
    return national_date(begun) if begun else ""


def sold_lines(given: Content) -> Sequence[tuple[str, ...]]:
    """The lines of a sale, in whatever order they came, by what makes them the same; none where one has no number."""
    rows = given.get(GOODS)
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and row.get(LINE[0]) not in (None, "") for row in rows
    ):
        return ()
    named = (tuple(str(row.get(name, "")).strip() for name in LINE) for row in rows)
    return sorted((*codes, _plain(amount)) for *codes, amount in named)


def sale_begun(given: Content) -> datetime | None:
    """When a sale began, as the HIS says."""
    try:
        return parse_national_time(said_in(given, "begntime"))
    except ValueError:
        return None


def _plain(amount: str) -> str:
    """One amount, however it was written."""
    try:
        return format(yuan(amount), "f")
    except MoneyError:
        return amount


READ: Mapping[str, Callable[[Asked], str]] = {
    "medfee_sumamt": lambda asked: _plain(asked.said("medfee_sumamt")),
    "begntime.day": _day,
    GOODS: lambda asked: "\x1e".join("\x1d".join(line) for line in sold_lines(asked.input)),
}
"""Parts of a key that are not a field's own text."""


def _content(asked: Asked) -> Content:
    """The sections that the pipeline and its resolver work on, and beside them the request as it came."""
    content: Content = {name: {} for name in SECTIONS}
    homes = _homes_of(asked.infno)
    nodes = codec(asked.infno).read_input({name: asked.input[name] for name in asked.input if name in homes}).nodes
    for name, homes_of_node in homes.items():
        record = nodes.get(name)
        if not isinstance(record, dict):
            continue
        for code, value in record.items():
            home = homes_of_node.get(code)
            if home:
                content[home][code] = value
    fields = asked.fields
    if fields.get("insuplc_admdvs"):
        content["person"]["insuplc_admdvs"] = str(fields["insuplc_admdvs"])
    content["env"] = {
        name: str(fields[name]) for name in ("opter", "opter_name", "opter_type", "sign_no") if fields.get(name)
    }
    more = {name: value for name, value in fields.items() if name not in OUR_ENVELOPE and value is not None}
    content["relay"] = {"envelope": more, asked.infno: asked.input}
    if asked.infno[:4] == SALE:
        content["relay"][SALE_TRIAL] = asked.input
        content["settle"].setdefault("med_type", SALE_MED_TYPE)  # not told to the centre: 5201 is printed to want it
    return {name: value for name, value in content.items() if value}


@cache
def _homes_of(infno: str) -> Mapping[str, Mapping[str, str]]:
    """By node that is one record: the section where each of its fields lives."""
    homes = planned_homes()
    found: dict[str, dict[str, str]] = {}
    for node in transaction(infno).input:
        if node.repeat:
            continue
        codes = [one.code for one in node.fields if one.code not in NOT_COMPARED]
        sections = {code: next((one for one in homes.get(code, ()) if one in SECTIONS), "") for code in codes}
        found[node.name] = {code: section for code, section in sections.items() if section}
    return found


class RelayGateway(NationalGateway):
    """A national gateway that sends the HIS's own nodes, on a route made for one transaction of it.

    bulk: what it answers is public and large, so that the journal keeps its digest instead.
    """

    def __init__(self, inner: NationalGateway, infno: str, bulk: bool = False) -> None:
        self.name = inner.name
        self.site = inner.site
        self.profile = inner.profile
        self.policy = inner.policy
        self.capabilities = inner.capabilities
        self.route = relay_route(inner.route, infno, bulk)

    def faults(self, call: Call) -> tuple[Fault, ...]:
        """None of ours: the centre checks what its own client sends."""
        return () if _verbatim(call) is not None else super().faults(call)

    def _checked(self, call: Call) -> tuple[Content, list[Fault]]:
        """A query of our own asks with what the HIS said: 2201 says no 医疗类别, which 5201 is printed to want."""
        nodes, faults = super()._checked(call)
        return nodes, [] if call.kind_class == "R" else faults

    def encode(self, call: Call, moment: datetime) -> Frame:
        tree = _verbatim(call)
        if tree is None:
            return super().encode(call, moment)
        names = {name: self.site.options.get(f"node.{call.message}.{name}", name) for name in tree}
        envelope = self.envelope(call, {names[name]: node for name, node in tree.items()}, moment)
        theirs = call.content["relay"]["envelope"]
        envelope.update({name: value for name, value in theirs.items() if envelope.get(name) in (None, "")})
        return self.framed(call, envelope, moment)

    def understood(self, call: Call, frame: Frame, tree: object) -> Reply:
        """For a relayed call also the whole reply, under ``reply``, and its bytes, under ``body``."""
        reply = super().understood(call, frame, tree)
        if _verbatim(call) is None or reply.mark is not Mark.OK or call.kind_class == "N":
            return reply
        return replace(reply, content={**reply.content, "reply": tree, "body": frame.body})


def _verbatim(call: Call) -> Content | None:
    tree: Content | None = call.content.get("relay", {}).get(call.message)
    return tree


def relay_route(inner: Route, infno: str, bulk: bool = False) -> Route:
    """The inner route's own steps, as far as one transaction of a HIS needs them, under the HIS's own number."""
    keys = KEYS.get(infno)
    steps = {**inner.steps, STEP: Step(STEP, infno, transaction(infno).kind_class, bulk=bulk)}
    chain, goals = _chain(inner, infno, keys) if keys else ((), {})
    steps.update((step.name, step) for step in chain)
    if keys is None or not chain:
        return Route(inner.name, steps, {}, {}, inner.backs)
    return Route(inner.name, steps, {keys.kind: tuple(step.name for step in chain)}, {keys.kind: goals}, inner.backs)


def _chain(inner: Route, infno: str, keys: Keys) -> tuple[tuple[Step, ...], dict[str, str]]:
    """The steps that one message runs, and their goals by verb; nothing where the inner route can't do it."""
    if keys.verb in ("register", "admit"):
        goal = inner.goal(keys.kind, keys.verb)
        return ((replace(goal, call=infno),), {keys.verb: goal.name}) if goal else ((), {})
    quote, pay = inner.goal(keys.kind, "quote"), inner.goal(keys.kind, "settle")
    if quote is None or pay is None:
        return (), {}
    trial = _relayed_trial(quote, infno if keys.verb == "quote" else quote.call)
    pay = replace(pay, call=infno if keys.verb == "settle" else pay.call)
    return (trial, pay), {"quote": trial.name, "settle": pay.name}


def _relayed_trial(quote: Step, infno: str) -> Step:
    """It stands on what its own message says: the lines were uploaded by the HIS."""
    over = tuple(path for path in quote.over if path.startswith("settle."))
    total = "settle.medfee_sumamt"
    needs = tuple(path for path in quote.needs if path != "fees")
    return replace(quote, call=infno, needs=needs, over=tuple(dict.fromkeys((total, *over))))


class RelayDialect(NationalDialect):
    """Reads the drop-in's requests and names their references; the service answers them in the national form."""

    name = NAME
    refs: Mapping[str, RefKind] = {
        "mdtrt_id": RefKind("mdtrt_id", theirs=True, binds="encounter"),
        "msgid": RefKind("msgid", theirs=True, binds="case"),
    }
    messages: tuple[MessageInfo, ...] = ()

    def decode_request(self, frame: Frame) -> Operation:
        return operation_of(read_asked(frame.body))


def encounter_key(mdtrt_id: str) -> str:
    """The key of an encounter that was registered elsewhere, or before the HIS came to us."""
    return f"{NAME}-{mdtrt_id}"


def with_msgid(operation: Operation, msgid: str) -> Operation:
    """The operation under the caller's own msgid."""
    return replace(operation, refs={**operation.refs, "msgid": msgid})


def naming(operation: Operation, settle_key: str) -> Operation:
    """A refund of that settlement."""
    return replace(operation, keys={**operation.keys, "settle": settle_key})
