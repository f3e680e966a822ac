"""What the HIS is told: state, stable code, one Chinese line for the cashier, what may be done next (`reliability.md` §8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.province.plan import Step
from adapter_core.province.policy import Reason, reasons
from adapter_core.settlement.amounts import Amounts, amounts
from adapter_core.settlement.judge import Verdict
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import UNDECIDED, Result, State
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.texts import shown

UNKNOWN_MARK = "【结果未知，请勿改自费】"

NEXT: dict[str, tuple[str, ...]] = {
    "SETTLED": ("book", "print"),
    "QUOTED": ("settle", "cancel"),
    "REJECTED": ("correct", "new_key"),
    "NOT_SENT": ("repeat_same_key", "manual"),
    "PENDING": ("poll", "deposit_only"),
    "NOT_APPLIED": ("new_key", "manual"),
    "REVERSED": ("new_key", "manual"),
    "VOIDED": ("book_refund",),
    "VOIDING": ("poll",),
    "CANCELLED": ("new_key", "manual"),
    "FROZEN": ("wait",),
    "MANUAL_OPEN": ("paper_show", "paper_revoke", "paper_submit"),
    "MANUAL_SUBMITTED": ("paper_show", "paper_close"),
    "MANUAL_CLOSED": ("paper_show",),
    "MANUAL_REVOKED": ("new_key", "manual"),
}
REPEAT = ("repeat_same_key",)
"""Nobody asks by himself: the same message again does."""


def told_state(case: Case) -> str:
    """The state as the HIS hears it."""
    if case.state in UNDECIDED or case.state in (State.PREPARING, State.READY):
        return "VOIDING" if case.purpose == "void" else "PENDING"
    return str(case.state)


def work_order(case: Case) -> str:
    """The number a cashier quotes to the insurance office."""
    return case.case_id[:10].upper()


def in_words(told: Amounts) -> str:
    """Amounts for a cashier; a refund's negatives are named as what they are worth."""
    account = abs(told.account + told.shared_account)
    return f"总额 {abs(told.total)} 元，基金支付 {abs(told.fund)} 元，个人账户 {account} 元，现金 {abs(told.cash)} 元"


def amounts_outcome(state: str, content: Content, refs: Mapping[str, str]) -> Outcome:
    """QUOTED, SETTLED or VOIDED with amounts from ``content["result"]``."""
    told = amounts(content["result"])
    words = in_words(told)
    if not told.fund and told.total and state != "VOIDED":
        words += f"（{reasons()['zero_fund_payment'].patient_zh}）"
    text = {
        "QUOTED": f"预结算：{words}。患者同意后请继续结算",
        "SETTLED": f"结算成功：{words}。请收取现金并打印结算单",
        "VOIDED": f"退费成功：{words}，已全部退回，请按原渠道退还患者",
    }[state]
    return Outcome(state, state, text, content, refs, NEXT[state])


def rejected(verdict: Verdict) -> Outcome:
    """The centre's refusal; its own words stand behind ours."""
    reason: Reason | None = verdict.reason
    code = reason.code.upper() if reason else verdict.code if verdict.code == "TRIAL_UNBALANCED" else "CENTRE_REFUSED"
    if verdict.code == "TRIAL_UNBALANCED":
        text = "医保中心试算金额不平，未结算，请联系医保办核对"
    elif reason:
        text = f"{reason.cashier_zh}（中心原文：{shown(verdict.text)}）"
    else:
        text = f"医保中心拒绝，未结算：{shown(verdict.text) or '无说明'}。请按提示核对后重新结算，或自费并告知患者可手工报销"
    return Outcome("REJECTED", code, text, {}, {}, reason.next if reason else NEXT["REJECTED"])


