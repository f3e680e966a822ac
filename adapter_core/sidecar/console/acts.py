"""What a person does about a case: cancel, void, decide, recheck, papers, receipt, assign, note.

Every act is journalled with the person's name before it is done; the pipeline and the paper office decide whether it may be.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

from litestar import Response, post
from litestar.datastructures import FormMultiDict
from litestar.params import FromPath

from adapter_core.bootstrap.offices import accounts_of
from adapter_core.paperwork import rendering
from adapter_core.paperwork.dossier import Wish
from adapter_core.paperwork.office import PaperOffice
from adapter_core.paperwork.receipts import FORMS, dot_matrix
from adapter_core.province.messages import Operation
from adapter_core.settlement.records import Case, Change, Event
from adapter_core.settlement.states import STATE_ZH
from adapter_core.settlement.verdicts import OperatorDecision, check_decision, needs_two
from adapter_core.sidecar.access import Forbidden, Right
from adapter_core.sidecar.console import tasks
from adapter_core.sidecar.console.cases import CASES, case_of
from adapter_core.sidecar.console.counter import (
    Asked,
    Counter,
    Visitor,
    counter_of,
    file_of,
    pdf,
    posted,
    see,
    text_of,
    visitor,
)
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, Refused, TranslationError
from adapter_core.values.money import MoneyError, yuan

PROOF_BYTES_MAX = 2 * 1024 * 1024
REASON_MAX = 200
RESULT_FIELDS = ("setl_id", "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay")
NO_PROOF_NEEDED = "重新向中心核实，无附件"


@post(f"{CASES}/{{case_id:str}}/cancel")
async def cancel(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """Before sending: CANCELLED.  In doubt: no longer wanted."""
    counter, _, case = await _about(request, case_id, Right.SETTLE, "cancel")
    desk = counter.desk
    asked = Operation(
        "cancel", "cancel", desk.dialect.name, case.kind, keys={"settle": case.key}, content=_said(request)
    )
    outcome = await desk.running.pipeline.handle(desk.place_of(case), desk.dialect, asked)
    return see(f"{CASES}/{case.case_id}", request, outcome.message_zh)


@post(f"{CASES}/{{case_id:str}}/void")
async def void(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """Refund; the key was drawn with the page, so the same form sent twice is one refund."""
    counter, _, case = await _about(request, case_id, Right.SETTLE, "void")
    desk = counter.desk
    void_key = text_of(posted(request), "void_key", 64)
    if not void_key:
        raise Refused("no key", code="KEY_MISSING", message_zh="缺少退费业务号，请刷新页面后重试")
    keys = {"settle": case.key, "void": void_key}
    asked = Operation("void", "void", desk.dialect.name, case.kind, keys=keys, content=_said(request))
    outcome = await desk.running.pipeline.handle(desk.place_of(case), desk.dialect, asked)
    return see(f"{CASES}/{case.case_id}", request, outcome.message_zh)


@post(f"{CASES}/{{case_id:str}}/wrong-person")
async def wrong_person(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """Somebody else's card was used: taken back, noted as a security event; the right person is settled anew."""
    counter, who, case = await _about(request, case_id, Right.DECIDE, "wrong person")
    desk = counter.desk
    order = {"key": case.case_id, "operator": who.name, "reason": _reason(request)}
    told = await accounts_of(desk.running, desk.place_of(case)).do("wrong_person", order)
    return see(f"{CASES}/{case.case_id}", request, told["message_zh"])


# -- frozen cases


