"""Replies in the national form, as the drop-in gives them: the centre's own, or the case's told in its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapter_core.formats.json import write_json
from adapter_core.formats.text import UTF_8_MARK
from adapter_core.province.messages import Outcome
from adapter_core.province.relay import Asked
from adapter_core.settlement.answers import UNKNOWN_MARK, work_order
from adapter_core.settlement.calls import SAFE_TO_REPEAT
from adapter_core.settlement.records import Bill, Case, Encounter
from adapter_core.settlement.states import State
from adapter_core.settlement.telling import MONEY
from adapter_core.sidecar.relays import FILE_TYPE
from adapter_core.standard.codec import codec
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.moments import china

Reply = dict[str, Any]
JSON_TYPE = "application/json"
ERR_MSG_MAX = 200
DONE_STATES = frozenset({"SETTLED", "VOIDED"})
NOT_KNOWN = frozenset({"PENDING", "VOIDING", "FROZEN"})
OTHER_NAMES = {"psn_pay": "psn_part_amt", "cash_payamt": "psn_cash_pay"}
"""What a settlement's fields are called when it is asked for (5203), and in the refund of a sale."""
SALE_REFUND = "2103"
LINES = "detlcutinfo"
encode = write_json


@dataclass(frozen=True, slots=True)
class Verbatim:
    """What the centre sent, as it came."""

    body: bytes
    media_type: str


def reply(infcode: int, err_msg: str | None, output: Content | None, stamp: str = "", refmsgid: str = "") -> Reply:
    return {
        "infcode": infcode,
        "inf_refmsgid": refmsgid,
        "refmsg_time": stamp,
        "respond_time": stamp,
        "err_msg": err_msg,
        "output": output,
    }


def refused(text: str) -> Reply:
    """Definitely nothing of it stands, or the words say what does."""
    return reply(-1, text[:ERR_MSG_MAX], None)


def refusal(text: str) -> bytes:
    return encode(refused(text))


def unknown(text: str, case: Case | None = None) -> Reply:
    """The result isn't known: never the failure form's words; the same to each repeat.  case: None for a step that moves no money."""
    words = text if text.startswith(UNKNOWN_MARK) else UNKNOWN_MARK + text
    if case is None:
        return reply(-1, words[:ERR_MSG_MAX], None)
    if work_order(case) not in words:
        words += f"（工单号 {work_order(case)}）"
    return reply(-1, words[:ERR_MSG_MAX], None, _stamp(case), _refmsgid(case))


def is_unknown(asked: Asked, outcome: Outcome) -> bool:
    """Whether nobody knows if a call that moves no money took effect.  A question without an answer changed nothing."""
    return outcome.state in NOT_KNOWN or (outcome.state == "UNKNOWN" and asked.kind_class not in SAFE_TO_REPEAT)


def passed_on(asked: Asked, outcome: Outcome) -> Reply | Verbatim:
    """The centre's own reply, byte for byte but for our msgid, in whose place the caller's own stands again; or a file."""
    if outcome.state != "DONE":
        said = outcome.content.get("reply")
        text = said["err_msg"] if said and said.get("err_msg") else outcome.message_zh
        infcode = said["infcode"] if said else "-1"
        return reply(int(infcode) if infcode.lstrip("-").isdigit() else -1, text, None)
    if "file" in outcome.content:
        return Verbatim(outcome.content["file"], FILE_TYPE)
    ours, body = outcome.content.get("call", {}).get("msgid", ""), outcome.content["body"]
    if ours.encode() not in body:
        return Verbatim(body.removeprefix(UTF_8_MARK), JSON_TYPE)
    answered: Reply = outcome.content["reply"]
    return {**answered, "output": _with_their_msgid(answered.get("output"), ours, asked.msgid)}


def created(asked: Asked, outcome: Outcome) -> Reply:
    """A registration, new or told again."""
    visit, person = outcome.content.get("visit", {}), outcome.content.get("person", {})
    told = {**person, **visit}
    names = [field.code for node in codec(asked.infno).transaction.output[:1] for field in node.fields]
    node = codec(asked.infno).transaction.output[0].name
    return reply(0, None, {node: {name: told[name] for name in names if name in told}})


def told(asked: Asked, outcome: Outcome, case: Case | None) -> tuple[Reply, bool]:
    """A money call's reply, and whether it says that the result isn't known."""
    if case is not None and outcome.state in NOT_KNOWN:
        return unknown(outcome.message_zh, case), True
    if case is None or outcome.state not in DONE_STATES or "result" not in outcome.content:
        return refused(outcome.message_zh), False
    return _output(asked, outcome.content, case, asked.msgid), False


def done(asked: Asked, case: Case) -> Reply:
    """A reversal's success: it has no output node."""
    return reply(0, None, {}, _stamp(case), _refmsgid(case))


def settlement(asked: Asked, case: Case, bill: Bill, their_msgid: str) -> Reply:
    """A settlement as 5203 shows it, from its bill: what was told of it is gone once it is refunded.

    their_msgid: the one the HIS settled under.
    """
    result = dict(bill.content.get(MONEY, {}))
    result.update(_other_names(result))
    result["refd_setl_flag"] = "1" if case.state is State.VOIDED else "0"
    return _output(asked, {"result": result, "funds": bill.content.get("funds", [])}, case, their_msgid)


def unregistered(encounter: Encounter) -> Encounter:
    """The encounter without its registration."""
    steps = {name: row for name, row in encounter.standing.items() if name.rstrip("?") not in ("register", "admit")}
    visit = {name: value for name, value in encounter.content.get("visit", {}).items() if name != "mdtrt_id"}
    content = {**encounter.content, "visit": visit}
    return replace(encounter, standing=steps, content=content, mdtrt_id="", version=encounter.version + 1)


def _output(asked: Asked, content: Mapping[str, Any], case: Case, their_msgid: str) -> Reply:
    result = dict(content["result"])
    if result.get("medins_setl_id") and their_msgid:
        result["medins_setl_id"] = their_msgid
    if asked.infno == SALE_REFUND:
        named = _other_names(result)
        if "psn_pay" in named:
            named["psn_pay"] = str(
                named["psn_pay"]
            )  # printed as text there; a query that found the refund tells a number
        result = {**{name: value for name, value in result.items() if name not in OTHER_NAMES.values()}, **named}
    nodes: Content = {"setlinfo": result, "setldetail": list(content.get("funds", []))}
    if content.get("lines") and any(node.name == LINES for node in codec(asked.infno).transaction.output):
        nodes[LINES] = list({str(line.get("feedetl_sn")): line for line in content["lines"]}.values())
    return reply(0, None, codec(asked.infno).write("output", nodes), _stamp(case), _refmsgid(case))


def _other_names(result: Mapping[str, Any]) -> Content:
    return {name: result[ours] for name, ours in OTHER_NAMES.items() if ours in result and name not in result}


def _with_their_msgid(value: Any, ours: str, theirs: str) -> Any:
    if isinstance(value, dict):
        named = {
            name: _with_their_msgid(item, ours, theirs) if isinstance(item, (dict, list)) else item
            for name, item in value.items()
        }
        if named.get("medins_setl_id") == ours:
            named["medins_setl_id"] = theirs
        return named
    if isinstance(value, list):
        return [_with_their_msgid(item, ours, theirs) for item in value]
    return value


def _stamp(case: Case) -> str:
    """The moment of the case's last change: each repeat is told the same."""
    moment = china(datetime.fromisoformat(case.changed_at))
    return f"{moment:%Y%m%d%H%M%S}{moment.microsecond // 1000:03}"


def _refmsgid(case: Case) -> str:
    return case.case_id