NOT_SENT_ZH = {
    "CREDENTIAL_EXPIRED": "电子凭证（或读卡信息）已过有效时间，没有送出，没有产生结算。请患者重新亮码或刷卡，再用同一笔业务重试",
    "BREAKER_OPEN": "医保线路连续故障，暂停发送，没有产生结算。请稍后用同一笔业务重试，或按自费办理并告知可手工报销",
    "QUEUE_FULL": "医保接口排队已满，没有送出，没有产生结算，请稍后用同一笔业务重试",
    "CLOCK_WRONG": "本机时钟与医保中心相差过大，没有送出，没有产生结算。请信息科校准本机时间，再用同一笔业务重试",
    "RESTARTED": "系统重启，结算没有送出，没有产生结算；此前的登记和上传如已送出，会先核实。请用同一笔业务重试",
}


def not_sent(code: str) -> Outcome:
    text = NOT_SENT_ZH.get(code, "未能送达医保中心，没有产生结算，请稍后用同一笔业务重试")
    return Outcome("NOT_SENT", code, text, {}, {}, NEXT["NOT_SENT"])


def unsent(verdict: Verdict) -> Outcome:
    """Nothing was sent that changes anything: the call never left, or a question before it had no answer."""
    told = not_sent(verdict.code)
    if verdict.result is not Result.UNKNOWN:
        return told
    return replace(told, message_zh="医保中心没有应答查询或试算，没有产生结算，请稍后用同一笔业务重试")


STEP_UNKNOWN = "STEP_UNKNOWN"
"""The code of a step that moves no money, was sent, and had no answer that can be believed."""
STEP_ZH = {
    "register": "挂号登记", "admit": "入院登记", "info": "就诊信息上传", "fees": "费用明细上传", "stay_fees": "费用明细上传",
    "change_stay": "住院信息变更", "discharge": "出院登记", "unregister": "挂号撤销", "unadmit": "入院撤销", "unfees": "费用明细撤销",
    "unstay_fees": "费用明细撤销", "undischarge": "出院撤销",
}  # fmt: skip


def step_unknown(step: Step, also: str = "") -> Outcome:
    """A step in doubt; the same message again settles it.  also: what has to be said besides."""
    text = f"{_in_doubt(step)}。请用同一报文重试，{_next_try(step)}{also}"
    return Outcome("PENDING", STEP_UNKNOWN, text, {}, {}, REPEAT)


def unsent_in_doubt(step: Step) -> Outcome:
    """A settlement that was not sent because a step before it is in doubt: no money is at stake."""
    text = f"{_in_doubt(step)}；结算没有送出，没有产生结算。请用同一笔业务重试，{_next_try(step)}"
    return Outcome("NOT_SENT", STEP_UNKNOWN, text, {}, {}, NEXT["NOT_SENT"])


def beside_doubt(told: Outcome, step: Step) -> Outcome:
    """What is told of a settlement, where an earlier try of a step before it is in doubt still."""
    return replace(told, message_zh=f"{told.message_zh}（{_in_doubt(step)}，重试时{_next_try(step)}）")


def _in_doubt(step: Step) -> str:
    return f"{STEP_ZH.get(step.name, '交易')}（{step.call}）已送出，没有得到医保中心的可信应答，结果待查"


def _next_try(step: Step) -> str:
    """What becomes of it when the same message comes again (`reliability.md` §2, classes C and U)."""
    if step.kind_class == "C":
        asked, unasked = "系统会先查询再决定是否重发", "系统会重新送出；该线路不能查询，请核对是否重复登记"
        return asked if step.ask else unasked
    return "系统会先撤回存疑的明细再重新上传" if step.each and step.undo else "系统会再次送出，不会重复办理"


def ended(case: Case, verdict: Verdict) -> Outcome:
    """How a case that moved no money is told.  A refund that came to nothing leaves its settlement standing."""
    if case.state is State.CANCELLED:
        return standing_outcome(case)
    told = rejected(verdict) if case.state is State.REJECTED else unsent(verdict)
    if case.purpose != "void":
        return told
    if case.state is State.REJECTED:
        text = f"医保中心拒绝退费，原结算仍然有效：{shown(verdict.text) or '无说明'}"
    else:
        text = "退费未能送达医保中心，原结算仍然有效，请稍后重试"
    return replace(told, message_zh=text)