@post(f"{CASES}/{{case_id:str}}/recheck")
async def recheck(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """Ask the centre again."""
    counter, who, case = await _about(request, case_id, Right.DECIDE, "recheck")
    wanted = OperatorDecision("recheck", who.name, _reason(request), NO_PROOF_NEEDED)
    return await _decided(request, counter, who, case, wanted)


@post(f"{CASES}/{{case_id:str}}/decide")
async def decide(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """E5: by reason and attached proof; above the site's sum it waits for a second operator."""
    counter, who, case = await _about(request, case_id, Right.DECIDE, "decide")
    form = posted(request)
    outcome = text_of(form, "outcome", 20)
    result = _result(form) if outcome == "settled" else {}
    proof = await _proof(form)
    wanted = OperatorDecision(outcome, who.name, _reason(request), _named(*proof), result=result)
    await _refuse_unfounded(counter, case, wanted)
    name, raw = proof
    digest = sha256(raw).hexdigest()
    kept = Event(
        "PROOF", counter.now(), case.case_id, case.encounter_id, {"user": who.name, "name": name, "sha256": digest}, raw
    )
    running = counter.desk.running
    await (running.kept or running.ledger).commit(Change(case.org, events=(kept,)))
    return await _decided(request, counter, who, case, wanted)


@post(f"{CASES}/{{case_id:str}}/approve")
async def approve(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """The second pair of eyes; one's own proposal is refused by the decision's own rule."""
    counter, who, case = await _about(request, case_id, Right.DECIDE, "approve")
    item = await _waiting(counter, case)
    facts = item.facts
    wanted = OperatorDecision(
        facts["outcome"], facts["by"], facts["reason"], facts["proof"], who.name, dict(facts["result"])
    )
    outcome = await counter.desk.running.pipeline.decide(counter.desk.place_of(case), case, wanted)
    await tasks.ended(counter, case, item, tasks.PROPOSAL.done, who.name)
    return see(f"{CASES}/{case.case_id}", request, outcome.message_zh)


@post(f"{CASES}/{{case_id:str}}/refuse")
async def refuse(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """A proposal sent back, or taken back by who made it."""
    counter, who, case = await _about(request, case_id, Right.DECIDE, "refuse")
    item = await _waiting(counter, case)
    await tasks.ended(counter, case, item, tasks.PROPOSAL.refused, who.name, _reason(request))
    return see(f"{CASES}/{case.case_id}", request, "裁定建议已退回")


async def _decided(
    request: Asked, counter: Counter, who: Visitor, case: Case, wanted: OperatorDecision
) -> Response[bytes]:
    place = counter.desk.place_of(case)
    if needs_two(place, case):
        facts = {
            "outcome": wanted.outcome,
            "reason": wanted.reason,
            "proof": wanted.proof,
            "result": dict(wanted.result),
            "by": who.name,
            "by_user": who.user.name,
        }
        await _refuse_unfounded(counter, case, wanted)
        await tasks.proposed(counter, case, facts)
        return see(f"{CASES}/{case.case_id}", request, "金额超过限额：已提交，等待另一名操作员复核")
    outcome = await counter.desk.running.pipeline.decide(place, case, wanted)
    return see(f"{CASES}/{case.case_id}", request, outcome.message_zh)


async def _refuse_unfounded(counter: Counter, case: Case, wanted: OperatorDecision) -> None:
    """Everything a decision needs but the second operator.  Raises: TranslationError, Refused."""
    calls = await counter.desk.running.ledger.calls_of_case(case.case_id)
    burnt = any(call.burnt for call in calls)
    check_decision(counter.desk.place_of(case), case, replace(wanted, second_operator="另一名操作员"), burnt)


async def _waiting(counter: Counter, case: Case) -> Any:
    """Raises: Refused."""
    item = (await counter.lists.items([tasks.proposal_id(case)])).get(tasks.proposal_id(case))
    if item is None or item.state != tasks.PROPOSAL.waiting:
        raise Refused("nothing waits", code="TASK_MOVED", message_zh="没有等待复核的裁定，可能已被他人处理，请刷新")
    return item


async def _proof(form: FormMultiDict) -> tuple[str, bytes]:
    """Name and bytes of the attachment.  Raises: TranslationError."""
    found = await file_of(form, "proof")
    if found is None or not found[1]:
        raise TranslationError([Fault("proof", "一个附件", "没有", "依据")], message_zh="请附上依据文件，未受理")
    if len(found[1]) > PROOF_BYTES_MAX:
        raise TranslationError(
            [Fault("proof", "至多 2 MB", f"{len(found[1])} 字节", "依据")], message_zh="附件过大，未受理"
        )
    return found


def _named(name: str, raw: bytes) -> str:
    return f"{name[:100]} sha256:{sha256(raw).hexdigest()}"


def _result(form: FormMultiDict) -> dict[str, Any]:
    """What the centre has, as typed.  Raises: TranslationError with every fault."""
    fields: dict[str, Any] = {}
    faults: list[Fault] = []
    for name in RESULT_FIELDS:
        text = text_of(form, name, 40)
        try:
            fields[name] = text if name == "setl_id" else yuan(text)
        except MoneyError as error:
            faults.append(Fault(name, "金额（元）", str(error)))
    if not fields.get("setl_id"):
        faults.append(Fault("setl_id", "中心的结算编号", "没有"))
    if faults:
        raise TranslationError(faults, message_zh="裁定材料不全或有误，未受理")
    return fields


# -- papers and receipts


@post(f"{CASES}/{{case_id:str}}/papers")
async def open_papers(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    counter, _, case = await _about(request, case_id, Right.PAPER, "open_papers")
    insured = text_of(posted(request), "insuplc_admdvs", 6)
    made = await _office(counter, case).open(case.visit_key, Wish(insuplc_admdvs=insured) if insured else None)
    return see(f"{CASES}/{made.case.case_id}", request, f"已出具手工报销材料 {made.serial}")


@post(f"{CASES}/{{case_id:str}}/papers/print", status_code=200)
async def print_papers(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """The set once more, the same bytes."""
    counter, _, case = await _about(request, case_id, Right.PAPER, "print_papers")
    made = await _office(counter, case).reprint(_serial(case))
    return pdf(await asyncio.to_thread(made.pdf), f"{made.serial}.pdf")


@post(f"{CASES}/{{case_id:str}}/papers/submit")
async def submit_papers(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    counter, _, case = await _about(request, case_id, Right.PAPER, "submit")
    after = await _office(counter, case).submit(_serial(case), text_of(posted(request), "to", REASON_MAX))
    return see(f"{CASES}/{case.case_id}", request, STATE_ZH[after.state])


@post(f"{CASES}/{{case_id:str}}/papers/close")
async def close_papers(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    counter, _, case = await _about(request, case_id, Right.PAPER, "close")
    after = await _office(counter, case).close(_serial(case), text_of(posted(request), "result", REASON_MAX))
    return see(f"{CASES}/{case.case_id}", request, STATE_ZH[after.state])


@post(f"{CASES}/{{case_id:str}}/papers/revoke")
async def revoke_papers(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    counter, _, case = await _about(request, case_id, Right.PAPER, "revoke")
    form = posted(request)
    red_invoice, withdrawal = text_of(form, "red_invoice", REASON_MAX), text_of(form, "withdrawal", REASON_MAX)
    after = await _office(counter, case).revoke(_serial(case), red_invoice, _reason(request), withdrawal)
    return see(f"{CASES}/{case.case_id}", request, STATE_ZH[after.state])


@post(f"{CASES}/{{case_id:str}}/receipt", status_code=200)
async def print_receipt(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    counter, _, case = await _about(request, case_id, Right.PAPER, "receipt")
    form = text_of(posted(request), "paper", 4) or "a4"
    if form not in FORMS:
        raise TranslationError([Fault("paper", " | ".join(FORMS), form)])
    made = await _office(counter, case).receipt(case, form)
    if form == "241":
        return Response(dot_matrix(made).encode(), media_type="text/plain; charset=utf-8")
    return pdf(await asyncio.to_thread(rendering.pdf, "receipt", made), f"{made['setl_id']}-{made['copy']}.pdf")


@post(f"{CASES}/{{case_id:str}}/slip", status_code=200)
async def print_slip(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """For a visit whose settlement is not decided: a number and a time."""
    counter, _, case = await _about(request, case_id, Right.PAPER, "slip")
    slip = await _office(counter, case).slip(case.visit_key)
    return pdf(await asyncio.to_thread(rendering.pdf, "hold_slip", slip), f"{slip['work_order']}.pdf")


# -- who looks after it


@post(f"{CASES}/{{case_id:str}}/task")
async def change_task(request: Asked, case_id: FromPath[str]) -> Response[bytes]:
    """Take it, give it back, add a note: on from what the visitor saw."""
    counter = counter_of(request)
    who = visitor(request, Right.READ)
    if not (who.may(Right.SETTLE) or who.may(Right.DECIDE)):
        raise Forbidden(f"{who.user.name} only looks")
    case = await case_of(counter, who, case_id)
    await change(request, counter, who, case.org, case.case_id, case.case_id)
    return see(f"{CASES}/{case.case_id}", request, "已记录")


async def change(request: Asked, counter: Counter, who: Visitor, org: str, about: str, case_id: str) -> None:
    """What a task's form says, written.  Raises: Refused."""
    form = posted(request)
    act = text_of(form, "act", 10)
    version = text_of(form, "version", 9)
    note = text_of(form, "note", 500)
    assignee = {"take": who.name, "give_back": ""}.get(act)
    if not note and assignee is None:
        raise Refused("nothing said", code="NOTE_MISSING", message_zh="请填写备注")
    await tasks.changed(
        counter,
        org,
        about,
        case_id,
        int(version) if version.isdigit() else 0,
        who.name,
        assignee=assignee,
        note=note,
    )


# -- small


async def _about(request: Asked, case_id: str, right: Right, act: str) -> tuple[Counter, Visitor, Case]:
    """The case of an act, which the journal has before it is done.  Raises: Forbidden, Refused, LedgerUnavailable."""
    counter = counter_of(request)
    who = visitor(request, right)
    case = await case_of(counter, who, case_id)
    await counter.note("ACTED", who.name, {"act": act, "reason": text_of(posted(request), "reason", REASON_MAX)}, case)
    return counter, who, case


def _office(counter: Counter, case: Case) -> PaperOffice:
    return counter.desk.running.office(counter.desk.place_of(case))


def _serial(case: Case) -> str:
    """Raises: Refused."""
    serial = case.data.get("paper", {}).get("serial", "")
    if not serial:
        raise Refused("no papers", code="NO_PAPER", message_zh="该就诊没有有效的手工报销材料")
    return str(serial)


def _reason(request: Asked) -> str:
    """Raises: Refused."""
    reason = text_of(posted(request), "reason", REASON_MAX)
    if not reason:
        raise Refused("no reason", code="REASON_MISSING", message_zh="请填写原因")
    return reason


def _said(request: Asked) -> dict[str, Any]:
    return {"x": {"reason": _reason(request)}}


ROUTES = [
    cancel, void, wrong_person, recheck, decide, approve, refuse, open_papers, print_papers, submit_papers, close_papers, revoke_papers,
    print_receipt, print_slip, change_task,
]  # fmt: skip
