"""One case: who (masked), amounts, every step, what happens next, and what this visitor may do about it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from adapter_core.formats.json import read_json
from adapter_core.formats.text import decode_text
from adapter_core.paperwork.dossier import label, masked
from adapter_core.settlement.list_items import is_stranded
from adapter_core.settlement.outbox import LIST, PURPOSE
from adapter_core.settlement.papers import OPENABLE
from adapter_core.settlement.records import AccountItem, Case, Encounter, Event
from adapter_core.settlement.states import PAPER, UNDECIDED, State
from adapter_core.settlement.verdicts import OUTCOMES, needs_two
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.console.counter import (
    HOME,
    Asked,
    Counter,
    Visitor,
    counter_of,
    looked,
    page,
    posted,
    text_of,
    visitor,
)
from adapter_core.sidecar.console.prospects import Prospect, prospects
from adapter_core.sidecar.console.tasks import PROPOSAL, Task, proposal_id, task_id, task_of
from adapter_core.standard.regions import region
from adapter_core.standard.transactions import transaction
from adapter_core.values.errors import AdapterError, Refused, TranslationError

CASES = f"{HOME}/cases"
KINDS_ZH = {
    "ACCEPTED": "受理", "PREPARED": "试算完成", "CALL": "查询中心", "INTENT": "即将发送", "REPLY": "收到答复", "OUTCOME": "判定",
    "TOLD": "告知 HIS", "HIS_ACK": "HIS 已入账", "CANCELLED": "取消", "CANCEL_ASKED": "HIS 不再需要", "SETTLE_ASKED": "要求结算",
    "REVERSE_INTENT": "决定冲正", "EVIDENCE": "取得证据", "DECIDED": "人工裁定", "CLAIMED": "接手", "WORKER_DIED": "处理进程中断",
    "CONTRADICTED": "与对账文件矛盾", "FILED": "对账文件列明", "NOT_FILED": "对账文件未列", "QUIET": "静默期已过", "FOLLOWED_UP": "后续上传", "RETRIED": "重试", "EXPIRED_UNSENT": "过期未发",
    "PAPER_OPENED": "出具手工报销材料", "PAPER_REVISED": "变更材料", "PAPER_SET": "材料定稿", "PAPER_PRINTED": "打印材料",
    "PAPER_REVOKED": "撤销材料", "PAPER_SUBMITTED": "材料交件", "PAPER_CLOSED": "手工报销办结", "PAPER_BATCHED": "批量交接",
    "RECEIPT_PRINTED": "打印结算单", "LOOKED": "查看", "UNMASKED": "查看个人信息", "MESSAGE_READ": "查看报文", "ACTED": "操作",
    "PROOF": "上传依据", "NOTED": "备注", "PROPOSED": "提交复核", "PROPOSAL_REFUSED": "复核退回",
    "WATCHED": "监管规则拦截", "SECURITY": "安全事件", "FLAGGED": "监管提示", "EXPLAINED": "事项了结", "LIST_HANDED_IN": "清单交来",
}  # fmt: skip
PURPOSES_ZH = {"settle": "结算", "void": "退费", PURPOSE: "后续上传", LIST: "结算清单"}
LOOKS = frozenset({"LOOKED", "UNMASKED", "MESSAGE_READ"})
"""Readings: the timeline shows them to those who audit."""
SHOWN = (
    "user",
    "act",
    "step",
    "result",
    "code",
    "state",
    "reason",
    "outcome",
    "evidence",
    "msgid",
    "operator",
    "second_operator",
    "rule",
    "what",
)
MESSAGE_MAX = 200_000
CANCELLABLE = frozenset(
    {State.PREPARING, State.READY, State.QUOTED, State.NOT_SENT, State.SENDING, State.RESOLVING, State.REVERSING}
)


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the timeline.  number: its place in the case's journal; readable: bytes of the wire are kept with it."""

    number: int
    at: str
    kind: str
    message: str
    facts: Mapping[str, str]
    readable: bool


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything the page shows of one case."""

    case: Case
    encounter: Encounter
    person: Mapping[str, str]
    is_masked: bool
    steps: Sequence[Step]
    prospects: Sequence[Prospect]
    siblings: Sequence[Case]
    acts: frozenset[str]
    task: Task
    proposal: AccountItem | None
    needs_two: bool
    told_zh: str
    quoted: Mapping[str, int]


@get(f"{CASES}/{{case_id:str}}")
async def show(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    who = visitor(request, Right.READ)
    case = await case_of(counter_of(request), who, case_id)
    await looked(request, "case", case)
    return await case_page(request, who, case)


@post(f"{CASES}/{{case_id:str}}/unmask", status_code=200)
async def unmask(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """The same page with the person in clear, once, after the journal has who wanted it and why."""
    who = visitor(request, Right.UNSEAL)
    counter = counter_of(request)
    case = await case_of(counter, who, case_id)
    await counter.note("UNMASKED", who.name, {"reason": _reason(request)}, case)
    return await case_page(request, who, case, is_masked=False)


@post(f"{CASES}/{{case_id:str}}/messages/{{number:int}}", status_code=200)
async def read_message(request: Asked, case_id: FromPath[str], number: FromPath[int]) -> Response[bytes]:
    """A request or reply as it crossed the wire, after the journal has who read it."""
    who = visitor(request, Right.UNSEAL)
    counter = counter_of(request)
    case = await case_of(counter, who, case_id)
    events = await counter.desk.running.ledger.events_of_case(case.case_id)
    if not 0 <= number < len(events) or not events[number].raw:
        raise Refused("no such message", code="NOT_FOUND", message_zh="没有这条报文")
    event = events[number]
    facts = {
        "number": str(number),
        "of": event.kind,
        "msgid": str(event.data.get("msgid", "")),
        "reason": _reason(request),
    }
    await counter.note("MESSAGE_READ", who.name, facts, case)
    if event.kind == "PROOF":
        return _attachment(event)
    return page(
        request, "message.html", case=case, step=_step(number, event), message=_readable(event.raw), size=len(event.raw)
    )


async def case_page(
    request: Asked, who: Visitor, case: Case, *, is_masked: bool = True, status: int = 200
) -> Response[bytes]:
    counter = counter_of(request)
    made = await dossier(counter, who, case, is_masked)
    return page(
        request,
        "case.html",
        status,
        one=made,
        kinds=KINDS_ZH,
        purposes=PURPOSES_ZH,
        is_stranded=is_stranded,
        outcomes=OUTCOMES,
        void_key=f"console-{secrets.token_hex(8)}",
    )


async def case_of(counter: Counter, who: Visitor, case_id: str) -> Case:
    """Raises: Refused NO_SUCH_CASE."""
    return await counter.desk.case(who.client, case_id)


async def dossier(counter: Counter, who: Visitor, case: Case, is_masked: bool) -> Dossier:
    ledger = counter.desk.running.ledger
    encounter = await ledger.encounter(case.encounter_id)
    assert encounter is not None
    calls = await ledger.calls_of_case(case.case_id)
    events = await ledger.events_of_case(case.case_id)
    items = await counter.lists.items([task_id(case.case_id), proposal_id(case)])
    proposal = items.get(proposal_id(case))
    place = counter.desk.place_of(case)
    audits = who.may(Right.AUDIT)
    steps = [_step(number, event) for number, event in enumerate(events) if audits or event.kind not in LOOKS]
    siblings = [one for one in await ledger.cases_of_bill(case.bill_id) if one.purpose in ("settle", "void", LIST)]
    return Dossier(
        case=case,
        encounter=encounter,
        person=person_facts(encounter, is_masked),
        is_masked=is_masked,
        steps=steps,
        prospects=prospects(case, calls, place),
        siblings=[one for one in siblings if one.case_id != case.case_id],
        acts=acts_of(who, case, proposal),
        task=task_of(items.get(task_id(case.case_id))),
        proposal=proposal if proposal is not None and proposal.state == PROPOSAL.waiting else None,
        needs_two=needs_two(place, case),
        told_zh=str(case.told.get("message_zh", "")),
        quoted={name: int(value) for name, value in case.data.get("quoted", {}).items()},
    )


def acts_of(who: Visitor, case: Case, proposal: AccountItem | None) -> frozenset[str]:
    """What this visitor may do about the case as it stands; each act checks again when it is done."""
    found: set[str] = set()
    is_settlement = case.purpose == "settle"
    if who.may(Right.SETTLE) and is_settlement:
        if case.state in CANCELLABLE and case.wanted:
            found.add("cancel")
        if case.state is State.SETTLED:
            found.add("void")
    if who.may(Right.DECIDE) and is_settlement and (case.state is State.SETTLED or case.state in UNDECIDED):
        found.add("wrong_person")
    if who.may(Right.PAPER) and is_settlement:
        found |= _paper_acts(case)
    if who.may(Right.DECIDE) and case.state is State.FROZEN:
        if proposal is None or proposal.state != PROPOSAL.waiting:
            found |= {"decide", "recheck"}
        else:
            found.add("refuse" if proposal.facts["by_user"] == who.user.name else "approve")
    if who.may(Right.UNSEAL):
        found |= {"unmask", "messages"}
    if who.may(Right.SETTLE) or who.may(Right.DECIDE):
        found |= {"assign", "note"}
    return frozenset(found)


def _paper_acts(case: Case) -> set[str]:
    if case.state in OPENABLE:
        return {"open_papers"}
    if case.state is State.SETTLED:
        return {"receipt"}
    if case.state in UNDECIDED or case.state is State.FROZEN:
        return {"slip"}
    if case.state not in PAPER:
        return set()
    more = {State.MANUAL_OPEN: {"submit", "revoke"}, State.MANUAL_SUBMITTED: {"close", "revoke"}}
    return {"print_papers"} | more.get(case.state, set())


def person_facts(encounter: Encounter, is_masked: bool) -> dict[str, str]:
    """What is known of the person, for people.  Keys: Chinese titles."""
    person = encounter.content.get("person", {})
    insurance = encounter.content.get("insurance", {})
    hide = masked_name if is_masked else str
    code = masked if is_masked else str
    insured = str(person.get("insuplc_admdvs", ""))
    found = region(insured) if len(insured) == 6 else None
    facts = {
        "姓名": hide(str(person.get("psn_name", ""))),
        "证件号码": code(str(person.get("certno") or person.get("mdtrt_cert_no") or "")),
        "人员编号": code(str(person.get("psn_no", ""))),
        "电话": code(str(person.get("tel", ""))),
        "参保地": f"{found.name}（{insured}）" if found else insured,
        "险种": label("insutype", str(insurance.get("insutype") or person.get("insutype") or "")),
    }
    return {title: value for title, value in facts.items() if value}


def masked_name(name: str) -> str:
    """The first character and stars."""
    return name[:1] + "*" * (len(name) - 1)


def _step(number: int, event: Event) -> Step:
    facts = {name: str(event.data[name]) for name in SHOWN if event.data.get(name)}
    return Step(number, event.at, event.kind, _message_name(event), facts, bool(event.raw))


def _message_name(event: Event) -> str:
    """The transaction's number and name; a local function's own number."""
    number = str(event.data.get("message", ""))
    if not number:
        return ""
    try:
        return f"{number} {transaction(number).name}"
    except AdapterError:
        return number


def _reason(request: Asked) -> str:
    """Raises: TranslationError without one."""
    reason = text_of(posted(request), "reason", 200)
    if not reason:
        raise Refused("no reason", code="REASON_MISSING", message_zh="请填写查看原因，原因记入账本")
    return reason


def _readable(raw: bytes) -> str:
    """The bytes as text: JSON with one field a line, whatever else as it is."""
    try:
        text, _ = decode_text(raw)
    except TranslationError:
        return raw.hex(" ")[:MESSAGE_MAX]
    if text.lstrip()[:1] in ("{", "["):
        try:
            return "\n".join(_lines(read_json(text), ""))[:MESSAGE_MAX]
        except TranslationError:
            pass
    return text[:MESSAGE_MAX]


def _lines(tree: Any, path: str) -> list[str]:
    """``path = value`` for every value of a tree."""
    if isinstance(tree, dict):
        return [line for key, value in tree.items() for line in _lines(value, f"{path}.{key}" if path else key)]
    if isinstance(tree, list):
        return [line for place, value in enumerate(tree) for line in _lines(value, f"{path}[{place}]")]
    return [f"{path} = {'' if tree is None else tree}"]


def _attachment(event: Event) -> Response[bytes]:
    """An attached proof, to be saved: nothing of it is ever shown as a page of ours."""
    digest = str(event.data.get("sha256", ""))[:16]
    headers = {"Content-Disposition": f'attachment; filename="proof-{digest}.bin"'}
    return Response(event.raw, media_type="application/octet-stream", headers=headers)


ROUTES = [show, unmask, read_message]