def plain(state: str, code: str, message_zh: str, content: Content | None = None) -> Outcome:
    return Outcome(state, code, message_zh, content or {}, {}, NEXT.get(state, ()))


def case_facts(case: Case) -> dict[str, Any]:
    """What an answer says of the case itself: its id, the evidence that closed a doubt, whether the split moved since the quote."""
    return {
        "case_id": case.case_id,
        "work_order": work_order(case),
        "closed_by": case.data.get("closed_by", ""),
        "changed_from_quote": bool(case.data.get("changed_from_quote")),
        **({"paper": paper_facts(case)} if "paper" in case.data else {}),
    }


def paper_facts(case: Case) -> dict[str, str]:
    """What an answer says of the manual-reimbursement papers of a case; empty where it has none."""
    paper = case.data.get("paper", {})
    return {name: str(paper[name]) for name in ("serial", "version", "hash") if name in paper}


def standing_outcome(case: Case) -> Outcome:
    """What a case is told as it stands: the stored answer, or the waiting one for a case that is not decided."""
    state = told_state(case)
    if case.told and case.told.get("state") == state:
        return outcome_from(case.told)
    order = work_order(case)
    serial = paper_facts(case).get("serial", "")
    absent = "医保中心没有这笔结算，可重新结算"
    if case.purpose == "void":
        absent = "医保中心没有办理这笔退费，原结算仍然有效，可重新退费"
    text = {
        "PENDING": f"{UNKNOWN_MARK}正在向医保中心核实，工单号 {order}，请稍候查询，可先收押金",
        "VOIDING": f"退费结果正在核实，工单号 {order}，核实前请勿退现金",
        "FROZEN": f"{UNKNOWN_MARK}结果待人工核定，工单号 {order}，请联系医保办，不要重复结算",
        "NOT_APPLIED": f"已核实：{absent}",
        "CANCELLED": "本次结算已取消，没有送医保中心",
        "SETTLED": "结算成功，结算仍然有效",
        "VOIDED": "该笔结算已退费",
        "REVERSED": "已冲正：医保中心已没有这笔结算，可重新结算或改自费",
        "NOT_SENT": "未能送达医保中心，没有产生结算，请稍后用同一笔业务重试",
        "MANUAL_OPEN": f"已出具手工报销材料（编号 {serial}），不能再直接结算；如需改直接结算，请先收回材料并撤销",
        "MANUAL_SUBMITTED": f"手工报销材料（编号 {serial}）已交参保地经办机构，不能再直接结算",
        "MANUAL_CLOSED": f"手工报销（编号 {serial}）已办结，不能再直接结算",
        "MANUAL_REVOKED": f"手工报销材料（编号 {serial}）已撤销作废，可用新业务号直接结算",
    }.get(state, f"当前状态 {state}，工单号 {order}")
    return Outcome(state, state, text, {"case": case_facts(case)}, {}, NEXT.get(state, ()))


def in_their_form(dialect: Dialect, asked: Operation, outcome: Outcome) -> Frame:
    """The answer's frame.  What their form can't carry after all is told as not known, never as failed: the ledger has it.

    Raises: TranslationError when not even that can be said (a message that was refused unread).
    """
    try:
        return dialect.encode_reply(asked, outcome)
    except TranslationError:
        if outcome.state in ("SETTLED", "VOIDED"):
            text = f"{UNKNOWN_MARK}结果已入账，但本院接口无法表达，请联系医保办查询"
            return dialect.encode_reply(asked, Outcome("PENDING", "NOT_TELLABLE", text))
        raise


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """An outcome as the case keeps it, to be told again as it was."""
    return {
        "state": outcome.state,
        "code": outcome.code,
        "message_zh": outcome.message_zh,
        "content": outcome.content,
        "refs": dict(outcome.refs),
        "next": list(outcome.next),
    }


def outcome_from(data: Mapping[str, Any]) -> Outcome:
    return Outcome(
        data["state"], data["code"], data["message_zh"], dict(data["content"]), dict(data["refs"]), tuple(data["next"])
    )
